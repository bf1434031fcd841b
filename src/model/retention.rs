//! Retention rules: how long events are kept, in general and by resource type.
//!
//! Exactly one rule applies to an event: the rule of its resource type, compared without regard to case, or else the general
//! rule. The age of an event counts from its own time (`trigger.at`) or from its receipt, whichever is later. Otherwise a wrong
//! time in an event could delete the event right after it was acknowledged. See [`Cutoff::counts_from`].

use std::collections::HashSet;

use crate::model::{fold::fold, self_audit::RECORD_RESOURCE_TYPE, timestamp::Timestamp};

/// Maximum number of days in a rule: a hundred years. More is a typing error, and could lead to a date before the calendar.
pub const DAYS_MAX: u64 = 36_500;
/// Maximum number of rules for resource types. Each is looked up in every chunk.
const TYPES_MAX: usize = 100;
/// Maximum number of bytes of a resource type: the limit of an event.
const TYPE_BYTES_MAX: usize = 128;
const SECONDS_PER_DAY: i64 = 24 * 60 * 60;

/// The name of the general rule, as in the configuration.
const GENERAL: &str = "keep_days";
/// The beginning of the name of a rule for a resource type, as in the configuration.
const OF_TYPES: &str = "resource_types";

/// The time from which the age of an event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeepBy {
    /// The event's own time or its receipt, whichever is later.
    #[default]
    Both,
    /// The event's own time, whenever it was received.
    EventTime,
}

impl KeepBy {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Both, Self::EventTime];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::EventTime => "event_time",
        }
    }
}

/// All retention rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    keep_by: KeepBy,
    /// Days that events without a rule for their type are kept; `None` for ever.
    general: Option<u32>,
    /// Days that events of a type are kept. Types are spelled as in the configuration.
    by_type: Vec<(String, Option<u32>)>,
}

impl Rules {
    /// Parses rules, in which 0 days mean for ever. The error names the invalid key. Ages count by [`KeepBy::Both`].
    pub fn parse<'a>(
        keep_days: u64,
        by_type: impl IntoIterator<Item = (&'a str, u64)>,
    ) -> Result<Self, (&'static str, String)> {
        let days = |days: u64| match u32::try_from(days) {
            Ok(days) if u64::from(days) <= DAYS_MAX => Ok((days > 0).then_some(days)),
            _ => Err(format!("must be between 0 (for ever) and {DAYS_MAX}, not {days}")),
        };
        let general = days(keep_days).map_err(|text| (GENERAL, text))?;
        let (mut rules, mut seen) = (Vec::new(), HashSet::new());
        for (name, kept) in by_type {
            let wrong = |text: String| (OF_TYPES, format!("`{name}` {text}"));
            if name.is_empty() || name.len() > TYPE_BYTES_MAX || name.contains('\0') {
                return Err(wrong(format!("is not a resource type: it must have 1 to {TYPE_BYTES_MAX} bytes")));
            }
            if !seen.insert(fold(name).into_owned()) {
                return Err(wrong("is listed twice: case does not distinguish resource types".to_owned()));
            }
            if rules.len() == TYPES_MAX {
                return Err(wrong(format!("exceeds the maximum of {TYPES_MAX} resource types")));
            }
            rules.push((name.to_owned(), days(kept).map_err(wrong)?));
        }
        let rules = Self { keep_by: KeepBy::default(), general, by_type: rules };
        rules.check_records().map_err(|text| (OF_TYPES, text))?;
        Ok(rules)
    }

    /// Sets the time from which ages count.
    pub fn keep_by(self, keep_by: KeepBy) -> Self {
        Self { keep_by, ..self }
    }

