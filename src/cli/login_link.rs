//! `login-link`: a URL that signs in a browser once. It is signed with the key from the database file while a server may run:
//! a user who can read that file has access anyway.

use clap::Args;

use crate::{
    auth,
    cli::{credential, failure::Failure, output::Output, status},
    config::Config,
    model::{
        credential::{ActorType, Credential, MAKE_ADMINISTRATOR, Scope},
        timestamp::Timestamp,
    },
    store, terminal,
};

/// Print a link that signs in a browser; it works once, for five minutes
#[derive(Args)]
#[command(after_help = "\
Examples:
  auditbox login-link
  auditbox login-link --credential auditor --url https://audit.example.org")]
pub(super) struct LoginLinkArguments {
    /// Name or client id of the credential to sign in as; by default, the oldest of type `user` with the scope read
    #[arg(long)]
    credential: Option<String>,
    /// URL at which the browser reaches the server; by default, the configured address
    #[arg(long, value_name = "URL", env = "AUDITBOX_URL")]
    url: Option<String>,
}

/// Prints the link. If it cannot be shown, it is made invalid.
pub(super) fn run(config: &Config, arguments: &LoginLinkArguments, out: &mut Output) -> Result<(), Failure> {
    let reader = store::open_for_reading(&config.database.path)?;
    let (known, now) = (reader.credentials()?, Timestamp::now());
    let credential = choose(&known, arguments.credential.as_deref(), now)?;
    let base = arguments.url.clone().unwrap_or_else(|| status::own_url(config));
    let key = reader.access_token_key()?;
    let code = code(&key, credential, now)?;
    out.line(link(base.trim_end_matches('/'), &code));
    out.deliver().map_err(|failure| match cancel(config, &key, &code, credential) {
        Ok(()) => failure.with_advice("The link could not be shown, so it was made invalid. Create another one."),
        Err(error) => failure.with_advice(format!(
            "The link could not be shown, and making it invalid failed: {error}. It expires within five minutes."
        )),
    })?;
    terminal::line(format_args!("It signs in as {}; it works once, for five minutes.", credential.name.as_str()));
    Ok(())
}

/// A new code for a sign-in link.
pub(super) fn code(key: &[u8], credential: &Credential, now: Timestamp) -> Result<String, Failure> {
    auth::sign_in_code(key, credential, now).ok_or_else(|| Failure::new("the system provides no random numbers"))
}

/// The sign-in link with a code, for the server at `base`.
pub(super) fn link(base: &str, code: &str) -> String {
    format!("{base}/sign-in?code={code}")
}

fn cancel(config: &Config, key: &[u8], code: &str, credential: &Credential) -> Result<(), Failure> {
    let change = auth::cancel_sign_in_code(key, code, Timestamp::now());
    change.map_or(Ok(()), |change| credential::apply(config, credential, &change))
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
                "there is no usable credential of type user with the scope read: create one with `{MAKE_ADMINISTRATOR}` \
                 and run auditbox login-link again, or choose another with --credential"
            ))
        });
    };
    let credential = credential::find(known, wanted)?;
    match credential.state(now) {
        "active" => Ok(credential),
        "disabled" => Err(Failure::new(format!(
            "the credential {wanted:?} is disabled: enable it with `auditbox credential enable {}`, or create another with \
             `{MAKE_ADMINISTRATOR}`",
            credential.client_id.as_str()
        ))),
        state => Err(Failure::new(format!(
            "the credential {wanted:?} is {state}: choose another, or create one with `{MAKE_ADMINISTRATOR}`"
        ))),
    }
}
