//! Access facts of the file that a restore replaces: which credentials were revoked, disabled or changed since the
//! backup, which sessions have ended, which sign-in links were used, and which key signs tokens.
//!
//! A backup is older than these facts. The restored file takes them over, so that a restore does not make an ended
//! credential, session or link valid again. Only credentials can be revived, if the operator asks for it.

use std::{iter, path::Path};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::{
    model::{
        credential::{Credential, CredentialName},
        epoch::Epochs,
        error::FieldError,
        event::Event,
        self_audit,
        timestamp::Timestamp,
    },
    store::{
        auth::{credentials, revoked_tickets},
        error::OpenError,
        event::{epoch, row},
        file::{format, open},
    },
};

/// The file that is to be replaced.
pub(in crate::store) enum Replaced {
    /// It does not exist, or is empty.
    Absent,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It was read.
    Read(Box<AccessFacts>),
}

/// The access facts of a file, and its history.
pub(in crate::store) struct AccessFacts {
    credentials: Vec<Credential>,
    spent: Vec<(String, i64)>,
    key: Vec<u8>,
    pub(in crate::store) epochs: Epochs,
    /// The seq of the newest event; `None` if the events are too damaged to tell. The access facts can still be read.
    pub(in crate::store) last_seq: Option<i64>,
}

impl Replaced {
    /// Reads the file at `path`.
    pub(in crate::store) fn read(path: &Path) -> Self {
        if path.metadata().map_or(true, |file| file.len() == 0) {
            return Self::Absent;
        }
        let why = match format::known_format(path) {
            Ok(_) => match AccessFacts::read(path) {
                Ok(Ok(facts)) => return Self::Read(Box::new(facts)),
                Ok(Err(damage)) => damage,
                Err(error) => error.to_string(),
            },
            Err(OpenError::Foreign(_)) => "it is not a file of auditbox".to_owned(),
            Err(OpenError::Newer { found, .. }) => format!("it has the format {found} of a later auditbox"),
            Err(OpenError::Sqlite { message, .. }) => message,
            Err(error) => error.to_string(),
        };
        Self::Unreadable(why)
    }
}

impl AccessFacts {
    /// The inner error is damage that SQLite does not detect by reading alone.
    fn read(path: &Path) -> rusqlite::Result<Result<Self, String>> {
        let mut connection = open::reading(path)?;
        let transaction = connection.transaction()?;
        for table in ["credential", "setting"] {
            let check = format!("PRAGMA integrity_check({table})");
            let verdict: String = transaction.query_row(&check, [], |row| row.get(0))?;
            if verdict != "ok" {
                return Ok(Err(verdict));
            }
        }
        Ok(Ok(Self {
            credentials: credentials::all(&transaction)?,
            spent: revoked_tickets::rows(&transaction)?,
            key: credentials::access_token_key(&transaction)?,
            epochs: epoch::load(&transaction)?,
            last_seq: row::last_seq(&transaction).ok(),
        }))
    }

    /// Applies these facts to the restored file, in the caller's transaction.
    pub(in crate::store) fn apply(&self, transaction: &Connection, revive: bool) -> rusqlite::Result<Access> {
        let (backup, now) = (credentials::all(transaction)?, Timestamp::now());
        let mut access = Access { tickets: revoked_tickets::keep(transaction, &self.spent)?, ..Access::default() };
        if credentials::access_token_key(transaction)? != self.key {
            credentials::set_access_token_key(transaction, &self.key)?;
            access.key_kept = true;
        }
        for present in &self.credentials {
            let Some(own) = backup.iter().find(|own| own.client_id == present.client_id) else {
                if revive || present.is_usable(now) {
                    access.lost.push(present.clone());
                } else {
                    access.restricted.push(keep(transaction, present, now)?);
                }
                continue;
            };
            match Difference::between(own, present) {
                Some(difference) if revive => access.revived.push(difference),
                Some(difference) => {
                    credentials::restrict(transaction, &difference.credential)?;
                    access.restricted.push(difference);
                }
                None => {}
            }
            if own.disabled_at.is_some() && present.disabled_at.is_none() && present.revoked_at.is_none() {
                access.disabled.push(own.clone());
            }
        }
        Ok(access)
    }
}

