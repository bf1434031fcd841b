//! A record of what was sent to a server and of its responses, kept outside the server and compared with its content.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{json, value::RawValue};

use super::{
    Random,
    subject::{Place, Subject},
};
use crate::{harness::eventually, wire::Connection};

/// Maximum number of events per request.
const BATCH_EVENTS_MAX: u64 = 20;
/// Events per page when all are listed.
const PAGE_EVENTS: usize = 5_000;

/// Everything that is known of one log.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) acknowledged: BTreeSet<String>,
    /// No response, or one that does not confirm storage.
    open: BTreeSet<String>,
    credentials: BTreeMap<String, Credential>,
    pub(super) resent: usize,
}

struct Credential {
    token: String,
    revoked: Revoked,
}

#[derive(PartialEq, Eq)]
enum Revoked {
    No,
    Asked,
    Yes,
}

/// The event with this identifier: always the same, with values whose bytes are easily altered in transit.
fn event(identifier: &str) -> String {
    let mut hasher = DefaultHasher::new();
    identifier.hash(&mut hasher);
    let mut random = Random::new(hasher.finish());
    let words = if random.below(24) == 0 { 600 } else { random.below(40) };
    let noise: String = (0..words).map(|_| format!("{:016x}", random.bits())).collect();
    let (entity, run) = (random.below(5), random.below(1_000));
    format!(
        r#"{{"identifier":"{identifier}","action":"UPDATE","resourceType":"entity","message":"rolled out","context":{{ "entity" : "svc-{entity}","runId":"run-{run}"}},"diff":{{"before":null,"after":{{"n": 1.0,"large":9007199254740993,"noise":"{noise}"}}}},"additionalData":[1.10, -0, 1e400, "\u0041é"]}}"#
    )
}

/// The values of an object as text.
fn values(object: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(object).unwrap()
}

/// Where to send, independent of the server, which may be gone by then.
struct Target<'t> {
    url: &'t str,
    token: &'t str,
    prefix: &'t str,
    acknowledged: AtomicUsize,
}

impl Ledger {
    /// Sends events over the given number of connections and changes credentials over one, until none of them receives
    /// a response. `end` runs concurrently and receives the count of acknowledged events.
    pub(super) fn send(
        &mut self,
        subject: &Subject,
        prefix: &str,
        connections: usize,
        end: impl FnOnce(&dyn Fn() -> usize),
    ) {
        let target = Target { url: &subject.url, token: &subject.token, prefix, acknowledged: AtomicUsize::new(0) };
        let ledger = Mutex::new(self);
        thread::scope(|scope| {
            for number in 0..connections {
                let (target, ledger) = (&target, &ledger);
                scope.spawn(move || send_events(target, number, ledger));
            }
            scope.spawn(|| change_credentials(&target, &ledger));
            end(&|| target.acknowledged.load(Ordering::Relaxed));
        });
    }

    /// The number of acknowledged events that a server does not have. The server must have nothing that was not sent,
    /// and nothing twice.
    pub(super) fn lost(&self, subject: &Subject) -> usize {
        let stored = self.stored(subject);
        self.acknowledged.iter().filter(|identifier| !stored.contains(*identifier)).count()
    }

    /// Starts a server, checks its content, and stops it. The next run then starts with a file that was stopped in
    /// order, or not.
    pub(super) fn check_after_restart(&mut self, place: &Place, random: &mut Random) {
        let mut subject = Subject::must_start(place);
        self.check(&subject);
        place.doctor();
        if random.coin() {
            subject.process.stop();
        } else {
            subject.kill();
        }
    }

    /// Everything that was acknowledged is there. The rest can be sent again and is then there too.
    pub(super) fn check(&mut self, subject: &Subject) {
        assert_eq!(self.lost(subject), 0, "events were acknowledged, and are lost");
        self.check_credentials(subject);
        for batch in Vec::from_iter(std::mem::take(&mut self.open)).chunks(200) {
            let events: Vec<_> = batch.iter().map(|identifier| event(identifier)).collect();
            eventually("room", || {
                let answer = subject.post("/v1/audit-log", &events.join("\n"));
                assert!(matches!(answer.status, 200 | 201 | 503), "{}", answer.text);
                (answer.status != 503).then_some(())
            });
            self.resent += batch.len();
            self.acknowledged.extend(batch.iter().cloned());
        }
        let count = self.stored(subject).len();
        assert_eq!(count, self.acknowledged.len());
        let stats = subject.get("/v1/audit-log/stats?facets=entity&q=rolled").json();
        let facet = stats["facets"]["entity"]["values"].as_array().unwrap();
        assert_eq!(stats["count"], count);
        assert_eq!(facet.iter().map(|value| value["count"].as_u64().unwrap()).sum::<u64>(), count as u64);
        if let Some(identifier) = self.acknowledged.last() {
            let page = subject.get(&format!("/audit-logs/{identifier}"));
            assert!(page.status == 200 && page.text.contains(identifier), "{}", page.status);
        }
    }

