//! `/openapi.json`: the description of this API, made from the response types of the handlers, the field table and the
//! error table; and `/docs`, which shows it with assets from the binary.

mod parameters;

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web::Data};
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{
        ArrayBuilder, Components, Content, HeaderBuilder,
        HttpMethod::{self, Delete, Get, Patch, Post},
        InfoBuilder, License, ObjectBuilder, OneOfBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
        Response, Schema, SecurityRequirement, Server, Type,
        path::{Operation, Parameter},
        request_body::{RequestBody, RequestBodyBuilder},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
        tag::TagBuilder,
    },
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::parameters::string;
use crate::{
    api::{credentials, doors, event, event_schema::NewEvent, incomplete, list, stats, token},
    doors::Verification,
    http::{
        Context, TOKEN_PARAMETER,
        error::{self, ErrorBody, ErrorKind, KINDS},
        manage::NewCredential,
        schema::Success,
    },
    ingest,
    model::{credential::Scope, limits::QueryLimits, route::Route},
};

/// Serves the description.
pub(super) async fn json(context: Data<Context>) -> HttpResponse {
    HttpResponse::Ok().json(describe(&context.query_limits, &context.routes))
}

/// Serves the pages that show it.
pub(super) fn pages() -> SwaggerUi {
    let config = Config::from("/openapi.json").validator_url("none").persist_authorization(false);
    SwaggerUi::new("/docs/{_:.*}").config(config)
}

/// The OpenAPI 3.1 description of a server with these limits whose configuration has no routes.
pub fn document(limits: &QueryLimits) -> Value {
    serde_json::to_value(describe(limits, &[])).unwrap_or_default()
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const SECRETS: &str = "/v1/credentials/{clientId}/secrets";
const CLIENT_ID: &str = "^[A-Za-z0-9._-]{1,128}$";

/// Errors of every operation that needs a credential.
const AUTHENTICATED: &[&ErrorKind] =
    &[error::NOT_AUTHENTICATED, error::FORBIDDEN, error::RATE_LIMITED, error::INTERNAL, error::OVERLOADED];
/// The header of the response to a retry.
const REPLAYED: &str =
    "true if the request is a retry by its Idempotency-Key; the response is that to the first request";
/// Errors of every query.
const QUERY: &[&ErrorKind] = &[error::INVALID_REQUEST, error::QUERY_TIMEOUT, error::CLIENT_CLOSED];
/// Errors of every operation with a body.
const WITH_BODY: &[&ErrorKind] = &[
    error::INVALID_REQUEST,
    error::MALFORMED_BODY,
    error::PAYLOAD_TOO_LARGE,
    error::REQUEST_TIMEOUT,
    error::DISK_FULL,
];
/// Errors of every change to a credential.
const CHANGE: &[&ErrorKind] = &[error::NOT_FOUND, error::CONFLICT, error::INVALID_REQUEST, error::DISK_FULL];

fn describe(limits: &QueryLimits, routes: &[Route]) -> OpenApi {
    let groups = [
        ("Events", "Send, query, export and follow audit events.", events(limits)),
        (
            "Routes",
            "Take records that other systems deliver, as [[routes]] of the configuration says.",
            deliveries(routes),
        ),
        ("Credentials", "Access tokens, and who may use this server.", credentials()),
        ("Monitoring", "The state of the server.", monitoring()),
    ];
    let tags = groups.each_ref().map(|(name, text, _)| TagBuilder::new().name(*name).description(Some(*text)).build());
    let (mut paths, mut components) = (Paths::new(), Components::new());
    components.schemas = schemas_of::<ErrorBody<'_>>();
    for (tag, _, endpoints) in groups {
        for mut endpoint in endpoints {
            endpoint.add_errors();
            endpoint.operation.tags = Some(vec![tag.to_owned()]);
            paths.add_path_operation(endpoint.path, vec![endpoint.method], endpoint.operation);
            components.schemas.append(&mut endpoint.schemas);
        }
    }
    let token = "An access token from /v1/auth/access_token, an API token (abx_…), or <client id>.<secret>.";
    let password = "A client id and its secret; or any name, and a token as the password. Only requests that send events may use \
                    it.";
    let parameter = "A token of either kind. Only requests that send events may use it. Senders may also use the schemes ApiKey \
                     and Splunk, or no scheme, in Authorization.";
    let session = "The session of a user who signed in with a browser. Over TLS the cookie's name begins with __Host-. A \
                   request that changes something must come from a page of this server.";
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(token)).build();
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description("auditbox_session", session));
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let mut license = License::new(LICENSE);
    license.identifier = Some(LICENSE.to_owned());
    let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some(password)).build();
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    let query = ApiKey::Query(ApiKeyValue::with_description(TOKEN_PARAMETER, parameter));
    components.add_security_scheme("accessToken", SecurityScheme::ApiKey(query));
    let info = InfoBuilder::new()
        .title("auditbox")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Who did what, to what, when, and what changed."))
        .license(Some(license));
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([Server::new("/")]))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components))
        .build()
}

