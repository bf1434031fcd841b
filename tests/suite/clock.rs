//! A clock that jumps, forward and back, under a running server: a machine that starts with a dead battery, a
//! correction by NTP, a mistake of the operator.
//!
//! The server runs under libfaketime (Debian's package `libfaketime`), which shifts the wall clock by the offset in a
//! file. The monotonic clock (timeouts, windows) is unchanged, as on a real machine whose clock is set. Without the
//! library the tests are skipped, or fail if `AUDITBOX_REQUIRE_FAKETIME` is set.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use auditbox::model::timestamp::Timestamp;
use serde_json::json;

use crate::{
    harness::{CLIENT_ID, CLIENT_SECRET, Server, run},
    session,
    skip::FAKETIME,
};

const HOUR: i64 = 60 * 60;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A server, and the file that holds the offset of its clock in seconds.
struct Off {
    server: Server,
    file: PathBuf,
}

fn library() -> Option<PathBuf> {
    let named = env::var_os("AUDITBOX_FAKETIME").map(PathBuf::from);
    let usual = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|machine| PathBuf::from(format!("/usr/lib/{machine}/faketime/libfaketimeMT.so.1")));
    let found = named.into_iter().chain(usual).find(|path| path.exists());
    FAKETIME.is_met(found.is_some());
    found
}

impl Off {
    fn start(environment: &[(&str, &str)]) -> Option<Self> {
        let library = library()?;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("offset");
        fs::write(&file, "+0").unwrap();
        let faked = [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ];
        let all: Vec<_> = faked.iter().chain(environment).copied().collect();
        let server = Server::start_in(directory, &all);
        let off = Self { server, file };
        off.jump(DAY);
        let answer = off.server.request("POST", "/v1/auth/access_token", &[], b"{}");
        assert_eq!(answer.status, 422);
        off.jump(0);
        Some(off)
    }

    /// Sets the clock this many seconds ahead of the true one.
    fn jump(&self, seconds: i64) {
        // The file is renamed into place, so that the library never reads half of it.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn opens(&self, token: &str) -> bool {
        let answer = self.server.request_as(token, "GET", "/v1/audit-log?limit=1", "");
        assert!(matches!(answer.status, 200 | 401), "{}", answer.text);
        answer.status == 200
    }
}

#[test]
fn order_by_arrival_and_identifiers_do_not_depend_on_the_clock() {
    const EACH: usize = 20;
    let Some(mut off) = Off::start(&[]) else { return };
    let credential = off.server.credential("sender", &["ingest", "read"]);
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for offset in [0, HOUR, -DAY, 40 * YEAR, -40 * YEAR, 0, -1, 1] {
        off.jump(offset);
        let true_now = Timestamp::now();
        for _ in 0..EACH / 2 {
            let event = r#"{"action":"A","resourceType":"clock"}"#;
            let answer = off.server.request_as(&credential, "POST", "/v1/audit-log", &format!("{event}\n{event}"));
            assert_eq!(answer.status, 201, "{}", answer.text);
            let answer = answer.json();
            sent.extend(answer["identifiers"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        }
        let one = off.server.request_as(&credential, "GET", &format!("/v1/audit-log/{}", sent.last().unwrap()), "");
        let at = Timestamp::parse(one.json()["audit"]["receivedAt"].as_str().unwrap()).unwrap();
        // The receipt is what the clock said, right or wrong.
        assert!((at.seconds() - true_now.seconds() - offset).abs() < 120, "{offset}: {at}");
        received.push(at);
    }
    off.jump(0);
    assert!(!received.is_sorted(), "the clock did go back");
    assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len(), "an identifier was assigned twice");
    let all = |server: &Server| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("resources=clock&sort=received&order=asc&limit=7{cursor}");
            let answer = server.request_as(&credential, "GET", &format!("/v1/audit-log?{query}"), "");
            let page = answer.identifiers();
            if page.is_empty() {
                return found;
            }
            found.extend(page);
            cursor = format!("&cursor={}", answer.json()["next"].as_str().unwrap());
        }
    };
    assert_eq!(all(&off.server), sent);
    off.server.kill();
    off.server.start_again();
    assert_eq!(all(&off.server), sent);
    let directory = off.server.stop().1;
    let examined = run(directory.path(), &["doctor"]);
    assert!(examined.status.success(), "{examined:?}");
    // The sequence is dense, and each receipt is the clock's.
    let file = rusqlite::Connection::open(directory.path().join("auditbox.db")).unwrap();
    let dense: bool =
        file.query_row("SELECT count(*) = max(seq) AND min(seq) = 1 FROM event", [], |row| row.get(0)).unwrap();
    assert!(dense);
}

