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
    /// Reads a message. A local time without a year is the one closest to `now`.
    pub(super) fn read(text: &'m str, zone: &Zone, now: Timestamp) -> Self {
        let (priority, rest) = priority(text).map_or((None, text), |(priority, rest)| (Some(priority), rest));
        let mut header = Self::version_1(rest).unwrap_or_else(|| Self::traditional(rest, zone, now));
        header.facility = priority.and_then(|priority| FACILITIES.get(priority / 8)).copied();
        header.severity = priority.map(|priority| SEVERITIES[priority % 8]);
        header
    }

    /// RFC 5424, after the priority.
    fn version_1(text: &'m str) -> Option<Self> {
        let mut words = text.strip_prefix("1 ")?.splitn(6, ' ');
        let mut word = || words.next();
        let (timestamp, hostname, app_name, proc_id, msg_id) = (word()?, word()?, word()?, word()?, word()?);
        let is_time = timestamp == "-" || Timestamp::parse(timestamp).is_some();
        let (structured_data, message) = structured_data(word()?).filter(|_| is_time)?;
        let present = |word: &'m str| Some(word).filter(|word| *word != "-" && !word.is_empty());
        Some(Self {
            timestamp: present(timestamp).map(str::to_owned),
            hostname: present(hostname),
            app_name: present(app_name),
            proc_id: present(proc_id),
            msg_id: present(msg_id),
            structured_data,
            message: message.strip_prefix('\u{feff}').unwrap_or(message),
            ..Self::default()
        })
    }

    /// RFC 3164, after the priority. Every part may be absent.
    fn traditional(text: &'m str, zone: &Zone, now: Timestamp) -> Self {
        let text = text.trim_start();
        let mut header = Self { message: text, ..Self::default() };
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

/// The time at the beginning of a text, and what follows it.
fn time<'t>(text: &'t str, zone: &Zone, now: Timestamp) -> Option<(String, &'t str)> {
    let (word, rest) = text.split_once(' ')?;
    if Timestamp::parse(word).is_some() {
        return Some((word.to_owned(), rest));
    }
    if let Ok(local) = word.parse::<DateTime>()
        && word.contains('T')
        && !word[10..].contains(['+', '-', 'Z'])
    {
        return Some((zone.instant(local)?.to_string(), rest));
    }
    let month = MONTHS.iter().position(|month| *month == word)? + 1;
    let (day, rest) = rest.trim_start().split_once(' ')?;
    let (mut clock, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut year = year(clock);
    if year.is_some() {
        (clock, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    } else if let Some((word, after)) = rest.split_once(' ')
        && let Some(found) = self::year(word.trim_end_matches(':'))
    {
        (year, rest) = (Some(found), after);
    }
    let clock = clock.trim_end_matches(':');
    let at = |year: i16| {
        let local = format!("{year:04}-{month:02}-{day:0>2}T{clock}").parse::<DateTime>().ok()?;
        zone.instant(local)
    };
    let is_clock = clock.len() >= 8 && clock.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'));
    let instant = match year.filter(|_| is_clock) {
        Some(year) => at(year)?,
        None if is_clock => {
            let this_year = zone.local(now)?.0.year();
            let years = [this_year, this_year - 1, this_year + 1].into_iter();
            years.filter_map(at).min_by_key(|instant| instant.seconds().abs_diff(now.seconds()))?
        }
        None => return None,
    };
    Some((instant.to_string(), rest))
}

fn year(word: &str) -> Option<i16> {
    let is_year = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|year| is_year && (1970..3000).contains(year))
}

/// The header of network devices: `number: host: *time zone: `, of which all but the time may be absent.
fn cisco<'t>(text: &'t str, zone: &Zone, now: Timestamp) -> Option<(Option<&'t str>, String, &'t str)> {
    let (mut rest, mut host) = (text, None);
    for _ in 0..3 {
        let plain = rest.trim_start_matches(['*', '.']);
        if let Some((timestamp, after)) = time(plain, zone, now) {
            // The name of the zone.
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
