//! The actors and their addresses.
//!
//! These actors do not exist. People are named by their role and have addresses at `example.com` and `example.org` (RFC
//! 2606), and IP addresses reserved for documentation (RFC 5737, RFC 3849) or private networks (RFC 1918).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::testdata::{
    random::{Random, mix, scale},
    writer::EventWriter,
};

/// The areas that an actor works on: bits, which the kinds of things refer to.
pub(super) mod work {
    pub(in crate::testdata) const PEOPLE: u8 = 1;
    pub(in crate::testdata) const CODE: u8 = 2;
    pub(in crate::testdata) const INFRASTRUCTURE: u8 = 4;
    pub(in crate::testdata) const WORKLOADS: u8 = 8;
    pub(in crate::testdata) const DELIVERY: u8 = 16;
    pub(in crate::testdata) const AUTOMATION: u8 = 32;
    /// Every set of areas that an actor has.
    pub(in crate::testdata) const ALL: [u8; 6] = [PEOPLE, CODE, INFRASTRUCTURE, WORKLOADS, DELIVERY, AUTOMATION];
}

/// A person or a program.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) name: &'static str,
    /// `user`, `service_account`, `token` or `system`.
    pub(super) kind: &'static str,
    /// The domain of the e-mail address, for actors who have one.
    domain: Option<&'static str>,
    /// The origin of their events.
    pub(super) origin: &'static str,
    pub(super) user_agent: &'static str,
    /// One of [`work::ALL`].
    pub(super) work: u8,
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const OTHER_BROWSER: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15";
const COMMAND_LINE: &str = "portal-cli/2.14.0 (linux; amd64)";

/// The number of people, who come first in [`ACTORS`].
const PEOPLE: usize = 30;

/// All actors, the busiest of each type first.
pub(super) const ACTORS: [Actor; 42] = [
    person("platform-oncall", BROWSER),
    person("release-manager", OTHER_BROWSER),
    person("platform-lead", BROWSER),
    person("backend-developer-1", OTHER_BROWSER),
    person("backend-developer-2", BROWSER),
    person("site-reliability-1", BROWSER),
    person("frontend-developer-1", OTHER_BROWSER),
    person("data-engineer-1", BROWSER),
    scripted("site-reliability-2"),
    person("backend-developer-3", BROWSER),
    person("product-manager-1", OTHER_BROWSER),
    person("security-officer", BROWSER),
    person("frontend-developer-2", BROWSER),
    scripted("database-administrator"),
    person("backend-developer-4", OTHER_BROWSER),
    person("engineering-manager-1", OTHER_BROWSER),
    contractor("mobile-contractor-1", BROWSER),
    person("quality-engineer-1", BROWSER),
    person("data-engineer-2", OTHER_BROWSER),
    person("incident-commander", BROWSER),
    person("data-intern-1", BROWSER),
    contractor("network-contractor-1", BROWSER),
    person("support-engineer-1", OTHER_BROWSER),
    person("product-manager-2", BROWSER),
    person("data-intern-2", BROWSER),
    person("engineering-manager-2", OTHER_BROWSER),
    contractor("audit-contractor-1", OTHER_BROWSER),
    person("support-engineer-2", BROWSER),
    person("finance-analyst", OTHER_BROWSER),
    person("workplace-admin", BROWSER),
    service("kubernetes-exporter", "Kubernetes exporter", "kubernetes-exporter/0.9.4", work::WORKLOADS),
    service("ci-deployer", "API", "portal-cli/2.14.0 (ci; amd64)", work::DELIVERY),
    service("github-exporter", "GitHub", "github-exporter/3.2.1", work::CODE),
    service("terraform-sync", "Terraform", "Terraform/1.9.2 (+https://example.com/provider)", work::INFRASTRUCTURE),
    machine("automation-engine", "system", "Automation", "automation-engine/5", work::AUTOMATION),
    service("gitops-controller", "Kubernetes exporter", "gitops-controller/2.11", work::WORKLOADS),
    machine("ci-deploy-token", "token", "API", "curl/8.5.0", work::DELIVERY),
    service("backup-runner", "API", "backup-runner/1.3", work::INFRASTRUCTURE),
    machine("reporting-token", "token", "API", "python-requests/2.32.3", work::DELIVERY),
    service("certificate-renewer", "Kubernetes exporter", "certificate-renewer/1.15", work::WORKLOADS),
    service("dependency-updater", "GitHub", "dependency-updater/37.1", work::CODE),
    machine("grafana-token", "token", "API", "Grafana/11.1.0", work::DELIVERY),
];

