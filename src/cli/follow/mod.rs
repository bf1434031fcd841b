//! `follow`: the lines of a log file as they are written, through rotations.
//!
//! A log is a row of files: the present one, and those that rotation has left. [`position`] keeps a mark for each file that
//! may still grow. When the files have changed, the newest mark whose contents are found again is the landmark: the files after
//! it have not been read. Contents are found by the identity of their file, or else by their beginning and the bytes before the
//! position, because a file may have been compressed or copied since.

mod contents;
mod files;
mod position;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use clap::Args;

use crate::{
    cli::{
        client::ServerArguments,
        failure::Failure,
        import::{Import, LineImport, Numbers},
    },
    config::Config,
    terminal,
};
use contents::{Contents, Piece};
use files::LogFile;
use position::{Mark, Position};

/// How often the files are checked for changes.
const POLL: Duration = Duration::from_millis(250);
/// How long a directory must have been unchanged for its list of files to be reused: some file systems note changes with the
/// precision of seconds.
const SETTLED: Duration = Duration::from_secs(2);
/// How long a program may continue to write into a file after its rotation.
const GRACE: Duration = Duration::from_secs(10);
/// Rotated files that may still grow, at most. The oldest counts as complete when there are more.
const GROWING_MAX: usize = 6;
/// Wait before the first attempt to reach a server again; it doubles with each failure.
const WAIT: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Store the lines of a growing log file as events
///
/// Each line is a record: an event as POST /v1/audit-log accepts it, or with --format a record of another system. Begins with
/// the first line, reads on through rotations (renamed, copied and truncated, compressed), and runs until it is stopped. Run it
/// again, even after kill -9, and it continues: no line is lost and none is stored twice.
///
/// Writes to the configured file, which no server may have open; with --url, sends to a running server.
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox follow /var/log/app/audit.log --format nginx-json
  auditbox follow audit.log --position /var/lib/auditbox/audit.position --url http://127.0.0.1:8686 --token abx_…")]
pub(super) struct FollowArguments {
    /// The log file. It need not exist yet
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The preset that maps the records (auditbox preset list), or auto to recognize the format of each
    #[arg(long, value_name = "NAME")]
    format: Option<String>,
    /// The file that keeps the position; FILE.position by default
    #[arg(long, value_name = "FILE")]
    position: Option<PathBuf>,
    /// Without a position, begin at the end of the file instead of at its first line
    #[arg(long)]
    from_end: bool,
    #[command(flatten)]
    server: ServerArguments,
}

/// Follows the log until an error that does not pass.
pub(super) fn run(config: &Config, arguments: FollowArguments) -> Result<(), Failure> {
    let FollowArguments { path, format, position, from_end, server } = arguments;
    let name =
        path.file_name().ok_or_else(|| Failure::usage(format!("{}: is not the name of a file", path.display())))?;
    let position = position.unwrap_or_else(|| path.with_file_name(format!("{}.position", name.to_string_lossy())));
    let target = LineImport::new(config, path.clone(), format, server)?;
    let mut follower = Follower::new(&path, &position, from_end, config.limits.event_bytes_max)?;
    follower.announce();
    let (mut import, mut wait) = (target.begin(config)?, WAIT);
    loop {
        match follower.pass(&mut import) {
            Ok(true) => wait = WAIT,
            Ok(false) => thread::sleep(POLL),
            Err(failure) if failure.is_local || !target.is_remote() => return Err(failure.reason),
            Err(failure) => {
                terminal::line(format_args!("{}; trying again in {} s", failure.reason, wait.as_secs()));
                thread::sleep(wait);
                wait = (wait * 2).min(WAIT_MAX);
                // Events of batches that failed are read again.
                import = target.begin(config)?;
                follower.contents.clear();
            }
        }
    }
}

/// Why a pass has failed.
struct PassFailure {
    reason: Failure,
    /// Whether another attempt would fail too.
    is_local: bool,
}

