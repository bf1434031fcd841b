//! The values that a file and the environment set, each with its origin.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    error::{ConfigError, Problem},
    setting::Setting,
};
use crate::model::{
    custom_fields::{self, SECTION as FIELDS},
    field::FieldDefinition,
    mapping::{Presets, SECTION as PRESETS},
    resource_type::Catalog,
    route::{Route, SECTION as ROUTES},
    syslog::{SECTION as SYSLOG, SyslogListener},
    toml_reader::TomlError,
};

const VARIABLE_PREFIX: &str = "AUDITBOX_";
/// The only section that is a list of entries, each with the keys `value`, `label` and `description`.
const RESOURCE_TYPES: &str = "resource_types";
const RESOURCE_TYPE_KEYS: [&str; 3] = ["value", "label", "description"];

/// A key of the settings table.
pub(super) struct SettingKey {
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// An earlier name, which is still read.
    pub(super) formerly: Option<&'static str>,
    /// See [`Setting::FROM_VARIABLE`].
    pub(super) from_variable: Option<fn(&str) -> Value>,
}

/// The values of the keys that are set.
pub(super) struct SettingSource {
    path: Option<PathBuf>,
    /// By section and key.
    values: BTreeMap<(&'static str, &'static str), Given>,
    resource_types: Option<Value>,
    /// The presets, and the text of the file, in which an error names a line.
    presets: Table,
    text: String,
    /// The routes as the file has them.
    routes: Vec<Table>,
    /// The listeners as the file has them.
    listeners: Vec<Table>,
    warnings: Vec<String>,
}

/// A value, and where it was set.
struct Given {
    /// Whether a variable set it, and whether under the key's present name. The higher rank counts.
    rank: (bool, bool),
    /// The file or the variable.
    origin: String,
    value: Value,
}

