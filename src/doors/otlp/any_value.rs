//! Values of attributes and bodies (`opentelemetry.proto.common.v1.AnyValue`), and their JSON.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::model::json;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub(super) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Array(ArrayValue),
    #[prost(message, tag = "6")]
    Map(KeyValueList),
    #[prost(bytes = "vec", tag = "7")]
    Bytes(Vec<u8>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ArrayValue {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValueList {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

pub(super) fn push_text(out: &mut String, text: &str) {
    json::push_string(out, text);
}

/// Writes a list of attributes.
pub(super) fn push_attributes(out: &mut String, attributes: &[KeyValue]) {
    push_list(out, attributes, |out, attribute| {
        out.push_str("{\"key\":");
        push_text(out, &attribute.key);
        if let Some(value) = &attribute.value {
            out.push_str(",\"value\":");
            push_any_value(out, value);
        }
        out.push('}');
    });
}

/// Writes a value. The decoder of protobuf bounds the depth of nesting (100), so this recursion is bounded.
pub(super) fn push_any_value(out: &mut String, value: &AnyValue) {
    let Some(value) = &value.value else {
        out.push_str("{}");
        return;
    };
    match value {
        Value::Text(text) => {
            out.push_str("{\"stringValue\":");
            push_text(out, text);
        }
        // Writing to a string cannot fail.
        Value::Bool(value) => drop(write!(out, "{{\"boolValue\":{value}")),
        Value::Int(number) => drop(write!(out, "{{\"intValue\":\"{number}\"")),
        Value::Double(number) => push_double(out, *number),
        Value::Array(list) => {
            out.push_str("{\"arrayValue\":{\"values\":");
            push_list(out, &list.values, push_any_value);
            out.push('}');
        }
        Value::Map(map) => {
            out.push_str("{\"kvlistValue\":{\"values\":");
            push_attributes(out, &map.values);
            out.push('}');
        }
        Value::Bytes(bytes) => drop(write!(out, "{{\"bytesValue\":\"{}\"", BASE64_STANDARD.encode(bytes))),
    }
    out.push('}');
}

/// What JSON has no number for is a string in the JSON of protobuf.
fn push_double(out: &mut String, number: f64) {
    let text = match number {
        _ if number.is_nan() => "\"NaN\"".to_owned(),
        f64::INFINITY => "\"Infinity\"".to_owned(),
        f64::NEG_INFINITY => "\"-Infinity\"".to_owned(),
        _ => serde_json::Value::from(number).to_string(),
    };
    let _ = write!(out, "{{\"doubleValue\":{text}");
}

fn push_list<T>(out: &mut String, values: &[T], push: impl Fn(&mut String, &T)) {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(out, value);
    }
    out.push(']');
}
