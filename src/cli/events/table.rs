//! Events as the rows of a table: one line each, as wide as the terminal.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::{
    cli::{
        events::flags::{Flags, Given},
        layout,
        output::Output,
    },
    model::{
        event::ORDERED_BY, list_params::exact, printable::printable, query::Includes, timestamp::Timestamp, zone::Zone,
    },
};

/// The key of the time of receipt.
const RECEIVED_AT: &str = "receivedAt";

/// How times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// As stored.
    Stored,
    /// In a time zone, to the second.
    Short,
    /// In a time zone, exactly.
    Exact,
}

impl Times {
    /// On a terminal a time is short. A program gets what is stored, unless it has chosen a zone.
    pub(super) fn of<F: Flags>(given: &Given<F>, out: &Output) -> Self {
        match (out.is_terminal(), given.has("tz")) {
            (true, _) => Self::Short,
            (false, true) => Self::Exact,
            (false, false) => Self::Stored,
        }
    }
}

/// A column, by what it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Time,
    Status,
    Who,
    Origin,
    Action,
    Resource,
    Entity,
    Request,
    /// Another key of the event, in full.
    Key(&'static str),
}

/// The columns of events that are returned whole.
const COLUMNS: [Column; 7] =
    [Column::Time, Column::Status, Column::Who, Column::Action, Column::Resource, Column::Entity, Column::Request];

/// Events that become rows.
pub(super) struct Table {
    columns: Vec<Column>,
    zone: Zone,
    times: Times,
    rows: Vec<Row>,
    /// Whether [`Table::print_last`] has printed the header.
    has_header: bool,
}

struct Row {
    cells: Vec<String>,
    is_failure: bool,
}

impl Table {
    /// A table of these keys, or of what is most useful.
    pub(super) fn new(includes: Option<&Includes>, zone: &Zone, times: Times) -> Self {
        let columns = includes.map_or_else(
            || COLUMNS.to_vec(),
            |includes| includes.keys().iter().flat_map(|key| Column::of(key)).copied().collect(),
        );
        Self { columns, zone: zone.clone(), times, rows: Vec::new(), has_header: false }
    }

    /// Adds an event. Returns true: a table takes every event.
    pub(super) fn add(&mut self, event: &str) -> bool {
        let event: Value = serde_json::from_str(event).unwrap_or_default();
        let cell = |column: &Column| printable(&column.text(&event, &self.zone, self.times)).into_owned();
        let cells = self.columns.iter().map(cell).collect();
        self.rows.push(Row { cells, is_failure: event["status"] == "FAILURE" });
        true
    }

