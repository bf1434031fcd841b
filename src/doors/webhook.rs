//! `/in/<route>`: records that other systems deliver, as a JSON object, an array or one per line.
//!
//! A sender proves itself by its signature, or presents a secret of the route's credential. It gets 200 once everything that can
//! be read is on disk. A record that cannot be read costs no other. Only a body of which nothing can be read is an error.

use std::{sync::Arc, time::Instant};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::header::HeaderMap,
    web::{Data, Payload},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    doors::{ReadyRoute, Routes, counted_as, signature::Checker},
    http::{
        ApiError, BodyLimits, Context,
        body::Body,
        caller::{AuthResult, Caller, Ingest, peer},
        error::{FORBIDDEN, NOT_AUTHENTICATED, TOO_MANY_REQUESTS},
        hold_connection, nothing_at,
    },
    ingest::{self, Format, Identification, Reading},
    model::{idempotency_key::IdempotencyKey, route::Dedupe, timestamp::Timestamp},
    store::Policy,
};

/// How the records arrive, as their events record it.
const DOOR: &str = "webhook";
/// A body up to this size is checked on the current thread: switching threads would cost more.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// The header of the one request by which Okta verifies an address.
pub(crate) const CHALLENGE: &str = "x-okta-verification-challenge";
/// The header by which any sender may name a delivery.
const KEY_HEADER: &str = "Idempotency-Key";

/// The response to Okta's verification.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verification {
    verification: String,
}

/// Answers Okta's verification of the address, which changes nothing and shows nothing.
pub(super) async fn verify(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let challenge = request.headers().get(CHALLENGE).and_then(|value| value.to_str().ok());
    let verification = challenge.filter(|challenge| !challenge.is_empty()).ok_or_else(|| {
        ApiError::invalid(format!("{CHALLENGE}: is missing; this address takes records, which are sent with POST"))
    })?;
    Ok(HttpResponse::Ok().json(Verification { verification: verification.to_owned() }))
}

/// Stores the records of a request, and responds when they are on disk.
pub(super) async fn receive(
    request: HttpRequest,
    context: Data<Context>,
    routes: Data<Routes>,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    deliver(&request, &context, &routes, payload).await.map_err(|error| {
        let route = counted_as(request.match_info().query("route"));
        context.activity.refused(&route, error.message(), Timestamp::now());
        error.for_sender()
    })
}

async fn deliver(
    request: &HttpRequest,
    context: &Data<Context>,
    routes: &Routes,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(ready) = routes.find(request.match_info().query("route")) else {
        // Only a sender learns which routes exist.
        Ingest::of(request)?;
        return Err(nothing_at(request));
    };
    let (caller, body) = match &ready.checker {
        Some(checker) => ready.receive_signed(checker, request, context, payload).await?,
        None => {
            let caller = ready.presented(request)?;
            ready.take_turn()?;
            (caller, ready.limits(context).read_beginning(request.headers(), payload).await?)
        }
    };
    context.writer.check_room()?;
    let key = ready.delivery(request.headers(), &caller);
    let reading = Reading::new(context, &caller, Policy::Partial, key);
    let mut stored = ingest::records(ready.format(context), reading, body, context).await?;
    stored.check_any(context)?;
    stored.respond(context, request, &context.reading(&caller, request)).await
}

impl ReadyRoute {
    /// The sender of a request without a signature. Its credential must be that of the route.
    fn presented(&self, request: &HttpRequest) -> Result<Caller, ApiError> {
        let caller = Ingest::of(request)?.0;
        match &self.route.credential {
            Some(credential) if *credential != caller.credential().name => {
                let name = caller.credential().name.as_str();
                Err(ApiError::new(FORBIDDEN, format!("the credential {name:?} is not the one of this route")))
            }
            _ => Ok(caller),
        }
    }

    /// Reads a signed request. Its sender acts as the route's credential.
    async fn receive_signed(
        self: &Arc<Self>,
        checker: &Checker,
        request: &HttpRequest,
        context: &Data<Context>,
        payload: Payload,
    ) -> Result<(Caller, Body), ApiError> {
        let (address, now) = (peer(request, context), Timestamp::now());
        let refuse = |reason: String| {
            context.authenticator.reject(address, &format!("of the route {}", self.route.name), &reason);
            ApiError::new(NOT_AUTHENTICATED, reason)
        };
        let claim = checker.read(request.headers(), now).map_err(refuse)?;
        let limits = self.limits(context);
        let body = limits.read(request.headers(), payload).await?;
        let (is_signed, body) = if body.bytes.len() <= INLINE_BYTES_MAX {
            (checker.is_signed(&claim, &body.bytes), body)
        } else {
            let ready = Arc::clone(self);
            let check = move || (ready.checker.as_ref().is_some_and(|own| own.is_signed(&claim, &body.bytes)), body);
            limits.work(check).await?
        };
        if !is_signed {
            return Err(refuse("no key of this route made the signature of this body".to_owned()));
        }
        let name = self.route.credential.as_ref().map_or("", |name| name.as_str());
        let principal = context.authenticator.act_as(name, now).await.map_err(|state| {
            let message = format!("the credential {name:?}, which this route acts as, {state}");
            context.authenticator.reject(address, name, &message);
            ApiError::new(FORBIDDEN, message)
        })?;
        let caller = Caller { principal };
        // From here on the request has a caller and is recorded.
        request.extensions_mut().insert::<AuthResult>(Ok(caller.clone()));
        hold_connection(request)?;
        if !caller.credential().allows(address) {
            return Err(ApiError::elsewhere(address));
        }
        Ingest::of(request)?;
        self.take_turn()?;
        Ok((caller, body))
    }

    fn take_turn(&self) -> Result<(), ApiError> {
        let turn = self.rate.as_ref().map_or(Ok(()), |rate| rate.take(Instant::now()));
        turn.map_err(|wait| {
            let per_second = self.route.requests_per_second_max.unwrap_or_default();
            let message = format!("the route accepts {per_second} requests a second; send the request again later");
            ApiError::later(TOO_MANY_REQUESTS, message, wait)
        })
    }

    fn limits(&self, context: &Context) -> BodyLimits {
        context.body_limits.at_most(self.route.body_bytes_max.unwrap_or(usize::MAX))
    }

    /// The key of a delivery, from which identifiers of its records follow. An invalid one counts as none: the records count more.
    fn delivery(&self, headers: &HeaderMap, caller: &Caller) -> Option<IdempotencyKey> {
        if self.route.dedupe == Dedupe::None {
            return None;
        }
        let mut names = self.route.key_headers.iter().map(String::as_str).chain([KEY_HEADER]);
        let value = names.find_map(|name| headers.get(name))?;
        // Another route may take deliveries of another sender as the same credential. Neither part contains a NUL.
        let sender = format!("{}\0{}", caller.credential().client_id.as_str(), self.route.name);
        IdempotencyKey::parse(value.as_bytes(), &sender).ok()
    }

    fn format(&self, context: &Context) -> Format {
        let identification = match &self.route.dedupe {
            Dedupe::Delivery | Dedupe::None => Identification::Delivery { is_strict: false },
            Dedupe::Content => Identification::Content { source: self.route.name.clone() },
            Dedupe::Key(key) => Identification::Key { source: self.route.name.clone(), key: key.clone() },
        };
        let (counted_as, read) = (Some(counted_as(&self.route.name)), ingest::documents(context.batch_events_max));
        Format { mapping: Arc::clone(&self.mapping), identification, door: DOOR, counted_as, read }
    }
}
