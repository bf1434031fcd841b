//! The header of a message: RFC 5424, RFC 3164 in its usual variants, or none.

use jiff::civil::DateTime;
use serde_json::{Map, Value};

use crate::model::{timestamp::Timestamp, zone::Zone};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// Maximum number of characters of a tag. A longer word is text.
const TAG_CHARS_MAX: usize = 64;
/// The seconds by which a clock may be ahead.
const DAY_SECONDS: i64 = 86_400;
/// Abbreviations of zones, and their offsets.
const ZONES: [(&str, &str); 16] = [
    ("UTC", "+00:00"),
    ("GMT", "+00:00"),
    ("WET", "+00:00"),
    ("WEST", "+01:00"),
    ("CET", "+01:00"),
    ("CEST", "+02:00"),
    ("EET", "+02:00"),
    ("EEST", "+03:00"),
    ("MSK", "+03:00"),
    ("JST", "+09:00"),
    ("EST", "-05:00"),
    ("EDT", "-04:00"),
    ("CDT", "-05:00"),
    ("MDT", "-06:00"),
    ("PST", "-08:00"),
    ("PDT", "-07:00"),
];
/// What a message begins with if it has no tag.
const PAYLOADS: [&str; 4] = ["CEF:", "LEEF:", "@cee:", "{"];

/// A message, read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Header<'m> {
    pub(super) facility: Option<&'static str>,
    pub(super) severity: Option<&'static str>,
    /// RFC 3339.
    pub(super) timestamp: Option<String>,
    pub(super) hostname: Option<&'m str>,
    pub(super) app_name: Option<&'m str>,
    pub(super) proc_id: Option<&'m str>,
    pub(super) msg_id: Option<&'m str>,
    pub(super) structured_data: Option<Map<String, Value>>,
    pub(super) message: &'m str,
}

impl<'m> Header<'m> {
    /// Reads a message. A time without a year is the latest that is at most a day after `now`.
    pub(super) fn read(text: &'m str, zone: &Zone, now: Timestamp) -> Self {
        let (priority, rest) = priority(text).map_or((None, text), |(priority, rest)| (Some(priority), rest));
        let mut header = Self::version_1(rest, zone).unwrap_or_else(|| Self::traditional(rest, zone, now));
        header.facility = priority.and_then(|priority| FACILITIES.get(priority / 8)).copied();
        header.severity = priority.map(|priority| SEVERITIES[priority % 8]);
        header
    }

    /// RFC 5424, after the priority. What follows a part that cannot be read is the message.
    fn version_1(text: &'m str, zone: &Zone) -> Option<Self> {
        let (word, mut rest) = next_word(text.strip_prefix("1 ")?);
        let timestamp = if word == "-" { None } else { Some(iso_time(word, zone)?) };
        let mut part = || {
            let (word, after) = next_word(rest);
            rest = after;
            Some(word).filter(|word| *word != "-" && !word.is_empty())
        };
        let (hostname, app_name, proc_id, msg_id) = (part(), part(), part(), part());
        let read = structured_data(rest);
        // Without a time, only the structured data tell this header from a text that begins with a number.
        if timestamp.is_none() && read.is_none() {
            return None;
        }
        let (structured_data, message) = read.unwrap_or((None, rest));
        let message = message.strip_prefix('\u{feff}').unwrap_or(message);
        Some(Self { timestamp, hostname, app_name, proc_id, msg_id, structured_data, message, ..Self::default() })
    }

    /// RFC 3164, after the priority. Every part may be absent.
    fn traditional(text: &'m str, zone: &Zone, now: Timestamp) -> Self {
        let mut header = Self { message: text.trim_start(), ..Self::default() };
        // Network devices put colons before and after the time.
        let text = text.trim_start_matches([' ', ':']);
        if let Some((timestamp, rest)) = time(text, zone, now) {
            (header.timestamp, header.message) = (Some(timestamp), rest);
            header.take_host();
        } else if let Some((before, timestamp, rest)) = cisco(text, zone, now) {
            header.hostname = before;
            (header.timestamp, header.message) = (Some(timestamp), rest);
        }
        header.take_tag();
        header
    }

