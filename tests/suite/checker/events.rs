//! The events that the checker sends. Two events have the same content number exactly if they are the same submission,
//! in any spelling. The checker therefore never compares texts as the server does.

use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::faults::Random;

/// Events that claim to be older than this many days are expired under every retention rule, if they were also received
/// then.
pub(super) const OLD_DAYS: i64 = 40;
/// Maximum age of ordinary events in days: less than any retention rule keeps.
const RECENT_DAYS: u64 = 20;

/// An event that the checker sends.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The sender's identifier, or the one that the server assigned.
    pub(super) identifier: Option<String>,
    /// A number that identifies its content.
    pub(super) content: u64,
    pub(super) text: String,
    /// The invalid field.
    pub(super) fault: Option<&'static str>,
    parts: Vec<(&'static str, Node)>,
}

/// A JSON value that can be spelled in several ways.
#[derive(Debug, Clone)]
enum Node {
    Text(String),
    Instant(OffsetDateTime),
    /// JSON that is always spelled the same way.
    Raw(String),
    Object(Vec<(&'static str, Node)>),
}

/// Makes events from a seed.
pub(super) struct Maker {
    pub(super) random: Random,
    now: OffsetDateTime,
    made: u64,
}

const ACTIONS: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "READ", "app.deploy"];
const TYPES: [&str; 6] = ["entity", "Entity", "blueprint", "run", "login", "a,b"];
const ORIGINS: [&str; 4] = ["UI", "API", "CI", "a,b"];
const PATHS: [&str; 5] = ["/v1/entities", "/v1/entities/7", "/v1/blueprints", "/V1/", "/é/ü"];
const METHODS: [&str; 4] = ["GET", "get", "POST", "DELETE"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.1.7", "::ffff:10.0.0.1", "2001:db8::1", "192.0.2.66", "internal"];
const WORDS: [&str; 8] = ["pool", "exhausted", "#14100", "Timeout:", "ÅNGSTRÖM", "retry", "名前", "done"];
pub(super) const ENTITIES: [&str; 7] = ["checkout", "Checkout", "billing", "a+b c%20d", "\u{202e}svc", "🦀", "[]"];
/// Values that the server does not interpret and must not change.
const KEPT: [&str; 5] =
    ["[1.10,-0,1e300]", "{ \"n\" : 1.0 }", "9007199254740993", "\"\\u0041\\n\"", "{\"a\":{\"b\":[ ]}}"];

impl Sent {
    /// The same event with the identifier that the server assigned.
    pub(super) fn under(self, identifier: Option<String>) -> Self {
        Self { identifier, ..self }
    }
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        // Whole seconds: many events share an instant.
        let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
        Self { random: Random::new(seed), now, made: 0 }
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[usize::try_from(self.random.below(among.len() as u64)).unwrap()]
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.random.below(end as u64)).unwrap()
    }

    /// True with a probability of `share` percent.
    pub(super) fn percent(&mut self, share: u64) -> bool {
        self.random.below(100) < share
    }

    /// A valid event that was not sent before.
    pub(super) fn event(&mut self) -> Sent {
        let at = match self.random.below(100) {
            0..8 => None,
            8..20 => Some(self.old()),
            20..24 => Some(self.now + Duration::hours(50 + i64::try_from(self.random.below(9_000)).unwrap())),
            // One of a few instants, so that arrival decides the order.
            24..44 => Some(self.now - Duration::days(i64::try_from(self.random.below(4)).unwrap())),
            _ => {
                let micros = self.random.below(RECENT_DAYS * 86_400_000_000);
                Some(self.now - Duration::microseconds(i64::try_from(micros).unwrap()))
            }
        };
        let is_named = !self.percent(12);
        self.event_at(at, is_named)
    }

    /// A valid event that has an identifier, so that it can be recognized if the answer to its request is lost.
    pub(super) fn named_event(&mut self) -> Sent {
        let event = self.event();
        if event.identifier.is_some() { event } else { self.named_event() }
    }

    /// A valid event whose claimed time is past every retention limit.
    pub(super) fn old_event(&mut self) -> Sent {
        let at = self.old();
        self.event_at(Some(at), true)
    }

    fn old(&mut self) -> OffsetDateTime {
        self.now - Duration::days(OLD_DAYS + i64::try_from(self.random.below(300)).unwrap())
    }

