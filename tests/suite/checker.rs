//! Random operations on the real program, each compared with a plain model in memory.
//!
//! An episode is a server with a new file. A seed decides every operation and its order; only the moment at which a
//! kill takes effect is left to chance. A failure prints the operations that led to it, and the seed that repeats them:
//!
//! ```text
//! AUDITBOX_CHECKER_SEED=7 cargo test --test suite -- checker::random --nocapture
//! ```
//!
//! The long form runs one episode after another and prints the counts of operations at its end:
//!
//! ```text
//! AUDITBOX_CHECKER_SECONDS=3600 cargo test --test suite -- checker::random --nocapture
//! ```
//!
//! `AUDITBOX_CHECKER_WITHOUT=restore,link` leaves out operations, and `AUDITBOX_CHECKER_KEEP=DIRECTORY` copies the
//! server's directory there when an episode fails.
//!
//! | module | what it holds |
//! |---|---|
//! | `events` | the events that are sent, in several spellings |
//! | `model` | what the log should hold |
//! | `run` | episodes, and the table of operations |
//! | `writes`, `queries`, `followers`, `credentials`, `commands` | the operations |

mod commands;
mod credentials;
mod events;
mod followers;
mod model;
mod queries;
mod run;
mod writes;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use model::{Credential, Standing};
use run::{Checker, Extent};

#[test]
fn random_operations_leave_the_state_of_the_model() {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seconds = number("AUDITBOX_CHECKER_SECONDS");
    match (number("AUDITBOX_CHECKER_SEED"), seconds) {
        (Some(seed), None) => run::run(seed, Extent::Episode),
        (None, None) => run::run(1, Extent::Round),
        (seed, Some(seconds)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            run::run(seed.unwrap_or(now), Extent::Time(Duration::from_secs(seconds)));
        }
    }
}

/// A change that makes the model wrong.
type Sabotage = (&'static str, fn(&mut Checker));

#[test]
fn a_wrong_model_is_detected() {
    let sabotages: [Sabotage; 6] = [
        ("an event is missing", |checker| checker.state.lose(3)),
        ("two events have changed places", |checker| checker.state.swap(3)),
        ("a byte is another", |checker| checker.state.alter(3)),
        ("a revoked credential counts as active", |checker| checker.state.credentials[0].standing = Standing::Active),
        ("an event was dropped without a record", |checker| checker.state.dropped += 1),
        ("a follower has received nothing", Checker::forget_in_follower),
    ];
    let mut checker = Checker::new(11);
    let events: Vec<_> = (0..20).map(|_| checker.maker.named_event()).collect();
    let (token, by) = (checker.server.token.clone(), checker.admin.clone());
    checker.post_by(&token, &by, &events);
    checker.follow_list();
    let made = checker.server.post("/v1/credentials", r#"{"name":"reader","scopes":["read"]}"#).json();
    let text = |name: &str| made["credential"][name].as_str().unwrap().to_owned();
    let (client_id, token) = (text("clientId"), text("apiToken"));
    assert_eq!(
        checker.server.request_as(&checker.server.token, "DELETE", &format!("/v1/credentials/{client_id}"), "").status,
        200
    );
    let (name, scopes, standing) = ("reader".to_owned(), vec!["read"], Standing::Revoked);
    checker.state.credentials.push(Credential { name, client_id, token, scopes, standing });
    checker.compare_everything();
    for (what, sabotage) in sabotages {
        let state = checker.state.clone();
        sabotage(&mut checker);
        let compared = catch_unwind(AssertUnwindSafe(|| checker.compare_everything()));
        assert!(compared.is_err(), "{what}, and no comparison noticed");
        checker.state = state;
    }
}
