//! A query's filter: an AND of clauses, each an OR of predicates on one field, within a time range.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net};

use crate::model::{
    address::{addresses, parse_address},
    decimal::NumberRange,
    event::OWN_ORIGIN,
    field::{Field, FieldSpec, Matching, declared},
    fold::{beginnings_of, fold},
    search::SearchText,
    term_text,
    timestamp::Timestamp,
};

/// The resource type of auditbox's own records of requests.
pub const OWN_RESOURCE_TYPE: &str = "api_request";

/// The length of the prefix that all IPv4-mapped addresses have: `::ffff:0:0/96`.
const MAPPED_PREFIX_LENGTH: u8 = 96;

const NOT_A_RANGE: &str = "must be a number such as 403, or a range such as >=400 or 400..499";

/// Events between two instants, both included. A missing bound is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// The earliest event time.
    pub from: Option<Timestamp>,
    /// The latest event time.
    pub to: Option<Timestamp>,
}

impl TimeRange {
    /// Whether an instant is in the range.
    pub fn holds(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at <= to)
    }
}

/// A predicate on one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// Equal, byte for byte.
    Exact(String),
    /// Equal without regard to case. The text is already folded.
    IgnoreCase(String),
    /// Starts with the text.
    Prefix(String),
    /// A status code with this first digit.
    StatusClass(char),
    /// The value contains an address in this range. A single address is a range of one.
    Network(IpNet),
    /// The value is a number in this range.
    Number(NumberRange),
}

impl Predicate {
    /// Reads a parameter's text for `spec`'s field. The error describes the expected text.
    pub fn parse(spec: &FieldSpec, text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("must not be empty".to_owned());
        }
        if text.contains('\0') {
            return Err("contains a NUL character, which no value can".to_owned());
        }
        match spec.matching {
            Matching::Exact => Ok(Self::Exact(term_text::asked(spec, text).into_owned())),
            Matching::IgnoreCase => Ok(Self::IgnoreCase(fold(text).into_owned())),
            // Of a long value, the index has the beginning. A text beyond it must be the whole value.
            Matching::Prefix if text.len() > spec.bytes_max - term_text::END_BYTES => {
                Ok(Self::Exact(term_text::asked(spec, text).into_owned()))
            }
            Matching::Prefix => Ok(Self::Prefix(text.to_owned())),
            Matching::OneOf(values) if values.contains(&canonical(spec, text)) => {
                Ok(Self::Exact(canonical(spec, text).to_owned()))
            }
            Matching::OneOf(values) => Err(format!("must be {}", values.join(" or "))),
            Matching::StatusCode => parse_status_code(canonical(spec, text)),
            Matching::Network => parse_network(spec, text),
            Matching::Number => NumberRange::parse(text).map(Self::Number).ok_or_else(|| NOT_A_RANGE.to_owned()),
        }
    }

    /// Whether `value` satisfies the predicate.
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Exact(text) => value == text,
            Self::IgnoreCase(text) => fold(value) == *text || term_text::is_of(value, Matching::IgnoreCase, text),
            Self::Prefix(text) => value.starts_with(text.as_str()),
            Self::StatusClass(digit) => value.starts_with(*digit),
            Self::Network(range) => addresses(value).any(|address| range.contains(&address)),
            Self::Number(range) => range.holds(value),
        }
    }

    /// Prefixes, one of which every matching value has; `None` if none are known.
    pub fn beginnings(&self) -> Option<Vec<String>> {
        match self {
            Self::Exact(text) | Self::Prefix(text) => Some(vec![text.clone()]),
            Self::StatusClass(digit) => Some(vec![digit.to_string()]),
            Self::IgnoreCase(text) => beginnings_of(text),
            // Any text may precede the address, and numbers in a range have no common beginning.
            Self::Network(_) | Self::Number(_) => None,
        }
    }
}

/// A parameter's text as the stored values are written: a value of a closed list in the case of that list (`success`), and a
/// status code without the decimals that generated clients add (`403.0`). Any other text is unchanged.
pub fn canonical<'t>(spec: &FieldSpec, text: &'t str) -> &'t str {
    match spec.matching {
        Matching::OneOf(values) => {
            values.iter().copied().find(|known| known.eq_ignore_ascii_case(text)).unwrap_or(text)
        }
        Matching::StatusCode => match text.split_once('.') {
            Some((whole, zeros)) if zeros.bytes().all(|byte| byte == b'0') => whole,
            _ => text,
        },
        _ => text,
    }
}

