//! auditbox: a self-hosted audit log. One binary, one SQLite file.
//!
//! The layers, each of which may use only those below it:
//! `cli` → `server` → `api`, `ui` and `doors` → `ingest` → `http` → `auth` → `store` → `index` → `model`; `config` and `logging` are used by `cli`
//! and `server`, `platform` by all that use the operating system. docs/design/architecture.md walks an event and a query
//! through them.

pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod doors;
pub mod http;
pub mod index;
mod ingest;
pub mod logging;
pub mod model;
pub mod platform;
pub mod server;
pub mod store;
pub mod terminal;
pub mod testdata;
pub mod ui;
