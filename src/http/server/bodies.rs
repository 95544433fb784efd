//! Wrappers of request and response bodies that report their end to the connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connections::{Activity, UnderWay};

/// The body of a request; reports when it has been received.
pub(super) struct Receiving {
    body: Incoming,
    /// Until it is received.
    activity: Option<Arc<Activity>>,
}

impl Receiving {
    pub(super) fn new(body: Incoming, activity: &Arc<Activity>) -> Self {
        let is_coming = !body.is_end_stream();
        if is_coming {
            activity.receive();
        }
        Self { body, activity: is_coming.then(|| activity.clone()) }
    }

    fn received(&mut self) {
        if let Some(activity) = self.activity.take() {
            activity.received();
        }
    }
}

impl HttpBody for Receiving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.received();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.received();
    }
}

/// The body of an answer; reports when it has been handed over.
pub(super) struct Watched {
    body: Body,
    _under_way: UnderWay,
}

impl Watched {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
