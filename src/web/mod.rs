//! HTML over HTTP: pages for people.
//!
//! Pages are made on the server and work without script. What a page shows of an event was written by somebody who may
//! wish its reader ill: it is escaped, always, and never taken for markup.

mod headers;
mod routes;
mod sign_in;

pub use routes::configure;
