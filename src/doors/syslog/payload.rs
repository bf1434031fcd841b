//! CEF and LEEF, the formats of security products within syslog messages.

use serde_json::{Map, Value};

/// The fields of a CEF record; `None` if the text is not one.
///
/// `CEF:0|vendor|product|version|signature id|name|severity|key=value …`. In the header, a backslash escapes `|` and itself. In
/// the extension, it also escapes `=`, and `\n` and `\r` are line breaks.
pub(super) fn cef(text: &str) -> Option<Value> {
    let (fields, extension) = header(text.strip_prefix("CEF:")?, 7)?;
    let names = ["version", "deviceVendor", "deviceProduct", "deviceVersion", "signatureId", "name", "severity"];
    let mut record = named(&names, fields);
    record.insert("extension".to_owned(), Value::Object(extension_fields(extension)));
    Some(Value::Object(record))
}

/// The fields of a LEEF record; `None` if the text is not one.
///
/// `LEEF:1.0|vendor|product|version|event id|key=value<tab>…`. Version 2 names the delimiter in one more field: a character, or
/// its code as `x5E` or `0x5E`. Without it, the delimiter is a tab.
pub(super) fn leef(text: &str) -> Option<Value> {
    let (fields, rest) = header(text.strip_prefix("LEEF:")?, 5)?;
    let (mut delimiter, mut attributes) = ('\t', rest);
    if fields[0].starts_with('2')
        && let Some(after) = rest.strip_prefix("||")
    {
        // The delimiter is the pipe.
        (delimiter, attributes) = ('|', after);
    } else if fields[0].starts_with('2')
        && let Some((name, after)) = rest.split_once('|')
        && let Some(named) = delimiter_named(name)
    {
        (delimiter, attributes) = (named, after);
    }
    let mut found = Map::new();
    for attribute in attributes.split(delimiter) {
        if let Some((key, value)) = attribute.split_once('=').filter(|(key, _)| !key.trim().is_empty()) {
            found.insert(key.trim().to_owned(), value.trim_end().into());
        }
    }
    let mut record = named(&["version", "vendor", "product", "productVersion", "eventId"], fields);
    record.insert("attributes".to_owned(), Value::Object(found));
    Some(Value::Object(record))
}

fn named(names: &[&str], values: Vec<String>) -> Map<String, Value> {
    names.iter().map(|name| (*name).to_owned()).zip(values.into_iter().map(Value::from)).collect()
}

/// The first `count` fields, each of which ends in a pipe, and what follows them.
fn header(text: &str, count: usize) -> Option<(Vec<String>, &str)> {
    let (mut fields, mut field) = (Vec::with_capacity(count), String::new());
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '|' => {
                fields.push(std::mem::take(&mut field));
                if fields.len() == count {
                    return Some((fields, &text[at + 1..]));
                }
            }
            '\\' => match chars.clone().next() {
                Some((_, escaped @ ('|' | '\\'))) => {
                    field.push(escaped);
                    chars.next();
                }
                _ => field.push('\\'),
            },
            other => field.push(other),
        }
    }
    None
}

fn delimiter_named(name: &str) -> Option<char> {
    let code = name.strip_prefix("0x").or_else(|| name.strip_prefix('x')).filter(|code| !code.is_empty());
    if let Some(code) = code {
        return u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
    }
    let mut chars = name.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Some('\t'),
        (Some(char), None) => Some(char),
        _ => None,
    }
}

/// The pairs of an extension. A value ends before the last word in front of the next `=`.
fn extension_fields(text: &str) -> Map<String, Value> {
    let mut pairs: Vec<(usize, usize, usize)> = Vec::new();
    let (mut word, mut is_escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b' ' => word = at + 1,
            b'=' if is_key(&text[word..at]) => {
                pairs.push((word, at, at + 1));
                // An equals sign within the value begins no pair.
                word = at + 1;
            }
            _ => {}
        }
    }
    let end_of = |index: usize| pairs.get(index + 1).map_or(text.len(), |(next, ..)| *next);
    let pair = |(index, &(key, equals, value)): (usize, &(usize, usize, usize))| {
        let value = text.get(value..end_of(index)).unwrap_or_default().trim();
        (text[key..equals].to_owned(), Value::from(unescaped(value)))
    };
    pairs.iter().enumerate().map(pair).collect()
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']'))
}

fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(char) = chars.next() {
        let escaped = if char == '\\' { chars.clone().next() } else { None };
        match escaped {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some(same @ ('=' | '\\' | '|')) => out.push(same),
            _ => {
                out.push(char);
                continue;
            }
        }
        chars.next();
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cef_has_escapes_in_its_header_and_its_extension() {
        let text = r"CEF:0|Acme\|Co|Fire\\wall|1.2|100|user a=b logged in|5|suser=ada lovelace act=log\=in msg=a\nb src=192.0.2.1 url=/x?a=b";
        let record = cef(text).unwrap();
        assert_eq!(record["deviceVendor"], "Acme|Co");
        assert_eq!(record["deviceProduct"], r"Fire\wall");
        assert_eq!(record["name"], "user a=b logged in");
        let expected =
            json!({ "suser": "ada lovelace", "act": "log=in", "msg": "a\nb", "src": "192.0.2.1", "url": "/x?a=b" });
        assert_eq!(record["extension"], expected);
        assert_eq!(cef("CEF:0|a|b|c|d|e"), None);
        assert_eq!(cef("CEF:0|a|b|c|d|e|5|").unwrap()["extension"], json!({}));
    }

    #[test]
    fn leef_names_its_delimiter() {
        let one = leef("LEEF:1.0|Acme|Gate|2|login|usrName=ada lovelace\tsrc=192.0.2.1").unwrap();
        assert_eq!(one["attributes"], json!({ "usrName": "ada lovelace", "src": "192.0.2.1" }));
        for delimiter in ["^", "x5E", "0x5e"] {
            let two = leef(&format!("LEEF:2.0|Acme|Gate|2|login|{delimiter}|usrName=ada^src=192.0.2.1")).unwrap();
            assert_eq!((&two["eventId"], &two["attributes"]["src"]), (&json!("login"), &json!("192.0.2.1")));
        }
        let pipe = leef("LEEF:2.0|Acme|Gate|2|login|||usrName=ada|src=192.0.2.1").unwrap();
        assert_eq!(pipe["attributes"], json!({ "usrName": "ada", "src": "192.0.2.1" }));
        let none = leef("LEEF:2.0|Acme|Gate|2|login|usrName=ada\turl=a|b").unwrap();
        assert_eq!(none["attributes"], json!({ "usrName": "ada", "url": "a|b" }));
    }
}
