//! A query for a list of events.

use crate::model::{
    cursor::{self, Cursor, Fingerprint, Position},
    error::ParameterError,
    filter::Filter,
    json::{self, Members},
    limits::STORED_KEYS_MAX,
};

/// The sort key of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Event time, with ties by arrival. For people.
    Time,
    /// Arrival: for programs that follow the log and must not miss events that arrive late.
    Received,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

/// A query for a list.
#[derive(Debug, Clone)]
pub struct Query {
    /// The events that match.
    pub filter: Filter,
    /// The sort key.
    pub sort: Sort,
    /// The direction.
    pub order: Order,
    /// Maximum number of events.
    pub limit: usize,
    /// Whether a larger limit was requested.
    pub limit_clamped: bool,
    /// The keys to return of each event; `None` for all.
    pub includes: Option<Includes>,
    /// The position to begin after.
    pub after: Option<Cursor>,
    /// Whether to count all matching events.
    pub count: bool,
    /// Whether to report where in each event the search matches.
    pub highlight: bool,
    fingerprint: Fingerprint,
    /// The fingerprint of the same query in an earlier version.
    earlier_fingerprint: Option<Fingerprint>,
}

/// A parameter that is not a filter, as the API documentation and the command line list it.
#[derive(Debug)]
pub struct Control {
    /// The name of the parameter.
    pub name: &'static str,
    /// What the parameter does.
    pub summary: &'static str,
}

/// Every parameter that is not a filter on a field.
pub const CONTROLS: &[Control] = &[
    Control {
        name: "q",
        summary: "A search: words of any value, parts of names, \"phrases in quotes\" and field:value, all of which must match; a hyphen excludes (-word, -field:a,b)",
    },
    Control { name: "search", summary: "The same as q" },
    Control {
        name: "from",
        summary: "Earliest event time, included: RFC 3339 with any offset, or a date, or a date and a time in tz",
    },
    Control {
        name: "to",
        summary: "Latest event time, included up to the end of the given day, minute, second or fraction; written like from",
    },
    Control {
        name: "tz",
        summary: "The time zone of dates and of times without an offset, and of the days in a histogram: UTC (the default), Europe/Berlin, +02:00",
    },
    Control { name: "limit", summary: "Maximum number of events; a number above the server's maximum is clamped" },
    Control { name: "includes", summary: "The only keys each event is returned with; may be repeated" },
    Control { name: "sort", summary: "time (event time, the default) or received (arrival)" },
    Control { name: "order", summary: "desc (newest first, the default) or asc" },
    Control {
        name: "cursor",
        summary: "Continue after the page that returned this cursor; 422 if the log was restored to before that",
    },
    Control { name: "count", summary: "true to include the number of matching events" },
    Control {
        name: "highlight",
        summary: "true to include where the search matches in each event; the list then has at most 1,000 events",
    },
    Control { name: "include_own", summary: "true to include auditbox's records of requests made to itself" },
    Control { name: "include_deleted_entities", summary: "Accepted; events of deleted entities are always included" },
    Control { name: "page", summary: "Only 1 is accepted; later pages begin at a cursor" },
    Control { name: "per_page", summary: "The same as limit" },
];

/// Maximum number of events of a list with highlights.
pub const HIGHLIGHTED_MAX: usize = 1_000;

/// The keys that `includes` may name.
pub const INCLUDABLE: &[&str] = &[
    "action",
    "context",
    "diff",
    "identifier",
    "resourceType",
    "status",
    "trigger",
    "additionalData",
    "message",
    "request",
    "receivedAt",
    "receivedBy",
    "masked",
    "maskedChanged",
    "maskedUnknown",
    "mapping",
    "orderedBy",
];

/// The keys to return of each event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Includes(Vec<&'static str>);

