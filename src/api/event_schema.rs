//! The schemas of events, made from the field table. Events are served as stored bytes, so no value of these types exists.

use utoipa::openapi::{
    AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, Type, schema::SchemaType,
};

use crate::{
    http::schema::schemas,
    model::{
        event::{MASKED, MASKED_CHANGED, ORDERED_BY},
        field::{Field, Object},
        limits::OBJECT_KEYS_MAX,
    },
};

/// Text that the server reads contains no NUL.
pub(super) const NO_NUL: &str = "^[^\\x00]+$";
/// Maximum number of characters of a text that is stored but not searched. The limit in bytes is the same number.
const TEXT_CHARS_MAX: usize = 8_192;

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
    let statuses = [Some("SUCCESS"), Some("FAILURE"), None];
    let status = nullable(Type::String).enum_values(Some(statuses)).default(Some("SUCCESS".into()));
    let diff = object().property("before", nullable(Type::Object)).property("after", nullable(Type::Object));
    object()
        .property("identifier", text(Object::Event, "identifier").description(Some(identifier)))
        .property("action", text(Object::Event, "action").schema_type(Type::String))
        .property("resourceType", text(Object::Event, "resourceType").schema_type(Type::String))
        .property("status", status)
        .property("message", nullable(Type::String).min_length(Some(1)).pattern(Some(NO_NUL)))
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
            texts(Object::Request, &["method", "path", "ip", "userAgent"])
                .property("statusCode", nullable(Type::Integer).minimum(Some(100)).maximum(Some(999))),
        )
        .property("diff", diff)
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
        .property("origin", text(Object::Trigger, "origin").default(Some("API".into())))
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
    event()
        .schema_type(Type::Object)
        .max_properties(None)
        .property_names(None::<Schema>)
        .property("receivedAt", typed(Type::String, "When the server received it").format(Some(DATE_TIME)))
        .property("receivedBy", typed(Type::String, "The name of the credential that sent it"))
        .property(MASKED, masked)
        .property(MASKED_CHANGED, masked_changed)
        .property(ORDERED_BY, typed(Type::String, ordered_by).enum_values(Some(["receivedAt"])))
}

pub(super) const DATE_TIME: SchemaFormat = SchemaFormat::KnownFormat(KnownFormat::DateTime);

fn nullable(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]))
}

/// An object whose keys the server reads.
fn object() -> ObjectBuilder {
    let keys = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[^\\x00]*$"));
    nullable(Type::Object).max_properties(Some(OBJECT_KEYS_MAX)).property_names(Some(keys))
}

fn texts(object: Object, keys: &[&str]) -> ObjectBuilder {
    keys.iter().fold(self::object(), |schema, key| schema.property(*key, text(object, key)))
}

fn text(object: Object, key: &str) -> ObjectBuilder {
    let chars_max = Field::at(object, key).map_or(TEXT_CHARS_MAX, |spec| spec.bytes_max);
    nullable(Type::String).min_length(Some(1)).max_length(Some(chars_max)).pattern(Some(NO_NUL))
}
