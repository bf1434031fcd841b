//! The items of a response: what became of each action.

use actix_web::http::StatusCode;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::lines::{Action, Operation};
use crate::ingest::Fate;

/// What became of an action.
pub(super) struct Item {
    action: Action,
    fate: Fate,
}

/// The value of an item, which stands under the name of its operation.
#[derive(Serialize)]
struct Content<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "_version", skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cause<'a>>,
}

/// Why an action failed, in the form of Elasticsearch.
#[derive(Serialize)]
pub(super) struct Cause<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) reason: &'a str,
}

impl Item {
    pub(super) fn new(action: Action, fate: Fate) -> Self {
        Self { action, fate }
    }

    pub(super) fn is_error(&self) -> bool {
        self.status().is_client_error()
    }

    /// A document that was stored before is a conflict for `create`, which wants it to be new, and none for `index`.
    fn status(&self) -> StatusCode {
        match (&self.fate, self.action.operation) {
            (Fate::Stored { .. }, _) => StatusCode::CREATED,
            (Fate::Known { .. }, Operation::Create) => StatusCode::CONFLICT,
            (Fate::Known { .. }, _) => StatusCode::OK,
            (Fate::Rejected(_), _) => StatusCode::BAD_REQUEST,
        }
    }

    fn content(&self) -> Content<'_> {
        let status = self.status();
        let (result, error) = match &self.fate {
            Fate::Stored { .. } => (Some("created"), None),
            Fate::Known { .. } if status == StatusCode::CONFLICT => {
                let reason = "the document was stored before";
                (None, Some(Cause { kind: "version_conflict_engine_exception", reason }))
            }
            Fate::Known { .. } => (Some("noop"), None),
            Fate::Rejected(reason) => (None, Some(Cause { kind: "document_parsing_exception", reason })),
        };
        let assigned = match &self.fate {
            Fate::Stored { identifier } | Fate::Known { identifier } => Some(identifier.as_str()),
            Fate::Rejected(_) => None,
        };
        Content {
            index: &self.action.index,
            id: self.action.id.as_deref().or(assigned),
            version: result.map(|_| 1),
            result,
            status: status.as_u16(),
            error,
        }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut item = serializer.serialize_map(Some(1))?;
        item.serialize_entry(self.action.operation.name(), &self.content())?;
        item.end()
    }
}
