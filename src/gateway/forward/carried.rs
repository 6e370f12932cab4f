//! The body of a message that is passed on: read from its caller as fast as the producer takes it.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::change::Change;
use crate::gateway::line::Counts;
use crate::gateway::opening::{LeftOver, Opening, body_refusal};
use crate::gateway::refusal::Refusal;
use crate::limits;
use crate::listen::{BodyError, BoxError, Pace};
use crate::outbound::Patience;

/// Why the caller's message did not come whole, for the one who waits for the producer.
pub(super) type Failure = Arc<Mutex<Option<Refusal>>>;

/// The body of a request while it passes.
#[derive(Debug)]
pub(super) struct Carried {
    /// Read before, not yet changed.
    read: VecDeque<Bytes>,
    /// Changed, not yet sent.
    ready: VecDeque<Bytes>,
    rest: Option<Incoming>,
    /// Takes `rest` where the producer did not.
    left_over: LeftOver,
    left: u64,
    change: Change,
    ended: bool,
    /// Of what is sent, where it is known.
    length: Option<u64>,
    /// Since when the caller is waited for, and until when.
    idle: Option<(Instant, Pin<Box<Sleep>>)>,
    pace: Pace,
    patience: Arc<Patience>,
    failure: Failure,
    counts: Arc<Counts>,
}

impl Carried {
    pub(super) fn new(
        opening: Opening,
        change: Change,
        patience: Arc<Patience>,
        counts: Arc<Counts>,
    ) -> Self {
        let length = opening.length.filter(|_| change.is_nothing());
        let (rest, left, pace, left_over) = opening.rest.into_parts();
        Self {
            read: opening.read,
            ready: VecDeque::new(),
            rest,
            left_over,
            left,
            change,
            ended: false,
            length,
            idle: None,
            pace,
            patience,
            failure: Arc::default(),
            counts,
        }
    }

    pub(super) fn failure(&self) -> Failure {
        Arc::clone(&self.failure)
    }

    /// Finds out the length where it is not known, by reading up to [`limits::HELD_BYTES_MAX`]: most
    /// messages end before that, and not every producer takes one in chunks.
    pub(super) async fn settle(&mut self) -> Result<(), Refusal> {
        if self.length.is_some() {
            return Ok(());
        }
        let (mut held, mut bytes) = (VecDeque::new(), 0);
        while bytes < limits::HELD_BYTES_MAX {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Some(chunk) => {
                    let chunk = chunk?;
                    bytes += chunk.len();
                    held.push_back(chunk);
                }
                None => {
                    self.length = u64::try_from(bytes).ok();
                    break;
                }
            }
        }
        self.ready = held;
        Ok(())
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        if let Some(chunk) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let changed = match self.poll_read(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => self.change.push(chunk),
                Poll::Ready(Some(Err(error))) => Err(body_refusal(error)),
                Poll::Ready(None) => {
                    self.ended = true;
                    self.change.finish()
                }
            };
            match changed {
                Ok(chunk) if chunk.is_empty() => {}
                other => return Poll::Ready(Some(other)),
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(chunk) = self.read.pop_front() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        loop {
            match Pin::new(&mut *rest).poll_frame(cx) {
                Poll::Pending => {
                    self.patience.pause();
                    // Counted from here: while nothing was asked for, nothing was owed.
                    let (_, idle) = self.idle.get_or_insert_with(|| {
                        let now = Instant::now();
                        (now, Box::pin(sleep_until(now + self.pace.patience())))
                    });
                    return idle.as_mut().poll(cx).map(|()| Some(Err(self.pace.late())));
                }
                Poll::Ready(frame) => {
                    self.patience.resume();
                    let waited = self.idle.take().map(|(since, _)| since.elapsed());
                    let Some(frame) = frame else {
                        self.rest = None;
                        return Poll::Ready(None);
                    };
                    let frame = match frame {
                        Ok(frame) => frame,
                        Err(error) => return Poll::Ready(Some(Err(BodyError::Broken(error)))),
                    };
                    // Trailers say nothing that a producer needs.
                    let Ok(data) = frame.into_data() else { continue };
                    let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    let Some(left) = self.left.checked_sub(bytes) else {
                        return Poll::Ready(Some(Err(BodyError::TooLarge(self.left))));
                    };
                    self.left = left;
                    Counts::add(&self.counts.into, data.len());
                    self.pace.came(data.len(), waited.unwrap_or_default());
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.left_over.give(self.rest.take());
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        this.poll_next(cx).map(|next| {
            next.map(|chunk| match chunk {
                Ok(chunk) => Ok(Frame::data(chunk)),
                Err(refusal) => {
                    let told = refusal.to_string();
                    this.ended = true;
                    *this.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
                    Err(told.into())
                }
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.ready.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
