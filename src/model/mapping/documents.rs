//! From input to records: the documents of a body, and the records of a document.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::{
    batch::{self, AfterError, PieceError, TooMany},
    json,
    json_pointer::Pointer,
    json_walk,
    mapping::{Mapping, RecordError, combined, otlp},
};

/// What the documents of a format are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// JSON values.
    Json,
    /// Lines of an access log in the combined or the common format.
    Combined,
    /// The JSON encoding of an OTLP export request.
    Otlp,
}

impl Input {
    /// The input with this name. The error follows the key in a sentence.
    pub(super) fn named(name: &str) -> Result<Self, &'static str> {
        match name {
            "json" => Ok(Self::Json),
            "combined" => Ok(Self::Combined),
            "otlp" => Ok(Self::Otlp),
            _ => Err("must be json, combined or otlp"),
        }
    }
}

/// A document of a body, or what cannot be read as one.
pub type Document<'a> = Result<&'a str, PieceError>;

/// A record, which becomes one event.
#[derive(Debug)]
pub struct Record<'a> {
    /// The record as JSON. A line of text is a JSON string.
    raw: Cow<'a, RawValue>,
    /// The JSON in which pointers are followed, if that is not the record itself.
    fields: Option<String>,
}

impl<'a> Record<'a> {
    pub(super) fn new(raw: &'a RawValue) -> Self {
        Self { raw: Cow::Borrowed(raw), fields: None }
    }

    pub(super) fn with_fields(raw: Cow<'a, RawValue>, fields: String) -> Self {
        Self { raw, fields: Some(fields) }
    }

    /// A record that is put together from parts.
    pub fn owned(raw: Box<RawValue>) -> Self {
        Self { raw: Cow::Owned(raw), fields: None }
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.raw
    }

    /// The same record, independent of its document.
    pub fn into_owned(self) -> Record<'static> {
        Record { raw: Cow::Owned(self.raw.into_owned()), fields: self.fields }
    }

    /// The record as JSON text.
    pub fn source(&self) -> &str {
        self.raw.get()
    }

    pub(super) fn fields(&self) -> &str {
        self.fields.as_deref().unwrap_or(self.raw.get())
    }
}

/// The place of a record's key: a JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordKey(Pointer);

impl RecordKey {
    /// Parses a pointer. The error follows the pointer in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        Pointer::parse(text).map(Self)
    }

    /// The key of a record, if it is there and not empty.
    pub fn of(&self, record: &Record<'_>) -> Option<String> {
        value_at(&self.0, record).filter(|key| !key.is_empty())
    }
}

/// The text of the scalar at a pointer of a record.
fn value_at(pointer: &Pointer, record: &Record<'_>) -> Option<String> {
    let mut tree = json_walk::Node::default();
    let mut slot = [None];
    tree.slot(pointer, 0);
    tree.fill(record.fields(), &mut slot);
    slot[0].and_then(json_walk::scalar).map(Cow::into_owned)
}

impl Mapping {
    /// Whether each line of a text is a document, because the format is not JSON.
    pub fn reads_lines(&self) -> bool {
        self.input == Input::Combined
    }

    /// The keys under which a document of the format may hold its records in an array.
    pub fn envelopes(&self) -> Vec<&str> {
        self.envelope.members().collect()
    }

