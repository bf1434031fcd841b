//! Skips what is not a record: objects that are too long or broken, with the lines that belong to them.

use std::io::{self, Read};

use super::{CHUNK_BYTES, Level, Place, Records};
use crate::model::{
    broken,
    records::{
        Record,
        scan::{Found, Scan},
    },
};

impl<'a, R: Read> Records<'a, R> {
    /// Skips an object with more bytes than are held in memory.
    pub(super) fn skip_long(&mut self, place: Place, mut scan: Scan<'a>, length: usize) -> io::Result<Record<'a>> {
        let (record, column) = (self.bad(place, self.too_long(), 0), self.column);
        self.advance(length);
        loop {
            let (length, found) = scan.run(self.rest());
            self.advance(length);
            match found {
                Found::End => return Ok(record),
                Found::More if !self.fill()? => return Ok(record),
                Found::More | Found::List(_) => {}
                Found::Fault(_) => {
                    self.skip_to_record(column)?;
                    return Ok(record);
                }
            }
        }
    }

    pub(super) fn too_long(&self) -> String {
        format!("larger than {} bytes", self.bytes_max)
    }

    /// Skips a broken object at the position: to its end, or to the line that seems to begin the next record.
    pub(super) fn skip_broken(&mut self, place: Place, fault: &str) -> io::Result<Record<'a>> {
        let line = self.line_length()?;
        let message = format!("not JSON: {fault}");
        let end = broken::end_of_brackets(&self.rest()[..line]);
        let record = self.bad(place, message, end.unwrap_or(line));
        match end {
            Some(length) => self.advance(length),
            None => self.skip_several_lines()?,
        }
        Ok(record)
    }

    /// Skips a broken object at the position that does not end on its line.
    pub(super) fn skip_several_lines(&mut self) -> io::Result<()> {
        let (column, enclosing) = (self.column, self.enclosing());
        loop {
            let is_whole =
                self.is_at_end || self.failure.is_some() || self.rest().len() > self.bytes_max.max(CHUNK_BYTES);
            match broken::end(self.rest(), column, &enclosing, is_whole) {
                Some(length) if length == self.rest().len() && !self.is_at_end => {
                    self.advance(length);
                    return self.skip_to_record(column);
                }
                Some(length) => {
                    self.advance(length);
                    return Ok(());
                }
                // What is in the buffer is read before the error is reported.
                None => self.failure = self.fill().err(),
            }
        }
    }

    /// The brackets that are open around the next record, the outermost first.
    fn enclosing(&self) -> Vec<u8> {
        let bracket = |level: &Level<'_>| if matches!(level, Level::List { .. }) { b'[' } else { b'{' };
        self.levels.iter().map(bracket).collect()
    }

    /// Skips lines up to one that seems to begin a record. The first has `line` bytes.
    pub(super) fn skip_lines(&mut self, place: Place, message: String, line: usize) -> io::Result<Record<'a>> {
        let (record, column) = (self.bad(place, message, line), self.column);
        self.skip_to_record(column)?;
        Ok(record)
    }

    /// Skips to a line on which an object begins no deeper than at `column`, or at which a list ends.
    pub(super) fn skip_to_record(&mut self, column: usize) -> io::Result<()> {
        loop {
            self.skip_line()?;
            let mut length = 0;
            let first = loop {
                match self.rest().get(length).copied() {
                    Some(b' ' | b'\t' | b'\r' | b',') if length <= column => length += 1,
                    Some(byte) => break byte,
                    None if self.fill()? => {}
                    None => return Ok(()),
                }
            };
            let ends_list = first == b']' && !self.levels.is_empty();
            if length <= column && (first == b'{' || ends_list) {
                return Ok(());
            }
        }
    }
}
