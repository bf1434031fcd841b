//! Damaged events of whose identifier only a part of the hash is left.
//!
//! They are indexed under a key that stands for that part and that no event can have: it is longer than identifiers may
//! be. Whoever looks for an identifier looks for its key too, in chunks that have such an event: so a sender's retry of
//! an event that was damaged finds it, and does not become a second one.

/// One byte more than the longest identifier has.
const LENGTH: usize = 257;

/// The key for this part of a hash.
pub(super) fn lost_key(part: u32) -> String {
    let mut key = format!("a damaged event, whose identifier has a hash that begins with {part:08x} ");
    key.extend(std::iter::repeat_n('.', LENGTH.saturating_sub(key.len())));
    key
}

/// The part of an identifier's hash that a damaged event keeps.
pub(super) fn part_of(hash: u64) -> u32 {
    u32::try_from(hash >> u32::BITS).unwrap_or(0)
}

/// Whether a key stands for a part of a hash.
pub(super) fn is_lost(key: &str) -> bool {
    key.len() >= LENGTH
}
