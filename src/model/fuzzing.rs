//! Feeds arbitrary input to the parsers of this layer.
//!
//! For tests and fuzzers only.

#![allow(clippy::missing_panics_doc, reason = "a check that fails is what a fuzzer looks for")]

use crate::model::{
    address::addresses,
    batch::{self, AfterError},
    cursor::{self, Fingerprint},
    event::{self, EventDraft, Highlight, Receipt, Sender},
    field::{FIELDS, Field},
    filter::{Predicate, SearchTerm},
    limits::EventLimits,
    search::SearchText,
    search_language,
    timestamp::Timestamp,
    token::parse_api_token,
    values::{self, Values},
    zone::Zone,
};

/// Splits a body into events and accepts each, as ingest does. The stored form of an accepted event has the same searchable values,
/// and the event, sent again, is the same submission.
pub fn take_events(body: &[u8]) {
    let Ok(pieces) = batch::split(body, 100, AfterError::Resume) else {
        return;
    };
    let receipt = Receipt { at: Timestamp::from_micros(1_700_000_000_000_000), by: "sender" };
    let later = Receipt { at: Timestamp::from_micros(1_800_000_000_000_000), by: "another" };
    for piece in pieces.into_iter().flatten() {
        assert!(body.windows(piece.get().len()).any(|window| window == piece.get().as_bytes()));
        let read = || EventDraft::parse(piece.get(), &EventLimits::default(), Sender::Client);
        let (Ok(draft), Ok(again)) = (read(), read()) else {
            assert!(read().is_err());
            continue;
        };
        let named = draft.identifier().is_some();
        let (one, other) = (draft.accept(&receipt), again.accept(&later));
        assert!(one.body.starts_with('{') && serde_json::from_str::<&serde_json::value::RawValue>(&one.body).is_ok());
        let (timestamp, values) =
            event::searchable(&one.body).unwrap_or((Timestamp::from_micros(0), Values::default()));
        assert_eq!((timestamp, sorted(&values)), (one.timestamp, sorted(&one.values)));
        assert_eq!(values.words(), one.values.words());
        search_in(&one.body);
        assert!(!named || event::same_submission((&one.body, one.filled), (&other.body, other.filled)));
    }
}

/// Searches a stored event for short words. Each reported place is a text of the event.
fn search_in(body: &str) {
    let parsed = serde_json::from_str::<serde_json::Value>(body);
    for word in ["a", "1", "true", "é"] {
        let text = SearchText::phrase(word, false);
        let is_contained = event::contains(body, &text);
        let highlights = event::highlights(body, &[SearchTerm::Text(text)]);
        assert!(!is_contained || !highlights.is_empty() || body.len() > 64 * 1024, "{word} in {body}");
        for Highlight { pointer, ranges } in &highlights {
            assert!(ranges.is_sorted_by_key(|range| range.start) && ranges.iter().all(|range| !range.is_empty()));
            assert!(
                parsed.as_ref().is_ok_and(|event| event.pointer(pointer).is_some()) || parsed.is_err(),
                "{pointer}"
            );
        }
    }
}

fn sorted(values: &Values) -> Vec<(Field, String)> {
    let mut all: Vec<_> = values::iterate(values.as_bytes()).map(|(field, value)| (field, value.to_owned())).collect();
    all.sort_unstable();
    all
}

/// Parses a text as an instant, a zone, a cursor, a token, and as the value of each filter.
pub fn read_text(text: &str) {
    if let Some(at) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
    }
    if let Ok(zone) = Zone::parse(text) {
        for micros in [i64::MIN, -62_167_219_200_000_000, 0, 253_402_300_799_999_999, i64::MAX] {
            let shown = zone.format(Timestamp::from_micros(micros));
            assert!(Timestamp::parse(&shown).is_some(), "{shown}");
        }
    }
    let fingerprint = Fingerprint::of(text);
    if let Ok(cursor) = cursor::decode(text, fingerprint) {
        assert_eq!(cursor::encode(cursor, fingerprint), text);
    }
    let _ = parse_api_token(text);
    if let Ok(terms) = search_language::parse(text) {
        assert!(terms.len() <= search_language::SEARCH_WORDS_MAX);
    }
    for address in addresses(text) {
        assert_eq!(addresses(&address.to_string()).collect::<Vec<_>>(), [address]);
    }
    for spec in FIELDS {
        if let Ok(predicate) = Predicate::parse(spec, text)
            && predicate.matches(text)
            && let Some(beginnings) = predicate.beginnings()
        {
            assert!(beginnings.iter().any(|beginning| text.starts_with(beginning.as_str())), "{predicate:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pieces of events, which are joined in any order. The result is mostly invalid JSON, and often almost valid.
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "\\ud800",
        "\\udc00",
        "\\u0000",
        "null",
        "true",
        "1e999",
        "-0",
        "\"action\":",
        "\"resourceType\":",
        "\"identifier\":",
        "\"trigger\":",
        "\"at\":",
        "\"by\":",
        "\"context\":",
        "\"entity\":",
        "\"request\":",
        "\"statusCode\":",
        "\"diff\":",
        "\"before\":",
        "\"message\":",
        "\"a\"",
        "\"A b\"",
        "404",
        "\"2024-05-01T12:00:00Z\"",
        " ",
        "\n",
        "{\"action\":\"A\",\"resourceType\":\"x\"",
        "}{",
        "\u{feff}",
        "é",
    ];

    proptest! {
        #[test]
        fn any_body_is_accepted_or_rejected(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24),
            value in "[ -~]{0,12}|.{0,12}",
        ) {
            take_events(&bytes);
            take_events(pieces.concat().as_bytes());
            let quoted = serde_json::to_string(&value).unwrap();
            let inner = pieces.concat();
            take_events(format!("{{\"action\":{quoted},\"resourceType\":{quoted},\"message\":{quoted},\"x\":{inner}}}").as_bytes());
            take_events(format!("{{\"action\":\"A\",\"resourceType\":\"x\",{quoted}:{quoted},\"context\":{{\"entity\":{quoted}}}}}").as_bytes());
        }

        #[test]
        fn any_text_is_parsed_or_rejected(
            text in ".{0,60}",
            time in "-?[0-9]{4,5}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:?[0-9]{2})",
            range in "[0-9a-f.:]{1,20}/[0-9]{0,3}",
            zone in "[+-][0-9]{0,2}:?[0-9]{0,2}|[+-].{0,4}|Europe/[A-Z][a-z]{4,8}|Etc/GMT[+-][0-9]{1,2}",
            cursor in "[A-Za-z0-9_-]{30,50}",
            search in "(-?(actor|ip|status|acotr)?:?\"?[a-zA-Z0-9ßſﬁü.,:\\[\\]%\\\\ -]{0,8}\"? ?){0,4}",
        ) {
            for text in [text, time, range, zone, cursor, search] {
                read_text(&text);
            }
        }
    }
}
