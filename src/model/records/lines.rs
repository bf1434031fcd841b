//! Reads the records of a text in which each line is one.

use std::io::{self, BufRead, BufReader, Read};

use crate::model::records::{
    reader::{Bad, Place, Record},
    utf8::Utf8,
};

/// The lines of a text that are not empty.
pub struct Lines<R> {
    input: BufReader<Utf8<R>>,
    bytes_max: usize,
    line: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of `input`, of at most `bytes_max` bytes each.
    pub fn new(input: R, bytes_max: usize) -> Self {
        Self { input: BufReader::new(Utf8::new(input)), bytes_max, line: 0 }
    }

    /// The same, for a part of a text before which there are `line` lines.
    #[must_use]
    pub fn after(mut self, line: u64) -> Self {
        self.line = line;
        self
    }

    /// The next line that is not empty; `None` at the end of the text.
    fn find(&mut self) -> io::Result<Option<Record<'static>>> {
        loop {
            let mut bytes = Vec::new();
            let limit = u64::try_from(self.bytes_max).unwrap_or(u64::MAX).saturating_add(1);
            if (&mut self.input).take(limit).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let is_too_long = bytes.len() > self.bytes_max && !bytes.ends_with(b"\n");
            if is_too_long {
                self.input.skip_until(b'\n')?;
            }
            let bad = |message| Bad { message, start: String::new() };
            let text = match std::str::from_utf8(&bytes) {
                _ if is_too_long => Err(bad(format!("larger than {} bytes", self.bytes_max))),
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => Ok(line.trim().to_owned()),
                Err(error) => Err(bad(self.input.get_ref().fault(error.valid_up_to()))),
            };
            return Ok(Some(Record { place: Place { line: self.line, on_line: 1 }, envelope: None, text }));
        }
    }
}

impl<R: Read> Iterator for Lines<R> {
    type Item = io::Result<Record<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_record_and_a_bad_one_costs_only_itself() {
        let text = b"\xef\xbb\xbfone\r\n\n  two words \nfar too long for this\n\xff\nlast";
        let lines = Lines::new(&text[..], 12).map(|record| {
            let Record { place, text, .. } = record.unwrap();
            (place.line, text.map_err(|bad| bad.message))
        });
        let expected = [
            (1, Ok("one".to_owned())),
            (3, Ok("two words".to_owned())),
            (4, Err("larger than 12 bytes".to_owned())),
            (5, Err("not UTF-8 at byte 0".to_owned())),
            (6, Ok("last".to_owned())),
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
