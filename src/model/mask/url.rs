//! Masking in paths and URLs: the values of parameters with the names of secrets.

use crate::model::mask::{
    digest,
    names::{MASKED, Mask},
};

impl Mask {
    /// Replaces the secrets in the query of a path or a URL; `None` if it has none.
    pub fn query_of(&self, url: &str) -> Option<String> {
        replace_where(url, |name, value| self.names_secret(name) && !digest::stays(name, value))
    }
}

/// The names and the values of the secrets in a path or a URL, in order.
pub(super) fn secrets<'u>(url: &'u str, mask: &Mask) -> impl Iterator<Item = (&'u str, &'u str)> {
    let is_secret = |name: &[u8], value: &str| mask.names_secret(name) && !digest::stays(name, value);
    let pairs = url.split(SEPARATORS).filter(move |pair| is_hidden(pair, &is_secret));
    pairs.filter_map(|pair| pair.split_once('='))
}

/// Replaces the value of the parameter with exactly this name in a path; `None` if there is no such parameter.
pub fn without_parameter(url: &str, name: &str) -> Option<String> {
    replace_where(url, |decoded, _| decoded == name.as_bytes())
}

/// Whether the value of a key is read as a URL, or as the query of one.
pub(super) fn is_url_key(key: &str) -> bool {
    ["path", "url", "uri", "query", "referer"].iter().any(|known| key.eq_ignore_ascii_case(known))
}

/// Whether a parameter is a secret, by its name and value.
fn holds(url: &str, is_secret: &impl Fn(&[u8], &str) -> bool) -> bool {
    url.split(SEPARATORS).any(|pair| is_hidden(pair, is_secret))
}

/// The URL with its secrets replaced; `None` if it has none.
fn replace_where(url: &str, is_secret: impl Fn(&[u8], &str) -> bool) -> Option<String> {
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

/// The characters between those parts of a URL that may be parameters. The path is such a part too, and counts as a parameter
/// only if it contains an equals sign.
const SEPARATORS: [char; 4] = ['?', '&', ';', '#'];

fn is_hidden(pair: &str, is_secret: &impl Fn(&[u8], &str) -> bool) -> bool {
    let Some((name, value)) = pair.split_once('=') else {
        return false;
    };
    !value.is_empty() && is_secret(name.as_bytes(), value)
}

/// Whether two URLs are equal except for parameters that are masked in one of them. `may_first` and `may_second` return, for
/// the first and the second URL, whether a masked value of a parameter with this name counts as masked.
pub(super) fn same_but_for(
    urls: [&str; 2],
    may_first: impl Fn(&[u8]) -> bool,
    may_second: impl Fn(&[u8]) -> bool,
) -> bool {
    let [mut first, mut second] = urls.map(|url| url.split_inclusive(SEPARATORS));
    loop {
        match (first.next(), second.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) => {
                let is_same = one == other || stands_for(one, other, &may_first) || stands_for(other, one, &may_second);
                if !is_same {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Whether `masked`, a parameter and the separator after it, may be the masked form of `plain`.
fn stands_for(masked: &str, plain: &str, may: &impl Fn(&[u8]) -> bool) -> bool {
    let parts = |part: &'_ str| -> Option<(usize, usize)> {
        let pair = part.trim_end_matches(SEPARATORS);
        Some((pair.find('=')? + 1, pair.len()))
    };
    let (Some((value, end)), Some((other_value, other_end))) = (parts(masked), parts(plain)) else {
        return false;
    };
    masked[..value] == plain[..other_value]
        && masked[value..end] == *MASKED
        && other_value < other_end
        && masked[end..] == plain[other_end..]
        && may(&masked.as_bytes()[..value - 1])
}
