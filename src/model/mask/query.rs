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

/// Whether two URLs differ in nothing but the values of parameters that are masked in the one and may have been anything in
/// the other. `may` says for either of them of which names the values count as masked.
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

/// Whether `masked`, a parameter and the separator after it, may stand for `plain`.
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