fn events(limits: &QueryLimits) -> Vec<Endpoint> {
    let file = "Every event that matched when the export began, without a limit by default. A connection that breaks means \
                that the file is incomplete. In CSV, an apostrophe precedes a cell that begins like a formula; in NDJSON, a \
                line is the stored event.";
    let messages = "Server-sent events in the order of arrival, without end. The data of each message is an event, its id \
                    the cursor after it.";
    vec![
        Endpoint::new(Get, "/v1/audit-log", "listEvents", "List the events that match all filters")
            .needs(Scope::Read)
            .parameters(parameters::of_list(limits))
            .returns::<list::EventList>(200, "The matching events")
            .header("Link", Type::String, "The next page's URL, rel=\"next\"")
            .header("X-Limit-Clamped", Type::Integer, "The limit in force, if the request asked for more")
            .header(
                "X-List-Truncated",
                Type::Integer,
                "The default limit, if the request had none and more events match",
            )
            .header(incomplete::HEADER, Type::String, incomplete::HEADER_SUMMARY)
            .fails(QUERY),
        Endpoint::new(Post, "/v1/audit-log", "sendEvents", "Store events; the response means they are on disk")
            .needs(Scope::Ingest)
            .parameters(parameters::of_ingest())
            .takes_events()
            .returns::<ingest::IngestResponse>(201, "Events were stored")
            .header(ingest::REPLAYED_HEADER, Type::String, REPLAYED)
            .returns::<ingest::IngestResponse>(200, "No event was new, or partial=true")
            .header(ingest::REPLAYED_HEADER, Type::String, REPLAYED)
            .fails(&[error::CONFLICT]),
        Endpoint::new(Get, "/v1/audit-log/stats", "countEvents", "Count events, by value and over time")
            .needs(Scope::Read)
            .parameters(parameters::of_stats(limits))
            .returns::<stats::StatsResponse<'_>>(200, "The counts")
            .header(incomplete::HEADER, Type::String, incomplete::HEADER_SUMMARY)
            .fails(QUERY),
        Endpoint::new(Get, "/v1/audit-log/export", "exportEvents", "Download the matching events as a file")
            .needs(Scope::Read)
            .parameters(parameters::of_export(limits))
            .returns_text(file, &["text/csv", NDJSON])
            .header("Content-Disposition", Type::String, "A name for the file")
            .header(incomplete::HEADER, Type::String, incomplete::HEADER_SUMMARY)
            .fails(QUERY),
        Endpoint::new(Get, "/v1/audit-log/stream", "streamEvents", "Follow the log as events arrive")
            .needs(Scope::Read)
            .parameters(parameters::of_stream(limits))
            .returns_text(messages, &["text/event-stream"])
            .header(incomplete::HEADER, Type::String, incomplete::HEADER_SUMMARY)
            .fails(QUERY),
        event(
            "/v1/audit-log/{identifier}",
            "getEvent",
            "Get one event, unless its identifier is stats, export or stream",
        ),
        event("/v1/events/{identifier}", "getEventByIdentifier", "Get one event"),
    ]
}

