//! The limit on open files, which includes connections.
//!
//! Shells set it to 1,024 for programs that still use `select`, and usually allow hundreds of thousands on request. A
//! connection takes two descriptors (one to serve it, one to cut it), so the default `connections_max` would not be
//! reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the system allows.
pub(super) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "the limit of open files could not be raised");
    }
}