    /// The host, unless the next word is a tag or a payload.
    fn take_host(&mut self) {
        let Some((word, rest)) = self.message.split_once(' ') else { return };
        // A network device names itself, and then its mnemonic.
        let after_colon = rest.trim_start_matches([' ', ':']);
        if after_colon.starts_with('%') && (word.ends_with(':') || rest.starts_with(':')) {
            (self.hostname, self.message) = (Some(word.trim_end_matches(':')), after_colon);
            return;
        }
        let is_host = !word.is_empty() && !word.contains(['[', '{', '|', '=', '%', '(']) && !word.ends_with(':');
        if is_host && !PAYLOADS.iter().any(|start| word.starts_with(start)) {
            (self.hostname, self.message) = (Some(word), rest);
        }
    }

    /// The tag `app[pid]:`, or `%FACILITY-SEVERITY-MNEMONIC:` of network devices.
    fn take_tag(&mut self) {
        let text = self.message.trim_start();
        self.message = text;
        if PAYLOADS.iter().any(|start| text.starts_with(start)) {
            return;
        }
        let Some((tag, rest)) = text.split_once(':') else { return };
        let (app, proc_id) = match tag.strip_suffix(']').and_then(|tag| tag.split_once('[')) {
            Some((app, proc_id)) => (app, Some(proc_id)),
            None => (tag, None),
        };
        let is_char = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.' | '/' | '@' | '%');
        let fits = !app.is_empty() && app.chars().count() <= TAG_CHARS_MAX && app.chars().all(is_char);
        // An address or a time is no tag.
        if !fits || !(rest.is_empty() || rest.starts_with([' ', '{'])) {
            return;
        }
        match app.strip_prefix('%') {
            Some(mnemonic) => self.msg_id = Some(mnemonic),
            None => (self.app_name, self.proc_id) = (Some(app), proc_id),
        }
        self.message = rest.strip_prefix(' ').unwrap_or(rest);
    }
}

fn priority(text: &str) -> Option<(usize, &str)> {
    let (digits, rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let priority = digits.parse().ok().filter(|_| is_number)?;
    (priority < 8 * FACILITIES.len()).then_some((priority, rest))
}

/// The elements `[id name="value" …]`, if there are any, and the message after them.
fn structured_data(text: &str) -> Option<(Option<Map<String, Value>>, &str)> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some((None, rest.strip_prefix(' ').unwrap_or(rest)));
    }
    let (mut elements, mut rest) = (Map::new(), text);
    while let Some(element) = rest.strip_prefix('[') {
        let end = element.find([' ', ']'])?;
        let (id, mut after) = element.split_at(end);
        let mut values = Map::new();
        loop {
            after = after.trim_start_matches(' ');
            if let Some(next) = after.strip_prefix(']') {
                rest = next;
                break;
            }
            let (name, quoted) = after.split_once("=\"")?;
            let (value, next) = quoted_value(quoted)?;
            values.insert(name.to_owned(), Value::from(value));
            after = next;
        }
        elements.insert(id.to_owned(), Value::Object(values));
    }
    (!elements.is_empty()).then(|| (Some(elements), rest.strip_prefix(' ').unwrap_or(rest)))
}

/// A value up to its quotation mark, and what follows. A backslash escapes `"`, `]` and itself.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.clone().next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => {
                    value.push(escaped);
                    chars.next();
                }
                _ => value.push('\\'),
            },
            other => value.push(other),
        }
    }
    None
}

/// The first word of a text, and what follows the space after it.
fn next_word(text: &str) -> (&str, &str) {
    text.split_once(' ').unwrap_or((text, ""))
}

/// A time in the notation of ISO 8601, also without an offset, or with a comma before the fraction.
fn iso_time(word: &str, zone: &Zone) -> Option<String> {
    let dotted = word.replace(',', ".");
    if Timestamp::parse(&dotted).is_some() {
        return Some(dotted);
    }
    let is_local = dotted.get(10..).is_some_and(|clock| clock.starts_with('T') && !clock.contains(['+', '-', 'Z']));
    let local = dotted.parse::<DateTime>().ok().filter(|_| is_local)?;
    zone.instant(local).map(|at| at.to_string())
}

/// A date and time with the name of a month, before its zone is known.
struct NamedTime<'t> {
    year: Option<i16>,
    month: usize,
    day: &'t str,
    clock: &'t str,
}