    /// Rejects rules that would delete the record of a deletion too early. A record explains why events are missing, so it must be
    /// kept for at least as long as those events were.
    fn check_records(&self) -> Result<(), String> {
        let (rule, kept) = self.rule_of(RECORD_RESOURCE_TYPE);
        let Some(kept) = kept else {
            return Ok(());
        };
        let general = self.general.map(|days| (GENERAL.to_owned(), days));
        let by_type = self.by_type.iter().filter_map(|(name, days)| Some((format!("{OF_TYPES}.{name}"), (*days)?)));
        match general.into_iter().chain(by_type).max_by_key(|(_, days)| *days) {
            Some((longest, days)) if days > kept => Err(format!(
                "would delete the records of deletions too early: `{rule}` keeps them (resource type \
                 {RECORD_RESOURCE_TYPE}) for {kept} days, and `{longest}` deletes events after {days}; set \
                 {RECORD_RESOURCE_TYPE} to {days} or more here, or to 0 to keep the records for ever"
            )),
            _ => Ok(()),
        }
    }

    /// The name of the rule for a resource type, and the days that it keeps events; `None` for ever.
    fn rule_of(&self, resource_type: &str) -> (String, Option<u32>) {
        let lower = resource_type.to_lowercase();
        match self.by_type.iter().find(|(name, _)| name.to_lowercase() == lower) {
            Some((name, days)) => (format!("{OF_TYPES}.{name}"), *days),
            None => (GENERAL.to_owned(), self.general),
        }
    }

    /// Whether an event of this type and time is expired at `now` if only its own time counts.
    pub fn is_past_by_event_time(&self, resource_type: &str, at: Timestamp, now: Timestamp) -> bool {
        self.rule_of(resource_type).1.is_some_and(|days| at < cutoff(now, days))
    }

    /// The time from which the age of an event counts.
    pub const fn kept_by(&self) -> KeepBy {
        self.keep_by
    }

    /// Whether all events are kept for ever.
    pub fn keep_everything(&self) -> bool {
        self.general.is_none() && self.by_type.iter().all(|(_, days)| days.is_none())
    }

    /// What each rule deletes at `now`.
    pub fn cutoffs(&self, now: Timestamp) -> Vec<Cutoff> {
        let keep_by = self.keep_by;
        let cutoff = |rule: String, days: u32, scope: RuleScope| Cutoff {
            rule,
            days,
            before: cutoff(now, days),
            scope,
            keep_by,
            now,
        };
        let types = || self.by_type.iter().map(|(name, _)| fold(name).into_owned()).collect();
        let general = self.general.map(|days| cutoff(GENERAL.to_owned(), days, RuleScope::AllBut(types())));
        let by_type = self.by_type.iter().filter_map(|(name, days)| {
            Some(cutoff(format!("{OF_TYPES}.{name}"), (*days)?, RuleScope::Only(fold(name).into_owned())))
        });
        general.into_iter().chain(by_type).collect()
    }
}

/// What one rule deletes at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutoff {
    /// The name of the rule, as in the configuration: `keep_days` or `resource_types.<type>`.
    pub rule: String,
    /// The days that the rule keeps events.
    pub days: u32,
    /// Events whose age counts from before this instant are expired.
    pub before: Timestamp,
    /// The events to which the rule applies.
    pub scope: RuleScope,
    /// The time from which ages count.
    pub keep_by: KeepBy,
    /// The moment of deletion.
    pub now: Timestamp,
}

impl Cutoff {
    /// The instant from which the age of an event counts, given its time and its receipt, if known. A time in the future is
    /// wrong, so the receipt replaces it. `None` if no time is known: the event is kept.
    pub fn counts_from(&self, at: Timestamp, received: Option<Timestamp>) -> Option<Timestamp> {
        let at = if at > self.now { received } else { Some(at) };
        match self.keep_by {
            KeepBy::Both => at.max(received),
            KeepBy::EventTime => at,
        }
    }
}

fn cutoff(now: Timestamp, days: u32) -> Timestamp {
    now.plus_seconds(-i64::from(days) * SECONDS_PER_DAY)
}

