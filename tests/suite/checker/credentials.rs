//! Credentials: created, disabled, enabled and revoked, by request and by command, and what each is then allowed to do.

use std::{collections::HashSet, thread, time::Duration};

use serde_json::json;

use super::{
    model::{Credential, Standing, State},
    run::Checker,
    writes::now_micros,
};
use crate::{harness::eventually, wire::Connection};

const CREDENTIALS: usize = 7;
const SCOPES: [&[&str]; 5] = [&["read"], &["ingest"], &["ingest", "read"], &["admin"], &["ingest", "read", "admin"]];

impl Checker {
    pub(super) fn change_credential(&mut self) {
        let by_command = self.maker.percent(30);
        let places = self.changeable();
        if places.is_empty() || (places.len() < CREDENTIALS && self.maker.percent(40)) {
            self.create_credential(by_command);
            return;
        }
        let place = places[self.maker.below(places.len())];
        let (command, standing) = self.maker.pick(&[
            ("disable", Standing::Disabled),
            ("enable", Standing::Active),
            ("revoke", Standing::Revoked),
        ]);
        let Credential { name, client_id, .. } = self.state.credentials[place].clone();
        if by_command {
            let output = self.command("auditbox.db", &["credential", command, &name]);
            assert!(output.status.success(), "{output:?}");
        } else {
            let (method, path, body) = change_request(&client_id, standing);
            let answer = self.server.request_as(&self.server.token, method, &path, &body);
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
        }
        self.note(format!("{command} {name}, by command: {by_command}"));
        self.state.credentials[place].standing = standing;
        if standing == Standing::Revoked {
            self.revoked.insert(client_id);
        }
        self.await_credential(place, by_command);
    }

    /// The credentials that can still be disabled, enabled or revoked.
    fn changeable(&self) -> Vec<usize> {
        let is_changeable =
            |place: &usize| matches!(self.state.credentials[*place].standing, Standing::Active | Standing::Disabled);
        (0..self.state.credentials.len()).filter(is_changeable).collect()
    }

