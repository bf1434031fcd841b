//! The schemas of events, made from the field table. Events are served as stored bytes, so no value of these types exists.

use utoipa::openapi::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, Type, schema::SchemaType,
};

use crate::{
    http::schema::schemas,
    model::{
        event::{MAPPING, MASKED, MASKED_CHANGED, ORDERED_BY},
        field::{Field, Object},
        limits::OBJECT_KEYS_MAX,
    },
};

/// Text that the server reads contains no NUL.
pub(super) const NO_NUL: &str = "^[^\\x00]+$";
const NO_NUL_OR_EMPTY: &str = "^[^\\x00]*$";
/// `SUCCESS` or `FAILURE` in any case, or empty.
const STATUS: &str = "^([Ss][Uu][Cc][Cc][Ee][Ss][Ss]|[Ff][Aa][Ii][Ll][Uu][Rr][Ee])?$";

schemas! {
    /// A new event, as a client sends it.
    NewEvent = event().schema_type(Type::Object).required("action").required("resourceType");
    /// An event, or the keys of it that `includes` names.
    EventPart = stored();
    /// A stored event, byte for byte.
    Event = AllOfBuilder::new().item(Ref::from_schema_name("EventPart")).item(
        ["identifier", "action", "resourceType", "status", "trigger", "receivedAt", "receivedBy"]
            .into_iter()
            .fold(ObjectBuilder::new(), ObjectBuilder::required),
    );
}

fn typed(kind: Type, description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind).description(Some(description))
}

/// The keys of an event that its sender may set and the server reads.
fn event() -> ObjectBuilder {
    let identifier = "Makes a retry a duplicate; the server assigns one if absent";
    // No `default`: generators of clients then require the key.
    let status =
        "SUCCESS or FAILURE, in any case; SUCCESS if absent. Stored as sent; filters and counts read it in upper case";
    let status = nullable(Type::String).pattern(Some(STATUS)).description(Some(status));
    let name = || ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).pattern(Some(NO_NUL));
    let side = || ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Any JSON"));
    let code = "From 100 to 999, as a number or a text; 0 means none";
    let code = scalar(&[Type::Number, Type::String]).minimum(Some(0)).maximum(Some(999)).description(Some(code));
    object()
        .property("identifier", text(Object::Event, "identifier").description(Some(identifier)))
        .property("action", name())
        .property("resourceType", name())
        .property("status", status)
        .property("message", text(Object::Event, "message"))
        .property("trigger", trigger())
        .property(
            "context",
            texts(
                Object::Context,
                &["entity", "blueprint", "runId", "webhookId", "webhookEventId", "integrationId", "actionType"],
            ),
        )
        .property(
            "request",
            texts(Object::Request, &["method", "path", "ip", "userAgent"]).property("statusCode", code),
        )
        .property("diff", object().property("before", side()).property("after", side()))
        .property(
            "additionalData",
            ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Any JSON, stored as sent")),
        )
}

fn trigger() -> ObjectBuilder {
    let at =
        "Event time; the time of receipt if absent. An event whose time is far in the future is ordered by its receipt";
    object()
        .property("at", nullable(Type::String).format(Some(DATE_TIME)).description(Some(at)))
        .property("origin", text(Object::Trigger, "origin").description(Some("API if absent")))
        .property("by", texts(Object::By, &["userId", "orgId", "type", "name", "email"]))
}

/// The keys of a stored event.
fn stored() -> ObjectBuilder {
    let masked = "Where secrets were replaced by \"[masked]\", as JSON pointers. A long pointer is shortened to that of an \
                  enclosing value; \"\" stands for those after the hundredth";
    let masked = ArrayBuilder::new()
        .items(ObjectBuilder::new().schema_type(Type::String))
        .min_items(Some(1))
        .max_items(Some(101))
        .description(Some(masked));
    let changed = "Present if masked values are in the diff: JSON pointers, relative to diff.before and diff.after, to those that \
                   differ between the two or that only one of them has. A pointer to an enclosing value, such as \"\" for the \
                   whole, means that it is unknown for the values in it that are not listed";
    let masked_changed =
        ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String)).description(Some(changed));
    let ordered_by = "Present if trigger.at was too far in the future when the event was received: lists, filters and counts \
                      then use receivedAt";
    let mapping = ObjectBuilder::new()
        .description(Some("Present if a preset made the event of another system's record"))
        .property("preset", typed(Type::String, "The preset and its version: cloudtrail@1"))
        .property("door", typed(Type::String, "The way by which the record arrived"))
        .property(
            "problems",
            ArrayBuilder::new()
                .items(ObjectBuilder::new().schema_type(Type::String))
                .description(Some("Values that the event does not take: the key and the reason")),
        );
    event()
        .schema_type(Type::Object)
        .max_properties(None)
        .property_names(None::<Schema>)
        .property("receivedAt", typed(Type::String, "When the server received it").format(Some(DATE_TIME)))
        .property("receivedBy", typed(Type::String, "The name of the credential that sent it"))
        .property(MASKED, masked)
        .property(MASKED_CHANGED, masked_changed)
        .property(MAPPING, mapping)
        .property(ORDERED_BY, typed(Type::String, ordered_by).enum_values(Some(["receivedAt"])))
}

pub(super) const DATE_TIME: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::DateTime);

fn nullable(kind: Type) -> ObjectBuilder {
    scalar(&[kind])
}

/// A value of one of these types, or `null`.
fn scalar(kinds: &[Type]) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kinds.iter().cloned().chain([Type::Null]).collect::<SchemaType>())
}

/// An object whose keys the server reads.
fn object() -> ObjectBuilder {
    let keys = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NO_NUL_OR_EMPTY));
    nullable(Type::Object).max_properties(Some(OBJECT_KEYS_MAX)).property_names(Some(keys))
}

fn texts(object: Object, keys: &[&str]) -> ObjectBuilder {
    keys.iter().fold(self::object(), |schema, key| schema.property(*key, text(object, key)))
}

/// A text; a number or a boolean counts as its text, and an empty text as absent. Only the length of an identifier is limited.
fn text(object: Object, key: &str) -> ObjectBuilder {
    let limited = Field::at(object, key).filter(|spec| spec.field == Field::Identifier);
    scalar(&[Type::String, Type::Number, Type::Boolean])
        .max_length(limited.map(|spec| spec.bytes_max))
        .pattern(Some(NO_NUL_OR_EMPTY))
}
