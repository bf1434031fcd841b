//! Splits a request body into events.
//!
//! One grammar covers all accepted forms: a JSON object, objects one after another (with or without line breaks:
//! NDJSON), or an array of objects. This module only splits a body. [`crate::model::event`] reads each event.

use std::fmt;

use serde::{
    Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Why a body could not be split into events. Nothing of such a body is stored.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchError {
    /// Index of the invalid event, from 0; `None` if the body as a whole is invalid.
    pub index: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Splits `body` into at most `events_max` values without interpreting them.
pub fn split(body: &[u8], events_max: usize) -> Result<Vec<&RawValue>, BatchError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| BatchError { index: None, message: format!("not UTF-8 at byte {}", error.valid_up_to()) })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut events = Vec::new();
    let outcome = if text.trim_start().starts_with('[') {
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.deserialize_seq(Elements { events: &mut events, events_max }).and_then(|()| reader.end())
    } else {
        values_in_a_row(text, &mut events, events_max)
    };
    match outcome {
        Err(error) => {
            let index = (events.len() <= events_max).then_some(events.len());
            Err(BatchError { index, message: format!("not JSON: {error}") })
        }
        Ok(()) if events.len() > events_max => {
            Err(BatchError { index: None, message: format!("more than {events_max} events in one request") })
        }
        Ok(()) if events.is_empty() => Err(BatchError { index: None, message: "contains no event".to_owned() }),
        Ok(()) => Ok(events),
    }
}

/// Reads values that follow one another. Like [`Elements`], it stops one past the limit, so that [`split`] sees that the limit
/// was exceeded.
fn values_in_a_row<'a>(text: &'a str, events: &mut Vec<&'a RawValue>, max: usize) -> Result<(), serde_json::Error> {
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        events.push(value?);
        if events.len() > max {
            break;
        }
    }
    Ok(())
}

/// Reads the elements of an array.
struct Elements<'v, 'a> {
    events: &'v mut Vec<&'a RawValue>,
    events_max: usize,
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element()? {
            // Past the limit, the rest is skipped. The array must still be closed, so that its error is the right one.
            if self.events.len() <= self.events_max {
                self.events.push(element);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(body: &str) -> Vec<&str> {
        split(body.as_bytes(), 10).unwrap().into_iter().map(RawValue::get).collect()
    }

    #[test]
    fn every_form_is_split_alike() {
        for body in [
            "{\"a\":1}{\"b\":2}",
            "{\"a\":1}\n{\"b\":2}\n",
            "[{\"a\":1},{\"b\":2}]",
            " \r\n[ {\"a\":1} , {\"b\":2} ]\n",
        ] {
            assert_eq!(pieces(body), ["{\"a\":1}", "{\"b\":2}"], "{body}");
        }
        assert_eq!(pieces("\u{feff}{}"), ["{}"]);
    }

    #[test]
    fn errors_have_the_index_of_the_event() {
        assert_eq!(split(b"{}{\"a\":}", 10).unwrap_err().index, Some(1));
        assert_eq!(split(b"[{},{},", 10).unwrap_err().index, Some(2));
        assert_eq!(split(b"[{}] {}", 10).unwrap_err().index, Some(1));
        assert_eq!(split(b"", 10).unwrap_err().message, "contains no event");
        assert_eq!(split(b"[]", 10).unwrap_err().message, "contains no event");
        assert_eq!(split(b"{\"a\":\"\xff\"}", 10).unwrap_err().message, "not UTF-8 at byte 6");
        for body in ["{}{}{}", "[{},{},{}]"] {
            assert_eq!(split(body.as_bytes(), 2).unwrap_err().message, "more than 2 events in one request");
        }
    }
}
