//! Chunks in memory: the newest events, which are not sealed yet, in columns in order of arrival.
//!
//! Adding an event appends a few numbers. A query is a pass over the columns that it names, of at most 65,536 entries
//! each. Nothing here is in the file; it is rebuilt from the events when the file is opened.

use hashbrown::HashTable;

use crate::{
    index::{
        chunk::{range::ChunkRange, word_column::WordColumn},
        damaged_id,
        encode::{bitset::Bitset, hash::value_hash},
    },
    model::{
        field::{FIELDS, Field, Slot, TermStorage, fields},
        search::MESSAGE_WORDS_MAX,
        timestamp::Timestamp,
        words::WordNumbers,
    },
};

/// Number of consecutive events whose latest time is cached.
const RUN_EVENTS: usize = 64;

/// The searchable values of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The position of the event in the order of arrival.
    seq: i64,
    /// The event time.
    timestamp: Timestamp,
    /// The shared values, as ordinals in the term dictionary of their field: ascending, each once.
    terms: Vec<(Field, u32)>,
    /// The per-chunk values.
    keys: Vec<(Field, String)>,
    /// The words of the values that belong to no field.
    words: WordNumbers,
}

impl Entry {
    /// The entry of an event. A term that occurs twice (an actor's name may be the e-mail address) counts once.
    pub fn new(seq: i64, timestamp: Timestamp, mut terms: Vec<(Field, u32)>, keys: Vec<(Field, String)>) -> Self {
        terms.sort_unstable();
        terms.dedup();
        Self { seq, timestamp, terms, keys, words: WordNumbers::default() }
    }

    /// The same entry with the words of the values that belong to no field.
    pub fn with_words(self, words: &WordNumbers) -> Self {
        Self { words: WordNumbers::clone(words), ..self }
    }

    /// The event's position in the order of arrival.
    pub(in crate::index) fn seq(&self) -> i64 {
        self.seq
    }

    /// The event's first term of a field.
    pub fn first(&self, field: Field) -> Option<u32> {
        let first = self.terms.get(self.terms.partition_point(|(found, _)| *found < field));
        first.filter(|(found, _)| *found == field).map(|(_, ordinal)| *ordinal)
    }

    /// Whether the event has a term.
    pub fn has(&self, field: Field, ordinal: u32) -> bool {
        self.terms.binary_search(&(field, ordinal)).is_ok()
    }

    /// The entry of a damaged event, from the readable columns of its row and the remaining part of its identifier's hash.
    pub fn damaged(seq: i64, timestamp: Timestamp, terms: Vec<(Field, u32)>, identifier_part: Option<u32>) -> Self {
        let keys = identifier_part.map(|part| (Field::Identifier, damaged_id::damaged_key(part)));
        Self::new(seq, timestamp, terms, keys.into_iter().collect())
    }
}

/// A chunk that is being filled or waits to be sealed.
#[derive(Debug)]
pub struct MemoryChunk {
    pub(in crate::index) range: ChunkRange,
    pub(in crate::index) times: Vec<Timestamp>,
    /// The offset of each event in the chunk: its position, unless earlier events were deleted.
    pub(in crate::index) offsets: Vec<u16>,
    /// The earliest and the latest event time.
    pub(in crate::index) extent: Option<(Timestamp, Timestamp)>,
    /// The latest time up to the end of each full run of [`RUN_EVENTS`].
    latest_through: Vec<Timestamp>,
    /// The columns of terms: by field code minus one, then by the slots of declared fields.
    terms: Vec<TermColumn>,
    /// The columns of keys, by field code minus one.
    keys: Vec<KeyColumn>,
    /// The index of each identifier in its column, by hash. A damaged event has none.
    identifiers: HashTable<(u64, usize)>,
    /// Whether the chunk has an event of whose identifier only a part of the hash remains.
    pub(in crate::index) has_damaged_ids: bool,
    /// The events whose messages have as many words as the index keeps, in order of arrival.
    wordy: Vec<u16>,
    /// The words of the values that belong to no field.
    pub(in crate::index) words: WordColumn,
}

/// The terms of one field and the events that have them. An event may have none, or several.
#[derive(Debug, Default)]
pub(in crate::index) struct TermColumn {
    pub(in crate::index) positions: Vec<u16>,
    pub(in crate::index) ordinals: Vec<u32>,
}

/// The keys of one field, concatenated in one text.
#[derive(Debug, Default)]
pub(in crate::index) struct KeyColumn {
    positions: Vec<u16>,
    ends: Vec<usize>,
    text: String,
}

impl KeyColumn {
    fn push(&mut self, position: u16, value: &str) {
        self.positions.push(position);
        self.text.push_str(value);
        self.ends.push(self.text.len());
    }

    /// Each value with the position of its event, in order of arrival.
    pub(in crate::index) fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        let begins = std::iter::once(&0).chain(&self.ends);
        begins
            .zip(&self.ends)
            .zip(&self.positions)
            .map(|((begin, end), position)| (&self.text[*begin..*end], *position))
    }
}

