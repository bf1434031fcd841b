//! `demo`: the server on a temporary file with synthetic events.

use clap::Args;

use crate::{
    cli::{failure::Failure, output::Output, serve},
    config::Config,
    model::{
        event::{EventDraft, Receipt, Sender},
        limits::EventLimits,
        timestamp::Timestamp,
    },
    store::{Policy, Store},
    testdata::Generator,
};

/// The range of the events' times: 30 days, in seconds.
const SPAN_SECONDS: i64 = 30 * 24 * 60 * 60;
const BATCH_EVENTS: usize = 500;
/// The value of the events' `receivedBy`.
const RECEIVED_BY: &str = "demo";

/// Run the server on a temporary file with synthetic events of the last 30 days
#[derive(Args)]
#[command(after_help = "Example:\n  auditbox demo --events 20000")]
pub(super) struct DemoArguments {
    /// Number of events
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    events: u64,
    /// Seed of the generator; the same seed gives the same events
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Fills a file in a temporary directory, serves it, and deletes it at the end.
pub(super) fn run(mut config: Config, arguments: &DemoArguments, out: &mut Output) -> Result<(), Failure> {
    let start = serve::Start::prepare(&config)?;
    let directory = tempfile::Builder::new().prefix("auditbox-demo-").tempdir()?;
    config.database.path = directory.path().join("demo.db");
    let store = serve::open(&config)?;
    fill(&store, arguments)?;
    let events = arguments.events;
    out.line(format_args!("{events} synthetic events of the last 30 days; the file is deleted when the server stops"));
    serve::start_log(&config)?;
    serve::serve(&config, start, store, out)
}

fn fill(store: &Store, arguments: &DemoArguments) -> Result<(), Failure> {
    let now = Timestamp::now();
    let (mut preparer, mut waiting) = (store.writer.preparer(), 0);
    let mut events = Generator::new(arguments.seed, arguments.events, now, SPAN_SECONDS).peekable();
    while let Some(text) = events.next() {
        let draft = EventDraft::parse(&text, &EventLimits::default(), Sender::Client)?;
        // Each event is received at its own time.
        let receipt = Receipt { at: draft.happened_at().unwrap_or(now), by: RECEIVED_BY };
        preparer.add(draft.accept(&receipt));
        waiting += 1;
        if waiting == BATCH_EVENTS || events.peek().is_none() {
            store.writer.wait_for_room();
            store.writer.append(preparer.finish(), Policy::AllOrNothing)?.wait()?;
            waiting = 0;
        }
    }
    Ok(())
}
