//! The input of `import`: files or standard input; plain, gzip or zstd; NDJSON or one array.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use serde::{
    Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{cli::failure::Failure, store};

/// One event of the input.
pub(super) struct InputLine {
    /// Its line, or in an array its element, from 1.
    pub(super) number: u64,
    /// The event, or why it cannot be read.
    pub(super) text: Result<String, String>,
}

/// Accepts a regular file, standard input for `-`, or an open descriptor of the process (`/dev/stdin`, `/dev/fd/3`, a shell's
/// `<(…)`). Opening a named pipe would wait for a writer that may never come.
pub(super) fn check(path: &Path) -> Result<(), String> {
    if path == Path::new("-") || is_descriptor(path) {
        return Ok(());
    }
    match store::not_a_regular_file(path) {
        Some(kind) => Err(format!("is {kind}: name a regular file, or - for standard input")),
        None => fs::metadata(path).map(drop).map_err(|error| error.to_string()),
    }
}

/// Whether a path names an open descriptor of this process, directly or through a link.
fn is_descriptor(path: &Path) -> bool {
    let own = fs::canonicalize("/dev/fd");
    let is_in_own = |path: &Path| {
        let directory = path.parent().map(fs::canonicalize);
        matches!((directory, &own), (Some(Ok(directory)), Ok(own)) if directory == *own)
    };
    is_in_own(path) || fs::read_link(path).is_ok_and(|target| is_in_own(&target))
}

/// Opens a file, or standard input for `-`, and decompresses it according to its first bytes. `count` gets the length of every
/// chunk, before decompression.
pub(super) fn open(path: &Path, count: impl FnMut(usize) + 'static) -> io::Result<Box<dyn BufRead>> {
    let input: Box<dyn Read> = if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut input = BufReader::with_capacity(256 * 1024, Counting { input, count });
    match input.fill_buf()? {
        [0x1f, 0x8b, ..] => Ok(Box::new(BufReader::new(MultiGzDecoder::new(input)))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?))),
        _ => Ok(Box::new(input)),
    }
}

/// Passes every event of `input` to `take` until it fails. A line longer than `bytes_max` is skipped, not held in memory.
pub(super) fn for_each(
    mut input: Box<dyn BufRead>,
    bytes_max: usize,
    mut take: impl FnMut(InputLine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    if first_character(&mut input)? == Some(b'[') {
        return array(input, take);
    }
    let mut number = 0;
    while let Some(text) = next_line(&mut input, bytes_max)? {
        number += 1;
        if text.as_ref().map_or(true, |text| !text.trim().is_empty()) {
            take(InputLine { number, text })?;
        }
    }
    Ok(())
}

fn first_character(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        match input.fill_buf()? {
            [] => return Ok(None),
            [byte, ..] if byte.is_ascii_whitespace() => input.consume(1),
            [byte, ..] => return Ok(Some(*byte)),
        }
    }
}

/// The next line, or why it cannot be read; `None` at the end.
fn next_line(input: &mut impl BufRead, bytes_max: usize) -> io::Result<Option<Result<String, String>>> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(2);
    if input.by_ref().take(longest).read_until(b'\n', &mut bytes)? == 0 {
        return Ok(None);
    }
    if !bytes.ends_with(b"\n") && bytes.len() > bytes_max + 1 {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!("longer than {bytes_max} bytes"))));
    }
    Ok(Some(
        String::from_utf8(bytes).map_err(|error| format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to())),
    ))
}

fn array(input: impl Read, take: impl FnMut(InputLine) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut failure = None;
    let mut reader = serde_json::Deserializer::from_reader(input);
    let read = reader.deserialize_seq(Elements { take, failure: &mut failure });
    match (failure, read.and_then(|()| reader.end())) {
        (Some(failure), _) => Err(failure),
        (None, Err(error)) => Err(Failure::new(format!("not a JSON array of events: {error}"))),
        (None, Ok(())) => Ok(()),
    }
}

struct Elements<'f, F> {
    take: F,
    /// The failure of `take`, which the deserializer's error could not carry.
    failure: &'f mut Option<Failure>,
}

impl<'de, F: FnMut(InputLine) -> Result<(), Failure>> Visitor<'de> for Elements<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(element) = elements.next_element::<Box<RawValue>>()? {
            number += 1;
            if let Err(failure) = (self.take)(InputLine { number, text: Ok(element.get().to_owned()) }) {
                *self.failure = Some(failure);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

struct Counting<F> {
    input: Box<dyn Read>,
    count: F,
}

impl<F: FnMut(usize)> Read for Counting<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.input.read(buffer)?;
        (self.count)(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &str, bytes_max: usize) -> Vec<(u64, Result<String, String>)> {
        let mut lines = Vec::new();
        for_each(Box::new(io::Cursor::new(input.to_owned())), bytes_max, |line| {
            lines.push((line.number, line.text.map(|text| text.trim().to_owned())));
            Ok(())
        })
        .unwrap();
        lines
    }

    #[test]
    fn lines_keep_their_numbers() {
        assert_eq!(lines("{}\n\n{\"a\":1}", 99), [(1, Ok("{}".to_owned())), (3, Ok("{\"a\":1}".to_owned()))]);
        assert_eq!(lines("[{}, {\"a\":1}]", 99), [(1, Ok("{}".to_owned())), (2, Ok("{\"a\":1}".to_owned()))]);
        assert_eq!(lines("", 99), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let found = lines("{\"abcdefgh\":1}\n{}\n", 8);
        assert!(found[0].1.is_err());
        assert_eq!(found[1], (2, Ok("{}".to_owned())));
    }
}
