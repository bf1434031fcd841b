-- The file of auditbox, format 4.
--
-- This document is the present format: a new file is created by running it, and older files are migrated to it when
-- they are opened. `PRAGMA application_id` marks a file as auditbox's, and `PRAGMA user_version` is its format.
-- Instants are microseconds since 1970-01-01T00:00:00Z.
--
-- The file is evidence. Anyone may read it with the sqlite3 shell. Only auditbox needs to write to it.

-- Settings and state of the file.
--   allow_ip:<client id>   the addresses and ranges from which a credential is accepted, separated by commas; without
--                          it, from any
--   access_token_key       the 32 random bytes that access tokens are signed with
--   checksums_from         the first event that must have a checksum: 1, except in files from before checksums
--   chunk_events           the number of events per chunk of the index
--   credential_generation  a counter that every change to the credentials increases, so that a running server notices
--   epoch:<seq>            the random id of the epoch that began after this seq (19 digits; -1 for the events that the
--                          file had when it got its first epoch). An epoch is a part of the history of the log. One
--                          begins at each start and each restore. A cursor contains the epoch of its position, so that
--                          a log that was restored to an older state rejects cursors into events that it no longer has
--                          (src/model/epoch.rs)
--   undone_epoch:<id>      an epoch that a restore removed: the id of the epoch before it, a space, the last seq
--                          before it
--   used:<client id>       when a credential was last used, recorded every few seconds
--   dropping               the chunk whose dropped events may still have rows; absent otherwise
--   drops                  the number of times that retention has dropped events
--   moved_events           while a migration moves events into blocks: the last event that it has moved
--   outdated_chunks        while a migration rebuilds the index: the first chunk that it has not rebuilt
--   replacing_blocks       exists only within transactions that replace blocks, which the trigger of that table requires
--   retention_clock        the last time of the clock that retention has trusted
--   terms_unswept          present while the table of terms may contain values that only dropped events had
--   spent:<ticket>         an ended session or a used sign-in link, and when it would have expired
CREATE TABLE setting (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per event, in the order of commits.
--   seq        from 1, the order of arrival: without gaps, except the ranges in the table dropped
--   timestamp  event time; the time of receipt if the body has "orderedBy": "receivedAt"
--   entity     context.entity, if the event has one, as the ordinal of its term (below)
--   blueprint  context.blueprint, if the event has one, as the ordinal of its term
--   filled     the fields that the server filled in for the sender: the sum of 1 trigger.at, 2 trigger.origin, 4 status, 8 identifier
--   checksum   the lower 32 bits: the CRC-32 of the event's body, then seq, timestamp, entity, blueprint, filled (8
--              bytes each, little-endian; -1 if missing); the upper 32 bits: the first 32 bits of the identifier's
--              SHA-256. Verified each time the event is served. NULL before checksums_from: then the zstd frame of the
--              block has a checksum, of the bodies only. An uncompressed body without a checksum is served if it is JSON
CREATE TABLE event (
    seq       INTEGER PRIMARY KEY,
    timestamp INTEGER NOT NULL,
    entity    INTEGER,
    blueprint INTEGER,
    filled    INTEGER NOT NULL,
    checksum  INTEGER
) STRICT;

-- The bodies of the events, in blocks of consecutive events that are compressed together. A batch is divided into blocks
-- of about 8 kB (src/store/event/block.rs); events that are sent one by one get a block each, and sealing their chunk joins
-- these. A block may belong to two chunks.
--   first   the seq of the first event
--   events  the number of seqs from the first to the last event
--   bodies  the events, one JSON object each, with the byte 0x1E (the record separator, which no JSON contains) between
--           two of them; an event that was dropped leaves an empty text. Uncompressed if this begins with '{', otherwise
--           a zstd frame (RFC 8878) with its content size and the number of its dictionary
CREATE TABLE block (
    first  INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    bodies BLOB    NOT NULL
) STRICT;

CREATE TRIGGER block_is_never_changed BEFORE UPDATE ON block
BEGIN SELECT RAISE(ABORT, 'a block is never changed'); END;

