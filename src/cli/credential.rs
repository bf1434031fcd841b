//! `credential`: who may use the server. Works on the file itself. A running server lets a new credential in at once, and
//! ends one within a quarter of a second.

use clap::Subcommand;
use comfy_table::{Table, presets};

use crate::{
    cli::Failure,
    config::Config,
    model::{
        credential::{ActorType, ClientId, Credential, CredentialChange, CredentialName, Issued, Scopes},
        duration, own,
        timestamp::Timestamp,
        token,
    },
    store,
};

/// Make, list, switch off and revoke credentials
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  auditbox credential create --name ci --scope ingest
  auditbox credential create --name auditor --scope read --type user --expires 90d
  auditbox credential list
  auditbox credential disable ci")]
pub(super) enum Command {
    /// Make a credential, and show its secret this once
    #[command(after_help = "Example:\n  auditbox credential create --name ci --scope ingest,read --expires 90d")]
    Create {
        /// What the record calls it; never given twice
        #[arg(long, value_parser = CredentialName::parse)]
        name: CredentialName,
        /// What it may do: some of ingest,read,admin,metrics
        #[arg(long = "scope", value_name = "SCOPES", value_parser = Scopes::parse)]
        scopes: Scopes,
        /// What kind of actor it is: `user` or `service_account`
        #[arg(long = "type", value_name = "TYPE", value_parser = ActorType::parse, default_value = "service_account")]
        actor_type: ActorType,
        /// How long it is good for, such as 90d or 12h; without it, until it is revoked
        #[arg(long, value_name = "DURATION", value_parser = duration::parse_seconds)]
        expires: Option<u64>,
    },
    /// List the credentials, revoked ones included
    #[command(after_help = "Example:\n  auditbox credential list")]
    List,
    /// Switch a credential off; `enable` switches it on again
    #[command(after_help = "Example:\n  auditbox credential disable ci")]
    Disable {
        /// Its name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
    /// Switch a disabled credential on again
    #[command(after_help = "Example:\n  auditbox credential enable ci")]
    Enable {
        /// Its name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
    /// Revoke a credential for good
    #[command(after_help = "Example:\n  auditbox credential revoke ci")]
    Revoke {
        /// Its name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
}

/// Does what the command says.
pub(super) fn run(config: &Config, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create { name, scopes, actor_type, expires } => create(config, name, scopes, actor_type, expires),
        Command::List => list(config),
        Command::Disable { credential } => change(config, &credential, "disabled", CredentialChange::Disable),
        Command::Enable { credential } => change(config, &credential, "enabled", CredentialChange::Enable),
        Command::Revoke { credential } => change(config, &credential, "revoked", CredentialChange::Revoke),
    }
}

/// Prints a new credential with its secrets; returns its API token.
pub(super) fn show_secret(issued: &Issued) -> String {
    let token = token::api_token(&issued.credential.client_id, &issued.secret);
    println!("  name           {}", issued.credential.name.as_str());
    println!("  client id      {}", issued.credential.client_id.as_str());
    println!("  client secret  {}", issued.secret.reveal());
    println!("  API token      {token}");
    token
}

fn create(
    config: &Config,
    name: CredentialName,
    scopes: Scopes,
    actor_type: ActorType,
    expires: Option<u64>,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let expires_at = expires.map(|seconds| now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
    let issued = Issued::generate(name, actor_type, scopes, now, expires_at)
        .map_err(|error| Failure::new(format!("no random numbers to be had: {error}")))?;
    apply(config, &issued.credential, &CredentialChange::Create(issued.credential.clone()))?;
    println!("The secret and the token are shown only now:\n");
    show_secret(&issued);
    Ok(())
}

fn list(config: &Config) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["NAME", "CLIENT ID", "TYPE", "SCOPES", "STATE", "EXPIRES"]);
    for credential in store::credentials(&config.database.path)? {
        table.add_row([
            credential.name.as_str().to_owned(),
            credential.client_id.as_str().to_owned(),
            credential.actor_type.name().to_owned(),
            credential.scopes.to_string(),
            credential.state(now).to_owned(),
            credential.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn change(
    config: &Config,
    wanted: &str,
    done: &str,
    change: impl FnOnce(ClientId) -> CredentialChange,
) -> Result<(), Failure> {
    let known = store::credentials(&config.database.path)?;
    let credential = known
        .into_iter()
        .find(|credential| credential.name.as_str() == wanted || credential.client_id.as_str() == wanted)
        .ok_or_else(|| Failure::new(format!("there is no credential {wanted:?}; see `auditbox credential list`")))?;
    apply(config, &credential, &change(credential.client_id.clone()))?;
    println!("{} is {done}; a running server applies this within a quarter of a second", credential.name.as_str());
    Ok(())
}

/// Makes the change in the file, and the record of it.
fn apply(config: &Config, credential: &Credential, change: &CredentialChange) -> Result<(), Failure> {
    let record = own::command_line_event(change.action(), credential.name.as_str(), credential.client_id.as_str())?;
    Ok(store::change_credential_directly(&config.database.path, change, record)??)
}
