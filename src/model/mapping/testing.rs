//! The tests that a preset carries, and what a preset leaves of a record.

use serde_json::Value;

use crate::model::{
    json,
    json_walk::{self, Node},
    limits::EventLimits,
    mapping::{
        Mapping, Outcome, Record,
        target::{self, Kind, TARGETS, Target},
    },
    mask::Mask,
    toml_reader::{Entry, Reader, TomlError},
};

/// A record, and the event that it must become.
#[derive(Debug, Clone)]
pub(super) struct Test {
    line: usize,
    name: String,
    record: String,
    /// The dotted path and the text of each value.
    event: Vec<(usize, String)>,
    problems: Vec<String>,
}

/// How a preset maps a record.
#[derive(Debug)]
pub struct Explanation {
    /// Pointers to the values of the record that the event has only in its `additionalData`.
    pub unmapped: Vec<String>,
}

impl Test {
    pub(super) fn read(entry: &Entry<'_>) -> Result<Self, TomlError> {
        let mut test = Self {
            line: entry.error("").line,
            name: String::new(),
            record: String::new(),
            event: Vec::new(),
            problems: Vec::new(),
        };
        for entry in entry.table()?.entries(&entry.path) {
            match entry.key() {
                "name" => entry.string()?.clone_into(&mut test.name),
                "record" => entry.string()?.clone_into(&mut test.record),
                "event" => test.expect(entry.table()?, "")?,
                "problems" => {
                    let items = entry.as_array().ok_or_else(|| entry.error("must be a list of strings"))?;
                    test.problems =
                        items.iter().map(|item| item.string().map(str::to_owned)).collect::<Result<_, _>>()?;
                }
                _ => return Err(entry.error("is not a key; the keys are name, record, event, problems")),
            }
        }
        if test.record.is_empty() || test.event.is_empty() {
            return Err(entry.error("needs `record` and `event`"));
        }
        test.event.sort_unstable();
        Ok(test)
    }

    fn expect(&mut self, table: Reader<'_>, path: &str) -> Result<(), TomlError> {
        for entry in table.entries(path) {
            match (target::find(&entry.path), entry.as_text(), entry.as_table()) {
                (Some(target), Some(text), _) => self.event.push((target, text)),
                (None, _, Some(table)) => self.expect(table, &entry.path)?,
                (Some(_), None, _) => return Err(entry.error("must be a string or a number")),
                (None, _, None) => return Err(entry.error("is not a key of an event")),
            }
        }
        Ok(())
    }

    /// Maps the record; an error says how the event differs from the expected one.
    fn run(&self, mapping: &Mapping) -> Result<(), String> {
        let document = self.record.trim();
        let records = mapping.records(document).map_err(|error| error.to_string())?;
        let [record] = records.as_slice() else {
            return Err(format!("the record holds {} records; it must hold one", records.len()));
        };
        mapping.map(record, &EventLimits::default(), &Mask::default()).map_err(|error| error.to_string())?;
        let Outcome { values, problems, .. } = mapping.find(record.fields());
        let mut found: Vec<_> = values.iter().map(|(target, value)| (*target, text_of(*target, value))).collect();
        // The default of the origin need not be repeated in each test.
        if !self.event.iter().any(|(target, _)| *target == target::ORIGIN) {
            found.retain(|(target, text)| *target != target::ORIGIN || *text != mapping.name);
        }
        for (target, Target { object, key, .. }) in TARGETS.iter().enumerate() {
            let of = |values: &[(usize, String)]| {
                values.iter().find(|(known, _)| *known == target).map(|(_, text)| text.clone())
            };
            let (expected, found) = (of(&self.event).map(|text| normal(target, text)), of(&found));
            if expected != found {
                let show = |text: Option<String>| text.map_or_else(|| "nothing".to_owned(), |text| format!("`{text}`"));
                let path = object.path(key);
                return Err(format!("{path} must be {}, but is {}", show(expected), show(found)));
            }
        }
        if self.problems != problems {
            return Err(format!("the problems must be {:?}, but are {problems:?}", self.problems));
        }
        Ok(())
    }
}

#[cfg(test)]
impl Mapping {
    /// The records of the tests.
    pub(crate) fn samples(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|test| test.record.as_str())
    }
}

fn text_of(target: usize, value: &str) -> String {
    match TARGETS[target].kind {
        Kind::Json => normal(target, value.to_owned()),
        _ => json_walk::scalar(value).unwrap_or_default().into_owned(),
    }
}

/// JSON without differences of white space.
fn normal(target: usize, text: String) -> String {
    match TARGETS[target].kind {
        Kind::Json => serde_json::from_str::<Value>(&text).map_or(text, |value| value.to_string()),
        _ => text,
    }
}

impl Mapping {
    /// The number of tests that the preset carries.
    pub fn tests(&self) -> usize {
        self.tests.len()
    }

    /// Runs the preset's own tests. The error names the first test that fails and its line.
    pub fn check(&self) -> Result<(), TomlError> {
        self.tests.iter().enumerate().try_for_each(|(index, test)| {
            test.run(self).map_err(|problem| {
                let name = if test.name.is_empty() { (index + 1).to_string() } else { format!("\"{}\"", test.name) };
                TomlError { line: test.line, message: format!("test {name} fails: {problem}") }
            })
        })
    }

    /// What the preset does not use of a record.
    pub fn explain(&self, record: &Record<'_>, limits: &EventLimits) -> Explanation {
        let mut unmapped = Vec::new();
        // A record that is nested too deeply is stored as text.
        if json::check_depth(record.raw(), limits.json_depth_max).is_ok() {
            let mut used = vec![false; self.slots];
            for slot in self.find(record.fields()).sources.iter().flat_map(|source| source.slots()) {
                used[slot] = true;
            }
            Node::unused(Some(&self.tree), record.fields(), "", &used, &mut |path| unmapped.push(path.to_owned()));
        }
        Explanation { unmapped }
    }
}
