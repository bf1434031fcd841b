//! `[[fields]]`: the fields that the operator declares, read and checked.
//!
//! What belongs here: the form of the section and the rules for names. The fields of the running process are in
//! `field::custom`; which events have them is decided by the file.

use std::collections::HashSet;

use crate::model::{
    field::{CustomMatching, FIELDS, FieldDefinition, Slot},
    json_pointer::Pointer,
    list_params,
    query::CONTROLS,
    search_language,
    stats::STATS_CONTROLS,
    toml_reader::{self, Entry, Reader, TomlError},
};

/// The section of the configuration that declares fields.
pub const SECTION: &str = "fields";
/// The keys of a field.
const KEYS: [&str; 5] = ["name", "label", "pointers", "matching", "search"];
/// Maximum number of bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Maximum number of characters of a label.
const LABEL_CHARS_MAX: usize = 64;
/// Maximum number of pointers of a field.
const POINTERS_MAX: usize = 16;

/// Reads the fields of a configuration, whose whole text is `configuration`. An error names its line.
pub fn read(configuration: &str) -> Result<Vec<FieldDefinition>, TomlError> {
    let table = toml_reader::parse(configuration)?;
    let sections = Reader::new(configuration, table.get_ref()).entries("");
    let Some(section) = sections.iter().find(|section| section.path == SECTION) else { return Ok(Vec::new()) };
    let not_a_list = || section.error("must be a list of entries, each under its own [[ ]]");
    let entries = section.as_array().ok_or_else(not_a_list)?;
    if entries.len() > usize::from(Slot::COUNT) {
        return Err(section.error(format_args!("has {} entries, and {} is the maximum", entries.len(), Slot::COUNT)));
    }
    let (mut fields, mut names) = (Vec::new(), HashSet::new());
    let taken: HashSet<_> = taken().collect();
    for entry in entries {
        let keys = entry.as_table().ok_or_else(not_a_list)?.entries("");
        let field = read_field(&entry, &keys)?;
        let line = keys.iter().find(|key| key.key() == "name").unwrap_or(&entry);
        let plain = search_language::plain(&field.name);
        if taken.contains(&plain) {
            return Err(line.error(format_args!("{:?} is taken: another parameter has this name", field.name)));
        }
        if !names.insert(plain) {
            return Err(line.error(format_args!("{:?} is the name of another of these fields", field.name)));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn read_field(entry: &Entry<'_>, keys: &[Entry<'_>]) -> Result<FieldDefinition, TomlError> {
    if let Some(unknown) = keys.iter().find(|key| !KEYS.contains(&key.key())) {
        return Err(unknown.error(format_args!("is not a key; the keys are {}", KEYS.join(", "))));
    }
    let find = |name: &str| keys.iter().find(|key| key.key() == name);
    let name_key = find("name").ok_or_else(|| entry.error("must each have a name"))?;
    let name = name_key.string()?;
    if !is_name(name) {
        return Err(name_key.error(format_args!(
            "must be letters and digits that begin with a small letter, such as tenant, ticketId or cost-center, not {name:?}"
        )));
    }
    let label = match find("label") {
        None => name,
        Some(key) => {
            let label = key.string()?;
            let is_line = label.chars().count() <= LABEL_CHARS_MAX && !label.chars().any(char::is_control);
            if label.trim().is_empty() || !is_line {
                return Err(key.error(format_args!("must be 1 to {LABEL_CHARS_MAX} characters on one line")));
            }
            label
        }
    };
    let matching = find("matching").map(read_matching).transpose()?.unwrap_or_default();
    let search = match find("search") {
        None => false,
        Some(key) => key.as_bool().ok_or_else(|| key.error("must be true or false"))?,
    };
    let pointers =
        read_pointers(find("pointers").ok_or_else(|| name_key.error(format_args!("{name:?} has no pointers")))?)?;
    Ok(FieldDefinition { name: name.to_owned(), label: label.to_owned(), pointers, matching, search })
}

fn read_matching(key: &Entry<'_>) -> Result<CustomMatching, TomlError> {
    let text = key.string()?;
    let found = CustomMatching::ALL.into_iter().find(|matching| matching.name() == text);
    found.ok_or_else(|| {
        key.error(format_args!(
            "must be one of {}, not {text:?}",
            CustomMatching::ALL.map(CustomMatching::name).join(", ")
        ))
    })
}

fn read_pointers(key: &Entry<'_>) -> Result<Vec<String>, TomlError> {
    let expected = || key.error("must be a list of pointers such as [\"/context/tenant\"]");
    let texts: Option<Vec<_>> = key.as_array().ok_or_else(expected)?.iter().map(Entry::as_string).collect();
    let texts = texts.ok_or_else(expected)?;
    if texts.is_empty() || texts.len() > POINTERS_MAX {
        return Err(key.error(format_args!("must have 1 to {POINTERS_MAX} pointers")));
    }
    for text in &texts {
        Pointer::parse(text).map_err(|message| key.error(format_args!("has {text:?}, which {message}")))?;
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
}

/// Whether a text is a name: lower camel case or kebab case.
fn is_name(text: &str) -> bool {
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.bytes().all(is_char)
}

/// Every name that a parameter or a field of the search language has, in plain form.
fn taken() -> impl Iterator<Item = String> {
    let fields = FIELDS.iter().flat_map(|spec| spec.parameters).copied();
    let controls = CONTROLS.iter().chain(STATS_CONTROLS).map(|control| control.name);
    let others = list_params::names_of_pages().chain(["format", "partial", "fields", "field", "not"]);
    let parameters = fields.chain(controls).chain(others).map(search_language::plain);
    parameters.chain(search_language::aliases().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mapping::EMBEDDED;

    #[test]
    fn a_field_has_a_name_and_pointers() {
        let text = "[[fields]]\nname = \"tenant\"\npointers = [\"/a\", \"/b/[k=v]\"]\n\n[[fields]]\nname = \"cost-center\"\n\
                    label = \"Cost center\"\npointers = [\"/c\"]\nmatching = \"number\"\nsearch = true\n";
        let fields = read(text).unwrap();
        assert_eq!(
            (fields[0].label.as_str(), fields[0].matching, fields[0].search),
            ("tenant", CustomMatching::Exact, false)
        );
        assert_eq!(fields[0].pointers, ["/a", "/b/[k=v]"]);
        assert_eq!(
            (fields[1].label.as_str(), fields[1].matching, fields[1].search),
            ("Cost center", CustomMatching::Number, true)
        );
        assert_eq!(read("[server]\nworkers = 1\n"), Ok(Vec::new()));
    }

    /// The fields that a preset suggests in comments, as the configuration would have them.
    fn suggested(preset: &str) -> String {
        let lines = preset.lines().skip_while(|line| *line != "# [[fields]]").take_while(|line| line.starts_with('#'));
        lines.map(|line| line.trim_start_matches('#').trim_start().to_owned() + "\n").collect()
    }

    #[test]
    fn the_fields_that_presets_suggest_are_valid_and_have_values_in_their_records() {
        let mut names = HashSet::new();
        for (name, preset) in EMBEDDED {
            let fields = read(&suggested(preset)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let table: toml::Table = preset.parse().unwrap();
            let records = table["tests"].as_array().unwrap().iter().map(|test| test["record"].as_str().unwrap());
            let records: String = records.collect();
            for field in fields {
                let last = |pointer: &String| format!("\"{}\":", pointer.rsplit('/').next().unwrap());
                let has_value = field.pointers.iter().any(|pointer| records.contains(&last(pointer)));
                assert!(has_value, "{name}: {}", field.name);
                assert!(field.pointers.iter().all(|pointer| pointer.starts_with("/additionalData/")), "{name}");
                names.insert(field.name);
            }
        }
        assert_eq!(names, HashSet::from(["namespace", "account", "region"].map(str::to_owned)));
    }

    #[test]
    fn errors_name_the_line_and_the_way_out() {
        let field = |rest: &str| format!("\n[[fields]]\nname = \"tenant\"\npointers = [\"/a\"]\n{rest}");
        for (text, line, part) in [
            ("fields = 1".to_owned(), 1, "must be a list"),
            (field("colour = 1"), 5, "is not a key; the keys are name, label"),
            (field("matching = \"regex\""), 5, "must be one of exact, ignore-case, prefix, number, network"),
            (field("search = 1"), 5, "must be true or false"),
            (field("label = \"\""), 5, "1 to 64 characters"),
            (field("").replace("\"/a\"", "\"a\""), 4, "must begin with /"),
            (field("").replace("[\"/a\"]", "[]"), 4, "1 to 16 pointers"),
            (field("").replace("[\"/a\"]", "\"/a\""), 4, "must be a list of pointers"),
            (field("").replace("pointers = [\"/a\"]", ""), 3, "has no pointers"),
            (field("").replace("tenant", "Tenant"), 3, "begin with a small letter"),
            (field("").replace("tenant", "actor"), 3, "is taken"),
            (field("").replace("tenant", "runId"), 3, "is taken"),
            (field("").replace("tenant", "user"), 3, "is taken"),
            (field("").replace("tenant", "cursor"), 3, "is taken"),
            (field(&field("").replace("tenant", "ten-ant")), 7, "another of these fields"),
            ("[[fields]]\npointers = [\"/a\"]".to_owned(), 1, "must each have a name"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.message.contains(part), "{text}: {error}");
            assert_eq!(error.line, line, "{text}: {error}");
        }
        let many: String = (0..65).map(|number| field("").replace("tenant", &format!("f{number}"))).collect();
        assert!(read(&many).unwrap_err().message.contains("64 is the maximum"));
    }
}
