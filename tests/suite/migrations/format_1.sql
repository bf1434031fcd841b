-- The file of auditbox, format 1.
--
-- This is the present format as a document: a new file is made by running it, and older files are brought to it step by
-- step when they are opened. `PRAGMA application_id` says that a file is auditbox's, `PRAGMA user_version` holds its
-- format. Instants are microseconds since 1970-01-01T00:00:00Z.
--
-- The file is evidence. Anyone may read it with the sqlite3 shell; nobody needs to write to it but auditbox.

-- What the file knows of itself.
--   access_token_key       the 32 random bytes that access tokens are signed with
--   credential_generation  a counter that moves with every change to the credentials, so that a running server notices
CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;

-- One row an event, in the order of commits.
--   seq              dense, from 1: the order of arrival
--   timestamp        event time
--   entity           context.entity, where there is one
--   blueprint        context.blueprint, where there is one
--   identifier_hash  the first 64 bits of the identifier's SHA-256, confirmed against the body: storing the identifier a
--                    second time would cost several times as much
--   filled           what the server filled in for the sender: 1 trigger.at, 2 trigger.origin, 4 status (added up)
--   fields           what the event can be found by: for each value one byte of field code, two bytes of length
--                    (little-endian), the value in UTF-8
--   body             the event, one JSON object: as it is if it begins with '{', otherwise a zstd frame (RFC 8878) with
--                    its content size and checksum
CREATE TABLE event (
    seq             INTEGER PRIMARY KEY,
    timestamp       INTEGER NOT NULL,
    entity          TEXT,
    blueprint       TEXT,
    identifier_hash INTEGER NOT NULL,
    filled          INTEGER NOT NULL,
    fields          BLOB    NOT NULL,
    body            BLOB    NOT NULL
) STRICT;

-- A row's seq is part of each of its index entries, so each of these is also in order of arrival among equals.
CREATE INDEX event_timestamp       ON event (timestamp);
CREATE INDEX event_entity          ON event (entity, timestamp)    WHERE entity IS NOT NULL;
CREATE INDEX event_blueprint       ON event (blueprint, timestamp) WHERE blueprint IS NOT NULL;
CREATE INDEX event_identifier_hash ON event (identifier_hash);

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;

-- Who may use the server. Revoked credentials stay, so that the names on the record keep their meaning.
--   secret_hash  SHA-256 of the client secret
--   scopes       names, separated by commas: ingest, read, admin
CREATE TABLE credential (
    client_id   TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    actor_type  TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    secret_hash BLOB NOT NULL,
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    disabled_at INTEGER,
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE TRIGGER credential_is_never_deleted BEFORE DELETE ON credential
BEGIN SELECT RAISE(ABORT, 'a credential is revoked, never deleted'); END;
