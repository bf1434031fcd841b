//! Requests with an `Idempotency-Key`: a retry gets the response of the first request.
//!
//! The events of the first request that had no identifier have identifiers that follow from the key, so the writer finds them.
//! Nothing else is kept of a request. What else its response said follows from the log: an event with its own identifier was
//! stored by the first request if it was received at the same instant as those.

use actix_web::HttpResponse;

use crate::{
    api::ingest::response::IngestResponse,
    http::{
        ApiError,
        error::{Detail, EventFault},
        reading::ReadAccess,
    },
    model::event,
    store::{AppendError, Conflict, Outcome, Prepared},
};

/// The header by which a sender marks retries.
pub(in crate::api) const KEY_HEADER: &str = "Idempotency-Key";
/// The header of the response to a retry.
pub(in crate::api) const REPLAYED_HEADER: &str = "Idempotency-Replayed";
/// The error for a key whose request had other content.
pub(super) const KEY_REUSED: &str = "was already used for a request with other content; use a new key for each request";

/// Maximum number of conflicts in one response. Each has its identifier, by which the sender finds the event.
const CONFLICTS_MAX: usize = 100;

/// What the response needs to know of the events of a request.
pub(super) struct SentEvents {
    pub(super) identifiers: Vec<String>,
    /// Whether the server assigned each of the identifiers.
    pub(super) are_assigned: Vec<bool>,
}

/// The outcomes that a response reports.
pub(super) struct Replay {
    pub(super) outcomes: Vec<Outcome>,
    is_replayed: bool,
}

impl SentEvents {
    pub(super) fn of(batch: &[Prepared]) -> Self {
        let identifiers = batch.iter().map(|event| event.identifier().to_owned()).collect();
        Self { identifiers, are_assigned: batch.iter().map(Prepared::is_identifier_assigned).collect() }
    }

    /// The error for a request that was not stored. `lines` are those on which its events begin.
    pub(super) fn refusal(&self, error: AppendError, lines: &[usize]) -> ApiError {
        let AppendError::Conflict(conflicts) = &error else { return error.into() };
        if conflicts.first().is_some_and(|first| self.are_assigned.get(first.index) == Some(&true)) {
            return key_reused();
        }
        let fault = |conflict: &Conflict| {
            Detail::Event(EventFault::of_conflict(conflict).on_line(lines.get(conflict.index).copied()))
        };
        let details = conflicts.iter().take(CONFLICTS_MAX).map(fault).collect();
        ApiError::from(error).with_details(details)
    }

    /// The outcomes of the first request, if this one is its retry; otherwise `outcomes`. Only a retry knows an assigned
    /// identifier. `next` is the identifier that a further event would have had: if it is in the log, the first request had more
    /// events.
    pub(super) async fn replay(
        &self,
        mut outcomes: Vec<Outcome>,
        next: Option<String>,
        access: &ReadAccess,
    ) -> Result<Replay, ApiError> {
        // A request that stored an event, or has another one under an identifier of the key, is not the first one again.
        let is_new = |(place, outcome): (usize, &Outcome)| match outcome {
            Outcome::Stored => true,
            Outcome::Conflict => self.are_assigned[place],
            Outcome::Duplicate => false,
        };
        if outcomes.iter().enumerate().any(is_new) {
            return Ok(Replay { outcomes, is_replayed: false });
        }
        let known = |(place, outcome): (usize, &Outcome)| (*outcome == Outcome::Duplicate).then_some(place);
        let known: Vec<usize> = outcomes.iter().enumerate().filter_map(known).collect();
        let (assigned, own): (Vec<usize>, Vec<usize>) = known.into_iter().partition(|place| self.are_assigned[*place]);
        let Some(first) = assigned.first().map(|place| self.identifiers[*place].clone()) else {
            return Ok(Replay { outcomes, is_replayed: false });
        };
        let names: Vec<_> = own.iter().map(|place| self.identifiers[*place].clone()).collect();
        let looked_up = access.begin(move |lease| {
            // An event that cannot be read was not stored by a known request.
            let received =
                |name: &str| lease.by_identifier(name).ok().flatten().and_then(|body| event::received_at(&body));
            let at = received(&first);
            let are_of_first: Vec<bool> = names.iter().map(|name| at.is_some() && received(name) == at).collect();
            let has_more = next.is_some_and(|next| lease.by_identifier(&next).is_ok_and(|found| found.is_some()));
            Ok((are_of_first, has_more))
        });
        let (are_of_first, has_more) = looked_up.await?;
        if has_more {
            return Err(key_reused());
        }
        let of_first = own.into_iter().zip(are_of_first).filter(|(_, is_of_first)| *is_of_first);
        for place in assigned.into_iter().chain(of_first.map(|(place, _)| place)) {
            outcomes[place] = Outcome::Stored;
        }
        Ok(Replay { outcomes, is_replayed: true })
    }
}

fn key_reused() -> ApiError {
    ApiError::invalid(format!("{KEY_HEADER}: {KEY_REUSED}"))
}

impl Replay {
    pub(super) fn respond(&self, body: IngestResponse) -> HttpResponse {
        let mut response = HttpResponse::build(body.status());
        if self.is_replayed {
            response.insert_header((REPLAYED_HEADER, "true"));
        }
        response.json(body)
    }
}
