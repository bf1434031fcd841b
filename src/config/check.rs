//! From the settings as written to settings that can be relied on. Nothing here opens a file.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
};

use ipnet::IpNet;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    AuthConfig, Config, DatabaseConfig, LimitsConfig, LogConfig, LogFormat, Record, SelfAuditConfig, ServerConfig,
    TlsFiles,
    raw::{
        RESOURCE_TYPES, RawAuth, RawConfig, RawDatabase, RawLimits, RawLog, RawMask, RawResourceType, RawRetention,
        RawSelfAudit, RawServer,
    },
};
use crate::model::{
    mask::Mask,
    resource_type::Catalogue,
    retention::{KeepBy, Rules},
};

/// Threads for requests: as many as the HTTP library runs.
const WORKERS_MAX: u64 = 512;
/// Connections that read the database. Each costs a thread's worth of memory and file handles, and none is won beyond.
const READERS_MAX: u64 = 64;
/// Bytes of the write-ahead log: below this, one that is as long as ordinary writing makes it would be full.
const LOG_BYTES_MIN: u64 = 128 * 1024 * 1024;
/// Seconds of any duration: a year. Added to a clock it cannot overflow.
const SECONDS_MAX: u64 = 365 * 24 * 60 * 60;
/// Seconds that an answer may make no progress: a day. The system counts them in milliseconds, in 32 bits.
const STALL_SECONDS_MAX: u64 = 24 * 60 * 60;
/// Any count or size: 2^40, beyond what a machine holds, and with sums of a few far from overflow.
const SIZE_MAX: u64 = 1 << 40;
/// Live streams. Each is a connection that stays open.
const STREAMS_CEILING: u64 = 100_000;
/// Levels of nesting: what is stored must be read again, and widely used parsers stop at 128.
const JSON_DEPTH_CEILING: u64 = 100;

/// What is wrong with a key. Where it was set is added by whoever knows.
pub(super) struct Problem {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// What is wrong and what to do, to follow the key in a sentence.
    pub(super) text: String,
}

/// The name of a section, to make problems of.
#[derive(Clone, Copy)]
struct Section(&'static str);

impl Section {
    fn problem(self, key: &'static str, text: impl Into<String>) -> Problem {
        Problem { section: self.0, key, text: text.into() }
    }

    fn number<T: TryFrom<u64>>(self, key: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<T, Problem> {
        T::try_from(value).ok().filter(|_| range.contains(&value)).ok_or_else(|| {
            self.problem(key, format!("must be between {} and {}, not {value}", range.start(), range.end()))
        })
    }

    /// A count or size that must let something through.
    fn size<T: TryFrom<u64>>(self, key: &'static str, value: u64) -> Result<T, Problem> {
        self.number(key, value, 1..=SIZE_MAX)
    }

    /// Two settings in order. Both are named, as only the operator knows which is the mistake.
    fn at_most(self, lower: (&'static str, usize), upper: (&'static str, usize)) -> Result<(), Problem> {
        if lower.1 <= upper.1 {
            return Ok(());
        }
        let text =
            format!("is {}, but must be at most {}, which is {}: lower it or raise that", lower.1, upper.0, upper.1);
        Err(self.problem(lower.0, text))
    }

    /// The one of `values` called `text`.
    fn word<T: Copy>(
        self,
        key: &'static str,
        text: &str,
        values: &[T],
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, Problem> {
        values.iter().copied().find(|value| name(*value) == text).ok_or_else(|| {
            let words: Vec<_> = values.iter().map(|value| name(*value)).collect();
            self.problem(key, format!("must be one of {}, not `{text}`", words.join(", ")))
        })
    }
}

/// All sections; the first problem found ends it.
pub(super) fn config(raw: RawConfig) -> Result<Config, Problem> {
    Ok(Config {
        server: server(raw.server)?,
        database: database(raw.database)?,
        auth: auth(&raw.auth)?,
        limits: limits(&raw.limits)?,
        mask: mask(&raw.mask)?,
        self_audit: self_audit(&raw.self_audit)?,
        retention: retention(&raw.retention)?,
        log: log(raw.log)?,
        resource_types: resource_types(&raw.resource_types)?,
    })
}

fn server(raw: RawServer) -> Result<ServerConfig, Problem> {
    let section = Section("server");
    let listen = raw.listen.trim().parse::<SocketAddr>().map_err(|_| {
        let text = format!("must be an address and a port such as 127.0.0.1:8686 or [::]:8686, not `{}`", raw.listen);
        section.problem("listen", text)
    })?;
    let trusted_proxies = raw.trusted_proxies.iter().map(|text| {
        network(text).ok_or_else(|| {
            let text = format!("must list addresses or ranges such as 10.0.0.0/8, not `{text}`");
            section.problem("trusted_proxies", text)
        })
    });
    let (certificate, key) = (PathBuf::from(raw.tls_certificate), PathBuf::from(raw.tls_key));
    let tls = match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
        (true, true) => None,
        (false, false) => Some(TlsFiles { certificate, key }),
        (true, false) => return Err(section.problem("tls_certificate", "must be set too, as tls_key is")),
        (false, true) => return Err(section.problem("tls_key", "must be set too, as tls_certificate is")),
    };
    Ok(ServerConfig {
        listen,
        trusted_proxies: trusted_proxies.collect::<Result<_, _>>()?,
        tls,
        shutdown_seconds: section.number("shutdown_seconds", raw.shutdown_seconds, 0..=SECONDS_MAX)?,
        connections_max: section.size("connections_max", raw.connections_max)?,
        workers: section.number("workers", raw.workers, 0..=WORKERS_MAX)?,
    })
}

/// A range, or a single address as a range of one. An IPv4 address written as IPv6 is the same address.
fn network(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address.to_canonical()));
    }
    text.parse::<IpNet>().ok().map(|range| range.trunc())
}

