//! Blocks that were decoded recently.
//!
//! Most lists show the newest events, so the same blocks are read again and again, and decoding them takes half of the time
//! of such a list. A block is found here by its stored bytes, not only by its seq, so nothing has to be removed when
//! retention or a join replaces a block.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::store::event::block::OpenBlock;

/// Blocks that are kept, one per slot: full blocks of the newest 8,000 events, in about 10 MB, and 33 MB at most.
const SLOTS: usize = 1_024;
/// About as many events as a block has, so that neighboring blocks have neighboring slots.
const SLOT_EVENTS: i64 = 8;
/// Longer texts are not kept: blocks of one long event, and some in files of earlier builds.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// The recently decoded blocks of one file.
pub(in crate::store) struct RecentBlocks(Box<[Mutex<Option<Recent>>]>);

struct Recent {
    stored: Box<[u8]>,
    block: Arc<OpenBlock>,
}

impl Default for RecentBlocks {
    fn default() -> Self {
        Self((0..SLOTS).map(|_| Mutex::new(None)).collect())
    }
}

impl RecentBlocks {
    /// The block that begins with this seq, if it is kept and was decoded from these bytes.
    pub(in crate::store) fn find(&self, first: i64, stored: &[u8]) -> Option<Arc<OpenBlock>> {
        let slot = self.slot(first)?.lock();
        let recent = slot.as_ref().filter(|recent| recent.block.first() == first && *recent.stored == *stored)?;
        Some(Arc::clone(&recent.block))
    }

    /// Keeps a block that was decoded from these bytes, in place of the one in its slot.
    pub(in crate::store) fn keep(&self, stored: &[u8], block: &Arc<OpenBlock>) {
        if block.text().len() <= TEXT_BYTES_MAX
            && let Some(slot) = self.slot(block.first())
        {
            *slot.lock() = Some(Recent { stored: stored.into(), block: Arc::clone(block) });
        }
    }

    fn slot(&self, first: i64) -> Option<&Mutex<Option<Recent>>> {
        let number = usize::try_from(first / SLOT_EVENTS).ok()?;
        self.0.get(number % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(first: i64, body: &str) -> Arc<OpenBlock> {
        Arc::new(OpenBlock::new(first, 1, body.to_owned()).unwrap())
    }

    #[test]
    fn a_block_is_found_only_by_its_own_bytes() {
        let recent = RecentBlocks::default();
        recent.keep(b"stored", &block(9, "{}"));
        assert_eq!(recent.find(9, b"stored").unwrap().body(9), Some("{}"));
        assert!(recent.find(9, b"replaced").is_none());
        // The same slot, and equal bytes.
        assert!(recent.find(8, b"stored").is_none() && recent.find(9 + 8 * 1_024, b"stored").is_none());
        recent.keep(b"stored", &block(9 + 8 * 1_024, "{}"));
        assert!(recent.find(9, b"stored").is_none());
        assert!(recent.find(9 + 8 * 1_024, b"stored").is_some());
        assert!(recent.find(-1, b"stored").is_none());
    }

    #[test]
    fn a_long_event_is_not_kept() {
        let recent = RecentBlocks::default();
        recent.keep(b"stored", &block(9, &"x".repeat(TEXT_BYTES_MAX + 1)));
        assert!(recent.find(9, b"stored").is_none());
    }
}