/// Tokens that only [`crate::testdata::stories`] uses: everyday events must not continue with a revoked token.
const STORY_TOKENS: [Actor; 2] = [
    machine("legacy-deploy-token", "token", "API", "curl/8.5.0", work::DELIVERY),
    machine("vendor-reporting-token", "token", "API", "python-requests/2.32.3", work::DELIVERY),
];

const fn person(name: &'static str, user_agent: &'static str) -> Actor {
    Actor { name, kind: "user", domain: Some("example.com"), origin: "UI", user_agent, work: work::PEOPLE }
}

const fn contractor(name: &'static str, user_agent: &'static str) -> Actor {
    Actor { domain: Some("example.org"), ..person(name, user_agent) }
}

/// A person who prefers the command line to the pages.
const fn scripted(name: &'static str) -> Actor {
    Actor { origin: "API", ..person(name, COMMAND_LINE) }
}

const fn service(name: &'static str, origin: &'static str, user_agent: &'static str, work: u8) -> Actor {
    Actor { name, kind: "service_account", domain: Some("example.com"), origin, user_agent, work }
}

const fn machine(
    name: &'static str,
    kind: &'static str,
    origin: &'static str,
    user_agent: &'static str,
    work: u8,
) -> Actor {
    Actor { name, kind, domain: None, origin, user_agent, work }
}

/// The index in [`ACTORS`] of a random actor: a person if `person` is set.
pub(super) fn choose(random: &mut Random, person: bool) -> usize {
    if person { random.zipf(PEOPLE) } else { PEOPLE + random.zipf(ACTORS.len() - PEOPLE) }
}

/// The actor named `name`, or the first one.
pub(super) fn called(name: &str) -> &'static Actor {
    ACTORS.iter().chain(&STORY_TOKENS).find(|actor| actor.name == name).unwrap_or(&ACTORS[0])
}

impl Actor {
    /// The actor's id, which does not depend on the seed.
    pub(super) fn user_id(&self) -> String {
        let hash = self.name.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        format!("usr_{:012x}", hash >> 16)
    }

    pub(super) fn email(&self) -> Option<String> {
        self.domain.map(|domain| format!("{}@{domain}", self.name))
    }

    /// One of the actor's addresses, mostly the same one.
    pub(super) fn address(&self, random: &mut Random) -> IpAddr {
        let own = self.name.bytes().fold(1, |hash, byte| mix(hash ^ u64::from(byte)));
        let [host, a, b, c, ..] = own.to_be_bytes();
        if self.work != work::PEOPLE {
            // Machines run in pods that come and go. Tokens are used from a few hosts outside.
            let [b, c, d, ..] = mix(own ^ random.zipf(4_096) as u64).to_be_bytes();
            return match self.kind {
                "token" => Ipv4Addr::new(192, 0, 2, 10 + b % 40).into(),
                _ => Ipv4Addr::new(10, b % 32, c, d).into(),
            };
        }
        match random.zipf(6) {
            // The office, then home, then elsewhere.
            0 => Ipv4Addr::new(203, 0, 113, 10 + host % 8).into(),
            1 | 2 => Ipv4Addr::new(198, 51, 100, 1 + host % 250).into(),
            3 => Ipv6Addr::new(0x2001, 0xdb8, u16::from(a), u16::from(b), 0, 0, 0, u16::from(c) + 1).into(),
            _ => Ipv4Addr::new(203, 0, 113, 20 + u8::try_from(scale(random.bits(), 200)).unwrap_or(0)).into(),
        }
    }
}

/// Writes `trigger.by` with a known id.
pub(super) fn write_by(json: &mut EventWriter, actor: &Actor, user_id: &str) {
    json.open("by");
    json.text("userId", user_id);
    json.text("orgId", "org_example");
    json.text("type", actor.kind);
    json.text("name", actor.name);
    if let Some(domain) = actor.domain {
        json.joined("email", &[actor.name, "@", domain]);
    }
    json.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_stand_first_and_ids_are_distinct() {
        let people = ACTORS.iter().take_while(|actor| actor.work == work::PEOPLE).count();
        assert_eq!(people, PEOPLE);
        assert!(ACTORS[PEOPLE..].iter().all(|actor| actor.work != work::PEOPLE && work::ALL.contains(&actor.work)));
        let mut ids: Vec<String> = ACTORS.iter().map(Actor::user_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ACTORS.len());
    }
}
