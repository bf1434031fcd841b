//! `ok`, the first member of every JSON response: true for a success, false for an error.

use serde::{Serialize, Serializer};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

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
        ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([VALUE])).into()
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