fn event(path: &'static str, id: &str, summary: &str) -> Endpoint {
    let identifier = "The event's identifier, percent-encoded. Most clients resolve the identifiers . and .. as directories: use \
                      the parameter identifier of the list for them";
    Endpoint::new(Get, path, id, summary)
        .needs(Scope::Read)
        .parameters(vec![parameters::path("identifier", identifier, string().min_length(Some(1)))])
        .returns::<event::EventResponse>(200, "The event")
        .fails(QUERY)
        .fails(&[error::NOT_FOUND, error::DAMAGED])
}

fn deliveries(routes: &[Route]) -> Vec<Endpoint> {
    let name = || {
        let names: Vec<_> = routes.iter().map(|route| route.name.clone()).collect();
        let schema = if names.is_empty() { string() } else { string().enum_values(Some(names)) };
        parameters::path("route", "The name of the route", schema)
    };
    let receive = |path, id, parameters| {
        let stored = "All records that can be read are on disk. A record that cannot be read costs no other";
        Endpoint::new(Post, path, id, "Deliver records to a route")
            .needs(Scope::Ingest)
            .also("A route with a signature needs the signature instead.")
            .parameters(parameters)
            .takes_records()
            .returns::<ingest::IngestResponse>(200, stored)
            .header(ingest::REPLAYED_HEADER, Type::String, REPLAYED)
            .fails(&[error::NOT_FOUND, error::TOO_MANY_REQUESTS])
    };
    let secret = parameters::path("secret", "A token, for senders that cannot set a header", string());
    vec![
        Endpoint::new(Get, "/in/{route}", "verifyRoute", "Answer the request by which Okta verifies an address")
            .parameters(vec![name(), parameters::of_verification()])
            .returns::<Verification>(200, "The challenge")
            .fails(&[error::INVALID_REQUEST]),
        receive("/in/{route}", "deliverRecords", vec![name()]),
        receive("/in/{route}/{secret}", "deliverRecordsWithSecret", vec![name(), secret]).without("session"),
    ]
}

fn credentials() -> Vec<Endpoint> {
    let client_id =
        || vec![parameters::path("clientId", "The credential's client id", string().pattern(Some(CLIENT_ID)))];
    let login = "Get an access token for a client id and secret";
    vec![
        Endpoint::new(Post, "/v1/auth/access_token", "createAccessToken", login)
            .takes::<token::Login>()
            .returns::<token::LoginResponse>(200, "A token")
            .fails(&[
                error::FORBIDDEN,
                error::INVALID_CREDENTIALS,
                error::RATE_LIMITED,
                error::INTERNAL,
                error::OVERLOADED,
            ]),
        Endpoint::new(Get, "/v1/credentials", "listCredentials", "List all credentials, also revoked ones")
            .needs(Scope::Admin)
            .returns::<credentials::CredentialList>(200, "The credentials")
            .fails(&[error::CLIENT_CLOSED]),
        Endpoint::new(Post, "/v1/credentials", "createCredential", "Create a credential")
            .needs(Scope::Admin)
            .takes::<NewCredential>()
            .returns::<credentials::CreatedResponse>(201, "The credential, with its secrets")
            .fails(&[error::CONFLICT]),
        Endpoint::new(Patch, "/v1/credentials/{clientId}", "switchCredential", "Disable or enable a credential")
            .needs(Scope::Admin)
            .parameters(client_id())
            .takes::<credentials::CredentialSwitch>()
            .returns::<Success>(200, "Done")
            .fails(CHANGE),
        Endpoint::new(Delete, "/v1/credentials/{clientId}", "revokeCredential", "Revoke a credential permanently")
            .needs(Scope::Admin)
            .parameters(client_id())
            .returns::<Success>(200, "Done")
            .fails(CHANGE),
        Endpoint::new(Post, SECRETS, "addSecret", "Add a secret to a credential; the earlier ones stay valid")
            .needs(Scope::Admin)
            .parameters(client_id())
            .returns::<credentials::CreatedResponse>(201, "The credential, with its new secret")
            .fails(CHANGE),
        Endpoint::new(Delete, SECRETS, "retireSecrets", "Retire all secrets of a credential except the newest")
            .needs(Scope::Admin)
            .parameters(client_id())
            .returns::<Success>(200, "Done")
            .fails(CHANGE),
    ]
}

