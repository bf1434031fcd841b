//! `GET /v1/doors`: every door and route, and what arrived by it. Needs the scope `admin`.

use actix_web::{HttpResponse, web::Data};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    doors::{Kind, Overview, overview},
    http::{
        Context,
        caller::SeeDoors,
        schema::{Always, True, one_of, schemas},
    },
    model::timestamp::Timestamp,
};

/// Every door, listener and route.
#[derive(Serialize, ToSchema)]
pub(super) struct DoorList {
    #[schema(inline)]
    ok: True,
    /// When the server started: what arrived before is not counted.
    #[schema(format = DateTime)]
    since: String,
    doors: Vec<DoorState>,
}

/// A door, a listener or a route, and what arrived by it since the server started.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct DoorState {
    /// The name, as in the label `door` of the metrics. That of a route is `in/<name>`, that of a listener `<door>/<name>`.
    name: String,
    #[schema(value_type = DoorKind)]
    kind: &'static str,
    #[schema(value_type = DoorOpening)]
    state: &'static str,
    /// The paths or addresses to which senders deliver records.
    addresses: Vec<String>,
    /// The presets that map the records. The first one is that of the door, and the others are those of `[doors.presets]`.
    presets: Vec<String>,
    /// Number of records that were stored.
    stored: u64,
    /// Number of records that had been stored before.
    duplicates: u64,
    /// Number of records that could not be stored.
    rejected: u64,
    /// Number of records that are stored although the preset found nothing in them.
    unmapped: u64,
    /// Number of requests and connections that were refused as a whole.
    refused: u64,
    /// Number of datagrams that the system dropped.
    dropped: u64,
    /// Number of records in the last minute.
    records_last_minute: u64,
    /// When a record was last stored or found to be stored; null if there is no such record.
    #[schema(required, format = DateTime)]
    last_record_at: Option<String>,
    /// The last problem; null if there has been no problem.
    #[schema(required)]
    last_problem: Option<DoorProblem>,
}

/// What was wrong with a record or a request.
#[derive(Serialize, ToSchema)]
struct DoorProblem {
    #[schema(format = DateTime)]
    at: String,
    message: String,
    /// The beginning of the record; null if it is not known. JSON is masked. Of other text, the sample is the shape: each run of
    /// letters is `a` and each run of digits `0`.
    #[schema(required)]
    sample: Option<String>,
}

schemas! {
    DoorKind = one_of(Kind::ALL.map(|(_, name)| name));
    DoorOpening = one_of(["open", "closed"]);
}

impl From<Overview<'_>> for DoorState {
    fn from(one: Overview<'_>) -> Self {
        let arrivals = one.arrivals;
        Self {
            name: one.name.to_owned(),
            kind: one.kind.name(),
            state: if one.is_open { "open" } else { "closed" },
            addresses: one.addresses,
            presets: one.presets.into_iter().map(str::to_owned).collect(),
            stored: arrivals.stored,
            duplicates: arrivals.duplicates,
            rejected: arrivals.rejected,
            unmapped: arrivals.unmapped,
            refused: arrivals.refused,
            dropped: arrivals.dropped,
            records_last_minute: arrivals.of_last_minute,
            last_record_at: arrivals.last.map(|at| at.to_string()),
            last_problem: arrivals.last_problem.map(|(at, problem)| DoorProblem {
                at: at.to_string(),
                message: problem.message,
                sample: problem.sample,
            }),
        }
    }
}

/// Lists them.
pub(super) async fn list(_: SeeDoors, context: Data<Context>) -> HttpResponse {
    let doors = overview(&context, Timestamp::now()).into_iter().map(DoorState::from).collect();
    HttpResponse::Ok().json(DoorList { ok: Always, since: context.started.to_string(), doors })
}
