//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `auth` | who gets in: tokens, credentials, scopes, failed logins, the first start |
//! | `cli` | every command, what it prints, its exit code |
//! | `durability` | kill -9, signals, a second server: what was acknowledged is there, once |
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, refusals |
//! | `layers` | who may use whom, read from the source |
//! | `migrations` | the file: new, newer, another's, damaged; its triggers and its indexes |
//! | `openapi` | the API's description, held against what the server does |
//! | `record` | auditbox's own records: which requests, when, and who sees them |
//! | `tls` | HTTPS with an operator's own certificate |
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]
#![allow(unreachable_pub, reason = "what the harness offers is marked as offered; nothing outside can reach it")]
#![allow(clippy::print_stdout, reason = "a test that could not be made says so")]

mod auth;
mod cli;
mod durability;
mod harness;
mod ingest;
mod layers;
mod migrations;
mod openapi;
mod process;
mod record;
mod tls;
mod wire;