fn database(raw: RawDatabase) -> Result<DatabaseConfig, Problem> {
    let section = Section("database");
    if raw.path.is_empty() {
        return Err(section.problem("path", "must name a file"));
    }
    if raw.path == ":memory:" {
        let text = "must name a file, not `:memory:`: auditbox keeps its log in a file; `auditbox demo` serves one that is \
                    deleted afterwards";
        return Err(section.problem("path", text));
    }
    if raw.path.starts_with("file:") {
        let text = format!(
            "must name a file, not `{}`: auditbox takes a path, not a URI (write ./ before it if it is one)",
            raw.path
        );
        return Err(section.problem("path", text));
    }
    Ok(DatabaseConfig {
        path: PathBuf::from(raw.path),
        readers: section.number("readers", raw.readers, 1..=READERS_MAX)?,
        log_bytes_max: section.number("log_bytes_max", raw.log_bytes_max, LOG_BYTES_MIN..=SIZE_MAX)?,
    })
}

fn auth(raw: &RawAuth) -> Result<AuthConfig, Problem> {
    let section = Section("auth");
    let seconds = 1..=SECONDS_MAX;
    let window = section.number("failed_logins_window_seconds", raw.failed_logins_window_seconds, seconds.clone())?;
    let auth = AuthConfig {
        access_token_seconds: section.number("access_token_seconds", raw.access_token_seconds, seconds.clone())?,
        failed_logins_max: section.number("failed_logins_max", raw.failed_logins_max, 1..=u32::MAX.into())?,
        failed_logins_window_seconds: window,
        session_idle_seconds: section.number("session_idle_seconds", raw.session_idle_seconds, seconds.clone())?,
        session_seconds: section.number("session_seconds", raw.session_seconds, seconds)?,
    };
    let idle = ("session_idle_seconds", auth.session_idle_seconds as usize);
    section.at_most(idle, ("session_seconds", auth.session_seconds as usize))?;
    Ok(auth)
}