    /// Prints the rows with a header, without the columns that are empty in all rows.
    pub(super) fn print(&self, out: &mut Output) {
        let is_used = |index: &usize| self.rows.iter().any(|row| !row.cells[*index].is_empty());
        let mut used: Vec<usize> = (0..self.columns.len()).filter(is_used).collect();
        if used.is_empty() {
            return;
        }
        let header: Vec<String> = self.columns.iter().map(Column::label).collect();
        let width = |index: &usize| {
            let cells = self.rows.iter().map(|row| row.cells[*index].width());
            cells.chain([header[*index].width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = used.iter().map(width).collect();
        if let Some(room) = out.width() {
            let is_fixed: Vec<bool> = used.iter().map(|index| self.columns[*index].is_fixed()).collect();
            layout::fit(&mut widths, &is_fixed, room);
            layout::leave_out(&mut widths, room);
            used.truncate(widths.len());
        }
        let is_terminal = out.is_terminal();
        let chosen = |cells: &[String]| {
            let cells = used.iter().map(|index| cells[*index].as_str());
            if is_terminal { layout::line(cells, &widths) } else { layout::whole_line(cells, &widths) }
        };
        out.row(&chosen(&header), false);
        for row in &self.rows {
            out.row(&chosen(&row.cells), row.is_failure);
        }
    }

    /// Prints the last row in columns of a fixed width, and forgets it. A header precedes the first one.
    pub(super) fn print_last(&mut self, out: &mut Output) {
        let Some(row) = self.rows.pop() else { return };
        let widths = self.columns.iter().zip(&row.cells).map(|(column, cell)| match out.width() {
            Some(_) if !column.is_fixed() => column.usual_width(),
            // Nothing is cut off for a program, nor where a part would mislead.
            _ => column.usual_width().max(cell.width()),
        });
        let mut widths: Vec<usize> = widths.collect();
        if let Some(room) = out.width() {
            let is_fixed: Vec<bool> = self.columns.iter().map(Column::is_fixed).collect();
            layout::fit(&mut widths, &is_fixed, room);
            layout::leave_out(&mut widths, room);
        }
        if !std::mem::replace(&mut self.has_header, true) {
            let header: Vec<String> = self.columns.iter().map(Column::label).collect();
            out.row(&layout::line(header.iter().map(String::as_str), &widths), false);
        }
        out.row(&layout::line(row.cells.iter().map(String::as_str), &widths), row.is_failure);
    }
}

impl Column {
    /// The columns that show a key.
    fn of(key: &&'static str) -> &'static [Self] {
        match *key {
            "trigger" => &[Self::Time, Self::Who, Self::Origin],
            "status" => &[Self::Status],
            "action" => &[Self::Action],
            "resourceType" => &[Self::Resource],
            "context" => &[Self::Entity],
            "request" => &[Self::Request],
            "identifier" => &[Self::Key("identifier")],
            "message" => &[Self::Key("message")],
            "diff" => &[Self::Key("diff")],
            "additionalData" => &[Self::Key("additionalData")],
            RECEIVED_AT => &[Self::Key(RECEIVED_AT)],
            "receivedBy" => &[Self::Key("receivedBy")],
            "masked" => &[Self::Key("masked")],
            "maskedChanged" => &[Self::Key("maskedChanged")],
            "maskedUnknown" => &[Self::Key("maskedUnknown")],
            ORDERED_BY => &[Self::Key(ORDERED_BY)],
            _ => &[],
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Time => "TIME".to_owned(),
            Self::Status => "STATUS".to_owned(),
            Self::Who => "WHO".to_owned(),
            Self::Origin => "ORIGIN".to_owned(),
            Self::Action => "ACTION".to_owned(),
            Self::Resource => "RESOURCE".to_owned(),
            Self::Entity => "ENTITY".to_owned(),
            Self::Request => "REQUEST".to_owned(),
            Self::Key(key) => key.to_uppercase(),
        }
    }

    /// Whether a part of the text would mislead.
    fn is_fixed(&self) -> bool {
        matches!(self, Self::Time | Self::Status | Self::Key(RECEIVED_AT))
    }

    fn usual_width(&self) -> usize {
        match self {
            Self::Status => 7,
            Self::Time | Self::Who | Self::Action | Self::Key(RECEIVED_AT) => 20,
            Self::Origin | Self::Resource => 14,
            Self::Entity => 24,
            Self::Request | Self::Key(_) => 40,
        }
    }

    fn text(self, event: &Value, zone: &Zone, times: Times) -> String {
        let (by, context, request) = (&event["trigger"]["by"], &event["context"], &event["request"]);
        match self {
            Self::Time => time(event, zone, times),
            Self::Status => plain(&event["status"]),
            Self::Who => {
                let names = [&by["name"], &by["email"], &by["userId"]];
                names.into_iter().map(plain).find(|who| !who.is_empty()).unwrap_or_default()
            }
            Self::Origin => plain(&event["trigger"]["origin"]),
            Self::Action => plain(&event["action"]),
            Self::Resource => plain(&event["resourceType"]),
            Self::Entity => join(&[&context["entity"], &context["blueprint"]], " in "),
            Self::Request => join(&[&request["method"], &request["path"], &request["statusCode"]], " "),
            Self::Key(RECEIVED_AT) => shown(plain(&event[RECEIVED_AT]), zone, times),
            Self::Key(key) => match &event[key] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            },
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn join(parts: &[&Value], between: &str) -> String {
    parts.iter().map(|part| plain(part)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
}

/// The time by which the log orders an event.
fn time(event: &Value, zone: &Zone, times: Times) -> String {
    let is_received = event[ORDERED_BY] == RECEIVED_AT;
    let stored = plain(if is_received { &event[RECEIVED_AT] } else { &event["trigger"]["at"] });
    let shown = shown(stored, zone, times);
    if is_received { format!("{shown} (received)") } else { shown }
}

/// A stored time as it is shown.
fn shown(stored: String, zone: &Zone, times: Times) -> String {
    let shown = match (times, Timestamp::parse(&stored)) {
        (Times::Stored, _) | (_, None) => stored,
        (Times::Short, Some(at)) => zone.format(at),
        (Times::Exact, Some(at)) => exact(zone, at),
    };
    shown.strip_suffix("+00:00").map_or(shown.clone(), |utc| format!("{utc}Z"))
}

/// A number with its digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (25_000, "25,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
