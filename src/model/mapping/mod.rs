//! Turns records of other systems into events.
//!
//! A preset is a TOML file that says where each key of an event is found in a record. It is compiled once into a [`Mapping`]; mapping
//! a record then takes microseconds. The result is an event in the form that a sender sends, which takes the same way as
//! every other event: it is masked, parsed and completed. The record itself becomes the event's `additionalData`, byte for byte.
//!
//! No record is lost. A value that the event does not take is omitted and reported in the event's `mapping.problems`. A record in
//! which a preset finds nothing becomes an event with the action `EXECUTE` and the resource type `unmapped`.
//!
//! What belongs here: presets, their language and their tests. What does not: files, requests, and storing events.

mod combined;
mod documents;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod glob;
mod language;
mod otlp;
mod presets;
mod rule;
mod target;
mod testing;
#[cfg(test)]
mod tests;
mod time;
mod verb;

use std::fmt;

pub use documents::{Document, Record, RecordKey};
pub use otlp::EXPANDED_BYTES_MAX;
pub use presets::{CompiledPresets, EMBEDDED, Presets, SECTION};
pub use testing::Explanation;

use crate::model::{
    event::OWN_ORIGIN,
    json,
    json_pointer::Pointer,
    json_walk::{self, Node},
    limits::EventLimits,
    mask::Mask,
    records,
    zone::Zone,
};
use documents::Input;
use rule::{Choice, Found, Rule, Source};
use target::{Kind, TARGETS, Target};
use testing::Test;

/// The action of an event whose preset finds none.
const DEFAULT_ACTION: &str = "EXECUTE";
/// The resource type of an event whose preset finds none.
pub const UNMAPPED: &str = "unmapped";

/// A compiled preset.
#[derive(Debug, Clone)]
pub struct Mapping {
    name: String,
    version: u32,
    title: String,
    /// The TOML text of the preset.
    source: String,
    input: Input,
    /// Where a document may hold its records. The first place with an array or an object counts.
    envelope: Node,
    /// The number of these places.
    envelopes: usize,
    /// Pointers, and the pattern that each value has in a record of this format.
    when: Vec<(Pointer, String)>,
    /// The zone of times without an offset.
    zone: Zone,
    tree: Node,
    slots: usize,
    /// By the index of their target, in the order of the targets.
    rules: Vec<(usize, Rule)>,
    tests: Vec<Test>,
}

/// A record as an event.
#[derive(Debug)]
pub struct MappedRecord {
    event: String,
    preset: String,
    problems: Vec<String>,
    is_unmapped: bool,
}

/// Why a record cannot become an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordError {
    /// The record has more than this number of bytes.
    TooLarge(usize),
    /// The record is not JSON, for the reason given.
    NotJson(String),
    /// A document has more records than the input may have.
    TooMany,
    /// The records of a document would take more than this number of bytes, because each has a copy of what they share.
    Expands(usize),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(bytes_max) => write!(f, "the record is larger than {bytes_max} bytes"),
            Self::NotJson(reason) => write!(f, "the record is not JSON: {reason}"),
            Self::Expands(bytes_max) => {
                write!(f, "the records would take more than {bytes_max} bytes with the resource that they share")
            }
            Self::TooMany => f.write_str("the document has too many records"),
        }
    }
}

impl std::error::Error for RecordError {}

/// The values that a preset finds in a record.
#[derive(Debug, Default)]
struct Outcome<'a> {
    /// By the index of their target, in the order of the targets.
    values: Vec<(usize, String)>,
    problems: Vec<String>,
    /// Whether the record itself gave no value.
    is_unmapped: bool,
    /// The sources of the values.
    sources: Vec<&'a Source>,
}

impl Mapping {
    /// The embedded preset with this name.
    pub fn named(name: &str) -> Option<Self> {
        let (_, source) = EMBEDDED.iter().find(|(known, _)| *known == name)?;
        // A test compiles every embedded preset.
        Self::parse(name, source).ok()
    }

