//! What a client presents to authenticate.
//!
//! Everywhere: a Bearer token, or the session of a browser. Routes that take events also accept every other form in which senders
//! hold one static secret, because a sender cannot be changed. Other routes do not: a browser sends a name and a password by
//! itself, also for a page of another site, and the addresses of requests are kept in histories.

use actix_web::{
    HttpRequest,
    http::header::{AUTHORIZATION, HeaderValue},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use percent_encoding::percent_decode_str;

use crate::http::{actions, parameters, secret_path};

/// Some senders omit the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The parameter of a query string that holds a token (RFC 6750 section 2.3).
pub(crate) const TOKEN_PARAMETER: &str = "access_token";

/// A token, or a name with its password. It has no `Debug`, because it holds secrets.
pub(super) enum Presented {
    /// A token of any kind.
    Token(String),
    /// A client id and its secret; or a token as the password, and any name.
    Password { name: String, password: String },
}

impl Presented {
    /// What a request presents, except a session.
    pub(super) fn of(request: &HttpRequest) -> Option<Self> {
        let header = request.headers().get(AUTHORIZATION).map(HeaderValue::to_str).and_then(Result::ok);
        let takes_events = actions::takes_events(request);
        let in_header = header.and_then(|value| Self::in_header(value, takes_events));
        in_header.or_else(|| takes_events.then(|| Self::in_address(request)).flatten())
    }

    fn in_header(value: &str, takes_events: bool) -> Option<Self> {
        let Some((scheme, value)) = value.split_once(' ') else {
            // Some senders can set the header, but no scheme.
            return takes_events.then(|| Self::Token(value.to_owned()));
        };
        let value = value.trim();
        let token = || Some(Self::Token(value.to_owned()));
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => token(),
            "splunk" if takes_events => token(),
            // Without a pair in it, the key of an API is a token.
            "apikey" if takes_events => Self::pair(value).or_else(token),
            "basic" if takes_events => Self::pair(value),
            _ => None,
        }
    }

    /// A token in the path or the query string.
    fn in_address(request: &HttpRequest) -> Option<Self> {
        if let Some(encoded) = secret_path::secret(request.path()) {
            return percent_decode_str(encoded).decode_utf8().ok().map(|token| Self::Token(token.into_owned()));
        }
        let (pairs, _) = parameters::decode_valid(request.query_string());
        let token = pairs.into_iter().find(|(name, _)| name == TOKEN_PARAMETER);
        token.map(|(_, token)| Self::Token(token.into_owned()))
    }

    /// A name and a password in base64 (RFC 7617).
    fn pair(encoded: &str) -> Option<Self> {
        let text = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
        let (name, password) = text.split_once(':')?;
        Some(Self::Password { name: name.to_owned(), password: password.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str, takes_events: bool) -> String {
        match Presented::in_header(value, takes_events) {
            Some(Presented::Token(token)) => token,
            Some(Presented::Password { name, password }) => format!("{name} {password}"),
            None => String::new(),
        }
    }

    #[test]
    fn each_scheme_is_read_on_routes_that_take_events() {
        for (value, expected) in [
            ("Bearer a.b", "a.b"),
            ("bearer  a.b ", "a.b"),
            ("Splunk abx_1", "abx_1"),
            ("abx_1", "abx_1"),
            ("Basic aWQ6c2VjcmV0", "id secret"),
            ("BASIC eDphOmI=", "x a:b"),
            ("Basic eDphOmI", "x a:b"),
            ("ApiKey aWQ6c2VjcmV0", "id secret"),
            ("ApiKey abx_1", "abx_1"),
            ("Basic id:secret", ""),
            ("Basic aWQ=", ""),
            ("Digest a", ""),
            ("Basic", "Basic"),
        ] {
            assert_eq!(read(value, true), expected, "{value}");
        }
        for value in ["Splunk abx_1", "abx_1", "Basic aWQ6c2VjcmV0", "ApiKey abx_1"] {
            assert_eq!(read(value, false), "", "{value}");
        }
        assert_eq!(read("Bearer a.b", false), "a.b");
    }
}
