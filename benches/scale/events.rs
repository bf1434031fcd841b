//! Realistic events of about a kilobyte, generated as fast as they can be sent.
//!
//! Event n is a function of the plan and n only. Threads can therefore share the work, a loaded file can be queried
//! about events that were not kept, and every system receives the same events. Late events (2 %) are up to three days
//! behind their neighbors.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Builder;

use crate::{
    random::{Random, mix},
    world::{
        ACTIONS, Actor, BLUEPRINTS, MESSAGES, ORIGINS, RESOURCES, World, push_hex, push_number, weighted, write_entity,
    },
};

const SPAN_MICROS: i64 = 90 * 86_400 * 1_000_000;
const LATE_MICROS_MAX: usize = 3 * 86_400 * 1_000_000;
const EVENTS_PER_RUN: u64 = 5;

/// The parameters that determine every event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Events spread over the ninety days before `end_micros`; further ones follow a millisecond apart.
    pub(crate) size: u64,
    pub(crate) end_micros: i64,
}

/// An event and its filterable values. Reused for the next event, so that nothing is allocated.
#[derive(Default)]
pub(crate) struct Event {
    pub(crate) micros: i64,
    pub(crate) entity: String,
    pub(crate) blueprint: &'static str,
    pub(crate) run: String,
    pub(crate) origin: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) action: &'static str,
    pub(crate) status: &'static str,
    pub(crate) actor: String,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status_code: &'static str,
    pub(crate) ip: String,
    pub(crate) body: String,
}

/// Generates events.
pub(crate) struct Maker {
    pub(crate) plan: Plan,
    world: World,
}

impl Plan {
    pub(crate) fn ending_now(seed: u64, size: u64) -> Self {
        Self { seed, size, end_micros: Timestamp::now().as_microsecond() }
    }

    /// The time of event `number` if it is not late.
    fn micros(&self, number: u64) -> i64 {
        if number >= self.size {
            return self.end_micros + (number - self.size) as i64 * 1_000;
        }
        let share = i128::from(SPAN_MICROS) * i128::from(number) / i128::from(self.size);
        self.end_micros - SPAN_MICROS + share as i64
    }
}

impl Maker {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { world: World::new(plan.seed), plan }
    }

    /// Generates event `number`.
    pub(crate) fn make(&self, number: u64, event: &mut Event) {
        let mut random = Random::at(self.plan.seed, number);
        let actor = self.fill(number, &mut random, event);
        event.write_body(&mut random, actor);
    }

    /// Fills everything except the body; returns the actor.
    fn fill(&self, number: u64, random: &mut Random, event: &mut Event) -> &Actor {
        let late = if random.per_mille(20) { random.below(LATE_MICROS_MAX) as i64 } else { 0 };
        event.micros = self.plan.micros(number) - late;
        let blueprint = weighted(random, BLUEPRINTS);
        event.blueprint = BLUEPRINTS[blueprint].0;
        event.entity.clear();
        write_entity(&mut event.entity, random, blueprint);
        event.run.clear();
        event.run.push_str("r_");
        push_hex(&mut event.run, mix(self.plan.seed ^ mix(number / EVENTS_PER_RUN)), 16);
        event.origin = ORIGINS[weighted(random, ORIGINS)].0;
        event.resource = RESOURCES[weighted(random, RESOURCES)].0;
        event.action = ACTIONS[weighted(random, ACTIONS)].0;
        event.method = method(event.action, random);
        let failed = random.per_mille(30);
        event.status = if failed { "FAILURE" } else { "SUCCESS" };
        event.status_code = status_code(event.method, failed, random);
        event.write_path(random);
        event.ip.clear();
        event.ip.push_str(self.world.address(random));
        let actor = self.world.actor(random);
        event.actor.clear();
        event.actor.push_str(&actor.user_id);
        actor
    }
}

fn method(action: &str, random: &mut Random) -> &'static str {
    match action {
        "READ" => "GET",
        "UPDATE" => random.pick(&["PATCH", "PATCH", "PUT"]),
        "DELETE" => "DELETE",
        _ => "POST",
    }
}

fn status_code(method: &str, failed: bool, random: &mut Random) -> &'static str {
    match (failed, method) {
        (true, _) => random.pick(&["400", "401", "403", "403", "404", "409", "422", "422", "429", "500", "502", "504"]),
        (false, "POST") => "201",
        (false, "DELETE") => "204",
        (false, _) => "200",
    }
}

/// Appends texts.
macro_rules! push {
    ($out:expr, $($part:expr),+) => {{ $( $out.push_str($part); )+ }};
}

impl Event {
    /// The values in the order of the plain tables' columns.
    pub(crate) fn columns(&self) -> [&str; 12] {
        [
            &self.entity,
            self.blueprint,
            &self.run,
            self.origin,
            self.resource,
            self.action,
            self.status,
            &self.actor,
            self.method,
            &self.path,
            self.status_code,
            &self.ip,
        ]
    }

    fn write_path(&mut self, random: &mut Random) {
        let path = &mut self.path;
        path.clear();
        match random.below(10) {
            0..=5 => push!(path, "/v1/blueprints/", self.blueprint, "/entities/", &self.entity),
            6 | 7 => push!(path, "/v1/actions/runs/", &self.run),
            8 => push!(path, "/v1/", self.resource, "s"),
            _ => push!(path, "/v1/blueprints/", self.blueprint, "/scorecards"),
        }
    }

