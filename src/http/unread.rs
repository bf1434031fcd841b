//! Bodies that nobody reads to their end.
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
    Error, HttpMessage,
    body::{self, BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::Method,
    middleware::Next,
    web::Bytes,
};
use futures_util::Stream;

/// Keeps each request's body until its answer is out. Stands around everything else.
pub async fn keep_unread<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let unread = Rc::new(RefCell::new(request.take_payload()));
    request.set_payload(Payload::Stream { payload: Box::pin(Shared(Rc::clone(&unread))) });
    let is_head = request.method() == Method::HEAD;
    let response = next.call(request).await?;
    Ok(response.map_into_boxed_body().map_body(|_, answer| {
        // Of a body that is made as it goes out, the library would make all of it for a HEAD too, and throw it away.
        let is_made = is_head && answer.size() == BodySize::Stream;
        let answer = if is_made { body::None::new().boxed() } else { answer };
        Answer { answer, _body: unread }
    }))
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

/// An answer that holds on to the body of its request.
struct Answer {
    answer: BoxBody,
    _body: Rc<RefCell<Payload>>,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}
