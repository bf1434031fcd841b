//! A text in UTF-8 or UTF-16 as UTF-8.

use std::io::{self, Read};

/// Bytes decoded at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// A byte that occurs in no UTF-8 text. It replaces what cannot be decoded, so that the record with it is rejected.
const INVALID: u8 = 0xff;

/// Reads a text as UTF-8, without its byte order mark. A text without one is UTF-16 if its first character is ASCII in
/// that encoding, as the first character of JSON is (RFC 4627 section 3). Bytes that are neither pass unchanged.
pub(super) struct Utf8<R> {
    input: R,
    encoding: Option<Encoding>,
    decoded: Vec<u8>,
    /// How much of `decoded` has been read.
    read: usize,
    /// The half of a code unit, at the end of a chunk.
    byte: Option<u8>,
    /// A high surrogate whose low one has not arrived.
    high: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { is_big: bool },
}

impl<R: Read> Utf8<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, encoding: None, decoded: Vec::new(), read: 0, byte: None, high: None }
    }

    /// What is wrong with a text that was read and has valid characters only in its first `valid` bytes.
    pub(super) fn fault(&self, valid: usize) -> String {
        match self.encoding {
            Some(Encoding::Utf16 { .. }) => "not UTF-16: half a character (a lone surrogate)".to_owned(),
            Some(Encoding::Utf8) | None => format!("not UTF-8 at byte {valid}"),
        }
    }

    /// Determines the encoding, and consumes the byte order mark.
    fn detect(&mut self) -> io::Result<Encoding> {
        let mut start = [0; 3];
        let mut length = 0;
        // A buffer may begin with fewer bytes: they are put back by reading them from `decoded`.
        while length < start.len() {
            match self.input.read(&mut start[length..])? {
                0 => break,
                more => length += more,
            }
        }
        let (encoding, mark) = match start[..length] {
            [0xef, 0xbb, 0xbf] => (Encoding::Utf8, 3),
            [0xfe, 0xff, ..] => (Encoding::Utf16 { is_big: true }, 2),
            [0xff, 0xfe, ..] => (Encoding::Utf16 { is_big: false }, 2),
            [0, 1..=0xff, ..] => (Encoding::Utf16 { is_big: true }, 0),
            [1..=0xff, 0, ..] => (Encoding::Utf16 { is_big: false }, 0),
            _ => (Encoding::Utf8, 0),
        };
        let rest = &start[mark..length];
        match encoding {
            Encoding::Utf8 => self.decoded.extend_from_slice(rest),
            Encoding::Utf16 { is_big } => self.decode(rest, is_big),
        }
        Ok(encoding)
    }

    fn decode(&mut self, bytes: &[u8], is_big: bool) {
        for &byte in bytes {
            let Some(first) = self.byte.take() else {
                self.byte = Some(byte);
                continue;
            };
            let pair = [first, byte];
            self.unit(if is_big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) });
        }
    }

    fn unit(&mut self, unit: u16) {
        let high = self.high.take();
        if (0xd800..0xdc00).contains(&unit) {
            self.high = Some(unit);
            self.decoded.extend(high.map(|_| INVALID));
            return;
        }
        for char in char::decode_utf16(high.into_iter().chain([unit])) {
            match char {
                Ok(char) => self.decoded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(_) => self.decoded.push(INVALID),
            }
        }
    }

    /// Decodes the next chunk. At the end of the text, half a character is an invalid byte.
    fn fill(&mut self, is_big: bool) -> io::Result<()> {
        self.decoded.clear();
        self.read = 0;
        let mut chunk = [0; CHUNK_BYTES];
        while self.decoded.is_empty() {
            match self.input.read(&mut chunk)? {
                0 => {
                    let is_cut = self.byte.take().is_some() | self.high.take().is_some();
                    self.decoded.extend(is_cut.then_some(INVALID));
                    return Ok(());
                }
                length => self.decode(&chunk[..length], is_big),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Utf8<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let encoding = match self.encoding {
            Some(encoding) => encoding,
            None => self.detect()?,
        };
        self.encoding = Some(encoding);
        if self.read == self.decoded.len() {
            match encoding {
                Encoding::Utf8 => return self.input.read(buffer),
                Encoding::Utf16 { is_big } => self.fill(is_big)?,
            }
        }
        let length = buffer.len().min(self.decoded.len() - self.read);
        buffer[..length].copy_from_slice(&self.decoded[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, is_big: bool) -> Vec<u8> {
        let bytes = |unit: u16| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn read(bytes: &[u8], at_once: usize) -> Vec<u8> {
        let (mut text, mut input) = (Vec::new(), Utf8::new(io::BufReader::with_capacity(at_once, bytes)));
        let mut buffer = vec![0; at_once];
        loop {
            match input.read(&mut buffer).unwrap() {
                0 => return text,
                length => text.extend_from_slice(&buffer[..length]),
            }
        }
    }

    #[test]
    fn every_encoding_is_read_in_pieces_of_any_size() {
        let text = "{\"a\":\"ü€😀\"}\r\n".repeat(7);
        for at_once in [1, 2, 3, 5, 64, 100_000] {
            assert_eq!(read(text.as_bytes(), at_once), text.as_bytes());
            assert_eq!(read(format!("\u{feff}{text}").as_bytes(), at_once), text.as_bytes());
            for is_big in [false, true] {
                assert_eq!(read(&utf16(&text, is_big), at_once), text.as_bytes());
                assert_eq!(read(&utf16(&format!("\u{feff}{text}"), is_big), at_once), text.as_bytes());
            }
        }
        assert_eq!(read(b"", 9), b"");
        assert_eq!(read(b"{", 9), b"{");
        // Other bytes stay: the record with them is rejected.
        assert_eq!(read(b"\xe9\xff", 9), b"\xe9\xff");
    }

    #[test]
    fn half_a_character_is_an_invalid_byte() {
        for (units, expected) in [
            (&[0x7b, 0xd83d, 0x7d][..], &b"{\xff}"[..]),
            (&[0x7b, 0xde00, 0x7d], b"{\xff}"),
            (&[0x7b, 0xd83d, 0xd83d, 0xde00], "{\u{0}😀".as_bytes()),
            (&[0x7b, 0xd83d], b"{\xff"),
        ] {
            let bytes: Vec<u8> = units.iter().flat_map(|unit: &u16| unit.to_le_bytes()).collect();
            let expected: Vec<u8> = expected.iter().map(|byte| if *byte == 0 { INVALID } else { *byte }).collect();
            assert_eq!(read(&bytes, 3), expected);
        }
        assert_eq!(read(b"{\0}", 9), b"{\xff");
    }
}
