//! A backup that replaces a log. No stored event is lost, no file is overwritten that the command did not name, and
//! everything that was revoked since the backup stays revoked.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rusqlite::Connection as Database;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    damage::damage_pages,
    faults,
    harness::{CLIENT_ID, CLIENT_SECRET, Server, eventually, program, run},
    platform::symlink,
    session,
};

const DATABASE: &str = "auditbox.db";

fn send(server: &Server, name: &str, count: usize) {
    let event = |n: usize| json!({ "identifier": format!("{name}-{n}"), "action": "UPDATE", "resourceType": "entity" });
    server.store(&(0..count).map(event).collect::<Vec<_>>());
}

/// The number of sent events in the log.
fn count(server: &Server) -> u64 {
    server.list("resources=entity&count=true&limit=1").json()["count"].as_u64().unwrap()
}

fn succeeds(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    said(&output)
}

/// Runs a command that must fail with these words and leave every file unchanged.
fn is_refused(directory: &Path, arguments: &[&str], words: &str) {
    let before = files(directory);
    let output = run(directory, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    assert!(said(&output).contains(words), "{arguments:?}: {output:?}");
    let after = files(directory);
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>(), "{arguments:?}");
    for (path, content) in before {
        // A running server may write to its WAL meanwhile.
        let is_kept = if path.to_string_lossy().ends_with("-wal") { <[u8]>::starts_with } else { <[u8]>::eq };
        assert!(is_kept(&after[&path], &content), "{arguments:?}: {}", path.display());
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The files that hold events, with their content. Locks, the index of a WAL, and an empty WAL hold none.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let is_other = [".lock", "-shm", ".txt"].iter().any(|end| name.ends_with(end));
        path.is_file() && !is_other && !(name.ends_with("-wal") && path.metadata().unwrap().len() == 0)
    };
    paths.filter(holds).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn named(directory: &Path, part: &str) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.contains(part) && !name.ends_with("-wal")).collect();
    names.sort_unstable();
    names
}

fn stopped(server: Server) -> TempDir {
    let (status, directory) = server.stop();
    assert!(status.success());
    directory
}

/// Kills a server, so that its WAL stays. Returns its directory.
fn crashed(mut server: Server) -> TempDir {
    server.kill();
    let directory = server.stop_killed();
    assert!(fs::metadata(directory.path().join("auditbox.db-wal")).unwrap().len() > 0);
    directory
}

#[test]
#[cfg(unix)]
fn a_restore_reads_the_write_ahead_log_of_its_source() {
    let server = Server::start();
    send(&server, "e", 500);
    let source = crashed(server);
    let before = files(source.path());
    let names = named(source.path(), "");
    let target = tempfile::tempdir().unwrap();
    let link = target.path().join("link.db");
    symlink(source.path().join(DATABASE), &link);
    succeeds(target.path(), &["restore", "link.db"]);
    assert_eq!(files(source.path()), before);
    assert_eq!(named(source.path(), ""), names);
    assert_eq!(count(&Server::start_in(target, &[])), 500);
}

#[test]
fn a_restore_over_the_log_of_a_crashed_server_can_be_undone() {
    let server = Server::start();
    succeeds(server.directory(), &["backup", "copy.db"]);
    send(&server, "e", 500);
    let directory = crashed(server);
    succeeds(directory.path(), &["restore", "copy.db", "--force"]);
    let aside = named(directory.path(), ".before-");
    assert_eq!(aside.len(), 1);
    succeeds(directory.path(), &["restore", &aside[0], "--force"]);
    assert_eq!(count(&Server::start_in(directory, &[])), 500);
}

#[test]
fn a_file_without_a_log_is_rejected_as_a_backup() {
    let server = Server::start();
    send(&server, "e", 5);
    let directory = stopped(server);
    let at = directory.path();
    fs::write(at.join("empty.db"), b"").unwrap();
    fs::write(at.join("text.db"), b"To whom it may concern").unwrap();
    let other = Database::open(at.join("other.db")).unwrap();
    other.execute_batch("PRAGMA journal_mode = WAL; PRAGMA user_version = 0").unwrap();
    other.close().unwrap();
    for name in ["empty.db", "text.db", "other.db"] {
        is_refused(at, &["restore", name, "--force"], &format!("{name} is not a file of auditbox"));
    }
    is_refused(at, &["restore", "missing.db", "--force"], "missing.db");
}

