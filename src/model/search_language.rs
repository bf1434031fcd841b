//! The search language: the text of `q`, parsed into terms.
//!
//! A term is a word, a `"phrase in quotes"`, or `field:value`; a hyphen before it excludes what it matches. Terms are separated by
//! white space, and an event must pass all of them. Fields have the names of the API's parameters and take the same values.
//! A colon after any other word is part of the word, so that `https://…`, `12:30` and `arn:aws:…` can be searched for; only a
//! likely misspelling of a field is rejected. Quotes take everything literally.
//!
//! A sentence that is copied from a page finds its event. Outside quotes, what the page adds to the values does not count: a colon
//! or an ellipsis at the end of a word. `(no actor)` finds the events without an actor, and `U+202E` the character that the page
//! shows so.

mod copied;

use crate::model::{
    field::{Field, FieldSpec, fields},
    filter::{Clause, Predicate, SearchTerm},
    printable::shortened,
    search::SearchText,
    verbs::{JOINING, NO_ACTOR},
};

/// Maximum number of words, phrases and values in one search.
pub const SEARCH_WORDS_MAX: usize = 32;
/// Maximum number of bytes of one search.
pub const SEARCH_BYTES_MAX: usize = 1_024;
/// Maximum number of characters of a search in an error.
const SHOWN_CHARS: usize = 60;

/// Further names of fields, without separators and in lower case.
const ALIASES: &[(&str, Field)] = &[
    ("id", Field::Identifier),
    ("run", Field::Run),
    ("webhook", Field::Webhook),
    ("webhookevent", Field::WebhookEvent),
    ("installation", Field::Installation),
    ("integration", Field::Installation),
    ("resourcetypes", Field::ResourceType),
    ("user", Field::Actor),
    ("by", Field::Actor),
    ("actions", Field::Action),
    ("address", Field::Ip),
];
/// Names of the range of time in other languages.
const TIMES: &[&str] = &["from", "to", "after", "before", "since", "until"];
/// Names of parameters that do not choose events, in plain form.
const CONTROLS: &[&str] =
    &["limit", "perpage", "page", "cursor", "sort", "order", "count", "includes", "includeown", "tz"];
/// Names of an event's keys that are not fields, in plain form, and what to write instead.
const KEYS: &[(&str, &str)] = &[
    ("type", "use resources: for the type of the resource, actor_type: for that of the actor"),
    ("code", "use status_code: for the status code"),
    ("name", "use actor: for the name of the actor"),
    ("email", "use actor: for the e-mail address of the actor"),
    ("message", "write the words of the message without a name"),
];
/// The objects of an event, which a path to a key may name before a dot.
const OBJECTS: &[&str] = &["context", "trigger", "request", "by"];
/// The shortest name of a field in which a misspelling is recognized. A shorter one is too similar to other words.
const MISSPELT_CHARS_MIN: usize = 5;
/// From this length on, two letters may be wrong.
const TWO_WRONG_CHARS_MIN: usize = 9;

/// Parses a search. The error describes what is wrong. A search without terms is empty.
pub fn parse(text: &str) -> Result<Vec<SearchTerm>, String> {
    if text.len() > SEARCH_BYTES_MAX {
        return Err(format!("is longer than {SEARCH_BYTES_MAX} bytes"));
    }
    if text.contains('\0') {
        return Err("contains a NUL character, which no value can".to_owned());
    }
    let mut parser = Parser { rest: text, words: 0 };
    let mut terms = Vec::new();
    while let Some(term) = parser.term()? {
        terms.push(term);
    }
    if parser.words > SEARCH_WORDS_MAX {
        return Err(format!("has more than {SEARCH_WORDS_MAX} words"));
    }
    // Alone, such a word is searched for.
    if terms.iter().any(|(_, is_joining)| !is_joining) {
        terms.retain(|(_, is_joining)| !is_joining);
    }
    Ok(terms.into_iter().map(|(term, _)| term).collect())
}

struct Parser<'t> {
    rest: &'t str,
    /// The number of words, phrases and values that were parsed.
    words: usize,
}

