//! The integration tests: the real program on a real socket, with a separate file for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `access` | every route, with every kind of credential in every state |
//! | `administrators` | the last administrator cannot be disabled or revoked, and remedies if none can sign in |
//! | `auth` | authentication: tokens, credentials, scopes, failed logins, the first start |
//! | `backup` | a backup under ingest, and its restore |
//! | `browser` | the pages in a real browser: reading, filtering, following, exporting, by keyboard, without script |
//! | `checker` | random operations of every kind, each compared with a plain model |
//! | `cli` | every command, its output and its exit code |
//! | `clock` | a clock that jumps under a running server |
//! | `conformance` | every response in any test matches the API description |
//! | `connections` | idle and unfinished connections: closed to make room, while health checks are answered |
//! | `contributing` | CONTRIBUTING.md names every switch of the tests |
//! | `custom_fields` | declared fields: in new and in older events, under kills, in every interface
//! | `damage` | flipped bytes: found, reported, never served as sound |
//! | `damaged_index` | unreadable pages of the index: their consequences, and how the index is rebuilt |
//! | `duplicates` | identifiers that belong to more than one event: found and named |
//! | `durability` | kill -9, signals, a second server: acknowledged events are there once |
//! | `epochs` | followers across restores, restarts, upgrades and files that were copied back by hand |
//! | `errors` | every error: status, code, envelope, headers |
//! | `examples` | the senders and followers in `examples/`, across restarts and lost responses |
//! | `export` | every matching event, as a file |
//! | `faults` | kills at any system call, power loss, full and failing disks: the promise of a 2xx response |
//! | `formats` | records of other systems become events, and the command `preset` |
//! | `future` | events from the future and from long ago: stored, without distorting any reader's view |
//! | `held` | another program's read transaction, and the bound of the write-ahead log |
//! | `hostile` | requests that no honest client makes: framing, floods, the ends of ranges |
//! | `import` | what `auditbox import` reads, and which records without identifiers are the same |
//! | `ingest` | ingest: forms, encodings, duplicates, conflicts, identifiers, exact bytes |
//! | `kept` | unusual values, spellings and bodies: kept and found, and what is the same event |
//! | `layers` | which layer may use which, read from the source |
//! | `limits` | hostile sizes, depths and speeds, and a server that continues |
//! | `local` | commands ask the server that runs on their file |
//! | `long_queries` | long queries: their deadline, and the resources that they leave to others |
//! | `mapped` | records of other systems on their way into the log: `import --format`, `?format=` |
//! | `mask` | secrets in events: replaced before they are stored |
//! | `metrics` | Prometheus metrics, and the dashboard for them |
//! | `migrations` | the file: new, older, newer, of another program, damaged; its triggers and its indexes |
//! | `names` | one database under several names: links, mounts, and paths that are not databases |
//! | `network` | no outgoing calls |
//! | `openapi` | the API description agrees with the server |
//! | `other_writers` | rows that another program writes into the database while the server runs |
//! | `overload` | more load of every kind than the server can take |
//! | `packaging` | the parts of a release, built by the scripts that the workflows run |
//! | `pages` | the pages: content, filter, headers, hostile data |
//! | `paging` | cursors, links, and following the log |
//! | `parameters` | invalid parameters, rejected by name, and parameters with limits |
//! | `platform` | differences between operating systems in the tests |
//! | `properties` | any events and any queries: the results equal those of a plain filter |
//! | `query` | every parameter of a list, and what it matches |
//! | `readme` | the README's quick start and the guide's requests, run as pasted, and every link |
//! | `reading` | the commands that read events, on the file and on a server |
//! | `record` | auditbox's own records: of which requests, when, and visible to whom |
//! | `refusals` | invalid events, each rejected by its field |
//! | `remote` | commands with `--url`: a server under a path, one that hangs, one whose connection breaks |
//! | `restore` | a restored backup: nothing is lost or overwritten, and nothing revoked becomes valid again |
//! | `retention` | expired events are deleted with a record, under any circumstances; nothing else is deleted |
//! | `sealing` | the index in the file: kill -9 while it is written, doctor, reindex |
//! | `routes` | records that other systems deliver to `[[routes]]`: signatures, limits, and what counts as the same |
//! | `search` | text search, in every script and every part of a message |
//! | `secrets` | secrets are in no server log, response, event, other table or `Debug` output |
//! | `session` | sessions: signing in and out, links, cookies, requests from other sites |
//! | `skip` | requirements of single tests, and the list of skipped tests |
//! | `static_secrets` | one static secret in every form of senders, its replacement, and the addresses that it allows |
//! | `stats` | counts, facets, histograms |
//! | `stream` | live streams of events |
//! | `supply` | licenses and sources of the dependencies, the systemd unit, the container |
//! | `terminal` | output of the command line: hostile text, closed pipes, full disks |
//! | `tls` | HTTPS with an operator's certificate |
//! | `unread` | unread responses: their cost, and their end |

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "an unexpected value fails the test")]
#![allow(unreachable_pub, reason = "the harness marks its interface with `pub`, although nothing outside can reach it")]
#![allow(clippy::print_stdout, reason = "a skipped test reports it")]
#![allow(clippy::format_collect, reason = "readability matters more than speed in tests")]
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "helpers of tests that run only on Linux")
)]

mod access;
mod administrators;
mod auth;
mod backup;
mod blocks;
mod browser;
mod checker;
mod cli;
#[cfg(target_os = "linux")]
mod clock;
mod conformance;
mod connections;
mod contributing;
mod custom_fields;
mod damage;
mod damaged_index;
mod doors;
mod duplicates;
mod durability;
mod epochs;
mod errors;
mod examples;
mod export;
mod faults;
mod follow;
mod formats;
mod future;
mod harness;
mod held;
mod hostile;
mod import;
mod ingest;
mod kept;
mod layers;
mod limits;
#[cfg(unix)]
mod local;
mod long_queries;
mod mapped;
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
#[cfg(target_os = "linux")]
mod reading;
mod readme;
mod record;
mod refusals;
mod remote;
mod restore;
mod retention;
mod routes;
mod sealing;
mod search;
mod secrets;
mod session;
mod skip;
mod static_secrets;
mod stats;
mod stream;
mod supply;
#[cfg(target_os = "linux")]
mod terminal;
mod tls;
#[cfg(target_os = "linux")]
mod unread;
mod wire;
