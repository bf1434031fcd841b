//! Which of the fields that a query uses some events do not have yet, because they were declared later.

use actix_web::HttpResponseBuilder;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    model::{field::Field, filter::Filter},
    store::{PartialField, Reader},
};

/// The header of a response that uses such a field.
pub(crate) const HEADER: &str = "X-Incomplete-Fields";
/// Its description.
pub(super) const HEADER_SUMMARY: &str =
    "Declared fields that older events lack until they are filled in: each with the first complete seq and time";

/// A declared field that is not filled in for older events yet. The response says nothing about the field in them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct IncompleteField {
    /// The name of the field.
    field: &'static str,
    /// Events that arrived from this position on have the field.
    from_seq: i64,
    /// Events of this time or later have the field.
    #[schema(format = DateTime)]
    from_time: String,
}

/// The incomplete fields of a response. Determine them before the query begins: while it runs, more events get the field.
pub(crate) struct IncompleteFields(Vec<PartialField>);

impl IncompleteFields {
    /// Those that a filter or the facets use.
    pub(crate) fn of(reader: &Reader, filter: &Filter, facets: &[Field]) -> Self {
        let mut fields = filter.declared_fields();
        fields.extend(facets);
        fields.sort_unstable();
        fields.dedup();
        Self(reader.partial(fields))
    }

    /// Adds the header, if there are any.
    pub(super) fn set_header(&self, response: &mut HttpResponseBuilder) {
        if !self.0.is_empty() {
            response.insert_header((HEADER, self.to_text()));
        }
    }

    /// The fields in one line: a list of RFC 9651.
    pub(crate) fn to_text(&self) -> String {
        let item = |own: &IncompleteField| {
            let IncompleteField { field, from_seq, from_time } = own;
            format!("\"{field}\";from-seq={from_seq};from-time=\"{from_time}\"")
        };
        self.members().unwrap_or_default().iter().map(item).collect::<Vec<_>>().join(", ")
    }

    /// The member `incompleteFields` of a response.
    pub(super) fn members(&self) -> Option<Vec<IncompleteField>> {
        let member = |own: &PartialField| IncompleteField {
            field: own.field.spec().name().unwrap_or_default(),
            from_seq: own.from_seq,
            from_time: own.from_time.to_string(),
        };
        (!self.0.is_empty()).then(|| self.0.iter().map(member).collect())
    }
}
