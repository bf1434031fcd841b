//! Epochs: how a cursor shows that the log still has the history for which the cursor was issued.
//!
//! A file that is replaced with an older copy of itself continues with other events under the same seqs. A seq alone
//! cannot show that. So the history of a log is divided into epochs. An epoch has a random id and begins after a seq; a new
//! one begins whenever a server opens the file, and at every restore. All events of one epoch are therefore written by one
//! run of one program, and two files that both have an epoch agree up to where it ends in the first of them.
//!
//! A cursor names the epoch in which the event at its position arrived. It is valid if the log still has that epoch at that
//! position. An epoch in which no event arrived is replaced by the next one, so there are never more epochs than events.

use std::collections::BTreeMap;

use crate::model::{
    cursor::{Cursor, EpochId, Position},
    error::ParameterError,
    query::Query,
};

/// The seq after which the first epoch of every file begins.
pub const BEFORE_ALL: i64 = -1;

/// The epochs of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Epochs {
    /// The seq after which each epoch began, with its id. The first epoch, after [`BEFORE_ALL`], covers the events that the file
    /// had when epochs were introduced. In a new file it covers only the start of the log.
    history: BTreeMap<i64, EpochId>,
    /// Epochs that restores removed from the history. They show what a cursor of one of them has in common with this log.
    undone: BTreeMap<EpochId, Origin>,
}

/// Where an epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The preceding epoch.
    pub parent: EpochId,
    /// The last seq before the epoch.
    pub seq: i64,
}

/// Why a cursor is not valid for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The log has the cursor's history up to this seq only, which is before the cursor's position.
    Undone { shared: i64 },
    /// The log does not know the cursor's epoch.
    Unknown,
    /// The cursor names no epoch, and is beyond the part of the log in which that is accepted.
    Unproven,
}

impl Epochs {
    /// Stored epochs: `history` by the seq after which each began, `undone` by id.
    pub const fn new(history: BTreeMap<i64, EpochId>, undone: BTreeMap<EpochId, Origin>) -> Self {
        Self { history, undone }
    }

    /// Epochs that restores removed from the history.
    pub const fn undone(&self) -> &BTreeMap<EpochId, Origin> {
        &self.undone
    }

    /// The epoch in which the event with this seq arrived; `None` in a file that has no epochs yet.
    pub fn at(&self, seq: i64) -> Option<EpochId> {
        self.history.range(..seq.max(0)).next_back().map(|(_, id)| *id)
    }

    /// The cursor of a position in this log.
    pub fn cursor_at(&self, position: Position) -> Cursor {
        Cursor { position, epoch: self.at(position.seq) }
    }

    /// Begins an epoch after `last_seq`, the newest event.
    pub fn begin(&mut self, last_seq: i64, id: EpochId) {
        if self.history.is_empty() {
            // A different id that is equally random.
            self.history.insert(BEFORE_ALL, EpochId::from_number(!id.number()));
        }
        // Removes epochs without an event. No position is in them.
        drop(self.history.split_off(&last_seq));
        self.history.insert(last_seq, id);
    }

    /// Begins an epoch after `last_seq` in a log that replaces another log, which ends at `other_last_seq`. Returns the last seq
    /// that both have in common, if their epochs show it.
    pub fn take_place_of(&mut self, other: &Self, other_last_seq: i64, last_seq: i64, id: EpochId) -> Option<i64> {
        self.begin(last_seq, id);
        let successions = other.history.iter().zip(other.history.iter().skip(1));
        let origins = successions.map(|((_, parent), (seq, id))| (*id, Origin { parent: *parent, seq: *seq }));
        self.undone.extend(origins.chain(other.undone.iter().map(|(id, origin)| (*id, *origin))));
        for id in self.history.values() {
            self.undone.remove(id);
        }
        let (_, newest) = other.history.last_key_value()?;
        self.shared_with(*newest, last_seq).map(|shared| shared.min(other_last_seq))
    }

