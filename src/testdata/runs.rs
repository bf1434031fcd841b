//! Runs of actions: started by an actor for a service, and ended some events later.

use crate::{
    model::timestamp::Timestamp,
    testdata::{inventory::Subject, random::Random, writer::EventWriter},
};

const ACTIONS: [&str; 6] =
    ["scaffold_service", "restart_workload", "promote_release", "rotate_secret", "resize_datastore", "open_preview"];

/// A run in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorkflowRun {
    pub(super) number: u64,
    pub(super) subject: Subject,
    /// Index of the actor who started it.
    pub(super) actor: usize,
    begun: Timestamp,
    action: &'static str,
}

impl WorkflowRun {
    pub(super) fn begin(random: &mut Random, subject: Subject, begun: Timestamp, actor: usize) -> Self {
        Self { number: random.bits(), subject, actor, begun, action: random.pick(&ACTIONS) }
    }

    /// Writes the run under `key`; for an ended run, with the end and the reason of a failure. `name` and `user_id` are
    /// those of its subject and its actor.
    pub(super) fn write(
        &self,
        json: &mut EventWriter,
        key: &str,
        name: &str,
        user_id: &str,
        ended: Option<(Timestamp, Option<&str>)>,
    ) {
        json.open(key);
        json.plain("id", format_args!("r_{:016x}", self.number));
        let status = match ended {
            None => "IN_PROGRESS",
            Some((_, None)) => "SUCCESS",
            Some((_, Some(_))) => "FAILURE",
        };
        json.text("status", status);
        json.open("action");
        json.text("identifier", self.action);
        json.open("invocationMethod");
        json.text("type", "WORKFLOW");
        json.joined("workflow", &["workflows/", self.action, ".yaml"]);
        json.text("branch", "main");
        json.close();
        json.close();
        json.open("inputs");
        json.text("service", name);
        json.text("environment", ["production", "staging", "preview"][self.subject.rank % 3]);
        json.literal("dryRun", self.number.is_multiple_of(9));
        json.close();
        json.plain("createdAt", self.begun);
        json.text("createdBy", user_id);
        if let Some((at, failure)) = ended {
            json.plain("endedAt", at);
            json.text("summary", failure.unwrap_or("All steps done"));
        }
        json.close();
    }
}
