//! The stored form of a block: plain, or a zstd frame if that is shorter.
//!
//! The first byte decides: a block starts with `{`, a frame never does. A frame holds the length of its content and
//! the number of its dictionary, if it has one. Dictionaries stay in the file as long as events do. The checksums of
//! the events' rows verify the content (`checksum.rs`); the frames of events from before there were checksums hold
//! their own.

use std::{cell::RefCell, collections::HashMap, io, sync::Arc};

use parking_lot::RwLock;

use rusqlite::{Connection, OptionalExtension};
use zstd::{
    bulk::Compressor,
    dict::{DecoderDictionary, EncoderDictionary},
    zstd_safe::{self, DCtx},
};

use crate::store::event::{recent_blocks::RecentBlocks, zstd_dictionary};

/// With a dictionary, real events (mean 1,314 bytes) take 152 bytes in blocks of 8 at level 3, in 3 µs each, and 150 at
/// level 9, in 14 µs.
const LEVEL: i32 = 3;
/// No block is longer, even if its frame header says so. A damaged length must not cause an allocation.
const BLOCK_BYTES_MAX: u64 = 80 * 1024 * 1024;

/// The dictionaries and the recently decoded blocks of one file. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::store) struct BodyCodec(Arc<Shared>);

#[derive(Default)]
struct Shared {
    known: RwLock<Known>,
    recent: RecentBlocks,
}

#[derive(Default)]
struct Known {
    /// The latest dictionary, which new blocks are written with.
    current: Option<&'static Dictionary>,
    by_number: HashMap<u32, &'static Dictionary>,
    /// The first event whose row must have a checksum.
    checksums_from: i64,
}

/// A dictionary that is ready for use. There are few, and each is needed until the process ends.
struct Dictionary {
    number: u32,
    encoder: EncoderDictionary<'static>,
    decoder: DecoderDictionary<'static>,
}

thread_local! {
    /// Creating a context costs more than using it for one event, so each thread keeps one for reading, and one for
    /// writing with the dictionary that it was created for.
    static DECOMPRESSOR: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
    static COMPRESSOR: RefCell<Option<(Option<&'static Dictionary>, Compressor<'static>)>> = const { RefCell::new(None) };
}

impl BodyCodec {
    /// Reads the file's dictionaries.
    pub(in crate::store) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let bodies = Self::default();
        bodies.0.known.write().checksums_from = checksums_from(connection)?;
        let mut statement = connection.prepare("SELECT number, bytes, checksum FROM dictionary ORDER BY number")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (number, bytes) = (row.get(0)?, row.get_ref(1)?.as_blob()?);
            if zstd_dictionary::checksum(number, bytes) == row.get::<_, i64>(2)? {
                bodies.adopt(number, bytes);
            } else {
                tracing::error!(
                    number,
                    "a dictionary is damaged: events that need the damaged part are unreadable; run auditbox doctor"
                );
                // Blocks that do not need the damaged part can still be read. New blocks must not depend on it.
                bodies.0.known.write().add(number, bytes);
            }
        }
        Ok(bodies)
    }

    /// Uses this dictionary, which is in the file, for new blocks.
    pub(in crate::store) fn adopt(&self, number: u32, bytes: &[u8]) {
        let mut known = self.0.known.write();
        let Some(dictionary) = known.add(number, bytes) else {
            tracing::error!(
                number,
                "a dictionary is damaged: events compressed with it are unreadable; run auditbox doctor"
            );
            return;
        };
        if known.current.is_none_or(|current| current.number <= number) {
            known.current = Some(dictionary);
        }
    }

    /// Whether new blocks are compressed with a dictionary.
    pub(in crate::store) fn has_dictionary(&self) -> bool {
        self.current().is_some()
    }

    /// Whether the row of the event with this seq must have a checksum.
    pub(in crate::store) fn has_checksum(&self, seq: i64) -> bool {
        seq >= self.0.known.read().checksums_from
    }

    /// The stored form of the text of a block. `with_checksum` adds a checksum to the frame, for events whose rows have
    /// none.
    pub(in crate::store) fn encode(&self, text: &str, with_checksum: bool) -> Vec<u8> {
        match compress(self.current(), text.as_bytes(), with_checksum) {
            Ok(frame) if frame.len() < text.len() => frame,
            // If the compressor fails (out of memory), the events are stored uncompressed rather than lost.
            _ => text.as_bytes().to_vec(),
        }
    }

    /// The recently decoded blocks.
    pub(in crate::store) fn recent(&self) -> &RecentBlocks {
        &self.0.recent
    }

    fn current(&self) -> Option<&'static Dictionary> {
        self.0.known.read().current
    }

    /// The dictionary with this number, read from the file if it was added since.
    fn numbered(&self, connection: Option<&Connection>, number: u32) -> rusqlite::Result<Option<&'static Dictionary>> {
        if let Some(known) = self.0.known.read().by_number.get(&number) {
            return Ok(Some(known));
        }
        let Some(connection) = connection else {
            return Ok(None);
        };
        let bytes: Option<Vec<u8>> = connection
            .query_row("SELECT bytes FROM dictionary WHERE number = ?1", [number], |row| row.get(0))
            .optional()?;
        Ok(bytes.and_then(|bytes| self.0.known.write().add(number, &bytes)))
    }
}