impl<'t> NamedTime<'t> {
    /// Reads `Jan  2 03:04:05`, and returns what follows. The year may stand first, before the clock, or after it.
    fn read(text: &'t str) -> Option<(Self, &'t str)> {
        let (first, rest) = text.split_once(' ')?;
        let mut year = year_of(first);
        let (month, rest) = if year.is_some() { next_word(rest.trim_start()) } else { (first, rest) };
        let month = MONTHS.iter().position(|name| *name == month)? + 1;
        let (day, rest) = rest.trim_start().split_once(' ')?;
        let (mut clock, mut rest) = next_word(rest);
        let after_clock = next_word(rest);
        if let Some(found) = year_of(clock) {
            year = Some(found);
            (clock, rest) = after_clock;
        } else if let Some(found) = year_of(after_clock.0.trim_end_matches(':')) {
            (year, rest) = (Some(found), after_clock.1);
        }
        let clock = clock.trim_end_matches(':');
        let is_clock =
            clock.len() >= 8 && clock.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
        is_clock.then_some((Self { year, month, day, clock }, rest))
    }

    /// The instant in a zone. Without a year, it is the latest that is at most a day after `now`.
    fn instant(&self, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
        let at = |year: i16| {
            let local = format!("{year:04}-{:02}-{:0>2}T{}", self.month, self.day, self.clock);
            zone.instant(local.parse::<DateTime>().ok()?)
        };
        if let Some(year) = self.year {
            return at(year);
        }
        let (this_year, latest) = (zone.local(now)?.0.year(), now.plus_seconds(DAY_SECONDS));
        let years = [this_year + 1, this_year, this_year - 1];
        // The 29th of February may lie further back.
        let leap_years = (1..=8).map(|back| this_year - back);
        years.into_iter().chain(leap_years).filter_map(at).find(|instant| *instant <= latest)
    }
}

/// The time at the beginning of a text, and what follows it. The name of a zone may follow a time with the name of a month.
fn time<'t>(text: &'t str, zone: &Zone, now: Timestamp) -> Option<(String, &'t str)> {
    let (first, rest) = text.split_once(' ')?;
    if let Some(timestamp) = iso_time(first, zone) {
        return Some((timestamp, rest));
    }
    // A space instead of the `T`.
    if first.len() == 10 && first.as_bytes()[4] == b'-' {
        let (clock, rest) = next_word(rest);
        return Some((iso_time(&format!("{first}T{clock}"), zone)?, rest));
    }
    let (named, rest) = NamedTime::read(text)?;
    let (word, after) = next_word(rest);
    let offset = ZONES.iter().find(|(name, _)| *name == word.trim_end_matches(':')).map(|(_, offset)| *offset);
    match offset.and_then(|offset| Zone::parse(offset).ok()) {
        Some(zone) => Some((named.instant(&zone, now)?.to_string(), after)),
        None => Some((named.instant(zone, now)?.to_string(), rest)),
    }
}

fn year_of(word: &str) -> Option<i16> {
    let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|year| is_year && (1970..3000).contains(year))
}

/// The header of network devices: `number: host: *time zone: `, of which all but the time may be absent. A node may stand directly
/// before the time.
fn cisco<'t>(text: &'t str, zone: &Zone, now: Timestamp) -> Option<(Option<&'t str>, String, &'t str)> {
    let (mut rest, mut host) = (text, None);
    for _ in 0..3 {
        let plain = rest.trim_start_matches(['*', '.', ' ', ':']);
        let node = plain.split_once(':').filter(|(node, _)| !node.contains(' '));
        let found = time(plain, zone, now).map(|found| (host, found));
        let found = found.or_else(|| node.and_then(|(node, after)| Some((Some(node), time(after, zone, now)?))));
        if let Some((host, (timestamp, after))) = found {
            // The name of a zone that is not known.
            let after = match after.split_once(": ") {
                Some((word, message)) if word.len() <= 5 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                    message
                }
                _ => after,
            };
            return Some((host, timestamp, after.trim_start_matches([':', ' '])));
        }
        let (word, after) = rest.split_once(": ")?;
        if word.contains(' ') {
            return None;
        }
        if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            host = Some(word);
        }
        rest = after;
    }
    None
}
