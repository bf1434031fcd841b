//! The number under which an identifier is looked up.

use sha2::{Digest, Sha256};

/// The first 64 bits of the identifier's SHA-256, as SQLite's signed integer. Two identifiers may share one; whoever
/// looks up by it compares the identifiers too.
pub fn identifier_hash(identifier: &str) -> i64 {
    let digest: [u8; 32] = Sha256::digest(identifier).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first)
}
