//! Paths that end in a secret, `/in/<route>/<secret>`, for senders that can set nothing but an address.
//!
//! The secret must not reach a server log, a record or a response. A path that only resembles such a path is hidden in the same
//! way, as the client may have mistyped it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::model::mask::MASKED;

/// The first segment of the paths.
const FIRST: &str = "in";

/// The name of the route in a path.
pub(super) fn route(path: &str) -> Option<Cow<'_, str>> {
    let rest = path.strip_prefix('/')?.strip_prefix(FIRST)?.strip_prefix('/')?;
    percent_decode_str(rest.split('/').next()?).decode_utf8().ok()
}

/// The secret in a path, as written.
pub(super) fn secret(path: &str) -> Option<&str> {
    let (before, secret) = split(path)?;
    (before.matches('/').count() == 3 && !secret.is_empty() && !secret.contains('/')).then_some(secret)
}

/// The path, with everything after the route replaced.
pub(crate) fn without_secret(path: &str) -> Cow<'_, str> {
    match split(path) {
        Some((before, secret)) if !secret.is_empty() => Cow::Owned(format!("{before}{MASKED}")),
        _ => Cow::Borrowed(path),
    }
}

/// The parts of a path up to the slash after the route, and after it.
fn split(path: &str) -> Option<(&str, &str)> {
    let (first, rest) = path.trim_start_matches('/').split_once('/')?;
    if percent_decode_str(first).decode_utf8_lossy() != FIRST {
        return None;
    }
    let (_, secret) = rest.trim_start_matches('/').split_once('/')?;
    Some(path.split_at(path.len() - secret.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_route_is_hidden() {
        for (path, hidden) in [
            ("/in/github/abx_1", "/in/github/[masked]"),
            ("/in/github/a/b", "/in/github/[masked]"),
            ("/%69n/github/abx_1", "/%69n/github/[masked]"),
            ("//in//github/abx_1", "//in//github/[masked]"),
            ("/in/github", "/in/github"),
            ("/in/github/", "/in/github/"),
            ("/in/", "/in/"),
            ("/in", "/in"),
            ("/inner/github/abx_1", "/inner/github/abx_1"),
            ("/v1/audit-log", "/v1/audit-log"),
            ("", ""),
        ] {
            assert_eq!(without_secret(path), hidden, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_spelling_of_a_path_shows_its_secret(
            before in "/{1,3}(in|%69n|%69%6e|i%6E)/{1,3}",
            route in "[a-z%0-9]{1,9}",
            after in "/{1,2}",
            more in "(/[a-z]{0,3}){0,2}",
        ) {
            let path = format!("{before}{route}{after}THE-SECRET{more}");
            proptest::prop_assert!(!without_secret(&path).contains("THE-SECRET"), "{}", path);
        }
    }

    #[test]
    fn a_route_is_the_second_segment() {
        for path in ["/in/github", "/in/github/abx_1", "/in/%67ithub"] {
            assert_eq!(route(path).as_deref(), Some("github"), "{path}");
        }
        assert!(["/inner/github", "/v1/in/github", "/in"].iter().all(|path| route(path).is_none()));
    }

    #[test]
    fn a_secret_is_the_third_segment() {
        assert_eq!(secret("/in/github/abx_1"), Some("abx_1"));
        for path in ["/in/github", "/in/github/", "/in/github/a/b", "//in/github/a", "/v1/audit-log/x"] {
            assert_eq!(secret(path), None, "{path}");
        }
    }
}
