//! The settings as written: which sections and keys there are and what kind of value each takes.
//!
//! The serialised defaults are the schema, so a key is declared once, as a field here. Both the file and the variables
//! are held to it, which lets every mistake be named as `[section] key`. What a value means is not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{
    AuthConfig, ConfigError, DatabaseConfig, KEEP_BY, KEEP_DAYS, LimitsConfig, LogConfig, SelfAuditConfig,
    ServerConfig, check::Problem,
};
use crate::model::{mask, resource_type};

const VARIABLE_PREFIX: &str = "AUDITBOX_";

/// The file. Numbers are wider than their settings, so that those out of range get a message that names the range.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) server: RawServer,
    pub(super) database: RawDatabase,
    pub(super) auth: RawAuth,
    pub(super) limits: RawLimits,
    pub(super) mask: RawMask,
    pub(super) self_audit: RawSelfAudit,
    pub(super) retention: RawRetention,
    pub(super) log: RawLog,
    pub(super) resource_types: Vec<RawResourceType>,
}

impl Default for RawConfig {
    fn default() -> Self {
        let entry = |&(value, label, description): &(&str, &str, &str)| RawResourceType {
            value: value.to_owned(),
            label: label.to_owned(),
            description: description.to_owned(),
        };
        Self {
            server: RawServer::default(),
            database: RawDatabase::default(),
            auth: RawAuth::default(),
            limits: RawLimits::default(),
            mask: RawMask::default(),
            self_audit: RawSelfAudit::default(),
            retention: RawRetention::default(),
            log: RawLog::default(),
            resource_types: resource_type::KNOWN.iter().map(entry).collect(),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawServer {
    pub(super) listen: String,
    pub(super) trusted_proxies: Vec<String>,
    pub(super) tls_certificate: String,
    pub(super) tls_key: String,
    pub(super) shutdown_seconds: u64,
    pub(super) connections_max: u64,
    pub(super) workers: u64,
}

impl Default for RawServer {
    fn default() -> Self {
        let ServerConfig { listen, shutdown_seconds, connections_max, workers, .. } = ServerConfig::default();
        Self {
            listen: listen.to_string(),
            trusted_proxies: Vec::new(),
            tls_certificate: String::new(),
            tls_key: String::new(),
            shutdown_seconds,
            connections_max: connections_max as u64,
            workers: workers as u64,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawDatabase {
    pub(super) path: String,
    pub(super) readers: u64,
    pub(super) log_bytes_max: u64,
}

impl Default for RawDatabase {
    fn default() -> Self {
        let DatabaseConfig { path, readers, log_bytes_max } = DatabaseConfig::default();
        Self { path: path.display().to_string(), readers: readers.into(), log_bytes_max }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAuth {
    pub(super) access_token_seconds: u64,
    pub(super) failed_logins_max: u64,
    pub(super) failed_logins_window_seconds: u64,
    pub(super) session_idle_seconds: u64,
    pub(super) session_seconds: u64,
}

impl Default for RawAuth {
    fn default() -> Self {
        let auth = AuthConfig::default();
        Self {
            access_token_seconds: auth.access_token_seconds.into(),
            failed_logins_max: auth.failed_logins_max.into(),
            failed_logins_window_seconds: auth.failed_logins_window_seconds.into(),
            session_idle_seconds: auth.session_idle_seconds.into(),
            session_seconds: auth.session_seconds.into(),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) body_bytes_max: u64,
    pub(super) body_read_seconds: u64,
    pub(super) body_memory_bytes_max: u64,
    pub(super) queue_events_max: u64,
    pub(super) queue_bytes_max: u64,
    pub(super) batch_events_max: u64,
    pub(super) event_bytes_max: u64,
    pub(super) json_depth_max: u64,
    pub(super) filter_values_max: u64,
    pub(super) list_default: u64,
    pub(super) list_max: u64,
    pub(super) query_seconds: u64,
    pub(super) answer_stall_seconds: u64,
    pub(super) streams_max: u64,
    pub(super) future_seconds_max: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        let limits = LimitsConfig::default();
        Self {
            body_bytes_max: limits.body_bytes_max as u64,
            body_read_seconds: limits.body_read_seconds,
            body_memory_bytes_max: limits.body_memory_bytes_max as u64,
            queue_events_max: limits.queue_events_max as u64,
            queue_bytes_max: limits.queue_bytes_max as u64,
            batch_events_max: limits.batch_events_max as u64,
            event_bytes_max: limits.event_bytes_max as u64,
            json_depth_max: limits.json_depth_max as u64,
            filter_values_max: limits.filter_values_max as u64,
            list_default: limits.list_default as u64,
            list_max: limits.list_max as u64,
            query_seconds: limits.query_seconds,
            answer_stall_seconds: limits.answer_stall_seconds,
            streams_max: limits.streams_max as u64,
            future_seconds_max: limits.future_seconds_max.unsigned_abs(),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawMask {
    pub(super) enabled: bool,
    pub(super) names: Vec<String>,
}

impl Default for RawMask {
    fn default() -> Self {
        Self { enabled: true, names: mask::NAMES.iter().map(|name| (*name).to_owned()).collect() }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawSelfAudit {
    pub(super) record: String,
}

impl Default for RawSelfAudit {
    fn default() -> Self {
        Self { record: SelfAuditConfig::default().record.name().to_owned() }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawRetention {
    pub(super) keep_days: u64,
    pub(super) keep_by: String,
    /// Keys of the operator's own.
    pub(super) resource_types: BTreeMap<String, u64>,
}

impl Default for RawRetention {
    fn default() -> Self {
        Self { keep_days: KEEP_DAYS, keep_by: KEEP_BY.name().to_owned(), resource_types: BTreeMap::new() }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) level: String,
    pub(super) format: String,
}

impl Default for RawLog {
    fn default() -> Self {
        let LogConfig { level, format } = LogConfig::default();
        Self { level, format: format.name().to_owned() }
    }
}

/// The one section that is a list: of entries that all have these keys.
pub(super) const RESOURCE_TYPES: &str = "resource_types";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawResourceType {
    pub(super) value: String,
    pub(super) label: String,
    #[serde(default)]
    pub(super) description: String,
}

/// Where the settings came from, to send the operator to the right place.
pub(super) struct Origins {
    path: Option<PathBuf>,
    /// The variables that set a key.
    variables: BTreeSet<String>,
}

impl Origins {
    /// Adds to `problem` where to look: the variable that set the key, else the file. Without either it is a default
    /// that clashes with something the environment set.
    pub(super) fn blame(&self, problem: Problem) -> ConfigError {
        let variable = variable_name(problem.section, problem.key);
        let origin = if self.variables.contains(&variable) { variable } else { self.file() };
        key_error(origin, format!("[{}] {}", problem.section, problem.key), problem.text)
    }

    fn toml_error(&self, error: &dyn Display) -> ConfigError {
        ConfigError::Toml { origin: self.file(), cause: error.to_string().trim_end().to_owned() }
    }

    fn file(&self) -> String {
        self.path.as_ref().map_or_else(|| "configuration".to_owned(), |path| path.display().to_string())
    }
}

/// Reads the file, if any, and the environment over it.
pub(super) fn read(
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<(RawConfig, Origins), ConfigError> {
    let mut origins = Origins { path: path.map(Path::to_owned), variables: BTreeSet::new() };
    let schema = Table::try_from(RawConfig::default()).map_err(|error| origins.toml_error(&error))?;
    let mut table = match path {
        None => Table::new(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
            text.parse::<Table>().map_err(|error| origins.toml_error(&error))?
        }
    };
    hold_to_schema(&table, &schema, &origins.file())?;
    for (name, text) in environment {
        if set_variable(&mut table, &schema, &name, &text)? {
            origins.variables.insert(name);
        }
    }
    let raw = table.try_into().map_err(|error: toml::de::Error| origins.toml_error(&error))?;
    Ok((raw, origins))
}

/// Refuses sections and keys that `schema` lacks, and values of another kind than there.
fn hold_to_schema(table: &Table, schema: &Table, file: &str) -> Result<(), ConfigError> {
    for (section, given) in table {
        if let Some(entry) = schema.get(section).and_then(Value::as_array).and_then(|list| list.first()?.as_table()) {
            hold_list_to_schema(section, given, entry, file)?;
            continue;
        }
        let Some(known) = schema.get(section).and_then(Value::as_table) else {
            let problem = format!("is not a section; there are {}", names(schema));
            return Err(key_error(file.to_owned(), format!("[{section}]"), problem));
        };
        let Some(given) = given.as_table() else {
            return Err(key_error(file.to_owned(), format!("[{section}]"), "must be a section of keys".to_owned()));
        };
        for (key, value) in given {
            let problem = match known.get(key) {
                None => format!("is not a key; there are {}", names(known)),
                Some(example) if !same_kind(example, value) => format!("must be {}", kind(example)),
                Some(_) => continue,
            };
            return Err(key_error(file.to_owned(), format!("[{section}] {key}"), problem));
        }
    }
    Ok(())
}

/// The same for a list of entries. A description may be left out.
fn hold_list_to_schema(section: &str, given: &Value, known: &Table, file: &str) -> Result<(), ConfigError> {
    let refuse = |key: &str, problem: String| {
        let place = if key.is_empty() { format!("[[{section}]]") } else { format!("[[{section}]] {key}") };
        Err(key_error(file.to_owned(), place, problem))
    };
    let entries = given.as_array().map(|list| list.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
    let Some(Some(entries)) = entries else {
        return refuse("", "must be a list of entries, each under its own [[ ]]".to_owned());
    };
    for entry in entries {
        if let Some(key) = entry.keys().find(|key| !known.contains_key(*key)) {
            return refuse(key, format!("is not a key; there are {}", names(known)));
        }
        for (key, example) in known {
            match entry.get(key) {
                Some(value) if same_kind(example, value) => {}
                None if key == "description" => {}
                _ => return refuse(key, format!("must be {}", kind(example))),
            }
        }
    }
    Ok(())
}

/// Sets the key that the variable `name` stands for; false if it stands for none because it is not about a section.
fn set_variable(table: &mut Table, schema: &Table, name: &str, text: &str) -> Result<bool, ConfigError> {
    let mut sections = schema.iter().filter_map(|(section, known)| Some((section, known.as_table()?)));
    let Some((section, known)) = sections.find(|(section, _)| name.starts_with(&variable_name(section, ""))) else {
        return Ok(false);
    };
    // A table of the operator's own keys is set in a file alone.
    let keys = || known.iter().filter(|(_, example)| !example.is_table());
    let Some((key, example)) = keys().find(|(key, _)| variable_name(section, key) == name) else {
        let variables: Vec<_> = keys().map(|(key, _)| variable_name(section, key)).collect();
        let problem = format!("has no key for this variable; there are {}", variables.join(", "));
        return Err(key_error(name.to_owned(), format!("[{section}]"), problem));
    };
    let Some(value) = parse_variable(example, text) else {
        let problem = format!("must be {}, not `{text}`", kind(example));
        return Err(key_error(name.to_owned(), format!("[{section}] {key}"), problem));
    };
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Some(section) = section.as_table_mut() {
        section.insert(key.clone(), value);
    }
    Ok(true)
}

/// The text of a variable as a value of the kind of `example`; a list is separated by commas.
fn parse_variable(example: &Value, text: &str) -> Option<Value> {
    match example {
        Value::Integer(_) => text.trim().parse().ok().filter(|number: &i64| !number.is_negative()).map(Value::Integer),
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(Value::Array(items.map(Value::from).collect()))
        }
        Value::Boolean(_) => text.trim().parse().ok().map(Value::Boolean),
        _ => Some(Value::from(text)),
    }
}

/// Every number is a count or a size, and every list one of texts.
fn same_kind(example: &Value, given: &Value) -> bool {
    match (example, given) {
        (Value::Integer(_), Value::Integer(number)) => !number.is_negative(),
        (Value::Array(_), Value::Array(items)) => items.iter().all(Value::is_str),
        // Its keys are the operator's own.
        (Value::Table(_), Value::Table(given)) => given.values().all(|value| same_kind(&Value::Integer(0), value)),
        _ => example.same_type(given),
    }
}

fn kind(example: &Value) -> &'static str {
    match example {
        Value::Integer(_) => "a whole number that is not negative",
        Value::Array(_) => "a list of texts",
        Value::Boolean(_) => "true or false",
        Value::Table(_) => "keys with whole numbers that are not negative",
        _ => "a text in quotes",
    }
}

fn variable_name(section: &str, key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}_{}", section.to_ascii_uppercase(), key.to_ascii_uppercase())
}

fn names(table: &Table) -> String {
    table.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn key_error(origin: String, place: String, problem: String) -> ConfigError {
    ConfigError::Key { origin, place, problem }
}