    /// Splits a body into documents: JSON values in a row or in an array; or lines, if the format is text. A part that cannot be
    /// read takes the place of a document and costs no other.
    pub fn documents<'a>(&self, body: &'a [u8]) -> Vec<Result<&'a str, PieceError>> {
        self.documents_within(body, usize::MAX).unwrap_or_default()
    }

    /// The documents of a body that has at most `documents_max`.
    pub fn documents_within<'a>(&self, body: &'a [u8], documents_max: usize) -> Result<Vec<Document<'a>>, TooMany> {
        if self.reads_lines() {
            let lines: Vec<_> = lines(body).take(documents_max.saturating_add(1)).collect();
            return if lines.len() > documents_max { Err(TooMany) } else { Ok(lines) };
        }
        let pieces = batch::split(body, documents_max, AfterError::Resume)?;
        Ok(pieces.into_iter().map(|piece| piece.map(RawValue::get)).collect())
    }

    /// A record as it stands in a document.
    pub fn text_of<'r>(&self, record: &'r Record<'_>) -> Cow<'r, str> {
        let text = if self.reads_lines() { json::text(record.raw()) } else { None };
        text.unwrap_or(Cow::Borrowed(record.source()))
    }

    /// A record that another format carries. With a payload, its fields are those of the payload, if that is of the format.
    pub fn carried(&self, record: Box<RawValue>, payload: Option<&str>) -> Record<'static> {
        let fields = payload.and_then(|payload| match self.input {
            Input::Combined => combined::fields(payload).map(|fields| fields.to_string()),
            Input::Json | Input::Otlp => payload.starts_with('{').then(|| payload.to_owned()),
        });
        match fields {
            Some(fields) => Record::with_fields(Cow::Owned(record), fields),
            None => Record::owned(record),
        }
    }

    /// The record in an element of an envelope's array.
    pub fn element<'a>(&self, element: &'a str) -> Result<Record<'a>, RecordError> {
        parse(element).map(Record::new)
    }

    /// The same, of a text that belongs to nobody else.
    pub fn owned_element(&self, element: String) -> Result<Record<'static>, String> {
        RawValue::from_string(element).map(Record::owned).map_err(|error| error.to_string())
    }

    /// The records of a document: the elements of an array, the records of an envelope, or the document itself.
    pub fn records<'a>(&self, document: &'a str) -> Result<Vec<Record<'a>>, RecordError> {
        self.records_within(document, usize::MAX)
    }

    /// The records of a document that has at most `records_max`.
    pub fn records_within<'a>(&self, document: &'a str, records_max: usize) -> Result<Vec<Record<'a>>, RecordError> {
        if self.reads_lines() {
            return Ok(vec![combined::record(document)]);
        }
        let raw = parse(document)?;
        let mut records = Vec::new();
        if raw.get().starts_with('[') {
            for element in elements(raw.get(), records_max)? {
                self.open(parse(element)?, records_max, &mut records)?;
            }
        } else {
            self.open(raw, records_max, &mut records)?;
        }
        Ok(records)
    }

    /// Adds the records of an envelope, or the value itself if it is a record.
    fn open<'a>(
        &self,
        raw: &'a RawValue,
        records_max: usize,
        records: &mut Vec<Record<'a>>,
    ) -> Result<(), RecordError> {
        if self.input == Input::Otlp {
            return otlp::open(raw, records_max, records);
        }
        let mut slots = vec![None; self.envelopes];
        if self.envelopes > 0 {
            self.envelope.fill(raw.get(), &mut slots);
        }
        let inside = slots.into_iter().flatten().find(|value| value.starts_with(['{', '[']));
        match inside {
            Some(list) if list.starts_with('[') => {
                for element in elements(list, records_max - records.len().min(records_max))? {
                    records.push(self.element(element)?);
                }
            }
            Some(record) => records.push(Record::new(parse(record)?)),
            None => records.push(Record::new(raw)),
        }
        Ok(())
    }

    /// Whether a document looks like one of this format: each pointer of `when` leads to a matching value in its first record.
    pub fn recognizes(&self, document: &str) -> bool {
        if self.reads_lines() {
            return combined::fields(document).is_some();
        }
        let records = self.records(document).unwrap_or_default();
        !self.when.is_empty() && records.first().is_some_and(|record| self.is_like(record))
    }

    fn is_like(&self, record: &Record<'_>) -> bool {
        self.when.iter().all(|(pointer, pattern)| {
            value_at(pointer, record).is_some_and(|text| super::glob::matches(pattern, &text))
        })
    }
}

/// The elements of an array of at most `elements_max`, as written.
pub(super) fn elements(list: &str, elements_max: usize) -> Result<Vec<&str>, RecordError> {
    let (mut elements, mut is_within) = (Vec::new(), true);
    json_walk::array(list, 0, |_, at| {
        let end = json::end_of_value(list.as_bytes(), at);
        is_within = elements.len() < elements_max;
        if is_within {
            elements.push(&list[at..end]);
        }
        end
    });
    if is_within { Ok(elements) } else { Err(RecordError::TooMany) }
}

pub(super) fn parse(text: &str) -> Result<&RawValue, RecordError> {
    serde_json::from_str(text).map_err(|error| RecordError::NotJson(error.to_string()))
}

/// The lines of a text that are not empty.
fn lines(body: &[u8]) -> impl Iterator<Item = Document<'_>> {
    let lines = body.split(|byte| *byte == b'\n').enumerate();
    let texts = lines.map(|(index, line)| {
        std::str::from_utf8(line).map(str::trim).map_err(|error| PieceError {
            line: index + 1,
            message: format!("line {}: not UTF-8 at byte {}", index + 1, error.valid_up_to()),
        })
    });
    texts.filter(|text| text.as_ref().map_or(true, |text| !text.is_empty()))
}
