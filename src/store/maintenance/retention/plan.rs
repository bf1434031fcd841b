//! What retention deletes, by rule and resource type: for its audit record, and in advance for `auditbox retention`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    index::{Expired, ExpiredGroup, IndexError, Receipts, Snapshot},
    model::{retention::Cutoff, timestamp::Timestamp},
};

/// Events of one resource type that one rule deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The rule, as the configuration names it.
    pub rule: String,
    /// Events whose age counts from before this instant are expired.
    pub before: Timestamp,
    /// The resource type; `None` for many rare types together, and for damaged events.
    pub resource_type: Option<String>,
    /// The number of events.
    pub count: u64,
    /// The earliest and the latest event time.
    pub times: (Timestamp, Timestamp),
}

/// What the audit record of a deletion says.
pub(in crate::store) fn details(expired: &Expired, cutoffs: &[Cutoff]) -> Value {
    let drops = expired.groups.iter().filter_map(|group| {
        let Cutoff { rule, days, before, keep_by, .. } = cutoffs.get(group.rule)?;
        Some(json!({
            "rule": rule,
            "keepDays": days,
            "keepBy": keep_by.name(),
            "before": before.to_string(),
            "resourceType": group.resource_type,
            "count": group.count,
            "firstSeq": group.seqs.0,
            "lastSeq": group.seqs.1,
            "earliest": group.times.0.to_string(),
            "latest": group.times.1.to_string(),
        }))
    });
    json!({
        "count": expired.seqs.len(),
        "firstSeq": expired.seqs.first(),
        "lastSeq": expired.seqs.last(),
        "drops": drops.collect::<Vec<_>>(),
    })
}

/// The expired events, summed up over chunks.
#[derive(Default)]
pub(in crate::store) struct DueSums(BTreeMap<(usize, Option<String>), ExpiredGroup>);

impl DueSums {
    /// Adds the expired events of a chunk, even if the chunk is not worth the work yet.
    pub(in crate::store) fn add(
        &mut self,
        snapshot: &Snapshot<'_>,
        number: u32,
        cutoffs: &[Cutoff],
        receipts: &mut dyn Receipts,
    ) -> Result<(), IndexError> {
        // With a share of 1 in everything, a chunk with a single expired event counts.
        let expired = snapshot.expired(number, cutoffs, u32::MAX, 0, receipts)?;
        for group in expired.map_or_else(Vec::new, |expired| expired.groups) {
            let key = (group.rule, group.resource_type.clone());
            self.0.entry(key).and_modify(|sum| sum.add(&group)).or_insert(group);
        }
        Ok(())
    }

    /// The sums, by rule and type.
    pub(in crate::store) fn dues(self, cutoffs: &[Cutoff]) -> Vec<Due> {
        let due = |((rule, resource_type), group): ((usize, Option<String>), ExpiredGroup)| {
            let Cutoff { rule, before, .. } = cutoffs.get(rule)?.clone();
            Some(Due { rule, before, resource_type, count: group.count, times: group.times })
        };
        self.0.into_iter().filter_map(due).collect()
    }
}
