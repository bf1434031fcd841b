//! `serve`: the server, and its output at the first start.

use std::env;

use crate::{
    cli::{bar::TerminalProgress, credential, failure::Failure, local, login_link, output::Output, status},
    config::Config,
    logging,
    model::{
        credential::{ActorType, ClientId, Credential, CredentialChange, CredentialName, Issued, Scopes, Secret},
        field::FieldDefinition,
        self_audit,
        timestamp::Timestamp,
    },
    server::{Application, Endpoint},
    store::{self, Options, QueueLimits, Retention, Store, Writer},
};

/// The name of the credential that the first start creates.
const ADMIN_NAME: &str = "admin";

/// Opens the file and serves it until a signal to stop.
pub(super) fn run(config: &Config, out: &mut Output) -> Result<(), Failure> {
    // Before the file is opened, because opening it logs damage.
    start_log(config)?;
    let start = Start::prepare(config)?;
    let retention = Retention { rules: config.retention.clone(), every: store::RETENTION_EVERY };
    let store = open_with(config, Some(retention), Some(config.fields.clone()))?;
    serve(config, start, store, out)
}

/// The parts of a start other than the database. They are checked first, so that a failed start does not leave a database
/// without a credential.
pub(super) struct Start {
    endpoint: Endpoint,
    /// The first credential, if the operator has chosen it.
    chosen: Option<(ClientId, Secret)>,
}

impl Start {
    /// Checks the chosen credential and the certificate, and reserves the address.
    pub(super) fn prepare(config: &Config) -> Result<Self, Failure> {
        Ok(Self { chosen: chosen_by_environment()?, endpoint: Endpoint::bind(config)? })
    }
}

/// Starts the server log.
pub(super) fn start_log(config: &Config) -> Result<(), Failure> {
    logging::init(&config.log).map_err(|error| Failure::new(format!("the server log cannot be started: {error}")))
}

/// Opens the configured file for writing, without retention.
pub(super) fn open(config: &Config) -> Result<Store, Failure> {
    open_with(config, None, None)
}

fn open_with(
    config: &Config,
    retention: Option<Retention>,
    fields: Option<Vec<FieldDefinition>>,
) -> Result<Store, Failure> {
    let queue = QueueLimits { events_max: config.limits.queue_events_max, bytes_max: config.limits.queue_bytes_max };
    let options = Options {
        path: config.database.path.clone(),
        readers: config.database.readers,
        queue,
        chunk_events: store::CHUNK_EVENTS,
        wal_bytes_max: config.database.wal_bytes_max,
        retention,
        fields,
    };
    Ok(Store::open(&options, &TerminalProgress::default())?)
}

/// Serves an open store until a signal to stop.
pub(super) fn serve(config: &Config, start: Start, store: Store, out: &mut Output) -> Result<(), Failure> {
    // The first credential is shown only once, so everything that can fail comes first.
    let endpoint = start.endpoint.listen()?;
    let first = make_first_credential(&store, start.chosen)?;
    let (key, writer) = (store.reader.access_token_key()?, store.writer.clone());
    actix_web::rt::System::new().block_on(async {
        let application = Application::build(config, endpoint, store)?;
        // The configured port may be 0; from here on it is the real one.
        let mut config = config.clone();
        config.server.listen = application.address();
        let url = status::own_url(&config);
        let _published = local::Published::new(&config);
        let path = config.database.path.display();
        out.line(format_args!("auditbox {} serves {path} at {url}", env!("CARGO_PKG_VERSION")));
        if let Some(issued) = &first {
            greet(&url, issued, out);
            out.line("Open this in a browser within five minutes, or print another link with `auditbox login-link`:");
            let code = login_link::code(&key, &issued.credential, Timestamp::now())?;
            out.line("");
            out.line(format_args!("  {}", login_link::link(&url, &code)));
            out.line("");
        }
        match (out.deliver(), &first) {
            (Err(failure), Some(issued)) => return Err(take_back(&writer, issued, failure).await),
            // The address is known from the configuration, and events must be accepted.
            (Err(failure), None) => tracing::warn!("{failure}; the server runs"),
            (Ok(()), _) => {}
        }
        drop(writer);
        application.run_until_stopped().await.map_err(Failure::from)
    })
}

