//! The position in a log, kept in a file.
//!
//! A position is written after its records are stored. A process that dies before that reads the records again when it
//! continues, and they get the same identifiers: the log counts them as duplicates. An identifier depends on the contents
//! of the file, which have a random name ([`Mark::contents`]). The name is written before the first record is
//! sent.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use uuid::Uuid;

use crate::cli::failure::Failure;

/// Bytes at the beginning and before the position by which contents are recognized.
pub(super) const WINDOW: usize = 4096;
/// Finished files whose marks are kept. More than one, because a file can be deleted.
const LANDMARKS: usize = 3;
/// The form of the file.
const VERSION: u32 = 1;

/// The position in a log and in its rotated files.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    version: u32,
    /// The process that follows the log.
    owner: String,
    /// Rotated files that were last modified by then are not read, unless a mark names them. Nanoseconds since 1970.
    pub(super) read_until: u64,
    /// The files, from the oldest to the present one.
    pub(super) marks: Vec<Mark>,
    #[serde(skip)]
    path: PathBuf,
}

/// The position in one file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    /// The random name of what the file contains. A file that is truncated or replaced gets another.
    pub(super) contents: String,
    /// The file that had these contents last.
    pub(super) file: String,
    /// Bytes read, without compression.
    pub(super) bytes: u64,
    /// Records read.
    pub(super) records: u64,
    /// Lines read.
    pub(super) lines: u64,
    /// The digest of the first bytes read, at most [`WINDOW`].
    head: String,
    /// The digest of the last bytes read, at most [`WINDOW`].
    tail: String,
    /// Whether the file was rotated and has been read to its end.
    pub(super) is_finished: bool,
}

impl Mark {
    /// The mark of contents that have not been read.
    pub(super) fn new(file: &str) -> Self {
        Self { contents: Uuid::new_v4().to_string(), file: file.to_owned(), ..Self::default() }
    }

    /// Notes the beginning and the end of what has been read.
    pub(super) fn set_ends(&mut self, head: &[u8], tail: &[u8]) {
        (self.head, self.tail) = (digest(head), digest(tail));
    }

    /// The number of bytes that are compared at either end.
    pub(super) fn window(&self) -> usize {
        usize::try_from(self.bytes).map_or(WINDOW, |bytes| bytes.min(WINDOW))
    }

    /// Whether contents that begin with `head`, and have `tail` before the position, are these.
    pub(super) fn is_of(&self, head: &[u8], tail: &[u8]) -> bool {
        self.head == digest(head) && self.tail == digest(tail)
    }
}

fn digest(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(bytes))
}

impl Position {
    /// Reads the position from its file, and takes it over; `None` if there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(in_file(path, &error)),
        };
        let position = serde_json::from_slice::<Self>(&text).ok().filter(|position| position.version == VERSION);
        let position = position.ok_or_else(|| {
            Failure::new(format!("{}: is not a position of auditbox follow", path.display())).with_advice(
                "Name another file with --position, or delete this one to read the log from its beginning.",
            )
        })?;
        Ok(Some(Self { owner: Uuid::new_v4().to_string(), path: path.to_owned(), ..position }))
    }

    /// A position before everything but rotated files of `read_until` or before.
    pub(super) fn new(path: &Path, read_until: u64) -> Self {
        Self {
            version: VERSION,
            owner: Uuid::new_v4().to_string(),
            read_until,
            marks: Vec::new(),
            path: path.to_owned(),
        }
    }

    /// Takes the file over: another process that follows the same log ends when it writes its position.
    pub(super) fn take_over(&mut self) -> Result<(), Failure> {
        self.write().map_err(|error| in_file(&self.path, &error))
    }

    /// Writes the position, durably.
    pub(super) fn save(&mut self) -> Result<(), Failure> {
        if Self::load_owner(&self.path).is_some_and(|owner| owner != self.owner) {
            return Err(Failure::new(format!("{}: another process follows this log now", self.path.display())));
        }
        self.write().map_err(|error| in_file(&self.path, &error))
    }

    /// Removes the marks of finished files, except the newest ones: later files are found after them.
    pub(super) fn forget_old(&mut self) {
        let landmarks = self.marks.iter().enumerate().rev().filter(|(_, mark)| mark.is_finished && mark.bytes > 0);
        let Some(first) = landmarks.map(|(at, _)| at).nth(LANDMARKS - 1) else { return };
        let mut at = 0..;
        self.marks.retain(|mark| at.next().is_some_and(|at| at >= first) || !mark.is_finished);
    }

    fn load_owner(path: &Path) -> Option<String> {
        serde_json::from_slice::<Self>(&fs::read(path).ok()?).ok().map(|position| position.owner)
    }

    fn write(&mut self) -> io::Result<()> {
        let directory = self.path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_data()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn in_file(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
        .with_advice("Name a file that auditbox may write with --position.")
}
