//! Tables from patterns to texts.
//!
//! In a pattern, `*` matches any characters and `?` matches one. A key of a table is one or more patterns joined by `|`. The
//! value `*` means the text itself.

use std::{borrow::Cow, collections::HashMap};

/// The value that means the text itself.
const ITSELF: &str = "*";

/// A table that maps texts to texts. An exact pattern wins over one with wildcards, and a longer one over a shorter one.
#[derive(Debug, Clone, Default)]
pub(super) struct GlobMap {
    exact: HashMap<String, String>,
    /// Longest first.
    globs: Vec<(String, String)>,
}

impl GlobMap {
    /// A table of these entries. The error follows the name of the table in a sentence.
    pub(super) fn new<'t>(entries: impl Iterator<Item = (&'t str, &'t str)>) -> Result<Self, String> {
        let mut map = Self::default();
        for (patterns, text) in entries {
            for pattern in patterns.split('|') {
                let is_new = if is_glob(pattern) {
                    let is_new = map.globs.iter().all(|(known, _)| known != pattern);
                    map.globs.push((pattern.to_owned(), text.to_owned()));
                    is_new
                } else {
                    map.exact.insert(pattern.to_owned(), text.to_owned()).is_none()
                };
                if !is_new {
                    return Err(format!("has the pattern `{pattern}` twice"));
                }
            }
        }
        map.globs.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        Ok(map)
    }

    /// The text for `text`; `None` if no pattern matches.
    pub(super) fn get<'a>(&'a self, text: Cow<'a, str>) -> Option<Cow<'a, str>> {
        let by_glob = || self.globs.iter().find(|(pattern, _)| matches(pattern, &text)).map(|(_, to)| to);
        let found = self.exact.get(&*text).or_else(by_glob)?;
        Some(if found == ITSELF { text } else { Cow::Borrowed(found) })
    }

    /// Every text that the table can return, except the one that it is given.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let all = self.exact.values().chain(self.globs.iter().map(|(_, text)| text)).map(String::as_str);
        all.filter(|text| *text != ITSELF)
    }
}

fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether the pattern matches the whole text, byte by byte; `?` matches one character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // After the last `*`: where to continue in the pattern, and the end of the text that the `*` matches.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                t += 1;
                while text.get(t).is_some_and(|byte| byte & 0xC0 == 0x80) {
                    t += 1;
                }
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((after, end)) => {
                    *end += 1;
                    (p, t) = (*after, *end);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, is_match) in [
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.rejected_*", "org.rejected_member", true),
            ("4??", "404", true),
            ("4??", "40", false),
            ("?", "é", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(50), &"a".repeat(49)));
        assert!(!matches(&format!("{}b", "a*".repeat(50)), &"a".repeat(10_000)));
    }

    #[test]
    fn exact_wins_over_glob_and_longer_over_shorter() {
        let entries = [("*", "any"), ("fail*", "glob"), ("failed|f?iled", "exact"), ("failing*", "longer")];
        let map = GlobMap::new(entries.into_iter()).unwrap();
        for (text, expected) in
            [("failed", "exact"), ("fxiled", "exact"), ("fails", "glob"), ("failing!", "longer"), ("ok", "any")]
        {
            assert_eq!(map.get(text.into()).as_deref(), Some(expected), "{text}");
        }
        assert!(GlobMap::new([("a|b", "1"), ("b", "2")].into_iter()).unwrap_err().contains("`b` twice"));
        assert!(GlobMap::new([("a*|a*", "1")].into_iter()).unwrap_err().contains("twice"));
        let map = GlobMap::new([("unset|-", ""), ("u*", "*")].into_iter()).unwrap();
        assert_eq!(
            ["unset", "user", "x"].map(|text| map.get(text.into())),
            [Some("".into()), Some("user".into()), None]
        );
    }
}
