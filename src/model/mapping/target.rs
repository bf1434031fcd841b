//! The keys of an event that a preset can set, and which texts each of them takes.

use std::borrow::Cow;

use crate::model::{
    event::{FAILURE, OWN_ORIGIN},
    field::{Field, Object},
    json,
    mapping::time,
    zone::Zone,
};

/// A key of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) object: Object,
    pub(super) key: &'static str,
    pub(super) kind: Kind,
}

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text of limited length, which decides which events are the same.
    Identifier,
    /// A text other than the origin of auditbox's own events.
    Origin,
    /// `SUCCESS` or `FAILURE`.
    Status,
    /// An instant.
    Time,
    /// An HTTP status code.
    StatusCode,
    /// Any JSON value.
    Json,
}

const fn text(object: Object, key: &'static str) -> Target {
    Target { object, key, kind: Kind::Text }
}

/// The indexes of the keys that the engine itself sets.
pub(super) const IDENTIFIER: usize = 0;
pub(super) const ACTION: usize = 1;
pub(super) const RESOURCE_TYPE: usize = 2;
pub(super) const ORIGIN: usize = 6;

/// Every key, in the order in which an event has them.
pub(super) const TARGETS: &[Target] = &[
    Target { object: Object::Event, key: "identifier", kind: Kind::Identifier },
    text(Object::Event, "action"),
    text(Object::Event, "resourceType"),
    Target { object: Object::Event, key: "status", kind: Kind::Status },
    text(Object::Event, "message"),
    Target { object: Object::Trigger, key: "at", kind: Kind::Time },
    Target { object: Object::Trigger, key: "origin", kind: Kind::Origin },
    text(Object::By, "userId"),
    text(Object::By, "orgId"),
    text(Object::By, "type"),
    text(Object::By, "name"),
    text(Object::By, "email"),
    text(Object::Context, "entity"),
    text(Object::Context, "blueprint"),
    text(Object::Context, "runId"),
    text(Object::Context, "webhookId"),
    text(Object::Context, "webhookEventId"),
    text(Object::Context, "integrationId"),
    text(Object::Context, "actionType"),
    text(Object::Request, "method"),
    text(Object::Request, "path"),
    Target { object: Object::Request, key: "statusCode", kind: Kind::StatusCode },
    text(Object::Request, "ip"),
    text(Object::Request, "userAgent"),
    Target { object: Object::Diff, key: "before", kind: Kind::Json },
    Target { object: Object::Diff, key: "after", kind: Kind::Json },
];

impl Target {
    /// The key's dotted path: `trigger.by.name`.
    pub(super) fn path(&self) -> String {
        self.object.path(self.key)
    }

    /// The JSON value for a text that was found; an error, which follows the path, if the event does not take the text.
    pub(super) fn value(&self, text: Cow<'_, str>, zone: &Zone) -> Result<String, String> {
        let text = match self.kind {
            Kind::Time => time::rfc3339(&text, zone).ok_or("is not a time")?.into(),
            Kind::Status if !["SUCCESS", FAILURE].iter().any(|status| status.eq_ignore_ascii_case(&text)) => {
                return Err("must be SUCCESS or FAILURE".to_owned());
            }
            Kind::StatusCode => {
                let code = text.parse().ok().filter(|code: &f64| code.fract() == 0.0);
                let code = code.filter(|code| *code == 0.0 || (100.0..=999.0).contains(code));
                return code
                    .map(|code| code.abs().to_string())
                    .ok_or_else(|| "is not a number from 100 to 999".to_owned());
            }
            Kind::Origin if text == OWN_ORIGIN => {
                return Err(format!("`{OWN_ORIGIN}` is reserved for the events that auditbox records about itself"));
            }
            Kind::Identifier if text.len() > Field::Identifier.spec().bytes_max => {
                return Err(format!("is longer than {} bytes", Field::Identifier.spec().bytes_max));
            }
            _ => text,
        };
        if text.contains('\0') {
            return Err("contains a NUL character".to_owned());
        }
        let mut value = String::with_capacity(text.len() + 2);
        json::push_string(&mut value, &text);
        Ok(value)
    }
}

