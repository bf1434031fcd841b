-- The file of auditbox, format 3.
--
-- This is the present format as a document: a new file is made by running it, and older files are brought to it step by
-- step when they are opened. `PRAGMA application_id` says that a file is auditbox's, `PRAGMA user_version` holds its
-- format. Instants are microseconds since 1970-01-01T00:00:00Z.
--
-- The file is evidence. Anyone may read it with the sqlite3 shell; nobody needs to write to it but auditbox.

-- What the file knows of itself.
--   access_token_key       the 32 random bytes that access tokens are signed with
--   checksums_from         the first event that must have a checksum: 1 but in files that were made before there were any
--   chunk_events           how many events a chunk of the index has
--   credential_generation  a counter that moves with every change to the credentials, so that a running server notices
--   epoch:<seq>            the random id of the part of the log's history, its epoch, that began after this seq (19 digits;
--                          -1 for what the file had when it got its epochs). One begins at each start and each restore. A
--                          cursor names the epoch of its position, so that a log that was put back to an older state
--                          refuses the cursors of what it no longer has (src/model/epoch.rs)
--   undone_epoch:<id>      an epoch that a restore removed: the id of the epoch before it, a space, the last seq before it
--   used:<client id>       when a credential was last used, noted every few seconds
--   dropping               the chunk of which events that were dropped may still have their rows, while that is so
--   drops                  how often retention has dropped something
--   retention_clock        the last time of the clock that retention has believed
--   terms_unswept          there while values that only dropped events had may still be in the table of terms
--   spent:<ticket>         a session that has ended or a sign-in link that was used, and when it would have ended by itself
CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;

-- One row an event, in the order of commits.
--   seq        from 1, the order of arrival: dense but for what stands in the table dropped
--   timestamp  event time; the time of receipt where the body has "orderedBy": "receivedAt"
--   entity     context.entity, where there is one, as the ordinal of its term (below)
--   blueprint  context.blueprint, where there is one, likewise
--   filled     what the server filled in for the sender: 1 trigger.at, 2 trigger.origin, 4 status (added up)
--   body       the event, one JSON object: as it is if it begins with '{', otherwise a zstd frame (RFC 8878) with its
--              content size and the number of its dictionary
--   checksum   the lower 32 bits: the CRC-32 of the JSON object, then seq, timestamp, entity, blueprint, filled (8 bytes
--              each, little-endian; -1 for none); the upper 32: the first of the identifier's SHA-256. Checked each time the
--              event is served. NULL before checksums_from: such a row is covered by its frame's own checksum, which is of
--              the body alone; one that is no frame is covered by nothing, and served if it is JSON
CREATE TABLE event (
    seq       INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    entity    INTEGER,
    blueprint INTEGER,
    filled    INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    checksum  INTEGER
) STRICT;

-- For whoever asks the file by SQL. A row's seq is part of each of its index entries, so each of these is also in order
-- of arrival among equals. The server's own questions are answered by the chunks below.
--
-- There are many entities, and in a large file hardly two neighbours among the events share one: an index in their order
-- alone would be written all over with each commit, and the larger the file the more of it. This one begins anew every
-- 65,536 events. SQLite looks into each of these parts by itself (its skip-scan), because of the statistics below.
CREATE INDEX event_timestamp ON event (timestamp);
CREATE INDEX event_entity    ON event (seq >> 16, entity, timestamp) WHERE entity IS NOT NULL;
CREATE INDEX event_blueprint ON event (blueprint, timestamp)         WHERE blueprint IS NOT NULL;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;

