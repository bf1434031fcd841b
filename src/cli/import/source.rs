//! Identifiers for records without one: the same in every import of the same record of the same source.
//!
//! A source is a file by its directory and its name without the endings of rotation and compression, or the name that
//! `--source` gives. The first record distinguishes its files: a rotated file keeps its beginning, and the new file has another
//! one. Within a file, a record is known by its number and its text. So `audit.log.1` and `audit.log.gz` hold
//! the events of `audit.log`, a file that has grown has new events only at its end, and two equal records are two events.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    io,
    path::Path,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::input;

/// Endings that compression adds.
const COMPRESSED: [&str; 5] = [".gz", ".zst", ".zstd", ".bz2", ".xz"];
/// Endings that mark an old file.
const ROTATED: [&str; 3] = [".old", ".bak", "~"];
/// Maximum number of digits of a rotated file's number.
const NUMBER_DIGITS_MAX: usize = 4;
/// Number of digits of a date.
const DATE_DIGITS: usize = 8;

/// Maximum number of records that are held to compare files, 8 bytes each.
const BEGINNINGS_RECORDS_MAX: usize = 2_000_000;

/// The source of one input.
pub(super) struct Source {
    /// The state of the hash after the source and the first record.
    start: Sha256,
    has_first: bool,
    key: String,
    /// Whether another import of the same input would be another source.
    pub(super) is_nameless: bool,
}

impl Source {
    /// The source with this name, or else that of the input at `path`. A stream without a name is another source in each import.
    pub(super) fn of(path: &Path, name: Option<&str>) -> io::Result<Self> {
        let start = Sha256::new();
        let (start, is_nameless) = match name {
            Some(name) => (start.chain_update(b"name\0").chain_update(name), false),
            None if input::is_stream(path) => (start.chain_update(b"stream\0").chain_update(Uuid::new_v4()), true),
            None => {
                let path = path.canonicalize()?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let directory = path.parent().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes();
                (
                    start.chain_update(b"file\0").chain_update(directory).chain_update(b"/").chain_update(base(&name)),
                    false,
                )
            }
        };
        Ok(Self { start: start.chain_update(b"\0"), has_first: false, key: String::new(), is_nameless })
    }

    /// The source of one file's contents, which have a name of their own. Its first record distinguishes nothing.
    pub(super) fn of_contents(name: &str) -> Self {
        let start = Sha256::new().chain_update(b"contents\0").chain_update(name).chain_update(b"\0");
        let mut source = Self { start, has_first: false, key: String::new(), is_nameless: false };
        source.read("");
        source
    }

    /// Notes a readable record, with or without an identifier: the first one distinguishes the files of a source.
    pub(super) fn read(&mut self, text: &str) {
        if !self.has_first {
            self.has_first = true;
            self.start.update(Sha256::digest(text));
            self.key = BASE64_URL_SAFE_NO_PAD.encode(&self.start.clone().finalize()[..16]);
        }
    }

    /// A text that identifies the source, once its first record is known.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The identifier of the record with this number in its file.
    pub(super) fn identifier(&self, number: u64, text: &str) -> String {
        let digest = self.start.clone().chain_update(number.to_le_bytes()).chain_update(text).finalize();
        format!("import_{}", BASE64_URL_SAFE_NO_PAD.encode(&digest[..16]))
    }
}

/// The records with which the files of this import begin. Two files with the same key are the same one, or one of them has grown,
/// if one has all records of the other. If they differ, they are two files that begin with the same record.
#[derive(Default)]
pub(super) struct Beginnings {
    /// Whether there is one file only, which is compared with none.
    is_alone: bool,
    hasher: RandomState,
    /// By key: the digests of the records of the first file.
    known: HashMap<String, (usize, Vec<u64>)>,
    held: usize,
    /// The file that is read, and the number of its records that were compared.
    current: Option<(usize, usize)>,
    others: HashSet<usize>,
}

impl Beginnings {
    /// For an import of this number of files.
    pub(super) fn of(files: usize) -> Self {
        Self { is_alone: files == 1, ..Self::default() }
    }

