//! Finding expired events, chunk by chunk, with sets of positions like any other query.
//!
//! A chunk is identified by its number, so that a caller can process the log on many short snapshots.

use crate::{
    index::{
        chunk::memory::term_fields,
        encode::bitset::Bitset,
        error::Result,
        snapshot::{Chunk, Snapshot, Stage},
        terms::{self, UsedTerms},
    },
    model::{
        cursor::Position,
        field::Field,
        filter::{Predicate, TimeRange},
        retention::{Cutoff, KeepBy, RuleScope},
        timestamp::Timestamp,
    },
};

/// Up to one candidate in this many events of a chunk, candidates count as few. Reading those of an ordinary chunk takes some
/// milliseconds.
const FEW_SHARE: u32 = 64;

/// Maximum number of resource types that one chunk reports separately per rule. Senders choose these values.
const GROUPS_MAX: usize = 50;

/// The expired events of one chunk.
#[derive(Debug)]
pub struct Expired {
    /// The chunk.
    pub number: u32,
    /// The slot that holds the chunk's rows.
    pub stage: Stage,
    /// The number of events that remain.
    pub kept: u32,
    /// The expired events, in order of arrival.
    pub seqs: Vec<i64>,
    /// The same events, by rule and resource type.
    pub groups: Vec<ExpiredGroup>,
}

/// The expired events of one resource type under one rule.
#[derive(Debug, Clone)]
pub struct ExpiredGroup {
    /// The index of the rule in the list of cutoffs.
    pub rule: usize,
    /// The resource type: as the events have it, or in lower case if the rule is about that type only. `None` for the
    /// types beyond the reported ones, and for damaged events.
    pub resource_type: Option<String>,
    /// The number of events.
    pub count: u64,
    /// The first and the last seq.
    pub seqs: (i64, i64),
    /// The earliest and the latest event time.
    pub times: (Timestamp, Timestamp),
}

impl ExpiredGroup {
    fn of(rule: usize, resource_type: Option<String>, positions: &[Position]) -> Option<Self> {
        let (seqs, times) = (positions.iter().map(|place| place.seq), positions.iter().map(|place| place.timestamp));
        Some(Self {
            rule,
            resource_type,
            count: positions.len() as u64,
            seqs: (seqs.clone().min()?, seqs.max()?),
            times: (times.clone().min()?, times.max()?),
        })
    }

    /// Adds a group of the same rule and type.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.seqs = (self.seqs.0.min(other.seqs.0), self.seqs.1.max(other.seqs.1));
        self.times = (self.times.0.min(other.times.0), self.times.1.max(other.times.1));
    }
}

/// Reads when events were received. Only bodies have this time, and this layer reads no bodies.
pub trait Receipts {
    /// The receipts of the events with these seqs, in the same order; `None` for an event whose receipt is not known.
    fn read(&mut self, seqs: &[i64]) -> Result<Vec<Option<Timestamp>>>;

    /// The remembered range of a chunk.
    fn range_of(&self, chunk: u32) -> Option<ReceiptRange>;

    /// Remembers the range of a sealed chunk. It stays valid: the events never change, and dropping some leaves the others in it.
    fn keep_range(&mut self, chunk: u32, range: ReceiptRange);
}

/// The oldest and the newest receipt of a chunk's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptRange {
    /// The oldest.
    pub oldest: Timestamp,
    /// The newest. It replaces an unknown receipt, such as that of a damaged event or one from a clock that was ahead.
    pub newest: Timestamp,
}

