//! The plain SQLite table: the body as text, one column per filter, and an index (column, timestamp) on each.
//!
//! As durable as auditbox (WAL, synchronous=FULL), with batches of the same size. In the bench's own process, its
//! figures include no HTTP; `plain_http` serves it over HTTP. Unlike auditbox, it does not reject duplicate
//! identifiers.

use std::{fs, path::Path, time::Instant};

use rusqlite::{Connection, Row, params, params_from_iter};

use crate::{
    contender::{Contender, identifier},
    events::{Event, Maker},
    load::BATCH_EVENTS,
    queries::{COLUMNS, FACETS, Filter, LIMIT},
    report::BaselineLoad,
};

/// The expression that a daily histogram groups by.
pub(crate) const DAY_AND_STATUS: &str = "timestamp / 86400000000, status";

/// The open table.
pub(crate) struct PlainTable {
    connection: Connection,
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    // A cache of 256 MiB. With SQLite's default of 2 MB, the load would measure cache misses.
    connection.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-262144;").unwrap();
    connection.set_prepared_statement_cache_capacity(256);
    connection
}

fn create(connection: &Connection) {
    let columns: Vec<_> = COLUMNS.iter().map(|(name, _)| format!("{name} TEXT")).collect();
    let table = format!(
        "CREATE TABLE event (seq INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, {}, body TEXT NOT NULL)",
        columns.join(", ")
    );
    connection.execute_batch(&table).unwrap();
}

fn index(connection: &Connection) {
    connection.execute_batch("CREATE INDEX event_timestamp ON event (timestamp)").unwrap();
    for (name, _) in COLUMNS {
        connection.execute_batch(&format!("CREATE INDEX event_{name} ON event ({name}, timestamp)")).unwrap();
    }
}

impl PlainTable {
    /// Loads the first `size` events into a new file. In bulk, the indexes are built afterwards.
    pub(crate) fn load(path: &Path, maker: &Maker, size: u64, in_bulk: bool) -> BaselineLoad {
        let connection = open(path);
        create(&connection);
        let begun = Instant::now();
        if !in_bulk {
            index(&connection);
        }
        let (mut event, mut first) = (Event::default(), 0);
        while first < size {
            let end = size.min(first + BATCH_EVENTS);
            insert(&connection, maker, first..end, &mut event);
            first = end;
        }
        if in_bulk {
            index(&connection);
        }
        let seconds = begun.elapsed().as_secs_f64();
        connection.execute_batch("ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
        BaselineLoad { events: size, seconds, in_bulk, file_bytes: fs::metadata(path).unwrap().len() }
    }

    pub(crate) fn open(path: &Path) -> Self {
        Self { connection: open(path) }
    }
}

fn insert(connection: &Connection, maker: &Maker, numbers: std::ops::Range<u64>, event: &mut Event) {
    let transaction = connection.unchecked_transaction().unwrap();
    let places: Vec<_> = (1..=COLUMNS.len() + 2).map(|place| format!("?{place}")).collect();
    let names: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).collect();
    let sql = format!("INSERT INTO event (timestamp, {}, body) VALUES ({})", names.join(","), places.join(","));
    let mut statement = transaction.prepare_cached(&sql).unwrap();
    for number in numbers {
        maker.make(number, event);
        let [entity, blueprint, run, origin, resource, action, status, actor, method, path, code, ip] = event.columns();
        statement
            .execute(params![
                event.micros,
                entity,
                blueprint,
                run,
                origin,
                resource,
                action,
                status,
                actor,
                method,
                path,
                code,
                ip,
                event.body
            ])
            .unwrap();
    }
    drop(statement);
    transaction.commit().unwrap();
}

fn name(number: usize) -> String {
    format!("?{number}")
}

impl PlainTable {
    /// The bodies of the first hundred matches, newest first.
    pub(crate) fn each_body(&self, filter: &Filter, mut take: impl FnMut(&str)) {
        let (clause, values) = filter.sql(name);
        let sql = format!("SELECT body FROM event {clause} ORDER BY timestamp DESC LIMIT {LIMIT}");
        let mut statement = self.connection.prepare_cached(&sql).unwrap();
        let mut rows = statement.query(params_from_iter(values)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            take(row.get_ref(0).unwrap().as_str().unwrap());
        }
    }

    pub(crate) fn count_of(&self, filter: &Filter) -> u64 {
        let (clause, values) = filter.sql(name);
        let mut statement = self.connection.prepare_cached(&format!("SELECT count(*) FROM event {clause}")).unwrap();
        statement.query_row(params_from_iter(values), |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
    }

    /// The number of matches by the values of `by`: rows of these values and the number.
    pub(crate) fn each_group(&self, filter: &Filter, by: &str, mut take: impl FnMut(&Row<'_>)) {
        let (clause, values) = filter.sql(name);
        let sql = format!("SELECT {by}, count(*) AS n FROM event {clause} GROUP BY {by} ORDER BY n DESC LIMIT 200");
        let mut statement = self.connection.prepare_cached(&sql).unwrap();
        let mut rows = statement.query(params_from_iter(values)).unwrap();
        while let Some(row) = rows.next().unwrap() {
            take(row);
        }
    }

    fn bodies(&self, filter: &Filter) -> Vec<String> {
        let mut bodies = Vec::new();
        self.each_body(filter, |body| bodies.push(body.to_owned()));
        bodies
    }
}

impl Contender for PlainTable {
    fn list(&mut self, filter: &Filter) -> usize {
        std::hint::black_box(self.bodies(filter)).len()
    }

    fn identifiers(&mut self, filter: &Filter) -> Vec<String> {
        self.bodies(filter).iter().map(|body| identifier(body)).collect()
    }

    fn count(&mut self, filter: &Filter) -> u64 {
        self.count_of(filter)
    }

    fn overview(&mut self, filter: &Filter) {
        self.count_of(filter);
        for by in FACETS.into_iter().chain([DAY_AND_STATUS]) {
            self.each_group(filter, by, |row| {
                std::hint::black_box(row.get_ref(0).unwrap());
            });
        }
    }
}
