//! One event in many spellings is one event; with any other value, it is another.

use proptest::prelude::*;

use super::*;

/// A JSON value apart from its spelling.
#[derive(Debug, Clone)]
enum Tree {
    /// Spelled in one way: `null`, `true`, `false`, a number.
    Plain(&'static str),
    /// UTF-16 code units, which may be lone surrogates.
    Text(Vec<u16>),
    Array(Vec<Tree>),
    Object(Vec<(Vec<u16>, Tree)>),
}

/// An instant, in microseconds since 1970, is spelled with an offset and with more or fewer zeros.
#[derive(Debug, Clone)]
struct Sent {
    at: Option<i64>,
    status: Option<&'static str>,
    origin: Option<&'static str>,
    entity: Option<Tree>,
    before: Tree,
    additional: Tree,
}

/// Chooses among spellings; without numbers, the plainest.
struct Choices(Option<u64>);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        let Some(state) = &mut self.0 else { return 0 };
        // A linear congruential generator (Knuth, MMIX).
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap() % end
    }

    fn space(&mut self) -> &'static str {
        ["", " ", "\n", "\t ", "\r\n"][self.below(5)]
    }
}

fn write(tree: &Tree, choices: &mut Choices) -> String {
    match tree {
        Tree::Plain(text) => (*text).to_owned(),
        Tree::Text(units) => write_text(units, choices),
        Tree::Array(elements) => {
            let parts: Vec<_> = elements.iter().map(|element| write(element, choices)).collect();
            wrapped('[', &parts, ']', choices)
        }
        Tree::Object(members) => write_object(members, choices),
    }
}

fn write_object(members: &[(Vec<u16>, Tree)], choices: &mut Choices) -> String {
    // Members with the same key keep their order.
    let mut left: Vec<_> = members.iter().collect();
    let mut parts = Vec::new();
    while !left.is_empty() {
        let chosen = &left[choices.below(left.len())].0;
        let first = left.iter().position(|(key, _)| key == chosen).unwrap();
        let (key, value) = left.remove(first);
        let (key, before, after) = (write_text(key, choices), choices.space(), choices.space());
        parts.push(format!("{key}{before}:{after}{}", write(value, choices)));
    }
    wrapped('{', &parts, '}', choices)
}

fn wrapped(open: char, parts: &[String], close: char, choices: &mut Choices) -> String {
    let mut out = format!("{open}{}", choices.space());
    for (index, part) in parts.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        out.extend([comma, choices.space(), part, choices.space()]);
    }
    out.push(close);
    out
}

fn write_text(units: &[u16], choices: &mut Choices) -> String {
    let mut out = String::from("\"");
    for decoded in char::decode_utf16(units.iter().copied()) {
        match decoded {
            Ok(char) if u32::from(char) >= 0x20 && !matches!(char, '"' | '\\') && choices.below(4) != 1 => {
                out.push(char);
            }
            Ok('/') => out.push_str("\\/"),
            Ok(char) => {
                let mut pair = [0; 2];
                out.extend(char.encode_utf16(&mut pair).iter().map(|unit| escaped(*unit, choices)));
            }
            Err(lone) => out.push_str(&escaped(lone.unpaired_surrogate(), choices)),
        }
    }
    out + "\""
}

fn escaped(unit: u16, choices: &mut Choices) -> String {
    if choices.below(2) == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") }
}

fn write_time(micros: i64, choices: &mut Choices) -> String {
    let minutes = i64::try_from(choices.below(49)).unwrap() * 30 - 720;
    let minutes = if choices.0.is_some() { minutes } else { 0 };
    let local = Timestamp::from_micros(micros).plus_seconds(minutes * 60).to_string();
    let zeros = "0".repeat(choices.below(4));
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
    format!("\"{}{zeros}{sign}{hours:02}:{minutes:02}\"", local.trim_end_matches('Z'))
}

impl Sent {
    fn write(&self, choices: &mut Choices) -> String {
        let mut members = vec![
            ("identifier", "\"e\"".to_owned()),
            ("action", write_text(&units("Ä/b"), choices)),
            ("resourceType", "\"x\"".to_owned()),
            ("additionalData", write(&self.additional, choices)),
            ("diff", wrapped('{', &[format!("\"before\":{}", write(&self.before, choices))], '}', choices)),
        ];
        let mut context = Vec::new();
        context.extend(self.entity.as_ref().map(|entity| format!("\"entity\":{}", write(entity, choices))));
        let absent = ["null", "\"\""][choices.below(2)];
        if self.entity.is_none() && choices.below(2) == 1 {
            context.push(format!("\"entity\":{absent}"));
        }
        members.push(("context", wrapped('{', &context, '}', choices)));
        let mut trigger = Vec::new();
        trigger.extend(self.at.map(|at| format!("\"at\":{}", write_time(at, choices))));
        let of_default = |own: Option<&'static str>, default: &'static str, choices: &mut Choices| {
            let own = own.map(|own| format!("\"{own}\""));
            own.or_else(|| [None, Some(format!("\"{default}\"")), Some(absent.to_owned())][choices.below(3)].clone())
        };
        trigger.extend(of_default(self.origin, DEFAULT_ORIGIN, choices).map(|origin| format!("\"origin\":{origin}")));
        members.extend(of_default(self.status, DEFAULT_STATUS, choices).map(|status| ("status", status)));
        if choices.below(2) == 1 {
            members.push(("message", absent.to_owned()));
        }
        if !trigger.is_empty() || choices.below(2) == 1 {
            members.push(("trigger", wrapped('{', &trigger, '}', choices)));
        }
        let mut parts = Vec::new();
        while !members.is_empty() {
            let (key, value) = members.remove(choices.below(members.len()));
            parts.push(format!("\"{key}\"{}:{}{value}", choices.space(), choices.space()));
        }
        wrapped('{', &parts, '}', choices)
    }
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn text() -> impl Strategy<Value = Vec<u16>> {
    let unit = prop_oneof![4 => 0x20_u16..0x7f, 1 => any::<u16>(), 1 => 0xD7FE_u16..0xE002];
    prop_oneof![Just(Vec::new()), prop::collection::vec(unit, 1..6), Just(units("a")), Just(units("receivedAt"))]
}

fn tree() -> impl Strategy<Value = Tree> {
    let plain = ["null", "true", "false", "0", "-0", "1", "1.0", "1e0", "9007199254740993", "9007199254740992"];
    let leaf = prop_oneof![prop::sample::select(plain.to_vec()).prop_map(Tree::Plain), text().prop_map(Tree::Text)];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            prop::collection::vec((text(), inner), 0..5).prop_map(Tree::Object),
        ]
    })
}

