//! What retention deletes, by rule and resource type: for its audit record, and in advance for `auditbox retention`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    index::{Expired, Group, IndexError, Snapshot},
    model::{retention::Cutoff, timestamp::Timestamp},
};

/// Events of one resource type that one rule deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The rule, as the configuration names it.
    pub rule: String,
    /// Events before this instant are expired.
    pub before: Timestamp,
    /// The resource type; `None` for many rare types together, and for damaged events.
    pub resource_type: Option<String>,
    /// The number of events.
    pub count: u64,
    /// The earliest and the latest event time.
    pub times: (Timestamp, Timestamp),
}

/// What the audit record of a deletion says.
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

/// Everything that is expired, even if its chunk is not worth the work yet.
pub(in crate::store) fn due(snapshot: &Snapshot<'_>, cutoffs: &[Cutoff]) -> Result<Vec<Due>, IndexError> {
    let mut sums: BTreeMap<(usize, Option<String>), Group> = BTreeMap::new();
    for number in snapshot.chunks() {
        // With a share of 1 in everything, a chunk with a single expired event counts.
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
