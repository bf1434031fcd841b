//! A simulated disk that knows what it has persisted: one directory of files, as programs see it and as it would be
//! after a power loss.
//!
//! Only synced data is certain to persist: a file's bytes and length by an fsync of the file, names by an fsync of the
//! directory. Of the rest, a cut keeps nothing, everything, or some sectors; of created or deleted names, it keeps the
//! first changes. After the cut, every operation fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard},
};

use super::Random;

/// The unit that a disk writes atomically.
const SECTOR_BYTES: usize = 512;

/// The content of a disk: files by name.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

/// Operations that a cut can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Write,
    Sync,
    SyncNames,
    Truncate,
    Create,
    Unlink,
}

/// Why an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Missing,
    Io,
}

/// How much of the unsynced data survives a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mercy {
    Nothing,
    Everything,
    Some,
}

pub(super) struct Medium {
    state: Mutex<State>,
    /// Notified when syncs no longer hang.
    released: Condvar,
}

struct State {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    kept_names: BTreeMap<String, usize>,
    /// Names that were created (with their file) or deleted since the last sync of the directory.
    changes: Vec<(String, Option<usize>)>,
    is_cut: bool,
    /// Cut before this operation happens for the given number of times.
    cut_before: Option<(Act, u64)>,
    /// The next syncs of files with this suffix fail, this many times.
    failing: Option<(&'static str, u64)>,
    /// Whether syncs hang.
    hangs: bool,
}

#[derive(Default)]
struct File {
    name: String,
    bytes: Vec<u8>,
    kept: Vec<u8>,
    unsynced: BTreeSet<usize>,
}

impl File {
    fn resize(&mut self, length: usize) {
        let (shorter, longer) = (self.bytes.len().min(length), self.bytes.len().max(length));
        self.bytes.resize(length, 0);
        self.unsynced.extend(shorter / SECTOR_BYTES..longer.div_ceil(SECTOR_BYTES));
    }

    fn sync(&mut self) {
        self.kept.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            copy_sector(&self.bytes, &mut self.kept, sector);
        }
    }

    /// What remains of it.
    fn remains(&self, mercy: Mercy, random: &mut Random) -> Vec<u8> {
        let mut keeps = || match mercy {
            Mercy::Nothing => false,
            Mercy::Everything => true,
            Mercy::Some => random.coin(),
        };
        let mut kept = self.kept.clone();
        if keeps() {
            kept.resize(self.bytes.len(), 0);
        }
        for sector in &self.unsynced {
            if keeps() {
                copy_sector(&self.bytes, &mut kept, *sector);
            }
        }
        kept
    }
}

fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(from.len()).min(to.len());
    if start < end {
        to[start..end].copy_from_slice(&from[start..end]);
    }
}

impl Medium {
    pub(super) fn new(image: Image) -> Self {
        let (mut files, mut names) = (Vec::new(), BTreeMap::new());
        for (name, bytes) in image {
            names.insert(name.clone(), files.len());
            files.push(File { name, kept: bytes.clone(), bytes, unsynced: BTreeSet::new() });
        }
        let kept_names = names.clone();
        let state = State {
            files,
            names,
            kept_names,
            changes: Vec::new(),
            is_cut: false,
            cut_before: None,
            failing: None,
            hangs: false,
        };
        Self { state: Mutex::new(state), released: Condvar::new() }
    }

    /// Cuts the power before this operation happens for the `count`th time from now.
    pub(super) fn cut_before(&self, act: Act, count: u64) {
        self.state().cut_before = Some((act, count));
    }

