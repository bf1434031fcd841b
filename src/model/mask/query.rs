//! The query of a path or a URL: parameters whose names are those of secrets.

use super::MASKED;

/// Whether some parameter is a secret, which is told by its name.
pub(super) fn holds(url: &str, is_secret: &impl Fn(&[u8]) -> bool) -> bool {
    url.split(SEPARATORS).any(|pair| is_hidden(pair, is_secret))
}

/// The URL without its secrets; `None` if it has none.
pub(super) fn replace_where(url: &str, is_secret: impl Fn(&[u8]) -> bool) -> Option<String> {
    if !holds(url, &is_secret) {
        return None;
    }
    let mut out = String::with_capacity(url.len() + 2 * MASKED.len());
    for part in url.split_inclusive(SEPARATORS) {
        let pair = part.trim_end_matches(SEPARATORS);
        match pair.find('=').filter(|_| is_hidden(pair, &is_secret)) {
            Some(equals) => {
                out.push_str(&pair[..=equals]);
                out.push_str(MASKED);
                out.push_str(&part[pair.len()..]);
            }
            None => out.push_str(part),
        }
    }
    Some(out)
}

/// What stands between the parts of a URL that may be parameters. The path itself has none that counts: it would need an
/// equals sign.
const SEPARATORS: [char; 4] = ['?', '&', ';', '#'];

fn is_hidden(pair: &str, is_secret: &impl Fn(&[u8]) -> bool) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    !value.is_empty() && is_secret(name.as_bytes())
}