CREATE TRIGGER block_is_never_deleted BEFORE DELETE ON block
WHEN NOT EXISTS (SELECT 1 FROM setting WHERE name = 'replacing_blocks')
BEGIN SELECT RAISE(ABORT, 'a block is never deleted'); END;

-- Indexes for hand-written SQL. Each index entry contains the seq of its row, so equal values are in order of arrival.
-- The server's own queries use the chunks below.
--
-- Neighboring events rarely share an entity or a blueprint. With an index ordered by one of them alone, each commit
-- would write to pages all over the index, and to more of them the larger the file is. These indexes therefore start a
-- new part every 4,096 events, of about 7 pages. SQLite searches each part (skip-scan), because of the statistics below.
-- With an undivided index of blueprints, commits of 500 events write twice as much. Files of builds before 2026-12-01
-- have an undivided index of blueprints, and the timestamp in both indexes.
CREATE INDEX event_timestamp ON event (timestamp);
CREATE INDEX event_entity    ON event (seq >> 12, entity)    WHERE entity IS NOT NULL;
CREATE INDEX event_blueprint ON event (seq >> 12, blueprint) WHERE blueprint IS NOT NULL;

CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;

-- Events that retention has dropped, from `first` to `last`, both included and within one chunk. The transaction that
-- inserts such a range also stores the audit record of it (origin auditbox, action DELETE, resource type audit_log) and
-- removes the events from the index. Their rows are deleted afterwards. Ranges stay here: any other gap in the order of
-- arrival is a loss.
CREATE TABLE dropped (
    first INTEGER PRIMARY KEY,
    last  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER event_is_never_deleted BEFORE DELETE ON event
WHEN OLD.seq > coalesce((SELECT last FROM dropped WHERE first <= OLD.seq ORDER BY first DESC LIMIT 1), 0)
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;

-- The events with names in place of ordinals: SELECT at FROM named_event WHERE entity = 'checkout' ORDER BY timestamp
-- Their bodies are compressed: auditbox query and auditbox event print them.
CREATE VIEW named_event AS
SELECT event.seq, event.timestamp,
       strftime('%Y-%m-%dT%H:%M:%fZ', event.timestamp / 1000000.0, 'unixepoch') AS at,
       entity.value AS entity, blueprint.value AS blueprint
FROM event
LEFT JOIN term AS entity    ON entity.field = 2    AND entity.ordinal = event.entity
LEFT JOIN term AS blueprint ON blueprint.field = 3 AND blueprint.ordinal = event.blueprint;

-- The zstd dictionaries that blocks are compressed with. They are never deleted, since blocks refer to them.
--   ratio     bytes per byte of event in blocks of 8, for events that it was not trained on; 0 if it was trained for events
--             one by one, before format 4
--   checksum  the CRC-32 of the number (4 bytes, little-endian) and the bytes
CREATE TABLE dictionary (
    number     INTEGER PRIMARY KEY,
    created_at INTEGER NOT NULL,
    ratio      REAL    NOT NULL,
    bytes      BLOB    NOT NULL,
    checksum   INTEGER NOT NULL
) STRICT;

-- The term dictionary: each searchable value that many events share, once.
--   field    which field; the codes are those of src/model/field.rs: 2 entity, 3 blueprint, 7 origin, 9 resource type,
--            10 action, 11 status, 13 actor (the user id, otherwise the e-mail address, otherwise the name), 15 method,
--            16 path, 17 status code, 18 address, 19 word of the message, 20 another name of the actor, …
--   ordinal  from 0 within the field, in the order in which the log first had the values; an ordinal is never reused
--   value    the value. A value that only dropped events had is deleted, or replaced with a NUL and the ordinal while
--            its ordinal is the highest of its field
CREATE TABLE term (
    field   INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    value   TEXT    NOT NULL,
    PRIMARY KEY (field, ordinal)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX term_value ON term (field, value);

-- The index. It divides the log into chunks of consecutive events (setting chunk_events, 65,536), each sealed when it
-- is full. When events are dropped, their chunk is sealed again without them, or deleted. The whole index can be
-- rebuilt from the events (auditbox reindex). A chunk's own row is written last: rows of the other tables without a
-- chunk are left from a crash. Within a chunk, events are numbered by time, and by arrival if times are equal. These
-- numbers are the positions in postings.
--   number       from 0: the chunk has the events from number * chunk_events + 1 on
--   side         0 or 1; 1 adds 2^62 to the column place of the chunk's other rows. A chunk that is sealed again
--                changes sides
--   events       the number of its events
--   first, last  the earliest and the latest timestamp
--   first_times  the first timestamp of each block of chunk_time: 8 bytes each, little-endian
--   key_blocks   for each field of chunk_key its code and the base-2 logarithm of its number of blocks: 2 bytes
--                0 and 0 mark a chunk with a damaged event of which only the hash of its identifier is left; 61 and 0
--                mark a chunk that has the codes 61 to 63 of chunk_posting
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

-- The times of a chunk's events, and their order of arrival, 256 events per row (src/index/encode/times.rs).
--   place  chunk * 2^38 + block
CREATE TABLE chunk_time (
    place INTEGER PRIMARY KEY,
    times BLOB    NOT NULL
) STRICT;

-- Which events of a chunk have which term: runs of terms in order, each with its set of positions
-- (src/index/encode/postings.rs).
--   place  chunk * 2^38 + field * 2^32 + the first ordinal of the run. In place of a field:
--            61  words of the values without a field, for words of at most 128 events of the chunk. The ordinal is the
--                word's number: 24 bits of a hash (src/model/words.rs). Number 0 stands for every word of an event that
--                has more than 512
--            62  the other words. A position is a group of 16 events
--            63  parts of three bytes of the values in chunk_key. The ordinal has four bits per byte
--                (src/index/encode/parts.rs). A position is a group of 64 events
CREATE TABLE chunk_posting (
    place INTEGER PRIMARY KEY,
    terms BLOB    NOT NULL
) STRICT;

-- The values that few events share (1 identifier, 4 run, 6 webhook event). Each chunk lists its own, divided into
-- blocks by their hash (src/index/encode/keys.rs).
--   place  chunk * 2^38 + field * 2^32 + block
CREATE TABLE chunk_key (
    place INTEGER PRIMARY KEY,
    keys  BLOB    NOT NULL
) STRICT;

-- The fields that the operator has declared (`[[fields]]` in the configuration). A field whose definition changes is removed,
-- and declared again in another slot.
--   slot        0 to 63; the code of the field in the table term is 64 + slot
--   name        the parameter that filters on the field
--   definition  label, pointers, matching and search, as one JSON object
--   first       chunks from this number on have the field, earlier ones may lack it; 0: all have it
--   removed     1: the field is no longer declared, and its rows are being deleted
CREATE TABLE field (
    slot       INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    definition TEXT    NOT NULL,
    first      INTEGER NOT NULL,
    removed    INTEGER NOT NULL
) STRICT;

-- The terms of declared fields, like chunk_posting. Rows of a field in a chunk before its `first` are incomplete.
--   place  chunk * 2^38 + slot * 2^32 + the first ordinal of the run
CREATE TABLE chunk_custom (
    place INTEGER PRIMARY KEY,
    terms BLOB    NOT NULL
) STRICT;

-- The credentials. Revoked credentials stay, so that the names in audit records keep their meaning.
--   secret_hash  SHA-256 of the client secret; if the credential has several secrets, of each, oldest first
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

-- Statistics for SQLite's planner, as ANALYZE would write them for a large file: rows in the table, then rows that
-- share the first column of the index, the first two columns, and so on.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('event', 'event_timestamp', '10000000 1'),
    ('event', 'event_entity',    '10000000 4096 4'),
    ('event', 'event_blueprint', '10000000 4096 40'),
    ('term',  'term',            '1000000 50000 1'),
    ('term',  'term_value',      '1000000 50000 1');