#[test]
fn tokens_neither_outlive_their_time_nor_expire_early() {
    let Some(off) = Off::start(&[]) else { return };
    let (server, first) = (&off.server, off.server.token.clone());
    let expiring = server.post("/v1/credentials", r#"{"name":"an hour","scopes":["read"],"expires":"1h"}"#).json();
    let expiring = expiring["credential"]["apiToken"].as_str().unwrap().to_owned();
    let lasting = server.credential("for good", &["read"]);
    assert!(off.opens(&first) && off.opens(&expiring) && off.opens(&lasting));
    // A small correction ends nothing.
    off.jump(-30);
    assert!(off.opens(&first) && off.opens(&expiring) && off.opens(&lasting));
    off.jump(3 * HOUR - 300);
    assert!(off.opens(&first) && !off.opens(&expiring) && off.opens(&lasting));
    off.jump(3 * HOUR + 60);
    assert!(!off.opens(&first) && !off.opens(&expiring) && off.opens(&lasting));
    let later = server.login(CLIENT_ID, CLIENT_SECRET);
    assert!(off.opens(&later));
    // A token from the future would outlive its promised time.
    off.jump(0);
    assert!(!off.opens(&later) && off.opens(&first) && off.opens(&expiring) && off.opens(&lasting));
    for offset in [-DAY, -30 * YEAR, 30 * YEAR] {
        off.jump(offset);
        assert!(!off.opens(&first) && !off.opens(&later) && off.opens(&lasting), "{offset}");
        // A correct secret always yields a working token, regardless of the clock.
        assert!(off.opens(&server.login(CLIENT_ID, CLIENT_SECRET)), "{offset}");
    }
}

#[test]
fn used_links_and_ended_sessions_stay_invalid() {
    let Some(off) = Off::start(&[]) else { return };
    let server = &off.server;
    let sign_out = |cookie: &str| {
        let answer = session::with(server, cookie, "POST", "/sign-out", &[("origin", &server.url)], "");
        assert_eq!(answer.status, 303, "{}", answer.text);
    };
    let link = session::link(server, &["--credential", CLIENT_ID]);
    assert_eq!(session::use_link(server, &link).status, 303);
    let (ended, kept) = (session::session(server), session::session(server));
    sign_out(&ended);
    assert!(!session::opens(server, &ended) && session::opens(server, &kept));
    // Far in the future, all of these have expired, and the server has other revocations to remember.
    off.jump(30 * DAY);
    assert!(!session::opens(server, &kept));
    sign_out(&session::session(server));
    off.jump(0);
    assert_eq!(session::use_link(server, &link).status, 401, "a link signs in once");
    assert!(!session::opens(server, &ended), "a signed-out session stays invalid");
    assert!(session::opens(server, &kept), "the other session stays valid until it expires");
}

#[test]
fn the_wait_after_failed_logins_does_not_depend_on_the_clock() {
    let limits = [("AUDITBOX_AUTH_FAILED_LOGINS_MAX", "2"), ("AUDITBOX_AUTH_FAILED_LOGINS_WINDOW_SECONDS", "600")];
    let Some(off) = Off::start(&limits) else { return };
    let wrong = json!({ "clientId": CLIENT_ID, "clientSecret": "wrong" }).to_string();
    let login = || off.server.request("POST", "/v1/auth/access_token", &[], wrong.as_bytes());
    for _ in 0..2 {
        assert_eq!(login().status, 401);
    }
    for offset in [0, DAY, -DAY, 30 * YEAR, 0] {
        off.jump(offset);
        let answer = login();
        assert_eq!(answer.status, 429, "{offset}");
        let wait: i64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=600).contains(&wait), "{offset}: {wait}");
        // The time is by the server's clock, as in its Date header.
        let reset: i64 = answer.header("x-ratelimit-reset").unwrap().parse().unwrap();
        assert!((reset - Timestamp::now().seconds() - offset - wait).abs() < 120, "{offset}: {reset}");
    }
}
