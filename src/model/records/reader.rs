//! Finds the records of a text, one by one.

mod skip;

use std::{
    fmt,
    io::{self, Read},
};

use crate::model::{
    broken,
    records::{
        ENVELOPES, foreign,
        scan::{Found, Scan},
        submission,
        utf8::Utf8,
    },
};

/// Bytes read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Maximum number of bytes of a text that is not a record, in its description.
const SHOWN_BYTES_MAX: usize = 1_024;
/// The byte order mark, which also begins the later parts of concatenated files.
const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Where a record begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The number of the record on its line, from 1.
    pub on_line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.on_line {
            1 => write!(f, "line {}", self.line),
            number => write!(f, "line {}, record {number}", self.line),
        }
    }
}

/// A text in the place of a record that is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// What is wrong with it.
    pub message: String,
    /// Its beginning.
    pub start: String,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it begins.
    pub place: Place,
    /// The key of the list that holds it, if an envelope does.
    pub envelope: Option<&'a str>,
    /// The object, or why the text is not one.
    pub text: Result<String, Bad>,
}

/// What encloses the next record.
#[derive(Debug)]
enum Level<'a> {
    /// An array, of an envelope if it has a key.
    List { envelope: Option<&'a str>, place: Place },
    /// An envelope, after its list.
    Envelope { place: Place },
}

/// The records of a text.
pub struct Records<'a, R> {
    input: Utf8<R>,
    /// The keys under which an object holds records in an array.
    envelopes: &'a [&'a str],
    /// Whether the records are events, and not records of another system.
    are_events: bool,
    bytes_max: usize,
    buffer: Vec<u8>,
    /// The position in the buffer. The bytes before it have been used.
    at: usize,
    is_at_end: bool,
    /// An error of the input that concerns what follows the buffer.
    failure: Option<io::Error>,
    line: u64,
    /// Number of bytes between the last line break and the position.
    column: usize,
    /// Number of records that begin before the position, on its line.
    on_line: u64,
    levels: Vec<Level<'a>>,
    tail: Vec<u8>,
}

impl<R: Read> Records<'static, R> {
    /// The events of `input`, of at most `bytes_max` bytes each.
    pub const fn new(input: R, bytes_max: usize) -> Self {
        let mut records = Self::of_system(input, bytes_max, &ENVELOPES);
        records.are_events = true;
        records
    }
}

