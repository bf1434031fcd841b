//! Reads `[[routes]]`.

use crate::model::{
    credential::CredentialName,
    mapping::{Presets, RecordKey},
    route::{
        Dedupe, Route, SECTION,
        scheme::{self, Scheme},
        signature::{
            Encoding, Form, KeyEncoding, KeySource, Place, Signature, TOLERANCE_SECONDS, is_header, parse_signed,
        },
    },
    toml_reader::{self, Entry, Reader, TomlError},
};

/// Maximum number of routes.
const ROUTES_MAX: usize = 1_000;
/// Maximum number of bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// Maximum number of keys of a route.
const KEYS_MAX: usize = 10;
/// Maximum number of bytes of a body, far beyond what a server holds.
const BODY_BYTES_MAX: usize = 1 << 40;
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;
/// A longer tolerance would let anyone repeat a request for days.
const TOLERANCE_SECONDS_MAX: u32 = 24 * 60 * 60;

const KEYS: &str = "name, preset, credential, dedupe, key_header, signature, body_bytes_max, requests_per_second_max";
const SIGNATURE_KEYS: &str =
    "scheme, keys, tolerance_seconds, header, prefix, encoding, key_encoding, signed, timestamp, timestamp_prefix";

impl Route {
    /// Reads the routes of a configuration, whose whole text this is.
    pub fn read_all(configuration: &str, presets: &Presets) -> Result<Vec<Self>, TomlError> {
        let table = toml_reader::parse(configuration)?;
        let mut routes: Vec<Self> = Vec::new();
        for section in Reader::new(configuration, table.get_ref()).entries("") {
            if section.path != SECTION {
                continue;
            }
            let list = section
                .as_array()
                .ok_or_else(|| section.error("must be a list of entries, each under its own [[ ]]"))?;
            for entry in list {
                let route = Self::read(&entry, presets)?;
                if routes.iter().any(|other| other.name == route.name) {
                    return Err(entry.error(format!("has two routes with the name {:?}", route.name)));
                }
                routes.push(route);
            }
            if routes.len() > ROUTES_MAX {
                return Err(section.error(format!("has more than {ROUTES_MAX} entries")));
            }
        }
        Ok(routes)
    }

    fn read(entry: &Entry<'_>, presets: &Presets) -> Result<Self, TomlError> {
        let (mut name, mut preset, mut credential, mut dedupe, mut key_header) =
            (None, None, None, Dedupe::Delivery, None);
        let (mut signature, mut body_bytes_max, mut requests_per_second_max) = (None, None, None);
        for key in entry.table()?.entries(SECTION) {
            match key.key() {
                "name" => name = Some(read_name(&key)?),
                "preset" => preset = Some(read_preset(&key, presets)?),
                "credential" => {
                    let parsed = CredentialName::parse(key.string()?);
                    credential = Some(parsed.map_err(|message| key.error(message))?);
                }
                "dedupe" => dedupe = read_dedupe(&key)?,
                "key_header" => key_header = Some(read_header(&key)?),
                "signature" => signature = Some(SignatureKeys::read(&key)?),
                "body_bytes_max" => body_bytes_max = Some(read_number(&key, BODY_BYTES_MAX)?),
                "requests_per_second_max" => {
                    requests_per_second_max = Some(read_number(&key, REQUESTS_PER_SECOND_MAX)?);
                }
                _ => return Err(key.error(format!("is not a key; the keys are {KEYS}"))),
            }
        }
        let missing = |key: &str| entry.error(format!("must have the key {key}"));
        if signature.is_some() && credential.is_none() {
            return Err(entry.error("must have the key credential, because requests with a signature present none"));
        }
        let (signature, of_scheme) = signature.unzip();
        let key_headers = key_header.map_or_else(|| of_scheme.unwrap_or_default(), |header| vec![header]);
        Ok(Self {
            name: name.ok_or_else(|| missing("name"))?,
            preset: preset.ok_or_else(|| missing("preset"))?,
            credential,
            dedupe,
            key_headers,
            signature,
            body_bytes_max,
            requests_per_second_max,
        })
    }
}

