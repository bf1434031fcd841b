//! The data of the credentials page.

use askama::Template;

use crate::{
    auth::Authenticator,
    model::{
        credential::{ActorType, Credential, Scope},
        timestamp::Timestamp,
        zone::Zone,
    },
    ui::{formatted_time::FormattedTime, markup::filters, page::Shell, wording},
};

/// The lifetimes to choose from, and their labels.
const TERMS: [(&str, &str); 5] =
    [("", "Never"), ("30d", "In 30 days"), ("90d", "In 90 days"), ("365d", "In a year"), ("1d", "Tomorrow")];

/// The page.
#[derive(Template)]
#[template(path = "credentials/page.html")]
pub(super) struct Credentials {
    shell: Shell,
    rows: Vec<CredentialRow>,
    draft: CredentialForm,
    created: Option<CreatedCredential>,
    terms: [(&'static str, &'static str); 5],
}

/// A credential.
#[expect(clippy::struct_excessive_bools, reason = "they are what the template asks")]
struct CredentialRow {
    name: String,
    client_id: String,
    kind: String,
    scopes: String,
    state: String,
    /// The number of secrets, if there are several.
    secrets: Option<usize>,
    /// The addresses from which it is accepted, if not from any.
    addresses: Option<String>,
    is_usable: bool,
    is_disabled: bool,
    is_revoked: bool,
    /// Whether it is the credential of the current user.
    is_own: bool,
    created: FormattedTime,
    expires: Option<FormattedTime>,
    last_use: Option<FormattedTime>,
}

/// The form that creates a credential, with its values.
pub(super) struct CredentialForm {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    pub(super) actor_type: String,
    pub(super) expires: Option<String>,
    pub(super) refusal: Option<String>,
}

/// A credential that was just created. It has no `Debug`, because it holds a secret.
pub(super) struct CreatedCredential {
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) secret: String,
    pub(super) api_token: String,
}

impl Default for CredentialForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            scopes: vec![Scope::Read.name().to_owned()],
            actor_type: ActorType::ServiceAccount.name().to_owned(),
            expires: None,
            refusal: None,
        }
    }
}

impl CredentialForm {
    pub(super) fn read(form: &[(String, String)]) -> Self {
        let mut draft = Self { scopes: Vec::new(), ..Self::default() };
        for (name, value) in form {
            match name.as_str() {
                "name" => draft.name.clone_from(value),
                "scope" => draft.scopes.push(value.clone()),
                "actor_type" => draft.actor_type.clone_from(value),
                "expires" => draft.expires = Some(value.clone()).filter(|value| !value.is_empty()),
                _ => {}
            }
        }
        draft
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|chosen| chosen == scope)
    }

    fn lasts(&self, term: &str) -> bool {
        self.expires.as_deref().unwrap_or_default() == term
    }
}

impl Credentials {
    pub(super) fn new(
        shell: Shell,
        all: &[Credential],
        authenticator: &Authenticator,
        own: Option<&str>,
        draft: CredentialForm,
        created: Option<CreatedCredential>,
    ) -> Self {
        let now = Timestamp::now();
        let mut rows: Vec<_> = all.iter().map(|credential| row(credential, authenticator, own, now)).collect();
        // Usable credentials first; among them the newest, which is the one just created.
        rows.sort_by(|one, other| {
            (other.is_usable, &other.created.machine).cmp(&(one.is_usable, &one.created.machine))
        });
        Self { shell, rows, draft, created, terms: TERMS }
    }
}

fn row(credential: &Credential, authenticator: &Authenticator, own: Option<&str>, now: Timestamp) -> CredentialRow {
    let show = |at| FormattedTime::new(at, &Zone::utc(), now);
    CredentialRow {
        name: credential.name.as_str().to_owned(),
        client_id: credential.client_id.as_str().to_owned(),
        kind: wording::readable(credential.actor_type.name()),
        scopes: credential.scopes.names().join(", "),
        state: wording::readable(credential.state(now)),
        secrets: Some(credential.secrets.count()).filter(|count| *count > 1),
        addresses: (!credential.allowed.is_empty()).then(|| credential.allowed.texts().join(", ")),
        is_usable: credential.is_usable(now),
        is_disabled: credential.disabled_at.is_some(),
        is_revoked: credential.revoked_at.is_some(),
        is_own: own == Some(credential.client_id.as_str()),
        created: show(credential.created_at),
        expires: credential.expires_at.map(show),
        last_use: authenticator.last_use(&credential.client_id).map(show),
    }
}
