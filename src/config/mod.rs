//! The configuration: a TOML file, overridden by environment variables, read once at start into a [`Config`].
//!
//! `settings` is the table of all settings; `table` defines its grammar. `source` collects the values that are set,
//! `setting` reads a value of each type. After [`Config::load`] no setting needs checking again. The configuration file is
//! the only file opened here: a missing database or certificate is an error when it is opened.

mod error;
mod print;
mod setting;
mod settings;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::ConfigError;
pub use setting::LogFormat;
pub use settings::{
    AuthConfig, DatabaseConfig, DoorsConfig, LimitsConfig, LogConfig, MaskConfig, RetentionConfig, SelfAuditConfig,
    ServerConfig, TlsFiles,
};

use crate::model::{
    field::FieldDefinition, mapping::Presets, mask::Mask, resource_type::Catalog, retention::Rules, route::Route,
    syslog::SyslogListener,
};
use settings::Settings;
use source::SettingSource;

/// All settings, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// `[server]`: the socket and its connections.
    pub server: ServerConfig,
    /// `[database]`: the database file.
    pub database: DatabaseConfig,
    /// `[auth]`: tokens, sessions and logins.
    pub auth: AuthConfig,
    /// `[limits]`: bounds on one request and on all of them together.
    pub limits: LimitsConfig,
    /// `[doors]`: the protocols in which other systems send records.
    pub doors: DoorsConfig,
    /// `[mask]`: which values in events are masked before they are stored.
    pub mask: Mask,
    /// `[self_audit]`: auditbox's own events.
    pub self_audit: SelfAuditConfig,
    /// `[retention]`: how long events are kept.
    pub retention: Rules,
    /// `[log]`: the server log on standard error.
    pub log: LogConfig,
    /// `[[resource_types]]`: the names of resource types on the pages.
    pub resource_types: Catalog,
    /// `[[fields]]`: the fields that the operator declares.
    pub fields: Vec<FieldDefinition>,
    /// `[presets.NAME]`: how records of other systems become events.
    pub presets: Presets,
    /// `[[routes]]`: addresses to which other systems deliver records.
    pub routes: Vec<Route>,
    /// `[[syslog]]`: listeners for syslog.
    pub syslog: Vec<SyslogListener>,
}

/// The result of reading a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The effective configuration: a TOML file with a value for every key.
    pub effective: String,
    /// One line for each setting that is written under an earlier name.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the file at `path`, if one is named, and overrides it with the variables `AUDITBOX_<SECTION>_<KEY>` of
    /// `environment`. A key that neither sets has its default.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let source = SettingSource::read(path, environment, Settings::KEYS)?;
        let (settings, resource_types) = (Settings::read(&source)?, source.resource_types()?);
        let presets = source.presets()?;
        let (routes, fields) = (source.routes(&presets)?, source.fields()?);
        let mut effective = print::file(&settings.to_toml(), &resource_types, &fields, source.preset_tables());
        effective += &print::routes(source.route_tables());
        effective += &print::listeners(source.listener_tables());
        let config = settings.into_config(resource_types).map_err(|problem| source.blame(problem))?;
        config.doors.check_presets(&presets).map_err(|problem| source.blame(problem))?;
        let syslog = source.listeners(&presets, config.limits.event_bytes_max)?;
        let config = Self { fields, presets, routes, syslog, ..config };
        Ok(Loaded { config, effective, warnings: source.into_warnings() })
    }
}
