//! The language of presets: from TOML to a [`Mapping`].

use crate::model::{
    json_pointer::Pointer,
    json_walk::Node,
    mapping::{
        Mapping,
        documents::Input,
        glob::GlobMap,
        rule::{Alternative, Inner, Piece, Rule, Source, Split, Take},
        target::{self, Kind, TARGETS},
        testing::Test,
    },
    toml_reader::{self, Entry, Reader, TomlError},
    zone::Zone,
};

/// The keys of a preset that are not keys of the event.
const OWN_KEYS: &str = "title, version, input, records, when, zone, tests";
/// The keys of a value that is a table, in the order in which they apply.
const VALUE_KEYS: &str = "from, json, split, take, verb, map, else";

impl Mapping {
    /// Compiles the preset `name` from its TOML text.
    pub fn parse(name: &str, source: &str) -> Result<Self, TomlError> {
        let table = toml_reader::parse(source)?;
        let mut mapping = Self::read(name, Reader::new(source, table.get_ref()))?;
        source.clone_into(&mut mapping.source);
        Ok(mapping)
    }

    /// Compiles the preset `name` from its table, without its text.
    pub(super) fn read(name: &str, table: Reader<'_>) -> Result<Self, TomlError> {
        let mut mapping = Self {
            name: name.to_owned(),
            version: 1,
            title: String::new(),
            source: String::new(),
            input: Input::Json,
            envelope: Node::default(),
            envelopes: 0,
            when: Vec::new(),
            zone: Zone::utc(),
            tree: Node::default(),
            slots: 0,
            rules: Vec::new(),
            tests: Vec::new(),
        };
        for entry in table.entries("") {
            match entry.path.as_str() {
                "title" => entry.string()?.clone_into(&mut mapping.title),
                "version" => {
                    let version = entry.as_integer().and_then(|number| number.try_into().ok());
                    mapping.version = version.ok_or_else(|| entry.error("must be a whole number"))?;
                }
                "input" => mapping.input = Input::named(entry.string()?).map_err(|problem| entry.error(problem))?,
                "zone" => mapping.zone = Zone::parse(entry.string()?).map_err(|problem| entry.error(problem))?,
                "records" => {
                    let items = entry.as_array().unwrap_or_else(|| vec![entry.clone()]);
                    for item in items {
                        let slot = mapping.envelope.slot(&pointer(&item)?, mapping.envelopes);
                        mapping.envelopes = mapping.envelopes.max(slot + 1);
                    }
                }
                "when" => {
                    for condition in entry.table()?.entries("") {
                        let named = Pointer::parse(&condition.path).map_err(|problem| condition.error(problem))?;
                        mapping.when.push((named, condition.string()?.to_owned()));
                    }
                }
                "tests" => {
                    let items = entry.as_array().ok_or_else(|| entry.error("must be a list of tables"))?;
                    mapping.tests = items.iter().map(Test::read).collect::<Result<_, _>>()?;
                }
                _ => mapping.event_key(&entry)?,
            }
        }
        mapping.rules.sort_by_key(|(target, _)| *target);
        Ok(mapping)
    }

    /// Reads a key of the event, or a table of such keys.
    fn event_key(&mut self, entry: &Entry<'_>) -> Result<(), TomlError> {
        let Some(target) = target::find(&entry.path) else {
            let Some(table) = entry.as_table().filter(|_| !target::keys_below(&entry.path).is_empty()) else {
                return Err(unknown(entry));
            };
            return table.entries(&entry.path).iter().try_for_each(|entry| self.event_key(entry));
        };
        if self.rules.iter().any(|(known, _)| *known == target) {
            return Err(entry.error("is set twice"));
        }
        let items = entry.as_array().unwrap_or_else(|| vec![entry.clone()]);
        let rule = items.iter().map(|item| self.alternative(item, target)).collect::<Result<Vec<_>, _>>()?;
        if rule.is_empty() {
            return Err(entry.error("must not be an empty list"));
        }
        self.rules.push((target, Rule(rule)));
        Ok(())
    }

    fn alternative(&mut self, item: &Entry<'_>, target: usize) -> Result<Alternative, TomlError> {
        let Some(table) = item.as_table() else {
            let is_final = true;
            return Ok(Alternative {
                sources: vec![self.source_of(item, target, is_final)?],
                ..Alternative::default()
            });
        };
        let mut alternative = Alternative::default();
        let (mut separator, mut take) = (None, None);
        let entries = table.entries(&item.path);
        let is_final = !entries.iter().any(|entry| matches!(entry.key(), "split" | "verb" | "map"));
        for entry in &entries {
            match entry.key() {
                "from" => {
                    let items = entry.as_array().unwrap_or_else(|| vec![entry.clone()]);
                    let sources = items.iter().map(|item| self.source_of(item, target, is_final));
                    alternative.sources = sources.collect::<Result<_, _>>()?;
                }
                "json" => alternative.json = inner(entry)?,
                "split" => separator = Some(entry.string()?).filter(|text| !text.is_empty()),
                "take" => take = Some(parts(entry)?),
                "verb" => alternative.verb = is_true(entry)?,
                "map" => alternative.map = Some(map(entry, target)?),
                "else" => {
                    check(entry, target, entry.string()?)?;
                    alternative.otherwise = Some(entry.string()?.to_owned());
                }
                key => return Err(item.error(format_args!("has the unknown key {key}; the keys are {VALUE_KEYS}"))),
            }
        }
        alternative.split = match (separator, take) {
            (Some(separator), Some(take)) => Some(Split { separator: separator.to_owned(), take }),
            (None, None) => None,
            _ => return Err(item.error("needs both `split`, which is not empty, and `take`")),
        };
        if alternative.sources.is_empty() {
            return Err(item.error("needs `from`"));
        }
        Ok(alternative)
    }