impl Includes {
    /// The keys of these names, in any case.
    pub fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let find = |name: &str| INCLUDABLE.iter().copied().find(|key| key.eq_ignore_ascii_case(name.trim()));
        let keys: Option<Vec<_>> = names.map(find).collect();
        keys.map(Self).ok_or_else(|| format!("must be of {}", INCLUDABLE.join(", ")))
    }

    /// The keys, in the order in which they were chosen.
    pub fn keys(&self) -> &[&'static str] {
        &self.0
    }

    /// The chosen keys of a stored event, as a JSON object. Values are copied without being parsed. A body that is not
    /// an object is returned whole, so that a fault in parsing never hides stored data.
    pub fn project(&self, body: &str) -> String {
        let Ok(members) = Members::read(body, STORED_KEYS_MAX) else {
            return body.to_owned();
        };
        let mut out = String::with_capacity(body.len());
        out.push('{');
        for (key, value) in members {
            if self.0.contains(&key.as_ref()) {
                if out.len() > 1 {
                    out.push(',');
                }
                json::push_string(&mut out, &key);
                out.push(':');
                out.push_str(value.get());
            }
        }
        out.push('}');
        out
    }
}

impl Query {
    /// A query without limit or position.
    pub fn new(filter: Filter, sort: Sort, order: Order) -> Self {
        // The filter is normalized, so all spellings of a query share their cursors.
        let fingerprint = Fingerprint::of(&format!("{sort:?} {order:?} {filter:?}"));
        Self {
            filter,
            sort,
            order,
            limit: usize::MAX,
            limit_clamped: false,
            includes: None,
            after: None,
            count: false,
            highlight: false,
            fingerprint,
            earlier_fingerprint: None,
        }
    }

    /// The same events in reverse order, from the beginning.
    pub fn reversed(self) -> Self {
        let order = match self.order {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        };
        let sort = self.sort;
        self.ordered(sort, order)
    }

    /// The same events as they arrive, oldest first.
    pub fn by_arrival(self) -> Self {
        self.ordered(Sort::Received, Order::Ascending)
    }

    fn ordered(self, sort: Sort, order: Order) -> Self {
        let Self { limit, limit_clamped, includes, count, highlight, .. } = self;
        Self { limit, limit_clamped, includes, count, highlight, ..Self::new(self.filter, sort, order) }
    }

    /// Accepts the cursors of another query too: the same one as an earlier version wrote it.
    pub fn accept_cursors_of(&mut self, earlier: &Self) {
        self.earlier_fingerprint = Some(earlier.fingerprint);
    }

    /// This query after the position that `cursor` encodes. `parameter` is the name that an error gives.
    pub fn continue_after(mut self, parameter: &str, cursor: &str) -> Result<Self, ParameterError> {
        let earlier = self.earlier_fingerprint.and_then(|fingerprint| cursor::decode(cursor, fingerprint).ok());
        let after = earlier.map_or_else(|| cursor::decode(cursor, self.fingerprint), Ok);
        self.after = Some(after.map_err(|message| ParameterError::new(parameter, message))?);
        Ok(self)
    }

    /// Encodes a cursor for this query.
    pub fn cursor(&self, cursor: Cursor) -> String {
        cursor::encode(cursor, self.fingerprint)
    }

    /// Whether a position comes before another in this query's order.
    pub fn precedes(&self, position: Position, other: Position) -> bool {
        let order = match self.sort {
            Sort::Time => position.cmp(&other),
            Sort::Received => position.seq.cmp(&other.seq),
        };
        match self.order {
            Order::Ascending => order.is_lt(),
            Order::Descending => order.is_gt(),
        }
    }

    /// Advice that makes this query faster.
    pub fn advice(&self) -> String {
        let range = match (self.filter.time.from, self.filter.time.to) {
            (None, None) => "give a time range (from and to)",
            _ => "give a shorter time range (from and to)",
        };
        let words = if self.filter.search.is_empty() { "" } else { ", or search for fewer words (q)" };
        let count = if self.count { ", or leave out count" } else { "" };
        format!("{range}{words}{count}")
    }

    /// Whether this query follows the log. Then there is always a next page, even if it is still empty.
    pub fn follows(&self) -> bool {
        self.sort == Sort::Received && self.order == Order::Ascending
    }
}
