//! What clients of Elasticsearch ask before they send: who the server is, and whether templates and policies exist.
//!
//! This server needs no template, policy or index, so each of them exists, and setting one changes nothing. The responses tell
//! nothing about the log, and need no credential: clients ask before they authenticate.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    guard::GuardContext,
    http::{
        Method, StatusCode,
        header::{ACCEPT, AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, USER_AGENT, WWW_AUTHENTICATE},
    },
};
use serde::Serialize;
use serde_json::json;

use super::item::Cause;
use crate::http::{ApiError, nothing_at};

/// The version of Elasticsearch whose bulk API this is. Clients of version 7 accept it, and clients of version 9 are compatible with
/// it.
const VERSION: &str = "8.17.0";
/// The name of the only node and of its cluster.
const NAME: &str = "auditbox";
/// The media type of clients of version 8 and later. The response must have the same.
const VENDOR_JSON: &str = "application/vnd.elasticsearch+json";
/// The clients that are known by their user agent.
const AGENTS: [&str; 6] = ["elasticsearch", "opensearch", "elastic", "logstash", "beat/", "fluent"];

/// Answers a client that asks for an index, `/{index}`, or creates it. No route: it would cover the paths of all pages. Also answers
/// one that asks for a part of the API that is not there.
pub(in crate::doors) fn without_route(request: &HttpRequest) -> Option<HttpResponse> {
    if !is_from_client(request.headers()) {
        return None;
    }
    if request.path().split('/').any(|part| part.starts_with('_')) {
        return Some(error(&nothing_at(request)));
    }
    let name = request.path().strip_prefix('/').filter(|name| !name.is_empty() && !name.contains('/'))?;
    match *request.method() {
        Method::HEAD => Some(respond(request, &json!({}))),
        Method::PUT => {
            Some(respond(request, &json!({ "acknowledged": true, "shards_acknowledged": true, "index": name })))
        }
        _ => None,
    }
}

/// Whether a client of Elasticsearch asks, and no browser. A browser sends no password by itself unless it was asked for one, and it
/// has a session.
fn is_from_client(headers: &HeaderMap) -> bool {
    let has = |name, words: &[&str]| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let value = value.to_ascii_lowercase();
        words.iter().any(|word| value.contains(word))
    };
    let has_password = has(AUTHORIZATION, &["basic ", "apikey "]) && !headers.contains_key(COOKIE);
    has(ACCEPT, &[VENDOR_JSON]) || has(USER_AGENT, &AGENTS) || has_password
}

pub(super) fn is_client(context: &GuardContext<'_>) -> bool {
    is_from_client(context.head().headers())
}

pub(super) async fn info(request: HttpRequest) -> HttpResponse {
    let version = json!({
        "number": VERSION, "build_flavor": "default", "build_type": "tar", "build_hash": "", "build_date": "",
        "build_snapshot": false, "lucene_version": "9.12.0", "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    });
    let info = json!({
        "name": NAME, "cluster_name": NAME, "cluster_uuid": NAME, "version": version,
        "tagline": "You Know, for Search",
    });
    respond(&request, &info)
}

pub(super) async fn license(request: HttpRequest) -> HttpResponse {
    let license = json!({ "uid": NAME, "type": "basic", "mode": "basic", "status": "active" });
    respond(&request, &json!({ "license": license }))
}

pub(super) async fn xpack(request: HttpRequest) -> HttpResponse {
    let license = json!({ "uid": NAME, "type": "basic", "mode": "basic", "status": "active" });
    let features =
        json!({ "ilm": { "available": false, "enabled": false }, "security": { "available": true, "enabled": true } });
    respond(&request, &json!({ "license": license, "features": features }))
}

pub(super) async fn health(request: HttpRequest) -> HttpResponse {
    let health = json!({
        "cluster_name": NAME, "status": "green", "timed_out": false, "number_of_nodes": 1, "number_of_data_nodes": 1,
        "active_primary_shards": 1, "active_shards": 1, "relocating_shards": 0, "initializing_shards": 0,
        "unassigned_shards": 0,
    });
    respond(&request, &health)
}

/// The only node, at the address by which the client knows it: a client that looks for nodes continues there.
pub(super) async fn nodes(request: HttpRequest) -> HttpResponse {
    let address = request.connection_info().host().to_owned();
    let http = json!({ "bound_address": [address], "publish_address": address });
    let node = json!({ "name": NAME, "version": VERSION, "roles": ["data", "ingest", "master"], "http": http });
    let counts = json!({ "total": 1, "successful": 1, "failed": 0 });
    respond(&request, &json!({ "_nodes": counts, "cluster_name": NAME, "nodes": { NAME: node } }))
}

pub(super) async fn refreshed(request: HttpRequest) -> HttpResponse {
    respond(&request, &json!({ "_shards": { "total": 1, "successful": 1, "failed": 0 } }))
}

pub(super) async fn empty(request: HttpRequest) -> HttpResponse {
    respond(&request, &json!({}))
}

pub(super) async fn acknowledge(request: HttpRequest) -> HttpResponse {
    respond(&request, &json!({ "acknowledged": true }))
}

pub(super) async fn exists(request: HttpRequest) -> HttpResponse {
    respond(&request, &json!({}))
}

/// A response in the media type that the client accepts.
pub(super) fn respond(request: &HttpRequest, body: &impl Serialize) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header(PRODUCT).content_type(media_type(request.headers()));
    response.body(serde_json::to_string(body).unwrap_or_default())
}

/// Clients refuse a server without this header.
const PRODUCT: (&str, &str) = ("X-Elastic-Product", "Elasticsearch");

/// The media type of a response: with the version of the API that the client names.
fn media_type(headers: &HeaderMap) -> String {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let version = accepted.split("compatible-with=").nth(1).and_then(|rest| rest.chars().next());
    match version.filter(char::is_ascii_digit) {
        Some(version) if accepted.contains(VENDOR_JSON) => format!("{VENDOR_JSON};compatible-with={version}"),
        _ => "application/json".to_owned(),
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    error: RootCause<'a>,
    status: u16,
}

#[derive(Serialize)]
struct RootCause<'a> {
    root_cause: [Cause<'a>; 1],
    #[serde(flatten)]
    cause: Cause<'a>,
}

/// An error of a whole request. Every client repeats a request after 503; after 429 not all do.
pub(super) fn error(error: &ApiError) -> HttpResponse {
    let status = match error.status_code() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let kind = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "security_exception",
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => "es_rejected_execution_exception",
        StatusCode::BAD_REQUEST => "illegal_argument_exception",
        _ => "exception",
    };
    let cause = || Cause { kind, reason: error.message() };
    let failure = Failure { error: RootCause { root_cause: [cause()], cause: cause() }, status: status.as_u16() };
    let mut response = HttpResponse::build(status);
    response.insert_header(PRODUCT);
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"auditbox\", charset=\"UTF-8\""));
        response.append_header((WWW_AUTHENTICATE, "ApiKey"));
    }
    response.json(failure)
}