/// The index of the target with this dotted path.
pub(super) fn find(path: &str) -> Option<usize> {
    TARGETS.iter().position(|target| target.path() == path)
}

/// The keys below an object of the event: `userId, orgId, …` for `trigger.by`. Empty if there is no such object.
pub(super) fn keys_below(path: &str) -> Vec<String> {
    let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
    let mut keys: Vec<String> = Vec::new();
    for target in TARGETS {
        let key = target.path().strip_prefix(&prefix).map(|rest| rest.split('.').next().unwrap_or(rest).to_owned());
        if let Some(key) = key.filter(|key| !keys.contains(key)) {
            keys.push(key);
        }
    }
    keys
}

/// Writes the values into a JSON object, nested by the paths of their targets, without its closing brace.
pub(super) fn write<'v>(values: impl Iterator<Item = (&'static Target, &'v str)>, out: &mut String) {
    out.push('{');
    let mut open: &[&str] = &[];
    for (target, value) in values {
        let path = parents(target.object);
        let shared = open.iter().zip(path).take_while(|(open, wanted)| open == wanted).count();
        out.extend(open[shared..].iter().map(|_| '}'));
        for parent in &path[shared..] {
            key(out, parent);
            out.push('{');
        }
        open = path;
        key(out, target.key);
        out.push_str(value);
    }
    out.extend(open.iter().map(|_| '}'));
}

fn parents(object: Object) -> &'static [&'static str] {
    match object {
        Object::Event => &[],
        Object::Trigger => &["trigger"],
        Object::By => &["trigger", "by"],
        Object::Context => &["context"],
        Object::Request => &["request"],
        Object::Diff => &["diff"],
    }
}

/// Adds a key, which needs no escapes, and a comma before it if it is not the first of its object.
pub(super) fn key(out: &mut String, key: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_at_their_paths() {
        let at = |path: &str| &TARGETS[find(path).unwrap()];
        let values = [("action", "1"), ("trigger.by.name", "2"), ("context.entity", "3"), ("diff.after", "{}")];
        let mut out = String::new();
        write(values.iter().map(|(path, value)| (at(path), *value)), &mut out);
        assert_eq!(out, r#"{"action":1,"trigger":{"by":{"name":2}},"context":{"entity":3},"diff":{"after":{}}"#);
        let mut out = String::new();
        write([("trigger.at", "1"), ("trigger.by.name", "2")].iter().map(|(path, value)| (at(path), *value)), &mut out);
        assert_eq!(out, r#"{"trigger":{"at":1,"by":{"name":2}}"#);
    }

    #[test]
    fn every_field_of_the_table_has_a_target_except_words() {
        for spec in crate::model::field::FIELDS {
            for (object, key) in spec.sources {
                assert!(find(&object.path(key)).is_some(), "{key}");
            }
        }
        assert_eq!(keys_below("trigger"), ["at", "origin", "by"]);
        let known = ["identifier", "action", "resourceType", "trigger.origin"].map(|path| find(path).unwrap());
        assert_eq!(known, [IDENTIFIER, ACTION, RESOURCE_TYPE, ORIGIN]);
        assert_eq!(keys_below("nothing"), [""; 0]);
    }

    #[test]
    fn texts_that_an_event_rejects_are_errors() {
        let zone = Zone::utc();
        let value = |path: &str, text: &str| TARGETS[find(path).unwrap()].value(text.to_owned().into(), &zone);
        assert_eq!(value("action", "a\"b"), Ok("\"a\\\"b\"".to_owned()));
        assert_eq!(value("request.statusCode", "404"), Ok("404".to_owned()));
        assert_eq!(value("request.statusCode", "0"), Ok("0".to_owned()));
        assert_eq!(value("status", "failure"), Ok("\"failure\"".to_owned()));
        for (path, text) in [
            ("action", "a\0b"),
            ("identifier", &*"x".repeat(257)),
            ("trigger.at", "yesterday"),
            ("status", "OK"),
            ("trigger.origin", "auditbox"),
            ("request.statusCode", "-200"),
            ("request.statusCode", "99"),
            ("request.statusCode", "NaN"),
        ] {
            assert!(value(path, text).is_err(), "{path}");
        }
    }
}
