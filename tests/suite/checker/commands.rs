//! What an operator does: stop, start, kill, back up, restore, reindex and import, enable retention, and run commands
//! on a file in use.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use auditbox::{
    model::{limits::EventLimits, timestamp::Timestamp},
    store::{Policy, Quiet, Store},
};
use rusqlite::Connection as Database;

use super::{
    events::OLD_DAYS,
    events::Sent,
    model::{Fate, Standing, State},
    run::Checker,
    writes::{identifier, now_micros},
};
use crate::{
    harness::{eventually, prepare_received, program, store_options},
    platform::{SECOND_NAMES, symlink},
    process::Process,
    properties::retention::is_clean,
};

/// The days that retention keeps: more than the age of recent events, less than that of old ones.
const KEEP_DAYS: i64 = 30;
const DAY_MICROS: i64 = 86_400_000_000;
/// Maximum number of backups at a time.
const BACKUPS: usize = 4;
/// The name of the server's file.
const DATABASE: &str = "auditbox.db";

/// A copy of the file, and the model's copy of its content.
pub(super) struct Backup {
    path: String,
    step: u64,
    state: State,
    /// The number of events that had arrived when the backup began.
    at_least: usize,
}

impl Checker {
    fn stop(&mut self) {
        self.disconnect();
        self.server.signal("TERM");
        let status = self.server.wait();
        assert!(status.success(), "{status}: {}", self.server.log());
    }

    pub(super) fn kill(&mut self) {
        let change = self.change_unheard();
        self.disconnect();
        self.server.kill();
        self.server.start_again();
        if let Some((place, standing)) = change {
            self.learn_standing(place, standing);
        }
    }

    pub(super) fn restart(&mut self) {
        self.stop();
        self.server.start_again();
    }