fn parse_status_code(text: &str) -> Result<Predicate, String> {
    match text.as_bytes() {
        [digit @ b'1'..=b'9', b'x' | b'X', b'x' | b'X'] => Ok(Predicate::StatusClass(char::from(*digit))),
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => Ok(Predicate::Exact(text.to_owned())),
        _ => Err("must be a status code such as 403 or a class such as 4xx".to_owned()),
    }
}

/// Text that is not an address is compared literally. Senders do write such values (`10.0.0.07`, `AWS Internal`), and
/// every stored value must be reachable.
fn parse_network(spec: &FieldSpec, text: &str) -> Result<Predicate, String> {
    if let Some(address) = parse_address(text) {
        return Ok(Predicate::Network(IpNet::from(address)));
    }
    match text.split_once('/').map(|(address, length)| (without_zone(address), length)) {
        Some((address, length)) if parse_address(address).is_some() => {
            let range = format!("{address}/{length}").parse::<IpNet>();
            let range = range.map_err(|_| "must be an address, or a range such as 10.0.0.0/8".to_owned())?;
            Ok(Predicate::Network(canonical_range(range.trunc())))
        }
        _ => Ok(Predicate::Exact(term_text::asked(spec, text).into_owned())),
    }
}

/// An IPv6 address without its zone (RFC 4007 section 11.7): a range matches in every zone. Any other text is unchanged.
fn without_zone(text: &str) -> &str {
    match text.split_once('%') {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_ok() => address,
        _ => text,
    }
}

/// A range of IPv4-mapped addresses (RFC 4291 section 2.5.5.2) as the range of IPv4 addresses that it means, because the addresses
/// in values are compared in that form. Any other range is unchanged.
fn canonical_range(range: IpNet) -> IpNet {
    let IpNet::V6(mapped) = range else { return range };
    let length = mapped.prefix_len().checked_sub(MAPPED_PREFIX_LENGTH);
    let plain =
        mapped.addr().to_ipv4_mapped().zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok());
    plain.map_or(range, IpNet::V4)
}

/// A predicate on one field: true if any of its values satisfies any of the predicates; if `negated`, true if none
/// does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clause {
    /// The field.
    pub field: Field,
    /// Whether the clause excludes.
    pub negated: bool,
    /// The predicates, any of which suffices.
    pub predicates: Vec<Predicate>,
}

/// A term of a search.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SearchTerm {
    /// A word or a phrase that occurs, or does not occur, in the event.
    Text(SearchText),
    /// A condition on one field. It stays separate from the clause of a parameter on the same field: an event must pass both.
    Field(Clause),
}

/// An AND of clauses within a time range.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// At most one clause per field and sign.
    pub clauses: Vec<Clause>,
    /// The time range.
    pub time: TimeRange,
    /// The terms of a search, all of which must match.
    pub search: Vec<SearchTerm>,
}

impl Filter {
    /// Adds a predicate to the clause of its field and sign.
    pub fn add(&mut self, field: Field, negated: bool, predicate: Predicate) {
        match self.clauses.iter_mut().find(|clause| clause.field == field && clause.negated == negated) {
            Some(clause) => clause.predicates.push(predicate),
            None => self.clauses.push(Clause { field, negated, predicates: vec![predicate] }),
        }
    }

    /// Excludes auditbox's own records, unless the filter asks for them by their origin, by their resource type, or by
    /// an identifier.
    pub fn hide_own_unless_asked_for(&mut self) {
        let searched = self.search.iter().filter_map(|term| match term {
            SearchTerm::Field(clause) => Some(clause),
            SearchTerm::Text(_) => None,
        });
        let asked =
            self.clauses.iter().chain(searched).filter(|clause| !clause.negated).any(|clause| match clause.field {
                Field::Identifier => true,
                Field::Origin => clause.predicates.iter().any(|predicate| predicate.matches(OWN_ORIGIN)),
                Field::ResourceType => clause.predicates.iter().any(|predicate| predicate.matches(OWN_RESOURCE_TYPE)),
                _ => false,
            });
        if !asked {
            self.add(Field::Origin, true, Predicate::Exact(OWN_ORIGIN.to_owned()));
        }
    }

