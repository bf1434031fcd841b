//! What tests of crashes and of power loss may set, in builds with debug assertions alone.
//!
//! A test that finds nothing lost must be known to be able to find something lost, and things that happen once in 64 MiB
//! must happen often enough to be hit. A release build holds none of this, and reads no such variable.
//!
//! | variable | sets |
//! |---|---|
//! | `AUDITBOX_REHEARSE_SYNCHRONOUS` | `PRAGMA synchronous`: with `NORMAL`, what was acknowledged is not yet on the disk |
//! | `AUDITBOX_REHEARSE_CHECKPOINT_BYTES` | how many bytes the log has before it is copied into the file |

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
    tracing::warn!(name, chosen, "this is a rehearsal: not for a log that anyone relies on");
    Some(chosen)
}
