//! The messages of OTLP that this server reads and writes, and log records as JSON.
//!
//! Field numbers are those of opentelemetry-proto 1.x (`logs/v1`, `common/v1`, `resource/v1`, `collector/logs/v1`) and of
//! `google/rpc/status.proto`. Unknown fields are skipped.

use std::fmt::Write;

use prost::Message;

use super::any_value::{KeyValue, push_any_value, push_attributes, push_text};
use crate::model::mapping::{EXPANDED_BYTES_MAX, RecordError};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsServiceRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "2")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    /// Each is decoded by itself, so that one that cannot be decoded costs no other.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) log_records: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "4")]
    pub(super) dropped_attributes_count: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(int32, tag = "2")]
    pub(super) severity_number: i32,
    #[prost(string, tag = "3")]
    pub(super) severity_text: String,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<super::any_value::AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(uint32, tag = "7")]
    pub(super) dropped_attributes_count: u32,
    #[prost(fixed32, tag = "8")]
    pub(super) flags: u32,
    #[prost(bytes = "vec", tag = "9")]
    pub(super) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "10")]
    pub(super) span_id: Vec<u8>,
    #[prost(fixed64, tag = "11")]
    pub(super) observed_time_unix_nano: u64,
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsServiceResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<ExportLogsPartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ExportLogsPartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_log_records: i64,
    #[prost(string, tag = "2")]
    pub(super) error_message: String,
}

/// An error (`google.rpc.Status`).
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

impl ExportLogsServiceRequest {
    /// Each log record with its resource and its scope, in the form of the preset's records:
    /// `{"resource":…,"scope":…,"logRecord":…}`.
    pub(super) fn into_records(self) -> Vec<Result<String, String>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for logs in self.resource_logs {
            let resource = logs.resource.map_or_else(|| "null".to_owned(), |resource| resource.to_json());
            for logs in logs.scope_logs {
                let scope = logs.scope.map_or_else(|| "null".to_owned(), |scope| scope.to_json());
                records.extend(logs.log_records.iter().map(|record| {
                    let record =
                        LogRecord::decode(record.as_slice()).map_err(|error| format!("the log record: {error}"))?;
                    let record = record.to_json();
                    // A small request may have many records that share a large resource.
                    bytes += resource.len() + scope.len() + record.len();
                    if bytes > EXPANDED_BYTES_MAX {
                        return Err(RecordError::Expands(EXPANDED_BYTES_MAX).to_string());
                    }
                    Ok(format!("{{\"resource\":{resource},\"scope\":{scope},\"logRecord\":{record}}}"))
                }));
            }
        }
        records
    }
}

/// An object under construction. Keys with default values are left out, as the JSON of protobuf does.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{key}\":");
        &mut self.0
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            push_text(self.key(key), text);
        }
    }

    fn number(&mut self, key: &str, number: u32) {
        if number != 0 {
            let _ = write!(self.key(key), "{number}");
        }
    }

    /// A 64-bit number, which is a string in the JSON of protobuf.
    fn long(&mut self, key: &str, number: u64) {
        if number != 0 {
            let _ = write!(self.key(key), "\"{number}\"");
        }
    }

    /// An id, which is in hexadecimal digits in OTLP. One of zeros only is none.
    fn id(&mut self, key: &str, id: &[u8]) {
        if id.iter().any(|byte| *byte != 0) {
            let out = self.key(key);
            out.push('"');
            for byte in id {
                let _ = write!(out, "{byte:02x}");
            }
            out.push('"');
        }
    }

    fn attributes(&mut self, attributes: &[KeyValue]) {
        if !attributes.is_empty() {
            push_attributes(self.key("attributes"), attributes);
        }
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

impl Resource {
    fn to_json(&self) -> String {
        let mut object = Object::new();
        object.attributes(&self.attributes);
        object.number("droppedAttributesCount", self.dropped_attributes_count);
        object.finish()
    }
}

impl Scope {
    fn to_json(&self) -> String {
        let mut object = Object::new();
        object.text("name", &self.name);
        object.text("version", &self.version);
        object.attributes(&self.attributes);
        object.number("droppedAttributesCount", self.dropped_attributes_count);
        object.finish()
    }
}

impl LogRecord {
    fn to_json(&self) -> String {
        let mut object = Object::new();
        object.long("timeUnixNano", self.time_unix_nano);
        object.long("observedTimeUnixNano", self.observed_time_unix_nano);
        if self.severity_number != 0 {
            let _ = write!(object.key("severityNumber"), "{}", self.severity_number);
        }
        object.text("severityText", &self.severity_text);
        object.text("eventName", &self.event_name);
        if let Some(body) = &self.body {
            push_any_value(object.key("body"), body);
        }
        object.attributes(&self.attributes);
        object.number("droppedAttributesCount", self.dropped_attributes_count);
        object.number("flags", self.flags);
        object.id("traceId", &self.trace_id);
        object.id("spanId", &self.span_id);
        object.finish()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::doors::otlp::any_value::{AnyValue, ArrayValue, KeyValueList, Value};

    fn any(value: Value) -> AnyValue {
        AnyValue { value: Some(value) }
    }

    fn pair(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(any(value)) }
    }

    pub(in crate::doors::otlp) fn request() -> ExportLogsServiceRequest {
        let list = ArrayValue { values: vec![AnyValue { value: Some(Value::Bool(true)) }, AnyValue { value: None }] };
        let inner = KeyValueList { values: vec![pair("n", Value::Int(-7)), pair("d", Value::Double(1.5))] };
        let record = LogRecord {
            time_unix_nano: 1_767_323_045_123_456_789,
            severity_number: 9,
            body: Some(any(Value::Text("role \"changed\"".to_owned()))),
            attributes: vec![
                pair("list", Value::Array(list)),
                pair("map", Value::Map(inner)),
                pair("bytes", Value::Bytes(vec![1, 255])),
                pair("nan", Value::Double(f64::NAN)),
            ],
            trace_id: vec![0x4b, 0xf9],
            event_name: "role.update".to_owned(),
            ..LogRecord::default()
        };
        let scope = Scope { name: "lib".to_owned(), ..Scope::default() };
        let logs = ScopeLogs { scope: Some(scope), log_records: vec![record.encode_to_vec(), vec![0xff]] };
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource: None, scope_logs: vec![logs] }] }
    }

    #[test]
    fn a_log_record_has_the_form_of_the_json_encoding() {
        let records = request().into_records();
        let expected = r#"{"resource":null,"scope":{"name":"lib"},"logRecord":{"timeUnixNano":"1767323045123456789","severityNumber":9,"eventName":"role.update","body":{"stringValue":"role \"changed\""},"attributes":[{"key":"list","value":{"arrayValue":{"values":[{"boolValue":true},{}]}}},{"key":"map","value":{"kvlistValue":{"values":[{"key":"n","value":{"intValue":"-7"}},{"key":"d","value":{"doubleValue":1.5}}]}}},{"key":"bytes","value":{"bytesValue":"Af8="}},{"key":"nan","value":{"doubleValue":"NaN"}}],"traceId":"4bf9"}}"#;
        assert_eq!(records[0].as_deref(), Ok(expected));
        assert!(records.len() == 2 && records[1].is_err(), "{records:?}");
    }
}
