//! What the writer needs to know about a kind of write.
//!
//! Each kind is one type that implements [`Job`]: appended events, changed credentials, times of last use (here), rows
//! of the index and steps of retention (in `maintenance`). The writer's thread knows none of them by name.

use tokio::sync::oneshot;

use crate::{
    index::{Index, IndexError},
    store::{
        error::WriteError,
        event::codec::BodyCodec,
        write::{batch::WriteBatch, metrics::Counters, queue::Weight},
    },
};

/// A kind of write.
pub(in crate::store) trait Job: Send + 'static {
    /// The reply if it succeeds.
    type Output: Send + 'static;
    /// The reply if it fails.
    type Error: From<WriteError> + Send + 'static;

    /// What it counts for in the queue.
    fn weight(&self) -> Weight {
        Weight::RESERVED
    }

    /// Writes in the transaction of the batch. The inner result is the reply after the commit; where it is an error,
    /// nothing was written. An outer error rolls the whole transaction back. May be called again, in another
    /// transaction, after a transaction that was not committed.
    fn apply(&self, batch: &mut WriteBatch<'_>) -> Result<Result<Self::Output, Self::Error>, IndexError>;

    /// The reply where a damaged page prevents the job, if the other jobs do not depend on it: it is then skipped, and
    /// they are committed without it. `None` fails the whole transaction.
    fn reply_to_damage(&self) -> Option<Result<Self::Output, Self::Error>> {
        None
    }

    /// Removes from the index what the committed job has deleted. Called before the events of the same transaction are
    /// published.
    fn publish_removals(&self, _output: &Self::Output, _to: &Published<'_>) {}

    /// Publishes what the committed job has added. Called after the events of the same transaction are published.
    fn publish_additions(&self, _output: &Self::Output, _to: &Published<'_>) {}
}

/// What queries and later writes use of committed jobs.
pub(in crate::store) struct Published<'w> {
    pub(in crate::store) index: &'w Index,
    pub(in crate::store) bodies: &'w BodyCodec,
    pub(in crate::store) counters: &'w Counters,
}

/// A job of any kind, with the channel to the waiting request.
pub(in crate::store) trait QueuedJob: Send {
    /// Applies the job, and keeps its result until the reply.
    fn apply(&mut self, batch: &mut WriteBatch<'_>) -> Result<(), IndexError>;
    /// Sets the reply where a damaged page prevents the job; false if the other jobs depend on it.
    fn skip(&mut self) -> bool;
    fn publish_removals(&self, to: &Published<'_>);
    fn publish_additions(&self, to: &Published<'_>);
    /// Sends the result, or `failure` instead.
    fn reply(self: Box<Self>, failure: Option<WriteError>);
}

/// A job with its result and the channel to the waiting request.
struct Reply<J: Job> {
    job: J,
    result: Option<Result<J::Output, J::Error>>,
    channel: oneshot::Sender<Result<J::Output, J::Error>>,
}

/// A reply that arrives with the commit.
pub struct Pending<T, E>(oneshot::Receiver<Result<T, E>>);

/// Makes a job ready for the queue.
pub(in crate::store) fn queued<J: Job>(job: J) -> (Box<dyn QueuedJob>, Pending<J::Output, J::Error>) {
    let (channel, receiver) = oneshot::channel();
    (Box::new(Reply { job, result: None, channel }), Pending(receiver))
}

impl<J: Job> QueuedJob for Reply<J> {
    fn apply(&mut self, batch: &mut WriteBatch<'_>) -> Result<(), IndexError> {
        self.result = Some(self.job.apply(batch)?);
        Ok(())
    }

    fn skip(&mut self) -> bool {
        self.result = self.job.reply_to_damage();
        self.result.is_some()
    }

    fn publish_removals(&self, to: &Published<'_>) {
        if let Some(Ok(output)) = &self.result {
            self.job.publish_removals(output, to);
        }
    }

    fn publish_additions(&self, to: &Published<'_>) {
        if let Some(Ok(output)) = &self.result {
            self.job.publish_additions(output, to);
        }
    }

    fn reply(self: Box<Self>, failure: Option<WriteError>) {
        let failed = Err(failure.unwrap_or(WriteError::Stopped).into());
        let result = if failure.is_some() { failed } else { self.result.unwrap_or(failed) };
        // A request that no longer waits was canceled.
        drop(self.channel.send(result));
    }
}

impl<T, E: From<WriteError>> Pending<T, E> {
    /// Waits without blocking a thread.
    pub async fn settled(self) -> Result<T, E> {
        self.0.await.unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }

    /// Blocks the thread. Not for async code.
    pub fn wait(self) -> Result<T, E> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }
}
