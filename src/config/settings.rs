//! Every setting, and the checks that concern more than one of them.
//!
//! To add a setting, add its row here and its line in `config.example.toml`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use ipnet::IpNet;
use toml::Value;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    Config,
    error::{ConfigError, Problem},
    setting::{ANY_NUMBER, LogFormat, Setting},
    source::{SettingKey, SettingSource},
    table::settings,
};
use crate::model::{
    door::Door,
    limits::{self, EventLimits, QueryLimits},
    mapping::Presets,
    mask::{self, Mask},
    resource_type::Catalog,
    retention::{KeepBy, Rules},
    self_audit::Record,
};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// Maximum of any duration in seconds: a year. Added to a clock it cannot overflow.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;
/// Maximum of any count or size: 2^40, beyond what a machine holds. Sums of a few such numbers do not overflow.
const SIZE_MAX: u64 = 1 << 40;

/// A section's name, and its keys with their values.
pub(super) type SectionValues = (&'static str, Vec<(&'static str, Value)>);

settings! {
    /// `[server]`: the socket and its connections.
    server: ServerConfig {
        /// The address and port to listen on; with port 0 the system chooses. The default is the loopback address:
        /// opening a log to the network must be a deliberate decision.
        pub listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8686);
        /// Proxies that are trusted to name the client's address. Host bits are cleared.
        pub trusted_proxies: Vec<IpNet> = Vec::new();
        /// The PEM file with the certificate chain; see [`ServerConfig::tls`].
        tls_certificate: Option<PathBuf> = None;
        /// The PEM file with the private key of the certificate.
        tls_key: Option<PathBuf> = None;
        /// Seconds that requests in flight have to finish after a signal to stop. The default is as long as one body may
        /// take to arrive, and no longer than common supervisors wait before they kill.
        pub shutdown_seconds: u64 = 30, in 0..=SECONDS_MAX;
        /// Maximum number of open connections, over all workers. At some tens of kilobytes each, the default is a few
        /// hundred megabytes at worst; a proxy in front needs far fewer.
        pub connections_max: usize = 4096, in 1..=SIZE_MAX;
        /// Threads that serve requests; 0 means one per core, as the work is mostly parsing. The HTTP library runs at
        /// most 512.
        pub workers: usize = 0, in 0..=512;
    }

    /// `[database]`: the database file.
    database: DatabaseConfig {
        /// The file. A relative path starts at the working directory, so that a first run needs no configuration and no
        /// privileges.
        pub path: PathBuf = PathBuf::from("auditbox.db");
        /// Connections that read the file. Lists are short; more than a few readers only contend for the page cache. Each
        /// costs a thread's worth of memory and file handles.
        pub readers: u32 = 4, in 1..=64;
        /// Bytes of the write-ahead log at which no more events are accepted. In ordinary use it stays under 256 MiB; a
        /// program that holds a read transaction open makes it grow. The default is a quarter of an hour of full ingest,
        /// enough for any backup to take its next step. Below the minimum, ordinary writing would reach the limit.
        pub wal_bytes_max: u64 = 4 * GIB, in 128 * MIB..=SIZE_MAX, formerly log_bytes_max;
    }

    /// `[auth]`: tokens, sessions and logins.
    auth: AuthConfig {
        /// Seconds that an access token is valid for. The default is that of Port's tokens, so that its clients renew as
        /// they do there.
        pub access_token_seconds: u32 = 3 * 60 * 60, in 1..=SECONDS_MAX;
        /// Failed logins of one client id at one address in a window before the next gets 429. The default is more than a
        /// person mistypes.
        pub failed_logins_max: u32 = 10, in 1..=u32::MAX.into();
        /// Seconds of that window. The default is as long as a person waits before trying again.
        pub failed_logins_window_seconds: u32 = 60, in 1..=SECONDS_MAX;
        /// Seconds that a session is valid for without a request: by default a working day.
        pub session_idle_seconds: u32 = 8 * 60 * 60, in 1..=SECONDS_MAX, at_most session_seconds;
        /// Seconds that a session is valid for at most: by default a week.
        pub session_seconds: u32 = 7 * 24 * 60 * 60, in 1..=SECONDS_MAX;
    }

    /// `[limits]`: bounds on one request and on all of them together. Each is at least 1.
    limits: LimitsConfig {
        /// Bytes of a decompressed request body. The default holds a full batch of events of a kilobyte with room to spare.
        pub body_bytes_max: usize = 16 * 1024 * 1024, in 1..=SIZE_MAX, at_most body_memory_bytes_max;
        /// Seconds for a body to arrive. The default fits the largest body at 5 Mbit/s and soon drops a stalled sender.
        pub body_read_seconds: u64 = 30, in 1..=SECONDS_MAX;
        /// Bytes of all request bodies held at once: by default 16 of the largest. Many connections must not use up all
        /// memory.
        pub body_memory_bytes_max: usize = 256 * 1024 * 1024, in 1..=SIZE_MAX;
        /// Events waiting to be written. The default is two full batches: one is received while another is written.
        pub queue_events_max: usize = 20_000, in 1..=SIZE_MAX;
        /// Bytes of the events waiting to be written: by default four of the largest bodies. Beyond it senders must
        /// retry, so that memory does not grow while a disk is slow.
        pub queue_bytes_max: usize = 64 * 1024 * 1024, in 1..=SIZE_MAX;
        /// Events in one request.
        pub batch_events_max: usize = limits::BATCH_EVENTS_MAX, in 1..=SIZE_MAX, at_most queue_events_max;
        /// Bytes of one event as sent.
        pub event_bytes_max: usize = limits::EVENT_BYTES_MAX, in 1..=SIZE_MAX, at_most body_bytes_max;
        /// Levels of nesting in one event. Stored events must be readable, and widely used parsers stop at 128.
        pub json_depth_max: usize = limits::JSON_DEPTH_MAX, in 1..=100;
        /// Values of one field in a filter.
        pub filter_values_max: usize = limits::FILTER_VALUES_MAX, in 1..=SIZE_MAX;
        /// Events in a list if the request names no limit.
        pub list_default: usize = limits::LIST_DEFAULT, in 1..=SIZE_MAX, at_most list_max;
        /// Maximum number of events in a list.
        pub list_max: usize = limits::LIST_MAX, in 1..=SIZE_MAX;
        /// Seconds that one query may take. Nearly all take milliseconds; only a search for many words in a large log takes
        /// longer than the default, and people do not watch an empty page for longer.
        pub query_seconds: u64 = 10, in 1..=SECONDS_MAX;
        /// Seconds that a response may make no progress because its client does not read. Proxies give up after as long as
        /// the default. The maximum is a day: the system counts milliseconds in 32 bits.
        pub answer_stall_seconds: u64 = 60, in 1..=24 * 60 * 60;
        /// Live streams open at once. Each runs a small query after each commit, at most a few per second, and keeps a
        /// connection open.
        pub streams_max: usize = 100, in 1..=100_000;
        /// Seconds that an event's time may lie after its receipt.
        pub future_seconds_max: i64 = limits::FUTURE_SECONDS_MAX, in 1..=SECONDS_MAX;
    }

    /// `[doors]`: the protocols in which other systems send records.
    doors: DoorsConfig {
        /// What precedes the paths of the doors. By default nothing does: many senders know only the root.
        pub path_prefix: String = String::new();
        /// The doors that are closed. By default all are open: each needs a credential.
        pub disabled: Vec<Door> = Vec::new();
        /// The presets of senders whose records are not what their door usually carries, by the name of the credential.
        pub presets: BTreeMap<String, String> = BTreeMap::new();
    }

    /// `[mask]`: which values in events are masked before they are stored.
    mask: MaskConfig {
        /// Whether anything is masked.
        enabled: bool = true;
        /// The last words of the keys whose values are masked.
        names: Vec<String> = mask::NAMES.iter().map(|name| (*name).to_owned()).collect();
        /// The last words of keys whose values stay, although their last words are among `names`.
        keep: Vec<String> = mask::KEEP.iter().map(|name| (*name).to_owned()).collect();
    }

    /// `[self_audit]`: auditbox's own events.
    self_audit: SelfAuditConfig {
        /// Which requests are recorded. The default is all: an audit log must show its readers too.
        pub record: Record = Record::All;
    }

    /// `[retention]`: how long events are kept.
    retention: RetentionConfig {
        /// Days that events are kept; 0, the default, is forever: deleting must be a deliberate decision.
        keep_days: u64 = 0;
        /// The times from which an event's age counts. The default is the later of `trigger.at` and the receipt: a sender's
        /// claim must not delete what was just acknowledged.
        keep_by: KeepBy = KeepBy::Both;
        /// Days for single resource types.
        resource_types: BTreeMap<String, u64> = BTreeMap::new();
    }

    /// `[log]`: the server log on standard error.
    log: LogConfig {
        /// A level, or directives such as `info,auditbox=debug`; a valid `tracing_subscriber::EnvFilter`. The default shows
        /// starts, stops and problems, and nothing for a successful request.
        pub level: String = "info".to_owned();
        /// The format of a line.
        pub format: LogFormat = LogFormat::Text;
    }
}

