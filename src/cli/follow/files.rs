//! The files that hold a log: the present one, and those that rotation has left.

use std::{
    cmp::Reverse,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use crate::{
    cli::import::{log_name, without_compression},
    platform::file::{self, FileIdentity},
};

/// Maximum number of digits of a rotated file's number. Longer ones are dates.
const NUMBER_DIGITS_MAX: usize = 4;

/// How often a directory that changes is read again, and the pause before.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// A file that holds a part of a log.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    /// The file's identity, as text.
    pub(super) file: String,
    /// Nanoseconds since 1970.
    pub(super) modified: u64,
    /// What rotation has added to the name; empty for the present file.
    rotation: String,
}

impl LogFile {
    /// What names the file.
    fn name(&self) -> (&Path, &str) {
        (&self.path, &self.file)
    }

    /// Whether this is the log itself, and no rotated file of it.
    pub(super) fn is_present(&self, log: &Path) -> bool {
        self.path == log
    }
}

/// The files of the log at `path`, from the oldest to the present one. Without the present one if it does not exist; `None` if
/// they keep changing. A directory is not read at one moment: while its files are renamed, some are missing or listed twice.
pub(super) fn of_log(path: &Path) -> io::Result<Option<Vec<LogFile>>> {
    let mut last = read(path)?;
    for _ in 0..TRIES {
        let again = read(path)?;
        if again.iter().map(LogFile::name).eq(last.iter().map(LogFile::name)) {
            return Ok(Some(again));
        }
        last = again;
        thread::sleep(PAUSE);
    }
    Ok(None)
}

/// Reads the directory once.
fn read(path: &Path) -> io::Result<Vec<LogFile>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = Vec::new();
    let mut present = None;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let entry_name = entry.file_name().to_string_lossy().into_owned();
        let is_present = entry_name == name;
        if !is_present && log_name(&entry_name) != log_name(&name) {
            continue;
        }
        // The file may be gone, or have another name by now.
        let Ok(metadata) = fs::metadata(entry.path()) else { continue };
        let Ok(identity) = file::identity_at(&entry.path()) else { continue };
        if !metadata.is_file() {
            continue;
        }
        let rotation = without_compression(&entry_name).to_owned();
        let found = LogFile {
            path: path.with_file_name(&entry_name),
            file: identity_text(identity, &metadata),
            modified: modified(&metadata),
            rotation,
        };
        if is_present { present = Some(found) } else { files.push(found) }
    }
    // While a file is being compressed, both are there, and the compressed one is not complete.
    let plain: Vec<String> = files.iter().map(name_of).filter(|name| without_compression(name) == name).collect();
    files.retain(|file| without_compression(&name_of(file)) == name_of(file) || !plain.contains(&file.rotation));
    sort(&mut files);
    files.extend(present);
    Ok(files)
}

/// The identity of a file as text. The time of its creation distinguishes it from an earlier file whose number it has got.
pub(super) fn identity_text(identity: FileIdentity, metadata: &Metadata) -> String {
    let created = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{identity}@{}", created.map_or(0, |created| created.as_nanos()))
}

fn name_of(file: &LogFile) -> String {
    file.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The time at which a file was last modified, in nanoseconds since 1970.
fn modified(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0)
}

/// Sorts rotated files from the oldest on: by their numbers, which grow with age, or by their dates. If some have a number and
/// others a date, by the time at which they were modified.
fn sort(files: &mut [LogFile]) {
    let by_date = |one: &LogFile, other: &LogFile| one.rotation.cmp(&other.rotation);
    if files.iter().all(|file| number(&file.rotation).is_some()) {
        files.sort_by_key(|file| Reverse(number(&file.rotation)));
    } else if files.iter().all(|file| number(&file.rotation).is_none()) {
        files.sort_by(by_date);
    } else {
        files.sort_by(|one, other| one.modified.cmp(&other.modified).then_with(|| by_date(one, other)));
    }
}

/// The number in the name of a rotated file, at its end or before its extension.
fn number(name: &str) -> Option<u64> {
    name.rsplit('.').take(2).find_map(|part| part.parse().ok().filter(|_| part.len() <= NUMBER_DIGITS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(mut names: Vec<(&str, u64)>) -> Vec<String> {
        let file = |(name, modified): (&str, u64)| LogFile {
            path: PathBuf::from(name),
            file: String::new(),
            modified,
            rotation: name.to_owned(),
        };
        let mut files: Vec<_> = names.drain(..).map(file).collect();
        sort(&mut files);
        files.into_iter().map(|file| file.rotation).collect()
    }

    #[test]
    fn rotated_files_are_sorted_from_the_oldest_on() {
        let numbers = vec![("a.log.1", 9), ("a.log.10", 9), ("a.log.2", 1)];
        assert_eq!(sorted(numbers), ["a.log.10", "a.log.2", "a.log.1"]);
        assert_eq!(sorted(vec![("a.1.log", 1), ("a.12.log", 2)]), ["a.12.log", "a.1.log"]);
        let dates = vec![("a.log-20261130", 1), ("a.log-20260102", 2)];
        assert_eq!(sorted(dates), ["a.log-20260102", "a.log-20261130"]);
        let mixed = vec![("a.log.1", 3), ("a.log-20260102", 2), ("a.log.2", 1)];
        assert_eq!(sorted(mixed), ["a.log.2", "a.log-20260102", "a.log.1"]);
    }
}
