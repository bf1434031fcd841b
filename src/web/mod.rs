//! HTML over HTTP: pages for people.
//!
//! Pages are rendered on the server, complete without script, and load nothing from elsewhere. A handler parses,
//! queries once, and renders; templates see plain data. Event data is hostile input: it is always escaped and never
//! treated as markup.

mod asked;
mod assets;
mod credentials;
mod entry;
mod event;
mod headers;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod labels;
mod list;
mod page;
mod routes;
mod sentence;
mod sign_in;
mod stream;
mod when;
mod wording;

pub use page::{error_page, not_found};
pub use routes::configure;
