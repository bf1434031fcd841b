//! `credential`: management of credentials in the file itself. A running server accepts a new credential at once and rejects
//! a disabled or revoked one within a quarter of a second.

use std::fmt::Display;

use clap::Subcommand;

use crate::{
    api,
    cli::{failure::Failure, output::Output},
    config::Config,
    model::{
        credential::{ActorType, ClientId, Credential, CredentialChange, CredentialName, Issued, Scopes, Secret},
        duration,
        networks::Networks,
        self_audit,
        timestamp::Timestamp,
        token,
    },
    store,
};

/// Create, list, change and revoke credentials
#[derive(Subcommand)]
#[command(after_help = "\
Examples:
  auditbox credential create --name ci --scope ingest
  auditbox credential create --name auditor --scope read --type user --expires 90d
  auditbox credential list
  auditbox credential disable ci")]
pub(super) enum CredentialCommand {
    /// Create a credential and show its secret, which is shown only once
    #[command(after_help = "Example:\n  auditbox credential create --name ci --scope ingest,read --expires 90d")]
    Create {
        /// Name in the audit log; no two credentials may share one
        #[arg(long, value_parser = CredentialName::parse)]
        name: CredentialName,
        /// Scopes, separated by commas: ingest, read, admin, metrics
        #[arg(long = "scope", value_name = "SCOPES", value_parser = Scopes::parse)]
        scopes: Scopes,
        /// Type of actor: `user` or `service_account`
        #[arg(long = "type", value_name = "TYPE", value_parser = ActorType::parse, default_value = "service_account")]
        actor_type: ActorType,
        /// Lifetime, such as 90d or 12h; without it, the credential is valid until it is revoked
        #[arg(long, value_name = "DURATION", value_parser = duration::parse_seconds)]
        expires: Option<u64>,
        /// Addresses and ranges from which it is accepted, separated by commas, such as 10.0.0.0/8; without it, from any
        #[arg(long, value_name = "ADDRESSES", value_parser = Networks::parse)]
        allow_ip: Option<Networks>,
        /// Print the credential as JSON, with clientId, clientSecret and apiToken
        #[arg(long)]
        json: bool,
    },
    /// List all credentials, including revoked ones
    #[command(after_help = "Examples:\n  auditbox credential list\n  auditbox credential list --json | jq -r .name")]
    List {
        /// Print one credential per line as JSON
        #[arg(long)]
        json: bool,
    },
    /// Disable a credential; `enable` enables it again
    #[command(after_help = "Example:\n  auditbox credential disable ci")]
    Disable {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
    /// Enable a disabled credential
    #[command(after_help = "Example:\n  auditbox credential enable ci")]
    Enable {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
    /// Add a secret to a credential and show it; the earlier ones stay valid
    ///
    /// Give the new secret to the sender, then retire the earlier ones with `retire-secrets`.
    #[command(after_help = "Example:\n  auditbox credential add-secret ci")]
    AddSecret {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
        /// Print the credential as JSON, with clientId, clientSecret and apiToken
        #[arg(long)]
        json: bool,
    },
    /// Retire all secrets of a credential except the newest
    #[command(after_help = "Example:\n  auditbox credential retire-secrets ci")]
    RetireSecrets {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
    /// Set the addresses from which a credential is accepted
    #[command(after_help = "\
Examples:
  auditbox credential allow-ip ci 10.0.0.0/8,192.0.2.7
  auditbox credential allow-ip ci any")]
    AllowIp {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
        /// Addresses and ranges, separated by commas; or `any`
        #[arg(value_parser = parse_allowed)]
        addresses: Networks,
    },
    /// Revoke a credential permanently
    #[command(after_help = "Example:\n  auditbox credential revoke ci")]
    Revoke {
        /// Name or client id
        #[arg(allow_hyphen_values = true)]
        credential: String,
    },
}

/// Runs one of the commands.
pub(super) fn run(config: &Config, command: CredentialCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        CredentialCommand::Create { name, scopes, actor_type, expires, allow_ip, json } => {
            let now = Timestamp::now();
            let expires_at = expires.map(|seconds| now.plus_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
            let mut issued = Issued::generate(name, actor_type, scopes, now, expires_at).map_err(no_random_numbers)?;
            issued.credential.allowed = allow_ip.unwrap_or_default();
            create(config, &issued, json, out)
        }
        CredentialCommand::List { json } => list(config, json, out),
        CredentialCommand::Disable { credential } => {
            change(config, &credential, "disabled", CredentialChange::Disable, out)
        }
        CredentialCommand::Enable { credential } => {
            change(config, &credential, "enabled", CredentialChange::Enable, out)
        }
        CredentialCommand::AddSecret { credential, json } => add_secret(config, &credential, json, out),
        CredentialCommand::RetireSecrets { credential } => {
            change(config, &credential, "valid with its newest secret alone", CredentialChange::RetireSecrets, out)
        }
        CredentialCommand::AllowIp { credential, addresses } => {
            let from = if addresses.is_empty() { "any address".to_owned() } else { addresses.to_string() };
            let done = format!("accepted from {from}");
            change(config, &credential, &done, |client_id| CredentialChange::Allow(client_id, addresses), out)
        }
        CredentialCommand::Revoke { credential } => {
            change(config, &credential, "revoked", CredentialChange::Revoke, out)
        }
    }
}

/// The addresses of an argument; `any` is an empty list.
fn parse_allowed(text: &str) -> Result<Networks, String> {
    let addresses = if text == "any" { Networks::default() } else { Networks::parse(text)? };
    if addresses.is_empty() && text != "any" {
        return Err("must list addresses or ranges, or be `any`".to_owned());
    }
    Ok(addresses)
}

fn no_random_numbers(error: impl Display) -> Failure {
    Failure::new(format!("the system provides no random numbers: {error}"))
}

/// Prints a new credential with its secrets; returns its API token.
pub(super) fn show_secret(issued: &Issued, out: &mut Output) -> String {
    let token = token::api_token(&issued.credential.client_id, &issued.secret);
    out.line(format_args!("  name           {}", issued.credential.name.as_str()));
    out.line(format_args!("  client id      {}", issued.credential.client_id.as_str()));
    out.line(format_args!("  client secret  {}", issued.secret.reveal()));
    out.line(format_args!("  API token      {token}"));
    token
}

/// Creates a credential and shows its secret. If the secret cannot be shown, the credential is revoked.
fn create(config: &Config, issued: &Issued, json: bool, out: &mut Output) -> Result<(), Failure> {
    let credential = &issued.credential;
    apply(config, credential, &CredentialChange::Create(credential.clone()))?;
    show(issued, json, out)?;
    out.deliver().map_err(|failure| {
        let revoked = apply(config, credential, &CredentialChange::Withdraw(credential.client_id.clone()));
        failure.with_advice(not_shown(credential, revoked, "Create another one with another name."))
    })
}

fn show(issued: &Issued, json: bool, out: &mut Output) -> Result<(), Failure> {
    if json {
        out.event(&api::created_json(issued, Timestamp::now())?);
    } else {
        out.line("The secret and the token are shown only now:");
        out.line("");
        show_secret(issued, out);
    }
    Ok(())
}

/// Adds a secret and shows it.
fn add_secret(config: &Config, wanted: &str, json: bool, out: &mut Output) -> Result<(), Failure> {
    let known = store::credentials(&config.database.path)?;
    let mut credential = find(&known, wanted)?.clone();
    let secret = Secret::generate().map_err(no_random_numbers)?;
    apply(config, &credential, &CredentialChange::AddSecret(credential.client_id.clone(), secret.hash()))?;
    credential.secrets = credential.secrets.with(secret.hash()).unwrap_or(credential.secrets);
    let issued = Issued { credential, secret };
    show(&issued, json, out)?;
    let name = issued.credential.name.as_str();
    out.deliver().map_err(|failure| {
        failure.with_advice(format!("The new secret of {name:?} could not be shown. Nobody has it; add another one."))
    })
}

/// Advice after a secret that could not be shown: whether its credential was revoked, and what to do next.
pub(super) fn not_shown(credential: &Credential, revoked: Result<(), Failure>, next: &str) -> String {
    let name = credential.name.as_str();
    match revoked {
        Ok(()) => format!("The secret of the credential {name:?} could not be shown, so it was revoked. {next}"),
        Err(error) => format!(
            "The secret of the credential {name:?} could not be shown, and revoking it failed: {error}. Revoke it with \
             `auditbox credential revoke {}`.",
            credential.client_id.as_str()
        ),
    }
}

fn list(config: &Config, json: bool, out: &mut Output) -> Result<(), Failure> {
    let (credentials, now) = (store::credentials(&config.database.path)?, Timestamp::now());
    if json {
        for credential in &credentials {
            out.event(&api::credential_json(credential, now)?);
        }
        return Ok(());
    }
    // Most credentials have one secret and no restriction. Without these columns, the table fits into 80 characters.
    let is_plain = credentials.iter().all(|one| one.secrets.count() == 1 && one.allowed.is_empty());
    let header = &["NAME", "CLIENT ID", "TYPE", "SCOPES", "STATE", "EXPIRES", "SECRETS", "ADDRESSES"];
    let columns = if is_plain { 6 } else { header.len() };
    let row = |credential: Credential| {
        let cells = [
            credential.name.as_str().to_owned(),
            credential.client_id.as_str().to_owned(),
            credential.actor_type.name().to_owned(),
            credential.scopes.to_string(),
            credential.state(now).to_owned(),
            credential.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
            credential.secrets.count().to_string(),
            if credential.allowed.is_empty() { "any".to_owned() } else { credential.allowed.to_string() },
        ];
        cells.into_iter().take(columns)
    };
    out.table(&header[..columns], &["NAME", "SCOPES", "TYPE"], credentials.into_iter().map(row));
    Ok(())
}

fn change(
    config: &Config,
    wanted: &str,
    done: &str,
    change: impl FnOnce(ClientId) -> CredentialChange,
    out: &mut Output,
) -> Result<(), Failure> {
    let known = store::credentials(&config.database.path)?;
    let credential = find(&known, wanted)?;
    apply(config, credential, &change(credential.client_id.clone()))?;
    out.line(format_args!(
        "{} is {done}; a running server applies this within a quarter of a second",
        credential.name.as_str()
    ));
    Ok(())
}

/// The credential with this name or client id.
pub(super) fn find<'c>(known: &'c [Credential], wanted: &str) -> Result<&'c Credential, Failure> {
    let is_wanted = |one: &&Credential| one.name.as_str() == wanted || one.client_id.as_str() == wanted;
    let none = || Failure::new(format!("there is no credential {wanted:?}; see `auditbox credential list`"));
    known.iter().find(is_wanted).ok_or_else(none)
}

/// Applies the change to the file and records it.
pub(super) fn apply(config: &Config, credential: &Credential, change: &CredentialChange) -> Result<(), Failure> {
    let record =
        self_audit::command_line_event(change.action(), credential.name.as_str(), credential.client_id.as_str())?;
    Ok(store::change_credential_directly(&config.database.path, change, record)??)
}