/// The resource types to which a rule applies, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleScope {
    /// This type.
    Only(String),
    /// Every type except these.
    AllBut(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_type_has_its_own_number_and_zero_is_for_ever() {
        let types = [("User_Session", 400), ("invoice", 0), ("login", 1), ("audit_log", 0)];
        let rules = Rules::parse(30, types).unwrap();
        let cutoffs = rules.cutoffs(at("2024-03-01T12:00:00Z"));
        let [general, session, login] = cutoffs.as_slice() else { panic!("{cutoffs:?}") };
        assert_eq!((general.rule.as_str(), general.before), ("keep_days", at("2024-01-31T12:00:00Z")));
        assert_eq!(
            general.scope,
            RuleScope::AllBut(["user_session", "invoice", "login", "audit_log"].map(String::from).into())
        );
        assert_eq!(
            (session.rule.as_str(), session.before),
            ("resource_types.User_Session", at("2023-01-26T12:00:00Z"))
        );
        assert_eq!(session.scope, RuleScope::Only("user_session".to_owned()));
        assert_eq!((login.days, login.before), (1, at("2024-02-29T12:00:00Z")));
    }

    #[test]
    fn the_later_of_both_times_counts_and_a_future_time_does_not() {
        let now = at("2024-03-01T00:00:00Z");
        let rules = Rules::parse(30, []).unwrap();
        let counts_from = |keep_by: KeepBy, time: &str, received: Option<&str>| {
            let [cutoff] = &rules.clone().keep_by(keep_by).cutoffs(now)[..] else { panic!("one rule") };
            cutoff.counts_from(at(time), received.map(at))
        };
        let (early, late, ahead) = ("1970-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2999-01-01T00:00:00Z");
        for (time, received, both, event_time) in [
            (early, Some(late), Some(late), Some(early)),
            (late, Some(early), Some(late), Some(late)),
            (ahead, Some(late), Some(late), Some(late)),
            // A damaged body has no receipt.
            (early, None, Some(early), Some(early)),
            (ahead, None, None, None),
        ] {
            assert_eq!(counts_from(KeepBy::Both, time, received), both.map(at), "{time} {received:?}");
            assert_eq!(counts_from(KeepBy::EventTime, time, received), event_time.map(at), "{time} {received:?}");
        }
    }

    #[test]
    fn records_of_deletions_are_kept_as_long_as_the_deleted_events_were() {
        for (days, types) in [
            (30, vec![]),
            (30, vec![("login", 1)]),
            (30, vec![("invoice", 400), ("audit_log", 400)]),
            (30, vec![("invoice", 0)]),
            (30, vec![("Audit_Log", 0)]),
            (0, vec![("login", 90)]),
            (0, vec![("audit_log", 90)]),
        ] {
            assert!(Rules::parse(days, types.clone()).is_ok(), "{days} {types:?}");
        }
        for (days, types, parts) in [
            (30, vec![("audit_log", 1)], ["`resource_types.audit_log`", "`keep_days`", "to 30 or more"]),
            (30, vec![("AUDIT_LOG", 29)], ["`resource_types.AUDIT_LOG`", "`keep_days`", "to 30 or more"]),
            (30, vec![("invoice", 400)], ["`keep_days` keeps", "`resource_types.invoice`", "to 400 or more"]),
            (0, vec![("login", 90), ("audit_log", 7)], ["for 7 days", "`resource_types.login`", "to 90 or more"]),
        ] {
            let (key, text) = Rules::parse(days, types).unwrap_err();
            assert!(key == "resource_types" && parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn no_rules_keep_everything() {
        assert!(Rules::default().keep_everything() && Rules::parse(0, [("a", 0)]).unwrap().keep_everything());
        assert!(!Rules::parse(0, [("a", 1)]).unwrap().keep_everything());
        assert!(Rules::parse(0, [("a", 0)]).unwrap().cutoffs(Timestamp::now()).is_empty());
    }

    #[test]
    fn the_error_of_an_invalid_rule_names_its_key() {
        assert_eq!(Rules::parse(36_501, []).unwrap_err().0, "keep_days");
        for types in [vec![("a", 36_501)], vec![("", 1)], vec![("a", 1), ("A", 2)], vec![("a\0", 1)]] {
            assert_eq!(Rules::parse(1, types).unwrap_err().0, "resource_types");
        }
    }
}