    /// Cuts the power.
    pub(super) fn cut(&self) {
        self.state().is_cut = true;
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// The next `count` syncs of files whose name ends with `suffix` fail, and the file counts as synced, as with
    /// Linux.
    pub(super) fn fail_syncs(&self, suffix: &'static str, count: u64) {
        self.state().failing = Some((suffix, count));
    }

    /// Whether syncs hang from now on.
    pub(super) fn hang(&self, hangs: bool) {
        self.state().hangs = hangs;
        self.released.notify_all();
    }

    /// The content of the disk after the cut.
    pub(super) fn image(&self, mercy: Mercy, random: &mut Random) -> Image {
        let state = self.state();
        assert!(state.is_cut);
        let changes = match mercy {
            Mercy::Nothing => 0,
            Mercy::Everything => state.changes.len(),
            Mercy::Some => usize::try_from(random.below(state.changes.len() as u64 + 1)).unwrap(),
        };
        let mut names = state.kept_names.clone();
        for (name, file) in &state.changes[..changes] {
            match file {
                Some(file) => names.insert(name.clone(), *file),
                None => names.remove(name),
            };
        }
        names.into_iter().map(|(name, file)| (name, state.files[file].remains(mercy, random))).collect()
    }

    pub(super) fn find(&self, name: &str) -> Result<(usize, usize), Fault> {
        let state = self.working(None)?;
        let file = *state.names.get(name).ok_or(Fault::Missing)?;
        Ok((file, state.files[file].bytes.len()))
    }

    pub(super) fn length(&self, file: usize) -> Result<usize, Fault> {
        Ok(self.working(None)?.files.get(file).ok_or(Fault::Missing)?.bytes.len())
    }

    pub(super) fn create(&self, name: &str) -> Result<usize, Fault> {
        let mut state = self.working(Some(Act::Create))?;
        let file = state.files.len();
        state.files.push(File { name: name.to_owned(), ..File::default() });
        state.names.insert(name.to_owned(), file);
        state.changes.push((name.to_owned(), Some(file)));
        Ok(file)
    }

    pub(super) fn unlink(&self, name: &str) -> Result<(), Fault> {
        let mut state = self.working(Some(Act::Unlink))?;
        state.names.remove(name).ok_or(Fault::Missing)?;
        state.changes.push((name.to_owned(), None));
        Ok(())
    }

    pub(super) fn read(&self, file: usize, offset: usize, length: usize) -> Result<Vec<u8>, Fault> {
        let state = self.working(None)?;
        let bytes = &state.files.get(file).ok_or(Fault::Missing)?.bytes;
        let start = offset.min(bytes.len());
        Ok(bytes[start..(start + length).min(bytes.len())].to_vec())
    }

    pub(super) fn write(&self, file: usize, offset: usize, data: &[u8]) -> Result<(), Fault> {
        let mut state = self.working(Some(Act::Write))?;
        let file = state.files.get_mut(file).ok_or(Fault::Missing)?;
        let end = offset + data.len();
        if file.bytes.len() < end {
            file.resize(end);
        }
        file.bytes[offset..end].copy_from_slice(data);
        file.unsynced.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
        Ok(())
    }

    pub(super) fn truncate(&self, file: usize, length: usize) -> Result<(), Fault> {
        let mut state = self.working(Some(Act::Truncate))?;
        state.files.get_mut(file).ok_or(Fault::Missing)?.resize(length);
        Ok(())
    }

    pub(super) fn sync(&self, file: usize) -> Result<(), Fault> {
        let mut state = self.released.wait_while(self.working(Some(Act::Sync))?, |state| state.hangs).unwrap();
        let State { files, failing, .. } = &mut *state;
        let file = files.get_mut(file).ok_or(Fault::Missing)?;
        if let Some((suffix, count)) = failing
            && *count > 0
            && file.name.ends_with(*suffix)
        {
            *count -= 1;
            file.unsynced.clear();
            return Err(Fault::Io);
        }
        file.sync();
        Ok(())
    }

    pub(super) fn sync_names(&self) -> Result<(), Fault> {
        let mut state = self.working(Some(Act::SyncNames))?;
        state.kept_names = state.names.clone();
        state.changes.clear();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The state, while there is power.
    fn working(&self, act: Option<Act>) -> Result<MutexGuard<'_, State>, Fault> {
        let mut state = self.state();
        if let (Some(act), Some((awaited, count))) = (act, &mut state.cut_before)
            && act == *awaited
        {
            *count = count.saturating_sub(1);
            state.is_cut |= *count == 0;
        }
        if state.is_cut { Err(Fault::Io) } else { Ok(state) }
    }
}

#[test]
fn unsynced_data_is_lost_and_synced_data_is_kept() {
    let medium = Medium::new(Image::new());
    let file = medium.create("kept").unwrap();
    medium.write(file, 0, &[1; 2_000]).unwrap();
    medium.sync(file).unwrap();
    medium.sync_names().unwrap();
    medium.write(file, 0, &[2; 600]).unwrap();
    medium.truncate(file, 1_000).unwrap();
    let nameless = medium.create("lost").unwrap();
    medium.sync(nameless).unwrap();
    medium.cut();
    assert_eq!(medium.write(file, 0, &[3]), Err(Fault::Io));
    let random = &mut Random::new(1);
    assert_eq!(medium.image(Mercy::Nothing, random), Image::from([("kept".to_owned(), vec![1; 2_000])]));
    let everything = medium.image(Mercy::Everything, random);
    assert_eq!(everything["kept"], [vec![2; 600], vec![1; 400]].concat());
    assert!(everything.contains_key("lost"));
}
