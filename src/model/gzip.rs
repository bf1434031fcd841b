//! Reads gzip as `gzip -dc` does: several members, and zeros after the last one (RFC 1952 section 2.2).

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// What an error of kind [`io::ErrorKind::UnexpectedEof`] says.
pub const CUT_OFF: &str = "the gzip stream is cut off";

/// The text of a gzip stream. Bytes other than zeros after a member must be another member.
pub struct Gzip<R> {
    /// `None` while there is no member.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    /// The text of the stream that begins here.
    pub fn new(input: R) -> Self {
        Self { member: Some(GzDecoder::new(input)) }
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let length = member.read(buffer).map_err(named)?;
            if length > 0 || buffer.is_empty() {
                return Ok(length);
            }
            let is_at_end = is_at_end(member.get_mut())?;
            self.member = self.member.take().filter(|_| !is_at_end).map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

/// Skips zeros. Returns whether nothing follows them.
fn is_at_end(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let held = input.fill_buf()?;
        if held.is_empty() {
            return Ok(true);
        }
        let zeros = held.iter().take_while(|byte| **byte == 0).count();
        let is_other = zeros < held.len();
        input.consume(zeros);
        if is_other {
            return Ok(false);
        }
    }
}

fn named(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), CUT_OFF),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], capacity: usize) -> io::Result<String> {
        io::read_to_string(Gzip::new(BufReader::with_capacity(capacity, bytes)))
    }

    #[test]
    fn members_and_zeros_are_read() {
        let zeros = vec![0; 1_000];
        for capacity in [1, 7, 10_000] {
            for (bytes, text) in [
                (gzip("a"), "a"),
                ([gzip("a"), gzip(""), gzip("b")].concat(), "ab"),
                ([gzip("a"), zeros.clone()].concat(), "a"),
                ([gzip("a"), zeros.clone(), gzip("b"), vec![0]].concat(), "ab"),
            ] {
                assert_eq!(read(&bytes, capacity).unwrap(), text);
            }
            let cut = gzip("abc");
            for length in 2..cut.len() {
                let error = read(&cut[..length], capacity).unwrap_err();
                assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::UnexpectedEof, CUT_OFF));
            }
            assert!(read(&[gzip("a"), b"garbage".to_vec()].concat(), capacity).is_err());
        }
    }
}
