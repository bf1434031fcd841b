//! URLs of the list: each choice under its API name, defaults left out, always in one order.

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::{
    model::zone::Zone,
    ui::params::{ListParams, PagePosition, Preset, Range, Selection, range},
};

/// Where the list is.
const PATH: &str = "/audit-logs";
/// Where the API's list is.
const API_PATH: &str = "/v1/audit-log";

/// What an identifier in a path is encoded of: all but letters, digits and the marks that stand for themselves (RFC 3986
/// section 2.3), the dot excepted.
const WITHIN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A parameter and its value, not encoded.
pub(super) type UrlPair = (String, String);

impl ListParams {
    /// The page's URL.
    pub(in crate::ui) fn href(&self) -> String {
        let mut pairs = self.pairs_without_range();
        match self.range {
            Range::Last(Preset::DEFAULT) => {}
            Range::Last(preset) => pairs.push(("range".to_owned(), preset.name().to_owned())),
            Range::Between { from, to } => {
                for (name, instant) in [("from", from), ("to", to)] {
                    pairs.extend(instant.map(|instant| (name.to_owned(), range::exact(&self.zone, instant))));
                }
            }
        }
        match &self.place {
            PagePosition::First => {}
            PagePosition::After(cursor) => pairs.push(("cursor".to_owned(), cursor.clone())),
            PagePosition::Before(cursor) => pairs.push(("newer".to_owned(), cursor.clone())),
        }
        to_url(PATH, &pairs)
    }

    /// The same list as another representation of the API has it, at `path` with `more`.
    pub(in crate::ui) fn api_href(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut pairs: Vec<UrlPair> =
            more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.extend(self.filter_pairs().into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())));
        to_url(path, &pairs)
    }

    /// The chosen values alone, as a query string.
    pub(in crate::ui) fn kept(&self) -> String {
        to_query(&selection_pairs(&self.selections))
    }

    fn pairs_without_range(&self) -> Vec<UrlPair> {
        let mut pairs = selection_pairs(&self.selections);
        let mut push = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        if let Some(words) = &self.words {
            push("q", words);
        }
        if self.zone != Zone::utc() {
            push("tz", self.zone.name());
        }
        for (name, value, given) in [
            ("include_own", "true", self.include_own),
            ("sort", "received", self.by_arrival),
            ("order", "asc", self.ascending),
        ] {
            if given {
                push(name, value);
            }
        }
        for field in &self.facets {
            if let Some(name) = field.spec().name() {
                push("facets", name);
            }
        }
        if self.pinned && matches!(self.range, Range::Last(preset) if preset != Preset::All) {
            push("at", &range::exact(&Zone::utc(), self.at));
        }
        pairs
    }
}

/// The URL of one event's page. Of an identifier that a browser takes for a directory, encoded or not (WHATWG URL, section
/// 4.2), there is none: it leads to the list of that one event.
pub(in crate::ui) fn event_href(identifier: &str, zone: &Zone) -> String {
    if matches!(identifier, "." | "..") {
        let pairs = [("identifier", identifier), ("range", "all"), ("tz", zone.name())];
        return to_url(PATH, &pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let encoded = percent_encoding::utf8_percent_encode(identifier, WITHIN_PATH);
    let path = format!("{PATH}/{encoded}");
    if *zone == Zone::utc() { path } else { to_url(&path, &[("tz".to_owned(), zone.name().to_owned())]) }
}

/// The URL of one event of the API; where there is none, of the list of that one event.
pub(in crate::ui) fn event_api_href(identifier: &str) -> String {
    if matches!(identifier, "." | "..") {
        return to_url(API_PATH, &[("identifier".to_owned(), identifier.to_owned())]);
    }
    format!("{API_PATH}/{}", percent_encoding::utf8_percent_encode(identifier, WITHIN_PATH))
}

/// Chosen values as parameters. One value with a comma in it is bracketed, or it would be read as several.
pub(super) fn selection_pairs(selections: &[Selection]) -> Vec<UrlPair> {
    let mut pairs = Vec::new();
    for selection in selections {
        let spec = selection.spec();
        let Some(name) = spec.name() else {
            continue;
        };
        let sign = if selection.negated { "not." } else { "" };
        if let Some(list) = &selection.list {
            pairs.push((format!("{sign}{name}"), list.clone()));
            continue;
        }
        let bracket = match selection.values.as_slice() {
            [only] if spec.comma_list && only.contains(',') => "[]",
            _ => "",
        };
        pairs.extend(selection.values.iter().map(|value| (format!("{sign}{name}{bracket}"), value.clone())));
    }
    pairs
}

fn to_url(path: &str, pairs: &[UrlPair]) -> String {
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", to_query(pairs)) }
}

fn to_query(pairs: &[UrlPair]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_takes_for_a_directory_is_not_a_path() {
        assert_eq!(event_api_href("a/b é"), "/v1/audit-log/a%2Fb%20%C3%A9");
        for (identifier, of_page, of_api) in [
            (".", "/audit-logs?identifier=.&range=all&tz=UTC", "/v1/audit-log?identifier=."),
            ("..", "/audit-logs?identifier=..&range=all&tz=UTC", "/v1/audit-log?identifier=.."),
        ] {
            assert_eq!(event_href(identifier, &Zone::utc()), of_page);
            assert_eq!(event_api_href(identifier), of_api);
        }
    }
}
