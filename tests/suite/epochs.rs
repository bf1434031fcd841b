//! Followers across restores: each receives every event of the log once, or an error that names the cursor from which
//! to continue.
//!
//! The tests try every way to follow: lists, streams (`cursor` and `Last-Event-ID`), exports, pages and the command
//! line.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Server, eventually, run},
    session,
    wire::Connection,
};

const FOLLOW: &str = "sort=received&order=asc";

/// Stores the events `name-0`, `name-1` and so on, one request each.
fn send(server: &Server, name: &str, count: usize) {
    let event = |n: usize| json!({ "identifier": format!("{name}-{n}"), "action": "UPDATE", "resourceType": "entity" });
    server.store(&(0..count).map(event).collect::<Vec<_>>());
}

fn backup(server: &Server, name: &str) {
    let made = run(server.directory(), &["backup", name]);
    assert!(made.status.success(), "{made:?}");
}

/// Stops the server, restores a backup in its directory, and starts it again.
fn restored(server: Server, name: &str) -> Server {
    let (status, directory) = server.stop();
    assert!(status.success());
    let put_back = run(directory.path(), &["restore", name, "--force"]);
    assert!(put_back.status.success(), "{put_back:?}");
    Server::start_in(directory, &[])
}

/// Stops the server, runs `work` on its directory, and starts it again.
fn restarted(server: Server, work: impl FnOnce(&Path)) -> Server {
    let (status, directory) = server.stop();
    assert!(status.success());
    work(directory.path());
    Server::start_in(directory, &[])
}

/// A program that follows the log page by page.
#[derive(Clone)]
struct Follower {
    filter: &'static str,
    cursor: String,
}

impl Follower {
    /// Reads the whole log.
    fn new(server: &Server, filter: &'static str) -> Self {
        let mut follower = Self { filter, cursor: String::new() };
        let first = server.list(&format!("{FOLLOW}{filter}&limit=7"));
        follower.cursor = next(&first);
        follower.read(server);
        follower
    }

    /// Reads to the end of the log.
    fn read(&mut self, server: &Server) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let page = self.ask(server);
            let found = page.identifiers();
            if found.is_empty() {
                return all;
            }
            all.extend(found);
            self.cursor = next(&page);
            // With auditbox's own records the log has no end, because each page adds one.
            if all.len() > 1_000 {
                return all;
            }
        }
    }

    /// Requests the next page, and keeps its cursor.
    fn ask(&self, server: &Server) -> Answer {
        server.list(&format!("{FOLLOW}{}&limit=50&cursor={}", self.filter, self.cursor))
    }

    /// The statuses of streams that start at this cursor.
    fn streams(&self, server: &Server) -> [u16; 2] {
        let (filter, cursor) = (self.filter, &self.cursor);
        let status = |query: &str, header: &str| {
            let mut connection = Connection::open(&server.url).unwrap();
            let token = &server.token;
            let path = format!("/v1/audit-log/stream?{query}{filter}");
            connection
                .send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n{header}\r\n"))
                .unwrap();
            connection.line().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
        };
        let header = format!("Last-Event-ID: {cursor}\r\n");
        [status(&format!("cursor={cursor}"), ""), status("include_deleted_entities=true", &header)]
    }

    fn export(&self, server: &Server) -> Answer {
        let (filter, cursor) = (self.filter, &self.cursor);
        server.get(&format!("/v1/audit-log/export?format=ndjson&{FOLLOW}{filter}&cursor={cursor}"))
    }

    /// Every way to continue is refused. Returns what the refusal says about the cursor.
    fn is_refused(&self, server: &Server) -> Value {
        let answer = self.ask(server);
        assert_eq!(answer.refusal(), (422, "invalid_request".to_owned()));
        assert_eq!(self.export(server).refusal(), (422, "invalid_request".to_owned()));
        assert_eq!(self.streams(server), [422, 422]);
        let detail = answer.json()["details"][0].clone();
        assert_eq!(detail["parameter"], "cursor");
        assert!(detail["message"].as_str().unwrap().contains("begin again"), "{detail}");
        detail
    }

    /// Every way to continue works, and returns these events.
    fn goes_on(&mut self, server: &Server, expected: &[String]) {
        assert_eq!(self.streams(server), [200, 200]);
        let exported = self.export(server);
        assert_eq!(exported.status, 200, "{}", exported.text);
        assert_eq!(exported.text.lines().count(), expected.len());
        assert_eq!(self.read(server), expected);
    }
}

fn next(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["next"].as_str().unwrap().to_owned()
}

/// `name-0`, `name-1` and so on.
fn names(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name}-{n}")).collect()
}

