//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `access` | every route, with every kind of credential in every state |
//! | `administrators` | the last administrator cannot be disabled or revoked, and login-link helps without one |
//! | `auth` | who gets in: tokens, credentials, scopes, failed logins, the first start |
//! | `browser` | the pages, in a real browser: reading, filtering, following, exporting, with keys alone and without script |
//! | `checker` | random operations of every kind, each compared with a plain model |
//! | `cli` | every command, what it prints, its exit code |
//! | `backup` | a copy made beside a busy server, and put back |
//! | `damage` | flipped bytes: found, told, never served as sound |
//! | `damaged_index` | pages of the index that cannot be read: what they cost, and how the index is made anew |
//! | `clock` | a clock that jumps under a running server |
//! | `connections` | idle and unfinished connections: closed for room, and health answered meanwhile |
//! | `conformance` | every answer that any test gets, held against the API's description |
//! | `duplicates` | identifiers that belong to more than one event: found, named |
//! | `contributing` | CONTRIBUTING.md names every switch of the tests |
//! | `durability` | kill -9, signals, a second server: what was acknowledged is there, once |
//! | `epochs` | followers across restores, restarts, upgrades and files put back by hand |
//! | `errors` | every error: status, code, envelope, headers |
//! | `examples` | the senders and followers in `examples/`, between restarts and lost answers |
//! | `export` | every event that matches, as a file |
//! | `faults` | kills at any call, loss of power, full and failing disks: what a 2xx promises |
//! | `future` | events from the future and from long ago: kept, and no reader's view is spoiled |
//! | `held` | another program's read transaction, and the bound of the write-ahead log |
//! | `hostile` | requests that no honest client makes: framing, floods, the ends of ranges |
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, identifiers, exact bytes |
//! | `layers` | who may use whom, read from the source |
//! | `limits` | hostile sizes, depths and speeds, and a server that goes on |
//! | `long_queries` | queries that take long: their deadline, and what they leave to others |
//! | `mask` | secrets in events: replaced before they are stored |
//! | `metrics` | what Prometheus reads, and the dashboard that shows it |
//! | `migrations` | the file: new, older, newer, another's, damaged; its triggers and its indexes |
//! | `names` | one database under several names: links, mounts, and what is no database |
//! | `network` | no calls of its own |
//! | `openapi` | the API's description, held against what the server does |
//! | `other_writers` | what another program writes into the database while the server runs |
//! | `overload` | more than the server can do, of everything at once |
//! | `packaging` | what a release consists of, made by the scripts that the workflows run |
//! | `pages` | what people see: pages, their filter, their headers, hostile data |
//! | `paging` | cursors, links, and following the log |
//! | `parameters` | parameters that are refused by name, or held to a limit |
//! | `platform` | what tests do differently on each operating system |
//! | `properties` | any events and any questions, answered as a plain filter answers them |
//! | `query` | every parameter of a list, and what it matches |
//! | `readme` | the README's first five minutes, pasted as they stand |
//! | `record` | auditbox's own records: which requests, when, and who sees them |
//! | `refusals` | events that are refused, each by its field |
//! | `restore` | a backup put in a log's place: nothing lost, nothing overwritten, nothing revoked made valid again |
//! | `retention` | what is past its time goes, with a record, whatever happens meanwhile, and nothing else does |
//! | `sealing` | the index in the file: kill -9 while it is written, doctor, reindex |
//! | `search` | words to search for, in every script and in every place of a message |
//! | `secrets` | in no log, no answer, no event, no other table, no `Debug` |
//! | `session` | people: signing in and out, links, cookies, requests from other sites |
//! | `skip` | what only some tests need, and the list of skipped tests |
//! | `stats` | counts, facets, histograms, and words to search for |
//! | `stream` | events as they arrive |
//! | `supply` | licences and sources of what it is made of, the unit for systemd, the container |
//! | `terminal` | what the command line writes: hostile text, readers that are gone, full disks |
//! | `tls` | HTTPS with an operator's own certificate |
//! | `unread` | unread answers: what they cost, and how they end |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets what it did not expect has failed")]
#![allow(unreachable_pub, reason = "what the harness offers is marked as offered; nothing outside can reach it")]
#![allow(clippy::print_stdout, reason = "a test that could not be made says so")]
#![allow(clippy::format_collect, reason = "tests are written to be read, not to be fast")]
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "helpers of tests that only Linux runs")
)]

mod access;
mod administrators;
mod auth;
mod backup;
mod browser;
mod checker;
mod cli;
#[cfg(target_os = "linux")]
mod clock;
mod conformance;
mod connections;
mod contributing;
mod damage;
mod damaged_index;
mod duplicates;
mod durability;
mod epochs;
mod errors;
mod examples;
mod export;
mod faults;
mod future;
mod harness;
mod held;
mod hostile;
mod ingest;
mod layers;
mod limits;
mod long_queries;
mod mask;
mod metrics;
mod migrations;
#[cfg(unix)]
mod names;
#[cfg(target_os = "linux")]
mod network;
mod openapi;
mod other_writers;
#[cfg(target_os = "linux")]
mod overload;
#[cfg(target_os = "linux")]
mod packaging;
mod pages;
mod paging;
mod parameters;
mod platform;
mod process;
mod properties;
mod query;
mod raw;
mod readme;
mod record;
mod refusals;
mod restore;
mod retention;
mod sealing;
mod search;
mod secrets;
mod session;
mod skip;
mod stats;
mod stream;
mod supply;
mod terminal;
mod tls;
#[cfg(target_os = "linux")]
mod unread;
mod wire;
