//! Answers that are made while they are sent: each piece when the client has taken the one before it, so that memory is
//! bounded for answers of any length.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{ACCEPT_ENCODING, ContentEncoding, VARY},
    web::{self, Bytes},
};
use futures_util::{Stream, TryStreamExt, stream};

use crate::{
    http::{error::ApiError, gzip::Gzip, reading::ReadAccess},
    store::Lease,
};

/// What makes the pieces of an answer.
pub(crate) trait Pieces: Send + Sized + 'static {
    /// What the answer is, for the server log: "a list".
    const WHAT: &'static str;

    /// Makes the next piece; one that is empty is left out. `None` at the end of the answer.
    fn next(&mut self, lease: &Lease) -> Result<Option<Bytes>, ApiError>;
}

/// Answers with `first`, then all pieces. A failure breaks the connection off, so that the answer never looks complete.
pub(crate) fn respond<P: Pieces>(
    mut response: HttpResponseBuilder,
    request: &HttpRequest,
    first: Bytes,
    pieces: P,
    reading: ReadAccess,
) -> HttpResponse {
    let gzip = Gzip::for_request(request);
    if request.headers().contains_key(ACCEPT_ENCODING) {
        // Named in any case: what has no encoding yet would be given one that keeps its state between two pieces.
        response.insert_header(if gzip.is_some() { ContentEncoding::Gzip } else { ContentEncoding::Identity });
        response.append_header((VARY, "accept-encoding"));
    }
    response.streaming(send(Rest { first: Some(first), pieces: Some(pieces), gzip, reading }))
}

/// What is still to be sent.
struct Rest<P> {
    first: Option<Bytes>,
    /// None at the end.
    pieces: Option<P>,
    gzip: Option<Gzip>,
    reading: ReadAccess,
}

fn send<P: Pieces>(rest: Rest<P>) -> impl Stream<Item = Result<Bytes, ApiError>> {
    stream::try_unfold(rest, |mut rest| async move {
        loop {
            let sent = match rest.first.take() {
                Some(first) => {
                    let mut gzip = rest.gzip;
                    let encoded = web::block(move || encode(first, &mut gzip).map(|bytes| (bytes, gzip)));
                    let (bytes, gzip) = encoded.await.map_err(ApiError::internal)??;
                    rest.gzip = gzip;
                    bytes
                }
                None => match rest.pieces.take() {
                    Some(pieces) => rest.next(pieces).await?,
                    None => return Ok(None),
                },
            };
            // In a body of chunks an empty one is the end.
            if !sent.is_empty() {
                return Ok(Some((sent, rest)));
            }
        }
    })
    .inspect_err(|error| log_break(error, P::WHAT))
}

impl<P: Pieces> Rest<P> {
    /// The next bytes, or the last.
    async fn next(&mut self, mut pieces: P) -> Result<Bytes, ApiError> {
        let mut gzip = self.gzip.take();
        let next = self.reading.go_on(move |lease| {
            let piece = pieces.next(lease)?;
            let is_end = piece.is_none();
            let bytes = encode(piece.unwrap_or_default(), &mut gzip)?;
            Ok((bytes, (!is_end).then_some(pieces), gzip))
        });
        let (bytes, pieces, gzip) = next.await?;
        if pieces.is_some() {
            (self.pieces, self.gzip) = (pieces, gzip);
            return Ok(bytes);
        }
        Ok(gzip.map_or(Bytes::new(), |gzip| gzip.end().into()))
    }
}

fn encode(piece: Bytes, gzip: &mut Option<Gzip>) -> Result<Bytes, ApiError> {
    match gzip {
        Some(gzip) if !piece.is_empty() => gzip.piece(&piece).map(Bytes::from).map_err(ApiError::internal),
        _ => Ok(piece),
    }
}

/// Says in the server log that an answer broke off. That clients hang up is nothing that an operator could change.
pub(crate) fn log_break(error: &ApiError, what: &str) {
    if !error.is_of_client() {
        tracing::error!(cause = error.cause(), %error, "{what} broke off");
    }
}
