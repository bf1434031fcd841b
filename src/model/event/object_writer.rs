//! Writing an event: assembles a JSON object from parts that are already JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::{event::Parts, json};

/// A JSON object that is being written.
pub(super) struct ObjectWriter(String);

impl ObjectWriter {
    pub(super) fn new(capacity: usize) -> Self {
        let mut out = String::with_capacity(capacity);
        out.push('{');
        Self(out)
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        json::push_string(&mut self.0, key);
        self.0.push(':');
    }

    pub(super) fn raw(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push_str(value);
    }

    pub(super) fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        json::push_string(&mut self.0, value);
    }

    pub(super) fn strings(&mut self, key: &str, values: &[String]) {
        // Writing strings into memory cannot fail.
        self.raw(key, &serde_json::to_string(values).unwrap_or_default());
    }

    pub(super) fn parts(&mut self, keys: &[&str], parts: &Parts<'_>) {
        for (key, value) in keys.iter().zip(&parts.known) {
            if let Some(value) = value {
                self.raw(key, value);
            }
        }
        self.others(&parts.others);
    }

    fn others(&mut self, others: &[(Cow<'_, str>, &RawValue)]) {
        for (key, value) in others {
            self.raw(key, value.get());
        }
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