/// A value that `before` or `entity` may have: `null` counts as absent there.
fn something() -> impl Strategy<Value = Tree> {
    tree().prop_filter("is absent", |tree| !matches!(tree, Tree::Plain("null")))
}

fn sent() -> impl Strategy<Value = Sent> {
    let entity = prop::sample::select(vec![Tree::Plain("42"), Tree::Text(units("Ü 😀\n\"")), Tree::Text(units("42"))]);
    (
        prop::option::of(0_i64..2_000_000_000_000_000),
        prop::option::of(prop::sample::select(vec!["FAILURE", "failure"])),
        prop::option::of(Just("UI")),
        prop::option::of(entity),
        something(),
        tree(),
    )
        .prop_map(|(at, status, origin, entity, before, additional)| Sent {
            at,
            status,
            origin,
            entity,
            before,
            additional,
        })
}

/// Changes the value at one place; the other places are counted down.
fn change(tree: &mut Tree, left: &mut usize) -> bool {
    if *left == 0 {
        match tree {
            Tree::Plain("1") => *tree = Tree::Plain("1.0"),
            Tree::Plain(_) => *tree = Tree::Plain("1"),
            Tree::Text(units) => units.push(0xD800),
            Tree::Array(elements) => elements.push(Tree::Plain("null")),
            Tree::Object(members) => members.push((units("more"), Tree::Plain("null"))),
        }
        return true;
    }
    *left -= 1;
    match tree {
        Tree::Array(elements) => elements.iter_mut().any(|element| change(element, left)),
        Tree::Object(members) => members.iter_mut().any(|(_, value)| change(value, left)),
        Tree::Plain(_) | Tree::Text(_) => false,
    }
}

fn accepted(text: &str, seconds: i64) -> Event {
    let draft = EventDraft::parse(text, &EventLimits::default(), Sender::Client);
    let draft = draft.unwrap_or_else(|error| panic!("{error}: {text}"));
    draft.accept(&Receipt { at: Timestamp::from_seconds(1_720_000_000 + seconds), by: "sender" })
}

fn same(one: &Event, other: &Event) -> bool {
    let is_same = same_submission((&one.body, one.filled), (&other.body, other.filled));
    assert_eq!(is_same, same_submission((&other.body, other.filled), (&one.body, one.filled)));
    is_same
}

proptest! {
    #[test]
    fn every_spelling_of_an_event_is_the_same_event(sent in sent(), one in any::<u64>(), other in any::<u64>()) {
        let plain = accepted(&sent.write(&mut Choices(None)), 0);
        let spelled = [one, other].map(|seed| accepted(&sent.write(&mut Choices(Some(seed))), 5));
        prop_assert!(same(&plain, &spelled[0]), "{}\n{}", plain.body, spelled[0].body);
        prop_assert!(same(&spelled[0], &spelled[1]), "{}\n{}", spelled[0].body, spelled[1].body);
        // It is found by the same values.
        let values = |event: &Event| searchable(&event.body).unwrap().1;
        prop_assert_eq!(values(&plain), values(&spelled[0]));
    }

    #[test]
    fn any_other_value_makes_another_event(sent in sent(), place in 0_usize..12, seed in any::<u64>()) {
        let plain = accepted(&sent.write(&mut Choices(None)), 0);
        let mut others = Vec::new();
        let mut left = place;
        let mut other = sent.clone();
        if change(&mut other.additional, &mut left) || change(&mut other.before, &mut left) {
            others.push(other);
        }
        others.push(Sent { origin: Some("other"), ..sent.clone() });
        others.push(Sent { at: Some(sent.at.map_or(7, |at| at + 1)), ..sent.clone() });
        others.push(Sent { status: sent.status.is_none().then_some("FAILURE"), ..sent.clone() });
        others.push(Sent { entity: Some(Tree::Plain("43")), ..sent.clone() });
        for other in others {
            let spelled = accepted(&other.write(&mut Choices(Some(seed))), 0);
            prop_assert!(!same(&plain, &spelled), "{}\n{}", plain.body, spelled.body);
        }
    }
}