    /// Notes the next readable record of a file whose source has this key.
    pub(super) fn read(&mut self, file: usize, key: &str, text: &str) {
        if self.is_alone {
            return;
        }
        let place = match &mut self.current {
            Some((current, place)) if *current == file => {
                *place += 1;
                *place
            }
            current => {
                *current = Some((file, 0));
                0
            }
        };
        let digest = self.hasher.hash_one(text);
        let (first, records) = self.known.entry(key.to_owned()).or_insert_with(|| (file, Vec::new()));
        if *first == file {
            // An incomplete list is compared up to its end.
            if self.held < BEGINNINGS_RECORDS_MAX && records.len() == place {
                records.push(digest);
                self.held += 1;
            }
        } else if records.get(place).is_some_and(|known| *known != digest) {
            self.others.insert(file);
        }
    }

    /// Whether a file is another one than the first with the same key.
    pub(super) fn is_other(&self, file: usize) -> bool {
        self.others.contains(&file)
    }
}

/// A file's name without what compression and rotation add, at its end or before its extension.
pub(in crate::cli) fn base(name: &str) -> String {
    let plain = without_compression(name);
    let base = match without_rotation(plain) {
        Some(base) => without_compression(base).to_owned(),
        None => match plain.rsplit_once('.') {
            Some((stem, extension)) if extension.starts_with(|char: char| char.is_ascii_alphabetic()) => {
                format!("{}.{extension}", without_rotation(stem).unwrap_or(stem))
            }
            _ => plain.to_owned(),
        },
    };
    if base.is_empty() { name.to_owned() } else { base }
}

/// A file's name without what compression adds.
pub(in crate::cli) fn without_compression(mut name: &str) -> &str {
    while let Some(plain) = COMPRESSED.iter().find_map(|ending| name.strip_suffix(ending)) {
        name = plain;
    }
    name
}

/// The name before a number, a date or another mark of rotation at its end; `None` without one.
fn without_rotation(name: &str) -> Option<&str> {
    let is_number =
        |text: &str| (1..=NUMBER_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(plain) = ROTATED.iter().find_map(|ending| name.strip_suffix(ending)) {
        return Some(plain).filter(|plain| !plain.is_empty());
    }
    let date_start = name.trim_end_matches(|char: char| char.is_ascii_digit() || "-._T:Z".contains(char)).len();
    let start = date_start + name[date_start..].find(['-', '.', '_'])?;
    let digits = name[start..].bytes().filter(u8::is_ascii_digit).count();
    let plain = match name.rsplit_once('.') {
        _ if digits >= DATE_DIGITS => &name[..start],
        Some((plain, last)) if is_number(last) => plain,
        _ => return None,
    };
    Some(plain).filter(|plain| !plain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_and_compression_keep_the_name() {
        for name in [
            "audit.log",
            "audit.log.1",
            "audit.log.12.gz",
            "audit.log.gz",
            "audit.log.zst",
            "audit.log.old",
            "audit.log-20240501",
            "audit.log-20240501.gz",
            "audit.log.2024-05-01",
            "audit.log-20240501-1714521600.gz",
            "audit-2026-05-02T18-30-00.000.log",
            "audit-2026-05-02T18-30-00.000.log.gz",
            "audit-2024-05-01.log",
            "audit_2024-05-01.log",
            "audit.2024-05-01T12:00:00Z.log",
            "audit.1.log",
            "audit.log.bak",
            "audit.log~",
            "audit.log.gz.1",
        ] {
            assert_eq!(base(name), "audit.log", "{name}");
        }
        for name in [
            "audit.log",
            "node-1",
            "events2024",
            "e.ndjson",
            "a.20240",
            ".1",
            ".gz",
            "20240501",
            "1",
            "~",
            "1.log",
            "audit-v2.log",
            "AUDIT.log",
        ] {
            assert_eq!(base(name), name);
        }
    }

    #[test]
    fn a_named_source_decides_alone() {
        let identifier = |path: &str, name: Option<&str>, first: &str, number| {
            let mut source = Source::of(Path::new(path), name).unwrap();
            source.read(first);
            source.read("later");
            source.identifier(number, "text")
        };
        assert_eq!(identifier("-", Some("a"), "x", 1), identifier("nowhere", Some("a"), "x", 1));
        for other in [
            identifier("-", Some("b"), "x", 1),
            identifier("-", Some("a"), "y", 1),
            identifier("-", Some("a"), "x", 2),
            identifier("-", None, "x", 1),
        ] {
            assert_ne!(identifier("-", Some("a"), "x", 1), other);
        }
        // A stream has no name that another import would know.
        assert_ne!(identifier("-", None, "x", 1), identifier("-", None, "x", 1));
    }
}