impl Snapshot<'_> {
    /// The numbers of the chunks that have events, in ascending order.
    pub fn chunks(&self) -> Vec<u32> {
        self.chunks_by_arrival(false).iter().map(|chunk| chunk.number).collect()
    }

    /// Adds the terms of a chunk's events to `used`.
    pub fn note_terms(&self, number: u32, used: &mut UsedTerms) -> Result<()> {
        let chunks = self.chunks_by_arrival(false);
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.number == number) {
            let (view, all) = (self.view(chunk), Bitset::all(chunk.length));
            for field in term_fields() {
                view.count_terms(field, &all, |ordinal, _| used.add(field, ordinal))?;
            }
        }
        Ok(())
    }

    /// The expired events of a chunk, if deleting them is worth the work: if all of the chunk is expired, or one event
    /// in `share`, or an event has been expired for `overdue_seconds`. `None` otherwise.
    pub fn expired(
        &self,
        number: u32,
        cutoffs: &[Cutoff],
        share: u32,
        overdue_seconds: i64,
        receipts: &mut dyn Receipts,
    ) -> Result<Option<Expired>> {
        let chunks = self.chunks_by_arrival(false);
        let Some(chunk) = chunks.iter().find(|chunk| chunk.number == number) else {
            return Ok(None);
        };
        let (mut all, mut is_overdue, mut by_rule) = (Bitset::none(chunk.length), false, Vec::new());
        for (rule, cutoff) in cutoffs.iter().enumerate() {
            let mut check = Check { snapshot: self, chunk, cutoff, overdue_seconds, is_overdue: false };
            let bits = check.past(receipts)?;
            is_overdue |= check.is_overdue;
            if !bits.is_empty() {
                all.add(&bits);
                by_rule.push((rule, bits));
            }
        }
        let past = all.count();
        if past == 0 || !(is_overdue || u64::from(past) * u64::from(share) >= u64::from(chunk.length)) {
            return Ok(None);
        }
        let mut groups = Vec::new();
        for (rule, bits) in by_rule {
            self.groups(chunk, rule, &cutoffs[rule].scope, bits, &mut groups)?;
        }
        let mut seqs: Vec<i64> = self.view(chunk).positions(&all)?.iter().map(|position| position.seq).collect();
        seqs.sort_unstable();
        Ok(Some(Expired { number, stage: chunk.stage, kept: chunk.length - past, seqs, groups }))
    }

    /// Groups the events of a set by resource type.
    fn groups(
        &self,
        chunk: &Chunk<'_>,
        rule: usize,
        scope: &RuleScope,
        mut rest: Bitset,
        groups: &mut Vec<ExpiredGroup>,
    ) -> Result<()> {
        let mut view = self.view(chunk);
        if let RuleScope::Only(name) = scope {
            groups.extend(ExpiredGroup::of(rule, Some(name.clone()), &view.positions(&rest)?));
            return Ok(());
        }
        let mut ordinals = Vec::new();
        view.count_terms(Field::ResourceType, &rest, |ordinal, _| ordinals.push(ordinal))?;
        ordinals.sort_unstable();
        ordinals.dedup();
        for ordinal in ordinals.into_iter().take(GROUPS_MAX) {
            let mut own = Bitset::none(view.length());
            view.add_terms(Field::ResourceType, &[ordinal], &mut own)?;
            own.keep(&rest);
            rest.take_out(&own);
            let name = terms::value(self.paced.connection, Field::ResourceType, ordinal)?;
            groups.extend(ExpiredGroup::of(rule, name, &view.positions(&own)?));
        }
        groups.extend(ExpiredGroup::of(rule, None, &view.positions(&rest)?));
        Ok(())
    }
}

/// One rule, applied to the events of one chunk.
struct Check<'s> {
    snapshot: &'s Snapshot<'s>,
    chunk: &'s Chunk<'s>,
    cutoff: &'s Cutoff,
    overdue_seconds: i64,
    /// Whether an event has been expired for `overdue_seconds`.
    is_overdue: bool,
}

