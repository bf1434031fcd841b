//! The formats of records: which preset maps each, and the advice if a file needs one.

use std::cell::OnceCell;

use serde_json::Value;

use crate::{
    cli::{failure::Failure, import::ImportArguments},
    config::Config,
    model::{
        mapping::{Mapping, Presets},
        records::{self, Bad},
    },
};

/// The format whose records are recognized one by one.
const AUTO: &str = "auto";
/// What replaces a character that is not UTF-8.
const REPLACEMENT: char = '\u{fffd}';

/// The presets of an import.
pub(super) struct Formats {
    mappings: Vec<Mapping>,
    is_auto: bool,
    /// The number of records of each preset.
    counts: Vec<u64>,
}

impl Formats {
    /// The presets that the arguments ask for, if any.
    pub(super) fn of(arguments: &ImportArguments, config: &Config) -> Result<Option<Self>, Failure> {
        arguments.format.as_deref().map(|name| Self::named(name, &config.presets)).transpose()
    }

    /// The preset with this name, or all for `auto`.
    fn named(name: &str, presets: &Presets) -> Result<Self, Failure> {
        let is_auto = name == AUTO;
        let mappings = if is_auto { presets.all() } else { presets.get(name).into_iter().collect() };
        if mappings.is_empty() {
            let names = presets.names().join(", ");
            return Err(Failure::usage(format!("--format: {name:?} is not a preset; use auto, or one of {names}")));
        }
        Ok(Self { counts: vec![0; mappings.len()], mappings, is_auto })
    }

    /// The preset with this index.
    pub(super) fn mapping(&self, format: usize) -> &Mapping {
        &self.mappings[format]
    }

    /// Whether each line is a record.
    pub(super) fn are_lines(&self) -> bool {
        !self.is_auto && self.mappings[0].reads_lines()
    }

    /// The keys of envelopes whose records are read one by one. To be recognized, a document is needed as a whole.
    pub(super) fn envelopes(&self) -> Vec<String> {
        if self.is_auto {
            return Vec::new();
        }
        self.mappings[0].envelopes().into_iter().map(str::to_owned).collect()
    }

    /// The preset of a document, and its text. The error names the choices.
    pub(super) fn choose(&self, text: Result<String, Bad>) -> Result<(usize, String), String> {
        if !self.is_auto {
            return text.map(|text| (0, text)).map_err(|bad| bad.message);
        }
        // A line that is not JSON may be a record of a text format.
        let (text, problem) = match text {
            Ok(text) => (text, None),
            Err(Bad { message, start })
                if start.is_empty() || start.starts_with('{') || start.contains(REPLACEMENT) =>
            {
                return Err(message);
            }
            Err(Bad { message, start }) => (start.trim().to_owned(), Some(message)),
        };
        let format = Mapping::most_like(&self.mappings, &text);
        format.map(|format| (format, text)).ok_or_else(|| {
            let problem = problem.unwrap_or_else(|| "no preset recognizes this record".to_owned());
            let names: Vec<_> = self.mappings.iter().map(Mapping::name).collect();
            format!("{problem}; import it with --format and one of {}", names.join(", "))
        })
    }

    /// Counts a record of a preset.
    pub(super) fn count(&mut self, format: usize) {
        self.counts[format] += 1;
    }

    /// What was recognized: the number of records of each preset.
    pub(super) fn recognized(&self) -> Option<String> {
        let counted = self.mappings.iter().zip(&self.counts).filter(|(_, count)| **count > 0);
        let parts: Vec<_> = counted.map(|(mapping, count)| format!("{} {count}", mapping.name())).collect();
        let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") };
        self.is_auto.then(|| format!("recognized: {parts}"))
    }
}

/// The formats that an import without a preset recognizes, to name them in errors.
pub(super) struct Known {
    presets: Presets,
    /// Compiled when the first unknown record is found.
    mappings: OnceCell<Vec<Mapping>>,
}

impl Known {
    pub(super) fn new(presets: &Presets) -> Self {
        Self { presets: presets.clone(), mappings: OnceCell::new() }
    }

    /// The format of a text that is not an event, and how to import it. `envelope` is the key of the list that holds the text.
    pub(super) fn describe(&self, text: &str, envelope: Option<&str>) -> Option<String> {
        let Some(format) = records::recognize(text, envelope) else {
            let preset = self.preset_of(text)?;
            return Some(format!(
                "this is not an event, but looks like a record of another system: use --format {preset}"
            ));
        };
        let refused = format!("this is {}, which import does not read", format.name);
        Some(match format.preset {
            Some(preset) => format!("{refused} without a preset: use --format {preset}"),
            None => refused,
        })
    }

    fn preset_of(&self, text: &str) -> Option<&str> {
        let is_event = |value: &Value| ["action", "resourceType"].iter().all(|key| value.get(key).is_some());
        if serde_json::from_str(text).is_ok_and(|value| is_event(&value)) {
            return None;
        }
        let mappings = self.mappings.get_or_init(|| self.presets.all());
        Mapping::most_like(mappings, text).map(|format| mappings[format].name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::records::Records;

    #[test]
    fn the_format_of_every_sample_of_every_preset_is_named() {
        let known = Known::new(&Presets::default());
        let mut named = 0;
        // The records of these two are events.
        for mapping in Presets::default().all().iter().filter(|mapping| !["auditbox", "port"].contains(&mapping.name()))
        {
            let advice = format!("--format {}", mapping.name());
            for sample in mapping.samples() {
                // As an import splits the text.
                for record in Records::new(sample.as_bytes(), 1_000_000).map(Result::unwrap) {
                    let text = record.text.unwrap_or_else(|bad| bad.start);
                    let described = known.describe(&text, record.envelope).unwrap_or_default();
                    let is_named = described.ends_with(&advice) || described.contains("a syslog message");
                    assert!(is_named, "{}: {described:?} of {text}", mapping.name());
                    named += 1;
                }
            }
        }
        assert!(named > 90, "{named}");
    }
}