    /// Runs a command that must succeed; returns its output.
    fn must(&self, arguments: &[&str]) -> String {
        let output = self.command(DATABASE, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must succeed, sometimes after a first run that is killed.
    fn must_in_the_end(&mut self, arguments: &[&str]) -> String {
        if self.maker.percent(30) {
            let pause = Duration::from_micros(self.maker.random.below(60_000));
            let mut command = program(self.server.directory());
            command.args(arguments).env("AUDITBOX_MASK_ENABLED", "false");
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(pause);
            child.kill().unwrap();
            self.note(format!("{} was killed after {pause:?}: {}", arguments[0], child.wait().unwrap()));
        }
        self.must(arguments)
    }

    pub(super) fn reindex(&mut self) {
        self.stop();
        self.must_in_the_end(&["reindex"]);
        self.server.start_again();
        self.doctor();
    }

    pub(super) fn doctor(&mut self) {
        let said = self.must(&["doctor"]);
        assert!(said.contains("Nothing is wrong."), "{said}");
    }

    pub(super) fn new_backup(&mut self) -> String {
        format!("backup-{}.db", self.step)
    }

    pub(super) fn backup(&mut self) {
        let path = self.new_backup();
        self.must_in_the_end(&["backup", &path, "--force"]);
        let at_least = self.state.history.len();
        self.keep_backup(path, at_least);
    }

    /// Remembers a backup of the present state, or of an earlier state with at least `at_least` events.
    pub(super) fn keep_backup(&mut self, path: String, at_least: usize) {
        if self.backups.len() == BACKUPS {
            let place = self.maker.below(BACKUPS);
            let old = self.backups.swap_remove(place);
            fs::remove_file(self.server.directory().join(old.path)).unwrap();
        }
        self.note(format!("{path} has {} events", self.state.events.len()));
        self.backups.push(Backup { path, step: self.step, state: self.state.clone(), at_least });
    }

    /// Restores a backup: the log returns to the state of the backup, and revoked credentials stay revoked. Sometimes
    /// the backup is copied over the file by hand; then only the file itself can show that it was restored.
    pub(super) fn restore(&mut self) {
        if self.backups.is_empty() {
            self.backup();
        }
        let place = self.maker.below(self.backups.len());
        let by_hand = self.may("by_hand") && self.maker.percent(25);
        self.stop();
        let Backup { path, step, mut state, at_least } = {
            let backup = &self.backups[place];
            Backup { path: backup.path.clone(), state: backup.state.clone(), ..*backup }
        };
        if by_hand {
            self.copy_back(&path);
        } else {
            self.must_in_the_end(&["restore", &path, "--force"]);
        }
        self.remove(".before-");
        self.server.start_again();
        self.place = None;
        let texts = self.arrived();
        let arrived = texts.len().checked_sub(1).map_or(0, |last| state.known_through(last));
        let all = state.entries.len().checked_sub(1).map_or(0, |last| state.known_through(last));
        assert!(arrived >= at_least.min(all), "{path} has {arrived} of {at_least} events");
        state.truncate(arrived);
        let expected: Vec<_> = state.entries.iter().map(|entry| entry.text.clone()).collect();
        assert_eq!(texts, expected, "{path}");
        let before = self.state.events.len();
        self.note(format!("{path}, by hand: {by_hand}: {} instead of {before} events", texts.len()));
        state.credentials = self.credentials_after_restore(&state, by_hand);
        self.state = state;
        self.followers_meet_a_restore(step);
    }

    /// Copies a backup over the file of the stopped server.
    fn copy_back(&self, path: &str) {
        let database = self.server.database();
        for extension in ["db-wal", "db-shm"] {
            drop(fs::remove_file(database.with_extension(extension)));
        }
        fs::copy(self.server.directory().join(path), &database).unwrap();
    }

    /// Removes the files whose names contain `part`.
    fn remove(&self, part: &str) {
        for entry in fs::read_dir(self.server.directory()).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)) {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Stores events that were received long ago, as in a log of several years.
    fn store_old_events(&mut self) {
        self.stop();
        let options = store_options(&self.server.database(), self.chunk_events);
        let store = Store::open(&options, &Quiet).unwrap();
        let at = Timestamp::now().plus_seconds(-OLD_DAYS * 86_400);
        let count = 1 + self.maker.below(40);
        // The newest event is from today, so that the server trusts its clock.
        let planted: Vec<_> = (0..count).map(|_| (self.maker.old_event(), at)).collect();
        let planted: Vec<_> = planted.into_iter().chain([(self.maker.named_event(), Timestamp::now())]).collect();
        for (event, at) in &planted {
            store.writer.wait_for_room();
            let prepared = prepare_received(&store, &event.text, *at, &EventLimits::default());
            store.writer.append(vec![prepared], Policy::AllOrNothing).unwrap().wait().unwrap();
        }
        store.close().unwrap();
        self.server.start_again();
        let texts = self.arrived();
        assert_eq!(texts.len(), planted.len());
        for ((event, at), text) in planted.into_iter().zip(&texts) {
            self.take_in(event, text, "test", at.micros()..=at.micros());
        }
    }

    /// Runs retention: it drops exactly the events whose own time and receipt are both past the limit.
    pub(super) fn retention(&mut self) {
        self.store_old_events();
        let mut left = self.state.clone();
        let dropped = left.drop_past(now_micros() - KEEP_DAYS * DAY_MICROS);
        let gone: Vec<_> = self.state.events.iter().map(|event| event.identifier.clone()).collect();
        let gone: Vec<_> = gone.into_iter().filter(|name| left.content(name).is_none()).collect();
        self.stop();
        let config = self.server.directory().join("checker.toml");
        fs::write(&config, format!("[retention]\nkeep_days = {KEEP_DAYS}\n")).unwrap();
        self.server.start_again();
        if self.maker.percent(50) {
            thread::sleep(Duration::from_micros(self.maker.random.below(40_000)));
            self.server.kill();
            self.server.start_again();
        }
        // Retention takes the chunks in order, so the last expired event is dropped last.
        let last = gone.last().unwrap();
        eventually("retention", || {
            let is_gone = self.server.get(&format!("/v1/audit-log/{last}")).status == 404;
            (is_gone && is_clean(&Database::open(self.server.database()).unwrap())).then_some(())
        });
        self.note(format!("{dropped} events are expired"));
        self.dropped.extend(gone);
        self.state = left;
        self.compare_log();
        self.stop();
        fs::write(&config, "").unwrap();
        self.server.start_again();
        self.own_records();
    }

    /// An event that is invalid in a file too. An import takes what a server adds away from events, and skips a server's
    /// own records.
    fn invalid_in_a_file(&mut self) -> Sent {
        loop {
            let sent = self.maker.invalid();
            if !matches!(sent.fault, Some("receivedAt" | "trigger.origin")) {
                return sent;
            }
        }
    }

    /// Imports a file of events, new or imported before. It imports into the file of the stopped server, or into the
    /// running server.
    pub(super) fn import(&mut self) {
        let (name, events) = if !self.imported.is_empty() && self.maker.percent(40) {
            let place = self.maker.below(self.imported.len());
            self.imported[place].clone()
        } else {
            let events: Vec<_> = (0..=self.maker.below(60))
                .map(|_| if self.maker.percent(5) { self.invalid_in_a_file() } else { self.maker.event() })
                .collect();
            let name = format!("events-{}.ndjson", self.step);
            let lines: Vec<_> = events.iter().map(|sent| sent.text.as_str()).collect();
            fs::write(self.server.directory().join(&name), lines.join("\n")).unwrap();
            (name, events)
        };
        let fates = self.state.fates(&events);
        let is_beside = self.maker.percent(50);
        let (since, url, token) = (now_micros(), self.server.url.clone(), self.server.token.clone());
        let said = if is_beside {
            self.must_in_the_end(&["import", "--skip-bad", &name, "--url", &url, "--token", &token])
        } else {
            self.stop();
            let said = self.must_in_the_end(&["import", "--skip-bad", &name]);
            self.server.start_again();
            said
        };
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
        let (stored, duplicates) = (count(Fate::Stored), count(Fate::Duplicate));
        let bad = events.len() - stored - duplicates;
        // The second run reports the events that a killed first run stored as duplicates.
        let told: Vec<usize> = said.split_whitespace().filter_map(|word| word.parse().ok()).take(3).collect();
        assert!(told[0] <= stored && told[0] + told[1] == stored + duplicates && told[2] == bad, "{fates:?}: {said}");
        let by = if is_beside { self.admin.clone() } else { "import".to_owned() };
        let new = events.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Stored).map(|(sent, _)| sent.clone());
        let before = self.state.events.len();
        self.absorb(new.collect(), &by, since);
        // Every later import of this file assigns the same identifiers to events without one.
        let mut names = self.state.events[before..].iter().map(|event| event.identifier.clone());
        let events = events.into_iter().zip(&fates).map(|(mut sent, fate)| {
            if *fate == Fate::Stored {
                sent.identifier = names.next();
            }
            sent
        });
        let events = events.collect();
        drop(names);
        self.imported.retain(|(other, _)| *other != name);
        self.imported.push((name, events));
        self.note(said.trim());
    }

    /// Runs commands on the running server's file under one of its names: commands that write must be refused, and a
    /// query must return the right events or an error.
    pub(super) fn link(&mut self) {
        let directory = self.server.directory().to_owned();
        let kind = self.maker.pick(SECOND_NAMES);
        let link = match kind {
            "itself" => PathBuf::from(DATABASE),
            "directory" => Path::new("linked").join(DATABASE),
            _ => PathBuf::from("linked"),
        };
        match kind {
            "itself" => {}
            "symlink" => symlink(DATABASE, directory.join("linked")),
            "hard link" => fs::hard_link(self.server.database(), directory.join("linked")).unwrap(),
            _ => symlink(".", directory.join("linked")),
        }
        let link = link.to_str().unwrap();
        for _ in 0..2 {
            let command = self.maker.pick(&["import", "reindex", "restore", "serve", "credential", "query"]);
            self.note(format!("{command} on {kind}"));
            match command {
                "import" => {
                    fs::write(directory.join("linked.ndjson"), self.maker.event().text).unwrap();
                    self.must_be_refused(link, &["import", "linked.ndjson"]);
                }
                "restore" if self.backups.is_empty() => {}
                "restore" => {
                    let path = self.backups[0].path.clone();
                    self.must_be_refused(link, &["restore", &path, "--force"]);
                }
                "serve" => self.no_second_server(link),
                "credential" => self.credential_by(link),
                "query" => self.query_by(link),
                other => self.must_be_refused(link, &[other]),
            }
        }
        self.remove("linked");
        self.compare_log();
    }

    fn must_be_refused(&self, link: &str, arguments: &[&str]) {
        let output = self.command(link, arguments);
        assert!(!output.status.success(), "{arguments:?} writes to {link}, which is in use: {output:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?} prints no message");
    }

    fn no_second_server(&self, link: &str) {
        let mut command = program(self.server.directory());
        let mut process = Process::start(command.env("AUDITBOX_DATABASE_PATH", link));
        let started = process.started();
        assert!(started.is_err(), "a second server on {link}: {started:?}");
    }

    fn query_by(&self, link: &str) {
        let output =
            self.command(link, &["query", "--json", "--limit", "100000", "--sort", "received", "--order", "asc"]);
        let lines = String::from_utf8(output.stdout).unwrap();
        let found: Vec<_> = lines.lines().map(identifier).collect();
        let expected: Vec<_> = self.state.events.iter().map(|event| event.identifier.clone()).collect();
        assert!(!output.status.success() || found == expected, "query on {link}: {found:?} instead of {expected:?}");
    }

    fn credential_by(&mut self, link: &str) {
        let name = format!("linked-{}-{}", self.step, self.maker.below(1_000_000));
        let output = self.command(link, &["credential", "create", "--name", &name, "--scope", "read"]);
        if output.status.success() {
            let said = String::from_utf8(output.stdout).unwrap();
            self.know_credential(&name, &["read"], &said);
            let token = self.state.credentials.last().unwrap().token.clone();
            eventually("a credential created while the server runs", || {
                (self.server.request_as(&token, "GET", "/v1/audit-log?limit=1", "").status == 200).then_some(())
            });
        }
    }

    /// Adds a credential to the model from the command's output.
    pub(super) fn know_credential(&mut self, name: &str, scopes: &[&'static str], said: &str) {
        let field = |label: &str| {
            let line =
                said.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_else(|| panic!("{said}"));
            line.split_whitespace().last().unwrap().to_owned()
        };
        self.state.credentials.push(super::model::Credential {
            name: name.to_owned(),
            client_id: field("client id"),
            token: field("API token"),
            scopes: scopes.to_vec(),
            standing: Standing::Active,
        });
    }
}
