//! The presets that are part of the program, and those of the configuration.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use crate::model::{
    mapping::Mapping,
    toml_reader::{self, Reader, TomlError},
};

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        /// The name and the TOML text of each preset that is part of the program.
        pub const EMBEDDED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../presets/", $name, ".toml"))),)+];
    };
}

embedded!(
    "auditbox",
    "auditd-json",
    "auth0",
    "azure",
    "caddy",
    "cloudevents",
    "cloudtrail",
    "combined",
    "docker-registry",
    "ecs",
    "gcp",
    "github",
    "gitlab",
    "google-workspace",
    "hec",
    "kubernetes",
    "nginx-json",
    "ocsf",
    "okta",
    "otlp",
    "port",
    "slack",
    "syslog",
    "teleport",
    "vault",
);

/// The section of the configuration that holds presets.
pub const SECTION: &str = "presets";
/// Maximum number of bytes of a preset's name.
const NAME_BYTES_MAX: usize = 64;

/// All presets: those of the configuration, and the embedded ones whose names it does not use.
#[derive(Debug, Clone, Default)]
pub struct Presets(BTreeMap<String, Mapping>);

impl PartialEq for Presets {
    fn eq(&self, other: &Self) -> bool {
        let sources =
            |presets: &Self| -> Vec<String> { presets.0.values().map(|own| own.source().to_owned()).collect() };
        self.0.keys().eq(other.0.keys()) && sources(self) == sources(other)
    }
}

impl Eq for Presets {}

impl Presets {
    /// Reads and tests the presets of a configuration, whose whole text is `configuration`. `source` returns the TOML text of one
    /// preset. The error comes with the name of its preset.
    pub fn read(configuration: &str, source: impl Fn(&str) -> String) -> Result<Self, (String, TomlError)> {
        let unnamed = |error: TomlError| (String::new(), error);
        let table = toml_reader::parse(configuration).map_err(unnamed)?;
        let sections = Reader::new(configuration, table.get_ref()).entries("");
        let mut presets = BTreeMap::new();
        for section in sections.iter().filter(|section| section.path == SECTION) {
            for entry in section.table().map_err(unnamed)?.entries("") {
                let name = entry.path.clone();
                let compile = || {
                    if !is_name(&name) {
                        return Err(entry.error("is not a name of a preset: use a to z, 0 to 9, - and _"));
                    }
                    let mut mapping = Mapping::read(&name, entry.table()?)?;
                    mapping.source = source(&name);
                    mapping.check()?;
                    Ok(mapping)
                };
                let mapping = compile().map_err(|error| (name.clone(), error))?;
                presets.insert(name, mapping);
            }
        }
        Ok(Self(presets))
    }

    /// The preset with this name. An embedded preset is compiled each time: keep the result.
    pub fn get(&self, name: &str) -> Option<Mapping> {
        self.0.get(name).cloned().or_else(|| Mapping::named(name))
    }

    /// The names of all presets, in alphabetical order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.0.keys().map(String::as_str).chain(EMBEDDED.iter().map(|(name, _)| *name)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All presets, compiled, in the order of their names.
    pub fn all(&self) -> Vec<Mapping> {
        self.names().into_iter().filter_map(|name| self.get(name)).collect()
    }

    /// The presets of the configuration.
    pub fn own(&self) -> impl Iterator<Item = &Mapping> {
        self.0.values()
    }
}

/// The presets of a server, each compiled at its first use.
#[derive(Debug, Default)]
pub struct CompiledPresets {
    presets: Presets,
    compiled: Mutex<BTreeMap<String, Arc<Mapping>>>,
}

impl CompiledPresets {
    /// None of these presets is compiled yet.
    pub fn new(presets: Presets) -> Self {
        Self { presets, compiled: Mutex::default() }
    }

    /// The preset with this name. The error names the presets.
    pub fn get(&self, name: &str) -> Result<Arc<Mapping>, String> {
        let mut compiled = self.compiled.lock();
        if let Some(mapping) = compiled.get(name) {
            return Ok(Arc::clone(mapping));
        }
        let mapping = self.presets.get(name).map(Arc::new);
        let mapping =
            mapping.ok_or_else(|| format!("is not a preset; the presets are {}", self.presets.names().join(", ")))?;
        compiled.insert(name.to_owned(), Arc::clone(&mapping));
        Ok(mapping)
    }
}

impl Mapping {
    /// The index of the preset that a document looks most like; `None` if it looks like none. Records of one format may lack what
    /// tells them apart from others, so this is for suggestions and for `auto` only.
    pub fn most_like(all: &[Self], document: &str) -> Option<usize> {
        let like = all.iter().enumerate().filter(|(_, mapping)| mapping.recognizes(document));
        like.max_by_key(|(_, mapping)| mapping.when.len()).map(|(place, _)| place)
    }
}

fn is_name(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_char)
}