impl Check<'_> {
    /// The events that the rule deletes. The index has their own times, so receipts are read only for events that are expired by
    /// their own time, or whose time is in the future.
    fn past(&mut self, receipts: &mut dyn Receipts) -> Result<Bitset> {
        let Cutoff { before, now, keep_by, .. } = self.cutoff;
        let early = self.in_scope(&TimeRange { from: None, to: Some(Timestamp::from_micros(before.micros() - 1)) })?;
        let ahead = self.in_scope(&TimeRange { from: Some(Timestamp::from_micros(now.micros() + 1)), to: None })?;
        match keep_by {
            KeepBy::Both => {
                let mut candidates = early;
                candidates.add(&ahead);
                self.received_before(candidates, receipts)
            }
            KeepBy::EventTime => {
                self.note_overdue(&early)?;
                let mut past = self.received_before(ahead, receipts)?;
                past.add(&early);
                Ok(past)
            }
        }
    }

    /// The events in a range of time to which the rule applies.
    fn in_scope(&self, range: &TimeRange) -> Result<Bitset> {
        if !self.chunk.overlaps(range) {
            return Ok(Bitset::none(self.chunk.length));
        }
        let mut view = self.snapshot.view(self.chunk);
        view.confine(range)?;
        let mut bits = view.in_range();
        let of_types = |types: &[String]| -> Result<Bitset> {
            let mut of_types = Bitset::none(view.length());
            if !types.is_empty() {
                let names: Vec<_> = types.iter().cloned().map(Predicate::IgnoreCase).collect();
                let ordinals = self.snapshot.terms_of(Field::ResourceType, &names)?;
                view.add_terms(Field::ResourceType, &ordinals, &mut of_types)?;
            }
            Ok(of_types)
        };
        match &self.cutoff.scope {
            RuleScope::Only(name) => bits.keep(&of_types(std::slice::from_ref(name))?),
            RuleScope::AllBut(names) => bits.take_out(&of_types(names)?),
        }
        Ok(bits)
    }

    /// The candidates whose age counts from before the cutoff, according to their receipts.
    fn received_before(&mut self, candidates: Bitset, receipts: &mut dyn Receipts) -> Result<Bitset> {
        let none = Bitset::none(self.chunk.length);
        if candidates.is_empty() {
            return Ok(none);
        }
        let (before, overdue) = (self.cutoff.before, self.overdue_before());
        // A sealed chunk with many candidates is read completely once. After that, its oldest and newest receipts mostly decide.
        // Few candidates are read each time, so that one event with an old time does not cost reading a chunk.
        let are_many = candidates.count() > self.chunk.length / FEW_SHARE;
        let mut range = if self.is_sealed() && are_many { self.range(receipts)? } else { None };
        match range {
            Some(range) if range.oldest >= before => return Ok(none),
            Some(range) if range.newest < overdue => {
                self.note_overdue(&candidates)?;
                return Ok(candidates);
            }
            _ => {}
        }
        let positions = self.snapshot.view(self.chunk).positions(&candidates)?;
        let read = receipts.read(&seqs_of(&positions))?;
        if range.is_none() && read.iter().any(|receipt| self.known(*receipt).is_none()) {
            range = self.range(receipts)?;
        }
        let mut past = candidates.clone();
        for ((bit, position), receipt) in candidates.iter().zip(&positions).zip(read) {
            let received = self.known(receipt).or(range.map(|range| range.newest));
            match self.cutoff.counts_from(position.timestamp, received) {
                Some(from) if from < before => self.is_overdue |= from < overdue,
                _ => past.remove(bit),
            }
        }
        Ok(past)
    }

    /// The oldest and the newest receipt of the chunk; `None` if none is known.
    fn range(&self, receipts: &mut dyn Receipts) -> Result<Option<ReceiptRange>> {
        let number = self.chunk.number;
        if let Some(range) = receipts.range_of(number) {
            return Ok(Some(range));
        }
        let positions = self.snapshot.view(self.chunk).positions(&Bitset::all(self.chunk.length))?;
        let read = receipts.read(&seqs_of(&positions))?;
        let known = || read.iter().filter_map(|receipt| self.known(*receipt));
        let Some((oldest, newest)) = known().min().zip(known().max()) else {
            return Ok(None);
        };
        let range = ReceiptRange { oldest, newest };
        // A receipt in the future does not stay in the future.
        let is_lasting = !read.iter().flatten().any(|receipt| *receipt > self.cutoff.now);
        if is_lasting && self.is_sealed() {
            receipts.keep_range(number, range);
        }
        Ok(Some(range))
    }

    /// A receipt, unless it is in the future, because then the clock was wrong.
    fn known(&self, receipt: Option<Timestamp>) -> Option<Timestamp> {
        receipt.filter(|receipt| *receipt <= self.cutoff.now)
    }

    /// Records whether events have been expired for long, if that depends only on their own times.
    fn note_overdue(&mut self, past: &Bitset) -> Result<()> {
        if let Some((first, last)) = self.snapshot.view(self.chunk).extent(past)? {
            self.is_overdue |= first < self.overdue_before() || last > self.cutoff.now;
        }
        Ok(())
    }

    fn is_sealed(&self) -> bool {
        matches!(self.chunk.stage, Stage::Sealed(_))
    }

    fn overdue_before(&self) -> Timestamp {
        self.cutoff.before.plus_seconds(-self.overdue_seconds)
    }
}

fn seqs_of(positions: &[Position]) -> Vec<i64> {
    positions.iter().map(|position| position.seq).collect()
}