/// Revokes the first credential if its secret could not be shown.
async fn take_back(writer: &Writer, issued: &Issued, failure: Failure) -> Failure {
    let credential = &issued.credential;
    let change = CredentialChange::Withdraw(credential.client_id.clone());
    let revoke = async || -> Result<(), Failure> {
        let record = self_audit::command_line_event(change.action(), ADMIN_NAME, credential.client_id.as_str())?;
        Ok(writer.change(change.clone(), writer.prepare(record))?.settled().await?)
    };
    let next = "Create another one with `auditbox credential create --name NAME --scope ingest,read,admin --type user`, and \
                start the server again.";
    failure.with_advice(credential::not_shown(credential, revoke().await, next))
}

/// Creates a credential with every scope if there is no credential; returns it if its secret has to be shown.
fn make_first_credential(store: &Store, chosen: Option<(ClientId, Secret)>) -> Result<Option<Issued>, Failure> {
    let known = store.reader.credentials()?;
    if !known.is_empty() {
        if let Some((id, secret)) = &chosen
            && !known.iter().any(|credential| credential.client_id == *id && credential.secrets.include(secret))
        {
            tracing::warn!(
                "AUDITBOX_ADMIN_CLIENT_ID and AUDITBOX_ADMIN_CLIENT_SECRET match no credential in this file and are ignored: \
                 only the first start uses them"
            );
        }
        return Ok(None);
    }
    let name = CredentialName::parse(ADMIN_NAME).map_err(Failure::new)?;
    let mut issued = Issued::generate(name, ActorType::User, Scopes::ALL, Timestamp::now(), None)
        .map_err(|error| Failure::new(format!("the system provides no random numbers: {error}")))?;
    let is_chosen = chosen.is_some();
    if let Some((client_id, secret)) = chosen {
        issued.credential = Credential { client_id, secrets: secret.hash().into(), ..issued.credential };
        issued.secret = secret;
    }
    let record = self_audit::command_line_event("credential.create", ADMIN_NAME, issued.credential.client_id.as_str())?;
    let change = CredentialChange::Create(issued.credential.clone());
    store.writer.change(change, store.writer.prepare(record))?.wait()?;
    Ok((!is_chosen).then_some(issued))
}

fn chosen_by_environment() -> Result<Option<(ClientId, Secret)>, Failure> {
    const ID: &str = "AUDITBOX_ADMIN_CLIENT_ID";
    const SECRET: &str = "AUDITBOX_ADMIN_CLIENT_SECRET";
    match (env::var(ID), env::var(SECRET)) {
        (Ok(id), Ok(secret)) => {
            let id = ClientId::parse(&id).map_err(|message| Failure::new(format!("{ID}: {message}")))?;
            let secret = Secret::choose(&secret).map_err(|message| Failure::new(format!("{SECRET}: {message}")))?;
            Ok(Some((id, secret)))
        }
        (Err(_), Err(_)) => Ok(None),
        _ => Err(Failure::new(format!("set both {ID} and {SECRET}, or neither"))),
    }
}

/// Shows the first credential, and commands that use it.
fn greet(url: &str, issued: &Issued, out: &mut Output) {
    out.line("");
    out.line(
        "This is the first start with this file. auditbox created a credential with every scope; it is shown only now:",
    );
    out.line("");
    let token = credential::show_secret(issued, out);
    out.line("");
    out.line("Send an event and query it:");
    out.line("");
    out.line(format_args!("  curl -X POST {url}/v1/audit-log -H 'Authorization: Bearer {token}' \\"));
    out.line(
        r#"    -d '{"action":"CREATE","resourceType":"entity","context":{"entity":"hello","blueprint":"service"}}'"#,
    );
    out.line(format_args!("  curl '{url}/v1/audit-log?entity=hello' -H 'Authorization: Bearer {token}'"));
    out.line("");
}