    fn write_body(&mut self, random: &mut Random, actor: &Actor) {
        let mut out = std::mem::take(&mut self.body);
        out.clear();
        push!(out, "{\"identifier\":\"");
        push_uuid(&mut out, random);
        push!(out, "\",\"action\":\"", self.action, "\",\"resourceType\":\"", self.resource);
        push!(out, "\",\"status\":\"", self.status, "\"");
        if self.status == "FAILURE" {
            push!(out, ",\"message\":\"", random.pick(MESSAGES), "\"");
        }
        push!(out, ",\"trigger\":{\"at\":\"");
        push_time(&mut out, self.micros);
        push!(out, "\",\"origin\":\"", self.origin, "\",\"by\":{\"userId\":\"", &actor.user_id);
        push!(out, "\",\"orgId\":\"org_7Hq2\",\"type\":\"", actor.kind, "\",\"name\":\"", &actor.name);
        push!(out, "\",\"email\":\"", &actor.email, "\"}},\"context\":{\"entity\":\"", &self.entity);
        push!(out, "\",\"blueprint\":\"", self.blueprint, "\",\"runId\":\"", &self.run);
        push!(out, "\"},\"request\":{\"method\":\"", self.method, "\",\"path\":\"", &self.path);
        push!(out, "\",\"statusCode\":", self.status_code, ",\"ip\":\"", &self.ip);
        push!(out, "\",\"userAgent\":\"", random.pick(AGENTS), "\"}");
        self.write_diff(&mut out, random);
        push!(out, ",\"additionalData\":{\"traceId\":\"");
        push_hex(&mut out, random.bits(), 16);
        push!(out, "\",\"durationMs\":");
        push_number(&mut out, random.zipf(30_000));
        push!(out, "}}");
        self.body = out;
    }

    fn write_diff(&self, out: &mut String, random: &mut Random) {
        let (before, after) = match self.action {
            "READ" | "LOGIN" => return self.write_query(out, random),
            "CREATE" => (false, true),
            "DELETE" => (true, false),
            _ => (true, true),
        };
        let kept = random.bits();
        push!(out, ",\"diff\":{\"before\":");
        let mut state = |is_there: bool, out: &mut String| {
            if is_there {
                self.write_state(out, &mut Random::at(kept, 0), random);
            } else {
                push!(out, "null");
            }
        };
        state(before, out);
        push!(out, ",\"after\":");
        state(after, out);
        push!(out, "}");
    }

    /// A state of the entity. Values from `kept` are equal before and after.
    fn write_state(&self, out: &mut String, kept: &mut Random, changed: &mut Random) {
        push!(out, "{\"identifier\":\"", &self.entity, "\",\"properties\":{\"tier\":\"", kept.pick(TIERS));
        push!(out, "\",\"language\":\"", kept.pick(LANGUAGES), "\",\"lifecycle\":\"", changed.pick(LIFECYCLES));
        push!(out, "\",\"replicas\":");
        push_number(out, changed.below(12));
        push!(out, ",\"version\":\"1.");
        push_number(out, changed.below(60));
        push!(out, ".");
        push_number(out, changed.below(20));
        push!(out, "\",\"commit\":\"");
        push_hex(out, changed.bits(), 16);
        push!(out, "\"},\"relations\":{\"environment\":\"", kept.pick(&["production", "staging", "development"]));
        push!(out, "\",\"owner\":\"team-");
        push_number(out, kept.below(60));
        push!(out, "\"}}");
    }

    /// The parameters of a read request.
    fn write_query(&self, out: &mut String, random: &mut Random) {
        push!(out, ",\"query\":{\"rules\":[{\"property\":\"$blueprint\",\"operator\":\"=\",\"value\":\"");
        push!(out, self.blueprint, "\"},{\"property\":\"lifecycle\",\"operator\":\"!=\",\"value\":\"");
        push!(out, random.pick(LIFECYCLES), "\"},{\"property\":\"tier\",\"operator\":\"in\",\"value\":[\"");
        push!(out, random.pick(TIERS), "\",\"", random.pick(TIERS), "\"]}],\"combinator\":\"and\",\"include\":[");
        push!(out, "\"$identifier\",\"$title\",\"$team\",\"lifecycle\",\"tier\",\"version\"],\"limit\":");
        push_number(out, 10 * (1 + random.below(20)));
        push!(out, ",\"found\":");
        push_number(out, random.zipf(5_000));
        push!(out, "}");
    }
}

fn push_uuid(out: &mut String, random: &mut Random) {
    let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    out.push_str(Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().hyphenated().encode_lower(&mut text));
}

fn push_time(out: &mut String, micros: i64) {
    use std::fmt::Write as _;
    write!(out, "{:.6}", Timestamp::from_microsecond(micros).unwrap()).unwrap();
}

const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    "terraform-provider/2.0.3 Terraform/1.8.5",
    "python-requests/2.32.3",
    "github-exporter/1.4.0 ocean/0.9.12",
];
const TIERS: &[&str] = &["mission-critical", "customer-facing", "internal", "experimental"];
const LANGUAGES: &[&str] = &["Rust", "Go", "TypeScript", "Python", "Java", "Kotlin"];
const LIFECYCLES: &[&str] = &["production", "deprecated", "experimental", "sunset", "beta"];