fn local(reason: Failure) -> PassFailure {
    PassFailure { reason, is_local: true }
}

/// Reads the files of a log.
struct Follower<'p> {
    path: &'p Path,
    position: Position,
    line_bytes_max: usize,
    /// The open files, by the names of their contents.
    contents: HashMap<String, Contents>,
    files: Vec<LogFile>,
    /// The state of the directory that `files` are of.
    listed: Option<SystemTime>,
}

impl<'p> Follower<'p> {
    fn new(path: &'p Path, position: &Path, from_end: bool, line_bytes_max: usize) -> Result<Self, Failure> {
        let position = match Position::load(position)? {
            Some(position) => position,
            None => first(path, position, from_end)?,
        };
        let mut follower =
            Self { path, position, line_bytes_max, contents: HashMap::new(), files: Vec::new(), listed: None };
        follower.position.take_over()?;
        Ok(follower)
    }

    fn announce(&self) {
        let path = self.path.display();
        match self.position.marks.last() {
            Some(mark) => terminal::line(format_args!("following {path} from line {}", mark.lines + 1)),
            None => terminal::line(format_args!("following {path} from its first line")),
        }
    }

    /// Reads what the files have by now. Returns whether that was anything.
    fn pass(&mut self, import: &mut Import<'_>) -> Result<bool, PassFailure> {
        if self.has_changed().map_err(local)? && !self.discover().map_err(local)? {
            return Ok(false);
        }
        let mut has_read = false;
        let growing: Vec<usize> =
            (0..self.position.marks.len()).filter(|at| !self.position.marks[*at].is_finished).collect();
        for (rank, &at) in growing.iter().enumerate() {
            if !self.open(at).map_err(local)? {
                // Lines are stored in their order, so the later files have to wait.
                break;
            }
            while self.read(at, import, false)? {
                has_read = true;
            }
            if self.listed.is_none() {
                break;
            }
            if self.position.marks[at].is_finished {
                continue;
            }
            let surplus = growing.len().saturating_sub(GROWING_MAX);
            if at + 1 < self.position.marks.len() && (rank < surplus || self.is_complete(at)) {
                has_read |= self.finish(at, import)?;
            }
        }
        Ok(has_read)
    }

    /// Whether the files may be others than before.
    fn has_changed(&mut self) -> Result<bool, Failure> {
        let directory = directory_of(self.path);
        let modified = fs::metadata(directory).and_then(|directory| directory.modified());
        let modified = modified.map_err(|error| Failure::new(format!("{}: {error}", directory.display())))?;
        let is_settled = modified.elapsed().is_ok_and(|age| age > SETTLED);
        let is_same = is_settled && self.listed == Some(modified);
        self.listed = Some(modified);
        let present = self.position.marks.last().and_then(|mark| self.contents.get(&mark.contents));
        let is_intact = present.is_some_and(|contents| contents.is_intact().unwrap_or(false));
        Ok(!is_same || !is_intact)
    }

