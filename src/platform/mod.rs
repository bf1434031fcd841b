//! Differences between operating systems: one file per concern, with the versions for each system side by side.
//!
//! What belongs here: every `cfg` of an operating system, and nothing that knows auditbox. All other code is the same on every
//! system. Linux has every guarantee; `docs/operate/platforms.md` lists what macOS and
//! Windows lack.

pub mod file;
pub mod lock;
pub mod permissions;
pub mod process;
pub mod socket;
pub mod sync;
pub mod thread;