/// A name that is part of an address or of a counter.
pub(in crate::model) fn read_name(key: &Entry<'_>) -> Result<String, TomlError> {
    let name = key.string()?;
    let is_char = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_char) {
        return Err(key.error(format!("must be 1 to {NAME_BYTES_MAX} of a to z, 0 to 9, - and _")));
    }
    Ok(name.to_owned())
}

/// The name of a preset.
pub(in crate::model) fn read_preset(key: &Entry<'_>, presets: &Presets) -> Result<String, TomlError> {
    let name = key.string()?;
    let names = presets.names();
    if !names.contains(&name) {
        return Err(key.error(format!("must be a preset; the presets are {}", names.join(", "))));
    }
    Ok(name.to_owned())
}

fn read_dedupe(key: &Entry<'_>) -> Result<Dedupe, TomlError> {
    match key.string()? {
        "delivery" => Ok(Dedupe::Delivery),
        "content" => Ok(Dedupe::Content),
        "none" => Ok(Dedupe::None),
        pointer if pointer.starts_with('/') => {
            RecordKey::parse(pointer).map(Dedupe::Key).map_err(|message| key.error(message))
        }
        _ => Err(key.error("must be delivery, content, none, or a pointer such as /id")),
    }
}

fn read_header(key: &Entry<'_>) -> Result<String, TomlError> {
    let name = key.string()?;
    if is_header(name) { Ok(name.to_owned()) } else { Err(key.error("must be the name of a header")) }
}

/// A number from 1 to `max`.
fn read_number<N: TryFrom<i64> + PartialOrd + Copy + std::fmt::Display>(
    key: &Entry<'_>,
    max: N,
) -> Result<N, TomlError> {
    let number = key.as_integer().filter(|number| *number > 0).and_then(|number| N::try_from(number).ok());
    number.filter(|number| *number <= max).ok_or_else(|| key.error(format!("must be a whole number from 1 to {max}")))
}

/// The keys of a signature that are set.
#[derive(Default)]
struct SignatureKeys {
    scheme: Option<String>,
    header: Option<String>,
    prefix: Option<String>,
    encoding: Option<Encoding>,
    key_encoding: Option<KeyEncoding>,
    signed: Option<String>,
    timestamp: Option<String>,
    timestamp_prefix: Option<String>,
    tolerance_seconds: Option<u32>,
    keys: Vec<KeySource>,
}

impl SignatureKeys {
    /// The signature, and the headers in which its scheme names a delivery.
    fn read(entry: &Entry<'_>) -> Result<(Signature, Vec<String>), TomlError> {
        let mut found = Self::default();
        for key in entry.table()?.entries(&entry.path) {
            match key.key() {
                "scheme" => found.scheme = Some(key.string()?.to_owned()),
                "header" => found.header = Some(read_header(&key)?),
                "prefix" => found.prefix = Some(key.string()?.to_owned()),
                "encoding" => found.encoding = Some(read_encoding(&key)?),
                "key_encoding" => found.key_encoding = Some(read_key_encoding(&key)?),
                "signed" => found.signed = Some(key.string()?.to_owned()),
                "timestamp" => found.timestamp = Some(read_header(&key)?),
                "timestamp_prefix" => found.timestamp_prefix = Some(key.string()?.to_owned()),
                "tolerance_seconds" => found.tolerance_seconds = Some(read_number(&key, TOLERANCE_SECONDS_MAX)?),
                "keys" => found.keys = read_keys(&key)?,
                _ => return Err(key.error(format!("is not a key; the keys are {SIGNATURE_KEYS}"))),
            }
        }
        if found.keys.is_empty() {
            return Err(entry.error("must have the key keys"));
        }
        let (signature, key_headers) = found.complete().map_err(|message| entry.error(message))?;
        for key in &signature.keys {
            if let KeySource::Given(given) = key {
                given
                    .bytes(signature.key_encoding)
                    .map_err(|message| entry.error(format!("has a key that {message}")))?;
            }
        }
        Ok((signature, key_headers))
    }

