//! The things that synthetic events are about, and their current state.
//!
//! A thing takes a few bytes: how often each of its properties has changed. Everything else follows from its index and
//! the seed. Hundreds of thousands of things therefore stay small, and each change starts from the result of the
//! previous one.

use crate::{
    model::timestamp::Timestamp,
    testdata::{
        kinds::{KINDS, PROPERTIES_MAX, ResourceKind, Shape, Size},
        random::{Random, number_at, scale},
        words::{CHANGING, DOMAINS, LEVELS, OPENINGS, POLICIES, RULES, TEAMS, VALUES, VARIABLES},
        writer::EventWriter,
    },
};

/// The index of the owning team among the changing parts: after the properties.
const OWNER: usize = PROPERTIES_MAX;

/// The current state of a thing.
#[derive(Debug, Clone, Copy)]
struct State {
    /// How often each property has changed, and then how often the owner has.
    changes: [u8; PROPERTIES_MAX + 1],
    created: Timestamp,
    updated: Timestamp,
    /// Index of the actor who changed it last.
    updated_by: u8,
    exists: bool,
}

/// One thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    /// The index of its kind in [`KINDS`].
    pub(super) kind: usize,
    /// Its rank within its kind; the busiest is 0.
    pub(super) rank: usize,
}

/// All things.
#[derive(Debug)]
pub(super) struct Inventory {
    seed: u64,
    states: Vec<State>,
    /// For each kind, the index of its first thing and the number of its things.
    places: [(usize, usize); KINDS.len()],
    /// The actors' ids, by index.
    user_ids: Vec<String>,
}

impl Inventory {
    /// About `things` things in their state at `begin`.
    pub(super) fn new(seed: u64, things: usize, begin: Timestamp, user_ids: Vec<String>) -> Self {
        let mut places = [(0, 0); KINDS.len()];
        let mut states = Vec::new();
        for (kind, place) in KINDS.iter().zip(&mut places) {
            let len = match kind.size {
                Size::Fixed(len) => len,
                Size::Share(per_mille) => things * per_mille / 1_000,
            };
            *place = (states.len(), len.max(1));
            for _ in 0..place.1 {
                states.push(State::at(number_at(seed, states.len() as u64), begin, user_ids.len()));
            }
        }
        Self { seed, states, places, user_ids }
    }

    pub(super) fn user_id(&self, actor: usize) -> &str {
        &self.user_ids[actor]
    }

    /// A thing of a kind, the busiest most often.
    pub(super) fn choose(&self, random: &mut Random, kind: usize) -> Subject {
        Subject { kind, rank: random.zipf(self.places[kind].1) }
    }

    pub(super) fn exists(&self, subject: Subject) -> bool {
        self.states[self.place(subject)].exists
    }

    /// Creates a thing.
    pub(super) fn create(&mut self, subject: Subject, at: Timestamp, actor: usize) {
        let state = self.touch(subject, at, actor);
        state.exists = true;
        state.created = at;
    }

    /// Deletes a thing.
    pub(super) fn delete(&mut self, subject: Subject) {
        let place = self.place(subject);
        self.states[place].exists = false;
    }

    /// Changes one to three properties of a thing, and occasionally its owner.
    pub(super) fn update(&mut self, random: &mut Random, subject: Subject, at: Timestamp, actor: usize) {
        let properties = KINDS[subject.kind].properties.len();
        let state = self.touch(subject, at, actor);
        let mut done = [false; PROPERTIES_MAX + 1];
        for _ in 0..=random.below(3) {
            let changed = if random.per_mille(15) { OWNER } else { random.below(properties) };
            // Two changes of one property could cancel each other.
            if !std::mem::replace(&mut done[changed], true) {
                state.changes[changed] = state.changes[changed].wrapping_add(1);
            }
        }
    }

