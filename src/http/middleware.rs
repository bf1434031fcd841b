//! The middleware of every request: trace id, server log, authentication, session renewal and self-audit record.

use std::time::{Duration, Instant};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS},
    },
    middleware::Next,
    web::Data,
};
use uuid::Uuid;

use crate::{
    http::{
        Context,
        actions::{self, Recording},
        activity,
        caller::{ApiErrorKind, AuditNote, AuthResult, Caller, peer},
        connections::{Connection, Full},
        error::{ApiError, OVERLOADED},
        origin,
        presented::Presented,
        refusals, session, without_secret,
    },
    model::{self_audit, timestamp::Timestamp},
};

/// The prefixes of routes for programs. Other routes are pages.
const FOR_PROGRAMS: [&str; 2] = ["/v1/", "/in/"];
/// The Retry-After when all connections are in use.
const RETRY: Duration = Duration::from_secs(1);
const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Adds `X-Trace-Id` to every response, and counts and logs every request.
pub async fn trace<B: MessageBody>(request: ServiceRequest, next: Next<B>) -> Result<ServiceResponse<B>, Error> {
    let (started, id) = (Instant::now(), Uuid::new_v4().simple().to_string());
    let (method, path) =
        (request.method().clone(), self_audit::shortened(&without_secret(request.path())).into_owned());
    let mut response = next.call(request).await?;
    let status = response.status().as_u16();
    if let Some(context) = response.request().app_data::<Data<Context>>() {
        let route = context.route_of(response.request());
        context.metrics.answered(response.request(), response.status(), route);
    }
    let micros = started.elapsed().as_micros();
    match cause(&response) {
        Some(cause) if is_unavailable(response.status()) => {
            if refusals::has_line(&cause) {
                tracing::warn!(%method, path, status, micros, trace_id = id, cause, "request rejected");
            }
        }
        Some(cause) => tracing::error!(%method, path, status, micros, trace_id = id, cause, "request failed"),
        None => tracing::debug!(%method, path, status, micros, trace_id = id, "request"),
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(TRACE_ID, value);
    }
    keep_private(response.headers_mut());
    Ok(response)
}

/// Forbids clients to guess a content type, and to store a response unless its handler allows it.
fn keep_private(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// Authenticates the caller and records the request. The handler checks the caller's permission.
///
/// A request that may change something runs up to its record even if the client disconnects: a client cannot avoid the
/// record by hanging up.
pub async fn authenticate<B: MessageBody + 'static>(
    context: Data<Context>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let caller = find_caller(request.request(), &context).await;
    let admitted = admit(caller.as_ref().ok(), request.request(), &context);
    request.extensions_mut().insert::<AuthResult>(caller);
    let held = admitted.and_then(|()| hold_connection(request.request()));
    if request.method().is_safe() {
        return handle(context, request, next, held).await;
    }
    let handled = actix_web::rt::spawn(handle(context, request, next, held)).await;
    handled.unwrap_or_else(|error| Err(ApiError::internal(error).into()))
}

async fn handle<B: MessageBody + 'static>(
    context: Data<Context>,
    request: ServiceRequest,
    next: Next<B>,
    held: Result<(), ApiError>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let mut response = match held {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(full) => {
            count_refusal(request.request(), &context, &full);
            let refusal = error_response(request.request(), &context, full);
            // Not `into_response`, which would drop the error: the record and the server log need it.
            ServiceResponse::new(request.into_parts().0, refusal.map_into_right_body())
        }
    };
    session::renew(&mut response, &context);
    match record(&response, &context).await {
        Ok(()) => Ok(response),
        // If the request cannot be recorded, the client receives that error instead of the response.
        Err(error) => {
            let refusal = error_response(response.request(), &context, error);
            Ok(ServiceResponse::new(response.into_parts().0, refusal.map_into_right_body()))
        }
    }
}

/// Checks the address of a caller. A caller at an address that its credential does not allow is recorded, but served only what
/// concerns no data.
fn admit(caller: Option<&Caller>, request: &HttpRequest, context: &Context) -> Result<(), ApiError> {
    let address = peer(request, context);
    let is_elsewhere = caller.is_some_and(|caller| !caller.credential().allows(address));
    if !is_elsewhere || actions::recording_of(request).1 == Recording::Never {
        return Ok(());
    }
    Err(ApiError::elsewhere(address))
}

/// Lets a request with a credential hold its connection. A request that concerns no data, such as a health check, is
/// answered in any case.
pub(crate) fn hold_connection(request: &HttpRequest) -> Result<(), ApiError> {
    let is_caller = request.extensions().get::<AuthResult>().is_some_and(Result::is_ok);
    if !is_caller || actions::recording_of(request).1 == Recording::Never {
        return Ok(());
    }
    let held = Connection::of(request).map_or(Ok(()), |connection| connection.hold());
    held.map_err(|Full { connections_max }| {
        let message = format!(
            "requests hold all connections ([server] connections_max = {connections_max}); send the request again"
        );
        ApiError::later(OVERLOADED, message, RETRY)
    })
}

