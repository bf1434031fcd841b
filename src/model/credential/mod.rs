//! Credentials, their scopes and their secrets.
//!
//! A secret exists in two types. [`Secret`] is the secret itself: it is generated or received, shown or compared, then
//! dropped; its `Debug` output is empty. [`SecretHash`] is what is stored. A credential has several secrets while one is
//! being replaced.

mod secret;

use std::{fmt, net::IpAddr};

pub use secret::{SECRETS_MAX, Secret, SecretHash, SecretHashes};

use crate::model::{
    event::OWN_ORIGIN,
    networks::Networks,
    printable::{self, Piece},
    random,
    ticket_id::TicketId,
    timestamp::Timestamp,
};

/// Maximum number of characters of a name, a client id or a chosen secret.
const TEXT_CHARS_MAX: usize = 128;
/// The command that creates an administrator who can also sign in and read, on the server's machine.
pub const MAKE_ADMINISTRATOR: &str = "auditbox credential create --name NAME --scope admin,read --type user";
/// `receivedBy` of events that were imported directly into the file.
pub const IMPORT_NAME: &str = "import";
/// The name of the actor of commands on the server's machine, in auditbox's own records.
pub const COMMAND_LINE_NAME: &str = "command line";
/// The client id of commands on the server's machine.
const COMMAND_LINE_ID: &str = "command-line";

/// One permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Send events.
    Ingest,
    /// Query events.
    Read,
    /// Manage credentials.
    Admin,
    /// Read the server's metrics. The admin scope includes it.
    Metrics,
}

impl Scope {
    /// Every scope with its name.
    pub const ALL: [(Self, &'static str); 4] =
        [(Self::Ingest, "ingest"), (Self::Read, "read"), (Self::Admin, "admin"), (Self::Metrics, "metrics")];

    /// The scope's name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }
}

/// A set of permissions, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Every permission: ingest, read and admin, which implies metrics.
    pub const ALL: Self = Self(7);

    /// Reads names separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scopes = 0;
        for name in text.split(',').map(str::trim) {
            let found = Scope::ALL.iter().find(|(_, known)| *known == name);
            let (scope, _) =
                found.ok_or_else(|| format!("unknown scope {name:?}: use ingest, read, admin or metrics"))?;
            scopes |= 1 << (*scope as u8);
        }
        Ok(Self(scopes))
    }

    /// Whether the set includes `scope`, directly or because the admin scope implies it.
    pub const fn allow(self, scope: Scope) -> bool {
        self.has(scope) || (matches!(scope, Scope::Metrics) && self.has(Scope::Admin))
    }

    const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << (scope as u8)) != 0
    }

    /// The names of the scopes in the set.
    pub fn names(self) -> Vec<&'static str> {
        Scope::ALL.iter().filter(|(scope, _)| self.has(*scope)).map(|(_, name)| *name).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// The kind of actor that a credential belongs to, as in `trigger.by.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorType {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
    /// auditbox itself. No stored credential has this type.
    System,
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
            Self::System => "system",
        }
    }
}

/// A credential's name, as in `receivedBy` and in auditbox's own records. It is unique and never reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialName(String);

