//! The body of an answer that is made while it is sent: what happens then still belongs to its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tracing::Span;

use crate::telemetry::requests::RequestSpan;

/// Keeps the spans of a request until the last byte of its answer, or until its caller has left.
pub(super) fn while_sent(response: Response, logged: Span, traced: RequestSpan) -> Response {
    // What is here already needs no more work.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let entered = traced.span();
    response.map(|body| Body::new(Observed { body, logged, entered, traced: Some(traced) }))
}

struct Observed {
    body: Body,
    logged: Span,
    entered: Span,
    traced: Option<RequestSpan>,
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = {
            let _traced = this.entered.enter();
            let _logged = this.logged.enter();
            Pin::new(&mut this.body).poll_frame(context)
        };
        if let Poll::Ready(None) = polled {
            this.traced = None;
            this.entered = Span::none();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
