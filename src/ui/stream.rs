//! Sends a page in two parts: the first at once, the second when it is computed.
//!
//! This module compresses the page itself and flushes the compressor after the first part. A general compressor would
//! hold the first part back until the second exists.

use std::{future::Future, io};

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header::CONTENT_ENCODING, web::Bytes};
use futures_util::{StreamExt, stream};

use crate::http::gzip::Gzip;

/// Sends `first`, then the result of `rest`.
pub(super) fn two_parts(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    first: String,
    rest: impl Future<Output = String> + 'static,
) -> HttpResponse {
    let mut gzip = Gzip::for_request(request);
    if gzip.is_some() {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    let head = match &mut gzip {
        Some(gzip) => gzip.piece(first.as_bytes()).map(Bytes::from),
        None => Ok(first.into()),
    };
    let tail = async move {
        let rest = rest.await;
        match gzip {
            Some(mut gzip) => {
                let rest = gzip.piece(rest.as_bytes())?;
                Ok::<_, io::Error>([rest, gzip.end()].concat().into())
            }
            None => Ok(rest.into()),
        }
    };
    response.streaming(stream::iter([head]).chain(stream::once(tail)))
}
