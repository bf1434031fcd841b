//! Reads what a file of a log contains from a position on: lines, once they are complete.

use std::{
    fs::File,
    io::{self, Read},
    time::SystemTime,
};

use crate::{
    cli::{
        follow::{
            files::{LogFile, identity_text},
            position::{Mark, WINDOW},
        },
        import::without_compression,
        input,
    },
    platform::file,
};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// An open file of a log, at a position.
pub(super) struct Contents {
    source: Source,
    /// The bytes read so far, without compression.
    at: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

enum Source {
    /// A file that may grow.
    Plain(File),
    /// A compressed file, and what was read from it behind the position.
    Compressed { input: Box<dyn Read>, ahead: Vec<u8> },
}

/// What comes next.
pub(super) enum Piece {
    /// Complete lines.
    Lines(Vec<u8>),
    /// A line that is too long. The position is behind it.
    TooLong,
    /// Nothing yet, or nothing more.
    Nothing,
}

impl Contents {
    /// Opens a file at the position of `mark`; `None` if its contents are others, or if its path leads to another file by now.
    pub(super) fn open(LogFile { path, file: identity, .. }: &LogFile, mark: &Mark) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        if identity_of(&file).as_ref() != Some(identity) {
            return Ok(None);
        }
        let mut start = [0; 4];
        let length = file::read_at(&file, &mut start, 0)?;
        let is_compressed = is_compressed(&start[..length]);
        let name = path.to_string_lossy();
        if !is_compressed && without_compression(&name) != name {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "is compressed in a way that auditbox cannot read"));
        }
        let contents = if is_compressed { Self::skip(file, mark)? } else { Self::seek(file, mark)? };
        Ok(contents.filter(|contents| mark.bytes == 0 || mark.is_of(&contents.head, &contents.tail)))
    }

    /// Reads the ends of what has been read before the position.
    fn seek(file: File, mark: &Mark) -> io::Result<Option<Self>> {
        if file.metadata()?.len() < mark.bytes {
            return Ok(None);
        }
        let (mut head, mut tail) = (vec![0; mark.window()], vec![0; mark.window()]);
        let tail_start = mark.bytes - size(&tail);
        let is_whole = read_exact_at(&file, &mut head, 0)? && read_exact_at(&file, &mut tail, tail_start)?;
        Ok(is_whole.then_some(Self { source: Source::Plain(file), at: mark.bytes, head, tail }))
    }

    /// Decompresses what has been read before the position.
    fn skip(file: File, mark: &Mark) -> io::Result<Option<Self>> {
        let mut input = input::decompressed(Box::new(file), drop)?;
        let (mut head, mut tail, mut left) = (Vec::new(), Vec::new(), mark.bytes);
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = input.read(&mut buffer[..length])?;
            if read == 0 {
                return Ok(None);
            }
            extend(&mut head, &mut tail, &buffer[..read]);
            left -= u64::try_from(read).unwrap_or(left);
        }
        Ok(Some(Self { source: Source::Compressed { input, ahead: Vec::new() }, at: mark.bytes, head, tail }))
    }

    /// The identity of a file that may grow.
    pub(super) fn identity(&self) -> Option<String> {
        match &self.source {
            Source::Plain(file) => identity_of(file),
            Source::Compressed { .. } => None,
        }
    }

    /// When a file that may grow was last modified.
    pub(super) fn modified(&self) -> Option<SystemTime> {
        match &self.source {
            Source::Plain(file) => file.metadata().ok()?.modified().ok(),
            Source::Compressed { .. } => None,
        }
    }

    /// Whether the file still has the bytes that were read: it may have been truncated.
    pub(super) fn is_intact(&self) -> io::Result<bool> {
        let Source::Plain(file) = &self.source else { return Ok(true) };
        let mut tail = vec![0; self.tail.len()];
        let tail_start = self.at - size(&tail);
        Ok(read_exact_at(file, &mut tail, tail_start)? && tail == self.tail)
    }

    /// The next complete lines, at most about 4 MiB of them. If nothing follows, an incomplete last line is complete.
    pub(super) fn next(&mut self, line_bytes_max: usize, is_last: bool) -> io::Result<Piece> {
        let mut bytes = Vec::new();
        let is_at_end = match &mut self.source {
            Source::Plain(file) => {
                bytes.resize(PIECE_BYTES, 0);
                let length = read_at(file, &mut bytes, self.at)?;
                bytes.truncate(length);
                length < PIECE_BYTES && is_last
            }
            Source::Compressed { input, ahead } => {
                let wanted = u64::try_from(PIECE_BYTES.saturating_sub(ahead.len())).unwrap_or(0);
                input.by_ref().take(wanted).read_to_end(ahead)?;
                bytes.clone_from(ahead);
                ahead.len() < PIECE_BYTES
            }
        };
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        match end {
            0 if is_at_end && !bytes.is_empty() => Ok(Piece::Lines(bytes)),
            0 if bytes.len() > line_bytes_max => self.skip_line(is_last),
            0 => Ok(Piece::Nothing),
            end => {
                bytes.truncate(end);
                Ok(Piece::Lines(bytes))
            }
        }
    }

    /// Moves the position behind a line that is too long to be kept. Returns whether the line is complete.
    fn skip_line(&mut self, is_last: bool) -> io::Result<Piece> {
        let (mut at, mut head, mut tail) = (self.at, self.head.clone(), self.tail.clone());
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = match &mut self.source {
                Source::Plain(file) => read_at(file, &mut buffer, at)?,
                Source::Compressed { input, ahead } => {
                    let read = (&ahead[..]).read(&mut buffer)?;
                    ahead.drain(..read);
                    if read == 0 { input.read(&mut buffer)? } else { read }
                }
            };
            let end = buffer[..read].iter().position(|byte| *byte == b'\n');
            let line = &buffer[..end.map_or(read, |end| end + 1)];
            extend(&mut head, &mut tail, line);
            at += size(line);
            if let Source::Compressed { ahead, .. } = &mut self.source {
                ahead.splice(..0, buffer[line.len()..read].iter().copied());
            }
            let is_plain = matches!(self.source, Source::Plain(_));
            if read == 0 && is_plain && !is_last {
                return Ok(Piece::Nothing);
            }
            if end.is_some() || read == 0 {
                (self.at, self.head, self.tail) = (at, head, tail);
                return Ok(Piece::TooLong);
            }
        }
    }

    /// Moves the position behind `lines`.
    pub(super) fn advance(&mut self, lines: &[u8]) {
        if let Source::Compressed { ahead, .. } = &mut self.source {
            ahead.drain(..lines.len().min(ahead.len()));
        }
        extend(&mut self.head, &mut self.tail, lines);
        self.at += size(lines);
    }

    /// Notes the position in the mark.
    pub(super) fn note(&self, mark: &mut Mark) {
        mark.bytes = self.at;
        mark.set_ends(&self.head, &self.tail);
    }
}

