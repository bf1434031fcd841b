//! List parameters in the URLs of pages.
//!
//! A URL has each selection under its API name, leaves out defaults, and has one order, so that equal lists have equal
//! URLs.

use std::borrow::Cow;

use form_urlencoded::Serializer;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::model::{
    limits::QueryLimits,
    list_params::{Accepts, ListParams, PagePosition, Preset, Range, Selection, exact, exact_end},
    query::{Order, Sort},
    timestamp::Timestamp,
    zone::Zone,
};

/// The path of the list.
const PATH: &str = "/audit-logs";
/// The path of the API's list.
const API_PATH: &str = "/v1/audit-log";
/// The path before an event's identifier in the API.
const API_EVENTS_PATH: &str = "/v1/events";

/// The characters to encode in a path segment: all but the unreserved ones (RFC 3986, section 2.3), and also the dot.
const WITHIN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// The parsed parameters of a page's URL.
pub(in crate::ui) fn parse<'a>(
    pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    limits: &QueryLimits,
) -> ListParams {
    ListParams::parse(pairs, Accepts::Page, limits, Timestamp::now())
}

/// A parameter and its value, not encoded.
type UrlPair = (String, String);

impl ListParams {
    /// The URL of the page.
    pub(in crate::ui) fn href(&self) -> String {
        let mut pairs = selection_pairs(&self.selections);
        let mut push = |name: &str, value: String| pairs.push((name.to_owned(), value));
        if let Some(search) = &self.search {
            push("q", search.text.clone());
        }
        if self.zone != Zone::utc() {
            push("tz", self.zone.name().to_owned());
        }
        for (name, value) in self.flags() {
            push(name, value.to_owned());
        }
        for name in self.facets.iter().filter_map(|field| field.spec().name()) {
            push("facets", name.to_owned());
        }
        if self.pinned && matches!(self.range, Range::Last(preset) if preset != Preset::All) {
            push("at", exact(&Zone::utc(), self.at));
        }
        match self.range {
            Range::Last(Preset::DEFAULT) => {}
            Range::Last(preset) => push("range", preset.name().to_owned()),
            Range::Between { .. } => pairs.extend(self.bound_pairs()),
        }
        match &self.position {
            PagePosition::First => {}
            PagePosition::After(cursor) => pairs.push(("cursor".to_owned(), cursor.clone())),
            PagePosition::Before(cursor) => pairs.push(("newer".to_owned(), cursor.clone())),
        }
        to_url(PATH, &pairs)
    }

    /// The URL of the API at `path` for the same events, with the parameters in `more`.
    pub(in crate::ui) fn api_href(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut pairs: Vec<_> = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        pairs.extend(selection_pairs(&self.selections));
        pairs.extend(self.bound_pairs());
        pairs.extend(self.search.iter().map(|search| ("q".to_owned(), search.text.clone())));
        pairs.extend(self.include_own.then(|| ("include_own".to_owned(), "true".to_owned())));
        to_url(path, &pairs)
    }

    /// The selections as a query string.
    pub(in crate::ui) fn kept(&self) -> String {
        to_query(&selection_pairs(&self.selections))
    }

    /// The controls that differ from their defaults.
    pub(in crate::ui) fn flags(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let flags = [
            ("include_own", "true", self.include_own),
            ("sort", "received", self.is_by_arrival()),
            ("order", "asc", self.is_ascending()),
        ];
        flags.into_iter().filter(|(_, _, given)| *given).map(|(name, value, _)| (name, value))
    }

    /// Whether the list is sorted by arrival.
    pub(in crate::ui) fn is_by_arrival(&self) -> bool {
        self.sort == Some(Sort::Received)
    }

    /// Whether the oldest events come first.
    pub(in crate::ui) fn is_ascending(&self) -> bool {
        self.order == Some(Order::Ascending)
    }

    fn bound_pairs(&self) -> impl Iterator<Item = UrlPair> {
        let bounds = self.range.bounds(self.at);
        let from = bounds.from.map(|from| ("from".to_owned(), exact(&self.zone, from)));
        let to = bounds.to.map(|to| ("to".to_owned(), exact_end(&self.zone, to)));
        from.into_iter().chain(to)
    }
}

