//! An event on one line, for formats in which a line ends an event.

use std::borrow::Cow;

use crate::model::query::Includes;

/// Appends an event, or the keys of it that `includes` names, to `out` without line breaks. In a JSON text they occur only
/// between values (RFC 8259 section 7 requires escapes in strings), where a space is equivalent.
pub(super) fn push_event(out: &mut String, body: &str, includes: Option<&Includes>) {
    let json = includes.map_or(Cow::Borrowed(body), |includes| includes.project(body).into());
    let mut rest = &*json;
    while let Some(at) = rest.find(['\n', '\r']) {
        out.push_str(&rest[..at]);
        out.push(' ');
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::push_event;

    #[test]
    fn an_event_of_many_lines_becomes_one_that_means_the_same() {
        let mut out = "> ".to_owned();
        push_event(&mut out, "{\"a\":{\r\n \"b\": \"x\\ny\"\n}}", None);
        assert_eq!(out, r#"> {"a":{   "b": "x\ny" }}"#);
    }
}
