//! Who may do what: credentials, their scopes, their secrets.
//!
//! A secret exists in two types. [`Secret`] is the secret itself: it is made or received, shown or compared, and then
//! gone; its `Debug` shows nothing. [`SecretHash`] is what is stored. Secrets are 32 random bytes, so a plain SHA-256 is
//! a sufficient hash: there is no dictionary to try. A secret that an operator chooses must be long for the same reason.

use std::fmt;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::{event::OWN_ORIGIN, ticket::TicketId, timestamp::Timestamp};

/// Characters of a secret that an operator chooses, at least: with fewer, a stolen file could be searched for it.
const SECRET_CHARS_MIN: usize = 24;
/// Characters of a name, a client id or a chosen secret, at most.
const TEXT_CHARS_MAX: usize = 128;
/// The command that makes an administrator who can also sign in and read, on the server's own machine.
pub const MAKE_ADMINISTRATOR: &str = "auditbox credential create --name NAME --scope admin,read --type user";
/// `receivedBy` of events imported straight into the file.
pub const IMPORT_NAME: &str = "import";

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Ask for events.
    Read,
    /// Manage credentials.
    Admin,
}

impl Scope {
    /// Every scope with its name.
    pub const ALL: [(Self, &'static str); 3] = [(Self::Ingest, "ingest"), (Self::Read, "read"), (Self::Admin, "admin")];

    /// The scope's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }
}

/// A set of permissions, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every permission.
    pub const ALL: Self = Self(7);

    /// Reads names separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scopes = 0;
        for name in text.split(',').map(str::trim) {
            let found = Scope::ALL.iter().find(|(_, known)| *known == name);
            let (scope, _) = found.ok_or_else(|| format!("{name:?} is no scope; write some of ingest,read,admin"))?;
            scopes |= 1 << (*scope as u8);
        }
        Ok(Self(scopes))
    }

    /// Whether `scope` is in the set.
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << (scope as u8)) != 0
    }

    /// The names of the scopes in the set.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.iter().filter(|(scope, _)| self.allow(*scope)).map(|(_, name)| *name).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// What kind of actor a credential is, as `trigger.by.type` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorType {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
}

impl ActorType {
    /// Reads `user` or `service_account`.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "user" => Ok(Self::User),
            "service_account" => Ok(Self::ServiceAccount),
            _ => Err("must be user or service_account".to_owned()),
        }
    }

    /// The type's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
        }
    }
}

/// A credential's name: what `receivedBy` and auditbox's own records call it. Unique, and never given away again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialName(String);