    fn touch(&mut self, subject: Subject, at: Timestamp, actor: usize) -> &mut State {
        let place = self.place(subject);
        let state = &mut self.states[place];
        state.updated = at;
        state.updated_by = u8::try_from(actor).unwrap_or(0);
        state
    }

    /// Writes a thing's current state under `key`.
    pub(super) fn write(&self, json: &mut EventWriter, key: &str, subject: Subject, name: &str) {
        let place = self.place(subject);
        let (state, kind) = (&self.states[place], &KINDS[subject.kind]);
        let own = number_at(self.seed, place as u64);
        json.open(key);
        json.text("identifier", name);
        json.joined("title", &[domain(subject.rank), " ", role(kind, subject.rank)]);
        json.text("blueprint", kind.blueprint);
        json.text("team", pick(&TEAMS, own, state.changes[OWNER]));
        json.open("properties");
        for (place, &(property, shape)) in kind.properties.iter().enumerate() {
            let look = Look { own: number_at(own, place as u64), changes: state.changes[place], name };
            look.write(json, property, shape, domain(subject.rank));
        }
        json.close();
        json.open("relations");
        json.joined("system", &[domain(subject.rank), "-system"]);
        json.text("dependsOn", DOMAINS[scale(own, DOMAINS.len())]);
        json.close();
        json.plain("createdAt", state.created);
        json.plain("updatedAt", state.updated);
        json.text("updatedBy", self.user_id(usize::from(state.updated_by)));
        json.close();
    }

    const fn place(&self, subject: Subject) -> usize {
        self.places[subject.kind].0 + subject.rank
    }
}

impl State {
    /// Thing number `own`, which has existed for a while.
    fn at(own: u64, begin: Timestamp, actors: usize) -> Self {
        /// Maximum age of a thing, and maximum time since its last change.
        const AGE_SECONDS_MAX: usize = 900 * 86_400;
        const IDLE_SECONDS_MAX: usize = 20 * 86_400;
        let ago = |place, seconds_max| -i64::try_from(scale(number_at(own, place), seconds_max)).unwrap_or(0);
        let updated = begin.plus_seconds(ago(1, IDLE_SECONDS_MAX));
        Self {
            changes: [0; PROPERTIES_MAX + 1],
            created: updated.plus_seconds(ago(2, AGE_SECONDS_MAX)),
            updated,
            updated_by: u8::try_from(scale(own, actors)).unwrap_or(0),
            exists: scale(number_at(own, 3), 10) > 0,
        }
    }
}

/// The name of a thing, unique within its kind.
pub(super) fn write_name(subject: Subject, name: &mut String) {
    let kind = &KINDS[subject.kind];
    name.clear();
    for part in [domain(subject.rank), "-", role(kind, subject.rank)] {
        name.push_str(part);
    }
    let round = subject.rank / (DOMAINS.len() * kind.roles.len());
    if round > 0 {
        name.push('-');
        name.push_str(&(round + 1).to_string());
    }
}

/// The domain of the thing at `rank`.
pub(super) const fn domain(rank: usize) -> &'static str {
    DOMAINS[rank % DOMAINS.len()]
}

fn role(kind: &ResourceKind, rank: usize) -> &'static str {
    // Each round through the domains starts at another role, so that neighbors differ in both.
    kind.roles[(rank / DOMAINS.len() + rank % DOMAINS.len()) % kind.roles.len()]
}

/// One of `items`, a different one after each change.
fn pick<T: Copy>(items: &[T], own: u64, changes: u8) -> T {
    items[(scale(own, items.len()) + usize::from(changes)) % items.len()]
}

/// The current state of one property.
struct Look<'a> {
    /// The property's number.
    own: u64,
    changes: u8,
    name: &'a str,
}

