//! The pages: what people see of the log.
//!
//! Rendered here, complete without script; nothing is loaded from anywhere else. A handler parses, asks once, and renders;
//! what a page shows is plain data in its own folder before a template sees it. What events hold is hostile: it goes through
//! the templates' escaping and nowhere else.

mod asked;
mod assets;

mod entry;
mod event;
mod labels;
mod list;
mod page;
mod routes;
mod sentence;
mod stream;
mod when;
mod wording;

pub use routes::configure;
