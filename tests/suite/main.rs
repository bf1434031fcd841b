//! The integration tests: the real program, on a real socket, with a file of its own for each test.
//!
//! | module | what it shows |
//! |---|---|
//! | `ingest` | events in: forms, encodings, duplicates, conflicts, refusals |

mod harness;
mod ingest;
