//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `durability` | kill -9, signals, a second server: what was acknowledged is there, once |
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, refusals |

mod durability;
mod harness;
mod ingest;
mod wire;