    /// The identifiers of all events, each equal to what was sent.
    fn stored(&self, subject: &Subject) -> BTreeSet<String> {
        #[derive(serde::Deserialize)]
        struct Page {
            audits: Vec<Box<RawValue>>,
            next: Option<String>,
            count: usize,
        }
        let (mut found, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let query = format!("/v1/audit-log?sort=received&order=asc&limit={PAGE_EVENTS}&count=true{cursor}");
            let answer = subject.get(&query);
            assert_eq!(answer.status, 200, "{}", answer.text);
            let page: Page = serde_json::from_str(&answer.text).unwrap();
            for served in &page.audits {
                let mut served = values(served.get());
                let identifier: String = serde_json::from_str(served["identifier"].get()).unwrap();
                assert!(self.acknowledged.contains(&identifier) || self.open.contains(&identifier), "{identifier}");
                for (name, sent) in values(&event(&identifier)) {
                    let kept = served.remove(&name).unwrap_or_else(|| panic!("{identifier} has no {name}"));
                    assert_eq!(kept.get(), sent.get(), "{name} of {identifier}");
                }
                assert!(found.insert(identifier.clone()), "{identifier} is stored twice");
            }
            if page.audits.len() < PAGE_EVENTS {
                assert_eq!(page.count, found.len());
                return found;
            }
            cursor = format!("&cursor={}", page.next.unwrap());
        }
    }

    /// Credentials whose creation or revocation was acknowledged are created or revoked.
    fn check_credentials(&mut self, subject: &Subject) {
        for (name, credential) in std::mem::take(&mut self.credentials) {
            let status = subject.request_as(&credential.token, "GET", "/v1/audit-log?limit=1", "").status;
            match credential.revoked {
                Revoked::No => assert_eq!(status, 200, "{name}"),
                Revoked::Yes => assert_eq!(status, 401, "{name}"),
                Revoked::Asked => assert!(matches!(status, 200 | 401), "{name}: {status}"),
            }
        }
    }
}

fn send_events(target: &Target<'_>, number: usize, ledger: &Mutex<&mut Ledger>) {
    let Ok(mut connection) = Connection::open(target.url) else { return };
    let mut random = Random::new(number as u64);
    for step in 0.. {
        let size = 1 + random.below(BATCH_EVENTS_MAX);
        let identifiers: Vec<_> = (0..size).map(|place| format!("{}-{number}-{step}-{place}", target.prefix)).collect();
        let events: Vec<_> = identifiers.iter().map(|identifier| event(identifier)).collect();
        let body = events.join("\n");
        let reply = loop {
            match connection.request("POST", "/v1/audit-log", target.token, &body) {
                // Chunks this small may fill faster than they are sealed, and a disk may be full.
                Ok(reply) if matches!(reply.status, 503 | 507) => thread::sleep(Duration::from_millis(20)),
                reply => break reply,
            }
        };
        // A rejected request may have been stored if the error came after the commit.
        let is_acknowledged = reply.as_ref().is_ok_and(|reply| matches!(reply.status, 200 | 201));
        let mut ledger = ledger.lock().unwrap();
        if is_acknowledged {
            ledger.acknowledged.extend(identifiers);
            target.acknowledged.fetch_add(usize::try_from(size).unwrap(), Ordering::Relaxed);
        } else {
            ledger.open.extend(identifiers);
        }
        drop(ledger);
        match reply {
            Ok(reply) => assert!(is_acknowledged, "{}", reply.body),
            Err(_) => return,
        }
    }
}

/// Creates credentials and revokes every second one.
fn change_credentials(target: &Target<'_>, ledger: &Mutex<&mut Ledger>) {
    let Ok(mut connection) = Connection::open(target.url) else { return };
    for step in 0.. {
        let name = format!("{}-{step}", target.prefix);
        let wanted = json!({ "name": name, "scopes": ["read"] }).to_string();
        let Ok(made) = connection.request("POST", "/v1/credentials", target.token, &wanted) else { return };
        if made.status == 201 {
            let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
            let text = |name: &str| made["credential"][name].as_str().unwrap().to_owned();
            let credential = Credential { token: text("apiToken"), revoked: Revoked::No };
            ledger.lock().unwrap().credentials.insert(name.clone(), credential);
            if step % 2 == 1 {
                let set = |revoked| ledger.lock().unwrap().credentials.get_mut(&name).unwrap().revoked = revoked;
                set(Revoked::Asked);
                let path = format!("/v1/credentials/{}", text("clientId"));
                let Ok(gone) = connection.request("DELETE", &path, target.token, "") else { return };
                if matches!(gone.status, 200 | 204) {
                    set(Revoked::Yes);
                }
            }
        }
        // A few per second, because each is a separate commit.
        thread::sleep(Duration::from_millis(50));
    }
}
