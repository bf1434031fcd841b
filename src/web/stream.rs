//! Pages in two parts: what can be shown at once, and what takes longer to compute.
//!
//! Compressed here, because the browser must receive the first part before the second exists, and a compressor holds
//! data back unless it is flushed.

use std::{future::Future, io::Write};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{ACCEPT_ENCODING, CONTENT_ENCODING},
    web::Bytes,
};
use flate2::{Compression, write::GzEncoder};
use futures_util::{StreamExt, stream};

/// Sends `first`, then the result of `rest`.
pub(super) fn two_parts(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    first: String,
    rest: impl Future<Output = String> + 'static,
) -> HttpResponse {
    let mut encoder = accepts_gzip(request).then(|| GzEncoder::new(Vec::new(), Compression::default()));
    if encoder.is_some() {
        response.insert_header((CONTENT_ENCODING, "gzip"));
    }
    let head = match &mut encoder {
        Some(encoder) => encoder.write_all(first.as_bytes()).and_then(|()| encoder.flush()).map(|()| take(encoder)),
        None => Ok(first.into()),
    };
    let tail = async move {
        let rest = rest.await;
        match encoder {
            Some(mut encoder) => encoder.write_all(rest.as_bytes()).and_then(|()| encoder.finish()).map(Bytes::from),
            None => Ok(rest.into()),
        }
    };
    response.streaming(stream::iter([head]).chain(stream::once(tail)))
}

fn take(encoder: &mut GzEncoder<Vec<u8>>) -> Bytes {
    std::mem::take(encoder.get_mut()).into()
}

fn accepts_gzip(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}