/// Kills a restore at each call that changes a directory or syncs. The file in place is always intact, nothing is lost,
/// and a second restore succeeds and keeps revocations.
#[test]
fn a_restore_that_is_killed_leaves_a_whole_file_in_place() {
    if !faults::can_trace() {
        return;
    }
    let server = Server::start();
    let tokens = make_credentials(&server, &["revoked"]);
    succeeds(server.directory(), &["backup", "copy.db"]);
    send(&server, "e", 200);
    succeeds(server.directory(), &["credential", "revoke", "revoked"]);
    let origin = crashed(server);
    for when in 1.. {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        for name in ["auditbox.db", "auditbox.db-wal", "copy.db"] {
            fs::copy(origin.path().join(name), at.join(name)).unwrap();
        }
        let plain = program(at);
        let calls = "link,linkat,rename,renameat,renameat2,unlink,fsync,fdatasync,ftruncate";
        let killed = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={calls}:signal=KILL:when={when}")])
            .arg(plain.get_program())
            .args(["restore", "copy.db", "--force"])
            .current_dir(at)
            .output()
            .unwrap();
        let is_done = killed.status.success();
        let database = Database::open(at.join(DATABASE)).unwrap();
        let sent = |database: &Database| -> u32 {
            let sql = "SELECT count(*) FROM event WHERE timestamp > 0";
            database.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let is_old = sent(&database) >= 200;
        drop(database);
        succeeds(at, &["doctor"]);
        assert!(is_old || !named(at, ".before-").is_empty(), "{when}");
        if is_old {
            succeeds(at, &["restore", "copy.db", "--force"]);
        }
        let kept = named(at, ".before-").into_iter().any(|name| sent(&Database::open(at.join(name)).unwrap()) >= 200);
        assert!(kept, "{when}");
        let server = Server::start_in(directory, &[]);
        assert_eq!((count(&server), statuses(&server, &tokens)), (0, vec![401]), "{when}");
        if is_done {
            assert!(when > 8, "{when}");
            break;
        }
    }
}

#[test]
fn a_source_that_a_server_writes_to_is_rejected() {
    let server = Server::start();
    send(&server, "e", 5);
    let target = tempfile::tempdir().unwrap();
    let source = server.database();
    let refused = run(target.path(), &["restore", source.to_str().unwrap()]);
    assert!(!refused.status.success() && said(&refused).contains("auditbox backup"), "{refused:?}");
    assert!(!target.path().join(DATABASE).exists());
}

#[test]
fn restores_within_one_second_overwrite_nothing() {
    let server = Server::start();
    send(&server, "e", 5);
    succeeds(server.directory(), &["backup", "copy.db"]);
    send(&server, "lost", 5);
    let directory = stopped(server);
    let at = directory.path();
    let mut contents = vec![fs::read(at.join(DATABASE)).unwrap()];
    for round in 1..=4 {
        succeeds(at, &["restore", "copy.db", "--force"]);
        let aside = named(at, ".before-");
        assert_eq!(aside.len(), round, "{aside:?}");
        let kept: Vec<_> = aside.iter().map(|name| fs::read(at.join(name)).unwrap()).collect();
        for content in &contents {
            assert!(kept.contains(content), "round {round}");
        }
        contents.push(fs::read(at.join(DATABASE)).unwrap());
    }
}

#[test]
#[cfg(unix)]
fn a_restore_through_a_link_replaces_the_file_and_keeps_the_link() {
    let server = Server::start();
    send(&server, "e", 5);
    succeeds(server.directory(), &["backup", "copy.db"]);
    let directory = stopped(server);
    let at = directory.path();
    fs::create_dir(at.join("disk")).unwrap();
    fs::rename(at.join(DATABASE), at.join("disk/log.db")).unwrap();
    symlink("disk/log.db", at.join("step"));
    symlink("step", at.join(DATABASE));
    let mut server = Server::start_in(directory, &[]);
    send(&server, "lost", 5);
    server.kill();
    let directory = server.stop_killed();
    let at = directory.path();
    succeeds(at, &["restore", "copy.db", "--force"]);
    for link in ["step", DATABASE] {
        assert!(fs::symlink_metadata(at.join(link)).unwrap().is_symlink(), "{link}");
    }
    assert!(!fs::symlink_metadata(at.join("disk/log.db")).unwrap().is_symlink());
    let aside = named(&at.join("disk"), ".before-");
    assert_eq!((aside.len(), named(at, ".before-").len()), (1, 0));
    let server = Server::start_in(directory, &[]);
    assert_eq!(count(&server), 5);
    let directory = stopped(server);
    let at = directory.path();
    succeeds(at, &["restore", &format!("disk/{}", aside[0]), "--force"]);
    // A link whose target does not exist yet.
    symlink("disk/new.db", at.join("new.db"));
    let restored = program(at).args(["restore", "copy.db"]).env("AUDITBOX_DATABASE_PATH", "new.db").output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert!(at.join("disk/new.db").is_file() && fs::symlink_metadata(at.join("new.db")).unwrap().is_symlink());
    assert_eq!(count(&Server::start_in(directory, &[])), 10);
}

#[test]
#[cfg(unix)]
fn the_files_of_a_database_are_neither_source_nor_destination() {
    let server = Server::start();
    send(&server, "e", 300);
    succeeds(server.directory(), &["backup", "copy.db"]);
    let at = server.directory();
    // Every command rejects a database with a second hard link because of that link.
    let why = |suffix: &str| if suffix.is_empty() { "hard links" } else { "belongs to the database" };
    for suffix in ["", "-wal", "-shm", "-journal", ".lock", ".part", ".part-wal"] {
        let name = format!("{DATABASE}{suffix}");
        let there = at.join(&name).exists();
        is_refused(at, &["backup", &name, "--force"], "belongs to the database");
        is_refused(
            at,
            &["backup", &format!("./../{}/{name}", at.file_name().unwrap().display()), "--force"],
            "belongs",
        );
        symlink(at.join(&name), at.join("link"));
        is_refused(at, &["backup", "link", "--force"], "belongs to the database");
        fs::remove_file(at.join("link")).unwrap();
        if there {
            fs::hard_link(at.join(&name), at.join("hard")).unwrap();
            is_refused(at, &["backup", "hard", "--force"], why(suffix));
            fs::remove_file(at.join("hard")).unwrap();
        }
    }
    let mut server = server;
    server.kill();
    let directory = server.stop_killed();
    let at = directory.path();
    fs::write(at.join("auditbox.db-journal"), b"").unwrap();
    fs::copy(at.join("copy.db"), at.join("auditbox.db.part")).unwrap();
    for suffix in ["", "-wal", "-shm", "-journal", ".lock", ".part"] {
        let name = format!("{DATABASE}{suffix}");
        is_refused(at, &["restore", &name, "--force"], "belongs to the database");
        symlink(at.join(&name), at.join("link"));
        is_refused(at, &["restore", "link", "--force"], "belongs to the database");
        fs::hard_link(at.join(&name), at.join("hard")).unwrap();
        is_refused(at, &["restore", "hard", "--force"], why(suffix));
        for name in ["link", "hard"] {
            fs::remove_file(at.join(name)).unwrap();
        }
    }
    fs::remove_file(at.join("auditbox.db-journal")).unwrap();
    assert_eq!(count(&Server::start_in(directory, &[])), 300);
}

#[test]
fn the_temporary_files_of_a_backup_must_not_be_the_database() {
    for name in ["copy.db.part", "copy.db.part-wal", "copy.db-wal"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        let server = Server::start_in(directory, &[("AUDITBOX_DATABASE_PATH", name)]);
        send(&server, "e", 5);
        let directory = stopped(server);
        let before = fs::read(&path).unwrap();
        for arguments in [["backup", "copy.db", "--force"], ["backup", "./copy.db", "--force"]] {
            let program =
                program(directory.path()).args(arguments).env("AUDITBOX_DATABASE_PATH", name).output().unwrap();
            assert_eq!(program.status.code(), Some(1), "{name}: {program:?}");
            assert!(said(&program).contains("belongs to the database"), "{name}: {program:?}");
            assert!(fs::read(&path).unwrap() == before, "{name}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_backup_does_not_replace_a_database_in_use() {
    let (server, other) = (Server::start(), Server::start());
    send(&other, "e", 5);
    let destination = other.database();
    is_refused(server.directory(), &["backup", destination.to_str().unwrap(), "--force"], "");
    let directory = crashed(other);
    // The old database's WAL would be read with the backup.
    is_refused(server.directory(), &["backup", directory.path().join(DATABASE).to_str().unwrap(), "--force"], "-wal");
    assert_eq!(count(&Server::start_in(directory, &[])), 5);
    // The link stays, and its target is replaced.
    let at = server.directory();
    fs::write(at.join("monday.db"), b"older").unwrap();
    symlink("monday.db", at.join("latest.db"));
    succeeds(at, &["backup", "latest.db", "--force"]);
    assert!(fs::symlink_metadata(at.join("latest.db")).unwrap().is_symlink());
    assert!(fs::metadata(at.join("monday.db")).unwrap().len() > 1_000);
    is_refused(at, &["backup", "."], "directory");
}

/// Creates credentials; returns the API token of each.
fn make_credentials(server: &Server, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| server.credential(name, &["read"])).collect()
}

fn status(server: &Server, token: &str) -> u16 {
    server.request_as(token, "GET", "/v1/audit-log?limit=1", "").status
}

/// A log with a backup, after which `revoked` was revoked, `disabled` disabled, a session ended, a link used and
/// `later` created. Returns the directory of its stopped server, the tokens of the first three credentials, the session
/// and the link.
fn with_revocations() -> (TempDir, Vec<String>, String, String) {
    let server = Server::start();
    let mut tokens = make_credentials(&server, &["kept", "revoked", "disabled"]);
    let ended = session::session(&server);
    let link = session::link(&server, &[]);
    succeeds(server.directory(), &["backup", "copy.db"]);
    assert_eq!(tokens.iter().map(|token| status(&server, token)).collect::<Vec<_>>(), [200, 200, 200]);
    let signed_out = session::with(&server, &ended, "POST", "/sign-out", &[("origin", &server.url)], "");
    assert_eq!(signed_out.status, 303);
    assert_eq!(session::use_link(&server, &link).status, 303);
    tokens.extend(make_credentials(&server, &["later"]));
    let directory = stopped(server);
    succeeds(directory.path(), &["credential", "revoke", "revoked"]);
    succeeds(directory.path(), &["credential", "disable", "disabled"]);
    (directory, tokens, ended, link)
}

fn statuses(server: &Server, tokens: &[String]) -> Vec<u16> {
    tokens.iter().map(|token| status(server, token)).collect()
}

#[test]
fn revocations_and_used_links_since_the_backup_stay() {
    let (directory, tokens, ended, link) = with_revocations();
    let said = succeeds(directory.path(), &["restore", "copy.db", "--force"]);
    for (name, state) in [("revoked", "revoked"), ("disabled", "disabled"), ("later", "not in the backup")] {
        let about = said.lines().find(|line| line.trim_start().starts_with(&format!("{name} (")));
        assert!(about.is_some_and(|line| line.contains(state)), "{name}: {said}");
    }
    assert!(!said.contains("kept ("), "{said}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [200, 401, 401, 401]);
    assert!(!session::opens(&server, &ended));
    assert_eq!(session::use_link(&server, &link).status, 401);
    let states: BTreeMap<String, Value> = server.get("/v1/credentials").json()["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|credential| (credential["name"].as_str().unwrap().to_owned(), credential["state"].clone()))
        .collect();
    assert_eq!((&states["revoked"], &states["disabled"]), (&json!("revoked"), &json!("disabled")));
    // The records include the restore, and each affected credential.
    let own = server.list("origin=auditbox&include_own=true&actor_type=system&limit=1000").json();
    let records: Vec<_> = own["audits"].as_array().unwrap().iter().collect();
    let restore = records.iter().find(|event| event["action"] == "audit_log.restore").unwrap();
    assert_eq!(restore["additionalData"]["credentials"]["lost"], json!(["later"]), "{restore}");
    assert_eq!(restore["resourceType"], "audit_log");
    for (action, name) in [("credential.revoke", "revoked"), ("credential.disable", "disabled")] {
        let about = |event: &&&Value| event["action"] == action && event["additionalData"]["name"] == name;
        assert_eq!(records.iter().filter(about).count(), 1, "{action}");
    }
    assert!(succeeds(server.directory(), &["doctor"]).contains("Nothing is wrong"));
}

#[test]
fn a_revocation_outlives_a_restore_of_a_backup_from_before_the_credential() {
    let server = Server::start();
    succeeds(server.directory(), &["backup", "before.db"]);
    let tokens = make_credentials(&server, &["revoked", "disabled", "active"]);
    succeeds(server.directory(), &["backup", "after.db"]);
    assert_eq!(statuses(&server, &tokens), [200, 200, 200]);
    let directory = stopped(server);
    succeeds(directory.path(), &["credential", "revoke", "revoked"]);
    succeeds(directory.path(), &["credential", "disable", "disabled"]);
    let said = succeeds(directory.path(), &["restore", "before.db", "--force"]);
    for (name, state) in [("revoked", "revoked, not in"), ("disabled", "disabled, not in"), ("active", "not in the")] {
        let about = said.lines().find(|line| line.trim_start().starts_with(&format!("{name} (")));
        assert!(about.is_some_and(|line| line.contains(&format!("): {state}"))), "{name}: {said}");
    }
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [401, 401, 401]);
    let own = server.list("origin=auditbox&include_own=true&action=credential.revoke").json();
    assert_eq!(own["audits"][0]["additionalData"]["name"], "revoked", "{own}");
    let directory = stopped(server);
    succeeds(directory.path(), &["restore", "after.db", "--force"]);
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [401, 401, 200]);
    succeeds(server.directory(), &["credential", "enable", "disabled"]);
    eventually("the enabled credential", || (status(&server, &tokens[1]) == 200).then_some(()));
}

#[test]
fn a_kept_revocation_yields_its_name_to_the_backup() {
    let server = Server::start();
    succeeds(server.directory(), &["backup", "before.db"]);
    let first = server.credential("shared", &["read"]);
    succeeds(server.directory(), &["backup", "first.db"]);
    let directory = stopped(server);
    succeeds(directory.path(), &["restore", "before.db", "--force"]);
    let server = Server::start_in(directory, &[]);
    let second = server.credential("shared", &["read"]);
    succeeds(server.directory(), &["backup", "second.db"]);
    let directory = stopped(server);
    succeeds(directory.path(), &["credential", "revoke", "shared"]);
    let said = succeeds(directory.path(), &["restore", "first.db", "--force"]);
    assert!(said.contains("named \"shared\" before, revoked, not in the backup"), "{said}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &[first.clone(), second.clone()]), [200, 401]);
    let directory = stopped(server);
    succeeds(directory.path(), &["restore", "second.db", "--force"]);
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &[first, second]), [401, 401]);
    assert!(succeeds(server.directory(), &["doctor"]).contains("Nothing is wrong"));
}

#[test]
fn revive_restores_credentials_as_the_backup_has_them() {
    let (directory, tokens, ended, _) = with_revocations();
    let said = succeeds(directory.path(), &["restore", "copy.db", "--force", "--revive"]);
    for name in ["revoked (", "disabled ("] {
        assert!(said.contains(name), "{said}");
    }
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [200, 200, 200, 401]);
    // The option revives credentials, not ended sessions.
    assert!(!session::opens(&server, &ended));
    let own = server.list("origin=auditbox&include_own=true&action=credential.revive").json();
    assert_eq!(own["audits"].as_array().unwrap().len(), 2);
}

#[test]
fn restrictions_made_by_hand_since_the_backup_are_kept() {
    let server = Server::start();
    let tokens = make_credentials(&server, &["rotated", "expired", "narrowed", "reopened"]);
    let session = session::session(&server);
    succeeds(server.directory(), &["credential", "disable", "reopened"]);
    succeeds(server.directory(), &["backup", "copy.db"]);
    let directory = stopped(server);
    let file = Database::open(directory.path().join(DATABASE)).unwrap();
    file.execute_batch(
        "UPDATE credential SET secret_hash = randomblob(32) WHERE name = 'rotated';
         UPDATE credential SET expires_at = 1 WHERE name = 'expired';
         UPDATE credential SET scopes = 'ingest' WHERE name = 'narrowed';
         UPDATE credential SET disabled_at = NULL WHERE name = 'reopened';
         UPDATE setting SET value = randomblob(32) WHERE name = 'access_token_key'",
    )
    .unwrap();
    file.close().unwrap();
    let said = succeeds(directory.path(), &["restore", "copy.db", "--force"]);
    for word in ["rotated (", "expired (", "narrowed (", "reopened (", "signing key"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [401, 401, 403, 401]);
    assert!(!session::opens(&server, &session));
    // The other direction is also safe: restoring the file that was moved aside changes nothing.
    let directory = stopped(server);
    let aside = named(directory.path(), ".before-");
    succeeds(directory.path(), &["restore", &aside[0], "--force"]);
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [401, 401, 403, 401]);
}

