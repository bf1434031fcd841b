//! Signals to stop, and the limit on open files.

use std::io;

/// Signals that stop the server: SIGTERM and SIGINT.
#[cfg(unix)]
pub struct StopSignals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignals {
    /// Receives the signals from here on.
    pub fn receive() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Console events that stop the server: Ctrl-C, Ctrl-Break, the window's closing, and the shutdown of the system. Windows
/// ends the process a few seconds after the last two.
#[cfg(windows)]
pub struct StopSignals {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlBreak,
    close: tokio::signal::windows::CtrlClose,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl StopSignals {
    /// Receives the events from here on.
    pub fn receive() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};
        Ok(Self { interrupt: ctrl_c()?, terminate: ctrl_break()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    /// Waits for one of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.close.recv() => {}
            _ = self.shutdown.recv() => {}
        }
    }
}

/// Raises the limit on open files, which includes connections, as far as the system allows.
///
/// Shells set it to 1,024 (macOS: 256) for programs that still use `select`, and usually allow far more on request.
#[cfg(unix)]
pub fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = open_files_allowed(maximum);
    if current.is_none_or(|current| allowed.is_some_and(|allowed| current >= allowed)) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum }) {
        tracing::warn!(%error, ?current, "raising the limit on open files failed");
    }
}

#[cfg(all(unix, not(target_vendor = "apple")))]
const fn open_files_allowed(maximum: Option<u64>) -> Option<u64> {
    maximum
}

/// Apple's systems reject "unlimited" and guarantee `OPEN_MAX` (setrlimit(2)).
#[cfg(target_vendor = "apple")]
fn open_files_allowed(maximum: Option<u64>) -> Option<u64> {
    const OPEN_MAX: u64 = 10_240;
    Some(maximum.map_or(OPEN_MAX, |maximum| maximum.min(OPEN_MAX)))
}

/// The limit on open files; `None` means unlimited.
#[cfg(unix)]
pub fn open_files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Windows has no such limit.
#[cfg(windows)]
pub const fn raise_open_files() {}

/// The limit on open files; `None` means unlimited.
#[cfg(windows)]
pub const fn open_files_max() -> Option<u64> {
    None
}
