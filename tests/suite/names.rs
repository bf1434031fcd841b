//! One database under several names: links, mounts, and names that are not databases.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    harness::{Server, program, run},
    process::{Process, refusal},
    skip::{BASH, MOUNT, runs},
};

/// Commands that need exclusive use of the database.
const EXCLUSIVE: &[&[&str]] = &[&["serve"], &["import", "in.ndjson"], &["reindex"], &["restore", "copy.db", "--force"]];
/// Commands that may run while the server runs.
const WHILE_SERVING: &[&[&str]] = &[
    &["query"],
    &["doctor"],
    &["retention"],
    &["retention", "--trust-clock"],
    &["credential", "list"],
    &["credential", "create", "--name", "ci", "--scope", "read"],
    &["credential", "disable", "ci"],
    &["login-link"],
    &["backup", "another.db", "--force"],
];

/// A server with two events, with a backup and a file to import in its directory.
fn serving() -> Server {
    let server = Server::start();
    let event = |name: &str| json!({ "identifier": name, "action": "READ", "resourceType": "x" });
    server.store(&[event("e1"), event("e2")]);
    assert!(run(server.directory(), &["backup", "copy.db"]).status.success());
    fs::write(server.directory().join("in.ndjson"), event("e3").to_string()).unwrap();
    server
}

/// A command on the database of this name.
fn command(directory: &Path, name: &Path, arguments: &[&str]) -> Command {
    let mut command = program(directory);
    command.env("AUDITBOX_DATABASE_PATH", name).env("AUDITBOX_RETENTION_KEEP_DAYS", "90").args(arguments);
    command
}

/// Runs each command on the database with this name. All must fail at once with this message.
fn is_refused(directory: &Path, name: &Path, commands: &[&[&str]], says: &str) {
    for arguments in commands {
        let (code, message) = refusal(&mut command(directory, name, arguments));
        assert_eq!(code, Some(1), "{} {arguments:?}: {message}", name.display());
        assert!(message.contains(says), "{} {arguments:?}: {message}", name.display());
    }
}

/// The server has its events and no others, and its file is intact.
fn is_unharmed(server: Server) {
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["e1", "e2"]);
    let (status, directory) = server.stop();
    assert!(status.success());
    let examined = run(directory.path(), &["doctor"]);
    assert!(String::from_utf8_lossy(&examined.stdout).contains("Nothing is wrong."), "{examined:?}");
}

/// Symbolic links to the file, to its directory and to another link; and a path with detours.
fn aliases(directory: &Path) -> Vec<PathBuf> {
    let elsewhere = directory.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink("auditbox.db", directory.join("alias.db")).unwrap();
    symlink(directory.join("alias.db"), elsewhere.join("far.db")).unwrap();
    symlink(directory, elsewhere.join("directory")).unwrap();
    vec![
        directory.join("alias.db"),
        elsewhere.join("far.db"),
        elsewhere.join("directory/auditbox.db"),
        PathBuf::from("elsewhere/../auditbox.db"),
    ]
}

#[test]
fn a_database_in_use_is_in_use_through_every_symbolic_link() {
    let server = serving();
    let mut names = aliases(server.directory());
    names.push(server.database());
    for name in &names {
        is_refused(server.directory(), name, EXCLUSIVE, "auditbox.db is open in another auditbox");
        // On Linux the database itself is locked too.
        if cfg!(target_os = "linux") {
            fs::remove_file(server.directory().join("auditbox.db.lock")).unwrap();
            is_refused(server.directory(), name, EXCLUSIVE, "auditbox.db is open in another auditbox");
        }
    }
    is_unharmed(server);
}

#[test]
fn commands_work_through_a_symbolic_link_as_on_the_file() {
    let server = serving();
    for name in aliases(server.directory()) {
        for arguments in WHILE_SERVING.iter().filter(|arguments| !arguments.contains(&"ci")) {
            let done = command(server.directory(), &name, arguments).output().unwrap();
            assert!(done.status.success(), "{} {arguments:?}: {done:?}", name.display());
        }
    }
    let (status, directory) = server.stop();
    assert!(status.success());
    let elsewhere = directory.path().join("elsewhere");
    for (name, stored) in aliases_again(directory.path()).iter().zip(3..) {
        let event = json!({ "identifier": format!("e{stored}"), "action": "READ", "resourceType": "x" });
        fs::write(directory.path().join("in.ndjson"), event.to_string()).unwrap();
        for arguments in [&["import", "in.ndjson"][..], &["reindex"]] {
            let done = command(directory.path(), name, arguments).output().unwrap();
            assert!(done.status.success(), "{} {arguments:?}: {done:?}", name.display());
        }
        let listed = run(directory.path(), &["query", "--json"]);
        assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), stored);
    }
    let mut names: Vec<_> = fs::read_dir(elsewhere).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != "far.db.lock");
    names.sort();
    assert_eq!(names, ["directory", "far.db"]);
}