#[test]
fn a_restore_over_an_unreadable_file_needs_force_and_revive() {
    for damage in [&b"To whom it may concern\n"[..], &[0; 5_000], b"SQLite format 3\0 and no more"] {
        let (directory, tokens, ..) = with_revocations();
        let at = directory.path();
        fs::write(at.join(DATABASE), damage).unwrap();
        is_refused(at, &["restore", "copy.db"], "--force");
        is_refused(at, &["restore", "copy.db", "--force"], "--revive");
        let said = succeeds(at, &["restore", "copy.db", "--force", "--revive"]);
        assert!(said.contains("credential list"), "{said}");
        let aside = named(at, ".before-");
        assert!(aside.len() == 1 && fs::read(at.join(&aside[0])).unwrap() == damage);
        let server = Server::start_in(directory, &[]);
        assert_eq!(statuses(&server, &tokens), [200, 200, 200, 401]);
    }
}

#[test]
fn a_damaged_log_with_readable_credentials_keeps_its_revocations() {
    let (directory, tokens, ended, _) = with_revocations();
    let path = directory.path().join(DATABASE);
    let file = Database::open(&path).unwrap();
    let pages: Vec<u32> = file
        .prepare("SELECT pageno FROM dbstat WHERE name = 'event'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    file.close().unwrap();
    damage_pages(&path, &pages);
    let said = succeeds(directory.path(), &["restore", "copy.db", "--force"]);
    assert!(said.contains("revoked (") && said.contains("later ("), "{said}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [200, 401, 401, 401]);
    assert!(!session::opens(&server, &ended));
}

#[test]
fn a_restore_without_a_former_file_warns_that_revocations_are_unknown() {
    let (directory, tokens, ..) = with_revocations();
    let at = directory.path();
    fs::remove_file(at.join(DATABASE)).unwrap();
    let said = succeeds(at, &["restore", "copy.db"]);
    assert!(said.contains("credential list") && said.contains("revoked"), "{said}");
    let server = Server::start_in(directory, &[]);
    assert_eq!(statuses(&server, &tokens), [200, 200, 200, 401]);
    assert!(!server.login(CLIENT_ID, CLIENT_SECRET).is_empty());
}

#[test]
fn a_restore_over_a_new_log_accepts_the_credentials_of_the_backup() {
    let server = Server::start();
    send(&server, "e", 5);
    let tokens = make_credentials(&server, &["kept"]);
    succeeds(server.directory(), &["backup", "copy.db"]);
    let directory = stopped(server);
    let copy = fs::read(directory.path().join("copy.db")).unwrap();
    drop(directory);
    // The disk was lost, and a server started without its file.
    let fresh = Server::start();
    let later = make_credentials(&fresh, &["fresh"]);
    let directory = stopped(fresh);
    fs::write(directory.path().join("copy.db"), copy).unwrap();
    succeeds(directory.path(), &["restore", "copy.db", "--force"]);
    let server = Server::start_in(directory, &[]);
    assert_eq!((statuses(&server, &tokens), statuses(&server, &later)), (vec![200], vec![401]));
    assert_eq!(count(&server), 5);
}