    /// Reads a pointer, a constant or a template. `is_final` says that no step changes its text.
    fn source_of(&mut self, entry: &Entry<'_>, target: usize, is_final: bool) -> Result<Source, TomlError> {
        let text = entry.string()?;
        if let Some(constant) = text.strip_prefix('=') {
            if is_final {
                check(entry, target, constant)?;
            }
            return Ok(Source::Constant(constant.to_owned()));
        }
        if text.starts_with('/') {
            return Ok(Source::Slot(self.slot(entry, text)?));
        }
        if text.contains("{/") {
            return self.template(entry, text).map(Source::Template);
        }
        Err(entry.error(format_args!(
            "must be a pointer such as \"/user/name\", a constant such as \"={text}\" or a template such as \"{{/a}}-{{/b}}\""
        )))
    }

    fn template(&mut self, entry: &Entry<'_>, text: &str) -> Result<Vec<Piece>, TomlError> {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, from)) = rest.split_once('{') {
            let (pointer, after) = from.split_once('}').ok_or_else(|| entry.error("has a { without a } after it"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Slot(self.slot(entry, pointer)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(pieces)
    }

    fn slot(&mut self, entry: &Entry<'_>, text: &str) -> Result<usize, TomlError> {
        let pointer = Pointer::parse(text)
            .map_err(|problem| entry.error(format_args!("has an invalid pointer: {text} {problem}")))?;
        let slot = self.tree.slot(&pointer, self.slots);
        self.slots = self.slots.max(slot + 1);
        Ok(slot)
    }
}

/// The error for an unknown key. It names the keys that its table can have.
fn unknown(entry: &Entry<'_>) -> TomlError {
    let parent = entry.path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let keys = target::keys_below(parent).join(", ");
    let keys = if parent.is_empty() { format!("{OWN_KEYS}, and of the event {keys}") } else { keys };
    entry.error(format_args!("is not a key; the keys are {keys}"))
}

/// Rejects a constant that the event does not take.
fn check(entry: &Entry<'_>, target: usize, text: &str) -> Result<(), TomlError> {
    let is_known_when_mapped = TARGETS[target].kind == Kind::Json || text.is_empty();
    if is_known_when_mapped {
        return Ok(());
    }
    let problem = TARGETS[target].value(text.into(), &Zone::utc()).err();
    problem.map_or(Ok(()), |problem| Err(entry.error(format_args!("has the constant `{text}`, which {problem}"))))
}

fn pointer(entry: &Entry<'_>) -> Result<Pointer, TomlError> {
    let text = entry.string()?;
    Pointer::parse(text).map_err(|problem| entry.error(format_args!("has an invalid pointer: {text} {problem}")))
}

/// Reads `json`: `true`, or a pointer into the JSON that the string holds.
fn inner(entry: &Entry<'_>) -> Result<Option<Inner>, TomlError> {
    match entry.as_bool() {
        Some(true) => Ok(Some(Inner::new(None))),
        Some(false) => Ok(None),
        None if entry.as_string().is_some() => Ok(Some(Inner::new(Some(&pointer(entry)?)))),
        None => Err(entry.error("must be true, or a pointer into the JSON")),
    }
}

fn is_true(entry: &Entry<'_>) -> Result<bool, TomlError> {
    entry.as_bool().ok_or_else(|| entry.error("must be true or false"))
}

/// Reads `take`: a number, or a range such as `"1.."` or `"..-1"`.
fn parts(entry: &Entry<'_>) -> Result<Take, TomlError> {
    if let Some(number) = entry.as_integer() {
        return Ok(Take::One(number));
    }
    let end = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let range = entry.as_string().and_then(|text| text.split_once(".."));
    let range = range.and_then(|(first, last)| Some(Take::Range(end(first)?, end(last)?)));
    range.ok_or_else(|| entry.error("must be a number such as 0 or -1, or a range such as \"1..\" or \"..-1\""))
}

fn map(entry: &Entry<'_>, target: usize) -> Result<GlobMap, TomlError> {
    let entries = entry.table()?.entries("");
    let mut pairs = Vec::new();
    for pair in &entries {
        pairs.push((pair.path.as_str(), pair.string()?));
    }
    let map = GlobMap::new(pairs.into_iter()).map_err(|problem| entry.error(problem))?;
    map.texts().try_for_each(|text| check(entry, target, text))?;
    Ok(map)
}