/// The URL of an event's page. Browsers resolve the identifiers `.` and `..` as directories, encoded or not (WHATWG
/// URL, section 4.2), so these lead to the list of that one event.
pub(in crate::ui) fn event_href(identifier: &str, zone: &Zone) -> String {
    if matches!(identifier, "." | "..") {
        let pairs = [("identifier", identifier), ("range", "all"), ("tz", zone.name())];
        return to_url(PATH, &pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let encoded = percent_encoding::utf8_percent_encode(identifier, WITHIN_PATH);
    let path = format!("{PATH}/{encoded}");
    if *zone == Zone::utc() { path } else { to_url(&path, &[("tz".to_owned(), zone.name().to_owned())]) }
}

/// The URL of an event in the API, or for `.` and `..` of the list of that one event.
pub(in crate::ui) fn event_api_href(identifier: &str) -> String {
    if matches!(identifier, "." | "..") {
        return to_url(API_PATH, &[("identifier".to_owned(), identifier.to_owned())]);
    }
    format!("{API_EVENTS_PATH}/{}", percent_encoding::utf8_percent_encode(identifier, WITHIN_PATH))
}

/// Selections as parameters. A single value that contains a comma is bracketed, so that it is not split.
fn selection_pairs(selections: &[Selection]) -> Vec<UrlPair> {
    let mut pairs = Vec::new();
    for selection in selections {
        let spec = selection.field.spec();
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

    fn read(query: &str) -> ListParams {
        let params = parse(form_urlencoded::parse(query.as_bytes()), &QueryLimits::default());
        ListParams { at: Timestamp::parse("2024-05-02T10:00:00Z").unwrap(), ..params }
    }

    #[test]
    fn all_spellings_of_a_list_have_one_url() {
        for (query, href) in [
            ("", "/audit-logs"),
            ("range=7d&q=&entity=", "/audit-logs"),
            ("resource_type=a&resource_type=b", "/audit-logs?resources=a&resources=b"),
            ("methods=POST,DELETE&statusCodes=403", "/audit-logs?method=POST%2CDELETE&status_code=403"),
            ("search=x+y&range=24h", "/audit-logs?q=x+y&range=24h"),
            ("action=A&mode.action=not&mode.actor=is", "/audit-logs?not.action=A"),
            ("origin%5B%5D=a,b", "/audit-logs?origin%5B%5D=a%2Cb"),
            ("kept=action%3DA&q=x", "/audit-logs?action=A&q=x"),
            ("kept=action%3DA&fields=shown&q=x", "/audit-logs?q=x"),
            (
                "from=2024-05-01&to=2024-05-01&tz=Europe/Berlin&range=30d",
                "/audit-logs?tz=Europe%2FBerlin&from=2024-05-01T00%3A00%3A00%2B02%3A00&to=2024-05-01T23%3A59%3A59.999999%2B02%3A00",
            ),
        ] {
            let params = read(query);
            assert_eq!(params.problems, [], "{query}");
            assert_eq!(params.href(), href, "{query}");
            let again = read(href.split_once('?').map_or("", |(_, query)| query));
            assert!(again.tidy, "{href}");
            assert_eq!(again.href(), href);
        }
    }

    #[test]
    fn pages_of_the_last_days_share_the_end_of_the_first_page() {
        let next = read("").page_at(PagePosition::After("c".to_owned()));
        assert_eq!(next.href(), "/audit-logs?at=2024-05-02T10%3A00%3A00%2B00%3A00&cursor=c");
        assert_eq!(next.first_page().href(), "/audit-logs");
    }

    #[test]
    fn dot_identifiers_are_not_path_segments() {
        assert_eq!(event_api_href("a/b é"), "/v1/events/a%2Fb%20%C3%A9");
        assert_eq!(event_api_href("stats"), "/v1/events/stats");
        for (identifier, of_page, of_api) in [
            (".", "/audit-logs?identifier=.&range=all&tz=UTC", "/v1/audit-log?identifier=."),
            ("..", "/audit-logs?identifier=..&range=all&tz=UTC", "/v1/audit-log?identifier=.."),
        ] {
            assert_eq!(event_href(identifier, &Zone::utc()), of_page);
            assert_eq!(event_api_href(identifier), of_api);
        }
    }
}
