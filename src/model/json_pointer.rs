//! JSON pointers (RFC 6901), with one addition: `[type=User]` selects the first element of an array whose member `type` is the
//! string `User`.

/// Maximum number of tokens of a pointer. The walk through a record recurses once per token.
const TOKENS_MAX: usize = 32;

/// A token of a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) enum Token {
    /// The key of a member, or the index of an element.
    Key(String),
    /// The first element whose member `key` has the text `value`.
    Select { key: String, value: String },
}

/// A pointer to a value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct Pointer(Vec<Token>);

impl Pointer {
    /// Parses a pointer. The error follows the pointer in a sentence.
    pub(in crate::model) fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('/').ok_or("must begin with /")?;
        let tokens = rest.split('/').map(token).collect::<Result<Vec<_>, _>>()?;
        if tokens.len() > TOKENS_MAX {
            return Err(format!("has more than {TOKENS_MAX} parts"));
        }
        Ok(Self(tokens))
    }

    /// The tokens, outermost first.
    pub(in crate::model) fn tokens(&self) -> &[Token] {
        &self.0
    }
}

fn token(text: &str) -> Result<Token, String> {
    let Some(selector) = text.strip_prefix('[') else {
        return unescape(text).map(Token::Key);
    };
    let parts = selector.strip_suffix(']').and_then(|inner| inner.split_once('='));
    match parts {
        Some((key, value)) if !key.is_empty() => Ok(Token::Select { key: unescape(key)?, value: unescape(value)? }),
        _ => Err(format!("has the invalid selector {text}: write [key=value]")),
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut parts = text.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (char, rest) = match part.as_bytes().first() {
            Some(b'0') => ('~', &part[1..]),
            Some(b'1') => ('/', &part[1..]),
            _ => return Err("has a ~ that is neither ~0 (for ~) nor ~1 (for /)".to_owned()),
        };
        out.push(char);
        out.push_str(rest);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_keys_and_selectors() {
        let key = |text: &str| Token::Key(text.to_owned());
        let select = |key: &str, value: &str| Token::Select { key: key.to_owned(), value: value.to_owned() };
        let tokens = |text: &str| Pointer::parse(text).map(|pointer| pointer.0);
        assert_eq!(tokens("/a/0/b~1c~0"), Ok(vec![key("a"), key("0"), key("b/c~")]));
        assert_eq!(
            tokens("/target/[type=App User]/id"),
            Ok(vec![key("target"), select("type", "App User"), key("id")])
        );
        assert_eq!(tokens("/[k=a~1b=c]"), Ok(vec![select("k", "a/b=c")]));
        assert_eq!(tokens("/"), Ok(vec![key("")]));
    }

    #[test]
    fn invalid_pointers_are_rejected() {
        for text in ["", "a", "a/b", "/a~", "/a~2", "/[x]", "/[=x]", "/[a=b", &"/a".repeat(TOKENS_MAX + 1)] {
            assert!(Pointer::parse(text).is_err(), "{text}");
        }
    }
}