impl Parser<'_> {
    /// The next term, and whether it is a word that only joins others.
    fn term(&mut self) -> Result<Option<(SearchTerm, bool)>, String> {
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() {
            return Ok(None);
        }
        let negated = self.skip_hyphen();
        if self.rest.strip_prefix('-').is_some_and(|after| after.is_empty() || after.starts_with(char::is_whitespace)) {
            return Err(
                "has a hyphen without a word: write -word to exclude the word; to search for the hyphen, write \"-\" in quotes"
                    .to_owned(),
            );
        }
        if let Some(phrase) = self.quoted()? {
            self.words += 1;
            return Ok(Some((SearchTerm::Text(SearchText::phrase(&phrase, negated)), false)));
        }
        if self.skip_no_actor() {
            self.words += 1;
            // Every value begins with the empty text.
            let predicates = vec![Predicate::Prefix(String::new())];
            let clause = Clause { field: Field::Actor, negated: !negated, predicates };
            return Ok(Some((SearchTerm::Field(clause), false)));
        }
        let word = self.rest.split(char::is_whitespace).next().unwrap_or_default();
        if let Some((name, value)) = word.split_once(':')
            && let Some(spec) = field_of(name, value)?
        {
            self.rest = &self.rest[name.len() + 1..];
            return Ok(Some((SearchTerm::Field(self.clause(name, spec, negated)?), false)));
        }
        self.rest = &self.rest[word.len()..];
        self.words += 1;
        let is_joining = !negated && (JOINING.contains(&word.to_ascii_lowercase().as_str()) || word == "AND");
        if matches!(word, "OR" | "NOT") {
            let instead = if word == "OR" { "field:a,b finds either value" } else { "-word excludes a word" };
            return Err(format!(
                "has no operator {word}: {instead}; to search for the word, write \"{word}\" in quotes"
            ));
        }
        Ok(Some((SearchTerm::Text(SearchText::word(&copied::as_stored(word), negated)), is_joining)))
    }

    /// Skips the words for a missing actor, with the colon that may follow them. Returns whether they begin here.
    fn skip_no_actor(&mut self) -> bool {
        let begins = self.rest.get(..NO_ACTOR.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(NO_ACTOR));
        let after = self.rest.get(NO_ACTOR.len()..).unwrap_or_default();
        let after = after.strip_prefix(':').unwrap_or(after);
        let is_whole = begins && !after.starts_with(|next: char| !next.is_whitespace());
        if is_whole {
            self.rest = after;
        }
        is_whole
    }

    /// Skips the hyphen that excludes the next term. Two hyphens are part of a word.
    fn skip_hyphen(&mut self) -> bool {
        let Some(after) = self.rest.strip_prefix('-') else {
            return false;
        };
        let excludes = after.starts_with(|next: char| next != '-' && !next.is_whitespace());
        if excludes {
            self.rest = after;
        }
        excludes
    }

    /// The text in the quotation marks that begin here, if there are any. A backslash before a quotation mark or another
    /// backslash takes it literally.
    fn quoted(&mut self) -> Result<Option<String>, String> {
        let Some(quoted) = self.rest.strip_prefix(is_quote) else {
            return Ok(None);
        };
        let (mut text, mut chars) = (String::new(), quoted.char_indices().peekable());
        while let Some((at, char)) = chars.next() {
            if is_quote(char) {
                self.rest = &quoted[at + char.len_utf8()..];
                if text.is_empty() {
                    return Err("contains quotation marks without text between them".to_owned());
                }
                return Ok(Some(text));
            }
            let literal = chars.next_if(|(_, next)| char == '\\' && (is_quote(*next) || *next == '\\'));
            text.push(literal.map_or(char, |(_, next)| next));
        }
        Err(format!("lacks the quotation mark at the end of {}", shortened(self.rest, SHOWN_CHARS)))
    }

    /// The values after a field's name and colon.
    fn clause(&mut self, name: &str, spec: &FieldSpec, negated: bool) -> Result<Clause, String> {
        let (mut values, mut has_quotes, whole) = (Vec::new(), false, self.rest);
        loop {
            match self.quoted()? {
                Some(value) => {
                    has_quotes = true;
                    values.push(value);
                }
                None => {
                    let value =
                        self.rest.split(|char: char| char == ',' || char.is_whitespace()).next().unwrap_or_default();
                    self.rest = &self.rest[value.len()..];
                    if value.is_empty() && (self.rest.starts_with(',') || !values.is_empty()) {
                        let given = whole.split(char::is_whitespace).next().unwrap_or_default();
                        return Err(format!(
                            "has an empty value: {}: write {name}:value or {name}:a,b, and put a value that has a comma in quotes",
                            shortened(&format!("{name}:{given}"), SHOWN_CHARS)
                        ));
                    }
                    if value.is_empty() {
                        return Err(format!(
                            "has no value after {name}: and before a space: write {name}:value or {name}:a,b, or search for \
                             the text with \"{name}:\" in quotes"
                        ));
                    }
                    values.push(value.to_owned());
                }
            }
            let Some(after) = self.rest.strip_prefix(',') else { break };
            self.rest = after;
        }
        self.words += values.len();
        let mut predicates = Vec::with_capacity(values.len() + 1);
        for value in &values {
            let predicate = Predicate::parse(spec, value);
            predicates
                .push(predicate.map_err(|message| format!("{name}:{}: {message}", shortened(value, SHOWN_CHARS)))?);
        }
        if values.len() > 1 && !has_quotes {
            // As in a parameter, a value may itself contain the comma.
            predicates.extend(Predicate::parse(spec, &whole[..whole.len() - self.rest.len()]).ok());
        }
        Ok(Clause { field: spec.field, negated, predicates })
    }
}

