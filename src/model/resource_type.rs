//! The catalog of resource types, with the labels that people read. An event may have any type. A type that is not in the
//! catalog is shown literally.

use std::collections::HashSet;

use crate::model::fold::fold;

/// Maximum number of entries. Each appears in a list that people read.
const ENTRIES_MAX: usize = 1_000;
/// Maximum length of a value in bytes: the event's own limit.
const VALUE_BYTES_MAX: usize = 128;
/// Maximum length of a label in characters.
const LABEL_CHARS_MAX: usize = 128;
/// Maximum length of a description in characters.
const DESCRIPTION_CHARS_MAX: usize = 500;

/// Value, label and description of the resource types of Porter and Port.
pub const KNOWN: &[(&str, &str, &str)] = &[
    ("application", "Application", "Application deployments and their configuration"),
    ("datastore", "Datastore", "Managed databases and caches"),
    ("addon", "Addon", "Addons"),
    ("environment_group", "Environment group", "Environment groups"),
    ("cluster", "Cluster", "Clusters"),
    ("project", "Project", "Project settings, members and integrations"),
    ("blueprint", "Blueprint", "The schema of a kind of entity"),
    ("entity", "Entity", "An entry of the catalog"),
    ("run", "Run", "One run of an action"),
    ("webhook", "Webhook", "A webhook that receives data"),
    ("scorecard", "Scorecard", "Rules that rate entities"),
    ("action", "Action", "A self-service action or an automation"),
    ("blueprint_permission", "Blueprint permission", "Who may do what with a blueprint's entities"),
    ("action_permission", "Action permission", "Who may run and approve an action"),
    ("integration", "Integration", "An installation that imports data"),
    ("secret", "Secret", "A secret's existence and name, never its value"),
];

/// An entry of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceType {
    value: String,
    label: String,
    description: String,
}

impl ResourceType {
    /// Parses an entry. The error names the invalid part.
    pub fn parse(value: &str, label: &str, description: &str) -> Result<Self, (&'static str, String)> {
        if value.is_empty() || value.len() > VALUE_BYTES_MAX || value.contains('\0') {
            return Err(("value", format!("must be 1 to {VALUE_BYTES_MAX} bytes, not `{value}`")));
        }
        let is_line = |text: &str, max: usize| text.chars().count() <= max && !text.chars().any(char::is_control);
        if label.trim().is_empty() || !is_line(label, LABEL_CHARS_MAX) {
            return Err(("label", format!("of `{value}` must be 1 to {LABEL_CHARS_MAX} characters on one line")));
        }
        if !is_line(description, DESCRIPTION_CHARS_MAX) {
            let message = format!("of `{value}` must be at most {DESCRIPTION_CHARS_MAX} characters on one line");
            return Err(("description", message));
        }
        Ok(Self { value: value.to_owned(), label: label.to_owned(), description: description.to_owned() })
    }

    /// The value in events, compared without regard to case.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The label that people read.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// A description; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }
}

/// The entries of a catalog, in display order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog(Vec<ResourceType>);

impl Catalog {
    /// A catalog of these entries. The error names the invalid part.
    pub fn parse<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Result<Self, (&'static str, String)> {
        let (mut catalog, mut seen) = (Vec::new(), HashSet::new());
        for (value, label, description) in entries {
            if !seen.insert(fold(value).into_owned()) {
                return Err(("value", format!("`{value}` is listed twice")));
            }
            if catalog.len() == ENTRIES_MAX {
                return Err(("value", format!("`{value}` exceeds the maximum of {ENTRIES_MAX} entries")));
            }
            catalog.push(ResourceType::parse(value, label, description)?);
        }
        Ok(Self(catalog))
    }

    /// The entries, in order.
    pub fn entries(&self) -> &[ResourceType] {
        &self.0
    }
}

impl Default for Catalog {
    fn default() -> Self {
        let entry = |&(value, label, description): &(&str, &str, &str)| ResourceType {
            value: value.to_owned(),
            label: label.to_owned(),
            description: description.to_owned(),
        };
        Self(KNOWN.iter().map(entry).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_types_are_a_valid_catalog() {
        assert_eq!(Catalog::parse(KNOWN.iter().copied()), Ok(Catalog::default()));
    }

    #[test]
    fn the_error_of_an_invalid_entry_names_the_part() {
        let long = "x".repeat(501);
        for ((value, label, description), part) in [
            (("", "a", ""), "value"),
            ((&*long, "a", ""), "value"),
            (("a", " ", ""), "label"),
            (("a", "a\nb", ""), "label"),
            (("a", "a", &*long), "description"),
        ] {
            assert_eq!(ResourceType::parse(value, label, description).unwrap_err().0, part);
        }
        assert!(Catalog::parse([("a", "A", ""), ("A", "B", "")]).unwrap_err().1.contains("twice"));
    }
}