impl MemoryChunk {
    /// An empty chunk with this number, in an index with this many events per chunk.
    pub fn new(number: u32, chunk_events: u32) -> Self {
        Self::covering(ChunkRange::new(number, chunk_events))
    }

    /// An empty chunk for the seqs of this range.
    pub(in crate::index) fn covering(range: ChunkRange) -> Self {
        Self {
            range,
            times: Vec::new(),
            offsets: Vec::new(),
            extent: None,
            latest_through: Vec::new(),
            terms: (0..FIELDS.len() + usize::from(Slot::COUNT)).map(|_| TermColumn::default()).collect(),
            keys: FIELDS.iter().map(|_| KeyColumn::default()).collect(),
            identifiers: HashTable::new(),
            has_damaged_ids: false,
            wordy: Vec::new(),
            words: WordColumn::default(),
        }
    }

    /// Appends an event. The caller ensures that the chunk does not exceed 65,536 events.
    pub fn push(&mut self, entry: &Entry) {
        let position = self.push_time(entry.timestamp, self.range.offset_of(entry.seq));
        for (field, ordinal) in &entry.terms {
            let column = &mut self.terms[column_of(*field)];
            column.positions.push(position);
            column.ordinals.push(*ordinal);
        }
        if entry.terms.iter().filter(|(field, _)| *field == Field::Word).count() >= MESSAGE_WORDS_MAX {
            self.wordy.push(position);
        }
        self.words.push(&entry.words);
        for (field, value) in &entry.keys {
            self.push_key(*field, position, value);
        }
    }

    fn push_time(&mut self, timestamp: Timestamp, offset: u16) -> u16 {
        let position = u16::try_from(self.times.len()).unwrap_or(u16::MAX);
        self.times.push(timestamp);
        self.offsets.push(offset);
        let (first, last) = self.extent.unwrap_or((timestamp, timestamp));
        self.extent = Some((first.min(timestamp), last.max(timestamp)));
        if self.times.len().is_multiple_of(RUN_EVENTS) {
            self.latest_through.push(last.max(timestamp));
        }
        position
    }

    fn push_key(&mut self, field: Field, position: u16, value: &str) {
        let column = &mut self.keys[column_of(field)];
        column.push(position, value);
        if field == Field::Identifier {
            let (hash, place) = (value_hash(value), column.ends.len() - 1);
            self.has_damaged_ids |= damaged_id::is_damaged(value);
            self.identifiers.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        }
    }

    /// A copy without the events with the given seqs.
    pub(in crate::index) fn without(&self, is_dropped: impl Fn(i64) -> bool) -> Self {
        let mut left = Self::covering(self.range);
        let mut places = Vec::with_capacity(self.times.len());
        for (place, (timestamp, offset)) in self.times.iter().zip(&self.offsets).enumerate() {
            let dropped = is_dropped(self.range.seq_at(*offset));
            places.push((!dropped).then(|| left.push_time(*timestamp, *offset)));
            if !dropped {
                left.words.push(self.words.of(place));
            }
        }
        let place = |position: &u16| places.get(usize::from(*position)).copied().flatten();
        for (column, own) in left.terms.iter_mut().zip(&self.terms) {
            for (position, ordinal) in own.positions.iter().zip(&own.ordinals) {
                if let Some(position) = place(position) {
                    column.positions.push(position);
                    column.ordinals.push(*ordinal);
                }
            }
        }
        left.wordy.extend(self.wordy.iter().filter_map(place));
        for spec in FIELDS {
            for (value, position) in self.keys(spec.field).iter() {
                if let Some(position) = place(&position) {
                    left.push_key(spec.field, position, value);
                }
            }
        }
        left
    }

    /// The seq of the event at a position.
    pub(in crate::index) fn seq_at(&self, position: u16) -> Option<i64> {
        self.offsets.get(usize::from(position)).map(|offset| self.range.seq_at(*offset))
    }

    /// The number of events up to and including this seq.
    pub(in crate::index) fn length_through(&self, seq: i64) -> usize {
        self.offsets.partition_point(|offset| self.range.seq_at(*offset) <= seq)
    }

    /// An upper bound on the event times up to and including a position.
    pub(in crate::index) fn latest_through(&self, position: u16) -> Timestamp {
        let full_run = self.latest_through.get(usize::from(position) / RUN_EVENTS).copied();
        full_run.or(self.extent.map(|(_, last)| last)).unwrap_or(Timestamp::from_micros(i64::MAX))
    }

    /// The chunk's number, from 0.
    pub fn number(&self) -> u32 {
        self.range.number()
    }

    /// The number of events.
    pub fn length(&self) -> u32 {
        u32::try_from(self.times.len()).unwrap_or(u32::MAX)
    }

