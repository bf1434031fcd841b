//! Counts the frames of a write-ahead log (WAL), without SQLite.
//!
//! SQLite copies a WAL by its index, which all processes share under the name of the database. If the WAL was deleted
//! and another program has written to a new one, the index describes the new one, and copying the WAL that this process
//! has open would damage the database. The WAL itself shows how much of it is valid
//! (<https://www.sqlite.org/fileformat.html#the_write_ahead_log>): each frame has salts and a running checksum.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The first word of a WAL whose checksums read words as little-endian. One more means big-endian.
const MAGIC: u32 = 0x377f_0682;
const PAGE_BYTES_MAX: usize = 65_536;
const BUFFER_BYTES: usize = 1024 * 1024;

/// The number of valid frames up to the last commit; 0 if the file is not a WAL.
pub(in crate::store) fn committed(wal: &File) -> io::Result<i64> {
    let mut wal = BufReader::with_capacity(BUFFER_BYTES, wal);
    wal.rewind()?;
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut wal, &mut header)? {
        return Ok(0);
    }
    let (magic, page_bytes) = (word(&header[..4]), word(&header[8..12]) as usize);
    let mut sums = Sums { is_big_endian: magic & 1 == 1, first: 0, second: 0 };
    sums.add(&header[..24]);
    if magic & !1 != MAGIC || page_bytes > PAGE_BYTES_MAX || !sums.agree_with(&header[24..]) {
        return Ok(0);
    }
    let salts = &header[16..24];
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let (mut frames, mut committed) = (0, 0);
    while fill(&mut wal, &mut frame)? {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        sums.add(&head[..8]);
        sums.add(page);
        if head[8..16] != *salts || word(&head[..4]) == 0 || !sums.agree_with(&head[16..]) {
            break;
        }
        frames += 1;
        // Only the last frame of a transaction contains the size of the database.
        if word(&head[4..8]) != 0 {
            committed = frames;
        }
    }
    Ok(committed)
}

/// Fills the buffer; false at the end of the file.
fn fill(wal: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match wal.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// The running checksum.
struct Sums {
    is_big_endian: bool,
    first: u32,
    second: u32,
}

impl Sums {
    fn add(&mut self, bytes: &[u8]) {
        let read = if self.is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        let (words, _) = bytes.as_chunks::<4>();
        for pair in words.chunks_exact(2) {
            self.first = self.first.wrapping_add(read(pair[0])).wrapping_add(self.second);
            self.second = self.second.wrapping_add(read(pair[1])).wrapping_add(self.first);
        }
    }

    fn agree_with(&self, stored: &[u8]) -> bool {
        self.first == word(stored) && self.second == word(&stored[4..])
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use rusqlite::Connection;

    use super::*;

    fn database() -> (tempfile::TempDir, PathBuf, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("a.db")).unwrap();
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)")
            .unwrap();
        let wal = directory.path().join("a.db-wal");
        (directory, wal, connection)
    }

    /// The number in SQLite's own index.
    fn indexed(connection: &Connection) -> i64 {
        connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1)).unwrap()
    }

    #[test]
    fn a_wal_has_as_many_frames_as_its_index_says() {
        let (_directory, wal, connection) = database();
        let agree = || {
            let frames = committed(&File::open(&wal).unwrap()).unwrap();
            assert_eq!(frames, indexed(&connection));
            frames
        };
        let insert = "INSERT INTO t SELECT randomblob(3000) FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8))";
        connection.execute_batch(insert).unwrap();
        let first = agree();
        assert!(first > 8);
        // A transaction that is rolled back may already be in the WAL.
        connection
            .execute_batch(&format!("PRAGMA cache_size = 2; BEGIN; {insert}; {insert}; {insert}; ROLLBACK"))
            .unwrap();
        assert!(i64::try_from(fs::metadata(&wal).unwrap().len()).unwrap() > (first + 8) * 4_096);
        assert_eq!(agree(), first);
        connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(agree() > first);
        // SQLite starts the WAL from its beginning; the rest of the file is from before.
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(())).unwrap();
        connection.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert!(agree() < first);
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        assert_eq!(agree(), 0);
    }

    #[test]
    fn damaged_or_missing_frames_do_not_count() {
        let (_directory, wal, connection) = database();
        for number in 0..20 {
            connection.execute("INSERT INTO t VALUES (?1)", [number]).unwrap();
        }
        let (whole, bytes) = (indexed(&connection), fs::read(&wal).unwrap());
        let copy = wal.with_extension("copy");
        let count = |bytes: &[u8]| {
            fs::write(&copy, bytes).unwrap();
            committed(&File::open(&copy).unwrap()).unwrap()
        };
        assert_eq!(count(&bytes), whole);
        for at in (0..bytes.len()).step_by(997) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(count(&damaged) < whole, "{at}");
            assert!(count(&bytes[..at]) < whole, "{at}");
        }
        assert_eq!((count(b""), count(&[7; 10_000])), (0, 0));
    }
}
