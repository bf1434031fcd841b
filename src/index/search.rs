//! Search along one B-tree, testing each row's fields.
//!
//! A query walks the index that narrows it most (identifier, entity, blueprint, else time or arrival) in the order of the
//! page, tests the row's encoded values against the filter, and stops when the page is full. So the rows come in order
//! and nothing is sorted, save where several values of one field are walked one after another.

use rusqlite::{Connection, Row, types::ToSql};

use crate::{
    index::identifier_hash,
    model::{
        cursor::Position,
        field::Field,
        filter::{Clause, Predicate},
        query::{Order, Query, Sort},
        timestamp::Timestamp,
    },
};

/// A page of a search.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the events are, in the query's order; at most the query's limit.
    pub positions: Vec<Position>,
    /// Whether more follow.
    pub more: bool,
    /// The newest event that the search could have seen.
    pub through_seq: i64,
}

/// Runs a query on the connection's present snapshot.
pub fn search(connection: &Connection, query: &Query) -> rusqlite::Result<Found> {
    let through_seq = last_seq(connection)?;
    let mut positions = Vec::new();
    let walks = walks(query);
    for walk in &walks {
        positions.extend(take(connection, query, walk)?);
        if walks.len() > 1 {
            sort(&mut positions, query);
            // What many walks find is not held all at once: one more than the page is enough.
            positions.truncate(query.limit + 1);
        }
    }
    let more = positions.len() > query.limit;
    positions.truncate(query.limit);
    Ok(Found { positions, more, through_seq })
}

/// The newest event's seq; 0 in an empty log.
pub fn last_seq(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("SELECT coalesce(max(seq), 0) FROM event")?.query_row([], |row| row.get(0))
}

/// One walk along one index: a condition, the value it binds, and the index that answers it.
struct Walk {
    condition: &'static str,
    value: Box<dyn ToSql>,
    index: &'static str,
}

/// The walks that together meet every row of the answer once.
fn walks(query: &Query) -> Vec<Walk> {
    let exact = |field| query.filter.including(field).and_then(exact_values);
    if let Some(values) = exact(Field::Identifier) {
        let walk = |value: &str| Walk {
            condition: "identifier_hash = ?1",
            value: Box::new(identifier_hash(value)),
            index: "INDEXED BY event_identifier_hash",
        };
        return values.into_iter().map(walk).collect();
    }
    let everything = |index| vec![Walk { condition: "?1 IS NULL", value: Box::new(None::<i64>), index }];
    if query.sort == Sort::Received {
        return everything("NOT INDEXED");
    }
    for (field, condition, index) in [
        (Field::Entity, "entity = ?1", "INDEXED BY event_entity"),
        (Field::Blueprint, "blueprint = ?1", "INDEXED BY event_blueprint"),
    ] {
        if let Some(values) = exact(field) {
            let walk = |value: &str| Walk { condition, value: Box::new(value.to_owned()), index };
            return values.into_iter().map(walk).collect();
        }
    }
    everything("INDEXED BY event_timestamp")
}

/// The distinct values of a clause whose predicates are all exact.
fn exact_values(clause: &Clause) -> Option<Vec<&str>> {
    let mut values = Vec::with_capacity(clause.predicates.len());
    for predicate in &clause.predicates {
        let Predicate::Exact(value) = predicate else {
            return None;
        };
        values.push(value.as_str());
    }
    values.sort_unstable();
    values.dedup();
    Some(values)
}

/// The first of a walk's rows that pass, one more than the page holds.
fn take(connection: &Connection, query: &Query, walk: &Walk) -> rusqlite::Result<Vec<Position>> {
    let Bounds { first, last, after } = Bounds::of(query);
    let mut statement = connection.prepare_cached(&statement(query, walk))?;
    let mut rows = statement.query(rusqlite::params![walk.value, first, last, after.timestamp.micros(), after.seq])?;
    let mut positions = Vec::new();
    while let Some(row) = rows.next()? {
        if query.filter.matches(row.get_ref(2)?.as_blob()?) {
            positions.push(position(row)?);
            if positions.len() > query.limit {
                break;
            }
        }
    }
    Ok(positions)
}

fn position(row: &Row<'_>) -> rusqlite::Result<Position> {
    Ok(Position { seq: row.get(0)?, timestamp: Timestamp::from_micros(row.get(1)?) })
}

/// The only SQL that is put together, from fixed pieces; every value is bound.
fn statement(query: &Query, walk: &Walk) -> String {
    let (beyond, direction) = match query.order {
        Order::Ascending => (">", "ASC"),
        Order::Descending => ("<", "DESC"),
    };
    let (place, order) = match query.sort {
        Sort::Time => {
            (format!("(timestamp, seq) {beyond} (?4, ?5)"), format!("timestamp {direction}, seq {direction}"))
        }
        Sort::Received => (format!("?4 IS NOT NULL AND seq {beyond} ?5"), format!("seq {direction}")),
    };
    let Walk { condition, index, .. } = walk;
    format!(
        "SELECT seq, timestamp, fields FROM event {index} \
         WHERE {condition} AND timestamp BETWEEN ?2 AND ?3 AND {place} ORDER BY {order}"
    )
}

/// What a walk is confined to: event times, and the place after which the page begins.
struct Bounds {
    first: i64,
    last: i64,
    after: Position,
}

impl Bounds {
    fn of(query: &Query) -> Self {
        let before_all = Position { timestamp: Timestamp::from_micros(i64::MIN), seq: i64::MIN };
        let behind_all = Position { timestamp: Timestamp::from_micros(i64::MAX), seq: i64::MAX };
        let mut first = query.filter.time.from.map_or(i64::MIN, Timestamp::micros);
        let mut last = query.filter.time.to.map_or(i64::MAX, Timestamp::micros);
        let start = if query.order == Order::Ascending { before_all } else { behind_all };
        // The place bounds the time as well, which lets the walk begin at it instead of stepping over what precedes it.
        if let (Some(after), Sort::Time) = (query.after, query.sort) {
            match query.order {
                Order::Ascending => first = first.max(after.timestamp.micros()),
                Order::Descending => last = last.min(after.timestamp.micros()),
            }
        }
        Self { first, last, after: query.after.unwrap_or(start) }
    }
}

fn sort(positions: &mut [Position], query: &Query) {
    match query.sort {
        Sort::Time => positions.sort_unstable(),
        Sort::Received => positions.sort_unstable_by_key(|position| position.seq),
    }
    if query.order == Order::Descending {
        positions.reverse();
    }
}
