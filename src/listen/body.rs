//! Reading a request's body, bounded in bytes and in patience.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::limits;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The sender gave nothing for too long.
    #[error("the sender gave nothing of the body for {} seconds", .0.as_secs())]
    Stalled(Duration),
    /// The sender gave something now and then, and too little of it.
    #[error("the sender is too slow: {bytes} bytes of the body in {} seconds", .waited.as_secs())]
    Slow {
        /// What had come.
        bytes: u64,
        /// How long it was waited for.
        waited: Duration,
    },
    /// More bytes than agreed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// The connection broke, or the transfer coding is wrong.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// How fast a sender gives its body, and so how long it is waited for. Only the time counts in which
/// we wait: one who is slowed down by us, or by a producer, is not slow.
#[derive(Debug, Default)]
pub struct Pace {
    bytes: u64,
    waited: Duration,
}

impl Pace {
    /// How long to wait for the next part: [`limits::BODY_IDLE_TIME_MAX`], or less for one who has
    /// given less than [`limits::BODY_BYTES_PER_SECOND_MIN`].
    #[must_use]
    pub fn patience(&self) -> Duration {
        let earned = Duration::from_secs(self.bytes / limits::BODY_BYTES_PER_SECOND_MIN);
        let most = limits::BODY_IDLE_TIME_MAX;
        earned.saturating_add(most).saturating_sub(self.waited).min(most)
    }

    /// So many bytes came after a wait.
    pub fn came(&mut self, bytes: usize, waited: Duration) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.waited = self.waited.saturating_add(waited);
    }

    /// Why it is waited no longer, once [`Self::patience`] has passed.
    #[must_use]
    pub fn late(&self) -> BodyError {
        let patience = self.patience();
        if patience == limits::BODY_IDLE_TIME_MAX {
            BodyError::Stalled(patience)
        } else {
            BodyError::Slow { bytes: self.bytes, waited: self.waited.saturating_add(patience) }
        }
    }
}

/// The next bytes of `body`, waiting at most [`limits::BODY_IDLE_TIME_MAX`]; `None` at its end.
/// `left` is what may still come and is counted down.
///
/// # Errors
/// When the sender stalls, sends more than `left`, or breaks off. Read no further then.
pub async fn next_chunk(body: &mut Incoming, left: &mut u64) -> Result<Option<Bytes>, BodyError> {
    next_chunk_within(body, left, limits::BODY_IDLE_TIME_MAX).await
}

/// [`next_chunk`] with another wait.
///
/// # Errors
/// As [`next_chunk`].
pub async fn next_chunk_within(
    body: &mut Incoming,
    left: &mut u64,
    patience: Duration,
) -> Result<Option<Bytes>, BodyError> {
    loop {
        let Ok(frame) = timeout(patience, body.frame()).await else {
            return Err(BodyError::Stalled(patience));
        };
        let Some(frame) = frame else { return Ok(None) };
        // Trailers say nothing that we need.
        let Ok(data) = frame.map_err(BodyError::Broken)?.into_data() else { continue };
        *left = take(*left, &data)?;
        if !data.is_empty() {
            return Ok(Some(data));
        }
    }
}

fn take(left: u64, data: &Bytes) -> Result<u64, BodyError> {
    let size = u64::try_from(data.len()).unwrap_or(u64::MAX);
    left.checked_sub(size).ok_or(BodyError::TooLarge(left))
}

/// A body to pass on as it arrives, with the bounds of [`next_chunk`].
#[derive(Debug)]
pub struct TimedBody {
    inner: Incoming,
    most: u64,
    left: u64,
    patience: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl TimedBody {
    /// At most `most` bytes of `inner`, a wait of at most [`limits::BODY_IDLE_TIME_MAX`] for each
    /// part of it.
    #[must_use]
    pub fn new(inner: Incoming, most: u64) -> Self {
        Self::with_patience(inner, most, limits::BODY_IDLE_TIME_MAX)
    }

    /// The same with a wait of `patience`.
    #[must_use]
    pub fn with_patience(inner: Incoming, most: u64, patience: Duration) -> Self {
        let deadline = Box::pin(sleep_until(Instant::now() + patience));
        Self { inner, most, left: most, patience, deadline }
    }
}

impl Body for TimedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Pending => match this.deadline.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::Stalled(this.patience)))),
            },
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Broken(error)))),
            Poll::Ready(Some(Ok(frame))) => {
                this.deadline.as_mut().reset(Instant::now() + this.patience);
                if let Some(data) = frame.data_ref() {
                    match take(this.left, data) {
                        Ok(left) => this.left = left,
                        Err(_) => {
                            return Poll::Ready(Some(Err(BodyError::TooLarge(this.most))));
                        }
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