    /// The last seq up to which this log, whose newest event is `newest`, has the history that led to an epoch.
    fn shared_with(&self, id: EpochId, newest: i64) -> Option<i64> {
        let ends = self.history.keys().skip(1).copied().chain([newest]);
        let ends: BTreeMap<EpochId, i64> = self.history.values().copied().zip(ends).collect();
        let (mut id, mut shared) = (id, i64::MAX);
        // No more steps than there are epochs, so that damaged rows cannot lead in circles.
        for _ in 0..=self.undone.len() {
            if let Some(end) = ends.get(&id) {
                return Some(shared.min(*end));
            }
            let origin = self.undone.get(&id)?;
            (id, shared) = (origin.parent, shared.min(origin.seq));
        }
        None
    }

    /// Rejects the cursor of a query if this log, whose newest event is `newest`, cannot continue from it without missing or
    /// repeating events.
    pub fn check(&self, query: &Query, newest: i64) -> Result<(), ParameterError> {
        let Some(cursor) = query.after else {
            return Ok(());
        };
        let seq = cursor.position.seq;
        let again = "begin again without it";
        let message = match self.verify(cursor, newest) {
            Ok(()) => return Ok(()),
            Err(Refusal::Undone { shared }) => {
                let what = format!(
                    "continues after event {seq} of a history that this log has up to event {shared} only: the log was \
                     restored from a backup, or its file was replaced with an older copy"
                );
                if query.follows() {
                    let resume = query.cursor(self.cursor_at(Position::of_arrival(shared)));
                    let message = format!("{what}; to miss nothing, begin again from the cursor {resume}");
                    return Err(ParameterError { resume: Some(resume), ..ParameterError::new("cursor", message) });
                }
                format!("{what}; {again}")
            }
            Err(Refusal::Unknown) => format!(
                "belongs to another log, or to a history of this log that ended when its file was replaced with an older \
                 copy; {again}"
            ),
            Err(Refusal::Unproven) => format!(
                "was issued by an earlier version of auditbox, for event {seq} of a log that may not be this one: this \
                 log accepts such cursors up to event {} only; {again}",
                self.unproven_through().min(newest)
            ),
        };
        Err(ParameterError::new("cursor", message))
    }

    fn verify(&self, Cursor { position, epoch }: Cursor, newest: i64) -> Result<(), Refusal> {
        let seq = position.seq;
        let Some(id) = epoch else {
            return if seq <= self.unproven_through().min(newest) { Ok(()) } else { Err(Refusal::Unproven) };
        };
        if seq <= newest && self.at(seq) == Some(id) {
            return Ok(());
        }
        match self.shared_with(id, newest) {
            Some(shared) if shared < seq => Err(Refusal::Undone { shared }),
            _ => Err(Refusal::Unknown),
        }
    }

