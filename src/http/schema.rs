//! Building blocks of the types that are both JSON and its description: `ok`, the first member of every response, and
//! named schemas for values of other types.

use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

/// Declares types that have a schema and no values, for `#[schema(value_type = …)]`.
macro_rules! schemas {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(serde::Serialize)]
        pub(crate) enum $name {}

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}
pub(crate) use schemas;

/// A string that is one of these.
pub(crate) fn one_of<'a>(values: impl IntoIterator<Item = &'a str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values))
}

/// A member with a constant value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Always<const VALUE: bool>;

/// The value of `ok` in a success.
pub(crate) type True = Always<true>;
/// The value of `ok` in an error.
pub(crate) type False = Always<false>;

impl<const VALUE: bool> Serialize for Always<VALUE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(VALUE)
    }
}

impl<const VALUE: bool> PartialSchema for Always<VALUE> {
    fn schema() -> RefOr<Schema> {
        // No `enum`: some generated clients compare its values with texts and reject every response.
        ObjectBuilder::new().schema_type(Type::Boolean).description(Some(format!("Always {VALUE}"))).into()
    }
}

impl<const VALUE: bool> ToSchema for Always<VALUE> {}

/// A success with nothing else to report.
#[derive(Serialize, ToSchema)]
pub(crate) struct Success {
    #[schema(inline)]
    pub(crate) ok: True,
}

impl Success {
    /// The only value.
    pub(crate) const OK: Self = Self { ok: Always };
}
