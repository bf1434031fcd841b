//! Lines of access logs in the common and the combined format of Apache and nginx, also with a virtual host in front.
//!
//! `client ident user [time] "request" status bytes "referer" "user agent"`. In quotes, a backslash escapes a character, or
//! a byte as `\xhh`. A `-` means that the value is absent.

use std::borrow::Cow;

use serde_json::{Map, Value, value::RawValue};

use crate::model::{json, mapping::documents::Record};

/// A line as a record. The fields of a line in another format are empty.
pub(super) fn record(line: &str) -> Record<'_> {
    let mut text = String::with_capacity(line.len() + 2);
    json::push_string(&mut text, line);
    // A string that was just written is JSON.
    let raw = RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned());
    Record::with_fields(Cow::Owned(raw), fields(line).unwrap_or_default().to_string())
}

/// The fields of a line; `None` if it has another format.
pub(super) fn fields(line: &str) -> Option<Value> {
    let (head, rest) = line.split_once(" [")?;
    let (time, rest) = rest.split_once("] ")?;
    let mut words = head.splitn(3, ' ');
    let (mut client, mut ident, mut user) = (words.next()?, words.next()?, words.next()?);
    let mut host = "";
    // With a virtual host in front there is one word more, and the identity is nearly always `-`.
    if let Some((second, third)) = user.split_once(' ').filter(|_| ident != "-") {
        (host, client, ident, user) = (client, ident, second, third);
    }
    let (request, rest) = quoted(rest)?;
    let mut numbers = rest.trim_start().splitn(3, ' ');
    let (status, bytes) = (numbers.next()?, numbers.next().unwrap_or_default());
    if status.len() != 3 || !status.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (referer, rest) = quoted(numbers.next().unwrap_or_default()).unwrap_or_default();
    let (agent, _) = quoted(rest.trim_start()).unwrap_or_default();
    let mut request_words = request.split(' ');
    // Clients also send bytes that are no request.
    let method =
        request_words.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'));
    let (method, path) = method.map_or(("", ""), |method| (method, request_words.next().unwrap_or_default()));
    let fields = [
        ("host", host),
        ("client", client),
        ("ident", ident),
        ("user", user),
        ("time", time),
        ("request", &request),
        ("method", method),
        ("path", path),
        ("status", status),
        ("bytes", bytes),
        ("referer", &referer),
        ("userAgent", &agent),
    ];
    let fields = fields.into_iter().filter(|(_, text)| !text.is_empty() && *text != "-");
    Some(Value::Object(fields.map(|(key, text)| (key.to_owned(), Value::from(text))).collect::<Map<_, _>>()))
}

/// Reads a text in quotes; returns it without its escapes, and the rest of the line.
fn quoted(text: &str) -> Option<(String, &str)> {
    let content = text.strip_prefix('"')?;
    let bytes = content.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    loop {
        match bytes.get(at)? {
            b'"' => break,
            b'\\' => {
                let hex = bytes.get(at + 1..at + 4).and_then(|escape| escape.strip_prefix(b"x"));
                let hex = hex.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
                out.push(hex.or_else(|| bytes.get(at + 1).copied())?);
                at += if hex.is_some() { 4 } else { 2 };
            }
            byte => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Some((String::from_utf8_lossy(&out).into_owned(), content.get(at + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_field_of_a_line_is_read() {
        let line = r#"203.0.113.9 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.0" 200 2326 "http://x/" "Mozilla/4.08 \"q\" \x22""#;
        let expected = json!({
            "client": "203.0.113.9", "user": "frank", "time": "10/Oct/2000:13:55:36 -0700", "request": "GET /a?b=1 HTTP/1.0",
            "method": "GET", "path": "/a?b=1", "status": "200", "bytes": "2326", "referer": "http://x/",
            "userAgent": "Mozilla/4.08 \"q\" \"",
        });
        assert_eq!(fields(line), Some(expected));
    }

    #[test]
    fn other_forms_of_the_format_are_read() {
        for (line, key, value) in [
            (r#"::1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 404 -"#, "status", "404"),
            (r#"::1 - jane doe [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 404 -"#, "user", "jane doe"),
            (
                r#"www.example.com:443 10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "GET / HTTP/1.1" 200 5"#,
                "client",
                "10.0.0.1",
            ),
            (r#"10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03" 400 5 "-" "-" "extra""#, "request", "\u{16}\u{3}"),
            (r#"10.0.0.1 - - [10/Oct/2000:13:55:36 +0000] "-" 408 0"#, "client", "10.0.0.1"),
        ] {
            assert_eq!(fields(line).unwrap()[key], value, "{line}");
        }
    }

    #[test]
    fn other_lines_are_not_read() {
        for line in
            ["", "hello", "{\"a\":1}", "a b c [d] e", "a - b [t] \"GET /\" OK 1", "a - b [t] \"open", "é [é] \"\\"]
        {
            assert_eq!(fields(line), None, "{line}");
        }
    }
}
