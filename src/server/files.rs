//! How many files, which connections are too, the process may have open.
//!
//! Shells give a program 1,024, for the sake of programs that still use `select`, and let it ask for more: hundreds of
//! thousands, as a rule. Each connection takes two (one to be served by, one to be cut by), so the default of
//! `connections_max` would not be reached.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for as many as the system lets this process have.
pub(super) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "the limit of open files could not be raised");
    }
}