/// The names that [`aliases`] creates.
fn aliases_again(directory: &Path) -> [PathBuf; 2] {
    [directory.join("alias.db"), directory.join("elsewhere/far.db")]
}

#[test]
fn a_link_to_a_missing_file_creates_that_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    let (alias, file) = (directory.path().join("alias.db"), data.join("auditbox.db"));
    symlink("data/auditbox.db", &alias).unwrap();
    let mut server = Process::start(&mut command(directory.path(), &alias, &["serve"]));
    server.url();
    is_refused(directory.path(), &file, &[&["serve"]], "auditbox.db is open in another auditbox");
    server.signal("KILL");
    server.end();
    assert!(data.join("auditbox.db-wal").exists() && data.join("auditbox.db.lock").exists());
    assert!(fs::symlink_metadata(&alias).unwrap().is_symlink());
    assert!(!directory.path().join("alias.db-wal").exists());
    let created = command(directory.path(), &file, &["credential", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&created.stdout).contains("admin"), "{created:?}");
}

#[test]
fn a_restore_through_a_symbolic_link_replaces_the_file_and_not_the_link() {
    let mut server = serving();
    server.store(&[json!({ "identifier": "later", "action": "READ", "resourceType": "x" })]);
    // A WAL stays behind and must not be read with the restored file.
    server.kill();
    let alias = aliases(server.directory())[1].clone();
    let restored = command(server.directory(), &alias, &["restore", "copy.db", "--force"]).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    assert!(fs::symlink_metadata(&alias).unwrap().is_symlink());
    let listed = run(server.directory(), &["query", "--json"]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 2, "{listed:?}");
    server.start_again();
    is_unharmed(server);
}

#[test]
fn of_many_concurrent_starts_on_a_new_file_one_serves() {
    let directory = tempfile::tempdir().unwrap();
    let alias = directory.path().join("alias.db");
    symlink("auditbox.db", &alias).unwrap();
    let names = [directory.path().join("auditbox.db"), alias];
    let mut processes: Vec<_> =
        (0..8).map(|number| Process::start(&mut command(directory.path(), &names[number % 2], &["serve"]))).collect();
    let outcomes: Vec<_> = processes.iter_mut().map(Process::started).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(refused.contains("auditbox.db is open in another auditbox"), "{refused}");
    }
}

#[test]
fn a_file_with_a_second_hard_link_is_rejected_by_every_command() {
    let server = serving();
    let elsewhere = server.directory().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let links = [server.directory().join("link.db"), elsewhere.join("auditbox.db")];
    for link in &links {
        fs::hard_link(server.database(), link).unwrap();
        for name in [link, &server.database()] {
            is_refused(server.directory(), name, EXCLUSIVE, "2 hard links");
            is_refused(server.directory(), name, WHILE_SERVING, "2 hard links");
        }
        assert!(!elsewhere.join("auditbox.db-wal").exists() && !server.directory().join("link.db-wal").exists());
        fs::remove_file(link).unwrap();
    }
    // The server started first, and continues.
    is_unharmed_after(server, &links[0]);
}

/// The server is unharmed. After it has stopped, a second link prevents its start until the link is removed.
fn is_unharmed_after(server: Server, link: &Path) {
    let (status, directory) = server.stop();
    assert!(status.success());
    let file = directory.path().join("auditbox.db");
    let link = directory.path().join(link.file_name().unwrap());
    fs::hard_link(&file, &link).unwrap();
    for name in [&link, &file] {
        is_refused(directory.path(), name, EXCLUSIVE, "2 hard links");
        is_refused(directory.path(), name, WHILE_SERVING, "2 hard links");
    }
    fs::remove_file(&link).unwrap();
    is_unharmed(Server::start_in(directory, &[]));
}

/// A mount, removed when dropped.
struct Bound(PathBuf);