/// The license as an SPDX expression. In OpenAPI 3.1, generators of clients require an identifier of it.
const LICENSE: &str = env!("CARGO_PKG_LICENSE");

/// The header of a response to a challenge.
const PROOF: &str = "If the request has a challenge: the proof that this server has the database file open, 43 characters of \
                     base64url. Only a program that can read the file can check it";

fn monitoring() -> Vec<Endpoint> {
    let metrics = "Read the server's metrics in the Prometheus text format";
    vec![
        Endpoint::new(Get, "/healthz", "getHealth", "Check whether the process responds")
            .parameters(parameters::of_health())
            .returns::<Success>(200, "Yes")
            .header("X-Auditbox-Proof", Type::String, PROOF),
        Endpoint::new(Get, "/readyz", "getReadiness", "Check whether the process accepts writes")
            .returns::<Success>(200, "Yes")
            .fails(&[error::OVERLOADED]),
        Endpoint::new(Get, "/metrics", "getMetrics", metrics)
            .needs(Scope::Metrics)
            .returns_text("The metrics, each with its type and a description", &["text/plain"]),
        Endpoint::new(Get, "/v1/doors", "listDoors", "List the doors and routes, and what arrived by each")
            .needs(Scope::Admin)
            .returns::<doors::DoorList>(200, "The doors and routes"),
    ]
}

/// An operation under construction.
struct Endpoint {
    method: HttpMethod,
    path: &'static str,
    operation: Operation,
    /// The success that was added last is the one that headers belong to.
    status: u16,
    errors: Vec<&'static ErrorKind>,
    /// The schemas that the operation refers to.
    schemas: BTreeMap<String, RefOr<Schema>>,
}

impl Endpoint {
    /// An operation that needs no credential.
    fn new(method: HttpMethod, path: &'static str, id: &str, summary: &str) -> Self {
        let mut operation = Operation::new();
        operation.operation_id = Some(id.to_owned());
        operation.summary = Some(summary.to_owned());
        operation.security = Some(Vec::new());
        Self { method, path, operation, status: 200, errors: Vec::new(), schemas: BTreeMap::new() }
    }

    fn needs(mut self, scope: Scope) -> Self {
        let name = scope.name();
        let alternative = if scope == Scope::Metrics { " or `admin`" } else { "" };
        self.operation.description = Some(format!("Needs the scope `{name}`{alternative}."));
        let schemes: &[_] = match scope {
            Scope::Ingest => &["bearer", "session", "basic", "accessToken"],
            _ => &["bearer", "session"],
        };
        self.operation.security =
            Some(schemes.iter().map(|scheme| SecurityRequirement::new(*scheme, [name])).collect());
        self.fails(AUTHENTICATED)
    }

    fn parameters(mut self, parameters: Vec<Parameter>) -> Self {
        self.operation.parameters = Some(parameters.into_iter().map(RefOr::T).collect());
        self
    }

    /// Adds a JSON body.
    fn takes<T: ToSchema>(mut self) -> Self {
        self.schemas.extend(schemas_of::<T>());
        self.body(RequestBodyBuilder::new().content(JSON, Content::new(Some(Ref::from_schema_name(T::name())))))
    }

    /// Adds a body of one or more events.
    fn takes_events(mut self) -> Self {
        self.schemas.extend(schemas_of::<NewEvent>());
        let event = Ref::from_schema_name(NewEvent::name());
        let events = ArrayBuilder::new().items(event.clone());
        let json = Content::new(Some(OneOfBuilder::new().item(event).item(events)));
        self.body(RequestBodyBuilder::new().content(JSON, json).content(NDJSON, Content::new(Some(string()))))
    }

