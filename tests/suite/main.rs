//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, identifiers, exact bytes |
//! | `refusals` | events that are refused, each by its field |
//! | `query` | every parameter of a list, and what it matches |
//! | `parameters` | parameters that are refused by name, or held to a limit |
//! | `paging` | cursors, links, and following the log |
//! | `errors` | every error: status, code, envelope, headers |
//! | `limits` | hostile sizes, depths and speeds, and a server that goes on |
//! | `properties` | any events and any questions, answered as a plain filter answers them |

#![allow(unreachable_pub, reason = "in a program of tests, pub says what the modules have for one another")]
#![allow(clippy::unwrap_used, reason = "a test may fail, and so may what it is built from")]
#![allow(clippy::format_collect, reason = "tests are written to be read, not to be fast")]

mod errors;
mod harness;
mod ingest;
mod limits;
mod paging;
mod parameters;
mod properties;
mod query;
mod raw;
mod refusals;