/// Counts a request to a door or a route that does not reach its handler, which counts the others.
fn count_refusal(request: &HttpRequest, context: &Context, error: &ApiError) {
    let route = || context.route_of(request).map(|route| activity::name_of_route(&route.name));
    if let Some(name) = actions::door_of(request).map(str::to_owned).or_else(route) {
        context.activity.refused(&name, error.message(), Timestamp::now());
    }
}

/// An error in the form that the matched route answers in: JSON, or a page.
fn error_response(request: &HttpRequest, context: &Context, error: ApiError) -> HttpResponse {
    if let Some(form) = (context.native_form)(request) {
        return HttpResponse::from_error(error.for_sender().in_form(form));
    }
    let is_for_programs = |route: &str| FOR_PROGRAMS.iter().any(|prefix| route.starts_with(prefix));
    let is_page = request.match_pattern().is_some_and(|route| !is_for_programs(&route));
    if is_page { (context.error_page)(request, error) } else { HttpResponse::from_error(error) }
}

async fn find_caller(request: &HttpRequest, context: &Context) -> AuthResult {
    // Its handler checks the signature. The header of a secret may be one in which others present a token.
    if context.route_of(request).is_some_and(|route| route.signature.is_some()) {
        return Err(ApiErrorKind::NoToken);
    }
    let (authenticator, address, now) = (&context.authenticator, peer(request, context), Timestamp::now());
    let admitted = match Presented::of(request) {
        Some(Presented::Token(token)) => authenticator.check_token(&token, address, now).await,
        // A browser adds a name and a password by itself, as it does the cookie below.
        Some(Presented::Password { .. }) if origin::is_foreign(request, context) => {
            return Err(ApiErrorKind::CrossSite);
        }
        Some(Presented::Password { name, password }) => {
            authenticator.check_password(&name, &password, address, now).await
        }
        None => {
            let session = session::presented(request, context).ok_or(ApiErrorKind::NoToken)?;
            let admitted = authenticator.check_session(&session, address, now).await;
            // A browser also sends the cookie with requests of other sites. Only our pages may request a change.
            if admitted.is_ok() && !request.method().is_safe() && !origin::is_own(request, context) {
                return Err(ApiErrorKind::CrossSite);
            }
            admitted
        }
    };
    admitted.map(|principal| Caller { principal }).map_err(ApiErrorKind::Denied)
}

async fn record<B>(response: &ServiceResponse<B>, context: &Context) -> Result<(), ApiError> {
    let request = response.request();
    let (caller, note) = {
        let mut extensions = request.extensions_mut();
        (
            extensions.get::<AuthResult>().and_then(|result| result.as_ref().ok()).cloned(),
            extensions.remove::<AuditNote>(),
        )
    };
    let Some(caller) = caller else {
        return Ok(());
    };
    let status = response.status().as_u16();
    let refused = match &note {
        Some(AuditNote::Recorded) => return Ok(()),
        Some(AuditNote::Refused(message)) => Some(message.as_str()),
        None => error_of(response).map(ApiError::message),
    };
    let (action, recording) = actions::recording_of(request);
    let own = || caller.self_audit_request(request, action);
    match recording {
        Recording::IfRefused if refused.is_none() && status < 400 => {}
        Recording::IfRefused | Recording::Before => {
            // Do not delay 429, 503 and 507 responses by the audit write.
            if context.recorder.records_writes() && is_unavailable(response.status()) {
                context.recorder.record_now(&own(), status, refused);
            } else if context.recorder.records_writes() {
                context.recorder.record(&own(), status, refused).await?;
            }
        }
        Recording::BeforeOrAfter => {
            if context.recorder.records_writes() {
                context.recorder.record_if_well(&own(), status, refused).await;
            }
        }
        Recording::Soon => {
            if context.recorder.records_reads() {
                context.recorder.record_soon(&own(), status, refused).await;
            }
        }
        Recording::AtEnd if request.method() == Method::HEAD || refused.is_some() || status >= 400 => {
            context.recorder.record_soon(&own(), status, refused).await;
        }
        Recording::Never | Recording::AtEnd => {}
    }
    Ok(())
}

/// Whether the request was rejected because nothing can be written now, or too much comes.
fn is_unavailable(status: StatusCode) -> bool {
    let statuses = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE, StatusCode::TOO_MANY_REQUESTS];
    statuses.contains(&status)
}

fn error_of<B>(response: &ServiceResponse<B>) -> Option<&ApiError> {
    response.response().error().and_then(|error| error.as_error::<ApiError>())
}

fn cause<B>(response: &ServiceResponse<B>) -> Option<String> {
    if !response.status().is_server_error() {
        return None;
    }
    let known = error_of(response).map(|error| error.cause().unwrap_or(error.message()).to_owned());
    known.or_else(|| response.response().error().map(ToString::to_string))
}