    fn event_at(&mut self, at: Option<OffsetDateTime>, is_named: bool) -> Sent {
        self.made += 1;
        let identifier = is_named.then(|| format!("e-{}", self.made));
        let text = |text: &str| Node::Text(text.to_owned());
        let mut parts = Vec::new();
        parts.extend(identifier.as_deref().map(|identifier| ("identifier", text(identifier))));
        parts.push(("action", text(self.pick(&ACTIONS))));
        parts.push(("resourceType", text(self.pick(&TYPES))));
        if self.percent(30) {
            parts.push(("status", text(self.pick(&["SUCCESS", "FAILURE"]))));
        }
        if self.percent(40) {
            let words: Vec<_> = (0..=self.below(4)).map(|_| self.pick(&WORDS)).collect();
            parts.push(("message", text(&words.join(" "))));
        }
        let trigger = self.trigger(at);
        if !trigger.is_empty() {
            parts.push(("trigger", Node::Object(trigger)));
        }
        let (context, request) = (self.context(), self.request());
        parts.extend(context.map(|context| ("context", Node::Object(context))));
        parts.extend(request.map(|request| ("request", Node::Object(request))));
        if self.percent(30) {
            parts.push(("diff", Node::Raw(format!("{{\"before\":null,\"after\":{{\"replicas\": {}.0}}}}", self.made))));
        }
        if self.percent(50) {
            parts.push(("additionalData", Node::Raw(self.pick(&KEPT).to_owned())));
        }
        let text = write_object(&parts, &mut None);
        Sent { identifier, content: self.made, text, fault: None, parts }
    }

    fn trigger(&mut self, at: Option<OffsetDateTime>) -> Vec<(&'static str, Node)> {
        let mut trigger = Vec::new();
        trigger.extend(at.map(|at| ("at", Node::Instant(at))));
        if self.percent(50) {
            trigger.push(("origin", Node::Text(self.pick(&ORIGINS).to_owned())));
        }
        if self.percent(70) {
            let number = self.below(5);
            let mut by = vec![("type", Node::Text(self.pick(&["user", "service_account", "token"]).to_owned()))];
            for (name, value) in [
                ("userId", format!("usr_{number}")),
                ("name", format!("Name {number}")),
                ("email", format!("user-{number}@example.org")),
            ] {
                if self.percent(60) {
                    by.push((name, Node::Text(value)));
                }
            }
            trigger.push(("by", Node::Object(by)));
        }
        trigger
    }

    fn context(&mut self) -> Option<Vec<(&'static str, Node)>> {
        let mut context = Vec::new();
        let number = self.below(40);
        for (name, value, share) in [
            ("entity", self.pick(&ENTITIES).to_owned(), 70),
            ("blueprint", self.pick(&["service", "environment"]).to_owned(), 50),
            ("runId", format!("run-{number}"), 40),
            ("webhookId", format!("hook-{}", number % 3), 10),
            ("webhookEventId", format!("delivery-{number}"), 10),
            ("integrationId", format!("installation-{}", number % 4), 10),
            ("actionType", self.pick(&["automation", "self-service"]).to_owned(), 20),
        ] {
            if self.percent(share) {
                context.push((name, Node::Text(value)));
            }
        }
        (!context.is_empty()).then_some(context)
    }

    fn request(&mut self) -> Option<Vec<(&'static str, Node)>> {
        self.percent(50).then(|| {
            let code = self.pick(&[200, 201, 403, 404, 422, 503]);
            vec![
                ("method", Node::Text(self.pick(&METHODS).to_owned())),
                ("path", Node::Text(self.pick(&PATHS).to_owned())),
                ("statusCode", Node::Raw(code.to_string())),
                ("ip", Node::Text(self.pick(&ADDRESSES).to_owned())),
            ]
        })
    }

    /// The same submission, spelled in another way.
    pub(super) fn respelled(&mut self, sent: &Sent) -> Sent {
        let mut parts = sent.parts.clone();
        if !parts.iter().any(|(name, _)| *name == "status") && self.percent(40) {
            parts.push(("status", Node::Text("SUCCESS".to_owned())));
        }
        if !parts.iter().any(|(name, _)| *name == "message") && self.percent(20) {
            parts.push(("message", Node::Raw("null".to_owned())));
        }
        let text = write_object(&parts, &mut Some(&mut self.random));
        Sent { text, parts, ..sent.clone() }
    }

