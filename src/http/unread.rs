//! Bodies that are not read to their end, or cannot be.
//!
//! A request is often rejected before its body has arrived, and the body may never end. When the reader of a chunked body
//! is dropped, actix-http reads and discards the rest, to reuse the connection, for as long as the client keeps it open.
//! While the reader exists, actix-http instead responds, waits a moment so that the response is not lost, and closes. The
//! reader is therefore kept until the response is sent.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{self, BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::Method,
    middleware::Next,
    web::Bytes,
};
use futures_util::Stream;

use crate::http::{
    connections::{Connection, Turn},
    error::{ApiError, MALFORMED_BODY},
};

/// Keeps each request's body until its response is sent, and registers the request with its connection. The outermost
/// middleware.
pub async fn keep_unread<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let unread = Rc::new(RefCell::new(request.take_payload()));
    request.set_payload(Payload::Stream { payload: Box::pin(Shared(Rc::clone(&unread))) });
    let is_head = request.method() == Method::HEAD;
    let has_chunks = request.chunked().unwrap_or(false);
    let turn = Connection::of(request.request()).map(|connection| connection.begin(has_chunks));
    let response = next.call(request).await?;
    if let Some(turn) = &turn {
        turn.has_answer();
    }
    Ok(response.map_into_boxed_body().map_body(|_, answer| {
        // For HEAD, actix-http would produce a streamed body in full and discard it.
        let is_made = is_head && answer.size() == BodySize::Stream;
        let answer = if is_made { body::None::new().boxed() } else { answer };
        KeptResponse { body: answer, _unread: unread, _turn: turn }
    }))
}

/// The response to a request whose body has malformed chunks. actix-http closes the connection without one.
pub fn malformed_chunks() -> Vec<u8> {
    let message = "body: a chunk is malformed; send the request again with chunks as RFC 9112 section 7.1 has them, or with \
                   Content-Length";
    let error = ApiError::new(MALFORMED_BODY, message);
    let body = error.to_json();
    let head = "content-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close";
    let (status, length) = (error.status_code(), body.len());
    format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The request's body, shared with its reader.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Borrowed only during a poll, by the reader.
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// A response that keeps its request's body and the connection's turn.
struct KeptResponse {
    body: BoxBody,
    _unread: Rc<RefCell<Payload>>,
    _turn: Option<Turn>,
}

impl MessageBody for KeptResponse {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
