//! Everyday events: an actor does something to a thing, mostly with success.

use crate::{
    model::timestamp::Timestamp,
    testdata::{
        actors::{self, ACTORS, Actor, work},
        clock::Moment,
        inventory::{self, Inventory, Subject},
        kinds::{KINDS, SERVICES, Style},
        random::{Random, mix},
        runs::WorkflowRun,
        words::{READ_FAILURES, REFUSALS, REQUEST_FAILURES, RUN_FAILURES},
        writer::EventWriter,
    },
};

/// Failures per thousand events.
const FAILURES_PER_MILLE: usize = 30;
/// Late events per thousand events without a diff. Events with a diff are never late, so that a thing's changes are in
/// order; altogether about 2 % are late.
const LATE_PER_MILLE: usize = 50;
/// Maximum delay.
const LATE_MINUTES_MAX: usize = 6 * 60;
/// Per thousand events of a person, those that are followed by another event of the same person.
const SAME_PERSON_PER_MILLE: usize = 400;
/// Per thousand requests about an existing thing, those that only read it.
const READS_PER_MILLE: usize = 760;
/// Deleted things are rare, and never among the busiest of their kind.
const DELETED_PER_MILLE: usize = 60;
const KEPT_RANKS: usize = 12;
/// Maximum number of runs in progress.
const OPEN_RUNS_MAX: usize = 24;
/// Initial capacity for an event; most fit.
const EVENT_BYTES: usize = 2_048;

/// Generates everyday events.
#[derive(Debug)]
pub(super) struct Workshop {
    inventory: Inventory,
    begin: Timestamp,
    open_runs: Vec<WorkflowRun>,
    /// The person who acted last.
    last_person: usize,
    /// For each set of work, the sum of the weights of the kinds that it touches.
    kinds_of: [(u8, usize); work::ALL.len()],
    /// A buffer for names.
    name: String,
}

/// The event that is being generated.
struct Draft<'a> {
    identifier: u64,
    at: Timestamp,
    actor: usize,
    failed: bool,
    random: &'a mut Random,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Create,
    Update,
    Delete,
}

