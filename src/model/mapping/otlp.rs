//! Log records of OTLP/JSON (OpenTelemetry protocol 1.x, `ExportLogsServiceRequest`).
//!
//! A request nests log records in scopes, and scopes in resources. A record of a preset is an object with the members
//! `resource`, `scope` and `logRecord`, each as sent, so that an event keeps what it shares with others.

use serde_json::value::RawValue;

use crate::model::{
    json, json_walk,
    mapping::{
        RecordError,
        documents::{Record, elements},
    },
};

/// Maximum number of bytes of the records of a request. Each has a copy of its resource and its scope.
pub const EXPANDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Adds the log records of a request. A document that is no request is a log record by itself, or a record of this form. So is a
/// part of a request that has another form: nothing is lost, and the preset finds little in it.
pub(super) fn open<'a>(
    raw: &'a RawValue,
    records_max: usize,
    records: &mut Vec<Record<'a>>,
) -> Result<(), RecordError> {
    let list = |value: Option<&'a str>| match value {
        Some(list) if list.starts_with('[') => elements(list, records_max),
        // One without a list around it.
        Some(value) if value != "null" => Ok(vec![value]),
        _ => Ok(Vec::new()),
    };
    let [resources, log_record] = members(raw.get(), ["resourceLogs", "logRecord"]);
    if resources.is_none() && log_record.is_some() {
        records.push(Record::new(raw));
        return Ok(());
    }
    if raw.get().trim_matches(['{', '}']).trim().is_empty() {
        return Ok(());
    }
    if resources.is_none() {
        let fields = format!("{{\"logRecord\":{}}}", raw.get());
        records.push(Record::with_fields(std::borrow::Cow::Borrowed(raw), fields));
        return Ok(());
    }
    let mut bytes = 0;
    let mut add = |resource: Option<&str>, scope: Option<&str>, log_record: &str| {
        if records.len() >= records_max {
            return Err(RecordError::TooMany);
        }
        bytes += resource.map_or(0, str::len) + scope.map_or(0, str::len) + log_record.len();
        if bytes > EXPANDED_BYTES_MAX {
            return Err(RecordError::Expands(EXPANDED_BYTES_MAX));
        }
        let (resource, scope) = (resource.unwrap_or("null"), scope.unwrap_or("null"));
        let text = format!("{{\"resource\":{resource},\"scope\":{scope},\"logRecord\":{log_record}}}");
        let text = RawValue::from_string(text).map_err(|error| RecordError::NotJson(error.to_string()))?;
        records.push(Record::owned(text));
        Ok(())
    };
    for logs in list(resources)? {
        let [resource, scopes] = members(logs, ["resource", "scopeLogs"]);
        if !has_only(logs, ["resource", "scopeLogs", "schemaUrl"]) {
            add(resource, None, logs)?;
            continue;
        }
        for logs in list(scopes)? {
            let [scope, log_records] = members(logs, ["scope", "logRecords"]);
            if !has_only(logs, ["scope", "logRecords", "schemaUrl"]) {
                add(resource, scope, logs)?;
                continue;
            }
            for log_record in list(log_records)? {
                add(resource, scope, log_record)?;
            }
        }
    }
    Ok(())
}

/// Whether a value is an object without other keys than these.
fn has_only(value: &str, keys: [&str; 3]) -> bool {
    let mut has_other = !value.starts_with('{');
    if !has_other {
        json_walk::object(value, 0, |key, at| {
            has_other |= !keys.contains(&&*json_walk::text_of(key));
            json::end_of_value(value.as_bytes(), at)
        });
    }
    !has_other
}

/// The values of these keys of an object, as written.
fn members<'a, const N: usize>(value: &'a str, keys: [&str; N]) -> [Option<&'a str>; N] {
    let mut found = [None; N];
    if value.starts_with('{') {
        json_walk::object(value, 0, |key, at| {
            let end = json::end_of_value(value.as_bytes(), at);
            if let Some(place) = keys.iter().position(|wanted| *wanted == json_walk::text_of(key)) {
                found[place] = value.get(at..end);
            }
            end
        });
    }
    found
}