impl SettingSource {
    /// Reads the file, if there is one, and then the environment, which overrides it. Rejects unknown sections and keys.
    pub(super) fn read(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        keys: &'static [SettingKey],
    ) -> Result<Self, ConfigError> {
        let mut source = Self {
            path: path.map(Path::to_owned),
            values: BTreeMap::new(),
            resource_types: None,
            presets: Table::new(),
            text: String::new(),
            routes: Vec::new(),
            listeners: Vec::new(),
            warnings: Vec::new(),
        };
        if let Some(path) = path {
            let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.into(), cause })?;
            let invalid = |error| ConfigError::Toml { origin: source.file(), cause: describe(&text, &error) };
            let table = text.parse().map_err(invalid);
            source.add_file(table?, keys)?;
            source.text = text;
        }
        for (variable, text) in environment {
            source.add_variable(variable, &text, keys)?;
        }
        Ok(source)
    }

    /// A setting's value, or `default` if it is not set.
    pub(super) fn setting<T: Setting>(
        &self,
        section: &'static str,
        key: &'static str,
        default: T,
        range: &RangeInclusive<u64>,
    ) -> Result<T, ConfigError> {
        let Some(given) = self.values.get(&(section, key)) else { return Ok(default) };
        T::read(&given.value, range).map_err(|text| self.blame(Problem { section, key, text }))
    }

    /// The catalog of resource types that the file sets, or the default one.
    pub(super) fn resource_types(&self) -> Result<Catalog, ConfigError> {
        let Some(value) = &self.resource_types else { return Ok(Catalog::default()) };
        let invalid = |key: &str, problem: String| {
            key_error(self.file(), format!("[[{RESOURCE_TYPES}]] {key}").trim_end().to_owned(), problem)
        };
        let tables = value.as_array().and_then(|list| list.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
        let Some(tables) = tables else {
            return Err(invalid("", "must be a list of entries, each under its own [[ ]]".to_owned()));
        };
        let mut entries = Vec::new();
        for table in tables {
            if let Some(key) = table.keys().find(|key| !RESOURCE_TYPE_KEYS.contains(&key.as_str())) {
                return Err(invalid(key, format!("is not a key; the keys are {}", RESOURCE_TYPE_KEYS.join(", "))));
            }
            let [value, label, description] = RESOURCE_TYPE_KEYS.map(|key| match table.get(key) {
                None if key == "description" => Ok(""),
                text => text.and_then(Value::as_str).ok_or_else(|| invalid(key, "must be a string in quotes".into())),
            });
            entries.push((value?, label?, description?));
        }
        Catalog::parse(entries).map_err(|(key, text)| invalid(key, text))
    }

    /// The presets that the file sets, compiled and tested.
    pub(super) fn presets(&self) -> Result<Presets, ConfigError> {
        if self.presets.is_empty() {
            return Ok(Presets::default());
        }
        let source =
            |name: &str| self.presets.get(name).and_then(|preset| toml::to_string(preset).ok()).unwrap_or_default();
        Presets::read(&self.text, source).map_err(|(name, TomlError { line, message })| {
            key_error(format!("{}:{line}", self.file()), format!("[{PRESETS}.{name}]"), message)
        })
    }

    /// The fields that the file declares.
    pub(super) fn fields(&self) -> Result<Vec<FieldDefinition>, ConfigError> {
        custom_fields::read(&self.text).map_err(|TomlError { line, message }| {
            key_error(format!("{}:{line}", self.file()), format!("[[{FIELDS}]]"), message)
        })
    }

    /// The presets as the file has them.
    pub(super) fn preset_tables(&self) -> &Table {
        &self.presets
    }

    /// The routes that the file sets. The error names the line.
    pub(super) fn routes(&self, presets: &Presets) -> Result<Vec<Route>, ConfigError> {
        Route::read_all(&self.text, presets).map_err(|TomlError { line, message }| ConfigError::Toml {
            origin: format!("{}:{line}", self.file()),
            cause: message,
        })
    }

    /// The routes as the file has them.
    pub(super) fn route_tables(&self) -> &[Table] {
        &self.routes
    }

    /// The listeners that the file sets. The error names the line.
    pub(super) fn listeners(
        &self,
        presets: &Presets,
        event_bytes_max: usize,
    ) -> Result<Vec<SyslogListener>, ConfigError> {
        SyslogListener::read_all(&self.text, presets, event_bytes_max).map_err(|TomlError { line, message }| {
            ConfigError::Toml { origin: format!("{}:{line}", self.file()), cause: message }
        })
    }

    /// The listeners as the file has them.
    pub(super) fn listener_tables(&self) -> &[Table] {
        &self.listeners
    }

    /// Adds to a problem where to correct it: the variable or the file that set the key, otherwise the file.
    pub(super) fn blame(&self, problem: Problem) -> ConfigError {
        let set = self.values.get(&(problem.section, problem.key));
        let origin = set.map_or_else(|| self.file(), |given| given.origin.clone());
        key_error(origin, format!("[{}] {}", problem.section, problem.key), problem.text)
    }

    /// Lines about settings that are written under an earlier name.
    pub(super) fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    fn file(&self) -> String {
        self.path.as_ref().map_or_else(|| "configuration".to_owned(), |path| path.display().to_string())
    }

    fn add_file(&mut self, table: Table, keys: &'static [SettingKey]) -> Result<(), ConfigError> {
        let origin = self.file();
        let invalid = |place, problem| Err(key_error(origin.clone(), place, problem));
        for (section, given) in table {
            if section == RESOURCE_TYPES {
                self.resource_types = Some(given);
                continue;
            }
            if section == ROUTES || section == SYSLOG {
                // They are read with their lines later, which also rejects values of other types.
                let tables = given.as_array().into_iter().flatten().filter_map(Value::as_table);
                let list = if section == ROUTES { &mut self.routes } else { &mut self.listeners };
                *list = tables.cloned().collect();
                continue;
            }
            if section == FIELDS {
                // Read with its lines: `fields`.
                continue;
            }
            if section == PRESETS {
                let Value::Table(presets) = given else {
                    return invalid(format!("[{PRESETS}]"), "must hold a section for each preset".to_owned());
                };
                self.presets = presets;
                continue;
            }
            let of_section = || keys.iter().filter(|key| key.section == section);
            if of_section().next().is_none() {
                let mut sections: Vec<_> = keys.iter().map(|key| key.section).collect();
                sections.dedup();
                let problem = format!(
                    "is not a section; the sections are {}, {RESOURCE_TYPES}, {FIELDS}, {PRESETS}, {ROUTES}, {SYSLOG}",
                    sections.join(", ")
                );
                return invalid(format!("[{section}]"), problem);
            }
            let Value::Table(given) = given else {
                return invalid(format!("[{section}]"), "must be a section of keys".to_owned());
            };
            for (name, value) in given {
                let Some(key) = of_section().find(|key| key.name == name || key.formerly == Some(&name)) else {
                    let names = of_section().map(|key| key.name).collect::<Vec<_>>().join(", ");
                    return invalid(format!("[{section}] {name}"), format!("is not a key; the keys are {names}"));
                };
                self.set(key, &name, Given { rank: (false, key.name == name), origin: origin.clone(), value });
            }
        }
        Ok(())
    }

    /// Adds a variable if its name begins with that of a section.
    fn add_variable(&mut self, variable: String, text: &str, keys: &'static [SettingKey]) -> Result<(), ConfigError> {
        let in_section = |key: &&SettingKey| variable.starts_with(&variable_name(key.section, ""));
        let settable: Vec<_> =
            keys.iter().filter(in_section).filter_map(|key| Some((key, key.from_variable?))).collect();
        for (key, from_variable) in &settable {
            let mut names = [Some(key.name), key.formerly].into_iter().flatten();
            if let Some(name) = names.find(|name| variable_name(key.section, name) == variable) {
                let value = from_variable(text);
                self.set(key, name, Given { rank: (true, key.name == name), origin: variable, value });
                return Ok(());
            }
        }
        let Some((SettingKey { section, .. }, _)) = settable.first() else { return Ok(()) };
        let variables: Vec<_> = settable.iter().map(|(key, _)| variable_name(section, key.name)).collect();
        let problem = format!("has no key for this variable; the variables are {}", variables.join(", "));
        Err(key_error(variable, format!("[{section}]"), problem))
    }

    /// Sets a key. Variables override the file; within each, a key's present name overrides its earlier one.
    fn set(&mut self, key: &'static SettingKey, name: &str, given: Given) {
        if key.name != name {
            let (origin, section) = (&given.origin, key.section);
            self.warnings.push(format!("{origin}: [{section}] {name} is now called {}; rename it", key.name));
        }
        match self.values.entry((key.section, key.name)) {
            Entry::Occupied(set) if set.get().rank > given.rank => {}
            entry => drop(entry.insert_entry(given)),
        }
    }
}

/// A syntax error, without the line that has it: it may hold the key of a route.
fn describe(text: &str, error: &toml::de::Error) -> String {
    let before = &text[..text.floor_char_boundary(error.span().map_or(0, |span| span.start))];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("not valid TOML at line {line}, column {column}: {}", error.message().replace('\n', ", "))
}

fn variable_name(section: &str, key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}_{}", section.to_ascii_uppercase(), key.to_ascii_uppercase())
}

fn key_error(origin: String, place: String, problem: String) -> ConfigError {
    ConfigError::Key { origin, place, problem }
}