/// A request: method, action, the end of its path, and the status code of a success.
type Call = (&'static str, &'static str, &'static str, u16);

const READS: [Call; 5] = [
    ("GET", "READ", "", 200),
    ("GET", "READ", "/logs?tail=500", 200),
    ("GET", "READ", "/metrics?window=1h", 200),
    ("GET", "READ", "/revisions", 200),
    ("GET", "LIST", "?page=2", 200),
];
const UPDATES: [Call; 5] = [
    ("PATCH", "UPDATE", "", 200),
    ("POST", "DEPLOY", "/deployments", 202),
    ("POST", "SCALE", "/scale", 202),
    ("PUT", "UPDATE", "/settings", 200),
    ("POST", "ROLLBACK", "/rollbacks", 202),
];
const CREATION: Call = ("POST", "CREATE", "", 201);
const DELETION: Call = ("DELETE", "DELETE", "", 204);

impl Workshop {
    pub(super) fn new(seed: u64, things: usize, begin: Timestamp) -> Self {
        let user_ids = ACTORS.iter().map(Actor::user_id).collect();
        let weight_of = |work: u8| KINDS.iter().filter(|kind| kind.work & work != 0).map(|kind| kind.weight).sum();
        Self {
            inventory: Inventory::new(seed, things, begin, user_ids),
            begin,
            open_runs: Vec::with_capacity(OPEN_RUNS_MAX),
            last_person: 0,
            kinds_of: work::ALL.map(|work| (work, weight_of(work))),
            name: String::new(),
        }
    }

    /// The next everyday event.
    pub(super) fn event(&mut self, random: &mut Random, identifier: u64, moment: Moment) -> String {
        let person = random.unit() <= moment.people_share;
        let actor = self.choose_actor(random, person);
        let kind = self.choose_kind(random, ACTORS[actor].work);
        let failed = random.per_mille(FAILURES_PER_MILLE);
        let mut draft = Draft { identifier, at: moment.at, actor, failed, random };
        match KINDS[kind].style {
            Style::Change => self.change(&mut draft, kind),
            Style::Request => self.request(&mut draft, kind),
            Style::Run => self.run(draft),
            Style::Delivery | Style::Sync if draft.random.per_mille(200) => self.change(&mut draft, kind),
            Style::Delivery | Style::Sync => self.exchange(&mut draft, kind),
        }
    }

    fn choose_actor(&mut self, random: &mut Random, person: bool) -> usize {
        if !person {
            return actors::choose(random, false);
        }
        if !random.per_mille(SAME_PERSON_PER_MILLE) {
            self.last_person = actors::choose(random, true);
        }
        self.last_person
    }

    fn choose_kind(&self, random: &mut Random, work: u8) -> usize {
        let total = self.kinds_of.iter().find(|(other, _)| *other == work).map_or(0, |(_, total)| *total);
        let mut left = random.below(total);
        for (place, kind) in KINDS.iter().enumerate().filter(|(_, kind)| kind.work & work != 0) {
            if left < kind.weight {
                return place;
            }
            left -= kind.weight;
        }
        SERVICES
    }

    /// A change of the catalog.
    fn change(&mut self, draft: &mut Draft<'_>, kind: usize) -> String {
        // Some changes to services are made by a run.
        let run = match self.open_runs.last() {
            Some(run) if kind == SERVICES && draft.random.per_mille(150) => Some(*run),
            _ => None,
        };
        let subject = run.map_or_else(|| self.inventory.choose(draft.random, kind), |run| run.subject);
        let change = self.choose_change(draft.random, subject);
        let action = match change {
            Change::Create => "CREATE",
            Change::Update => "UPDATE",
            Change::Delete => "DELETE",
        };
        let mut json = draft.begin(action, KINDS[kind].resource_type);
        if draft.failed {
            json.text("message", draft.random.pick(&REFUSALS));
        }
        draft.write_trigger(&mut json, draft.at, self.inventory.user_id(draft.actor));
        inventory::write_name(subject, &mut self.name);
        draft.write_context(&mut json, kind, &self.name, run);
        if draft.failed {
            draft.write_details(&mut json);
            return json.finish();
        }
        self.write_diff(&mut json, draft, subject, change);
        draft.write_details(&mut json);
        json.finish()
    }

    fn choose_change(&self, random: &mut Random, subject: Subject) -> Change {
        if !self.inventory.exists(subject) {
            Change::Create
        } else if subject.rank >= KEPT_RANKS && random.per_mille(DELETED_PER_MILLE) {
            Change::Delete
        } else {
            Change::Update
        }
    }

    /// Applies the change and writes before and after. The thing's name is in the buffer.
    fn write_diff(&mut self, json: &mut EventWriter, draft: &mut Draft<'_>, subject: Subject, change: Change) {
        json.open("diff");
        if change == Change::Create {
            json.literal("before", "null");
        } else {
            self.inventory.write(json, "before", subject, &self.name);
        }
        match change {
            Change::Create => self.inventory.create(subject, draft.at, draft.actor),
            Change::Update => self.inventory.update(draft.random, subject, draft.at, draft.actor),
            Change::Delete => self.inventory.delete(subject),
        }
        if change == Change::Delete {
            json.literal("after", "null");
        } else {
            self.inventory.write(json, "after", subject, &self.name);
        }
        json.close();
    }

    /// A request to the deployment platform.
    fn request(&mut self, draft: &mut Draft<'_>, kind: usize) -> String {
        let subject = self.inventory.choose(draft.random, kind);
        let reads = self.inventory.exists(subject) && draft.random.per_mille(READS_PER_MILLE);
        let change = if reads { None } else { Some(self.choose_change(draft.random, subject)) };
        let call = match change {
            None => draft.random.pick(&READS),
            Some(Change::Update) => draft.random.pick(&UPDATES),
            Some(Change::Create) => CREATION,
            Some(Change::Delete) => DELETION,
        };
        let refusals = if change.is_none() { &REQUEST_FAILURES[..READ_FAILURES] } else { &REQUEST_FAILURES };
        let refusal = if draft.failed { Some(draft.random.pick(refusals)) } else { None };
        let at = if change.is_none() { draft.perhaps_late(self.begin) } else { draft.at };
        let mut json = draft.begin(call.1, KINDS[kind].resource_type);
        if let Some((_, message)) = refusal {
            json.text("message", message);
        }
        draft.write_trigger(&mut json, at, self.inventory.user_id(draft.actor));
        inventory::write_name(subject, &mut self.name);
        let project = subject.rank % 6 + 1;
        json.open("context");
        // A list concerns no particular entity.
        if call.1 != "LIST" {
            json.text("entity", &self.name);
        }
        json.plain("projectId", project);
        json.close();
        self.write_request(&mut json, draft, subject, call, refusal.map_or(call.3, |(code, _)| code));
        if let (Some(change), None) = (change, refusal) {
            self.write_diff(&mut json, draft, subject, change);
        }
        draft.write_details(&mut json);
        json.finish()
    }

    fn write_request(
        &self,
        json: &mut EventWriter,
        draft: &mut Draft<'_>,
        subject: Subject,
        call: Call,
        status_code: u16,
    ) {
        let (method, _, end, _) = call;
        let actor = &ACTORS[draft.actor];
        let resource_type = KINDS[subject.kind].resource_type;
        // Both are digits: no name is longer than its number.
        let (project, cluster) = ((subject.rank % 6 + 1).to_string(), (subject.rank % 4 + 1).to_string());
        json.open("request");
        json.text("method", method);
        // Lists and creations address the collection.
        let collection = call == CREATION || call.1 == "LIST";
        let (slash, name) = if collection { ("", "") } else { ("/", self.name.as_str()) };
        let parts = ["/api/projects/", &project, "/clusters/", &cluster, "/", resource_type, "s", slash, name, end];
        json.joined("path", &parts);
        json.literal("statusCode", status_code);
        json.plain("ip", actor.address(draft.random));
        json.text("userAgent", actor.user_agent);
        json.plain("requestId", format_args!("req_{:016x}", mix(draft.identifier)));
        json.literal("durationMs", 4 + draft.identifier % 611);
        json.close();
    }

    /// Starts a run, or ends one that is in progress.
    fn run(&mut self, draft: Draft<'_>) -> String {
        let begins = self.open_runs.is_empty() || (self.open_runs.len() < OPEN_RUNS_MAX && draft.random.per_mille(500));
        let run = if begins {
            let subject = self.inventory.choose(draft.random, SERVICES);
            let run = WorkflowRun::begin(draft.random, subject, draft.at, draft.actor);
            self.open_runs.push(run);
            run
        } else {
            self.open_runs.swap_remove(draft.random.below(self.open_runs.len()))
        };
        // The actor who started a run is also named at its end. Starting a run does not fail.
        let draft = Draft { actor: run.actor, failed: draft.failed && !begins, ..draft };
        let user_id = self.inventory.user_id(draft.actor);
        let mut json = draft.begin(if begins { "CREATE" } else { "UPDATE" }, "run");
        let failure = draft.failed.then(|| draft.random.pick(&RUN_FAILURES));
        if let Some(message) = failure {
            json.text("message", message);
        }
        draft.write_trigger(&mut json, draft.at, user_id);
        inventory::write_name(run.subject, &mut self.name);
        draft.write_context(&mut json, SERVICES, &self.name, Some(run));
        json.open("diff");
        if begins {
            json.literal("before", "null");
            run.write(&mut json, "after", &self.name, user_id, None);
        } else {
            run.write(&mut json, "before", &self.name, user_id, None);
            run.write(&mut json, "after", &self.name, user_id, Some((draft.at, failure)));
        }
        json.close();
        json.finish()
    }

    /// A delivery to a webhook, or a synchronization of an integration.
    fn exchange(&mut self, draft: &mut Draft<'_>, kind: usize) -> String {
        let subject = self.inventory.choose(draft.random, kind);
        let at = draft.perhaps_late(self.begin);
        let action = if KINDS[kind].style == Style::Delivery { "DELIVER" } else { "RESYNC" };
        let mut json = draft.begin(action, KINDS[kind].resource_type);
        if draft.failed {
            json.text("message", draft.random.pick(&REFUSALS));
        }
        draft.write_trigger(&mut json, at, self.inventory.user_id(draft.actor));
        inventory::write_name(subject, &mut self.name);
        draft.write_context(&mut json, kind, &self.name, None);
        json.open("additionalData");
        json.literal("attempt", 1 + draft.random.below(2));
        json.plain("delivery", format_args!("{:016x}", draft.random.bits()));
        json.open("summary");
        for outcome in ["created", "updated", "deleted", "unchanged", "skipped"] {
            json.literal(outcome, draft.random.zipf(200));
        }
        json.close();
        json.joined("source", &["https://git.example.com/portal/", &self.name, "/hooks"]);
        json.literal("durationMs", 20 + draft.random.zipf(4_000));
        json.close();
        json.finish()
    }
}

impl Draft<'_> {
    fn begin(&self, action: &str, resource_type: &str) -> EventWriter {
        let mut json = EventWriter::new(EVENT_BYTES);
        json.plain("identifier", format_args!("evt_{:016x}", self.identifier));
        json.text("action", action);
        json.text("resourceType", resource_type);
        json.text("status", if self.failed { "FAILURE" } else { "SUCCESS" });
        json
    }

    fn write_trigger(&self, json: &mut EventWriter, at: Timestamp, user_id: &str) {
        let actor = &ACTORS[self.actor];
        json.open("trigger");
        json.plain("at", at);
        json.text("origin", actor.origin);
        actors::write_by(json, actor, user_id);
        json.close();
    }

    fn write_context(&self, json: &mut EventWriter, kind: usize, name: &str, run: Option<WorkflowRun>) {
        let (kind, actor) = (&KINDS[kind], &ACTORS[self.actor]);
        json.open("context");
        match kind.style {
            Style::Delivery => {
                json.text("webhookId", name);
                json.plain("webhookEventId", format_args!("wev_{:016x}", mix(!self.identifier)));
            }
            Style::Sync => json.text("integrationId", name),
            _ if kind.resource_type == "blueprint" => json.text("blueprint", name),
            _ => {
                json.text("entity", name);
                json.text("blueprint", kind.blueprint);
                if actor.kind == "service_account" && actor.origin != "API" {
                    json.text("integrationId", actor.name);
                }
            }
        }
        if let Some(run) = run {
            json.plain("runId", format_args!("r_{:016x}", run.number));
            json.text("actionType", if actor.work == work::PEOPLE { "self-service" } else { "automation" });
        }
        json.close();
    }

    /// Additional data of the sender.
    fn write_details(&self, json: &mut EventWriter) {
        let number = mix(self.identifier ^ 1);
        json.open("additionalData");
        json.plain("traceId", format_args!("{number:016x}{:016x}", mix(number)));
        if ACTORS[self.actor].work == work::CODE {
            json.plain("commit", format_args!("{:016x}{number:016x}{:08x}", mix(number), number >> 32));
            json.text("branch", "main");
        }
        json.text("region", ["eu-west-1", "us-east-1"][usize::from(number.is_multiple_of(5))]);
        json.close();
    }

    /// The event's time: occasionally up to some hours in the past, mostly minutes.
    fn perhaps_late(&mut self, begin: Timestamp) -> Timestamp {
        if !self.random.per_mille(LATE_PER_MILLE) {
            return self.at;
        }
        let minutes = 1 + self.random.zipf(LATE_MINUTES_MAX);
        let seconds = i64::try_from(60 * minutes + self.random.below(60)).unwrap_or(0);
        self.at.plus_seconds(-seconds).max(begin)
    }
}
