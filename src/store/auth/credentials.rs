//! The rows of credentials and settings.
//!
//! The addresses that a credential allows are a setting named `allow_ip:` and the client id. Without it, it allows any.

use rusqlite::{Connection, OptionalExtension, Row, params, types::FromSqlError};

use crate::{
    model::{
        credential::{
            ActorType, ClientId, Credential, CredentialChange, CredentialName, Scopes, SecretHashes,
            is_last_administrator,
        },
        networks::Networks,
        timestamp::Timestamp,
    },
    store::{auth::revoked_tickets, error::ChangeError},
};

/// Every credential, revoked ones included, oldest first.
pub(in crate::store) fn all(connection: &Connection) -> rusqlite::Result<Vec<Credential>> {
    connection
        .prepare_cached(
            "SELECT client_id, credential.name, actor_type, scopes, secret_hash, created_at, expires_at, disabled_at, \
             revoked_at, value FROM credential LEFT JOIN setting ON setting.name = 'allow_ip:' || client_id \
             ORDER BY created_at, credential.name",
        )?
        .query_map([], read)?
        .collect()
}

/// A counter that changes with every change to the credentials.
pub(in crate::store) fn generation(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = 'credential_generation'")?
        .query_row([], |row| row.get(0))
}

/// The key that access tokens are signed with.
pub(in crate::store) fn access_token_key(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    connection.query_row("SELECT value FROM setting WHERE name = 'access_token_key'", [], |row| row.get(0))
}

/// Replaces the key that signs access tokens. Tokens and sessions signed with the former key become invalid.
pub(in crate::store) fn set_access_token_key(connection: &Connection, key: &[u8]) -> rusqlite::Result<()> {
    connection.execute("UPDATE setting SET value = ?1 WHERE name = 'access_token_key'", [key]).map(drop)
}

/// Gives a credential the secret, the scopes and the restrictions that it has in another file.
pub(in crate::store) fn restrict(connection: &Connection, credential: &Credential) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE credential SET scopes = ?2, secret_hash = ?3, expires_at = ?4, disabled_at = ?5, revoked_at = ?6 \
         WHERE client_id = ?1",
        params![
            credential.client_id.as_str(),
            credential.scopes.to_string(),
            credential.secrets.to_bytes(),
            credential.expires_at.map(Timestamp::micros),
            credential.disabled_at.map(Timestamp::micros),
            credential.revoked_at.map(Timestamp::micros),
        ],
    )?;
    allow(connection, &credential.client_id, &credential.allowed)?;
    changed(connection)
}

/// Sets the addresses that a credential allows.
fn allow(connection: &Connection, client_id: &ClientId, allowed: &Networks) -> rusqlite::Result<()> {
    let name = format!("allow_ip:{}", client_id.as_str());
    if allowed.is_empty() {
        return connection.execute("DELETE FROM setting WHERE name = ?1", [name]).map(drop);
    }
    let sql =
        "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    connection.execute(sql, params![name, allowed.to_string()]).map(drop)
}

/// Notes that credentials have changed.
fn changed(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("UPDATE setting SET value = value + 1 WHERE name = 'credential_generation'", []).map(drop)
}

/// Applies a change if it is valid. Everything is checked before anything is written.
pub(in crate::store) fn change(
    connection: &Connection,
    change: &CredentialChange,
) -> rusqlite::Result<Result<(), ChangeError>> {
    let now = Timestamp::now().micros();
    let id = change.client_id().as_str();
    if let CredentialChange::Spend(_, ticket, until) = change {
        if !revoked_tickets::add(connection, ticket, *until, now)? {
            return Ok(Err(ChangeError::Spent));
        }
    } else if let CredentialChange::Create(credential) = change {
        if let Some(taken) = find_taken(connection, credential)? {
            return Ok(Err(taken));
        }
        insert(connection, credential)?;
    } else {
        let revoked = connection
            .query_row("SELECT revoked_at IS NOT NULL FROM credential WHERE client_id = ?1", [id], |row| row.get(0))
            .optional()?;
        match revoked {
            None => return Ok(Err(ChangeError::Unknown(id.to_owned()))),
            Some(true) => return Ok(Err(ChangeError::Revoked(id.to_owned()))),
            Some(false) => {}
        }
        if ends(change) && is_last_administrator(&all(connection)?, change.client_id(), Timestamp::from_micros(now)) {
            let name =
                connection.query_row("SELECT name FROM credential WHERE client_id = ?1", [id], |row| row.get(0))?;
            return Ok(Err(ChangeError::LastAdministrator(name)));
        }
        match change {
            CredentialChange::Disable(_) => connection.execute(
                "UPDATE credential SET disabled_at = coalesce(disabled_at, ?2) WHERE client_id = ?1",
                params![id, now],
            ),
            CredentialChange::Enable(_) => {
                connection.execute("UPDATE credential SET disabled_at = NULL WHERE client_id = ?1", [id])
            }
            CredentialChange::AddSecret(_, hash) => match secrets(connection, id)?.with(*hash) {
                Some(secrets) => set_secrets(connection, id, &secrets),
                None => return Ok(Err(ChangeError::TooManySecrets(id.to_owned()))),
            },
            CredentialChange::RetireSecrets(_) => set_secrets(connection, id, &secrets(connection, id)?.newest()),
            CredentialChange::Allow(client_id, allowed) => allow(connection, client_id, allowed).map(|()| 1),
            _ => connection.execute("UPDATE credential SET revoked_at = ?2 WHERE client_id = ?1", params![id, now]),
        }?;
    }
    changed(connection)?;
    Ok(Ok(()))
}

