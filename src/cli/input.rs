//! The input of commands that read files of records: files or standard input; plain, gzip or zstd.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use crate::{model::gzip::Gzip, platform::file, store};

/// Accepts a regular file, standard input for `-`, an open descriptor of the process (`/dev/stdin`, `/dev/fd/3`), or a named
/// pipe. A shell's `<(…)` is one of the last two. Opening a named pipe waits for its writer.
pub(super) fn check(path: &Path) -> Result<(), String> {
    if is_stream(path) {
        return Ok(());
    }
    match store::not_a_regular_file(path) {
        Some(kind) => Err(format!("is {kind}: name a regular file or a pipe, or - for standard input")),
        None => fs::metadata(path).map(drop).map_err(|error| error.to_string()),
    }
}

/// Whether a path means standard input, an open descriptor of this process or a named pipe, directly or through a link. The
/// name of such an input does not say what it contains.
pub(super) fn is_stream(path: &Path) -> bool {
    let own = fs::canonicalize("/dev/fd");
    let is_in_own = |path: &Path| {
        let directory = path.parent().map(fs::canonicalize);
        matches!((directory, &own), (Some(Ok(directory)), Ok(own)) if directory == *own)
    };
    path == Path::new("-")
        || file::is_named_pipe(path)
        || is_in_own(path)
        || fs::read_link(path).is_ok_and(|target| is_in_own(&target))
}

/// Opens a file, or standard input for `-`, and decompresses it according to its first bytes. `count` gets the length of every
/// chunk, before decompression.
pub(super) fn open(path: &Path, count: impl FnMut(usize) + 'static) -> io::Result<Box<dyn Read>> {
    let input: Box<dyn Read> = if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    decompressed(input, count)
}

/// Decompresses an input according to its first bytes. `count` gets the length of every chunk, before decompression.
pub(super) fn decompressed(input: Box<dyn Read>, count: impl FnMut(usize) + 'static) -> io::Result<Box<dyn Read>> {
    let mut input = BufReader::with_capacity(256 * 1024, Counting { input, count });
    match input.fill_buf()? {
        [0x1f, 0x8b, ..] => Ok(Box::new(Gzip::new(input))),
        // A frame, or a skippable one, with which parallel compressors begin (RFC 8878 section 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Ok(Box::new(zstd::Decoder::with_buffer(input)?))
        }
        _ => Ok(Box::new(input)),
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
