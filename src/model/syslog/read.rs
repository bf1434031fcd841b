//! Reads `[[syslog]]`.

use std::path::PathBuf;

use super::{SECTION, SyslogListener, SyslogTls, Transport};
use crate::model::{
    credential::CredentialName,
    mapping::Presets,
    route::read::{read_name, read_preset},
    toml_reader::{self, Entry, Reader, TomlError},
    zone::Zone,
};

/// Maximum number of listeners.
const LISTENERS_MAX: usize = 100;
const FRAME_BYTES: usize = 64 * 1024;
/// A message without a name, a time and a text is shorter.
const FRAME_BYTES_MIN: usize = 480;
const CONNECTIONS: usize = 256;
const CONNECTIONS_MAX: usize = 100_000;
const KEYS: &str = "name, listen, protocol, tls_certificate, tls_key, client_ca, preset, zone, credential, \
                    frame_bytes_max, connections_max";

/// The keys of an entry that are set.
#[derive(Default)]
struct Keys {
    name: Option<String>,
    listen: Option<std::net::SocketAddr>,
    protocol: Option<Transport>,
    tls_certificate: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    client_ca: Option<PathBuf>,
    preset: Option<String>,
    zone: Option<Zone>,
    credential: Option<CredentialName>,
    frame_bytes_max: Option<usize>,
    connections_max: Option<usize>,
}

impl SyslogListener {
    /// Reads the listeners of a configuration, whose whole text this is. A message has at most `event_bytes_max`.
    pub fn read_all(configuration: &str, presets: &Presets, event_bytes_max: usize) -> Result<Vec<Self>, TomlError> {
        let table = toml_reader::parse(configuration)?;
        let mut listeners: Vec<Self> = Vec::new();
        for section in Reader::new(configuration, table.get_ref()).entries("") {
            if section.path != SECTION {
                continue;
            }
            let list = section
                .as_array()
                .ok_or_else(|| section.error("must be a list of entries, each under its own [[ ]]"))?;
            for entry in list {
                let listener = Keys::read(&entry, presets, event_bytes_max)?.complete(&entry, event_bytes_max)?;
                if listeners.iter().any(|other| other.name == listener.name) {
                    return Err(entry.error(format!("has two listeners with the name {:?}", listener.name)));
                }
                listeners.push(listener);
            }
            if listeners.len() > LISTENERS_MAX {
                return Err(section.error(format!("has more than {LISTENERS_MAX} entries")));
            }
        }
        Ok(listeners)
    }
}

impl Keys {
    fn read(entry: &Entry<'_>, presets: &Presets, event_bytes_max: usize) -> Result<Self, TomlError> {
        let mut found = Self::default();
        for key in entry.table()?.entries(SECTION) {
            let path = || key.string().map(|text| Some(PathBuf::from(text)));
            match key.key() {
                "name" => found.name = Some(read_name(&key)?),
                "listen" => {
                    let parsed = key.string()?.parse();
                    let invalid = |_| key.error("must be an address and a port, such as 0.0.0.0:6514 or [::]:6514");
                    found.listen = Some(parsed.map_err(invalid)?);
                }
                "protocol" => {
                    let name = key.string()?;
                    let protocol = Transport::ALL.into_iter().find(|transport| transport.name() == name);
                    found.protocol = Some(protocol.ok_or_else(|| key.error("must be udp, tcp or tls"))?);
                }
                "tls_certificate" => found.tls_certificate = path()?,
                "tls_key" => found.tls_key = path()?,
                "client_ca" => found.client_ca = path()?,
                "preset" => found.preset = Some(read_preset(&key, presets)?),
                "zone" => found.zone = Some(Zone::parse(key.string()?).map_err(|message| key.error(message))?),
                "credential" => {
                    let parsed = CredentialName::parse(key.string()?);
                    found.credential = Some(parsed.map_err(|message| key.error(message))?);
                }
                "frame_bytes_max" => {
                    found.frame_bytes_max = Some(read_number(&key, FRAME_BYTES_MIN, event_bytes_max)?);
                }
                "connections_max" => found.connections_max = Some(read_number(&key, 1, CONNECTIONS_MAX)?),
                _ => return Err(key.error(format!("is not a key; the keys are {KEYS}"))),
            }
        }
        Ok(found)
    }

    fn complete(self, entry: &Entry<'_>, event_bytes_max: usize) -> Result<SyslogListener, TomlError> {
        let missing = |key: &str| entry.error(format!("must have the key {key}"));
        let protocol = self.protocol.ok_or_else(|| missing("protocol"))?;
        let tls = match (protocol, self.tls_certificate, self.tls_key) {
            (Transport::Tls, Some(certificate), Some(key)) => {
                Some(SyslogTls { certificate, key, client_ca: self.client_ca })
            }
            (Transport::Tls, ..) => {
                return Err(entry.error("must have the keys tls_certificate and tls_key with the protocol tls"));
            }
            (_, None, None) if self.client_ca.is_none() => None,
            _ => return Err(entry.error("takes tls_certificate, tls_key and client_ca only with the protocol tls")),
        };
        Ok(SyslogListener {
            name: self.name.ok_or_else(|| missing("name"))?,
            listen: self.listen.ok_or_else(|| missing("listen"))?,
            protocol,
            tls,
            preset: self.preset.unwrap_or_else(|| "syslog".to_owned()),
            zone: self.zone.unwrap_or_else(Zone::utc),
            credential: self.credential.ok_or_else(|| missing("credential"))?,
            frame_bytes_max: self.frame_bytes_max.unwrap_or(FRAME_BYTES).min(event_bytes_max),
            connections_max: self.connections_max.unwrap_or(CONNECTIONS),
        })
    }
}

fn read_number(key: &Entry<'_>, min: usize, max: usize) -> Result<usize, TomlError> {
    let number = key.as_integer().and_then(|number| usize::try_from(number).ok());
    let number = number.filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| key.error(format!("must be a whole number from {min} to {max}")))
}
