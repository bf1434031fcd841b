//! Differences between operating systems in the tests.

use std::{path::Path, process::Command};

/// Sends a signal to a process. False if there is no such process.
#[cfg(unix)]
pub(crate) fn signal(pid: u32, name: &str) -> bool {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match name {
        "CONT" => Signal::CONT,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        other => panic!("no test sends SIG{other}"),
    };
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).is_ok()
}

/// Sends the Windows equivalent of a signal: Ctrl-Break for both kinds of orderly stop. False if there is no such
/// process.
#[cfg(windows)]
pub(crate) fn signal(pid: u32, name: &str) -> bool {
    // The standard library cannot send it.
    const BREAK: &str = "$kernel = Add-Type -PassThru -Namespace Suite -Name Kernel -MemberDefinition \
         '[DllImport(\"kernel32.dll\")] public static extern bool GenerateConsoleCtrlEvent(uint kind, uint group);'; \
         if (-not $kernel::GenerateConsoleCtrlEvent(1, PID)) { exit 1 }";
    let mut command = match name {
        "KILL" => Command::new("taskkill"),
        "INT" | "TERM" => Command::new("powershell"),
        other => panic!("no test sends SIG{other} on Windows"),
    };
    let pid = pid.to_string();
    match name {
        "KILL" => command.args(["/F", "/PID", &pid]),
        _ => command.args(["-NoProfile", "-NonInteractive", "-Command", &BREAK.replace("PID", &pid)]),
    };
    command.output().unwrap().status.success()
}

/// Makes sure that only the program receives the signals sent to it.
#[cfg(unix)]
pub(crate) fn receive_signals_alone(command: &mut Command) -> &mut Command {
    command
}

/// Starts a program as the leader of a new process group, so that it receives Ctrl-Break and the tests do not.
#[cfg(windows)]
pub(crate) fn receive_signals_alone(command: &mut Command) -> &mut Command {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP)
}

/// Asserts that only its owner can read and write a file.
#[cfg(unix)]
pub(crate) fn assert_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}: {mode:o}", path.display());
}

/// On Windows, files have the permissions of their directory.
#[cfg(windows)]
pub(crate) fn assert_private(path: &Path) {
    assert!(path.exists(), "{}", path.display());
}

/// A word that is not UTF-8.
#[cfg(unix)]
pub(crate) fn not_unicode() -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"\xff\xfe".to_vec())
}

/// A word that is not UTF-16: half of a surrogate pair.
#[cfg(windows)]
pub(crate) fn not_unicode() -> std::ffi::OsString {
    std::os::windows::ffi::OsStringExt::from_wide(&[0xd800])
}

/// Kinds of second names that a test can create: symbolic links need a privilege on Windows.
pub(crate) const SECOND_NAMES: &[&str] =
    if cfg!(unix) { &["itself", "symlink", "hard link", "directory"] } else { &["itself", "hard link"] };

/// Creates a symbolic link.
#[cfg(unix)]
pub(crate) fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) {
    std::os::unix::fs::symlink(target, link).unwrap();
}

/// Is not called: see [`SECOND_NAMES`].
#[cfg(windows)]
pub(crate) fn symlink(_: impl AsRef<Path>, _: impl AsRef<Path>) {
    unreachable!("a test creates a symbolic link on Windows");
}