impl Look<'_> {
    fn write(&self, json: &mut EventWriter, key: &str, shape: Shape, domain: &str) {
        match shape {
            Shape::Choice(items) => json.text(key, pick(items, self.own, self.changes)),
            Shape::List(items) => {
                // About a quarter of them; each change adds or removes one.
                let bits = (self.own & self.own >> 24) ^ self.toggles(items.len());
                let chosen = items.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
                json.texts(key, chosen.map(|(_, item)| *item));
            }
            Shape::Number(from, to) => json.literal(key, self.number(from, to)),
            Shape::Decimal(below) => {
                let hundredths = self.number(0, below * 100 - 1);
                json.literal(key, format_args!("{}.{:02}", hundredths / 100, hundredths % 100));
            }
            Shape::Flag => json.literal(key, (self.own ^ u64::from(self.changes)) & 1 == 1),
            Shape::Version => {
                let minor = scale(self.own << 8, 30) + usize::from(self.changes / 6);
                json.plain(key, format_args!("{}.{minor}.{}", 1 + scale(self.own, 6), self.changes % 6));
            }
            Shape::Text => self.write_text(json, key, domain),
            Shape::Link(prefix) => {
                let path = if self.changes & 1 == 0 { "" } else { "v2/" };
                json.joined(key, &[prefix, path, self.name]);
            }
            Shape::Resources => self.write_resources(json, key),
            Shape::Variables => self.write_pairs(json, key, |place, at| (VARIABLES[place], VALUES[place][at])),
            Shape::Rules => self.write_pairs(json, key, |place, at| (RULES[place % RULES.len()], LEVELS[at])),
        }
    }

    fn write_text(&self, json: &mut EventWriter, key: &str, domain: &str) {
        let opening = OPENINGS[scale(self.own, OPENINGS.len())];
        let policy = POLICIES[scale(self.own << 16, POLICIES.len())];
        let changing = pick(&CHANGING, self.own << 32, self.changes);
        json.joined(key, &[opening, " ", domain, ". ", policy, " ", changing, "."]);
    }

    fn write_resources(&self, json: &mut EventWriter, key: &str) {
        // Processors, memory and replicas change in turn.
        let turn = |place: i64| (i64::from(self.changes) + 2 - place) / 3;
        json.open(key);
        json.open("limits");
        json.plain("cpu", format_args!("{}m", 250 * (1 + (i64::from(self.own.to_le_bytes()[0]) + turn(0)) % 12)));
        json.literal("memoryMiB", 256 << ((i64::from(self.own.to_le_bytes()[1]) + turn(1)) % 6));
        json.close();
        let least = 1 + i64::from(self.own.to_le_bytes()[2] % 4);
        json.open("replicas");
        json.literal("min", least);
        json.literal("max", least + 1 + (i64::from(self.own.to_le_bytes()[3]) + turn(2)) % 16);
        json.close();
        json.close();
    }

    /// Writes four pairs. Each change changes one of them.
    fn write_pairs(
        &self,
        json: &mut EventWriter,
        key: &str,
        pair: impl Fn(usize, usize) -> (&'static str, &'static str),
    ) {
        json.open(key);
        let first = scale(self.own, 5);
        for turn in 0..4 {
            let steps = (usize::from(self.changes) + 3 - turn) / 4;
            let (name, value) = pair(first + turn, (scale(self.own << (8 * turn + 8), 4) + steps) % 4);
            json.text(name, value);
        }
        json.close();
    }

    /// A number from `from` to `to`, a different one after each change.
    fn number(&self, from: i64, to: i64) -> i64 {
        let len = to - from + 1;
        // An odd step that is not small looks like a decision rather than a counter.
        let step = (len / 7) | 1;
        let start = i64::try_from(scale(self.own, usize::try_from(len).unwrap_or(1))).unwrap_or(0);
        from + (start + step * i64::from(self.changes)) % len
    }

    /// The bits of `len` that changed an odd number of times, in turn.
    const fn toggles(&self, len: usize) -> u64 {
        let (rounds, rest) = (self.changes as usize / len, self.changes as usize % len);
        let all = if rounds % 2 == 1 { (1 << len) - 1 } else { 0 };
        all ^ ((1 << rest) - 1)
    }
}
