//! The one table of filterable fields.
//!
//! [`FIELDS`] drives query parsing, extraction from events, the command line's flags and the OpenAPI document. To add a
//! filter, add a row (and a name to [`Field`]). The operator adds further fields in the configuration (`custom`); they have
//! rows of the same form, and [`fields`] lists them after the others.

mod custom;
mod object;

use std::{ops::RangeInclusive, sync::LazyLock};

pub use custom::{CustomMatching, Declaration, FieldDefinition, Slot, declare, declared, extract, value_in};
pub use object::Object;

/// A filterable field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The event's identifier.
    Identifier,
    /// `context.entity`
    Entity,
    /// `context.blueprint`
    Blueprint,
    /// `context.runId`
    Run,
    /// `context.webhookId`
    Webhook,
    /// `context.webhookEventId`
    WebhookEvent,
    /// `trigger.origin`
    Origin,
    /// `context.integrationId`
    Installation,
    /// `resourceType`
    ResourceType,
    /// `action`
    Action,
    /// `status`
    Status,
    /// `context.actionType`
    ActionType,
    /// The actor's identity: `trigger.by.userId`, otherwise `.email`, otherwise `.name`
    Actor,
    /// `trigger.by.type`
    ActorType,
    /// `request.method`
    Method,
    /// `request.path`
    Path,
    /// `request.statusCode`
    StatusCode,
    /// `request.ip`
    Ip,
    /// A word of `message`, in lower case
    Word,
    /// Those of `trigger.by.email` and `.name` that are not the actor's identity
    ActorName,
    /// A field that the operator has declared
    Custom(Slot),
}

/// How a parameter's text is compared with an event's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matching {
    /// Equal, byte for byte.
    Exact,
    /// Equal without regard to case and to the encoding of accents.
    IgnoreCase,
    /// Equal, byte for byte. Text other than these values is rejected.
    OneOf(&'static [&'static str]),
    /// The value begins with the parameter's text.
    Prefix,
    /// A status code (`403`) or a class (`4xx`).
    StatusCode,
    /// An address or a CIDR range, which matches a value that contains such an address. Other text is compared literally.
    Network,
    /// A number (`403`) or a range (`>=400`, `400..499`), compared by value.
    Number,
}

/// Where the index keeps the values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermStorage {
    /// In the term dictionary, once for the whole log. For fields with values that many events share. Such values can be counted.
    LogWide,
    /// In each chunk. For fields with values that one or a few events have.
    PerChunk,
}

/// A row of the field table.
#[derive(Debug)]
pub struct FieldSpec {
    /// The field.
    pub field: Field,
    /// Query parameters that filter on the field. The first is the canonical one, which the command line uses too. A
    /// field without parameters is found only by `q`.
    pub parameters: &'static [&'static str],
    /// A label for people.
    pub label: &'static str,
    /// What the parameter matches, for the API documentation.
    pub summary: &'static str,
    /// Where an event holds the field. An event with several of these values matches by any of them.
    pub sources: &'static [(Object, &'static str)],
    /// The field for all values of an event except the one from the first source that it has. A filter finds them too,
    /// but only that first value is counted: each event then counts for one value.
    pub further: Option<Field>,
    /// How values are compared.
    pub matching: Matching,
    /// Whether a parameter that is given once may hold several values separated by commas.
    pub comma_list: bool,
    /// Maximum number of bytes of a value in the index, which has longer ones in a shortened form, and of an identifier in an
    /// event.
    pub bytes_max: usize,
    /// Where the index keeps the values.
    pub sharing: TermStorage,
    /// Whether `q` searches the field.
    pub searched: bool,
}

