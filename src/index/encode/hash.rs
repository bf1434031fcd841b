//! The hash under which a per-chunk value is looked up.

use sha2::{Digest, Sha256};

/// The first 64 bits of the value's SHA-256. Two values may share a hash, so a lookup compares the values as well.
pub fn value_hash(value: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(value).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}
