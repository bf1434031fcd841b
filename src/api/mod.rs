//! JSON over HTTP: requests in, answers out.
//!
//! A handler parses, makes one call, and renders. What every request shares is in `http`; what a handler may do is in its
//! signature (`http::caller`). Nothing here builds SQL.

mod credentials;
mod csv_rows;
mod event;
mod export;
mod health;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod ingest;
mod line;
mod list;
mod metrics;
mod openapi;
mod routes;
mod stats;
mod stream;
mod token;

pub use openapi::document as openapi_document;
pub use routes::configure;