impl Settings {
    /// The checked configuration, or the first problem. This does not open any file.
    pub(super) fn into_config(self, resource_types: Catalog) -> Result<Config, Problem> {
        self.check_at_most()?;
        let Self { server, database, auth, limits, doors, mask, self_audit, retention, log } = self;
        server.check()?;
        database.check()?;
        doors.check()?;
        log.check()?;
        let (mask, retention) = (mask.parse()?, retention.parse()?);
        Ok(Config {
            server,
            database,
            auth,
            limits,
            doors,
            mask,
            self_audit,
            retention,
            log,
            resource_types,
            presets: Presets::default(),
            routes: Vec::new(),
            syslog: Vec::new(),
            fields: Vec::new(),
        })
    }
}

fn problem(section: &'static str, key: &'static str, text: impl Into<String>) -> Problem {
    Problem { section, key, text: text.into() }
}

/// The PEM files for HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the rest of its chain.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

impl ServerConfig {
    /// The certificate to serve HTTPS with; without one the server speaks plain HTTP.
    pub fn tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles { certificate: self.tls_certificate.clone()?, key: self.tls_key.clone()? })
    }

    fn check(&self) -> Result<(), Problem> {
        match (&self.tls_certificate, &self.tls_key) {
            (None, Some(_)) => Err(problem("server", "tls_certificate", "must be set too, as tls_key is")),
            (Some(_), None) => Err(problem("server", "tls_key", "must be set too, as tls_certificate is")),
            _ => Ok(()),
        }
    }
}

