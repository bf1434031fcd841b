//! What is dropped, told by rule and by type: for the record of it, and beforehand for whoever asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    index::{Expired, Group, IndexError, Snapshot},
    model::{retention::Cutoff, timestamp::Timestamp},
};

/// Events of one type that one rule drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The rule, as it stands in the configuration.
    pub rule: String,
    /// Events before this instant are past their time.
    pub before: Timestamp,
    /// Their resource type; none for those of many rare types, and for damaged events.
    pub resource_type: Option<String>,
    /// How many there are.
    pub count: u64,
    /// When the earliest and the latest of them happened.
    pub times: (Timestamp, Timestamp),
}

/// What the record of a drop says of it.
pub(super) fn details(expired: &Expired, cutoffs: &[Cutoff]) -> Value {
    let drops = expired.groups.iter().filter_map(|group| {
        let Cutoff { rule, days, before, .. } = cutoffs.get(group.rule)?;
        Some(json!({
            "rule": rule,
            "keepDays": days,
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

/// Everything that is past its time, whether or not its chunk is worth the work yet.
pub(in crate::store) fn due(snapshot: &Snapshot<'_>, cutoffs: &[Cutoff]) -> Result<Vec<Due>, IndexError> {
    let mut sums: BTreeMap<(usize, Option<String>), Group> = BTreeMap::new();
    for number in snapshot.chunks() {
        // Of a chunk with a single event past its time, one in any share is.
        for group in snapshot.expired(number, cutoffs, u32::MAX, 0)?.map_or_else(Vec::new, |expired| expired.groups) {
            sums.entry((group.rule, group.resource_type.clone())).and_modify(|sum| sum.add(&group)).or_insert(group);
        }
    }
    let due = |((rule, resource_type), group): ((usize, Option<String>), Group)| {
        let cutoff = cutoffs.get(rule)?;
        Some(Due {
            rule: cutoff.rule.clone(),
            before: cutoff.before,
            resource_type,
            count: group.count,
            times: group.times,
        })
    };
    Ok(sums.into_iter().filter_map(due).collect())
}
