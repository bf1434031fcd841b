//! HTML over HTTP: pages for people.
//!
//! Rendered here, complete without script; nothing is loaded from anywhere else. A handler parses, asks once, and renders;
//! what a page shows is plain data in its own folder before a template sees it. What an event holds was written by somebody
//! who may wish its reader ill: it is escaped, always, and never taken for markup.

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

pub use page::not_found;
pub use routes::configure;