/// The field that a term with this name and value asks for; `None` if the name is not that of a field. A name that is likely a
/// misspelling of one is an error.
fn field_of(name: &str, value: &str) -> Result<Option<&'static FieldSpec>, String> {
    // `a::b`
    if value.starts_with(':') {
        return Ok(None);
    }
    let plain = plain(name);
    if let Some((_, field)) = names().find(|(known, _)| *known == plain) {
        return Ok(Some(field.spec()));
    }
    // `https://…`, and text that merely ends with a colon.
    if value.is_empty() || value.starts_with('/') {
        return Ok(None);
    }
    let escape = format!(
        "to search for the text, write it in quotes: \"{}\"",
        shortened(&format!("{name}:{value}"), SHOWN_CHARS)
    );
    if TIMES.contains(&plain.as_str()) && value.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(format!("does not take times ({name}:): use the range of time, from and to; {escape}"));
    }
    if let Some(instead) = instead_of(name, &plain, value) {
        return Err(format!("has no field {:?}: {instead}; {escape}", shortened(name, SHOWN_CHARS)));
    }
    let similar = |known: &str| {
        let wrong_max = 1 + usize::from(known.len() >= TWO_WRONG_CHARS_MIN);
        known.len() >= MISSPELT_CHARS_MIN && differences(known, &plain) <= wrong_max
    };
    match names().find(|(known, _)| similar(known)) {
        Some((_, field)) => {
            let known = field.spec().name().unwrap_or_default();
            Err(format!("has no field {:?}: did you mean {known}:? Otherwise, {escape}", shortened(name, SHOWN_CHARS)))
        }
        None => Ok(None),
    }
}

/// What to write instead of a name that is a parameter or a key of an event, but not a field.
fn instead_of(name: &str, plain_name: &str, value: &str) -> Option<String> {
    if CONTROLS.contains(&plain_name) {
        return Some("it is a parameter of its own, beside the search".to_owned());
    }
    let (objects, key) = name.rsplit_once('.').unwrap_or(("", name));
    let field = || names().find(|(known, _)| *known == plain(key)).and_then(|(_, field)| field.spec().name());
    if objects.eq_ignore_ascii_case("not") {
        return field().map(|field| shortened(&format!("write -{field}:{value}"), SHOWN_CHARS).into_owned());
    }
    let is_path = objects.split('.').all(|object| OBJECTS.iter().any(|known| known.eq_ignore_ascii_case(object)));
    if !objects.is_empty() && !is_path {
        return None;
    }
    let known = KEYS.iter().find(|(known, _)| *known == plain(key)).map(|(_, instead)| (*instead).to_owned());
    known.or_else(|| field().map(|field| format!("use {field}:")))
}

/// The names of the fields, in plain form.
fn names() -> impl Iterator<Item = (String, Field)> {
    let parameters = fields().flat_map(|spec| spec.parameters.iter().map(|name| (plain(name), spec.field)));
    parameters.chain(ALIASES.iter().map(|(name, field)| ((*name).to_owned(), *field)))
}

/// The further names of fields, in plain form.
pub(in crate::model) fn aliases() -> impl Iterator<Item = &'static str> {
    ALIASES.iter().map(|(name, _)| *name)
}

/// A name without separators, in lower case: `statusCode`, `status_code` and `status-code` are the same field.
pub(in crate::model) fn plain(name: &str) -> String {
    name.chars().filter(|char| !matches!(char, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// Whether a character begins or ends a phrase. Some keyboards write typographic marks.
fn is_quote(char: char) -> bool {
    matches!(char, '"' | '“' | '”' | '„')
}

/// The number of letters to insert, to remove, to replace, or to swap with the next one, to make one text of the other (the
/// optimal string alignment distance).
fn differences(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    if one.len().abs_diff(other.len()) > 2 {
        return usize::MAX;
    }
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (row, letter) in (1..).zip(&one) {
        let mut costs = vec![row];
        for (column, opposite) in (1..).zip(&other) {
            let replaced = rows[row - 1][column - 1] + usize::from(letter != opposite);
            let mut least = replaced.min(rows[row - 1][column] + 1).min(costs[column - 1] + 1);
            if row > 1 && column > 1 && *letter == other[column - 2] && one[row - 2] == *opposite {
                least = least.min(rows[row - 2][column - 2] + 1);
            }
            costs.push(least);
        }
        rows.push(costs);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests;
