//! Reading what is asked for from the parameters of a URL.

use std::collections::HashMap;

use crate::{
    model::{
        error::ParameterError,
        field::{FIELDS, Field, FieldSpec},
        filter::Predicate,
        query::CONTROLS,
        timestamp::Timestamp,
        zone::Zone,
    },
    ui::params::{
        ListParams, PagePosition, Preset, Range,
        range::{RangeEnd, parse_instant},
    },
};

/// Parameters that a page has beside the API's. Those after `at` are of the form alone, and are rewritten.
const OWN: &[&str] = &["range", "tz", "at", "newer", "facets", "from_time", "to_time", "kept", "fields"];
/// What a form sends beside a field's name to say that its values are excluded.
const MODE: &str = "mode.";

/// Everything that was given, by name, empty values left out.
struct Given(HashMap<String, Vec<String>>);

impl ListParams {
    /// Reads decoded parameters.
    pub(in crate::ui) fn read<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)], now: Timestamp) -> Self {
        let mut params = Self::nothing(now);
        let mut given = Given(HashMap::new());
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            params.tidy &= !value.trim().is_empty();
            if !is_known(name) {
                params.problems.push(ParameterError::unknown(name));
            } else if !value.trim().is_empty() {
                given.0.entry(name.to_owned()).or_default().push(value.to_owned());
            }
        }
        params.read_page(&given);
        params.read_range(&given);
        params.read_controls(&given);
        params.read_fields(&mut given);
        params
    }

    fn read_page(&mut self, given: &Given) {
        if let Some(text) = self.once(given, "tz") {
            match Zone::parse(&text) {
                Ok(zone) => self.zone = zone,
                Err(message) => self.problems.push(ParameterError::new("tz", message)),
            }
        }
        if let Some(text) = self.once(given, "at") {
            match Timestamp::parse(&text.replace(' ', "+")) {
                Some(at) => (self.at, self.pinned) = (at, true),
                None => self.problems.push(ParameterError::new("at", "is not an RFC 3339 time")),
            }
        }
        for name in given.all("facets").iter().flat_map(|list| list.split(',')) {
            match Field::of_parameter(name.trim()).filter(|spec| spec.is_countable()) {
                Some(spec) if !self.facets.contains(&spec.field) => self.facets.push(spec.field),
                Some(_) => {}
                None => self.problems.push(ParameterError::new("facets", "must be of fields that can be counted")),
            }
        }
    }

    fn read_range(&mut self, given: &Given) {
        if let Some(name) = self.once(given, "range") {
            match Preset::parse(&name) {
                Some(preset) => self.range = Range::Last(preset),
                None => {
                    let names = Preset::ALL.map(Preset::name).join(", ");
                    self.problems.push(ParameterError::new("range", format!("must be of {names}")));
                }
            }
        }
        let mut end = |name: &str, end| {
            let text = self.once(given, name)?;
            let time_name = format!("{name}_time");
            let time = self.once(given, &time_name).unwrap_or_default();
            // Rewritten as an instant, which means the same to the API and in every zone.
            self.tidy &= Timestamp::parse(&text.replace(' ', "+")).is_some();
            let instant = parse_instant(&text, &time, &self.zone, end);
            if instant.is_none() {
                let message = "is not a date such as 2024-05-01, nor a time such as 2024-05-01T12:00:00Z";
                self.problems.push(ParameterError::new(name, message));
            }
            instant
        };
        let (from, to) = (end("from", RangeEnd::From), end("to", RangeEnd::To));
        if from.is_some() || to.is_some() {
            self.range = Range::Between { from, to };
        }
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            self.problems.push(ParameterError::new("to", "is before from"));
        }
    }

    fn read_controls(&mut self, given: &Given) {
        let words: Vec<_> = ["q", "search"].into_iter().filter_map(|name| self.once(given, name)).collect();
        self.words = Some(words.join(" ").trim().to_owned()).filter(|words| !words.is_empty());
        self.include_own = self.choice(given, "include_own", ["false", "true"]);
        self.ascending = self.choice(given, "order", ["desc", "asc"]);
        self.by_arrival = self.choice(given, "sort", ["time", "received"]);
        if let Some(cursor) = self.once(given, "cursor") {
            self.place = PagePosition::After(cursor);
        }
        if let Some(cursor) = self.once(given, "newer") {
            self.place = PagePosition::Before(cursor);
        }
    }

    fn read_fields(&mut self, given: &mut Given) {
        if let Some(kept) = self.once(given, "kept") {
            self.tidy = false;
            // The form was sent before its fields had arrived: what was chosen stays.
            if given.all("fields").is_empty() {
                for (name, value) in form_urlencoded::parse(kept.as_bytes()) {
                    given.0.entry(name.into_owned()).or_default().push(value.into_owned());
                }
            }
        }
        for spec in FIELDS {
            for name in spec.parameters {
                let excluded = given.all(&format!("{MODE}{name}")).iter().any(|mode| mode == "not");
                self.tidy &= given.all(&format!("{MODE}{name}")).is_empty();
                for (sign, negated) in [("", excluded), ("not.", true)] {
                    self.read_values(spec, given.all(&format!("{sign}{name}")), negated, Comma::Separates);
                    self.read_values(spec, given.all(&format!("{sign}{name}[]")), negated, Comma::Belongs);
                }
            }
        }
    }

    fn read_values(&mut self, spec: &FieldSpec, given: &[String], negated: bool, comma: Comma) {
        let list = match given {
            [only] if spec.comma_list && comma == Comma::Separates && only.contains(',') => Some(only),
            _ => None,
        };
        let values: Vec<&str> = match list {
            Some(list) => list.split(',').map(str::trim).filter(|part| !part.is_empty()).collect(),
            None => given.iter().map(String::as_str).collect(),
        };
        let mut good = Vec::new();
        for value in values {
            match Predicate::parse(spec, value) {
                Ok(_) => good.push(value.to_owned()),
                Err(message) => {
                    let value: String = value.chars().take(VALUE_CHARS_REPEATED).collect();
                    let message = format!("{message}; {value:?} is not");
                    self.problems.push(ParameterError::new(spec.name().unwrap_or_default(), message));
                }
            }
        }
        if !good.is_empty() {
            let list = list.cloned().filter(|_| good.len() > 1);
            self.add(spec.field, negated, good, list);
        }
    }

    fn once(&mut self, given: &Given, name: &str) -> Option<String> {
        let values = given.all(name);
        if values.len() > 1 {
            self.problems.push(ParameterError::new(name, "is given more than once"));
        }
        values.first().cloned()
    }

    fn choice(&mut self, given: &Given, name: &str, [default, other]: [&str; 2]) -> bool {
        match self.once(given, name) {
            Some(text) if text == other => true,
            Some(text) if text != default => {
                self.problems.push(ParameterError::new(name, format!("must be {default} or {other}")));
                false
            }
            _ => false,
        }
    }
}

