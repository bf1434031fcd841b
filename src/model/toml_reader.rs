//! Reads TOML with the line of each key and value, so that an error can name it.

use std::{fmt, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// An error in a TOML text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    /// The line, from 1.
    pub line: usize,
    /// The key and what is wrong with it, or what is wrong with the file.
    pub message: String,
}

impl fmt::Display for TomlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for TomlError {}

/// A table of a TOML text.
#[derive(Clone, Copy)]
pub(in crate::model) struct Reader<'t> {
    text: &'t str,
    pub(in crate::model) table: &'t DeTable<'t>,
}

/// A value of a TOML text, and the path of its key.
#[derive(Clone)]
pub(in crate::model) struct Entry<'t> {
    text: &'t str,
    pub(in crate::model) path: String,
    key_span: Range<usize>,
    value: &'t Spanned<DeValue<'t>>,
}

/// Parses a TOML text.
pub(in crate::model) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, TomlError> {
    DeTable::parse(text).map_err(|error| TomlError {
        line: line_at(text, error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })
}

fn line_at(text: &str, at: usize) -> usize {
    memchr::memchr_iter(b'\n', &text.as_bytes()[..at.min(text.len())]).count() + 1
}

impl<'t> Reader<'t> {
    pub(in crate::model) fn new(text: &'t str, table: &'t DeTable<'t>) -> Self {
        Self { text, table }
    }

    /// The entries in the order of the text.
    pub(in crate::model) fn entries(self, parent: &str) -> Vec<Entry<'t>> {
        let path = |key: &str| if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
        let entry = |(key, value): (&'t Spanned<_>, &'t Spanned<_>)| {
            let name: &std::borrow::Cow<'t, str> = key.get_ref();
            Entry { text: self.text, path: path(name), key_span: key.span(), value }
        };
        let mut entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.key_span.start);
        entries
    }
}

impl<'t> Entry<'t> {
    /// An error that names this key and its line.
    pub(in crate::model) fn error(&self, message: impl fmt::Display) -> TomlError {
        TomlError { line: line_at(self.text, self.key_span.start), message: format!("{} {message}", self.path) }
    }

    /// The key without the path of its table.
    pub(in crate::model) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    pub(in crate::model) fn as_string(&self) -> Option<&'t str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    pub(in crate::model) fn string(&self) -> Result<&'t str, TomlError> {
        self.as_string().ok_or_else(|| self.error("must be a string in quotes"))
    }

    pub(in crate::model) fn as_integer(&self) -> Option<i64> {
        match self.value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        }
    }

    pub(in crate::model) fn as_bool(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    /// A scalar as text.
    pub(in crate::model) fn as_text(&self) -> Option<String> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            DeValue::Integer(number) => Some(number.as_str().to_owned()),
            DeValue::Boolean(value) => Some(value.to_string()),
            _ => None,
        }
    }

    pub(in crate::model) fn as_table(&self) -> Option<Reader<'t>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Reader::new(self.text, table)),
            _ => None,
        }
    }

    pub(in crate::model) fn table(&self) -> Result<Reader<'t>, TomlError> {
        self.as_table().ok_or_else(|| self.error("must be a table"))
    }

    /// The elements of an array; each has the path of the array.
    pub(in crate::model) fn as_array(&self) -> Option<Vec<Self>> {
        match self.value.get_ref() {
            DeValue::Array(items) => Some(
                items
                    .iter()
                    .map(|value| Self { value, key_span: value.span(), text: self.text, path: self.path.clone() })
                    .collect(),
            ),
            _ => None,
        }
    }
}
