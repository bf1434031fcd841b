//! The kinds of token that a client presents.
//!
//! An *API token*, `abx_<payload><checksum>`, is a credential's client id and secret in one word, for senders that cannot
//! do the handshake. The payload is base64url of `clientId:clientSecret`, and the checksum is the payload's CRC-32 in eight
//! hexadecimal digits. The checksum lets secret scanners recognize a token, and lets the server reject a mistyped one
//! without looking anything up.
//!
//! `<client id>.<secret>` is the same in a form that people can write by hand. Neither part of a generated credential contains a
//! dot.
//!
//! An *access token* is a signed token that a client gets for its client id and secret. It names the credential and nothing
//! more: the permissions of the credential are looked up at each use.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::model::{
    credential::{ClientId, Secret},
    signed::{Claims, SigningKey},
    timestamp::Timestamp,
};

/// The beginning of every API token.
pub const API_TOKEN_PREFIX: &str = "abx_";
const CHECKSUM_CHARS: usize = 8;
/// Maximum number of characters of an API token. No credential has a longer one.
const API_TOKEN_CHARS_MAX: usize = 512;

/// Writes the API token of a credential.
pub fn api_token(client_id: &ClientId, secret: &Secret) -> String {
    let payload = BASE64_URL_SAFE_NO_PAD.encode(format!("{}:{}", client_id.as_str(), secret.reveal()));
    format!("{API_TOKEN_PREFIX}{payload}{:08x}", crc32fast::hash(payload.as_bytes()))
}

/// Reads an API token; `None` for any other text, including an incomplete token.
pub fn parse_api_token(token: &str) -> Option<(ClientId, Secret)> {
    let rest = token.strip_prefix(API_TOKEN_PREFIX).filter(|_| token.len() <= API_TOKEN_CHARS_MAX)?;
    let (payload, checksum) = rest.split_at_checked(rest.len().checked_sub(CHECKSUM_CHARS)?)?;
    if u32::from_str_radix(checksum, 16).ok()? != crc32fast::hash(payload.as_bytes()) {
        return None;
    }
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let (client_id, secret) = text.split_once(':')?;
    Some((ClientId::parse(client_id).ok()?, Secret::presented(secret.to_owned())))
}

/// The client ids and secrets that `<client id>.<secret>` may consist of, one for each dot: a client id and a secret that people
/// chose may contain dots.
pub fn split_static_token(token: &str) -> impl Iterator<Item = (ClientId, Secret)> {
    let token = Some(token).filter(|token| token.len() <= API_TOKEN_CHARS_MAX).unwrap_or_default();
    token.match_indices('.').filter_map(|(at, _)| {
        let (client_id, secret) = (ClientId::parse(&token[..at]).ok()?, &token[at + 1..]);
        Some((client_id, Secret::presented(secret.to_owned())))
    })
}

/// Whether a text looks like a token of any kind, and not like the secret of a credential by itself.
pub fn is_like_token(text: &str) -> bool {
    text.starts_with(API_TOKEN_PREFIX) || text.contains('.')
}

/// Issues and reads access tokens.
pub struct AccessTokens(SigningKey);

impl AccessTokens {
    /// Access tokens signed with the key in the file.
    pub fn new(file_key: &[u8]) -> Self {
        Self(SigningKey::new(file_key))
    }

    /// Issues a token for `client_id`, valid from `now` until `expires`.
    pub fn issue(&self, client_id: &ClientId, now: Timestamp, expires: Timestamp) -> Result<String, serde_json::Error> {
        self.0.sign(&Claims {
            sub: client_id.as_str().to_owned(),
            jti: None,
            auth_time: None,
            iat: now.seconds(),
            exp: expires.seconds(),
        })
    }

    /// The client id that a token names and when the token expires, if it was issued here and is valid at `now`.
    pub fn read(&self, token: &str, now: Timestamp) -> Option<(ClientId, Timestamp)> {
        let claims = self.0.read(token, now)?;
        Some((ClientId::parse(&claims.sub).ok()?, Timestamp::from_seconds(claims.exp)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::signed::CLOCK_BACK_SECONDS;

    #[test]
    fn an_api_token_is_read_back_and_a_damaged_one_rejected() {
        let (client_id, secret) = (ClientId::generate().unwrap(), Secret::generate().unwrap());
        let token = api_token(&client_id, &secret);
        let (read_id, read_secret) = parse_api_token(&token).unwrap();
        assert_eq!((read_id, read_secret.reveal()), (client_id, secret.reveal()));
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'x' { b'y' } else { b'x' };
            assert!(parse_api_token(std::str::from_utf8(&damaged).unwrap()).is_none(), "{at}");
            assert!(parse_api_token(&token[..at]).is_none(), "{at}");
        }
        assert!(parse_api_token("abx_é0000000").is_none());
    }

    #[test]
    fn a_static_token_is_split_at_each_dot() {
        let split = |token: &str| -> Vec<(String, String)> {
            let parts = split_static_token(token);
            parts.map(|(id, secret)| (id.as_str().to_owned(), secret.reveal().to_owned())).collect()
        };
        let pair = |id: &str, secret: &str| (id.to_owned(), secret.to_owned());
        assert_eq!(split("id.secret"), [pair("id", "secret")]);
        assert_eq!(split("a.b.c"), [pair("a", "b.c"), pair("a.b", "c")]);
        assert_eq!(split("id"), []);
        assert_eq!(split(".secret"), []);
        assert_eq!(split("é.secret"), []);
        assert_eq!(split(&format!("id.{}", "x".repeat(API_TOKEN_CHARS_MAX))), []);
    }

    #[test]
    fn an_access_token_of_an_earlier_version_is_still_valid() {
        // Issued by auditbox 0.1.0 before its tokens had a module of their own.
        let (key, now) = (b"0123456789abcdef0123456789abcdef", Timestamp::from_micros(1_700_000_000_000_000));
        let token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.\
                     eyJzdWIiOiJ0ZXN0LWFkbWluIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAwNjB9.\
                     8ERv72wz6urUQK0qQVJ94yC0nVZvay3TDjwzHRWBWs0";
        let (tokens, client_id) = (AccessTokens::new(key), ClientId::parse("test-admin").unwrap());
        assert_eq!(tokens.read(token, now), Some((client_id.clone(), now.plus_seconds(60))));
        assert_eq!(tokens.issue(&client_id, now, now.plus_seconds(60)).unwrap(), token);
    }

    #[test]
    fn an_access_token_is_valid_for_its_time_and_its_key() {
        let (tokens, now) = (AccessTokens::new(b"one key"), Timestamp::from_micros(1_700_000_000_000_000));
        let client_id = ClientId::generate().unwrap();
        let token = tokens.issue(&client_id, now, now.plus_seconds(60)).unwrap();
        assert_eq!(token.split('.').count(), 3);
        assert_eq!(tokens.read(&token, now.plus_seconds(59)), Some((client_id, now.plus_seconds(60))));
        assert_eq!(tokens.read(&token, now.plus_seconds(60)), None);
        assert!(tokens.read(&token, now.plus_seconds(-CLOCK_BACK_SECONDS)).is_some());
        assert_eq!(tokens.read(&token, now.plus_seconds(-CLOCK_BACK_SECONDS - 1)), None);
        assert_eq!(AccessTokens::new(b"another").read(&token, now), None);
    }
}