/// Every filterable field.
pub const FIELDS: &[FieldSpec] = &[
    row(Field::Identifier, &["identifier"], "Identifier", "The event's identifier", &[(Object::Event, "identifier")])
        .bytes_max(256)
        .per_chunk()
        .searched(),
    row(Field::Entity, &["entity"], "Entity", "The entity acted on", &[(Object::Context, "entity")]).searched(),
    row(Field::Blueprint, &["blueprint"], "Blueprint", "The entity's blueprint", &[(Object::Context, "blueprint")])
        .searched(),
    row(Field::Run, &["run_id"], "Run", "The run that made the change", &[(Object::Context, "runId")])
        .per_chunk()
        .searched(),
    row(Field::Webhook, &["webhookId"], "Webhook", "The webhook", &[(Object::Context, "webhookId")]).searched(),
    row(
        Field::WebhookEvent,
        &["webhookEventId"],
        "Webhook event",
        "One delivery to a webhook",
        &[(Object::Context, "webhookEventId")],
    )
    .per_chunk()
    .searched(),
    row(
        Field::Origin,
        &["origin"],
        "Origin",
        "Where the event came from, in any case",
        &[(Object::Trigger, "origin")],
    )
    .bytes_max(256)
    .matching(Matching::IgnoreCase)
    .comma_list(),
    row(
        Field::Installation,
        &["InstallationId"],
        "Installation",
        "The integration's installation",
        &[(Object::Context, "integrationId")],
    )
    .searched(),
    row(
        Field::ResourceType,
        &["resources", "resource_type"],
        "Resource type",
        "The kind of thing acted on, in any case",
        &[(Object::Event, "resourceType")],
    )
    .bytes_max(128)
    .matching(Matching::IgnoreCase)
    .comma_list()
    .searched(),
    row(Field::Action, &["action"], "Action", "What was done, in any case", &[(Object::Event, "action")])
        .bytes_max(128)
        .matching(Matching::IgnoreCase)
        .searched(),
    row(Field::Status, &["status"], "Status", "How it ended", &[(Object::Event, "status")])
        .matching(Matching::OneOf(&["SUCCESS", "FAILURE"])),
    row(
        Field::ActionType,
        &["actionType"],
        "Action type",
        "The kind of action that ran",
        &[(Object::Context, "actionType")],
    )
    .matching(Matching::OneOf(&["automation", "self-service"])),
    row(
        Field::Actor,
        &["actor"],
        "Actor",
        "Who did it: their user id, e-mail address or name, in any case",
        &[(Object::By, "userId"), (Object::By, "email"), (Object::By, "name")],
    )
    .matching(Matching::IgnoreCase)
    .further(Field::ActorName)
    .searched(),
    row(
        Field::ActorType,
        &["actor_type"],
        "Actor type",
        "The kind of actor: user, service_account, token, system",
        &[(Object::By, "type")],
    )
    .bytes_max(128)
    .comma_list(),
    row(
        Field::Method,
        &["method", "methods"],
        "Method",
        "The request's HTTP method, in any case",
        &[(Object::Request, "method")],
    )
    .bytes_max(128)
    .matching(Matching::IgnoreCase)
    .comma_list(),
    row(Field::Path, &["path"], "Path", "How the request's path begins", &[(Object::Request, "path")])
        .bytes_max(8_192)
        .matching(Matching::Prefix)
        .searched(),
    row(
        Field::StatusCode,
        &["status_code", "statusCodes"],
        "Status code",
        "The request's HTTP status code, or a class such as 4xx",
        &[(Object::Request, "statusCode")],
    )
    .matching(Matching::StatusCode)
    .comma_list(),
    row(
        Field::Ip,
        &["ip"],
        "Address",
        "An IP address in the request's address, which may have a port or be a list; or a CIDR range such as 10.0.0.0/8",
        &[(Object::Request, "ip")],
    )
    .matching(Matching::Network)
    .comma_list()
    .searched(),
    row(Field::Word, &[], "Word", "A word of the message", &[]).searched(),
    row(Field::ActorName, &[], "Actor's other name", "Another name of the actor", &[])
        .matching(Matching::IgnoreCase)
        .searched(),
];

/// The keys of each object with the rows that they are sources of. Every key of every event is looked up.
static SOURCES: LazyLock<[Vec<(&str, &FieldSpec)>; OBJECTS]> = LazyLock::new(|| {
    let mut sources = [const { Vec::new() }; OBJECTS];
    for spec in FIELDS {
        for (object, key) in spec.sources {
            sources[*object as usize].push((*key, spec));
        }
    }
    sources
});
/// The number of objects that the server reads.
const OBJECTS: usize = Object::Diff as usize + 1;

/// Default maximum number of bytes of a value. Names and identifiers are shorter.
const VALUE_BYTES_MAX: usize = 1_024;

const fn row(
    field: Field,
    parameters: &'static [&'static str],
    label: &'static str,
    summary: &'static str,
    sources: &'static [(Object, &'static str)],
) -> FieldSpec {
    FieldSpec {
        field,
        parameters,
        label,
        summary,
        sources,
        further: None,
        matching: Matching::Exact,
        comma_list: false,
        bytes_max: VALUE_BYTES_MAX,
        sharing: TermStorage::LogWide,
        searched: false,
    }
}

impl FieldSpec {
    const fn matching(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self
    }

    const fn further(mut self, further: Field) -> Self {
        self.further = Some(further);
        self
    }

    const fn comma_list(mut self) -> Self {
        self.comma_list = true;
        self
    }

    const fn bytes_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    const fn per_chunk(mut self) -> Self {
        self.sharing = TermStorage::PerChunk;
        self
    }

