//! The bulk API of Elasticsearch 7 to 9 and of `OpenSearch`: `POST` and `PUT /_bulk` and `/{index}/_bulk`.
//!
//! A body has lines in pairs: an action such as `{"create":{"_index":"logs","_id":"1"}}` and the document. The response has one
//! item for each action, in order, because clients decide by the items which documents they send again. A document that cannot be
//! read costs no other. `elasticsearch` answers what clients ask before they send.

mod elasticsearch;
mod item;
mod lines;
mod routes;

use std::{sync::Arc, time::Instant};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use parking_lot::Mutex;
use serde::Serialize;

use crate::{
    doors::protocol::{self, Delivery, Protocol},
    http::{ApiError, Context},
    ingest::{Identification, SentRecord},
    model::door::Door,
};
use elasticsearch::respond;
use item::Item;
use lines::Action;

pub(super) const PROTOCOL: Protocol = Protocol { door: Door::Bulk, routes: routes::routes, form: elasticsearch::error };

/// Bytes of a body that are accepted. Filebeat and Logstash send up to 20 MiB, other clients less.
const BODY_BYTES: usize = 32 * 1024 * 1024;

/// The response to a request without a route, if a client of Elasticsearch sends it.
pub fn index_response(request: &HttpRequest, context: &Context) -> Option<HttpResponse> {
    let is_open = !context.closed_doors.contains(&Door::Bulk) && context.path_prefix.is_empty();
    is_open.then(|| elasticsearch::without_route(request)).flatten()
}

/// The actions of a body, each with its document.
#[cfg(any(test, fuzzing))]
pub(super) fn read_lines(body: &[u8]) -> Vec<(lines::Action, Result<&str, String>)> {
    lines::read(body, None)
}

#[derive(Serialize)]
struct Response {
    /// Milliseconds.
    took: u64,
    errors: bool,
    items: Vec<Item>,
}

async fn receive(request: HttpRequest, context: Data<Context>, payload: Payload) -> Result<HttpResponse, ApiError> {
    let (work, started) = (store(&request, &context, payload), Instant::now());
    let work = async {
        let items = work.await?;
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(respond(&request, &Response { took, errors: items.iter().any(Item::is_error), items }))
    };
    protocol::answer(&PROTOCOL, &context, work).await
}

/// Stores the documents of a request. Returns the item of each action.
async fn store(request: &HttpRequest, context: &Data<Context>, payload: Payload) -> Result<Vec<Item>, ApiError> {
    let index = request.match_info().get("index").map(str::to_owned);
    let actions: Arc<Mutex<Vec<Action>>> = Arc::default();
    let read_actions = Arc::clone(&actions);
    let delivery = Delivery {
        body_bytes: BODY_BYTES,
        identification: Identification::Named { source: Door::Bulk.name().to_owned() },
        read: Box::new(move |body, mapping| {
            let mut records = Vec::new();
            for (action, document) in lines::read(body, index.as_deref()) {
                let record = document.and_then(|text| mapping.element(text).map_err(|error| error.to_string()));
                records.push(SentRecord::new(record, action.key()));
                read_actions.lock().push(action);
            }
            Ok(records)
        }),
    };
    let fates = protocol::receive(Door::Bulk, delivery, request, context, payload).await?;
    let actions = std::mem::take(&mut *actions.lock());
    if actions.is_empty() {
        return Err(ApiError::invalid("body: is empty; send an action and a document on a line each"));
    }
    Ok(actions.into_iter().zip(fates).map(|(action, fate)| Item::new(action, fate)).collect())
}
