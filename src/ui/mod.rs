//! Pages: HTML over HTTP.
//!
//! Pages are rendered on the server, work without script, and load nothing from other sites. A handler parses its
//! parameters, queries the store, and renders a template from plain data. Event data is hostile input: it is always
//! escaped and never treated as markup.

mod action_phrase;
mod assets;
mod credentials;
mod doors;
mod event;
mod event_view;
mod formatted_time;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod headers;
mod labels;
mod list;
mod markup;
mod page;
mod params;
mod routes;
mod sentence;
mod sign_in;
mod stream;
mod wording;

pub use page::{error_page, not_found};
pub use routes::configure;
