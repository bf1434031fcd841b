//! Settings for tests of crashes and of power loss, only in builds with debug assertions.
//!
//! A test that finds no loss must be shown to detect loss, so a test can weaken the sync. What happens once per 64 MiB
//! must happen more often, so that a crash hits it. Release builds do not read these variables.
//!
//! | variable | sets |
//! |---|---|
//! | `AUDITBOX_REHEARSE_SYNCHRONOUS` | `PRAGMA synchronous`: with `NORMAL`, acknowledged events are not on the disk |
//! | `AUDITBOX_REHEARSE_CHECKPOINT_BYTES` | the size at which the write-ahead log is copied, in bytes |

#[cfg(debug_assertions)]
pub(in crate::store) fn synchronous(promised: &'static str) -> String {
    variable("AUDITBOX_REHEARSE_SYNCHRONOUS").unwrap_or_else(|| promised.to_owned())
}

#[cfg(not(debug_assertions))]
pub(in crate::store) const fn synchronous(promised: &'static str) -> &'static str {
    promised
}

#[cfg(debug_assertions)]
pub(in crate::store) fn checkpoint_bytes(usual: usize) -> usize {
    let chosen = variable("AUDITBOX_REHEARSE_CHECKPOINT_BYTES");
    chosen.and_then(|chosen| chosen.parse().ok()).unwrap_or(usual)
}

#[cfg(not(debug_assertions))]
pub(in crate::store) const fn checkpoint_bytes(usual: usize) -> usize {
    usual
}

#[cfg(debug_assertions)]
fn variable(name: &str) -> Option<String> {
    let chosen = std::env::var(name).ok()?;
    tracing::warn!(name, chosen, "this setting is for tests of faults: events may be lost");
    Some(chosen)
}