    /// Adds a body of one or more records in the format of the sender.
    fn takes_records(self) -> Self {
        self.body(
            RequestBodyBuilder::new()
                .content(JSON, Content::new(None::<Ref>))
                .content(NDJSON, Content::new(Some(string()))),
        )
    }

    /// Removes a way to authenticate.
    fn without(mut self, scheme: &str) -> Self {
        let is_other = |requirement: &SecurityRequirement| {
            serde_json::to_value(requirement).is_ok_and(|requirement| requirement.get(scheme).is_none())
        };
        if let Some(security) = &mut self.operation.security {
            security.retain(is_other);
        }
        self
    }

    /// Adds a sentence to the description.
    fn also(mut self, sentence: &str) -> Self {
        let description = self.operation.description.take().unwrap_or_default();
        self.operation.description = Some(format!("{description} {sentence}"));
        self
    }

    fn body(mut self, body: RequestBodyBuilder) -> Self {
        let body: RequestBody = body.required(Some(Required::True)).build();
        self.operation.request_body = Some(RefOr::T(body));
        self.fails(WITH_BODY)
    }

    /// Adds a success with a JSON body.
    fn returns<T: ToSchema>(mut self, status: u16, description: &str) -> Self {
        self.schemas.extend(schemas_of::<T>());
        self.respond(status, json_response::<T>(description))
    }

    /// Adds a success with a body of one of these media types.
    fn returns_text(self, description: &str, types: &[&str]) -> Self {
        let mut response = Response::new(description);
        response.content = types.iter().map(|name| ((*name).to_owned(), Content::new(Some(string())).into())).collect();
        self.respond(200, response)
    }

    fn respond(mut self, status: u16, response: Response) -> Self {
        self.operation.responses.responses.insert(status.to_string(), RefOr::T(response));
        self.status = status;
        self
    }

    fn header(mut self, name: &str, kind: Type, description: &str) -> Self {
        let schema = ObjectBuilder::new().schema_type(kind);
        let header = HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build();
        if let Some(RefOr::T(response)) = self.operation.responses.responses.get_mut(&self.status.to_string()) {
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
        self
    }

    fn fails(mut self, errors: &[&'static ErrorKind]) -> Self {
        self.errors.extend(errors);
        self
    }

    /// Adds the errors by status. Several kinds may share one.
    fn add_errors(&mut self) {
        let responses = &mut self.operation.responses.responses;
        for kind in KINDS.iter().filter(|known| self.errors.iter().any(|kind| kind.code == known.code)) {
            let text = format!("`{}`: {}", kind.code, kind.summary);
            match responses.get_mut(kind.status.as_str()) {
                Some(RefOr::T(response)) => response.description = format!("{}; {text}", response.description),
                _ => {
                    let response = json_response::<ErrorBody<'_>>(&text);
                    responses.insert(kind.status.as_str().to_owned(), RefOr::T(response));
                }
            }
        }
    }
}

fn json_response<T: ToSchema>(description: &str) -> Response {
    let mut response = Response::new(description);
    response.content.insert(JSON.to_owned(), RefOr::T(Content::new(Some(Ref::from_schema_name(T::name())))));
    response
}

/// The schema of a type, and of the types in it, by name.
fn schemas_of<T: ToSchema>() -> BTreeMap<String, RefOr<Schema>> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{field::FIELDS, query::CONTROLS};

    #[test]
    fn every_filter_and_control_is_a_parameter() {
        let document = document(&QueryLimits::default());
        let parameters = document["paths"]["/v1/audit-log"]["get"]["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for name in FIELDS.iter().flat_map(|spec| spec.parameters) {
            assert!(names.contains(name) && names.contains(&format!("not.{name}").as_str()), "{name}");
        }
        assert!(CONTROLS.iter().all(|control| names.contains(&control.name)));
    }
}