impl Bound {
    /// Mounts `what` at `at`; `None` without the permission to mount.
    fn new(what: &Path, at: &Path) -> Option<Self> {
        let mounted = runs("mount", &["--bind", what.to_str()?, at.to_str()?]);
        MOUNT.is_met(mounted).then(|| Self(at.to_owned()))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        runs("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[test]
fn a_database_in_use_is_in_use_through_a_bind_mount_of_its_directory() {
    let server = serving();
    let at = tempfile::tempdir().unwrap();
    let Some(_bound) = Bound::new(server.directory(), at.path()) else { return };
    let name = at.path().join("auditbox.db");
    is_refused(server.directory(), &name, EXCLUSIVE, "auditbox.db is open in another auditbox");
    is_unharmed(server);
}

#[test]
fn a_file_that_is_itself_mounted_is_rejected_by_every_command() {
    let server = serving();
    let at = tempfile::tempdir().unwrap();
    let name = at.path().join("auditbox.db");
    fs::write(&name, "").unwrap();
    let Some(bound) = Bound::new(&server.database(), &name) else { return };
    is_refused(server.directory(), &name, EXCLUSIVE, "mount its directory");
    is_refused(server.directory(), &name, WHILE_SERVING, "mount its directory");
    assert!(!at.path().join("auditbox.db-wal").exists());
    assert_eq!(server.list("sort=received&order=asc").identifiers(), ["e1", "e2"]);
    let (status, directory) = server.stop();
    assert!(status.success());
    is_refused(directory.path(), &name, EXCLUSIVE, "mount its directory");
    drop(bound);
    is_unharmed(Server::start_in(directory, &[]));
}

#[test]
fn a_file_locked_by_an_older_auditbox_is_in_use() {
    let server = serving();
    let (status, directory) = server.stop();
    assert!(status.success());
    // Older builds lock a file named after the given path.
    for (name, lock) in [("auditbox.db", "auditbox.db.lock"), ("alias.db", "alias.db.lock")] {
        if name != "auditbox.db" {
            symlink("auditbox.db", directory.path().join(name)).unwrap();
        }
        let file = fs::OpenOptions::new().create(true).append(true).open(directory.path().join(lock)).unwrap();
        file.try_lock().unwrap();
        is_refused(directory.path(), &directory.path().join(name), EXCLUSIVE, "is open in another auditbox");
    }
    is_unharmed(Server::start_in(directory, &[]));
}

/// Things with a path that are not regular files, each with its kind.
fn others(directory: &Path) -> Vec<(PathBuf, &'static str)> {
    let (folder, fifo, socket) = (directory.join("folder"), directory.join("fifo"), directory.join("socket"));
    fs::create_dir(&folder).unwrap();
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    drop(UnixListener::bind(&socket).unwrap());
    vec![
        (folder, "a directory"),
        (fifo, "a named pipe"),
        (socket, "a socket"),
        (PathBuf::from("/dev/null"), "a device"),
    ]
}

fn prepared() -> TempDir {
    let (status, directory) = serving().stop();
    assert!(status.success());
    directory
}

#[test]
fn anything_but_a_file_is_rejected_as_a_database_at_once() {
    let directory = prepared();
    // Nothing exists there, but the form of the name shows what it means.
    let new = (PathBuf::from("new/"), "a directory");
    for (name, kind) in others(directory.path()).into_iter().chain([new]) {
        let says = format!("is {kind}");
        is_refused(directory.path(), &name, EXCLUSIVE, &says);
        is_refused(directory.path(), &name, WHILE_SERVING, &says);
        let link = directory.path().join("link");
        symlink(&name, &link).unwrap();
        is_refused(directory.path(), &link, &[&["serve"], &["query"]], &says);
        fs::remove_file(link).unwrap();
    }
    let file = directory.path().join("auditbox.db");
    for suffix in ["-wal", "-shm", ".lock"] {
        let beside = directory.path().join(format!("auditbox.db{suffix}"));
        drop(fs::remove_file(&beside));
        assert!(Command::new("mkfifo").arg(&beside).status().unwrap().success());
        is_refused(directory.path(), &file, EXCLUSIVE, "is a named pipe");
        fs::remove_file(&beside).unwrap();
    }
    is_unharmed(Server::start_in(directory, &[]));
}

#[test]
fn anything_but_a_file_is_rejected_as_a_source_or_a_copy_at_once() {
    let directory = prepared();
    let database = directory.path().join("auditbox.db");
    for (name, kind) in others(directory.path()) {
        let (name, says) = (name.to_str().unwrap(), format!("is {kind}"));
        for arguments in [&["restore", name, "--force"], &["backup", name, "--force"]] {
            is_refused(directory.path(), &database, &[arguments], &says);
        }
        // An import waits for the writer of a pipe.
        if kind != "a named pipe" {
            for arguments in [&["import", name][..], &["import", "in.ndjson", name]] {
                is_refused(directory.path(), &database, &[arguments], &says);
            }
        }
    }
    // Nothing was imported before the second file was checked.
    is_unharmed(Server::start_in(directory, &[]));
}

#[test]
fn imports_read_descriptors_of_any_kind() {
    if !BASH.is_met(runs("bash", &["--version"])) {
        return;
    }
    let directory = prepared();
    let shell = |line: &str| {
        let mut command = command(directory.path(), &directory.path().join("auditbox.db"), &[]);
        let program = command.get_program().to_owned();
        let variables: Vec<_> =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
        command = Command::new("bash");
        command.current_dir(directory.path()).args(["-c", line]).env("PROGRAM", program);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let done = command.output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    assert!(shell(r#""$PROGRAM" import <(cat in.ndjson)"#).contains("1 stored"));
    for line in [
        r#"cat in.ndjson | "$PROGRAM" import /dev/stdin"#,
        r#"cat in.ndjson | "$PROGRAM" import -"#,
        r#""$PROGRAM" import /dev/fd/0 < in.ndjson"#,
        r#""$PROGRAM" import /dev/fd/3 3< <(cat in.ndjson)"#,
        r#"mkfifo pipe; cat in.ndjson > pipe & "$PROGRAM" import pipe"#,
        r#"ln -s pipe link; cat in.ndjson > pipe & "$PROGRAM" import link"#,
        r#""$PROGRAM" import /proc/self/fd/3 3< <(cat in.ndjson)"#,
    ]
    .into_iter()
    .filter(|line| cfg!(target_os = "linux") || !line.contains("/proc/"))
    {
        assert!(shell(line).contains("1 duplicate"), "{line}");
    }
}

#[test]
fn names_with_a_special_meaning_to_sqlite_are_rejected() {
    let directory = prepared();
    for (path, says) in [
        (":memory:", "auditbox keeps its log in a file"),
        ("file:auditbox.db", "auditbox takes a path"),
        ("file:auditbox.db?mode=memory", "auditbox takes a path"),
        ("", "must name a file"),
    ] {
        for arguments in [&["serve"][..], &["query"], &["doctor"], &["check-config"]] {
            let (code, message) = refusal(&mut command(directory.path(), Path::new(path), arguments));
            assert_eq!(code, Some(1), "{path} {arguments:?}: {message}");
            assert!(message.contains("database") && message.contains(says), "{path} {arguments:?}: {message}");
        }
    }
    assert!(!directory.path().join(":memory:").exists());
}

#[test]
fn next_to_a_file_of_another_program_nothing_is_left() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("in.ndjson"), r#"{"action":"A","resourceType":"x"}"#).unwrap();
    fs::write(directory.path().join("notes.txt"), "not a database\n".repeat(40)).unwrap();
    let other = rusqlite::Connection::open(directory.path().join("other.db")).unwrap();
    other.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(other);
    let names = || -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for name in ["notes.txt", "other.db"] {
        let name = directory.path().join(name);
        let commands: Vec<&[&str]> =
            EXCLUSIVE.iter().chain(WHILE_SERVING).copied().filter(|command| command[0] != "restore").collect();
        is_refused(directory.path(), &name, &commands, "");
        assert_eq!(names(), before, "{}", name.display());
    }
}

/// Sets the mode of a file or directory.
fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_that_others_can_read_or_replace_is_opened_with_a_warning() {
    let directory = prepared();
    let data = directory.path().join("it's data");
    fs::create_dir(&data).unwrap();
    let file = data.join("auditbox.db");
    fs::rename(directory.path().join("auditbox.db"), &file).unwrap();
    let says = |file_mode, directory_mode| {
        // A command that only reads leaves these files, with the database's former mode.
        for suffix in ["-wal", "-shm"] {
            drop(fs::remove_file(data.join(format!("auditbox.db{suffix}"))));
        }
        set_mode(&file, file_mode);
        set_mode(&data, directory_mode);
        let mut server = Process::start(&mut command(directory.path(), &file, &["serve"]));
        server.url();
        assert!(server.stop().success());
        let examined = command(directory.path(), &file, &["doctor"]).output().unwrap();
        let said = String::from_utf8_lossy(&examined.stdout) + String::from_utf8_lossy(&examined.stderr);
        assert!(examined.status.success() && said.contains("Nothing is wrong."), "{said}");
        [server.log(), said.into_owned()]
    };
    let (close_file, close_directory) = ("chmod 600 '", "chmod go-w '");
    for said in says(0o600, 0o755) {
        assert!(!said.contains("chmod"), "{said}");
    }
    for mode in [0o666, 0o640, 0o604, 0o620] {
        for said in says(mode, 0o700) {
            assert!(said.contains(close_file) && !said.contains(close_directory), "{mode:o}: {said}");
        }
    }
    for mode in [0o777, 0o770, 0o702] {
        for said in says(0o600, mode) {
            assert!(!said.contains(close_file) && said.contains(close_directory), "{mode:o}: {said}");
        }
    }
    // A user who cannot rename the file cannot replace it.
    for said in says(0o600, 0o1777) {
        assert!(!said.contains("chmod"), "{said}");
    }
    // The commands can be pasted, and solve the problem.
    let [log, _] = says(0o644, 0o777);
    for line in log.lines().filter(|line| line.contains("chmod")) {
        let fix = &line[line.find("chmod").unwrap()..];
        assert!(Command::new("sh").args(["-c", fix]).status().unwrap().success(), "{fix}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&file), mode(&data)), (0o600, 0o755));
}
