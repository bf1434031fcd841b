//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `auth` | who gets in: tokens, credentials, scopes, failed logins, the first start |
//! | `browser` | the pages, in a real browser: reading, filtering, following, exporting, with keys alone and without script |
//! | `cli` | every command, what it prints, its exit code |
//! | `backup` | a copy made beside a busy server, and put back |
//! | `damage` | flipped bytes: found, told, never served as sound |
//! | `durability` | kill -9, signals, a second server: what was acknowledged is there, once |
//! | `errors` | every error: status, code, envelope, headers |
//! | `export` | every event that matches, as a file |
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, identifiers, exact bytes |
//! | `layers` | who may use whom, read from the source |
//! | `limits` | hostile sizes, depths and speeds, and a server that goes on |
//! | `migrations` | the file: new, older, newer, another's, damaged; its triggers and its indexes |
//! | `openapi` | the API's description, held against what the server does |
//! | `pages` | what people see: pages, their filter, their headers, hostile data |
//! | `paging` | cursors, links, and following the log |
//! | `parameters` | parameters that are refused by name, or held to a limit |
//! | `properties` | any events and any questions, answered as a plain filter answers them |
//! | `query` | every parameter of a list, and what it matches |
//! | `record` | auditbox's own records: which requests, when, and who sees them |
//! | `refusals` | events that are refused, each by its field |
//! | `sealing` | the index in the file: kill -9 while it is written, doctor, reindex |
//! | `session` | people: signing in and out, links, cookies, requests from other sites |
//! | `stats` | counts, facets, histograms, and words to search for |
//! | `stream` | events as they arrive |
//! | `tls` | HTTPS with an operator's own certificate |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]
#![allow(unreachable_pub, reason = "what the harness offers is marked as offered; nothing outside can reach it")]
#![allow(clippy::print_stdout, reason = "a test that could not be made says so")]
#![allow(clippy::format_collect, reason = "tests are written to be read, not to be fast")]

mod auth;
mod backup;
mod browser;
mod cli;
mod damage;
mod durability;
mod errors;
mod export;
mod harness;
mod ingest;
mod layers;
mod limits;
mod migrations;
mod openapi;
mod pages;
mod paging;
mod parameters;
mod process;
mod properties;
mod query;
mod raw;
mod record;
mod refusals;
mod sealing;
mod session;
mod stats;
mod stream;
mod tls;
mod wire;