-- Events that retention has dropped, from `first` to `last`, both included and within one chunk. They are put down in the
-- transaction that writes the record of it (origin auditbox, action DELETE, resource type audit_log) and takes them out of
-- the index; their rows follow. What stands here stays: any other hole in the order of arrival is a loss.
CREATE TABLE dropped (
    first INTEGER PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
WHEN OLD.seq > coalesce((SELECT last FROM dropped WHERE first <= OLD.seq ORDER BY first DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;

-- The same with names in place of numbers: SELECT at FROM named_event WHERE entity = 'checkout' ORDER BY timestamp
CREATE VIEW named_event AS
SELECT event.seq, event.timestamp,
       strftime('%Y-%m-%dT%H:%M:%fZ', event.timestamp / 1000000.0, 'unixepoch') AS at,
       entity.value AS entity, blueprint.value AS blueprint, event.body
FROM event
LEFT JOIN term AS entity    ON entity.field = 2    AND entity.ordinal = event.entity
LEFT JOIN term AS blueprint ON blueprint.field = 3 AND blueprint.ordinal = event.blueprint;

-- What bodies are compressed with. None is ever taken out: bodies name theirs.
--   ratio     stored bytes for each byte of events, on events that it was not trained on
--   checksum  the CRC-32 of the number (4 bytes, little-endian) and the bytes
CREATE TABLE dictionary (
    number     INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    ratio      REAL    NOT NULL,
    bytes      BLOB    NOT NULL,
    checksum   INTEGER NOT NULL
) STRICT;

-- The values that events can be found by and that many events share, once each.
--   field    which field; the codes are those of src/model/field.rs: 2 entity, 3 blueprint, 7 origin, 9 resource type,
--            10 action, 11 status, 13 actor, 15 method, 16 path, 17 status code, 18 address, 19 word of the message, …
--   ordinal  from 0 within the field, in the order in which the log first saw the values; one is never given twice
--   value    the value. A value that only dropped events had is taken out; while its ordinal is the highest of its field,
--            a NUL and the ordinal stand in its place
CREATE TABLE term (
    field   INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (field, ordinal)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX term_value ON term (field, value);

-- The index: the log in chunks of consecutive events (setting chunk_events, 65,536), each sealed when it is full. Where
-- events are dropped a chunk is sealed anew without them, or is no more. All of it can be made anew from the events
-- (auditbox reindex). A chunk's own row is written last: rows of the other tables that belong to no chunk are left from a
-- crash. Within a chunk events are numbered by time, ties by arrival: these numbers are the positions that postings hold.
--   number       from 0: the events from number * chunk_events + 1 on
--   side         1 where the places of the chunk's other rows are higher by 2^62: a chunk that is sealed anew changes sides
--   events       how many it has
--   first, last  the earliest and the latest timestamp
--   first_times  the first timestamp of each block of chunk_time: 8 bytes each, little-endian
--   key_blocks   for each field of chunk_key its code and the base-2 logarithm of its number of blocks: 2 bytes
--                0 and 0 stand for a chunk that has a damaged event of which only the identifier's hash is left
--   identifiers  a split block Bloom filter of the identifiers, as Apache Parquet lays it out
CREATE TABLE chunk (
    number      INTEGER PRIMARY KEY,
    side        INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    first       INTEGER NOT NULL,
    last        INTEGER NOT NULL,
    first_times BLOB    NOT NULL,
    key_blocks  BLOB    NOT NULL,
    identifiers BLOB    NOT NULL
) STRICT;

-- When a chunk's events happened and where they stand in the log, 256 events a row (src/index/times.rs).
--   place  chunk * 2^38 + block
CREATE TABLE chunk_time (
    place INTEGER PRIMARY KEY,
    times BLOB    NOT NULL
) STRICT;

-- Which of a chunk's events have which term: runs of terms in order, each with its set of positions (src/index/posting.rs).
--   place  chunk * 2^38 + field * 2^32 + the first ordinal of the run
CREATE TABLE chunk_posting (
    place INTEGER PRIMARY KEY,
    terms BLOB    NOT NULL
) STRICT;

-- The values that few events share (1 identifier, 4 run, 6 webhook event), which each chunk lists for itself, dealt into
-- blocks by their hash (src/index/keys.rs).
--   place  chunk * 2^38 + field * 2^32 + block
CREATE TABLE chunk_key (
    place INTEGER PRIMARY KEY,
    keys  BLOB    NOT NULL
) STRICT;

-- Who may use the server. Revoked credentials stay, so that the names on the record keep their meaning.
--   secret_hash  SHA-256 of the client secret
--   scopes       names, separated by commas: ingest, read, admin, metrics
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

-- What SQLite's planner is to take for granted, as ANALYZE would write it of a large file: rows in the table, then rows that
-- share the first column of the index, the first two, and so on.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('event', 'event_timestamp', '10000000 1'),
    ('event', 'event_entity',    '10000000 65536 64 1'),
    ('event', 'event_blueprint', '10000000 100000 1'),
    ('term',  'term',            '1000000 50000 1'),
    ('term',  'term_value',      '1000000 50000 1');