    const fn searched(mut self) -> Self {
        self.searched = true;
        self
    }

    /// The fields that a filter on this one compares with.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        std::iter::once(self.field).chain(self.further)
    }

    /// The field's name in the API: its canonical parameter. A field without one cannot be queried.
    pub fn name(&self) -> Option<&'static str> {
        self.parameters.first().copied()
    }

    /// Whether the values can be counted: they are shared, and a parameter can select them.
    pub fn is_countable(&self) -> bool {
        self.sharing == TermStorage::LogWide && self.name().is_some()
    }
}

/// The rows of all fields: those of the table, then those that the operator has declared.
pub fn fields() -> impl Iterator<Item = &'static FieldSpec> {
    FIELDS.iter().chain(declared())
}

/// The codes of declared fields in the file.
pub const CUSTOM_CODES: RangeInclusive<u8> = 64..=127;

impl Field {
    /// The field's code in the file. The code of a field of the table is never reused.
    pub const fn code(self) -> u8 {
        match self {
            Self::Identifier => 1,
            Self::Entity => 2,
            Self::Blueprint => 3,
            Self::Run => 4,
            Self::Webhook => 5,
            Self::WebhookEvent => 6,
            Self::Origin => 7,
            Self::Installation => 8,
            Self::ResourceType => 9,
            Self::Action => 10,
            Self::Status => 11,
            Self::ActionType => 12,
            Self::Actor => 13,
            Self::ActorType => 14,
            Self::Method => 15,
            Self::Path => 16,
            Self::StatusCode => 17,
            Self::Ip => 18,
            Self::Word => 19,
            Self::ActorName => 20,
            Self::Custom(slot) => slot.code(),
        }
    }

    /// The field with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        if CUSTOM_CODES.contains(&code) {
            return custom::of_code(code).map(|spec| spec.field);
        }
        // Codes count from 1 in the order of the table; a test checks this.
        let row = usize::from(code).checked_sub(1)?;
        FIELDS.get(row).map(|spec| spec.field)
    }

    /// The field's row.
    pub fn spec(self) -> &'static FieldSpec {
        match self {
            Self::Custom(slot) => slot.spec(),
            own => &FIELDS[usize::from(own.code()) - 1],
        }
    }

    /// The slot of a field that the operator has declared.
    pub const fn slot(self) -> Option<Slot> {
        match self {
            Self::Custom(slot) => Some(slot),
            _ => None,
        }
    }

    /// The row of a member of an event, if there is one.
    pub fn at(object: Object, key: &str) -> Option<&'static FieldSpec> {
        SOURCES[object as usize].iter().find(|(name, _)| *name == key).map(|(_, spec)| *spec)
    }

    /// The index of a member of an event among the sources of its row; 0 if it has no row.
    pub fn rank(object: Object, key: &str) -> usize {
        let sources = Self::at(object, key).map_or(&[][..], |spec| spec.sources);
        sources.iter().position(|&(at, name)| at == object && name == key).unwrap_or(0)
    }

    /// The row of a query parameter, if there is one.
    pub fn of_parameter(parameter: &str) -> Option<&'static FieldSpec> {
        fields().find(|spec| spec.parameters.contains(&parameter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_row_is_its_code() {
        for (index, spec) in FIELDS.iter().enumerate() {
            assert_eq!(usize::from(spec.field.code()), index + 1, "{}", spec.label);
            assert_eq!(Field::from_code(spec.field.code()), Some(spec.field));
        }
        assert_eq!(Field::from_code(0), None);
        assert_eq!(Field::from_code(255), None);
    }

    #[test]
    fn further_values_are_only_found_through_their_field() {
        for (spec, further) in FIELDS.iter().filter_map(|spec| Some((spec, spec.further?.spec()))) {
            assert!(further.parameters.is_empty() && further.sources.is_empty(), "{}", spec.label);
            assert_eq!((further.sharing, further.searched), (spec.sharing, spec.searched), "{}", spec.label);
            // A predicate is parsed for the field, and compared with both.
            assert_eq!((further.matching, further.bytes_max), (spec.matching, spec.bytes_max), "{}", spec.label);
        }
    }

    #[test]
    fn no_two_rows_share_a_parameter_or_a_source() {
        let mut parameters: Vec<_> = FIELDS.iter().flat_map(|spec| spec.parameters).collect();
        let count = parameters.len();
        parameters.sort_unstable();
        parameters.dedup();
        assert_eq!(parameters.len(), count);
        for spec in FIELDS {
            for &(object, key) in spec.sources {
                assert_eq!(Field::at(object, key).map(|found| found.field), Some(spec.field), "{key}");
            }
        }
    }
}
