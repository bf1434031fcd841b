//! How senders sign requests: where the signature is, and what it covers.
//!
//! One description covers every sender. A [`Signature`] is data; `doors` compares a request with it.

use std::{fmt, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};

/// The prefix of keys of Standard Webhooks. What follows is base64.
const BASE64_KEY_PREFIX: &str = "whsec_";
/// Minimum number of bytes of a key. A shorter one could be guessed.
const KEY_BYTES_MIN: usize = 8;
/// Time in seconds that a signed timestamp may differ from the clock, unless the configuration says otherwise.
pub(super) const TOLERANCE_SECONDS: u32 = 300;

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// HMAC-SHA256 in hexadecimal digits.
    Hex,
    /// HMAC-SHA256 in base64.
    Base64,
    /// No signature: the header holds the key itself.
    Plain,
}

/// How the bytes of a key are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyEncoding {
    /// The text is the key.
    Text,
    /// The text is base64, with or without `whsec_` before it.
    Base64,
}

/// A part of the signed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Exactly this text.
    Text(String),
    /// The timestamp, as sent.
    Timestamp,
    /// The value of this header.
    Header(String),
    /// The body.
    Body,
}

/// A text in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the header.
    pub header: String,
    /// What precedes the text. The value may be a list of such texts, separated by spaces or commas.
    pub prefix: String,
}

/// The headers of one form of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The signatures. One of them must be right.
    pub signature: Place,
    /// The signed text.
    pub signed: Vec<Part>,
    /// The time of signing, in seconds or milliseconds since 1970.
    pub timestamp: Option<Place>,
}

/// How the requests of a route are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The forms that are accepted. The first one whose header is present counts.
    pub forms: Vec<Form>,
    /// How signatures are written.
    pub encoding: Encoding,
    /// How keys are written.
    pub key_encoding: KeyEncoding,
    /// Time in seconds that a signed timestamp may differ from the clock.
    pub tolerance_seconds: u32,
    /// The keys. A signature by any of them is accepted.
    pub keys: Vec<KeySource>,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration has it.
    Given(Key),
    /// The environment variable with this name.
    Variable(String),
    /// The file with this path.
    InFile(PathBuf),
}

/// The text of a key. A secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// Wraps the text of a key.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The bytes with which the sender signs. The error does not contain the key.
    pub fn bytes(&self, encoding: KeyEncoding) -> Result<Vec<u8>, String> {
        let bytes = match encoding {
            KeyEncoding::Text => self.0.clone().into_bytes(),
            KeyEncoding::Base64 => {
                let text = self.0.strip_prefix(BASE64_KEY_PREFIX).unwrap_or(&self.0);
                BASE64_STANDARD.decode(text).map_err(|_| format!("is not base64 after {BASE64_KEY_PREFIX}"))?
            }
        };
        if bytes.len() < KEY_BYTES_MIN {
            return Err(format!("has fewer than {KEY_BYTES_MIN} bytes"));
        }
        Ok(bytes)
    }
}

impl KeySource {
    /// Reads `env:NAME`, `file:PATH`, or a key itself.
    pub fn parse(text: &str) -> Self {
        if let Some(name) = text.strip_prefix("env:") {
            Self::Variable(name.to_owned())
        } else if let Some(path) = text.strip_prefix("file:") {
            Self::InFile(path.into())
        } else {
            Self::Given(Key::new(text.to_owned()))
        }
    }

    /// Whether the text of a configuration refers to a key, and does not hold it.
    pub fn is_reference(text: &str) -> bool {
        !matches!(Self::parse(text), Self::Given(_))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("a key of the configuration"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::InFile(path) => write!(f, "the file {}", path.display()),
        }
    }
}

/// Reads the signed text: `{body}`, `{timestamp}`, the name of a header in braces, and text in between. The error follows the key
/// in a sentence.
pub(super) fn parse_signed(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or("has a { without a }")?;
        parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
        parts.push(match name {
            "body" => Part::Body,
            "timestamp" => Part::Timestamp,
            header if is_header(header) => Part::Header(header.to_owned()),
            other => return Err(format!("has {{{other}}}: use {{body}}, {{timestamp}} or the name of a header")),
        });
        rest = after;
    }
    parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    if parts.iter().filter(|part| **part == Part::Body).count() != 1 {
        return Err("must have {body} once".to_owned());
    }
    Ok(parts)
}

/// Whether a text can be the name of a header (RFC 9110 section 5.1).
pub(super) fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_text_has_the_body_once() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(parse_signed("{body}"), Ok(vec![Part::Body]));
        assert_eq!(
            parse_signed("v0:{timestamp}:{x-id}.{body}!"),
            Ok(vec![
                text("v0:"),
                Part::Timestamp,
                text(":"),
                Part::Header("x-id".to_owned()),
                text("."),
                Part::Body,
                text("!")
            ])
        );
        for wrong in ["", "{timestamp}", "{body}{body}", "{body", "{}{body}", "{a b}{body}"] {
            assert!(parse_signed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_is_given_or_referred_to() {
        assert_eq!(KeySource::parse("env:SECRET"), KeySource::Variable("SECRET".to_owned()));
        assert_eq!(KeySource::parse("file:/run/key"), KeySource::InFile("/run/key".into()));
        assert_eq!(format!("{:?}", KeySource::parse("0123456789")), "Given(Key(…))");
        assert!(KeySource::is_reference("env:A") && !KeySource::is_reference("whsec_abc"));
    }

    #[test]
    fn a_key_is_text_or_base64() {
        let bytes = |text: &str, encoding| Key::new(text.to_owned()).bytes(encoding);
        assert_eq!(bytes("whsec_key", KeyEncoding::Text), Ok(b"whsec_key".to_vec()));
        assert_eq!(bytes("whsec_MDEyMzQ1Njc=", KeyEncoding::Base64), Ok(b"01234567".to_vec()));
        assert_eq!(bytes("MDEyMzQ1Njc=", KeyEncoding::Base64), Ok(b"01234567".to_vec()));
        for (text, encoding) in
            [("short", KeyEncoding::Text), ("whsec_!", KeyEncoding::Base64), ("whsec_MDEy", KeyEncoding::Base64)]
        {
            let error = bytes(text, encoding).unwrap_err();
            assert!(!error.contains(text), "{error}");
        }
    }
}
