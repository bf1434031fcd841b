//! What filling a declared field into a sealed chunk needs of it: where its events are.

use rusqlite::Connection;

use crate::index::{
    chunk::sealed::{ChunkReader, SealedChunk},
    error::Result,
};

impl SealedChunk {
    /// The rank of each event of the chunk by its offset from the chunk's first seq; `None` where there is no event.
    pub fn ranks(&self, connection: &Connection) -> Result<Vec<Option<u16>>> {
        let span = usize::try_from(self.range.last() - self.range.before()).unwrap_or(0);
        let mut ranks = vec![None; span];
        let mut reader = ChunkReader::new(self, connection);
        for rank in (0..=u16::MAX).take(self.length as usize) {
            let offset = usize::from(self.range.offset_of(reader.position(rank)?.seq));
            if let Some(place) = ranks.get_mut(offset) {
                *place = Some(rank);
            }
        }
        Ok(ranks)
    }

    /// The seqs that the chunk covers, both included.
    pub fn span(&self) -> (i64, i64) {
        (self.range.first(), self.range.last())
    }
}