    /// Finds the files after the landmark, and makes marks for them. Returns `false` if the files are changing at this moment.
    fn discover(&mut self) -> Result<bool, Failure> {
        let in_directory = |error| Failure::new(format!("{}: {error}", directory_of(self.path).display()));
        let Some(files) = files::of_log(self.path).map_err(in_directory)? else {
            self.listed = None;
            return Ok(false);
        };
        self.files = files;
        let landmark = (0..self.position.marks.len()).rev().find_map(|at| {
            let found = (self.position.marks[at].bytes > 0).then(|| self.locate(at)).flatten();
            found.map(|file| (at, file))
        });
        // A file that was renamed or compressed meanwhile would seem to be gone.
        if !is_same(&self.files, self.path) {
            self.listed = None;
            return Ok(false);
        }
        let new: Vec<LogFile> = match landmark {
            Some((_, file)) => self.files[file + 1..].to_vec(),
            None => {
                let is_new = |file: &&LogFile| file.modified > self.position.read_until || file.is_present(self.path);
                self.files.iter().filter(is_new).cloned().collect()
            }
        };
        let known = landmark.map_or(0, |(at, _)| at + 1);
        self.report_lost(known, self.position.marks.len());
        // Files of which nothing has been read follow the landmark in the order in which they were written, under whatever names
        // they have now.
        let mut unread: Vec<Mark> = self.position.marks.drain(known..).filter(|mark| mark.bytes == 0).collect();
        unread.truncate(new.len());
        let mut unread = unread.into_iter();
        self.position.forget_old();
        let mut has_new = false;
        for file in new {
            let known = unread.next();
            has_new |= known.is_none();
            let mut mark = known.unwrap_or_else(|| Mark::new(&file.file));
            mark.file.clone_from(&file.file);
            if self
                .contents
                .get(&mark.contents)
                .is_some_and(|open| open.identity().is_some_and(|open| open != file.file))
            {
                self.contents.remove(&mark.contents);
            }
            self.position.marks.push(mark);
        }
        if has_new {
            self.position.save()?;
        }
        Ok(true)
    }

    /// Reports marks whose contents are gone, if they may have had more lines.
    fn report_lost(&self, from: usize, to: usize) {
        for mark in self.position.marks[from..to].iter().filter(|mark| mark.bytes > 0 && !mark.is_finished) {
            terminal::line(format_args!(
                "{}: the file that was read up to line {} is gone; lines that were added to it later are lost",
                self.path.display(),
                mark.lines
            ));
        }
    }

    /// The file that has the contents of a mark.
    fn locate(&mut self, at: usize) -> Option<usize> {
        let mark = &self.position.marks[at];
        if let Some(contents) = self.contents.get(&mark.contents) {
            let identity = contents.identity();
            let held = self.files.iter().position(|file| Some(&file.file) == identity.as_ref());
            if held.is_some() && contents.is_intact().unwrap_or(false) {
                return held;
            }
            if identity.is_none()
                && let Some(held) = self.files.iter().position(|file| file.file == mark.file)
            {
                return Some(held);
            }
        }
        let by_identity = self.files.iter().position(|file| file.file == mark.file);
        let (found, contents) = by_identity
            .into_iter()
            .chain(0..self.files.len())
            .find_map(|file| Some((file, Contents::open(&self.files[file], mark).ok()??)))?;
        let mark = &mut self.position.marks[at];
        mark.file.clone_from(&self.files[found].file);
        self.contents.insert(mark.contents.clone(), contents);
        Some(found)
    }

    /// Imports the next lines of an open file. Returns whether there were any. If nothing follows, an incomplete last line is one.
    fn read(&mut self, at: usize, import: &mut Import<'_>, is_last: bool) -> Result<bool, PassFailure> {
        let mark = &mut self.position.marks[at];
        let Some(contents) = self.contents.get_mut(&mark.contents) else { return Ok(false) };
        let piece = match contents.next(self.line_bytes_max, is_last) {
            Ok(piece) => piece,
            Err(error) => {
                terminal::line(format_args!("{}: {error}; the rest of this file is not read", self.path.display()));
                mark.is_finished = true;
                return Ok(false);
            }
        };
        // Truncated or copied since the files were listed: these lines may be of other contents.
        let is_sure = contents.is_intact().unwrap_or(false) && (mark.bytes > 0 || is_same(&self.files, self.path));
        if !matches!(piece, Piece::Nothing) && !is_sure {
            self.listed = None;
            return Ok(false);
        }
        let from = Numbers { records: mark.records, lines: mark.lines };
        let failed = |reason| PassFailure { reason, is_local: false };
        let to = match &piece {
            Piece::Nothing => return Ok(false),
            Piece::TooLong => import.too_long(from, self.line_bytes_max).map_err(failed)?,
            Piece::Lines(lines) => {
                let to = import.piece(&mark.contents, from, lines).map_err(failed)?;
                contents.advance(lines);
                to
            }
        };
        contents.note(mark);
        (mark.records, mark.lines) = (to.records, to.lines);
        self.position.save().map_err(local)?;
        Ok(true)
    }