impl<'a, R: Read> Records<'a, R> {
    /// The records of another system, of at most `bytes_max` bytes each. Those of an array under one of the keys `envelopes`
    /// are read one by one. A text that is no record is kept in full.
    pub const fn of_system(input: R, bytes_max: usize, envelopes: &'a [&'a str]) -> Self {
        Self {
            input: Utf8::new(input),
            envelopes,
            are_events: false,
            bytes_max,
            buffer: Vec::new(),
            at: 0,
            is_at_end: false,
            failure: None,
            line: 1,
            column: 0,
            on_line: 0,
            levels: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// What follows the list of the last envelope: its members after a comma, and its closing brace.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The next record; `None` at the end of the text.
    fn find(&mut self) -> io::Result<Option<Record<'a>>> {
        loop {
            let Some(byte) = self.skip_space()? else { return Ok(self.end()) };
            if matches!(self.levels.last(), Some(Level::Envelope { .. })) {
                if let Some(bad) = self.leave_envelope()? {
                    return Ok(Some(bad));
                }
                continue;
            }
            let is_in_list = !self.levels.is_empty();
            match byte {
                b']' if is_in_list => {
                    self.advance(1);
                    self.levels.pop();
                }
                b'{' => {
                    if let Some(record) = self.object()? {
                        return Ok(Some(record));
                    }
                }
                b'[' if !is_in_list && self.is_list()? => {
                    let place = self.here();
                    self.advance(1);
                    self.levels.push(Level::List { envelope: None, place });
                }
                _ => return self.garbage().map(Some),
            }
        }
    }

    /// What is missing at the end of the text, if anything is.
    fn end(&mut self) -> Option<Record<'a>> {
        let (place, what) = match self.levels.pop()? {
            Level::List { place, .. } => (place, "the list that begins here does not end"),
            Level::Envelope { place } => (place, "the object that begins here does not end"),
        };
        self.levels.clear();
        Some(self.bad(place, format!("the text is cut off: {what}"), 0))
    }

    /// Skips what may be between records: white space, commas, byte order marks, and the separators of RFC 7464.
    fn skip_space(&mut self) -> io::Result<Option<u8>> {
        let is_between = |levels: &[Level<'_>]| !matches!(levels.last(), Some(Level::Envelope { .. }));
        loop {
            match self.rest().first().copied() {
                None if !self.fill()? => return Ok(None),
                None => {}
                Some(b' ' | b'\t' | b'\r' | b'\n' | 0x1e) => self.advance(1),
                Some(b',') if is_between(&self.levels) => self.advance(1),
                Some(0xef) if self.is_mark()? => self.advance(MARK.len()),
                byte => return Ok(byte),
            }
        }
    }

    fn is_mark(&mut self) -> io::Result<bool> {
        while self.rest().len() < MARK.len() && self.fill()? {}
        Ok(self.rest().starts_with(&MARK))
    }

    /// Whether the bracket at the position begins a list of objects.
    fn is_list(&mut self) -> io::Result<bool> {
        let mut length = 1;
        loop {
            match self.rest().get(length).copied() {
                Some(b' ' | b'\t' | b'\r' | b'\n') if length < CHUNK_BYTES => length += 1,
                Some(byte) => return Ok(matches!(byte, b'{' | b']')),
                None if self.fill()? => {}
                None => return Ok(false),
            }
        }
    }

    /// Reads the object at the position: a record, or an envelope, which it enters.
    fn object(&mut self) -> io::Result<Option<Record<'a>>> {
        let place = self.place();
        let (mut scan, mut length, mut first) = (Scan::new(self.envelopes), 0, None);
        loop {
            let (more, found) = scan.run(&self.buffer[self.at + length..]);
            length += more;
            let is_event = self.are_events && scan.is_event;
            let is_envelope = !is_event && self.may_be_envelope();
            let list = first.filter(|_| is_envelope);
            let fault = match found {
                Found::End => return Ok(self.end_object(place, length, list, is_event || !self.are_events)),
                Found::List(key) => {
                    first = first.or(Some((key, length)));
                    continue;
                }
                Found::More if length > self.bytes_max && list.is_none() => {
                    return self.skip_long(place, scan, length).map(Some);
                }
                Found::More if length <= self.bytes_max && self.fill()? => continue,
                Found::More => "the text is cut off within this record",
                Found::Fault(fault) => fault,
            };
            // The list of an envelope is read record by record, so a broken or long one costs only one of them.
            return match list {
                Some((key, start)) => Ok(self.enter(place, key, start)),
                None => self.skip_broken(place, fault).map(Some),
            };
        }
    }

    /// Whether an object at the position may hold the records: nothing that holds it does.
    fn may_be_envelope(&self) -> bool {
        self.levels.iter().all(|level| matches!(level, Level::List { envelope: None, .. }))
    }

    fn end_object(
        &mut self,
        place: Place,
        length: usize,
        list: Option<(&'a str, usize)>,
        is_event: bool,
    ) -> Option<Record<'a>> {
        let bytes = &self.rest()[..length];
        // A list within one record of a foreign format is a part of it.
        let is_foreign = || {
            let text = std::str::from_utf8(bytes);
            self.are_events && text.is_ok_and(|text| foreign::recognize(text, None).is_some())
        };
        if let Some((key, start)) = list.filter(|_| !is_foreign()) {
            return self.enter(place, key, start);
        }
        if length > self.bytes_max {
            let record = self.bad(place, self.too_long(), 0);
            self.advance(length);
            return Some(record);
        }
        let text = String::from_utf8(bytes.to_vec());
        let record = match text {
            Ok(text) => Record {
                text: Ok(if is_event { text } else { submission::single(text) }),
                ..self.bad(place, String::new(), 0)
            },
            Err(error) => self.bad(place, self.input.fault(error.utf8_error().valid_up_to()), length),
        };
        self.advance(length);
        Some(record)
    }

    /// Enters the list of an envelope, whose first element is `start` bytes after the position.
    fn enter(&mut self, place: Place, key: &'a str, start: usize) -> Option<Record<'a>> {
        self.advance(start);
        // The envelope itself is no record.
        self.on_line = 0;
        self.levels.push(Level::Envelope { place });
        self.levels.push(Level::List { envelope: Some(key), place });
        self.tail.clear();
        None
    }

    /// Skips the members of an envelope after a list, to its end or to its next list.
    fn leave_envelope(&mut self) -> io::Result<Option<Record<'a>>> {
        let mut scan = Scan::after_value(self.envelopes);
        loop {
            let (length, found) = scan.run(self.rest());
            if self.tail.len() <= self.bytes_max {
                let (start, end) = (self.at, self.at + length);
                self.tail.extend_from_slice(&self.buffer[start..end]);
            }
            self.advance(length);
            let Some(Level::Envelope { place }) = self.levels.last() else { return Ok(None) };
            let place = *place;
            match found {
                Found::End => {
                    self.levels.pop();
                    return Ok(None);
                }
                Found::List(key) => {
                    self.levels.push(Level::List { envelope: Some(key), place });
                    return Ok(None);
                }
                Found::More if self.fill()? => {}
                Found::More => return Ok(self.end()),
                Found::Fault(fault) => {
                    self.levels.pop();
                    let here = self.place();
                    return self.skip_lines(here, format!("not JSON: {fault}"), 0).map(Some);
                }
            }
        }
    }

    /// A text that is no object: it ends with its line, or where its list continues.
    fn garbage(&mut self) -> io::Result<Record<'a>> {
        let (place, line) = (self.place(), self.line_length()?);
        let text = &self.rest()[..line];
        let length = if self.levels.is_empty() { line } else { garbage_in_list(text) };
        let record = self.bad(place, "not JSON: expected an object".to_owned(), length);
        if length == line {
            self.skip_line()?;
        } else {
            self.advance(length);
        }
        Ok(record)
    }

    /// The length of the rest of the line, or of its part that is in memory.
    fn line_length(&mut self) -> io::Result<usize> {
        let mut length = 0;
        loop {
            match memchr::memchr(b'\n', &self.rest()[length..]) {
                Some(more) => return Ok(length + more),
                None => length = self.rest().len(),
            }
            if length > self.bytes_max || !self.fill()? {
                return Ok(length);
            }
        }
    }

    /// Skips the rest of the line with its break.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(length) = memchr::memchr(b'\n', self.rest()) {
                self.advance(length + 1);
                return Ok(());
            }
            self.advance(self.rest().len());
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// The place of a record that begins at the position, which is counted.
    fn place(&mut self) -> Place {
        let place = self.here();
        self.on_line = place.on_line;
        place
    }

    const fn here(&self) -> Place {
        Place { line: self.line, on_line: self.on_line + 1 }
    }

    /// A text of `length` bytes at the position that is no record.
    fn bad(&self, place: Place, message: String, length: usize) -> Record<'a> {
        let shown = if self.are_events { length.min(SHOWN_BYTES_MAX) } else { length };
        let start = &self.rest()[..shown.min(self.rest().len())];
        let envelope = match self.levels.last() {
            Some(Level::List { envelope, .. }) => *envelope,
            _ => None,
        };
        let start = String::from_utf8_lossy(start).into_owned();
        Record { place, envelope, text: Err(Bad { message, start }) }
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Moves the position.
    fn advance(&mut self, length: usize) {
        let used = &self.buffer[self.at..self.at + length];
        match memchr::memrchr(b'\n', used) {
            Some(last) => {
                self.line += memchr::memchr_iter(b'\n', used).map(|_| 1).sum::<u64>();
                self.column = length - last - 1;
                self.on_line = 0;
            }
            None => self.column += length,
        }
        self.at += length;
    }

    /// Reads more of the text; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        if let Some(error) = self.failure.take() {
            return Err(error);
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + read.as_ref().map_or(0, |length| *length));
        self.is_at_end = read? == 0;
        Ok(!self.is_at_end)
    }
}

/// The length of the text with which `line` begins, which is no object, in a list: up to the next element. An object after a colon
/// is no element.
fn garbage_in_list(line: &[u8]) -> usize {
    let (mut at, mut last) = (0, b' ');
    while let Some(&byte) = line.get(at) {
        match byte {
            b'{' if last == b':' => at += broken::end_of_brackets(&line[at..]).unwrap_or(line.len() - at),
            b',' | b']' | b'{' if at > 0 => return at,
            _ => at += 1,
        }
        last = if byte.is_ascii_whitespace() { last } else { byte };
    }
    line.len()
}

impl<'a, R: Read> Iterator for Records<'a, R> {
    type Item = io::Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.find().transpose()
    }
}
