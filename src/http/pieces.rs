//! Answers that are made as they are sent: a piece at a time, each when the client has taken the one before it, so that
//! memory is bounded however long the answer is.

use actix_web::web::Bytes;
use futures_util::{Stream, TryStreamExt, stream};

use crate::{
    http::{ApiError, reading::Reading},
    store::Lease,
};

/// What makes the pieces of an answer.
pub(crate) trait Pieces: Send + Sized + 'static {
    /// What the answer is, for the server log: "a list".
    const WHAT: &'static str;

    /// Makes the next piece; one that is empty is left out. `None` at the end of the answer.
    fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>, ApiError>;
}

/// The answer: `first`, then all pieces. A failure breaks its connection off, so that it never looks complete.
pub(crate) fn send<P: Pieces>(
    first: Bytes,
    pieces: P,
    reading: Reading,
) -> impl Stream<Item = Result<Bytes, ApiError>> {
    let first = Some(first).filter(|first| !first.is_empty());
    stream::try_unfold((first, pieces, reading), async |(first, mut pieces, reading)| {
        if let Some(first) = first {
            return Ok(Some((first, (None, pieces, reading))));
        }
        loop {
            let (piece, left) = reading.go_on(move |lease| Ok((pieces.next(lease)?, pieces))).await?;
            match piece {
                None => return Ok(None),
                // In a body of chunks an empty one is the end.
                Some(bytes) if bytes.is_empty() => pieces = left,
                Some(bytes) => return Ok(Some((bytes, (None, left, reading)))),
            }
        }
    })
    .inspect_err(|error: &ApiError| tracing::error!(cause = error.cause(), %error, "{} broke off", P::WHAT))
}
