//! `login-link`: a URL that signs a browser in, once. Made beside a running server, with the key kept in its file: whoever
//! can read that file may come in anyway.

use clap::Args;

use crate::{
    access,
    cli::{Failure, status},
    config::Config,
    model::{
        credential::{ActorType, Credential, MAKE_ADMINISTRATOR, Scope},
        timestamp::Timestamp,
    },
    store,
};

/// Print a link that signs a browser in, once, within five minutes
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox login-link
  auditbox login-link --credential auditor --url https://audit.example.org")]
pub(super) struct Arguments {
    /// The name or client id of the credential to sign in as; without it, the oldest of type `user` that may read
    #[arg(long)]
    credential: Option<String>,
    /// Where the browser finds the server; without it, the configuration's own address
    #[arg(long, value_name = "URL", env = "AUDITBOX_URL")]
    url: Option<String>,
}

/// Prints the link.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let reader = store::open_for_reading(&config.database.path)?;
    let (known, now) = (reader.credentials()?, Timestamp::now());
    let credential = choose(&known, arguments.credential.as_deref(), now)?;
    let base = arguments.url.clone().unwrap_or_else(|| status::own_url(config));
    println!("{}", link(base.trim_end_matches('/'), &reader.access_token_key()?, credential, now)?);
    eprintln!("It signs in as {}, once, within five minutes.", credential.name.as_str());
    Ok(())
}

/// The link for a credential at a server.
pub(super) fn link(base: &str, key: &[u8], credential: &Credential, now: Timestamp) -> Result<String, Failure> {
    let code = access::sign_in_code(key, credential, now);
    let code = code.ok_or_else(|| Failure::new("no random numbers to be had"))?;
    Ok(format!("{base}/sign-in?code={code}"))
}

fn choose<'c>(known: &'c [Credential], wanted: Option<&str>, now: Timestamp) -> Result<&'c Credential, Failure> {
    let Some(wanted) = wanted else {
        let person = |credential: &&Credential| {
            credential.actor_type == ActorType::User
                && credential.scopes.allow(Scope::Read)
                && credential.is_usable(now)
        };
        return known.iter().find(person).ok_or_else(|| {
            Failure::new(format!(
                "no usable credential of type user may read: make one with `{MAKE_ADMINISTRATOR}` and run auditbox \
                 login-link again, or choose another with --credential"
            ))
        });
    };
    let credential = known
        .iter()
        .find(|credential| credential.name.as_str() == wanted || credential.client_id.as_str() == wanted)
        .ok_or_else(|| Failure::new(format!("there is no credential {wanted:?}; see `auditbox credential list`")))?;
    match credential.state(now) {
        "active" => Ok(credential),
        "disabled" => Err(Failure::new(format!(
            "the credential {wanted:?} is disabled: enable it with `auditbox credential enable {}`, or make another with \
             `{MAKE_ADMINISTRATOR}`",
            credential.client_id.as_str()
        ))),
        state => Err(Failure::new(format!(
            "the credential {wanted:?} is {state}: choose another, or make one with `{MAKE_ADMINISTRATOR}`"
        ))),
    }
}
