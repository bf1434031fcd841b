//! Labels for values: from the operator's catalog of resource types, and readable words for everything else.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    http::Context,
    model::{field::Field, filter::OWN_RESOURCE_TYPE, fold::fold, verbs::words},
    ui::wording,
};

/// Labels for values.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    /// Label and description by folded resource type.
    resource_types: HashMap<String, (String, String)>,
}

impl Labels {
    /// Labels from a catalog of (value, label, description).
    pub(super) fn new<'a>(catalog: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let resource_types = catalog
            .into_iter()
            .map(|(value, label, description)| (fold(value).into_owned(), (label.to_owned(), description.to_owned())));
        Self { resource_types: resource_types.collect() }
    }

    /// Labels from the operator's catalog.
    pub(super) fn of_context(context: &Context) -> Self {
        let entries = context.resource_types.entries().iter();
        Self::new(entries.map(|entry| (entry.value(), entry.label(), entry.description())))
    }

    /// An empty catalog.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::new([])
    }

    /// The label of a resource type. A type that is not in the catalog is made readable.
    pub(super) fn resource_type(&self, value: &str) -> String {
        match self.resource_types.get(fold(value).as_ref()) {
            Some((label, _)) => label.clone(),
            None if value == OWN_RESOURCE_TYPE => "API request".to_owned(),
            None => wording::readable(value),
        }
    }

    /// The label of a resource type within a sentence: in lower case, unless it is a name such as `AWS::S3::Bucket`.
    pub(super) fn resource_type_in_text(&self, value: &str) -> String {
        let is_unknown = !self.resource_types.contains_key(fold(value).as_ref()) && value != OWN_RESOURCE_TYPE;
        if !is_unknown {
            return self.resource_type(value).to_lowercase();
        }
        let text = words(value).join(" ");
        if value.contains("::") || text.is_empty() { value.to_owned() } else { text }
    }

    /// The label of a field's value, if it differs from the value.
    pub(super) fn of<'v>(&self, field: Field, value: &'v str) -> Cow<'v, str> {
        match field {
            Field::ResourceType => Cow::Owned(self.resource_type(value)),
            Field::Status | Field::ActionType | Field::ActorType => Cow::Owned(wording::readable(value)),
            _ => Cow::Borrowed(value),
        }
    }

    /// A tooltip for a value: its description, and the value itself if the label differs.
    pub(super) fn hint(&self, field: Field, value: &str) -> String {
        let known = self.resource_types.get(fold(value).as_ref()).filter(|_| field == Field::ResourceType);
        match known {
            Some((_, description)) if !description.is_empty() => format!("{value}: {description}"),
            _ => value.to_owned(),
        }
    }
}