    /// Allocated bytes, including unused capacity.
    pub(in crate::index) fn bytes(&self) -> usize {
        let terms = self.terms.iter().map(|column| {
            column.positions.capacity() * size_of::<u16>() + column.ordinals.capacity() * size_of::<u32>()
        });
        let keys = self.keys.iter().map(|column| {
            column.text.capacity()
                + column.positions.capacity() * size_of::<u16>()
                + column.ends.capacity() * size_of::<usize>()
        });
        let times = self.times.capacity() * size_of::<Timestamp>() + self.wordy.capacity() * size_of::<u16>();
        times + terms.sum::<usize>() + keys.sum::<usize>() + self.words.bytes() + self.identifiers.allocation_size()
    }

    /// The events whose messages have as many words as the index keeps, and may have more.
    pub(in crate::index) fn wordy(&self) -> impl Iterator<Item = u16> {
        self.wordy.iter().copied()
    }

    pub(in crate::index) fn terms(&self, field: Field) -> &TermColumn {
        &self.terms[column_of(field)]
    }

    pub(in crate::index) fn keys(&self, field: Field) -> &KeyColumn {
        &self.keys[column_of(field)]
    }

    /// The position of the event with this identifier and hash.
    pub(in crate::index) fn find_identifier(&self, identifier: &str, hash: u64) -> Option<u16> {
        let keys = &self.keys[column_of(Field::Identifier)];
        let is_it = |place: usize| keys.value(place) == Some(identifier);
        let (_, place) = self.identifiers.find(hash, |(found, place)| *found == hash && is_it(*place))?;
        keys.positions.get(*place).copied()
    }

    /// The positions, below the set's length, that have a term of `ordinals`, which ascend.
    pub(in crate::index) fn add_terms(&self, field: Field, ordinals: &[u32], bits: &mut Bitset) {
        let column = self.terms(field);
        let entries = column.ordinals.iter().zip(&column.positions);
        match ordinals {
            [] => {}
            [only] => {
                // Compares sixteen at a time; most groups of sixteen have no match.
                let runs = column.ordinals.chunks(16).zip(column.positions.chunks(16));
                for (ordinals, positions) in runs {
                    if ordinals.iter().filter(|ordinal| *ordinal == only).count() > 0 {
                        let found = ordinals.iter().zip(positions).filter(|(ordinal, _)| *ordinal == only);
                        found.for_each(|(_, position)| bits.insert(*position));
                    }
                }
            }
            _ => {
                // One bit for each ordinal up to the highest, so that a lookup needs no search.
                let wanted = OrdinalSet::new(ordinals);
                entries.filter(|(ordinal, _)| wanted.holds(**ordinal)).for_each(|(_, position)| bits.insert(*position));
            }
        }
    }

    /// Adds the positions, below the set's length, whose key matches, for at most the given number of the column's
    /// entries from `first` on. Returns whether more entries remain.
    pub(in crate::index) fn add_keys(
        &self,
        field: Field,
        (first, entries): (usize, usize),
        passes: impl Fn(&str) -> bool,
        bits: &mut Bitset,
    ) -> bool {
        let column = self.keys(field);
        let last = column.positions.len().min(first.saturating_add(entries));
        for place in first..last {
            if column.value(place).is_some_and(&passes) {
                bits.insert(column.positions[place]);
            }
        }
        last < column.positions.len()
    }
}

impl KeyColumn {
    /// The value at an index of the column.
    fn value(&self, place: usize) -> Option<&str> {
        let begin = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(begin..*self.ends.get(place)?)
    }
}

/// A set of ordinals for fast lookups.
#[derive(Debug, Default)]
pub(in crate::index) struct OrdinalSet {
    words: Vec<u64>,
}

impl OrdinalSet {
    pub(in crate::index) fn new(ordinals: &[u32]) -> Self {
        let mut set = Self::default();
        // The highest ordinal first, so that the set grows only once.
        ordinals.iter().max().into_iter().chain(ordinals).for_each(|ordinal| set.insert(*ordinal));
        set
    }

    pub(in crate::index) fn insert(&mut self, ordinal: u32) {
        let word = ordinal as usize / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (ordinal % 64);
    }

    pub(in crate::index) fn holds(&self, ordinal: u32) -> bool {
        self.words.get(ordinal as usize / 64).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }
}

/// The fields whose values are keys, which each chunk lists itself.
pub(in crate::index) fn key_fields() -> impl Iterator<Item = Field> {
    FIELDS.iter().filter(|spec| spec.sharing == TermStorage::PerChunk).map(|spec| spec.field)
}

/// Those of these fields that a search looks at.
pub(in crate::index) fn searched_keys() -> impl Iterator<Item = Field> {
    key_fields().filter(|field| field.spec().searched)
}

/// The fields whose values are terms, which are in the term dictionary.
pub fn term_fields() -> impl Iterator<Item = Field> {
    fields().filter(|spec| spec.sharing == TermStorage::LogWide).map(|spec| spec.field)
}

fn column_of(field: Field) -> usize {
    match field.slot() {
        Some(slot) => FIELDS.len() + usize::from(slot.number()),
        None => usize::from(field.code()) - 1,
    }
}
