//! The caller of a request and its permissions.
//!
//! The middleware authenticates the caller. A handler states the scope that it needs in its signature ([`Ingest`], [`Read`],
//! [`Admin`], [`ReadMetrics`]) and does not run for other callers.

use std::{
    future::{Ready, ready},
    net::{IpAddr, Ipv4Addr},
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header};

use crate::{
    auth::{Denied, Principal},
    http::{
        Context,
        error::{ApiError, FORBIDDEN, NOT_AUTHENTICATED},
        without_secret,
    },
    model::{
        credential::{ActorType, Credential, Scope},
        self_audit::{self, SelfAuditRequest},
        timestamp::Timestamp,
    },
};

/// An authenticated caller, kept with the request.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Principal,
}

impl Caller {
    /// The caller's credential.
    pub(crate) fn credential(&self) -> &Credential {
        &self.principal.credential
    }

    /// The self-audit record of this request.
    pub(crate) fn self_audit_request(&self, request: &HttpRequest, action: &'static str) -> SelfAuditRequest {
        let context = request.app_data::<actix_web::web::Data<Context>>();
        let request_mask = context.map(|context| context.request_mask.clone()).unwrap_or_default();
        let uri = request.uri();
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = format!("{}{query}", without_secret(uri.path()));
        let header =
            |name| request.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        SelfAuditRequest {
            actor_name: self.credential().name.as_str().to_owned(),
            actor_id: self.credential().client_id.as_str().to_owned(),
            actor_type: self.credential().actor_type.name(),
            action,
            method: request.method().to_string(),
            path: self_audit::shortened(&request_mask.path(&path)).into_owned(),
            ip: context.map(|context| peer(request, context).to_string()),
            user_agent: header(header::USER_AGENT).map(|agent| self_audit::shortened(&agent).into_owned()),
            at: Timestamp::now(),
        }
    }
}

/// The client's address: the peer's, or the one that the nearest trusted proxy saw. Entries of `X-Forwarded-For` that the
/// client itself sent are to the left of that one and are never reached.
pub(crate) fn peer(request: &HttpRequest, context: &Context) -> IpAddr {
    let mut address = peer_address(request);
    if !context.trusts(address) {
        return address;
    }
    let lines = request.headers().get_all("x-forwarded-for").filter_map(|line| line.to_str().ok());
    let forwarded: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    for entry in forwarded.into_iter().rev() {
        match entry.parse::<IpAddr>() {
            Ok(before) if context.trusts(address) => address = before.to_canonical(),
            _ => break,
        }
    }
    address
}

/// The address at the other end of the connection.
pub(super) fn peer_address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical())
}

/// A note of a handler for the record of its request.
pub(crate) enum AuditNote {
    /// The handler has recorded the request itself.
    Recorded,
    /// Part of the request was rejected.
    Refused(String),
}

/// The result of authentication, kept with the request.
pub(crate) type AuthResult = Result<Caller, ApiErrorKind>;

/// Why there is no caller, in a form that can be copied into a response.
#[derive(Clone, Copy)]
pub(crate) enum ApiErrorKind {
    /// Neither a token nor a session.
    NoToken,
    /// The token or session was rejected.
    Denied(Denied),
    /// A page of another site sent the request with a session.
    CrossSite,
}

fn demand(request: &HttpRequest, scope: Scope) -> Result<Caller, ApiError> {
    match request.extensions().get::<AuthResult>() {
        Some(Ok(caller)) if caller.credential().scopes.allow(scope) => Ok(caller.clone()),
        Some(Ok(caller)) => {
            let (name, scope) = (caller.credential().name.as_str(), scope.name());
            Err(ApiError::new(FORBIDDEN, format!("the credential {name:?} does not have the scope {scope}")))
        }
        Some(Err(ApiErrorKind::Denied(denied))) => Err((*denied).into()),
        Some(Err(ApiErrorKind::CrossSite)) => Err(ApiError::cross_site()),
        Some(Err(ApiErrorKind::NoToken)) | None => {
            Err(ApiError::new(NOT_AUTHENTICATED, "send a token: Authorization: Bearer <token>"))
        }
    }
}

/// The caller may send events.
pub(crate) struct Ingest(pub(crate) Caller);
impl Ingest {
    /// The caller of a request whose sender proves itself only in the handler.
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        demand(request, Scope::Ingest).map(Self)
    }
}

/// The caller may query events.
pub(crate) struct Read(pub(crate) Caller);
/// The caller may manage credentials.
pub(crate) struct Admin(pub(crate) Caller);
/// The caller may read the metrics.
pub(crate) struct ReadMetrics;
/// The caller may see what arrives by the doors: an administrator, or a command on the server's machine.
pub(crate) struct SeeDoors;

impl FromRequest for SeeDoors {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let result = request.extensions().get::<AuthResult>().cloned();
        let is_command = |caller: &Caller| caller.credential().actor_type == ActorType::System;
        ready(match result {
            Some(Ok(caller)) if is_command(&caller) => Ok(Self),
            _ => demand(request, Scope::Admin).map(|_| Self),
        })
    }
}

macro_rules! permission {
    ($name:ident, $scope:expr, $make:expr) => {
        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Ready<Result<Self, ApiError>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(demand(request, $scope).map($make))
            }
        }
    };
}

permission!(Ingest, Scope::Ingest, Ingest);
permission!(Read, Scope::Read, Read);
permission!(Admin, Scope::Admin, Admin);
permission!(ReadMetrics, Scope::Metrics, |_| ReadMetrics);