#[test]
fn a_follower_of_undone_events_is_rejected_and_then_misses_nothing() {
    let server = Server::start();
    send(&server, "kept", 50);
    backup(&server, "copy.db");
    send(&server, "lost", 50);
    let follower = Follower::new(&server, "");
    let behind = Follower { filter: "", cursor: next(&server.list(&format!("{FOLLOW}&limit=20"))) };
    let server = restored(server, "copy.db");
    // More than the follower had read, so the log is again longer than the follower's position.
    send(&server, "new", 80);
    let detail = follower.is_refused(&server);
    assert!(detail["message"].as_str().unwrap().contains("restored"), "{detail}");
    let resume = detail["resume"].as_str().unwrap().to_owned();
    Follower { filter: "", cursor: resume }.goes_on(&server, &names("new", 80));
    // A follower at an earlier position is not affected.
    let rest = [names("kept", 50).split_off(20), names("new", 80)].concat();
    behind.clone().goes_on(&server, &rest);
}

#[test]
fn a_follower_that_only_polled_is_rejected_as_well() {
    let server = Server::start();
    send(&server, "kept", 5);
    backup(&server, "copy.db");
    let follower = Follower::new(&server, "");
    // Each poll is recorded as an event, and moves the cursor.
    let mut polled = follower.clone();
    eventually("records of the polls", || {
        let page = polled.ask(&server);
        polled.cursor = next(&page);
        let own = server.list("include_own=true&origin=auditbox&limit=1&count=true").json()["count"].as_u64();
        (own.unwrap() > 60).then_some(())
    });
    polled.cursor = next(&polled.ask(&server));
    let server = restored(server, "copy.db");
    send(&server, "new", 80);
    let detail = polled.is_refused(&server);
    let resume = detail["resume"].as_str().unwrap().to_owned();
    Follower { filter: "", cursor: resume }.goes_on(&server, &names("new", 80));
}

#[test]
fn the_resume_cursor_is_known_after_restarts_and_a_chain_of_restores() {
    let server = Server::start();
    send(&server, "one", 10);
    backup(&server, "one.db");
    let server = restarted(server, |_| {});
    send(&server, "two", 10);
    let early = Follower { filter: "", cursor: next(&server.list(&format!("{FOLLOW}&limit=5"))) };
    backup(&server, "two.db");
    let server = restarted(server, |_| {});
    send(&server, "three", 10);
    let ahead = Follower::new(&server, "");
    // Back to the second backup, then to the first, then forward to the log that the first restore moved aside.
    let server = restored(server, "two.db");
    send(&server, "four", 30);
    let branch = Follower::new(&server, "");
    let resume = |detail: &Value| detail["resume"].as_str().unwrap_or_else(|| panic!("{detail}")).to_owned();
    let cursor = resume(&ahead.is_refused(&server));
    Follower { filter: "", cursor }.goes_on(&server, &names("four", 30));
    let server = restored(server, "one.db");
    send(&server, "five", 60);
    for follower in [&ahead, &branch] {
        let cursor = resume(&follower.is_refused(&server));
        Follower { filter: "", cursor }.goes_on(&server, &names("five", 60));
    }
    early.clone().goes_on(&server, &[names("one", 10).split_off(5), names("five", 60)].concat());
    let last = Follower::new(&server, "");
    let aside: Vec<_> = fs::read_dir(server.directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("auditbox.db.before-") && !name.ends_with("-wal"))
        .collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    let forward =
        aside.iter().max_by_key(|name| fs::metadata(server.directory().join(name)).unwrap().modified().unwrap());
    let server = restored(server, forward.unwrap());
    send(&server, "six", 90);
    // The log has its former state again, and its followers continue as if no restore had happened.
    branch.clone().goes_on(&server, &names("six", 90));
    let cursor = resume(&last.is_refused(&server));
    let after_one = [names("two", 10), names("four", 30), names("six", 90)].concat();
    Follower { filter: "", cursor }.goes_on(&server, &after_one);
}

#[test]
fn a_file_put_back_by_hand_is_noticed_when_the_server_starts() {
    let server = Server::start();
    send(&server, "kept", 50);
    let server = restarted(server, |directory| {
        fs::copy(directory.join("auditbox.db"), directory.join("cold.db")).unwrap();
    });
    send(&server, "lost", 50);
    let follower = Follower::new(&server, "");
    let server = restarted(server, |directory| {
        fs::copy(directory.join("cold.db"), directory.join("auditbox.db")).unwrap();
    });
    send(&server, "new", 80);
    follower.is_refused(&server);
}

#[test]
fn a_file_put_back_by_hand_is_noticed_by_commands_that_write_without_a_server() {
    let server = Server::start();
    send(&server, "kept", 5);
    let server = restarted(server, |directory| {
        fs::copy(directory.join("auditbox.db"), directory.join("cold.db")).unwrap();
    });
    send(&server, "lost", 1);
    let follower = Follower::new(&server, "");
    let server = restarted(server, |directory| {
        fs::copy(directory.join("cold.db"), directory.join("auditbox.db")).unwrap();
        for number in 0..40 {
            let made = run(directory, &["credential", "create", "--name", &format!("c{number}"), "--scope", "read"]);
            assert!(made.status.success(), "{made:?}");
        }
    });
    send(&server, "new", 5);
    follower.is_refused(&server);
}