fn limits(raw: &RawLimits) -> Result<LimitsConfig, Problem> {
    let section = Section("limits");
    let limits = LimitsConfig {
        body_bytes_max: section.size("body_bytes_max", raw.body_bytes_max)?,
        body_read_seconds: section.number("body_read_seconds", raw.body_read_seconds, 1..=SECONDS_MAX)?,
        body_memory_bytes_max: section.size("body_memory_bytes_max", raw.body_memory_bytes_max)?,
        queue_events_max: section.size("queue_events_max", raw.queue_events_max)?,
        queue_bytes_max: section.size("queue_bytes_max", raw.queue_bytes_max)?,
        batch_events_max: section.size("batch_events_max", raw.batch_events_max)?,
        event_bytes_max: section.size("event_bytes_max", raw.event_bytes_max)?,
        json_depth_max: section.number("json_depth_max", raw.json_depth_max, 1..=JSON_DEPTH_CEILING)?,
        filter_values_max: section.size("filter_values_max", raw.filter_values_max)?,
        list_default: section.size("list_default", raw.list_default)?,
        list_max: section.size("list_max", raw.list_max)?,
        query_seconds: section.number("query_seconds", raw.query_seconds, 1..=SECONDS_MAX)?,
        answer_stall_seconds: section.number(
            "answer_stall_seconds",
            raw.answer_stall_seconds,
            1..=STALL_SECONDS_MAX,
        )?,
        streams_max: section.number("streams_max", raw.streams_max, 1..=STREAMS_CEILING)?,
        future_seconds_max: section.number("future_seconds_max", raw.future_seconds_max, 1..=SECONDS_MAX)?,
    };
    let body = ("body_bytes_max", limits.body_bytes_max);
    section.at_most(("event_bytes_max", limits.event_bytes_max), body)?;
    section.at_most(body, ("body_memory_bytes_max", limits.body_memory_bytes_max))?;
    section.at_most(("batch_events_max", limits.batch_events_max), ("queue_events_max", limits.queue_events_max))?;
    section.at_most(("list_default", limits.list_default), ("list_max", limits.list_max))?;
    Ok(limits)
}

fn mask(raw: &RawMask) -> Result<Mask, Problem> {
    if !raw.enabled {
        return Ok(Mask::off());
    }
    Mask::parse(raw.names.iter().map(String::as_str)).map_err(|text| Section("mask").problem("names", text))
}

fn self_audit(raw: &RawSelfAudit) -> Result<SelfAuditConfig, Problem> {
    Ok(SelfAuditConfig { record: Section("self_audit").word("record", &raw.record, &Record::ALL, Record::name)? })
}

fn retention(raw: &RawRetention) -> Result<Rules, Problem> {
    let section = Section("retention");
    let by_type = raw.resource_types.iter().map(|(name, days)| (name.as_str(), *days));
    let rules = Rules::parse(raw.keep_days, by_type).map_err(|(key, text)| section.problem(key, text))?;
    Ok(rules.keep_by(section.word("keep_by", &raw.keep_by, &KeepBy::ALL, KeepBy::name)?))
}

fn resource_types(raw: &[RawResourceType]) -> Result<Catalogue, Problem> {
    let entries = raw.iter().map(|entry| (&*entry.value, &*entry.label, &*entry.description));
    Catalogue::parse(entries).map_err(|(key, text)| Section(RESOURCE_TYPES).problem(key, text))
}

fn log(raw: RawLog) -> Result<LogConfig, Problem> {
    let section = Section("log");
    if !is_log_level(&raw.level) {
        let text = format!(
            "must be error, warn, info, debug, trace or off, or directives such as info,auditbox=debug, not `{}`",
            raw.level
        );
        return Err(section.problem("level", text));
    }
    let format = section.word("format", &raw.format, &LogFormat::ALL, LogFormat::name)?;
    Ok(LogConfig { level: raw.level, format })
}

/// Whether the text is a filter that says something. The filter's own parser takes a bare word it does not know for the
/// name of a module, so that `inof` would silence everything, and nothing for `error`: here a word by itself must be a
/// level.
fn is_log_level(text: &str) -> bool {
    let says_level = |directive: &str| {
        directive.contains(['=', '[']) || (!directive.is_empty() && directive.parse::<LevelFilter>().is_ok())
    };
    EnvFilter::try_new(text).is_ok() && text.split(',').all(says_level)
}
