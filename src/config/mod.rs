//! What an operator sets: a TOML file, then environment variables over it, read once at start into a [`Config`].
//!
//! `raw.rs` reads keys and kinds of value; this file holds the defaults, each with its reason, and `check.rs` makes the
//! one out of the other. Past [`Config::load`] nobody checks a setting again. The only file opened here is the
//! configuration itself: whether a database or a certificate exists is found out by whoever opens it.

mod check;
mod raw;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;

pub use crate::model::self_audit::Record;
use crate::model::{
    limits::{self, EventLimits, QueryLimits},
    mask::Mask,
    resource_type::Catalogue,
    retention::{KeepBy, Rules},
};

/// Where to listen. The loopback address, because a log open to the network must be somebody's decision.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8686);
/// Seconds for requests in flight to finish: as long as one body may take to arrive, and no longer than common
/// supervisors wait before they kill.
pub const SHUTDOWN_SECONDS: u64 = 30;
/// Connections in use at once. At some tens of kilobytes each this is a few hundred megabytes at worst, and a proxy in
/// front needs far fewer.
pub const CONNECTIONS_MAX: usize = 4096;
/// Threads that serve requests: 0 means one per core, as the work is mostly parsing.
pub const WORKERS: usize = 0;
/// The database: in the working directory, so that a first run needs no configuration and no privileges.
pub const DATABASE_PATH: &str = "auditbox.db";
/// Connections that read the database. Lists are short; beyond a few, readers only contend for the page cache.
pub const DATABASE_READERS: u32 = 4;
/// Bytes of the write-ahead log. In ordinary use it stays under 256 MiB; a program that holds a read transaction open beside
/// the server makes it grow, and a quarter of an hour of full ingest is time enough for any backup to take its next step.
pub const LOG_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Seconds an access token is good for: three hours, as Port's tokens are, so that its clients renew as they do there.
pub const ACCESS_TOKEN_SECONDS: u32 = 10_800;
/// Failed logins of one client id at an address in a window before they are answered 429: more than a person mistypes.
pub const FAILED_LOGINS_MAX: u32 = 10;
/// Seconds a session is good for when nobody uses it: a working day.
pub const SESSION_IDLE_SECONDS: u32 = 8 * 60 * 60;
/// Seconds a session is good for at most: after a week whoever it is signs in again.
pub const SESSION_SECONDS: u32 = 7 * 24 * 60 * 60;
/// Seconds of that window: as long as a person waits before trying again.
pub const FAILED_LOGINS_WINDOW_SECONDS: u32 = 60;
/// Bytes of a request body once decompressed: a full batch of events of a kilobyte, with room to spare.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Seconds for a body to arrive: [`BODY_BYTES_MAX`] over a line of 5 Mbit/s, while a stalled sender is soon dropped.
pub const BODY_READ_SECONDS: u64 = 30;
/// Bytes of all the request bodies held at once: 16 of the largest. Many connections must not add up to all memory.
pub const BODY_MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Events waiting to be written: two full batches, so that one is taken in while another is written.
pub const QUEUE_EVENTS_MAX: usize = 20_000;
/// Bytes of the events waiting to be written: four of the largest bodies. Past it senders are told to come back, which
/// is better than memory that grows while a disk is slow.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Seconds that one query may take. Nearly all take milliseconds; only a search for many words in a large log takes longer
/// than this, and people do not watch an empty page for longer.
pub const QUERY_SECONDS: u64 = 10;
/// Seconds that an answer may make no progress because its client does not read. Proxies give up on silence after as long.
pub const ANSWER_STALL_SECONDS: u64 = 60;
/// Live streams open at once: each asks a small question after each commit, at most some times a second.
pub const STREAMS_MAX: usize = 100;
/// Which requests to auditbox are themselves recorded: all, since who read the log is part of what a log is asked.
pub const RECORD: Record = Record::All;
/// Days that events are kept: 0 is for ever. What a log drops must be somebody's decision.
pub const KEEP_DAYS: u64 = 0;
/// Which of an event's times its age counts from: the later one, as what a sender claims must not delete what was just
/// acknowledged.
pub const KEEP_BY: KeepBy = KeepBy::Both;
/// What is logged: starts, stops and troubles, with nothing for a request that went well.
pub const LOG_LEVEL: &str = "info";
/// How it is logged: for a person; whoever collects logs asks for JSON.
pub const LOG_FORMAT: LogFormat = LogFormat::Text;

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[server]`: the socket and those served on it.
    pub server: ServerConfig,
    /// `[database]`: the file.
    pub database: DatabaseConfig,
    /// `[auth]`: tokens and logins.
    pub auth: AuthConfig,
    /// `[limits]`: what one request, and all of them together, may take.
    pub limits: LimitsConfig,
    /// `[mask]`: what is masked in events before they are stored.
    pub mask: Mask,
    /// `[self_audit]`: auditbox's own events.
    pub self_audit: SelfAuditConfig,
    /// `[retention]`: how long events are kept.
    pub retention: Rules,
    /// `[log]`: what goes to standard error.
    pub log: LogConfig,
    /// `[[resource_types]]`: what the kinds of things that are acted on are called.
    pub resource_types: Catalogue,
}

impl Config {
    /// Reads the file at `path`, if one is named, and lets the variables `AUDITBOX_<SECTION>_<KEY>` of `environment`
    /// override it. What neither sets has its default.
    pub fn load(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let (raw, origins) = raw::read(path, environment)?;
        check::config(raw).map_err(|problem| origins.blame(problem))
    }
}

/// The socket and those served on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The address and port to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Peers whose word on the client's address is taken. Host bits are cleared.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate to serve HTTPS with; plain HTTP without one.
    pub tls: Option<TlsFiles>,
    /// How long requests in flight may take to finish after a signal to stop.
    pub shutdown_seconds: u64,
    /// Connections open at once, over all workers.
    pub connections_max: usize,
    /// Threads that serve requests; 0 means one per core.
    pub workers: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            trusted_proxies: Vec::new(),
            tls: None,
            shutdown_seconds: SHUTDOWN_SECONDS,
            connections_max: CONNECTIONS_MAX,
            workers: WORKERS,
        }
    }
}

/// Two PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// The database file; a relative path is from the working directory.
    pub path: PathBuf,
    /// Connections that read it, 1 to 64.
    pub readers: u32,
    /// Bytes of its write-ahead log at which nothing more is taken, at least 128 MiB.
    pub log_bytes_max: u64,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self { path: PathBuf::from(DATABASE_PATH), readers: DATABASE_READERS, log_bytes_max: LOG_BYTES_MAX }
    }
}

/// Tokens and logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// How long an access token is good for.
    pub access_token_seconds: u32,
    /// Failed logins from one address in a window before it must wait.
    pub failed_logins_max: u32,
    /// The length of that window.
    pub failed_logins_window_seconds: u32,
    /// How long a session is good for when it is not used.
    pub session_idle_seconds: u32,
    /// How long a session is good for at most; not less than `session_idle_seconds`.
    pub session_seconds: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            access_token_seconds: ACCESS_TOKEN_SECONDS,
            failed_logins_max: FAILED_LOGINS_MAX,
            failed_logins_window_seconds: FAILED_LOGINS_WINDOW_SECONDS,
            session_idle_seconds: SESSION_IDLE_SECONDS,
            session_seconds: SESSION_SECONDS,
        }
    }
}

/// What one request, and all of them together, may take. Each is at least 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Bytes of a request body, decompressed.
    pub body_bytes_max: usize,
    /// How long a request body may take to arrive.
    pub body_read_seconds: u64,
    /// Bytes of all request bodies held at once; not less than `body_bytes_max`.
    pub body_memory_bytes_max: usize,
    /// Events waiting to be written; not less than `batch_events_max`.
    pub queue_events_max: usize,
    /// Bytes of the events waiting to be written.
    pub queue_bytes_max: usize,
    /// Events in one request.
    pub batch_events_max: usize,
    /// Bytes of one event, as sent; not more than `body_bytes_max`.
    pub event_bytes_max: usize,
    /// Levels of nesting in one event, at most 100.
    pub json_depth_max: usize,
    /// Values of one field in a filter.
    pub filter_values_max: usize,
    /// Events in a list when the request names no limit; not more than `list_max`.
    pub list_default: usize,
    /// Events in a list at most.
    pub list_max: usize,
    /// How long one query may take.
    pub query_seconds: u64,
    /// How long an answer may make no progress because its client does not read.
    pub answer_stall_seconds: u64,
    /// Live streams open at once.
    pub streams_max: usize,
    /// Seconds that an event's time may lie after its receipt, at most a year.
    pub future_seconds_max: i64,
}

impl LimitsConfig {
    /// What an event must keep to.
    pub fn event(&self) -> EventLimits {
        EventLimits {
            event_bytes_max: self.event_bytes_max,
            json_depth_max: self.json_depth_max,
            future_seconds_max: self.future_seconds_max,
        }
    }

    /// What a query must keep to.
    pub fn query(&self) -> QueryLimits {
        QueryLimits {
            filter_values_max: self.filter_values_max,
            list_default: self.list_default,
            list_max: self.list_max,
        }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body_bytes_max: BODY_BYTES_MAX,
            body_read_seconds: BODY_READ_SECONDS,
            body_memory_bytes_max: BODY_MEMORY_BYTES_MAX,
            queue_events_max: QUEUE_EVENTS_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            batch_events_max: limits::BATCH_EVENTS_MAX,
            event_bytes_max: limits::EVENT_BYTES_MAX,
            json_depth_max: limits::JSON_DEPTH_MAX,
            filter_values_max: limits::FILTER_VALUES_MAX,
            list_default: limits::LIST_DEFAULT,
            list_max: limits::LIST_MAX,
            query_seconds: QUERY_SECONDS,
            answer_stall_seconds: ANSWER_STALL_SECONDS,
            streams_max: STREAMS_MAX,
            future_seconds_max: limits::FUTURE_SECONDS_MAX,
        }
    }
}

/// Auditbox's own events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfAuditConfig {
    /// Which requests are recorded.
    pub record: Record,
}

impl Default for SelfAuditConfig {
    fn default() -> Self {
        Self { record: RECORD }
    }
}

/// What goes to standard error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or directives such as `info,auditbox=debug`; known to parse as a `tracing_subscriber::EnvFilter`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: LOG_LEVEL.to_owned(), format: LOG_FORMAT }
    }
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

impl LogFormat {
    /// The values, in the order they are told to the operator.
    const ALL: [Self; 2] = [Self::Text, Self::Json];

    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Why there is no configuration. Each text is for the operator: where the mistake is and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{origin}: {cause}")]
    Toml {
        /// The file.
        origin: String,
        /// The parser's words, with line and column.
        cause: String,
    },
    /// A key or its value is not one that can be used.
    #[error("{origin}: {place} {problem}")]
    Key {
        /// The file, or the variable that set the key.
        origin: String,
        /// `[section] key`, or as much of it as there is.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}
