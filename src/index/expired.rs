//! Finds expired events chunk by chunk. Like any other query, retention's is answered by sets of positions.
//!
//! A chunk is identified by its number, so that a caller can process the log on many short snapshots.

use crate::{
    index::{
        Result,
        bits::Bits,
        memory::term_fields,
        snapshot::{Chunk, Snapshot, Stage},
        terms::{self, UsedTerms},
        view::View,
    },
    model::{
        cursor::Position,
        field::Field,
        filter::{Clause, Predicate, TimeRange},
        retention::{Cutoff, Scope},
        timestamp::Timestamp,
    },
};

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
    pub groups: Vec<Group>,
}

/// The expired events of one resource type under one rule.
#[derive(Debug, Clone)]
pub struct Group {
    /// The index of the rule among the cutoffs.
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

impl Group {
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

impl Snapshot<'_> {
    /// The numbers of the chunks that have events, in ascending order.
    pub fn chunks(&self) -> Vec<u32> {
        self.chunks_by_arrival(false).iter().map(|chunk| chunk.number).collect()
    }

    /// Records the terms that a chunk's events have.
    pub fn note_terms(&self, number: u32, used: &mut UsedTerms) -> Result<()> {
        let chunks = self.chunks_by_arrival(false);
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.number == number) {
            let (view, all) = (self.view(chunk), Bits::all(chunk.length));
            for field in term_fields() {
                view.count_terms(field, &all, |ordinal, _| used.add(field, ordinal))?;
            }
        }
        Ok(())
    }

    /// The expired events of a chunk, if deleting them is worth the work: if all of the chunk is expired, or one event
    /// in `share`, or an event has been expired for the given number of seconds. `None` otherwise.
    pub fn expired(
        &self,
        number: u32,
        cutoffs: &[Cutoff],
        share: u32,
        overdue_seconds: i64,
    ) -> Result<Option<Expired>> {
        let chunks = self.chunks_by_arrival(false);
        let Some(chunk) = chunks.iter().find(|chunk| chunk.number == number) else {
            return Ok(None);
        };
        let (mut all, mut is_overdue, mut by_rule) = (Bits::none(chunk.length), false, Vec::new());
        for (rule, cutoff) in cutoffs.iter().enumerate() {
            let Some((mut view, bits)) = self.past(chunk, cutoff)? else {
                continue;
            };
            let Some((earliest, _)) = view.extent(&bits)? else {
                continue;
            };
            is_overdue |= earliest < cutoff.before.plus_seconds(-overdue_seconds);
            all.add(&bits);
            by_rule.push((rule, bits));
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

    /// The events of a chunk that one rule deletes, with a view of the chunk; `None` if there can be none.
    fn past<'s>(&'s self, chunk: &Chunk<'s>, cutoff: &Cutoff) -> Result<Option<(View<'s>, Bits)>> {
        let last = Timestamp::from_micros(cutoff.before.micros().saturating_sub(1));
        let range = TimeRange { from: None, to: Some(last) };
        if !chunk.overlaps(&range) {
            return Ok(None);
        }
        let mut view = self.view(chunk);
        view.confine(&range)?;
        let mut bits = view.in_range();
        let of_types = |types: &[String]| -> Result<Bits> {
            let mut of_types = Bits::none(view.length());
            if !types.is_empty() {
                let predicates = types.iter().cloned().map(Predicate::IgnoreCase).collect();
                let clause = Clause { field: Field::ResourceType, negated: false, predicates };
                view.add_terms(Field::ResourceType, &self.terms_of(&clause)?, &mut of_types)?;
            }
            Ok(of_types)
        };
        match &cutoff.scope {
            Scope::Only(name) => bits.keep(&of_types(std::slice::from_ref(name))?),
            Scope::AllBut(names) => bits.take_out(&of_types(names)?),
        }
        Ok(Some((view, bits)))
    }

    /// Groups the events of a set by resource type.
    fn groups(
        &self,
        chunk: &Chunk<'_>,
        rule: usize,
        scope: &Scope,
        mut rest: Bits,
        groups: &mut Vec<Group>,
    ) -> Result<()> {
        let mut view = self.view(chunk);
        if let Scope::Only(name) = scope {
            groups.extend(Group::of(rule, Some(name.clone()), &view.positions(&rest)?));
            return Ok(());
        }
        let mut ordinals = Vec::new();
        view.count_terms(Field::ResourceType, &rest, |ordinal, _| ordinals.push(ordinal))?;
        ordinals.sort_unstable();
        ordinals.dedup();
        for ordinal in ordinals.into_iter().take(GROUPS_MAX) {
            let mut own = Bits::none(view.length());
            view.add_terms(Field::ResourceType, &[ordinal], &mut own)?;
            own.keep(&rest);
            rest.take_out(&own);
            let name = terms::value(self.connection, Field::ResourceType, ordinal)?;
            groups.extend(Group::of(rule, name, &view.positions(&own)?));
        }
        groups.extend(Group::of(rule, None, &view.positions(&rest)?));
        Ok(())
    }
}
