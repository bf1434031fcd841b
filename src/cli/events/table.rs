//! Events as the rows of a table: one line each, as wide as the terminal.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::{
    cli::{
        events::flags::{Flags, Given},
        output::Output,
    },
    model::{
        event::ORDERED_BY, list_params::exact, printable::printable, query::Includes, timestamp::Timestamp, zone::Zone,
    },
};

/// The space between two columns.
const GAP: usize = 2;
/// The width below which a column is not made narrower.
const WIDTH_MIN: usize = 6;

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
        Self { columns, zone: zone.clone(), times, rows: Vec::new() }
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
            fit(&mut widths, &is_fixed, room);
            used.truncate(widths.len());
        }
        out.row(&line(&header, &used, &widths), false);
        for row in &self.rows {
            out.row(&line(&row.cells, &used, &widths), row.is_failure);
        }
    }

    /// Prints the last row without a header, in columns of a fixed width, and forgets it.
    pub(super) fn print_last(&mut self, out: &mut Output) {
        let Some(row) = self.rows.pop() else { return };
        let used: Vec<usize> = (0..self.columns.len()).collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.usual_width()).collect();
        match out.width() {
            Some(room) => {
                let is_fixed: Vec<bool> = self.columns.iter().map(Column::is_fixed).collect();
                fit(&mut widths, &is_fixed, room);
            }
            // Nothing is cut off for a program.
            None => widths.iter_mut().zip(&row.cells).for_each(|(width, cell)| *width = (*width).max(cell.width())),
        }
        out.row(&line(&row.cells, &used[..widths.len()], &widths), row.is_failure);
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
            "receivedAt" => &[Self::Key("receivedAt")],
            "receivedBy" => &[Self::Key("receivedBy")],
            "masked" => &[Self::Key("masked")],
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
    const fn is_fixed(&self) -> bool {
        matches!(self, Self::Time | Self::Status)
    }

    const fn usual_width(&self) -> usize {
        match self {
            Self::Time => 20,
            Self::Status => 7,
            Self::Who | Self::Action => 20,
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
    let is_received = event[ORDERED_BY] == "receivedAt";
    let stored = plain(if is_received { &event["receivedAt"] } else { &event["trigger"]["at"] });
    let shown = match (times, Timestamp::parse(&stored)) {
        (Times::Stored, _) | (_, None) => stored,
        (Times::Short, Some(at)) => zone.format(at),
        (Times::Exact, Some(at)) => exact(zone, at),
    };
    let shown = shown.strip_suffix("+00:00").map_or(shown.clone(), |utc| format!("{utc}Z"));
    if is_received { format!("{shown} (received)") } else { shown }
}

/// Makes the widest columns narrower until the line fits into `room`. If that does not suffice, the last columns are left
/// out.
fn fit(widths: &mut Vec<usize>, is_fixed: &[bool], room: usize) {
    loop {
        let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        if total <= room || widths.len() < 2 {
            return;
        }
        let widest = widths.iter_mut().zip(is_fixed).filter(|(width, is_fixed)| !**is_fixed && **width > WIDTH_MIN);
        match widest.max_by_key(|(width, _)| **width) {
            Some((width, _)) => *width -= 1,
            None => drop(widths.pop()),
        }
    }
}

fn line(cells: &[String], used: &[usize], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, width) in used.iter().zip(widths) {
        let cell = cut(&cells[*index], *width);
        let padding = (width + GAP).saturating_sub(cell.width());
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', padding));
    }
    line.trim_end().to_owned()
}

/// A text of at most this width, with an ellipsis in the place of its end.
fn cut(text: &str, width_max: usize) -> String {
    if text.width() <= width_max {
        return text.to_owned();
    }
    let (mut shown, mut width) = (String::new(), 1);
    for char in text.chars() {
        width += char.width().unwrap_or(0);
        if width > width_max {
            break;
        }
        shown.push(char);
    }
    shown + "…"
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
    fn columns_fit_and_times_stay_whole() {
        let is_fixed = [true, true, false, false, false];
        for room in [200, 80, 60, 45, 30, 10] {
            let mut widths = vec![20, 7, 30, 12, 90];
            fit(&mut widths, &is_fixed, room);
            let total = widths.iter().sum::<usize>() + GAP * (widths.len() - 1);
            assert!(total <= room.max(20), "{room}: {widths:?}");
            assert!(widths[0] == 20 && widths.get(1).is_none_or(|width| *width == 7));
            assert_eq!(widths.len() == 5, room >= 51, "{room}: {widths:?}");
        }
    }

    #[test]
    fn texts_are_cut_by_their_width() {
        for (text, width, cut_text) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
        ] {
            assert_eq!(cut(text, width), cut_text);
            assert!(cut(text, width).width() <= width);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (25_000, "25,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