    /// The name of the preset.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name and the version of the preset, as events record them: `cloudtrail@1`.
    pub fn name_and_version(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// What the format is, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The TOML text of the preset.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Maps a record. An error concerns this record alone. The event is still to be masked, except for a record that it keeps as
    /// text, in which nothing finds secrets later.
    pub fn map(&self, record: &Record<'_>, limits: &EventLimits, mask: &Mask) -> Result<MappedRecord, RecordError> {
        self.event(record, limits, mask, false)
    }

    /// Maps a record whose identifier belongs to an event with other content: the identifier is extended by a hash of the
    /// record, so that the record is stored, and only once.
    pub fn map_again(
        &self,
        record: &Record<'_>,
        limits: &EventLimits,
        mask: &Mask,
    ) -> Result<MappedRecord, RecordError> {
        self.event(record, limits, mask, true)
    }

    fn event(
        &self,
        record: &Record<'_>,
        limits: &EventLimits,
        mask: &Mask,
        again: bool,
    ) -> Result<MappedRecord, RecordError> {
        let raw = record.source();
        if raw.len() > limits.event_bytes_max {
            return Err(RecordError::TooLarge(limits.event_bytes_max));
        }
        let mut outcome = self.find(record.fields());
        if again {
            outcome.extend_identifier(raw);
        }
        let values = outcome.values.iter().map(|(target, value)| (&TARGETS[*target], value.as_str()));
        let mut event = String::with_capacity(raw.len() + 1_024);
        target::write(values, &mut event);
        target::key(&mut event, "additionalData");
        // The event is one level of nesting itself.
        match json::check_depth(record.raw(), limits.json_depth_max.saturating_sub(1)) {
            Ok(()) => event.push_str(raw),
            Err(problem) => {
                json::push_string(&mut event, &mask.hide(raw));
                outcome.problems.push(format!("additionalData: the record is kept as text: {problem}"));
            }
        }
        event.push('}');
        Ok(MappedRecord {
            event,
            preset: self.name_and_version(),
            problems: outcome.problems,
            is_unmapped: outcome.is_unmapped,
        })
    }

    /// The value of each key, with defaults for those that an event must have.
    fn find<'a>(&'a self, fields: &'a str) -> Outcome<'a> {
        let mut slots = vec![None; self.slots];
        self.tree.fill(fields, &mut slots);
        let mut outcome = Outcome::default();
        let mut is_mapped = false;
        for (target, rule) in &self.rules {
            let mut problem = None;
            for alternative in &rule.0 {
                let Some(Choice { found, source }) = alternative.choose(&slots, TARGETS[*target].kind == Kind::Json)
                else {
                    continue;
                };
                match self.value(&TARGETS[*target], found) {
                    Ok(value) => {
                        problem = None;
                        outcome.values.push((*target, value));
                        outcome.sources.extend(source);
                        is_mapped |= source.is_some_and(|source| !matches!(source, Source::Constant(_)));
                        break;
                    }
                    Err(message) => problem = problem.or(Some(message)),
                }
            }
            outcome.problems.extend(problem.map(|message| format!("{}: {message}", TARGETS[*target].path())));
        }
        outcome.complete(self, is_mapped);
        outcome
    }

    fn value(&self, target: &Target, found: Found<'_>) -> Result<String, String> {
        match found {
            Found::Json(value) => Ok(value.into_owned()),
            Found::Text(text) => target.value(text, &self.zone),
        }
    }
}

impl Outcome<'_> {
    /// Adds what every event has. A record in which nothing was found is marked as unmapped. Then the preset's constants do not count.
    fn complete(&mut self, mapping: &Mapping, is_mapped: bool) {
        self.is_unmapped = !is_mapped;
        for (target, default) in [(target::ACTION, DEFAULT_ACTION), (target::RESOURCE_TYPE, UNMAPPED)] {
            if !is_mapped {
                self.remove(target);
            }
            self.add(target, default);
        }
        if mapping.name != OWN_ORIGIN {
            self.add(target::ORIGIN, &mapping.name);
        }
    }

    fn remove(&mut self, target: usize) {
        self.values.retain(|(known, _)| *known != target);
    }

    /// Adds a text, unless the target has a value.
    fn add(&mut self, target: usize, text: &str) {
        if let Err(place) = self.values.binary_search_by_key(&target, |(known, _)| *known) {
            let mut value = String::new();
            json::push_string(&mut value, text);
            self.values.insert(place, (target, value));
        }
    }

    fn extend_identifier(&mut self, record: &str) {
        let hash = records::digest(record);
        let known = self.values.iter().find(|(target, _)| *target == target::IDENTIFIER);
        let text = known.and_then(|(_, value)| json_walk::scalar(value)).unwrap_or_default();
        // An identifier has at most 256 bytes.
        let end = text.floor_char_boundary(240);
        let extended = format!("{}~{hash}", &text[..end]);
        self.remove(target::IDENTIFIER);
        self.add(target::IDENTIFIER, &extended);
        self.problems
            .push("identifier: belongs to an event with other content, so a hash of the record follows it".to_owned());
    }
}

impl MappedRecord {
    /// The event as JSON, in the form that a sender sends.
    pub fn event(&self) -> &str {
        &self.event
    }

    /// What the event does not hold because it does not take it: the key and the reason of each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Whether the preset found nothing in the record.
    pub const fn is_unmapped(&self) -> bool {
        self.is_unmapped
    }

    /// What the server records as the event's `mapping`, a JSON object: the preset, the way by which the record arrived, and the
    /// problems.
    pub fn provenance(&self, door: &str) -> String {
        let mut value = serde_json::json!({ "preset": self.preset, "door": door });
        if !self.problems.is_empty() {
            value["problems"] = self.problems.as_slice().into();
        }
        value.to_string()
    }

    /// The limits that apply to the event. The limit of bytes applies to the record, to which the event only adds.
    pub fn limits(limits: &EventLimits) -> EventLimits {
        EventLimits { event_bytes_max: usize::MAX, ..*limits }
    }
}