    /// Opens the file of a mark, if it is not open. Returns `false` if the files are changing at this moment.
    fn open(&mut self, at: usize) -> Result<bool, Failure> {
        if self.contents.contains_key(&self.position.marks[at].contents) {
            return Ok(true);
        }
        let mark = &self.position.marks[at];
        let by_identity = self.files.iter().position(|file| file.file == mark.file);
        let has_other_file = by_identity.is_none() && mark.bytes > 0;
        let Some(found) = by_identity.or_else(|| has_other_file.then(|| self.locate(at)).flatten()) else {
            if !is_same(&self.files, self.path) {
                self.listed = None;
                return Ok(false);
            }
            self.report_lost(at, at + 1);
            self.position.marks[at].is_finished = true;
            return Ok(true);
        };
        let (file, mark) = (&self.files[found], &mut self.position.marks[at]);
        match Contents::open(file, mark) {
            Ok(Some(contents)) => {
                self.contents.insert(mark.contents.clone(), contents);
                return Ok(true);
            }
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                terminal::line(format_args!("{}: {error}; skipped", file.path.display()));
                mark.is_finished = true;
                return Ok(true);
            }
            Err(error) => return Err(Failure::new(format!("{}: {error}", file.path.display()))),
        }
        self.listed = None;
        Ok(false)
    }

    /// Whether nothing more will be written to a rotated file that was read to its end.
    fn is_complete(&self, at: usize) -> bool {
        let Some(contents) = self.contents.get(&self.position.marks[at].contents) else { return true };
        contents.modified().is_none_or(|modified| modified.elapsed().is_ok_and(|age| age > GRACE))
    }

    /// Reads what a rotated file has left, including a last line without a line break. Returns whether there was anything.
    fn finish(&mut self, at: usize, import: &mut Import<'_>) -> Result<bool, PassFailure> {
        let mut has_read = false;
        while self.read(at, import, true)? {
            has_read = true;
        }
        let mark = &mut self.position.marks[at];
        mark.is_finished = true;
        let modified = self.files.iter().find(|file| file.file == mark.file).map_or(0, |file| file.modified);
        self.position.read_until = self.position.read_until.max(modified);
        self.contents.remove(&mark.contents);
        terminal::line(format_args!(
            "{}: a rotated file was read to its end, line {}; {}",
            self.path.display(),
            mark.lines,
            import.counted()
        ));
        self.position.save().map_err(local)?;
        Ok(has_read)
    }
}

/// Whether the log still has these files, in this order.
fn is_same(files: &[LogFile], log: &Path) -> bool {
    let identities = |files: &[LogFile]| files.iter().map(|file| file.file.clone()).collect::<Vec<_>>();
    files::of_log(log).is_ok_and(|present| present.is_some_and(|present| identities(&present) == identities(files)))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The position with which a log begins to be followed.
fn first(path: &Path, position: &Path, from_end: bool) -> Result<Position, Failure> {
    let in_directory = |error: io::Error| Failure::new(format!("{}: {error}", directory_of(path).display()));
    let files = files::of_log(path).map_err(in_directory)?;
    let files = files.ok_or_else(|| Failure::new(format!("{}: its files keep changing", path.display())))?;
    let (present, rotated): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.is_present(path));
    let mut position = Position::new(position, rotated.iter().map(|file| file.modified).max().unwrap_or(0));
    if from_end && let Some(present) = present.first() {
        let mark = contents::end_of(present);
        position.marks.push(mark.map_err(|error| Failure::new(format!("{}: {error}", path.display())))?);
    }
    Ok(position)
}
