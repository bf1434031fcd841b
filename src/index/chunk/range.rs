//! The arithmetic of chunks: which seqs a chunk covers, and which chunk covers a seq.

/// The consecutive seqs that one chunk covers, whether events with them remain or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRange {
    number: u32,
    events: u32,
}

impl ChunkRange {
    /// The range of the chunk with this number, from 0, in an index with `chunk_events` seqs per chunk.
    pub const fn new(number: u32, chunk_events: u32) -> Self {
        Self { number, events: chunk_events }
    }

    /// The range that covers a seq. Seqs count from 1.
    pub fn covering(seq: i64, chunk_events: u32) -> Self {
        Self::new(u32::try_from((seq - 1) / i64::from(chunk_events)).unwrap_or(u32::MAX), chunk_events)
    }

    /// The number of the chunk.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// The seq before the first one.
    pub const fn before(self) -> i64 {
        self.number as i64 * self.events as i64
    }

    /// The first seq.
    pub const fn first(self) -> i64 {
        self.before() + 1
    }

    /// The last seq.
    pub const fn last(self) -> i64 {
        self.before() + self.events as i64
    }

    /// The seq at an offset from the first.
    pub(in crate::index) fn seq_at(self, offset: u16) -> i64 {
        self.first() + i64::from(offset)
    }

    /// The offset of a seq from the first.
    pub(in crate::index) fn offset_of(self, seq: i64) -> u16 {
        u16::try_from(seq - self.first()).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seq_is_covered_by_one_chunk() {
        for seq in 1..=300 {
            let range = ChunkRange::covering(seq, 64);
            assert!((range.first()..=range.last()).contains(&seq), "{seq}");
            assert_eq!(range, ChunkRange::new(range.number(), 64));
            assert_eq!(range.seq_at(range.offset_of(seq)), seq);
        }
        let (one, next) = (ChunkRange::new(3, 64), ChunkRange::new(4, 64));
        assert_eq!((one.before(), one.first(), one.last(), next.before()), (192, 193, 256, 256));
    }
}
