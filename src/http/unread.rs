//! Bodies that are not read to their end, or cannot be.
//!
//! A request is often refused before its body has arrived, and the body may never end. When whoever reads a chunked body
//! lets go of it, actix-http reads on by itself and throws away what comes, to use the connection again: for as long as
//! the client likes, even if nothing comes. While the reader is there, it answers, lingers for a moment so that the
//! answer is not lost, and closes. So the reader is kept until the answer is out.

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

/// Keeps each request's body until its answer is out, and has the connection know of the request. The outermost middleware.
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
        // Of a body that is made as it goes out, the library would make all of it for a HEAD too, and throw it away.
        let is_made = is_head && answer.size() == BodySize::Stream;
        let answer = if is_made { body::None::new().boxed() } else { answer };
        Answer { body: answer, _unread: unread, _turn: turn }
    }))
}

/// The answer to a request whose body has malformed chunks. The HTTP library does not answer it, and ends the connection.
pub fn malformed_chunks() -> Vec<u8> {
    let message = "body: a chunk is malformed; send the request again with chunks as RFC 9112 section 7.1 has them, or with \
                   Content-Length";
    let error = ApiError::new(MALFORMED_BODY, message);
    let body = error.to_json();
    let head = "content-type: application/json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close";
    let (status, length) = (error.status_code(), body.len());
    format!("HTTP/1.1 {status}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// The request's body for whoever reads it.
struct Shared(Rc<RefCell<Payload>>);

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Borrowed for the length of one poll only, by the one that reads.
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// An answer that keeps the body of its request, and the connection's turn.
struct Answer {
    body: BoxBody,
    _unread: Rc<RefCell<Payload>>,
    _turn: Option<Turn>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