fn secrets(connection: &Connection, client_id: &str) -> rusqlite::Result<SecretHashes> {
    let sql = "SELECT secret_hash FROM credential WHERE client_id = ?1";
    let bytes: Vec<u8> = connection.query_row(sql, [client_id], |row| row.get(0))?;
    SecretHashes::from_bytes(&bytes).map_err(|error| damaged(0, error))
}

fn set_secrets(connection: &Connection, client_id: &str, secrets: &SecretHashes) -> rusqlite::Result<usize> {
    let sql = "UPDATE credential SET secret_hash = ?2 WHERE client_id = ?1";
    connection.execute(sql, params![client_id, secrets.to_bytes()])
}

/// Whether a change makes a credential unusable.
const fn ends(change: &CredentialChange) -> bool {
    matches!(change, CredentialChange::Disable(_) | CredentialChange::Revoke(_))
}

/// When each credential was last used, as far as recorded: a setting named `used:` and the client id.
pub(in crate::store) fn uses(connection: &Connection) -> rusqlite::Result<Vec<(ClientId, Timestamp)>> {
    let mut statement = connection
        .prepare_cached("SELECT substr(name, 6), value FROM setting WHERE name >= 'used:' AND name < 'used;'")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut uses = Vec::new();
    for row in rows {
        let (id, micros) = row?;
        // An invalid client id belongs to no credential.
        uses.extend(ClientId::parse(&id).ok().map(|id| (id, Timestamp::from_micros(micros))));
    }
    Ok(uses)
}

/// Records when credentials were last used. This does not count as a change, so no server reloads the credentials.
pub(in crate::store) fn note_uses(connection: &Connection, uses: &[(ClientId, Timestamp)]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO setting (name, value) VALUES ('used:' || ?1, ?2) \
         ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
    )?;
    for (id, at) in uses {
        statement.execute(params![id.as_str(), at.micros()])?;
    }
    Ok(())
}

fn find_taken(connection: &Connection, credential: &Credential) -> rusqlite::Result<Option<ChangeError>> {
    let id = credential.client_id.as_str();
    if has_name(connection, &credential.name)? {
        return Ok(Some(ChangeError::NameTaken(credential.name.as_str().to_owned())));
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM credential WHERE client_id = ?1)";
    if connection.query_row(sql, [id], |row| row.get(0))? {
        return Ok(Some(ChangeError::ClientIdTaken(id.to_owned())));
    }
    Ok(None)
}

/// Whether a credential has this name, revoked ones included.
pub(in crate::store) fn has_name(connection: &Connection, name: &CredentialName) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM credential WHERE name = ?1)";
    connection.query_row(sql, [name.as_str()], |row| row.get(0))
}

/// Adds a new credential, neither disabled nor revoked.
pub(in crate::store) fn insert(connection: &Connection, credential: &Credential) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO credential (client_id, name, actor_type, scopes, secret_hash, created_at, expires_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            credential.client_id.as_str(),
            credential.name.as_str(),
            credential.actor_type.name(),
            credential.scopes.to_string(),
            credential.secrets.to_bytes(),
            credential.created_at.micros(),
            credential.expires_at.map(Timestamp::micros),
        ],
    )?;
    allow(connection, &credential.client_id, &credential.allowed)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let text = |column: usize| row.get::<_, String>(column);
    let instant = |column: usize| row.get::<_, Option<i64>>(column).map(|micros| micros.map(Timestamp::from_micros));
    Ok(Credential {
        client_id: ClientId::parse(&text(0)?).map_err(|error| damaged(0, error))?,
        name: CredentialName::stored(&text(1)?).map_err(|error| damaged(1, error))?,
        actor_type: ActorType::parse(&text(2)?).map_err(|error| damaged(2, error))?,
        scopes: Scopes::parse(&text(3)?).map_err(|error| damaged(3, error))?,
        secrets: SecretHashes::from_bytes(&row.get::<_, Vec<u8>>(4)?).map_err(|error| damaged(4, error))?,
        allowed: Networks::parse(&row.get::<_, Option<String>>(9)?.unwrap_or_default())
            .map_err(|error| damaged(9, error))?,
        created_at: Timestamp::from_micros(row.get(5)?),
        expires_at: instant(6)?,
        disabled_at: instant(7)?,
        revoked_at: instant(8)?,
    })
}

/// The error for a row that auditbox would not have written.
fn damaged(column: usize, message: String) -> rusqlite::Error {
    let source = FromSqlError::Other(message.into());
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(source))
}