    /// Another event under the same identifier.
    pub(super) fn changed(&mut self, sent: &Sent) -> Sent {
        self.made += 1;
        let mut parts = sent.parts.clone();
        parts.retain(|(name, _)| *name != "additionalData");
        parts.push(("additionalData", Node::Raw(format!("{{\"changed\":{}}}", self.made))));
        Sent { content: self.made, text: write_object(&parts, &mut None), parts, ..sent.clone() }
    }

    /// An invalid event, with the name of the invalid field.
    pub(super) fn invalid(&mut self) -> Sent {
        let sent = self.event();
        let (field, value) = self.pick(&[
            ("action", ""),
            ("resourceType", "7"),
            ("status", "\"MAYBE\""),
            ("identifier", "\"\\ud800\""),
            ("receivedAt", "\"2024-05-01T12:00:00Z\""),
            ("trigger.at", "{\"at\":\"yesterday\"}"),
            ("trigger.at", "{\"at\":1714564800}"),
            ("trigger.origin", "{\"origin\":\"auditbox\"}"),
            ("request.statusCode", "{\"statusCode\":99}"),
        ]);
        let name = field.split('.').next().unwrap();
        let mut parts = sent.parts.clone();
        parts.retain(|(own, _)| *own != name);
        if !value.is_empty() {
            parts.push((name, Node::Raw(value.to_owned())));
        }
        Sent { fault: Some(field), text: write_object(&parts, &mut None), ..sent }
    }
}

/// Writes an object. With random numbers, it uses one of many spellings.
fn write_object(members: &[(&'static str, Node)], random: &mut Option<&mut Random>) -> String {
    let mut members: Vec<_> = members.iter().collect();
    let mut space = "";
    if let Some(random) = random {
        for place in (1..members.len()).rev() {
            members.swap(place, usize::try_from(random.below(place as u64 + 1)).unwrap());
        }
        space = [" ", "", "\t", "  "][usize::try_from(random.below(4)).unwrap()];
    }
    let mut out = Vec::new();
    for (name, node) in members {
        out.push(format!("{}{space}:{space}{}", write_text(name, random), write(node, random)));
    }
    format!("{{{space}{}{space}}}", out.join(&format!("{space},")))
}

fn write(node: &Node, random: &mut Option<&mut Random>) -> String {
    match node {
        Node::Raw(json) => json.clone(),
        Node::Text(text) => write_text(text, random),
        Node::Object(members) => write_object(members, random),
        Node::Instant(at) => {
            let minutes = random.as_mut().map_or(0, |random| i32::try_from(random.below(49)).unwrap() * 30 - 720);
            let at = at.to_offset(UtcOffset::from_whole_seconds(minutes * 60).unwrap());
            format!("\"{}\"", at.format(&Rfc3339).unwrap())
        }
    }
}

fn write_text(text: &str, random: &mut Option<&mut Random>) -> String {
    let plain = serde_json::to_string(text).unwrap();
    let Some(random) = random else { return plain };
    let escaped = |char: char, random: &mut Random| match char {
        letter if letter.is_ascii_alphanumeric() && random.below(6) == 0 => format!("\\u{:04x}", u32::from(letter)),
        other => other.to_string(),
    };
    // The character after a backslash already belongs to an escape.
    if plain.contains('\\') { plain } else { plain.chars().map(|char| escaped(char, random)).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn another_spelling_is_another_text_of_the_same_event() {
        let mut maker = Maker::new(5);
        let mut different = 0;
        for _ in 0..300 {
            let sent = maker.event();
            let again = maker.respelled(&sent);
            let [mut one, mut other]: [Value; 2] =
                [&sent.text, &again.text].map(|text| serde_json::from_str(text).unwrap());
            for value in [&mut one, &mut other] {
                let object = value.as_object_mut().unwrap();
                object.retain(|_, value| !value.is_null());
                object.entry("status").or_insert_with(|| "SUCCESS".into());
                if let Some(at) = value.pointer_mut("/trigger/at") {
                    *at = OffsetDateTime::parse(at.as_str().unwrap(), &Rfc3339).unwrap().unix_timestamp().into();
                }
            }
            assert_eq!(one, other);
            different += u32::from(sent.text != again.text);
        }
        assert!(different > 250, "{different}");
    }
}
