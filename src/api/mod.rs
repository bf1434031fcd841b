//! JSON over HTTP.
//!
//! A handler parses, makes one call, and renders. `http` holds what all requests share, and a handler's signature
//! states the scope that it needs (`http::caller`). No SQL here.

mod credentials;
mod csv_rows;
mod event;
mod event_schema;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
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