    fn complete(self) -> Result<(Signature, Vec<String>), String> {
        let tolerance_seconds = self.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS);
        let Some(name) = self.scheme.as_deref() else {
            return self.custom(tolerance_seconds);
        };
        if name == scheme::SECRET {
            let header = self.header.ok_or("needs header with the scheme secret: the header that holds the secret")?;
            let signature = Place { header, prefix: self.prefix.unwrap_or_default() };
            let form = Form { signature, signed: Vec::new(), timestamp: None };
            let (encoding, key_encoding) = (Encoding::Plain, KeyEncoding::Text);
            let forms = vec![form];
            return Ok((Signature { forms, encoding, key_encoding, tolerance_seconds, keys: self.keys }, Vec::new()));
        }
        let scheme = Scheme::named(name).map_err(|message| format!("has an unknown scheme: it {message}"))?;
        let own = [&self.header, &self.prefix, &self.signed, &self.timestamp, &self.timestamp_prefix];
        if own.iter().any(|key| key.is_some()) || self.encoding.is_some() || self.key_encoding.is_some() {
            return Err(format!("takes only keys and tolerance_seconds with the scheme {name}"));
        }
        let signature = Signature {
            forms: scheme.forms(),
            encoding: scheme.encoding,
            key_encoding: scheme.key_encoding,
            tolerance_seconds,
            keys: self.keys,
        };
        Ok((signature, scheme.key_headers.iter().map(|header| (*header).to_owned()).collect()))
    }

    /// A signature without a scheme.
    fn custom(self, tolerance_seconds: u32) -> Result<(Signature, Vec<String>), String> {
        let header = self.header.ok_or("needs scheme, or header, encoding and signed")?;
        let encoding = self.encoding.ok_or("needs encoding: hex or base64")?;
        let signed = self.signed.ok_or("needs signed, such as {timestamp}.{body}")?;
        let signed = parse_signed(&signed).map_err(|message| format!("has an invalid signed: it {message}"))?;
        let names_timestamp = signed.contains(&super::signature::Part::Timestamp);
        if names_timestamp != self.timestamp.is_some() {
            return Err("needs both {timestamp} in signed and the header timestamp, or neither".to_owned());
        }
        if self.timestamp_prefix.is_some() && self.timestamp.is_none() {
            return Err("needs timestamp with timestamp_prefix".to_owned());
        }
        let prefix = self.timestamp_prefix.unwrap_or_default();
        let form = Form {
            signature: Place { header, prefix: self.prefix.unwrap_or_default() },
            signed,
            timestamp: self.timestamp.map(|header| Place { header, prefix }),
        };
        let key_encoding = self.key_encoding.unwrap_or(KeyEncoding::Text);
        Ok((Signature { forms: vec![form], encoding, key_encoding, tolerance_seconds, keys: self.keys }, Vec::new()))
    }
}

fn read_encoding(key: &Entry<'_>) -> Result<Encoding, TomlError> {
    match key.string()? {
        "hex" => Ok(Encoding::Hex),
        "base64" => Ok(Encoding::Base64),
        _ => Err(key.error("must be hex or base64")),
    }
}

fn read_key_encoding(key: &Entry<'_>) -> Result<KeyEncoding, TomlError> {
    match key.string()? {
        "text" => Ok(KeyEncoding::Text),
        "base64" => Ok(KeyEncoding::Base64),
        _ => Err(key.error("must be text or base64")),
    }
}

fn read_keys(key: &Entry<'_>) -> Result<Vec<KeySource>, TomlError> {
    let invalid =
        || key.error(format!("must be a list of 1 to {KEYS_MAX} strings: env:NAME, file:PATH, or a key itself"));
    let texts = key.as_array().filter(|list| (1..=KEYS_MAX).contains(&list.len())).ok_or_else(invalid)?;
    texts.iter().map(|text| text.as_string().map(KeySource::parse).ok_or_else(invalid)).collect()
}