fn identity_of(file: &File) -> Option<String> {
    Some(identity_text(file::identity(file).ok()?, &file.metadata().ok()?))
}

/// A mark behind the last complete line of a file.
pub(super) fn end_of(file: &LogFile) -> io::Result<Mark> {
    let mut mark = Mark::new(&file.file);
    let Some(mut contents) = Contents::open(file, &mark)? else { return Ok(mark) };
    while let Piece::Lines(lines) = contents.next(usize::MAX, false)? {
        mark.lines += u64::try_from(lines.split(|byte| *byte == b'\n').count() - 1).unwrap_or(0);
        contents.advance(&lines);
    }
    contents.note(&mut mark);
    Ok(mark)
}

/// Adds bytes to the first and the last ones of what has been read.
fn extend(head: &mut Vec<u8>, tail: &mut Vec<u8>, bytes: &[u8]) {
    head.extend_from_slice(&bytes[..bytes.len().min(WINDOW - head.len())]);
    tail.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
    tail.drain(..tail.len().saturating_sub(WINDOW));
}

fn is_compressed(start: &[u8]) -> bool {
    matches!(start, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Fills `bytes` from `offset` on; returns the number of bytes that there are.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        let from = offset + size(&bytes[..length]);
        match file::read_at(file, &mut bytes[length..], from) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// Whether the file has all of the bytes.
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<bool> {
    Ok(read_at(file, bytes, offset)? == bytes.len())
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
