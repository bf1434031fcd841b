//! Events as rows of CSV (RFC 4180).
//!
//! The columns are the event time in UTC, the filterable fields, and further keys of an event. Nested values that auditbox
//! does not interpret are cells of JSON. Declared fields have columns under their names. The last column, `others`, has all remaining keys as one JSON object. A spreadsheet
//! would run some texts as formulas: a cell that begins like one gets an apostrophe before it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::{
    model::{
        field::{FIELDS, FieldSpec, Object, declared, value_in},
        json::{self, Members},
        limits::STORED_KEYS_MAX,
        printable,
        timestamp::Timestamp,
    },
    store::{Damaged, Slice},
};

/// Columns for keys that are not filterable.
const FURTHER: &[(Object, &str)] = &[
    (Object::Event, "message"),
    (Object::By, "orgId"),
    (Object::Request, "userAgent"),
    (Object::Diff, "before"),
    (Object::Diff, "after"),
    (Object::Event, "additionalData"),
    (Object::Event, "receivedAt"),
    (Object::Event, "receivedBy"),
    (Object::Event, "masked"),
    (Object::Event, "maskedChanged"),
    (Object::Event, "maskedUnknown"),
    (Object::Event, "mapping"),
    (Object::Event, "orderedBy"),
];
/// The last column, for keys without a column.
const OTHERS: &str = "others";

/// Writes events as rows, after a header.
pub(crate) struct CsvRows {
    columns: Vec<(Object, &'static str)>,
    /// The columns of declared fields, which follow the others.
    declared: Vec<&'static FieldSpec>,
    header_is_written: bool,
}

impl CsvRows {
    pub(crate) fn new() -> Self {
        let time = (Object::Trigger, "at");
        let fields = FIELDS.iter().flat_map(|spec| spec.sources).copied();
        let columns = std::iter::once(time).chain(fields).chain(FURTHER.iter().copied()).collect();
        Self { columns, declared: declared().collect(), header_is_written: false }
    }

    /// The rows of these events, after the header in the first call.
    pub(crate) fn write(&mut self, slice: &Slice) -> csv::Result<Vec<u8>> {
        let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        if !self.header_is_written {
            let names = self.columns.iter().map(|(object, key)| object.path(key));
            let declared = self.declared.iter().filter_map(|spec| spec.name()).map(str::to_owned);
            out.write_record(names.chain(declared).chain([OTHERS.to_owned()]))?;
            self.header_is_written = true;
        }
        for (_, event) in &slice.events {
            let mut cells = vec![Cow::Borrowed(""); self.columns.len()];
            let others = match event {
                Ok(body) => self.fill(&mut cells, Object::Event, body),
                Err(damaged) => {
                    self.fill_damaged(&mut cells, damaged);
                    None
                }
            };
            let body = event.as_deref().unwrap_or_default();
            let declared = self.declared.iter().map(|spec| value_in(spec.field, body).unwrap_or_default());
            cells.extend(declared.map(Cow::Owned));
            cells.push(Cow::Owned(others.unwrap_or_default()));
            out.write_record(cells.into_iter().map(harmless).map(Cow::into_owned))?;
        }
        out.into_inner().map_err(|error| error.into_error().into())
    }

    /// Fills the row in place of a damaged event with what is known of it, and a warning.
    fn fill_damaged<'b>(&self, cells: &mut [Cow<'b, str>], damaged: &'b Damaged) {
        let column = |object, key| self.columns.iter().position(|known| *known == (object, key));
        let time = damaged.timestamp.map(|timestamp| Cow::Owned(timestamp.to_string()));
        let warning =
            Cow::Owned(format!("DAMAGED, NOT AN EVENT: event {} of the log: {}", damaged.seq, damaged.message));
        for (column, text) in [
            (column(Object::Trigger, "at"), time),
            (column(Object::Event, "identifier"), damaged.identifier.as_deref().map(Cow::Borrowed)),
            (column(Object::Event, "message"), Some(warning)),
        ] {
            if let (Some(column), Some(text)) = (column, text) {
                cells[column] = text;
            }
        }
    }

    /// Fills the cells, and returns the keys without a column as an object, if there are any. An unreadable value leaves
    /// cells empty: `doctor` reports damage.
    fn fill<'b>(&self, cells: &mut [Cow<'b, str>], object: Object, text: &'b str) -> Option<String> {
        let members = Members::read(text, STORED_KEYS_MAX).ok()?;
        let mut others = String::new();
        for (key, value) in members {
            let other = if let Some(inner) = object.inner(&key) {
                self.fill(cells, inner, value.get())
            } else if let Some(column) = self.columns.iter().position(|known| *known == (object, key.as_ref())) {
                cells[column] = cell(value, (object, key.as_ref()) == (Object::Trigger, "at"));
                None
            } else {
                Some(value.get().to_owned())
            };
            if let Some(other) = other {
                others.push(if others.is_empty() { '{' } else { ',' });
                others.push_str(&serde_json::Value::from(key.as_ref()).to_string());
                others.push(':');
                others.push_str(&other);
            }
        }
        (!others.is_empty()).then(|| others + "}")
    }
}

