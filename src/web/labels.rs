//! What codes are called: the operator's catalogue of resource types, and readable words for everything else.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    http::Context,
    model::{field::Field, filter::OWN_RESOURCE_TYPE, fold::fold},
    web::wording,
};

/// Names for values.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    /// By the type, folded: its label and its description.
    resource_types: HashMap<String, (String, String)>,
}

impl Labels {
    /// Names from a catalogue: value, label, description.
    pub(super) fn new<'a>(catalogue: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>) -> Self {
        let resource_types = catalogue
            .into_iter()
            .map(|(value, label, description)| (fold(value).into_owned(), (label.to_owned(), description.to_owned())));
        Self { resource_types: resource_types.collect() }
    }

    /// Names as the server's operator has them.
    pub(super) fn of_context(context: &Context) -> Self {
        let entries = context.resource_types.entries().iter();
        Self::new(entries.map(|entry| (entry.value(), entry.label(), entry.description())))
    }

    /// No catalogue.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self::new([])
    }

    /// What a resource type is called; one that the catalogue does not have is made readable.
    pub(super) fn resource_type(&self, value: &str) -> String {
        match self.resource_types.get(fold(value).as_ref()) {
            Some((label, _)) => label.clone(),
            None if value == OWN_RESOURCE_TYPE => "Request to auditbox".to_owned(),
            None => wording::readable(value),
        }
    }

    /// What a value of a field is called, where that is not the value itself.
    pub(super) fn of<'v>(&self, field: Field, value: &'v str) -> Cow<'v, str> {
        match field {
            Field::ResourceType => Cow::Owned(self.resource_type(value)),
            Field::Status | Field::ActionType | Field::ActorType => Cow::Owned(wording::readable(value)),
            _ => Cow::Borrowed(value),
        }
    }

    /// More about a value, for those who hover over it: what it is, and the value itself where it is shown otherwise.
    pub(super) fn hint(&self, field: Field, value: &str) -> String {
        let known = self.resource_types.get(fold(value).as_ref()).filter(|_| field == Field::ResourceType);
        match known {
            Some((_, description)) if !description.is_empty() => format!("{value}: {description}"),
            _ => value.to_owned(),
        }
    }
}