impl Known {
    /// Prepares a dictionary for use; `None` if it is damaged.
    fn add(&mut self, number: u32, bytes: &[u8]) -> Option<&'static Dictionary> {
        if let Some(known) = self.by_number.get(&number) {
            return Some(known);
        }
        let (encoder, decoder) =
            (EncoderDictionary::try_copy(bytes, LEVEL).ok()?, DecoderDictionary::try_copy(bytes).ok()?);
        let dictionary: &'static Dictionary = Box::leak(Box::new(Dictionary { number, encoder, decoder }));
        self.by_number.insert(number, dictionary);
        Some(dictionary)
    }
}

/// The first event whose row must have a checksum: 1 if the file does not say.
pub(in crate::store) fn checksums_from(connection: &Connection) -> rusqlite::Result<i64> {
    let from = connection.query_row("SELECT value FROM setting WHERE name = 'checksums_from'", [], |row| row.get(0));
    Ok(from.optional()?.unwrap_or(1))
}

/// The stored length of texts with a dictionary that is not in use yet, in bytes.
pub(in crate::store) fn length_with(dictionary: &[u8], texts: &[String]) -> io::Result<usize> {
    let encoder = EncoderDictionary::copy(dictionary, LEVEL);
    let mut compressor = Compressor::with_prepared_dictionary(&encoder)?;
    texts.iter().map(|text| Ok(compressor.compress(text.as_bytes())?.len().min(text.len()))).sum()
}

fn compress(dictionary: Option<&'static Dictionary>, bytes: &[u8], with_checksum: bool) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let is_for =
            |known: Option<&'static Dictionary>| known.map(std::ptr::from_ref) == dictionary.map(std::ptr::from_ref);
        let (_, compressor) = match slot {
            Some(kept) if is_for(kept.0) => kept,
            _ => slot.insert((dictionary, new_compressor(dictionary)?)),
        };
        compressor.include_checksum(with_checksum)?;
        compressor.compress(bytes)
    })
}

fn new_compressor(dictionary: Option<&'static Dictionary>) -> io::Result<Compressor<'static>> {
    match dictionary {
        Some(dictionary) => Compressor::with_prepared_dictionary(&dictionary.encoder),
        None => Compressor::new(LEVEL),
    }
}

/// Decodes stored forms.
pub(in crate::store) struct Decoder<'c> {
    connection: Option<&'c Connection>,
    bodies: &'c BodyCodec,
}

impl<'c> Decoder<'c> {
    /// For rows of the file behind a connection.
    pub(in crate::store) fn new(connection: &'c Connection, bodies: &'c BodyCodec) -> Self {
        Self { connection: Some(connection), bodies }
    }

    /// For what this process has encoded itself, whose dictionaries are loaded.
    pub(in crate::store) fn of_own(bodies: &'c BodyCodec) -> Self {
        Self { connection: None, bodies }
    }