impl DatabaseConfig {
    fn check(&self) -> Result<(), Problem> {
        let path = self.path.to_string_lossy();
        let text = match &*path {
            "" => "must name a file".to_owned(),
            ":memory:" => {
                "must name a file, not `:memory:`: auditbox keeps its log in a file; `auditbox demo` serves one \
                           that is deleted afterwards"
                    .to_owned()
            }
            uri if uri.starts_with("file:") => format!(
                "must name a file, not `{uri}`: auditbox takes a path, not a URI (write ./ in front of a path that begins \
                 with file:)"
            ),
            _ => return Ok(()),
        };
        Err(problem("database", "path", text))
    }
}

impl LimitsConfig {
    /// The limits of an event.
    pub fn event(&self) -> EventLimits {
        EventLimits {
            event_bytes_max: self.event_bytes_max,
            json_depth_max: self.json_depth_max,
            future_seconds_max: self.future_seconds_max,
        }
    }

    /// The limits of a query.
    pub fn query(&self) -> QueryLimits {
        QueryLimits {
            filter_values_max: self.filter_values_max,
            list_default: self.list_default,
            list_max: self.list_max,
        }
    }
}

impl DoorsConfig {
    fn check(&self) -> Result<(), Problem> {
        let is_char = |char: char| char.is_ascii_alphanumeric() || matches!(char, '/' | '-' | '_' | '.');
        let (prefix, is_path) = (&self.path_prefix, self.path_prefix.starts_with('/'));
        let is_fit = is_path && !prefix.ends_with('/') && !prefix.contains("//") && prefix.chars().all(is_char);
        if prefix.is_empty() || is_fit {
            return Ok(());
        }
        let expected = "must be empty, or begin with a slash and not end with one, such as /ingest";
        Err(problem("doors", "path_prefix", format!("{expected}, not `{prefix}`")))
    }

    /// The error for a preset that does not exist.
    pub(super) fn check_presets(&self, presets: &Presets) -> Result<(), Problem> {
        let names = presets.names();
        match self.presets.values().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(problem(
                "doors",
                "presets",
                format!("names the preset `{name}`, which does not exist; the presets are {}", names.join(", ")),
            )),
        }
    }
}

impl MaskConfig {
    fn parse(&self) -> Result<Mask, Problem> {
        if !self.enabled {
            return Ok(Mask::off());
        }
        let mask = Mask::parse(self.names.iter().map(String::as_str)).map_err(|text| problem("mask", "names", text))?;
        mask.keep(self.keep.iter().map(String::as_str)).map_err(|text| problem("mask", "keep", text))
    }
}

impl RetentionConfig {
    fn parse(&self) -> Result<Rules, Problem> {
        let by_type = self.resource_types.iter().map(|(name, days)| (name.as_str(), *days));
        let rules = Rules::parse(self.keep_days, by_type).map_err(|(key, text)| problem("retention", key, text))?;
        Ok(rules.keep_by(self.keep_by))
    }
}

impl LogConfig {
    fn check(&self) -> Result<(), Problem> {
        let level = &self.level;
        if is_log_filter(level) {
            return Ok(());
        }
        let expected = "must be error, warn, info, debug, trace or off, or directives such as info,auditbox=debug";
        Err(problem("log", "level", format!("{expected}, not `{level}`")))
    }
}

/// Whether the text is a filter, each directive of which sets a level. The filter's own parser takes an unknown word for the
/// name of a module, so that `inof` would silence everything except that module. Here a word by itself must be a level.
fn is_log_filter(text: &str) -> bool {
    let sets_level = |directive: &str| {
        directive.contains(['=', '[']) || (!directive.is_empty() && directive.parse::<LevelFilter>().is_ok())
    };
    EnvFilter::try_new(text).is_ok() && text.split(',').all(sets_level)
}