    /// The declared fields that the filter uses. A word of a search looks into all that are searched.
    pub fn declared_fields(&self) -> Vec<Field> {
        let mut fields: Vec<_> = self.clauses.iter().map(|clause| clause.field).collect();
        for term in &self.search {
            match term {
                SearchTerm::Field(clause) => fields.push(clause.field),
                SearchTerm::Text(_) => fields.extend(declared().filter(|spec| spec.searched).map(|spec| spec.field)),
            }
        }
        fields.retain(|field| field.slot().is_some());
        fields
    }

    /// Brings the filter into one canonical form for all its spellings.
    pub fn normalize(&mut self) {
        let searched = self.search.iter_mut().filter_map(|term| match term {
            SearchTerm::Field(clause) => Some(clause),
            SearchTerm::Text(_) => None,
        });
        for clause in self.clauses.iter_mut().chain(searched) {
            clause.predicates.sort_unstable();
            clause.predicates.dedup();
        }
        self.clauses.sort_unstable_by_key(|clause| (clause.field, clause.negated));
        self.search.sort_unstable();
        self.search.dedup();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(field: Field, text: &str, value: &str) -> bool {
        Predicate::parse(field.spec(), text).unwrap().matches(value)
    }

    #[test]
    fn addresses_match_by_range_and_in_any_spelling() {
        assert!(passes(Field::Ip, "10.1.2.3/8", "10.200.0.1"));
        assert!(!passes(Field::Ip, "10.0.0.0/8", "11.0.0.1"));
        assert!(passes(Field::Ip, "10.0.0.1", "::ffff:10.0.0.1"));
        assert!(passes(Field::Ip, "2001:db8::1", "2001:0DB8:0:0::1"));
        assert!(passes(Field::Ip, "10.0.0.07", "10.0.0.07"));
        assert!(passes(Field::Ip, "10.0.0.0/8", "10.1.2.3:443") && passes(Field::Ip, "10.1.2.3:443", "10.1.2.3:443"));
        assert!(passes(Field::Ip, "2001:db8::/32", "[2001:db8::1]:443, 10.0.0.1"));
        assert!(passes(Field::Ip, "pod/10.0.0.1", "pod/10.0.0.1"));
        assert!(passes(Field::Ip, "10.0.0.0/8", "203.0.113.7, 10.0.0.1:443"));
        assert!(passes(Field::Ip, "203.0.113.7, 10.0.0.1:443", "203.0.113.7, 10.0.0.1:443"));
        assert!(Predicate::parse(Field::Ip.spec(), "10.0.0.0/33").is_err());
    }

    #[test]
    fn a_range_of_mapped_addresses_is_one_of_ipv4_addresses() {
        for value in ["10.0.0.1", "::ffff:10.0.0.1", "[::ffff:a00:1]:443"] {
            for text in ["::ffff:0:0/96", "::ffff:10.0.0.0/104", "::FFFF:a00:1/128", "0:0:0:0:0:ffff:a00:1/100"] {
                assert!(passes(Field::Ip, text, value), "{text} {value}");
            }
            for text in ["::ffff:11.0.0.0/104", "::/0", "::/96", "2001:db8::/32"] {
                assert!(!passes(Field::Ip, text, value), "{text} {value}");
            }
        }
        assert!(!passes(Field::Ip, "::ffff:0:0/96", "2001:db8::1"));
    }

    #[test]
    fn a_range_matches_in_every_zone() {
        for text in ["fe80::1%eth0/64", "fe80::1%25en0.100/64", "fe80::/64"] {
            assert!(passes(Field::Ip, text, "fe80::2%eth1") && passes(Field::Ip, text, "fe80::3"), "{text}");
            assert!(!passes(Field::Ip, text, "fe80:0:0:1::2%eth0"), "{text}");
        }
        for text in ["fe80::1%eth0/129", "fe80::1%eth0/", "fe80::1/64%eth0"] {
            assert!(Predicate::parse(Field::Ip.spec(), text).is_err(), "{text}");
        }
        assert!(passes(Field::Ip, "10.0.0.1%eth0/8", "10.0.0.1%eth0/8"));
    }

    #[test]
    fn what_passes_begins_as_it_is_said_to() {
        let addresses = [
            "10.1.2.3",
            "10.12.2.3",
            "0.0.0.1",
            "::ffff:10.1.2.3",
            "0:0:0:0:0:FFFF:a01:203",
            "2001:db8::1",
            "10.1.2.3:80",
            "10.1.2.3, 10.9.9.9",
            "[::ffff:10.1.2.3]:80",
            "[2001:db8::1%eth0]:443",
        ];
        let values =
            addresses.into_iter().chain(["403", "pod/10.1.2.3", "/v1/entities", "DELETE", "ADA.LOVELACE@EXAMPLE.ORG"]);
        let texts =
            ["10.1.2.3", "10.1.0.0/16", "10.0.0.0/7", "0.0.0.0/0", "::ffff:10.1.2.3", "2001:db8::/32", "pod/10.1.2.3"];
        let predicates = texts.map(|text| (Field::Ip, text)).into_iter().chain([
            (Field::StatusCode, "4xx"),
            (Field::Path, "/v1"),
            (Field::Method, "delete"),
            (Field::Actor, "Ada.Lovelace@example.org"),
        ]);
        let predicates: Vec<_> =
            predicates.map(|(field, text)| Predicate::parse(field.spec(), text).unwrap()).collect();
        for value in values {
            let passed = predicates.iter().filter(|predicate| predicate.matches(value)).inspect(|predicate| {
                let beginnings = predicate.beginnings().unwrap_or_else(|| vec![String::new()]);
                let begins = beginnings.iter().any(|beginning| value.starts_with(beginning.as_str()));
                assert!(begins, "{value} passes {predicate:?}");
            });
            assert!(passed.count() > 0, "{value}");
        }
    }

    #[test]
    fn names_match_in_any_case_and_encoding() {
        for field in [Field::Actor, Field::Action, Field::Origin] {
            assert!(passes(field, "FIRST.LAST@Example.org", "first.last@example.org"), "{field:?}");
            assert!(passes(field, "M\u{fc}ller", "MU\u{308}LLER"), "{field:?}");
            assert!(!passes(field, "Muller", "M\u{fc}ller"), "{field:?}");
        }
        assert!(!passes(Field::Entity, "Checkout", "checkout"));
    }

    #[test]
    fn a_long_value_is_found_by_its_whole_text_and_by_its_shortened_form() {
        for (field, value) in [
            (Field::Entity, "e".repeat(1_101)),
            (Field::Action, "é".repeat(70)),
            (Field::ResourceType, "Straße".repeat(30)),
            (Field::Path, "/é".repeat(5_000)),
            (Field::Actor, "12345".repeat(300)),
            (Field::Action, "Delete ".repeat(30)),
            (Field::Ip, "10.0.0.1, ".repeat(200)),
        ] {
            let term = term_text::term_text(field.spec(), &value).into_owned();
            assert!(passes(field, &value, &term) && passes(field, &term, &term), "{field:?}");
            let shorter = &value[..value.floor_char_boundary(value.len() - 1)];
            assert!(!passes(field, shorter, &term), "{field:?}");
            let parsed = Predicate::parse(field.spec(), &value).unwrap();
            let beginnings = parsed.beginnings().unwrap_or_else(|| vec![String::new()]);
            assert!(beginnings.iter().any(|beginning| term.starts_with(beginning.as_str())), "{field:?}");
        }
        let path = term_text::term_text(Field::Path.spec(), &"/é".repeat(5_000)).into_owned();
        assert!(passes(Field::Path, &"/é".repeat(2_700), &path));
        let upper = term_text::term_text(Field::ResourceType.spec(), &"STRASSE".repeat(30)).into_owned();
        assert!(passes(Field::ResourceType, &"straße".repeat(30), &upper));
    }

    #[test]
    fn values_of_closed_lists_match_in_any_case() {
        for text in ["SUCCESS", "success", "Success"] {
            assert!(passes(Field::Status, text, "SUCCESS") && !passes(Field::Status, text, "FAILURE"), "{text}");
        }
        assert!(passes(Field::ActionType, "Self-Service", "self-service"));
        assert!(Predicate::parse(Field::Status.spec(), "succes").is_err());
    }

    #[test]
    fn status_codes_match_by_number_and_class() {
        assert!(passes(Field::StatusCode, "4xx", "403"));
        assert!(!passes(Field::StatusCode, "4xx", "200"));
        assert!(passes(Field::StatusCode, "403", "403"));
        assert!(passes(Field::StatusCode, "403.0", "403") && passes(Field::StatusCode, "403.", "403"));
        for text in ["4x", "x4x", "40", "4034", "0xx", "abc", "403.5", "40.0", "403.0.0", ".0"] {
            assert!(Predicate::parse(Field::StatusCode.spec(), text).is_err(), "{text}");
        }
    }
}