/// What a comma in a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comma {
    Separates,
    Belongs,
}

/// Characters of a bad value that its error repeats.
const VALUE_CHARS_REPEATED: usize = 60;

impl Given {
    fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Whether a page takes a parameter of this name. Those of the API that concern no page (`limit`, `includes`) are taken
/// and have no effect, so that any URL of the API's list is one of a page.
fn is_known(name: &str) -> bool {
    let plain = name.strip_suffix("[]").unwrap_or(name);
    let field = plain.strip_prefix("not.").or_else(|| plain.strip_prefix(MODE)).unwrap_or(plain);
    Field::of_parameter(field).is_some() || OWN.contains(&plain) || CONTROLS.iter().any(|control| control.name == plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> ListParams {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        ListParams::read(&pairs, Timestamp::parse("2024-05-02T10:00:00Z").unwrap())
    }

    #[test]
    fn every_spelling_comes_to_the_same_url() {
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
    fn what_cannot_be_read_is_named_and_the_rest_kept() {
        for (query, parameter) in [
            ("status=BROKEN", "status"),
            ("from=soon", "from"),
            ("tz=Nowhere", "tz"),
            ("range=2h", "range"),
            ("nonsense=1", "nonsense"),
            ("order=up", "order"),
            ("facets=identifier", "facets"),
            ("q=a&q=b", "q"),
        ] {
            let params = read(&format!("action=A&{query}"));
            assert_eq!(params.problems[0].parameter, parameter);
            assert!(params.href().starts_with("/audit-logs?action=A"), "{query}");
        }
    }

    #[test]
    fn a_page_of_the_last_days_stays_with_the_days_of_its_first() {
        let next = read("").turned_to(PagePosition::After("c".to_owned()));
        assert_eq!(next.href(), "/audit-logs?at=2024-05-02T10%3A00%3A00%2B00%3A00&cursor=c");
        assert_eq!(next.begin().href(), "/audit-logs");
    }
}