    /// Sends a change and does not wait for the response. The next request shows whether it took effect.
    pub(super) fn change_unheard(&mut self) -> Option<(usize, Standing)> {
        let places = self.changeable();
        if places.is_empty() || self.maker.percent(50) {
            return None;
        }
        let place = places[self.maker.below(places.len())];
        let credential = &self.state.credentials[place];
        let standing = match credential.standing {
            Standing::Active if self.step.is_multiple_of(2) => Standing::Revoked,
            Standing::Active => Standing::Disabled,
            _ => Standing::Active,
        };
        let (method, path, body) = change_request(&credential.client_id, standing);
        let mut connection = Connection::open(&self.server.url).unwrap();
        let token = &self.server.token;
        let length = body.len();
        connection
            .send(&format!(
                "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .unwrap();
        let pause = Duration::from_micros(self.maker.random.below(8_000));
        thread::sleep(pause);
        self.note(format!("credential {place} may have become {standing:?} in {pause:?}"));
        Some((place, standing))
    }

    /// Determines whether a change with a lost response took effect.
    pub(super) fn learn_standing(&mut self, place: usize, standing: Standing) {
        let credential = self.state.credentials[place].clone();
        let is_closed = self.read_status(&credential) == 401;
        if is_closed != (credential.standing == Standing::Disabled) {
            self.state.credentials[place].standing = standing;
            if standing == Standing::Revoked {
                self.revoked.insert(credential.client_id);
            }
            self.note("it has");
        }
    }

    fn create_credential(&mut self, by_command: bool) {
        let (name, scopes) = (format!("credential-{}", self.step), self.maker.pick(&SCOPES));
        if by_command {
            let arguments = ["credential", "create", "--name", &name, "--scope", &scopes.join(",")];
            let output = self.command("auditbox.db", &arguments);
            assert!(output.status.success(), "{output:?}");
            self.know_credential(&name, scopes, &String::from_utf8(output.stdout).unwrap());
        } else {
            let answer = self.server.post("/v1/credentials", &json!({ "name": name, "scopes": scopes }).to_string());
            assert_eq!(answer.status, 201, "{}", answer.text);
            let made = &answer.json()["credential"];
            let text = |name: &str| made[name].as_str().unwrap().to_owned();
            let (client_id, token) = (text("clientId"), text("apiToken"));
            let (scopes, standing) = (scopes.to_vec(), Standing::Active);
            self.state.credentials.push(Credential { name: name.clone(), client_id, token, scopes, standing });
        }
        self.note(format!("{name} may {scopes:?}, by command: {by_command}"));
        self.await_credential(self.state.credentials.len() - 1, by_command);
    }

    /// A change by request applies at once; a change by a command applies soon after.
    fn await_credential(&self, place: usize, by_command: bool) {
        let credential = &self.state.credentials[place];
        let expected = credential.status("read", 200);
        let is_so = || (self.read_status(credential) == expected).then_some(());
        if by_command {
            eventually("a change by a command while the server runs", is_so);
        } else {
            assert!(is_so().is_some(), "{credential:?} does not get {expected}");
        }
    }

    fn read_status(&self, credential: &Credential) -> u16 {
        self.server.request_as(&credential.token, "GET", "/v1/audit-log?limit=1", "").status
    }

    /// Sends requests with each of the credentials.
    pub(super) fn use_credentials(&mut self) {
        for place in 0..self.state.credentials.len() {
            let credential = self.state.credentials[place].clone();
            let status = self.read_status(&credential);
            if credential.standing == Standing::Unclear {
                assert!(matches!(status, 200 | 401 | 403), "{credential:?}: {status}");
                // The standing must not change from now on.
                let standing = if status == 401 { Standing::Revoked } else { Standing::Active };
                self.state.credentials[place].standing = standing;
                continue;
            }
            assert_eq!(status, credential.status("read", 200), "{credential:?} reads");
            if self.maker.percent(30) {
                let answer = self.server.request_as(&credential.token, "GET", "/v1/credentials", "");
                assert_eq!(answer.status, credential.status("admin", 200), "{credential:?} manages");
            }
            if credential.status("ingest", 201) == 201 {
                let event = self.maker.event();
                self.post_by(&credential.token, &credential.name, &[event]);
            } else {
                let (event, since) = (self.maker.event(), now_micros());
                let answer = self.server.request_as(&credential.token, "POST", "/v1/audit-log", &event.text);
                assert_eq!(answer.status, credential.status("ingest", 201), "{credential:?} sends");
                self.absorb(Vec::new(), "", since);
            }
        }
    }

    /// The credentials of a state that replaces the present one. Credentials that were revoked or disabled since then
    /// stay so, unless the file was copied back by hand.
    pub(super) fn credentials_after_restore(&self, restored: &State, by_hand: bool) -> Vec<Credential> {
        let present = |one: &Credential| self.state.credentials.iter().find(|other| other.client_id == one.client_id);
        let mut credentials = restored.credentials.clone();
        for credential in &mut credentials {
            let now = present(credential).map(|now| now.standing);
            credential.standing = match (credential.standing, now) {
                (_, Some(Standing::Revoked)) if !by_hand => Standing::Revoked,
                // It was revoked in a log that has since been replaced by a copy.
                (Standing::Active | Standing::Disabled, _) if self.revoked.contains(&credential.client_id) => {
                    Standing::Unclear
                }
                (Standing::Active, Some(Standing::Disabled)) if !by_hand => Standing::Disabled,
                (standing, _) => standing,
            };
        }
        let known: HashSet<_> = credentials.iter().map(|one| one.client_id.clone()).collect();
        let gone = self.state.credentials.iter().filter(|one| !known.contains(&one.client_id));
        credentials.extend(gone.map(|one| {
            let standing = match one.standing {
                Standing::Revoked | Standing::Disabled if !by_hand => one.standing,
                _ => Standing::Absent,
            };
            Credential { standing, ..one.clone() }
        }));
        credentials
    }
}

/// The request that gives a credential this standing.
fn change_request(client_id: &str, standing: Standing) -> (&'static str, String, String) {
    let (method, body) = match standing {
        Standing::Revoked => ("DELETE", String::new()),
        _ => ("PATCH", json!({ "disabled": standing == Standing::Disabled }).to_string()),
    };
    (method, format!("/v1/credentials/{client_id}"), body)
}