/// A string as its text, null as an empty cell, anything else as JSON.
fn cell(value: &RawValue, is_time: bool) -> Cow<'_, str> {
    if json::is_null(value) {
        return Cow::Borrowed("");
    }
    match json::text(value) {
        Some(text) if is_time => Timestamp::parse(&text).map_or(text, |at| Cow::Owned(at.to_string())),
        Some(text) => text,
        None => Cow::Borrowed(value.get()),
    }
}

fn harmless(cell: Cow<'_, str>) -> Cow<'_, str> {
    if is_formula(&cell) { Cow::Owned(format!("'{cell}")) } else { cell }
}

/// Whether a spreadsheet may run a cell as a formula: after white space and invisible characters, it begins with a sign that
/// starts a formula, or with a character that Unicode's compatibility mapping (NFKC) turns into such a sign.
fn is_formula(cell: &str) -> bool {
    let is_passed_over = |char: char| char.is_whitespace() || printable::is_hidden(char);
    let begins_one = |char| {
        matches!(
            char,
            '=' | '+' | '-' | '@'
                // Fullwidth and small forms.
                | '＝' | '＋' | '－' | '＠' | '﹦' | '﹢' | '﹣' | '﹫'
                // Superscripts and subscripts.
                | '⁼' | '⁺' | '⁻' | '₌' | '₊' | '₋'
                // The minus sign, == and === as one character, and the Hebrew plus sign.
                | '−' | '⩵' | '⩶' | '﬩'
        )
    };
    cell.starts_with(['\t', '\r', '\n']) || cell.trim_start_matches(is_passed_over).starts_with(begins_one)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cursor::Position;

    #[test]
    fn what_a_spreadsheet_would_run_it_shows() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\ta", " =1", "＝1", "\u{feff}\u{3000}⁻1"]
        {
            assert_eq!(harmless(Cow::Borrowed(text)), format!("'{text}"));
        }
        for text in ["", " ", "a=1", "1-1", "'=1", " a=1", "\u{feff}"] {
            assert_eq!(harmless(Cow::Borrowed(text)), text);
        }
    }

    #[test]
    fn every_row_has_every_column() {
        let mut rows = CsvRows::new();
        let place = Position { timestamp: Timestamp::from_micros(0), seq: 1 };
        let bodies =
            [r#"{"trigger":{"at":"2024-05-01T14:00:00+02:00"},"diff":{"before":null,"after":{"a":1}}}"#, "{", "{}"];
        let mut events: Vec<_> = bodies.iter().map(|body| (place, Ok((*body).to_owned()))).collect();
        let damaged =
            Damaged { seq: 4, timestamp: Some(place.timestamp), identifier: None, message: "it is torn".to_owned() };
        events.push((place, Err(damaged)));
        let text = rows.write(&Slice { events, positions: 4 }).unwrap();
        let mut read = csv::Reader::from_reader(text.as_slice());
        assert_eq!(read.headers().unwrap().get(0), Some("trigger.at"));
        let records: Vec<_> = read.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 4);
        assert_eq!(records[0].get(0), Some("2024-05-01T12:00:00.000000Z"));
        assert!(records[0].iter().any(|cell| cell == r#"{"a":1}"#));
        assert!(records[1].iter().chain(&records[2]).all(str::is_empty));
        assert_eq!(records[3].get(0), Some("1970-01-01T00:00:00.000000Z"));
        assert!(records[3].iter().any(|cell| cell == "DAMAGED, NOT AN EVENT: event 4 of the log: it is torn"));
        let more = Slice { events: vec![(place, Ok("{}".to_owned()))], positions: 1 };
        assert!(String::from_utf8(rows.write(&more).unwrap()).unwrap().starts_with(','));
    }
}