    /// The decoded text, which only the checksums of the events' rows can verify. The error says what is wrong.
    pub(in crate::store) fn decode(&self, stored: &[u8]) -> Result<String, String> {
        let length = decoded_length(stored)?;
        if is_plain(stored) {
            return std::str::from_utf8(stored).map(str::to_owned).map_err(|error| error.to_string());
        }
        let mut bytes = Vec::with_capacity(length);
        let dictionary = match zstd_safe::get_dict_id_from_frame(stored).map(u32::from) {
            None => None,
            Some(number) => {
                let found = self.bodies.numbered(self.connection, number).map_err(|error| error.to_string())?;
                Some(found.ok_or_else(|| format!("dictionary {number} is missing or damaged"))?)
            }
        };
        let code = DECOMPRESSOR.with_borrow_mut(|context| match dictionary {
            None => context.decompress(&mut bytes, stored),
            Some(dictionary) => context.decompress_using_ddict(&mut bytes, stored, dictionary.decoder.as_ddict()),
        });
        code.map_err(|code| zstd_safe::get_error_name(code).to_owned())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }
}

fn is_plain(stored: &[u8]) -> bool {
    stored.first() == Some(&b'{')
}

/// The length of the text of a stored block, in bytes. The error says what is wrong.
pub(in crate::store) fn decoded_length(stored: &[u8]) -> Result<usize, String> {
    if is_plain(stored) {
        return Ok(stored.len());
    }
    let length = zstd_safe::get_frame_content_size(stored).ok().flatten();
    let length = length.filter(|length| *length <= BLOCK_BYTES_MAX).ok_or("its frame header is damaged")?;
    usize::try_from(length).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../../../schema.sql")).unwrap();
        connection
    }

    fn body(number: usize) -> String {
        format!(
            "{{\"identifier\":\"e{number}\",\"trigger\":{{\"by\":{{\"name\":\"ci-{}\"}}}},\"action\":\"UPDATE\",\"diff\":{{\"before\":{{\"replicas\":{number}}}}}}}",
            number % 7
        )
    }

    #[test]
    fn bodies_are_decoded_as_encoded_and_damage_is_detected() {
        use crate::store::event::checksum::{Columns, Content, is_sound};
        let row = Columns { seq: 1, timestamp: 0, entity: None, blueprint: None, filled: 0 };
        let (connection, bodies) = (file(), BodyCodec::default());
        let decode = |stored: &[u8]| Decoder::new(&connection, &bodies).decode(stored);
        let long = format!("{{\"a\":\"{}\"}}", "audit ".repeat(100));
        for body in ["{}", "{\"a\":1}", &long] {
            assert_eq!(decode(&bodies.encode(body, false)).unwrap(), body);
        }
        let stored = bodies.encode(&long, false);
        assert!(stored.len() < long.len() / 4);
        let checksum = Content::of("", &long).in_row(&row);
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x10;
            // A bit that the frame format leaves unused may change; the content may not.
            let decoded = decode(&damaged).ok().filter(|body| is_sound(checksum, &row, body));
            assert!(decoded.is_none_or(|decoded| decoded == long), "byte {at}");
        }
    }

    #[test]
    fn a_dictionary_makes_short_events_shorter_and_old_ones_stay_readable() {
        let (connection, bodies) = (file(), BodyCodec::default());
        let plain = bodies.encode(&body(0), false);
        for number in [1, 2] {
            let samples: Vec<String> = (0..2_000).map(|n| body(n * number)).collect();
            let bytes = zstd_dictionary::train(&samples, u32::try_from(number).unwrap()).unwrap();
            let trained = zstd_dictionary::Trained { number: u32::try_from(number).unwrap(), bytes, ratio: 0.1 };
            zstd_dictionary::insert(&connection, &trained).unwrap();
            bodies.adopt(trained.number, &trained.bytes);
        }
        let dense = bodies.encode(&body(7), false);
        assert!(dense.len() * 2 < plain.len(), "{} and {}", dense.len(), plain.len());
        assert_eq!(zstd_safe::get_dict_id_from_frame(&dense).unwrap().get(), 2);
        // A reader that opened the file before the dictionary was added.
        let elsewhere = BodyCodec::default();
        let decoder = Decoder::new(&connection, &elsewhere);
        assert_eq!(decoder.decode(&dense).unwrap(), body(7));
        assert_eq!(decoder.decode(&plain).unwrap(), body(0));
        connection.execute("DELETE FROM dictionary", []).unwrap();
        assert!(
            Decoder::new(&connection, &BodyCodec::default())
                .decode(&dense)
                .unwrap_err()
                .contains("dictionary 2 is missing")
        );
    }
}
