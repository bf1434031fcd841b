//! The entities, actors and addresses of the events, and their frequencies.
//!
//! Every value is a function of the seed and an index. Nothing in it is real.

use crate::random::{Random, mix};

/// Frequent values and their shares in thousandths.
pub(crate) type Shares = &'static [(&'static str, usize)];

/// The last one has a share of one hundredth, which the filtered statistics select.
pub(crate) const BLUEPRINTS: Shares = &[
    ("service", 240),
    ("deployment", 180),
    ("environment", 140),
    ("repository", 110),
    ("pull_request", 90),
    ("cluster", 70),
    ("workload", 50),
    ("pipeline", 40),
    ("package", 30),
    ("team", 25),
    ("domain", 15),
    ("incident", 10),
];
pub(crate) const RESOURCES: Shares = &[
    ("entity", 380),
    ("run", 160),
    ("action", 110),
    ("api_client", 90),
    ("blueprint", 70),
    ("scorecard", 55),
    ("webhook", 40),
    ("integration", 30),
    ("user", 25),
    ("team", 20),
    ("page", 12),
    ("secret", 8),
];
pub(crate) const ACTIONS: Shares =
    &[("READ", 300), ("UPDATE", 300), ("CREATE", 150), ("EXECUTE", 120), ("DELETE", 80), ("LOGIN", 50)];
pub(crate) const ORIGINS: Shares =
    &[("UI", 350), ("API", 300), ("github-exporter", 200), ("k8s-exporter", 100), ("pagerduty", 50)];
/// The networks of the addresses: the first half of a /16 each.
pub(crate) const NETWORKS: &[&str] = &["10.12", "10.44", "10.201", "172.20", "192.168", "198.18"];

/// A frequent search word.
pub(crate) const COMMON_WORD: &str = "service";
/// A search word in the message of one failure in eight.
pub(crate) const RARE_WORD: &str = "quota";
/// A search word in no event.
pub(crate) const ABSENT_WORD: &str = "xylophone";

pub(crate) const MESSAGES: &[&str] = &[
    "the entity does not match its blueprint's schema: property 'replicas' must be a number",
    "upstream timeout after 30000 ms while calling the provider",
    "permission denied: the role Member may not change this resource",
    "the relation 'owner' names a team that does not exist",
    "rate limit reached, try again in 12 seconds",
    "quota of 500 pages reached for this organization",
    "conflict: the resource was changed by somebody else since it was read",
    "the runner did not report back within 10 minutes; the run was marked as failed",
];

const ENTITIES: usize = 100_000;
const ACTORS: usize = 5_000;
const ADDRESSES: usize = 20_000;
/// Indexes for the sequences of people and addresses, far from those of events.
const PEOPLE_PLACE: u64 = 1 << 60;
const ADDRESS_PLACE: u64 = 1 << 61;

const FIRST: &[&str] =
    &["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "indigo", "juniper", "kelp", "lumen"];
const SECOND: &[&str] =
    &["api", "worker", "gateway", "ledger", "search", "billing", "notifier", "scheduler", "proxy", "cache", "auth"];

/// A person or a program.
pub(crate) struct Actor {
    pub(crate) user_id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) kind: &'static str,
}

/// Everything that events refer to.
pub(crate) struct World {
    actors: Vec<Actor>,
    addresses: Vec<String>,
}

/// One of `shares`, as often as its share says.
pub(crate) fn weighted(random: &mut Random, shares: Shares) -> usize {
    let mut left = random.below(1_000);
    for (index, (_, share)) in shares.iter().enumerate() {
        if left < *share {
            return index;
        }
        left -= share;
    }
    shares.len() - 1
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let actors = (0..ACTORS).map(|number| actor(seed, number)).collect();
        let addresses = (0..ADDRESSES).map(|number| address(seed, number)).collect();
        Self { actors, addresses }
    }

    pub(crate) fn actor(&self, random: &mut Random) -> &Actor {
        &self.actors[random.zipf(self.actors.len())]
    }

    pub(crate) fn address(&self, random: &mut Random) -> &str {
        &self.addresses[random.zipf(self.addresses.len())]
    }
}

/// Writes an entity name of the blueprint with this number: its own range of all entities.
pub(crate) fn write_entity(out: &mut String, random: &mut Random, blueprint: usize) {
    let (name, share) = BLUEPRINTS[blueprint];
    let rank = random.zipf(ENTITIES * share / 1_000);
    let mut own = Random::at(blueprint as u64, rank as u64);
    for part in [name, "-", own.pick(FIRST), "-", own.pick(SECOND), "-"] {
        out.push_str(part);
    }
    push_number(out, rank);
}

fn actor(seed: u64, number: usize) -> Actor {
    let mut random = Random::at(seed, PEOPLE_PLACE + number as u64);
    let (first, second) = (random.pick(FIRST), random.pick(SECOND));
    let is_machine = random.per_mille(200);
    let user_id = format!("{:016x}", mix(random.bits()));
    Actor {
        user_id,
        name: format!("{first} {second} {number}"),
        email: format!("{first}.{second}.{number}@example.com"),
        kind: if is_machine { "service_account" } else { "user" },
    }
}

fn address(seed: u64, number: usize) -> String {
    let mut random = Random::at(seed, ADDRESS_PLACE + number as u64);
    format!("{}.{}.{}", random.pick(NETWORKS), random.below(256), random.below(256))
}

/// Writes a number in decimal. `format!` would cost as much as the rest of an event.
pub(crate) fn push_number(out: &mut String, number: usize) {
    let mut digits = [0_u8; 20];
    let (mut at, mut left) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|digit| char::from(*digit)));
}

/// Writes `digits` hexadecimal digits of `bits`.
pub(crate) fn push_hex(out: &mut String, bits: u64, digits: usize) {
    let digit = |place: usize| char::from(b"0123456789abcdef"[(bits >> (4 * place)) as usize & 15]);
    out.extend((0..digits).map(digit));
}
