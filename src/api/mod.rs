//! The JSON API.
//!
//! A handler parses its request, makes one call, and renders the response. Its signature states the scope that it needs
//! (`http::caller`), and its response type is also its description in `/openapi.json`. What all requests share belongs to
//! `http`, the meaning of parameters to `model`; no SQL here.

mod credentials;
mod csv_rows;
mod cut_lists;
mod doors;
mod event;
mod event_schema;
mod export;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod health;
mod incomplete;
mod line;
mod list;
mod metrics;
mod openapi;
mod routes;
mod send;
mod stats;
mod stream;
mod token;

pub(crate) use credentials::{created_json, credential_json};
pub(crate) use csv_rows::CsvRows;
pub(crate) use incomplete::{HEADER as INCOMPLETE_HEADER, IncompleteFields};
pub(crate) use list::next_position;
pub use openapi::document as openapi_document;
pub use routes::configure;
pub(crate) use stats::response as stats_response;