    /// The last seq up to which a cursor without an epoch is accepted. Such cursors were issued before the file had epochs. Later
    /// events have cursors with an epoch.
    fn unproven_through(&self) -> i64 {
        self.history.range(0..).next().map_or(i64::MAX, |(began, _)| *began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        filter::Filter,
        query::{Order, Sort},
    };
    use proptest::prelude::*;

    fn query(cursor: Option<Cursor>) -> Query {
        let mut query = Query::new(Filter::default(), Sort::Received, Order::Ascending);
        query.after = cursor;
        query
    }

    fn id(number: i64) -> EpochId {
        EpochId::from_number(number)
    }

    fn cursor(seq: i64, epoch: impl Into<Option<i64>>) -> Cursor {
        Cursor { position: Position::of_arrival(seq), epoch: epoch.into().map(EpochId::from_number) }
    }

    #[test]
    fn a_position_is_in_the_epoch_in_which_its_event_arrived() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.at(5), None);
        epochs.begin(10, id(1));
        epochs.begin(20, id(2));
        epochs.begin(20, id(3));
        for (seq, epoch) in [(0, !1), (10, !1), (11, 1), (20, 1), (21, 3), (i64::MAX, 3)] {
            assert_eq!(epochs.at(seq), Some(id(epoch)), "{seq}");
        }
    }

    #[test]
    fn a_cursor_without_an_epoch_is_accepted_up_to_the_first_epoch() {
        let mut epochs = Epochs::default();
        assert_eq!(epochs.check(&query(Some(cursor(7, None))), 7), Ok(()));
        assert!(epochs.check(&query(Some(cursor(8, None))), 7).is_err());
        epochs.begin(10, id(1));
        assert_eq!(epochs.check(&query(Some(cursor(10, None))), 90), Ok(()));
        assert!(epochs.check(&query(Some(cursor(11, None))), 90).is_err());
    }

    /// The log of a file: its epochs, and its events, no two of which are alike in any file.
    #[derive(Clone, Default)]
    struct Log {
        epochs: Epochs,
        events: Vec<u64>,
    }

    impl Log {
        fn last_seq(&self) -> i64 {
            i64::try_from(self.events.len()).unwrap()
        }

        fn has(&self, events: &[u64]) -> bool {
            self.events.starts_with(events)
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Append(u8),
        Start,
        /// Copies the file.
        Copy,
        /// `auditbox restore` of one of the copies; the file that was there is kept as another copy.
        Restore(prop::sample::Index),
        /// One of the copies is put in the file's place, and a server started on it.
        PutBack(prop::sample::Index),
        /// A follower takes a cursor at some position.
        Follow(prop::sample::Index),
    }

    fn steps(by_hand: bool) -> impl Strategy<Value = Vec<Step>> {
        let one = prop_oneof![
            4 => (1_u8..6).prop_map(Step::Append),
            2 => Just(Step::Start),
            2 => Just(Step::Copy),
            2 => any::<prop::sample::Index>().prop_map(Step::Restore),
            u32::from(by_hand) => any::<prop::sample::Index>().prop_map(Step::PutBack),
            4 => any::<prop::sample::Index>().prop_map(Step::Follow),
        ];
        prop::collection::vec(one, 1..60)
    }

    /// Makes the steps. After each step, a cursor is accepted exactly if the file has all events that its follower has read. The
    /// position that a rejection offers instead is within these events.
    fn run(steps: Vec<Step>, by_hand: bool) {
        let mut ids = (1..).map(EpochId::from_number);
        let mut events = 1..;
        let (mut file, mut copies, mut followers) = (Log::default(), Vec::new(), Vec::new());
        file.epochs.begin(0, ids.next().unwrap());
        for step in steps {
            match step {
                Step::Append(count) => file.events.extend(events.by_ref().take(count.into())),
                Step::Start => file.epochs.begin(file.last_seq(), ids.next().unwrap()),
                Step::Copy => copies.push(file.clone()),
                Step::Restore(which) if !copies.is_empty() => {
                    let mut copy: Log = which.get(&copies).clone();
                    let last_seq = copy.last_seq();
                    copy.epochs.take_place_of(&file.epochs, file.last_seq(), last_seq, ids.next().unwrap());
                    copies.push(std::mem::replace(&mut file, copy));
                }
                Step::PutBack(which) if !copies.is_empty() => {
                    copies.push(file);
                    file = which.get(&copies).clone();
                    file.epochs.begin(file.last_seq(), ids.next().unwrap());
                }
                Step::Follow(which) => {
                    let seq = which.index(file.events.len() + 1);
                    let cursor = file.epochs.cursor_at(Position::of_arrival(i64::try_from(seq).unwrap()));
                    followers.push((cursor, file.events[..seq].to_vec()));
                }
                Step::Restore(_) | Step::PutBack(_) => {}
            }
            for (cursor, read) in &followers {
                let checked = file.epochs.check(&query(Some(*cursor)), file.last_seq());
                assert_eq!(checked.is_ok(), file.has(read), "{cursor:?} {:?}", file.epochs);
                let refusal = file.epochs.verify(*cursor, file.last_seq());
                if let Err(Refusal::Undone { shared }) = refusal {
                    let shared = usize::try_from(shared).unwrap();
                    assert!(file.has(&read[..shared]) && !file.has(&read[..=shared]), "{cursor:?} {:?}", file.epochs);
                }
                assert!(by_hand || !matches!(refusal, Err(Refusal::Unknown)), "{cursor:?} {:?}", file.epochs);
            }
        }
    }

    proptest! {
        #[test]
        fn a_cursor_is_accepted_exactly_where_its_follower_misses_nothing(steps in steps(false)) {
            run(steps, false);
        }

        #[test]
        fn files_put_back_by_hand_are_told_from_those_that_went_on(steps in steps(true)) {
            run(steps, true);
        }
    }
}