/// Adds a revoked, disabled or expired credential, which the backup lacks, to the restored file. Without its row,
/// the next restore could not tell that the credential has ended.
fn keep(transaction: &Connection, present: &Credential, now: Timestamp) -> rusqlite::Result<Difference> {
    let mut kept = present.clone();
    let mut what = format!("{}, not in the backup", present.state(now));
    // The backup may have given the name to another credential.
    let names = iter::once(present.client_id.as_str().to_owned()).chain((1..).map(|number| format!("kept-{number}")));
    for name in names {
        if !credentials::has_name(transaction, &kept.name)? {
            break;
        }
        if let Ok(name) = CredentialName::stored(&name) {
            kept.name = name;
            what = format!("named {:?} before, {}, not in the backup", present.name.as_str(), present.state(now));
        }
    }
    credentials::insert(transaction, &kept)?;
    credentials::restrict(transaction, &kept)?;
    let action = match kept.state(now) {
        "revoked" => "credential.revoke",
        "disabled" => "credential.disable",
        _ => "credential.restrict",
    };
    Ok(Difference { credential: kept, what, action })
}

/// A credential that the backup restricts less than the file that it replaces, or does not have.
#[derive(Debug)]
pub struct Difference {
    /// The credential as the replaced file restricts it.
    pub credential: Credential,
    /// The restrictions in words, such as `revoked 2024-05-01T12:00:00Z`.
    pub what: String,
    /// The action of its audit record.
    action: &'static str,
}

impl Difference {
    fn between(backup: &Credential, present: &Credential) -> Option<Self> {
        let (mut credential, mut what, mut action) = (backup.clone(), Vec::new(), "credential.restrict");
        if backup.secrets != present.secrets {
            credential.secrets = present.secrets.clone();
            what.push("has another secret".to_owned());
        }
        if backup.allowed != present.allowed {
            credential.allowed = present.allowed.clone();
            let from = if present.allowed.is_empty() { "any address".to_owned() } else { present.allowed.to_string() };
            what.push(format!("accepted from {from}"));
        }
        if backup.scopes != present.scopes {
            credential.scopes = present.scopes;
            what.push(format!("scopes {}", present.scopes));
        }
        if let Some(end) = present.expires_at.filter(|end| backup.expires_at.is_none_or(|own| *end < own)) {
            credential.expires_at = Some(end);
            what.push(format!("expires {end}"));
        }
        if let Some(at) = present.disabled_at.filter(|_| backup.disabled_at.is_none()) {
            credential.disabled_at = Some(at);
            what.push(format!("disabled {at}"));
            action = "credential.disable";
        }
        if let Some(at) = present.revoked_at.filter(|_| backup.revoked_at.is_none()) {
            credential.revoked_at = Some(at);
            what.push(format!("revoked {at}"));
            action = "credential.revoke";
        }
        (!what.is_empty()).then(|| Self { credential, what: what.join(", "), action })
    }
}

/// What a restore has done to access.
#[derive(Debug, Default)]
pub struct Access {
    /// Credentials that are less restricted in the backup, or missing from it. They keep their restrictions.
    pub restricted: Vec<Difference>,
    /// Credentials that are less restricted in the backup, and were revived: they are as in the backup.
    pub revived: Vec<Difference>,
    /// Credentials that the backup has disabled and that were enabled since. They are disabled.
    pub disabled: Vec<Credential>,
    /// Usable credentials made after the backup. The restored file does not have them.
    pub lost: Vec<Credential>,
    /// The number of ended sessions and used links that were taken over.
    pub tickets: usize,
    /// Whether the backup had another signing key. The one of the replaced file was kept.
    pub key_kept: bool,
}

impl Access {
    /// Details for the audit record of the restore.
    pub(in crate::store) fn to_json(&self) -> Value {
        let names = |all: &[Credential]| all.iter().map(|one| one.name.as_str().to_owned()).collect::<Vec<_>>();
        let differing = |all: &[Difference]| all.iter().map(|one| one.credential.name.as_str().to_owned()).collect();
        let (restricted, revived): (Vec<_>, Vec<_>) = (differing(&self.restricted), differing(&self.revived));
        json!({ "restricted": restricted, "revived": revived, "lost": names(&self.lost) })
    }

    /// An audit record for each changed credential.
    pub(in crate::store) fn records(&self) -> Result<Vec<Event>, FieldError> {
        let restricted = self.restricted.iter().map(|difference| (difference.action, difference));
        let revived = self.revived.iter().map(|difference| ("credential.revive", difference));
        let record = |(action, difference): (&str, &Difference)| {
            let Credential { name, client_id, .. } = &difference.credential;
            self_audit::command_line_event(action, name.as_str(), client_id.as_str())
        };
        restricted.chain(revived).map(record).collect()
    }
}
