//! Commands that read events: `query`, `tail`, `export`, `stats` and `event`.
//!
//! Their flags are the parameters of the API (`flags`). They read the file itself, or ask a server (`log`).

mod event;
mod export;
mod flags;
mod log;
mod query;
mod resume;
mod stats;
mod table;
mod tail;

pub(super) use event::{EventArguments, run as event};
pub(super) use export::{ExportArguments, run as export};
pub(super) use query::{QueryArguments, run as query};
pub(super) use stats::{StatsArguments, run as stats};
pub(super) use tail::{TailArguments, run as tail};