#[test]
fn followers_do_not_notice_a_restart_or_a_command_that_writes() {
    let server = Server::start();
    send(&server, "a", 10);
    let mut follower = Follower::new(&server, "");
    let late = Follower { filter: "", cursor: next(&server.list(&format!("{FOLLOW}&limit=5"))) };
    let mut server = server;
    for round in ["b", "c", "d"] {
        let made = run(server.directory(), &["credential", "create", "--name", round, "--scope", "read"]);
        assert!(made.status.success(), "{made:?}");
        if round == "c" {
            server.kill();
            server.start_again();
        } else {
            server = restarted(server, |directory| {
                let made = run(directory, &["credential", "disable", round]);
                assert!(made.status.success(), "{made:?}");
            });
        }
        send(&server, round, 3);
        follower.goes_on(&server, &names(round, 3));
    }
    let all = [names("a", 10).split_off(5), names("b", 3), names("c", 3), names("d", 3)].concat();
    late.clone().goes_on(&server, &all);
}

#[test]
fn pages_of_a_list_and_the_command_line_are_rejected_too() {
    let server = Server::start();
    send(&server, "kept", 120);
    backup(&server, "copy.db");
    send(&server, "lost", 120);
    let newest_first = next(&server.list("limit=10"));
    let by_hand = next(&server.list(&format!("{FOLLOW}&limit=150")));
    let page = session::with(&server, &session::session(&server), "GET", "/audit-logs?range=all", &[], "");
    assert_eq!(page.status, 200);
    let mut links = page.text.split("href=\"").map(|part| part.split('"').next().unwrap());
    let older = links.find(|link| link.starts_with("/audit-logs?") && link.contains("cursor=")).unwrap();
    let older = older.replace("&#38;", "&").replace("&amp;", "&");
    let open = |server: &Server| session::with(server, &session::session(server), "GET", &older, &[], "");
    assert!(!open(&server).text.contains("begin again"));
    let server = restored(server, "copy.db");
    send(&server, "new", 300);
    let refused = server.list(&format!("limit=10&cursor={newest_first}"));
    assert_eq!(refused.refusal(), (422, "invalid_request".to_owned()));
    let page = open(&server);
    assert!(page.text.contains("begin again"), "{}", page.text);
    let asked =
        run(server.directory(), &["query", "--sort", "received", "--order", "asc", "--cursor", &by_hand, "--json"]);
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(!asked.status.success() && said.contains("cursor: ") && said.contains("begin again"), "{said}");
}

/// The cursor that the version before epochs would have issued for the same query and position.
fn of_version_1(cursor: &str) -> String {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let mut older = bytes[..25].to_vec();
    older[0] = 1;
    BASE64_URL_SAFE_NO_PAD.encode(older)
}

/// Removes from a file what a build before epochs did not write.
fn forget_epochs(path: &Path) {
    let file = Database::open(path).unwrap();
    let sql = "DELETE FROM setting WHERE name LIKE 'epoch:%' OR name LIKE 'undone_epoch:%'";
    assert!(file.execute(sql, []).unwrap() > 0);
}

#[test]
fn an_upgrade_does_not_break_a_follower_but_a_restore_after_it_is_noticed() {
    let server = Server::start();
    send(&server, "old", 50);
    backup(&server, "older.db");
    send(&server, "older", 50);
    let mut follower = Follower::new(&server, "");
    follower.cursor = of_version_1(&follower.cursor);
    let live = follower.clone();
    let server = restarted(server, |directory| {
        forget_epochs(&directory.join("auditbox.db"));
        forget_epochs(&directory.join("older.db"));
    });
    send(&server, "new", 10);
    follower.goes_on(&server, &names("new", 10));
    // From here on, the follower has a cursor that names its epoch.
    let is_newer = |cursor: &str| BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap()[0] == 2;
    assert!(is_newer(&follower.cursor));
    backup(&server, "newer.db");
    send(&server, "lost", 10);
    let ahead = Follower::new(&server, "");
    let server = restored(server, "newer.db");
    send(&server, "newest", 90);
    ahead.is_refused(&server);
    // The first epoch began with the upgrade: an older cursor is valid up to that position, and not beyond.
    live.clone().goes_on(&server, &[names("new", 10), names("newest", 90)].concat());
    let beyond = Follower { filter: "", cursor: of_version_1(&ahead.cursor) };
    beyond.is_refused(&server);
    // The backup of the earlier build has no epochs, and ends before the position of this follower.
    let server = restored(server, "older.db");
    send(&server, "last", 150);
    live.is_refused(&server);
    follower.is_refused(&server);
}

#[test]
fn a_new_file_rejects_cursors_of_another() {
    let (one, other) = (Server::start(), Server::start());
    send(&one, "a", 5);
    send(&other, "b", 50);
    let follower = Follower::new(&one, "");
    follower.is_refused(&other);
    Follower { filter: "", cursor: of_version_1(&follower.cursor) }.is_refused(&other);
}
