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

/// Adds the log records of a request. A document that is no request is a log record by itself, or a record of this form.
pub(super) fn open<'a>(
    raw: &'a RawValue,
    records_max: usize,
    records: &mut Vec<Record<'a>>,
) -> Result<(), RecordError> {
    let list = |value: Option<&'a str>| {
        let list = value.filter(|value| value.starts_with('['));
        list.map_or(Ok(Vec::new()), |list| elements(list, records_max))
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
    for logs in list(resources)? {
        let [resource, scopes] = members(logs, ["resource", "scopeLogs"]);
        for logs in list(scopes)? {
            let [scope, log_records] = members(logs, ["scope", "logRecords"]);
            for log_record in list(log_records)? {
                if records.len() >= records_max {
                    return Err(RecordError::TooMany);
                }
                bytes += resource.map_or(0, str::len) + scope.map_or(0, str::len) + log_record.len();
                if bytes > EXPANDED_BYTES_MAX {
                    return Err(RecordError::Expands(EXPANDED_BYTES_MAX));
                }
                let text = format!(
                    "{{\"resource\":{},\"scope\":{},\"logRecord\":{log_record}}}",
                    resource.unwrap_or("null"),
                    scope.unwrap_or("null")
                );
                let text = RawValue::from_string(text).map_err(|error| RecordError::NotJson(error.to_string()))?;
                records.push(Record::owned(text));
            }
        }
    }
    Ok(())
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
