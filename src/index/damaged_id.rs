//! Damaged events of whose identifier only a part of the hash remains.
//!
//! They are indexed under a key that represents this part. The key is longer than any identifier, so no event can have
//! it. A lookup of an identifier also looks for its key in chunks that have such an event. A sender's retry of a
//! damaged event therefore finds it and does not become a second event.

/// One byte more than the longest identifier.
const LENGTH: usize = 257;

/// The key for this part of a hash.
pub(super) fn damaged_key(part: u32) -> String {
    let mut key = format!("a damaged event, whose identifier has a hash that begins with {part:08x} ");
    key.extend(std::iter::repeat_n('.', LENGTH.saturating_sub(key.len())));
    key
}

/// The part of an identifier's hash that a damaged event keeps.
pub(super) fn part_of(hash: u64) -> u32 {
    u32::try_from(hash >> u32::BITS).unwrap_or(0)
}

/// Whether a key represents a part of a hash.
pub(super) fn is_damaged(key: &str) -> bool {
    key.len() >= LENGTH
}
