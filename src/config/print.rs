//! The settings in effect, printed as a TOML file.

use toml::{Table, Value};

use super::settings::SectionValues;
use crate::model::{
    custom_fields::SECTION as FIELDS,
    field::FieldDefinition,
    mapping::SECTION as PRESETS,
    mask::MASKED,
    printable::is_hidden,
    resource_type::Catalog,
    route::{SECTION as ROUTES, signature::KeySource},
    syslog::SECTION as SYSLOG,
};

/// A file with every key.
pub(super) fn file(
    sections: &[SectionValues],
    resource_types: &Catalog,
    fields: &[FieldDefinition],
    presets: &Table,
) -> String {
    let mut parts = Vec::new();
    if resource_types.entries().is_empty() {
        parts.push("resource_types = []\n".to_owned());
    }
    for (name, keys) in sections {
        let lines = keys.iter().map(|(key, value)| format!("{key} = {}\n", text(value)));
        parts.push(format!("[{name}]\n{}", lines.collect::<String>()));
    }
    for entry in resource_types.entries() {
        let (value, label, description) = (entry.value(), entry.label(), entry.description());
        let [value, label, description] = [value, label, description].map(quoted);
        parts.push(format!("[[resource_types]]\nvalue = {value}\nlabel = {label}\ndescription = {description}\n"));
    }
    for field in fields {
        let pointers: Vec<_> = field.pointers.iter().map(|pointer| quoted(pointer)).collect();
        parts.push(format!(
            "[[{FIELDS}]]\nname = {}\nlabel = {}\npointers = [{}]\nmatching = {}\nsearch = {}\n",
            quoted(&field.name),
            quoted(&field.label),
            pointers.join(", "),
            quoted(field.matching.name()),
            field.search,
        ));
    }
    parts.extend(presets.iter().filter_map(|(name, preset)| Some(section(PRESETS, name, preset.as_table()?))));
    parts.join("\n")
}

/// The routes, without the keys that they hold themselves.
pub(super) fn routes(routes: &[Table]) -> String {
    let entry = |route: &Table| {
        let lines = route.iter().map(|(key, value)| format!("{} = {}\n", self::key(key), text(&without_keys(value))));
        format!("\n[[{ROUTES}]]\n{}", lines.collect::<String>())
    };
    routes.iter().map(entry).collect()
}

/// The listeners.
pub(super) fn listeners(listeners: &[Table]) -> String {
    let entry = |listener: &Table| {
        let lines = listener.iter().map(|(key, value)| format!("{} = {}\n", self::key(key), text(value)));
        format!("\n[[{SYSLOG}]]\n{}", lines.collect::<String>())
    };
    listeners.iter().map(entry).collect()
}

/// A value of a route. Of a signature, the keys are masked, except references to keys.
fn without_keys(value: &Value) -> Value {
    let Value::Table(signature) = value else { return value.clone() };
    let masked = |item: &Value| match item.as_str() {
        Some(text) if KeySource::is_reference(text) => item.clone(),
        _ => Value::from(MASKED),
    };
    let entry = |(key, value): (&String, &Value)| {
        let value = match value {
            Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
            other => other.clone(),
        };
        (key.clone(), value)
    };
    Value::Table(signature.iter().map(entry).collect())
}

/// A table with a name that the operator chose.
fn section(section: &str, name: &str, keys: &Table) -> String {
    let lines = keys.iter().map(|(key, value)| format!("{} = {}\n", self::key(key), text(value)));
    format!("[{section}.{}]\n{}", key(name), lines.collect::<String>())
}

/// A key, in quotes if it needs them.
fn key(key: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !key.is_empty() && key.bytes().all(is_plain) { key.to_owned() } else { quoted(key) }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(self::text).collect::<Vec<_>>().join(", ")),
        Value::Table(table) => {
            let entries: Vec<_> =
                table.iter().map(|(key, value)| format!("{} = {}", quoted(key), text(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// A TOML string in which characters that act on a terminal are escaped.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|char| match char {
        '"' | '\\' => format!("\\{char}"),
        _ if is_hidden(char) => format!("\\U{:08x}", u32::from(char)),
        _ => char.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