impl CredentialName {
    /// Reads a name: 1 to 128 characters, none of them a control character, and none of auditbox's own names.
    pub fn parse(text: &str) -> Result<Self, String> {
        if [OWN_ORIGIN, IMPORT_NAME].contains(&text) {
            return Err(format!("{text:?} is kept for auditbox itself"));
        }
        let length = text.chars().count();
        if length == 0 || length > TEXT_CHARS_MAX || text.chars().any(char::is_control) || text.trim() != text {
            return Err(format!(
                "must be 1 to {TEXT_CHARS_MAX} characters, without control characters and without spaces around it"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A credential's public half. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Reads a client id that an operator chose.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fitting = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
        if text.is_empty() || text.len() > TEXT_CHARS_MAX || !text.chars().all(fitting) {
            return Err(format!("must be 1 to {TEXT_CHARS_MAX} letters, digits, dots, dashes and underscores"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a new one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::<12>().map(|bytes| Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The client id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret itself. Keep it no longer than it takes to show or compare it.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret as somebody presents it.
    pub fn presented(text: String) -> Self {
        Self(text)
    }

    /// Reads a secret that an operator chose.
    pub fn choose(text: &str) -> Result<Self, String> {
        if text.len() < SECRET_CHARS_MIN
            || text.len() > TEXT_CHARS_MAX
            || !text.chars().all(|char| char.is_ascii_graphic())
        {
            return Err(format!("must be {SECRET_CHARS_MIN} to {TEXT_CHARS_MAX} printable ASCII characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Makes a new one, of 256 random bits.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::<32>().map(|bytes| Self(BASE64_URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The secret, to be shown to the one it belongs to.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// A hash as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A hash that no secret has been found for: compared with when there is no credential, so that an unknown client
    /// id takes as long to refuse as a wrong secret.
    pub const fn of_nobody() -> Self {
        Self([0; 32])
    }

    /// The bytes to be stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `secret` is the one, found out in constant time.
    pub fn is_of(&self, secret: &Secret) -> bool {
        bool::from(self.0.ct_eq(&secret.hash().0))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A credential as it is stored. Revoked ones stay: their names are on the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its public half.
    pub client_id: ClientId,
    /// Its name.
    pub name: CredentialName,
    /// What kind of actor it is.
    pub actor_type: ActorType,
    /// What it may do.
    pub scopes: Scopes,
    /// Its secret's hash.
    pub secret_hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// Since when it is switched off; it can be switched on again.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is gone for good.
    pub revoked_at: Option<Timestamp>,
}

impl Credential {
    /// Whether it opens anything at `now`.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.state(now) == "active"
    }

    /// `active`, `disabled`, `expired` or `revoked`.
    pub fn state(&self, now: Timestamp) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at.is_some_and(|end| end <= now) {
            "expired"
        } else if self.disabled_at.is_some() {
            "disabled"
        } else {
            "active"
        }
    }
}

/// The administrators that can be used at `now`. One that expires counts until it does: it can make another meanwhile.
pub fn usable_administrators(all: &[Credential], now: Timestamp) -> impl Iterator<Item = &Credential> {
    all.iter().filter(move |credential| credential.scopes.allow(Scope::Admin) && credential.is_usable(now))
}

/// Whether no other administrator could be used if this one could not.
pub fn is_last_administrator(all: &[Credential], client_id: &ClientId, now: Timestamp) -> bool {
    let mut administrators = usable_administrators(all, now);
    administrators.next().is_some_and(|first| first.client_id == *client_id) && administrators.next().is_none()
}

/// A new credential and, this once, its secret.
#[derive(Debug)]
pub struct Issued {
    /// What is stored.
    pub credential: Credential,
    /// What is shown.
    pub secret: Secret,
}

impl Issued {
    /// Makes a credential with a fresh client id and secret.
    pub fn generate(
        name: CredentialName,
        actor_type: ActorType,
        scopes: Scopes,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Result<Self, getrandom::Error> {
        let secret = Secret::generate()?;
        let credential = Credential {
            client_id: ClientId::generate()?,
            name,
            actor_type,
            scopes,
            secret_hash: secret.hash(),
            created_at: now,
            expires_at,
            disabled_at: None,
            revoked_at: None,
        };
        Ok(Self { credential, secret })
    }
}

/// A change to the credentials.
#[derive(Debug, Clone)]
pub enum CredentialChange {
    /// A new one.
    Create(Credential),
    /// Switched off.
    Disable(ClientId),
    /// Switched on again.
    Enable(ClientId),
    /// Gone for good.
    Revoke(ClientId),
    /// A ticket of this credential is spent: a session has ended, or a link has been used. Kept until the ticket would
    /// have ended by itself.
    Spend(ClientId, TicketId, Timestamp),
}

impl CredentialChange {
    /// Whom it concerns.
    pub fn client_id(&self) -> &ClientId {
        match self {
            Self::Create(credential) => &credential.client_id,
            Self::Disable(id) | Self::Enable(id) | Self::Revoke(id) | Self::Spend(id, ..) => id,
        }
    }

    /// What auditbox's own record calls it.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Create(_) => "credential.create",
            Self::Disable(_) => "credential.disable",
            Self::Enable(_) => "credential.enable",
            Self::Revoke(_) => "credential.revoke",
            Self::Spend(..) => "session.end",
        }
    }
}

/// `N` random bytes of the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