impl CredentialName {
    /// Reads the name of a new credential: 1 to 128 characters, all of them visible, and not a name that auditbox itself uses.
    /// Two names must not look alike, so the only white space is the single space between words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unfit = printable::pieces(text).find_map(|piece| match piece {
            Piece::Hidden(char) => Some((char, printable::kind_of_hidden(char))),
            Piece::Text(text) => {
                text.chars().find(|char| *char != ' ' && char.is_whitespace()).map(|char| (char, "space"))
            }
        });
        if let Some((char, kind)) = unfit {
            let kind = match kind {
                "space" => "a space of another kind",
                "invisible" => "an invisible character",
                "directional" => "a directional character",
                _ => "a control character",
            };
            return Err(format!("must not contain U+{:04X}, which is {kind}", u32::from(char)));
        }
        if text.trim() != text || text.contains("  ") {
            return Err("must not begin or end with a space, nor contain two in a row".to_owned());
        }
        Self::stored(text)
    }

    /// Reads the name of an existing credential. Earlier versions accepted more names.
    pub fn stored(text: &str) -> Result<Self, String> {
        if [OWN_ORIGIN, IMPORT_NAME, COMMAND_LINE_NAME].contains(&text) {
            return Err(format!("{text:?} is reserved for auditbox"));
        }
        let length = text.chars().count();
        if length == 0 || length > TEXT_CHARS_MAX {
            return Err(format!("must be 1 to {TEXT_CHARS_MAX} characters"));
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

    /// Generates a client id.
    pub fn generate() -> Result<Self, getrandom::Error> {
        random::text::<12>().map(Self)
    }

    /// The client id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A stored credential. Revoked ones remain, because their names are in events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The client id.
    pub client_id: ClientId,
    /// The name.
    pub name: CredentialName,
    /// The actor type.
    pub actor_type: ActorType,
    /// The scopes.
    pub scopes: Scopes,
    /// The hashes of its secrets.
    pub secrets: SecretHashes,
    /// The addresses from which it is accepted; empty if from any.
    pub allowed: Networks,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Since when it is disabled. It can be enabled again.
    pub disabled_at: Option<Timestamp>,
    /// Since when it is revoked, which is permanent.
    pub revoked_at: Option<Timestamp>,
}

impl Credential {
    /// The credential of commands on the server's machine, which no file contains: they may read, as they can read the file.
    pub fn of_command_line() -> Self {
        Self {
            client_id: ClientId(COMMAND_LINE_ID.to_owned()),
            name: CredentialName(COMMAND_LINE_NAME.to_owned()),
            actor_type: ActorType::System,
            scopes: Scopes(1 << (Scope::Read as u8)),
            secrets: SecretHashes::of_nobody(),
            allowed: Networks::default(),
            created_at: Timestamp::from_micros(0),
            expires_at: None,
            disabled_at: None,
            revoked_at: None,
        }
    }

    /// Whether it is accepted from `address`.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allowed.is_empty() || self.allowed.contain(address)
    }

    /// Whether it is valid at `now`.
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

/// The administrators that are valid at `now`. One that will expire counts, because it can create another one before.
pub fn usable_administrators(all: &[Credential], now: Timestamp) -> impl Iterator<Item = &Credential> {
    all.iter().filter(move |credential| credential.scopes.allow(Scope::Admin) && credential.is_usable(now))
}

/// Whether no other administrator is valid.
pub fn is_last_administrator(all: &[Credential], client_id: &ClientId, now: Timestamp) -> bool {
    let mut administrators = usable_administrators(all, now);
    administrators.next().is_some_and(|first| first.client_id == *client_id) && administrators.next().is_none()
}

/// A new credential with its secret, which is shown only now.
#[derive(Debug)]
pub struct Issued {
    /// The part that is stored.
    pub credential: Credential,
    /// The part that is shown.
    pub secret: Secret,
}

impl Issued {
    /// Creates a credential with a fresh client id and secret. It is accepted from any address.
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
            secrets: secret.hash().into(),
            allowed: Networks::default(),
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
    /// Creates a credential.
    Create(Credential),
    /// Disables it.
    Disable(ClientId),
    /// Enables it again.
    Enable(ClientId),
    /// Revokes it.
    Revoke(ClientId),
    /// Adds a secret. The earlier ones stay valid.
    AddSecret(ClientId, SecretHash),
    /// Removes all secrets except the newest.
    RetireSecrets(ClientId),
    /// Sets the addresses from which it is accepted.
    Allow(ClientId, Networks),
    /// Revokes a credential whose secret could not be shown, even if it is the last administrator: it cannot be used.
    Withdraw(ClientId),
    /// Revokes a ticket of this credential, because a session has ended or a link was used. The revocation is kept until the
    /// ticket would have expired.
    Spend(ClientId, TicketId, Timestamp),
}

impl CredentialChange {
    /// The credential that changes.
    pub fn client_id(&self) -> &ClientId {
        match self {
            Self::Create(credential) => &credential.client_id,
            Self::Disable(id)
            | Self::Enable(id)
            | Self::Revoke(id)
            | Self::AddSecret(id, _)
            | Self::RetireSecrets(id)
            | Self::Allow(id, _)
            | Self::Withdraw(id)
            | Self::Spend(id, ..) => id,
        }
    }

    /// The action in auditbox's own record of the change.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::Create(_) => "credential.create",
            Self::Disable(_) => "credential.disable",
            Self::Enable(_) => "credential.enable",
            Self::Revoke(_) | Self::Withdraw(_) => "credential.revoke",
            Self::AddSecret(..) => "credential.add_secret",
            Self::RetireSecrets(_) => "credential.retire_secrets",
            Self::Allow(..) => "credential.allow_ip",
            Self::Spend(..) => "session.end",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_only_visible_characters() {
        for name in ["ci-deploy", "Ada Lovelace", "José", "مريم", "می\u{200c}خواهم", "שרה", "👩\u{200d}💻 team", "a"]
        {
            assert_eq!(CredentialName::parse(name).map(|name| name.0), Ok(name.to_owned()));
        }
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        for (name, message) in [
            ("admin\u{202e}", "must not contain U+202E, which is a directional character"),
            ("ad\u{200b}min", "must not contain U+200B, which is an invisible character"),
            ("ad\u{200d}min", "must not contain U+200D, which is an invisible character"),
            ("ad\u{7}min", "must not contain U+0007, which is a control character"),
            ("ad\nmin", "must not contain U+000A, which is a control character"),
            ("ad\u{a0}min", "must not contain U+00A0, which is a space of another kind"),
            (" admin", "must not begin or end with a space, nor contain two in a row"),
            ("ad  min", "must not begin or end with a space, nor contain two in a row"),
            ("", "must be 1 to 128 characters"),
            (long.as_str(), "must be 1 to 128 characters"),
            ("import", "\"import\" is reserved for auditbox"),
        ] {
            assert_eq!(CredentialName::parse(name).unwrap_err(), message, "{name:?}");
        }
        // A file may hold a name that an earlier version accepted.
        assert!(CredentialName::stored("admin\u{202e}").is_ok());
    }
}
