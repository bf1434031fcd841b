//! auditbox: a self-hosted audit log. One binary, one SQLite file.
//!
//! The layers, each of which may use those below it and never one above:
//! `cli` → `server` → `api` and `web` → `http` → `access` → `store` → `index` → `model`; `config` and `telemetry` are used by `cli`
//! and `server`, `platform` by all that meet the operating system. docs/design/architecture.md walks an event and a query
//! through them.

pub mod access;
pub mod api;
pub mod cli;
pub mod config;
pub mod http;
pub mod index;
pub mod model;
pub mod platform;
pub mod server;
pub mod store;
pub mod synthetic;
pub mod telemetry;
pub mod terminal;
pub mod web;
