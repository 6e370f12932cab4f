//! The body of an answer while it arrives, within the producer's time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Patience, Trouble};

/// The body of an answer. The call is in progress until it is dropped.
#[derive(Debug)]
pub struct Answer {
    inner: Incoming,
    patience: Arc<Patience>,
    deadline: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Answer {
    pub(super) const fn new(
        inner: Incoming,
        patience: Arc<Patience>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        Self { inner, patience, deadline: None, _place: place }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Trouble;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Trouble>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            // Until the next is asked for, it is the caller who is waited for.
            this.patience.pause();
            this.deadline = None;
            return Poll::Ready(frame.map(|it| it.map_err(Trouble::lost)));
        }
        this.patience.resume();
        let deadline = this
            .deadline
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + this.patience.left())));
        deadline.as_mut().poll(cx).map(|()| Some(Err(Trouble::Timeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
