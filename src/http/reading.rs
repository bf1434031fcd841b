//! How handlers query the file: each query waits for its turn, has a deadline, and ends when its client is gone.
//!
//! Waiting costs no thread. A new query waits for a few seconds and is then refused, so that its client hears soon that the
//! server is busy; an answer that is being sent waits as long as it takes, since breaking it off would waste all of it.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use tokio::time::{sleep, timeout};

use crate::{
    http::{Context, caller::Caller, connections::Connection, error::ApiError},
    model::{cancel::Cancel, credential::ClientId},
    platform,
    store::{Lease, ReadError, Reader},
};

/// How long a new query waits for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// How often we check that the client of a running query is still there.
const CLIENT_POLL: Duration = Duration::from_millis(250);

/// One request's access to the file.
#[derive(Clone)]
pub(crate) struct ReadAccess {
    reader: Reader,
    /// Whose share of the readers its queries use.
    holder: ClientId,
    /// How long one query may take.
    within: Duration,
    connection: Option<Connection>,
}

impl Context {
    /// What a request by `caller` reads with.
    pub(crate) fn reading(&self, caller: &Caller, request: &HttpRequest) -> ReadAccess {
        ReadAccess {
            reader: self.reader.clone(),
            holder: caller.credential().client_id.clone(),
            within: self.query_within,
            connection: Connection::of(request),
        }
    }
}

impl ReadAccess {
    /// Runs the query that an answer begins with.
    pub(crate) async fn begin<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Lease) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = async {
            let turn = timeout(TURN_WITHIN, self.reader.lease(&self.holder)).await;
            turn.unwrap_or(Err(ReadError::Overloaded))
        };
        self.run(turn, query).await
    }

    /// Runs a query for an answer that has begun.
    pub(crate) async fn go_on<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Lease) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run(self.reader.lease(&self.holder), query).await
    }

    /// Waits for the query's turn and runs it, unless its client hangs up before it is answered.
    async fn run<T: Send + 'static>(
        &self,
        turn: impl Future<Output = Result<Lease, ReadError>>,
        query: impl FnOnce(&Lease) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let answered = async {
            let lease = turn.await?;
            let cancel = Cancel::within(self.within);
            // Where this future is dropped, the thread would go on without it.
            let _guard = cancel.when_dropped();
            let lease = lease.bounded(cancel);
            let query = move || {
                platform::thread::lower_priority();
                query(&lease)
            };
            web::block(query).await.map_err(ApiError::internal)?
        };
        tokio::select! {
            answer = answered => answer,
            () = self.hung_up() => Err(ReadError::Abandoned.into()),
        }
    }

    async fn hung_up(&self) {
        loop {
            sleep(CLIENT_POLL).await;
            if self.connection.as_ref().is_some_and(Connection::is_hung_up) {
                return;
            }
        }
    }
}
