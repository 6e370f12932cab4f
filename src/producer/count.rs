//! Counts the bytes that the connection takes of a message, and proves when it took none.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::{Body, Chunks};

const UNTOUCHED: u8 = 0;
const BEGUN: u8 = 1;
const SHUT: u8 = 2;

/// The evidence of one call, shared by the caller and the connection that sends.
///
/// hyper takes the head of a request and asks for the first chunk of its body before it writes
/// either. So a body that was never asked for means a head that was never written.
#[derive(Debug, Clone, Default)]
pub(super) struct Count(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    gate: AtomicU8,
    taken: AtomicU64,
    own_failure: AtomicBool,
}

impl Count {
    /// Sets up the count of `body`.
    pub(super) fn over(body: Body) -> (Self, Counted) {
        let count = Self::default();
        let (left, source) = match body {
            Body::Whole(bytes) => {
                (u64::try_from(bytes.len()).unwrap_or(u64::MAX), Source::Whole(Some(bytes)))
            }
            Body::Stream { bytes, chunks } => (bytes, Source::Stream(Mutex::new(chunks))),
        };
        if left == 0 {
            // Nothing will be asked for, so nothing can be proved.
            count.0.gate.store(BEGUN, Ordering::SeqCst);
        }
        (count.clone(), Counted { count, left, source })
    }

    /// Bytes taken so far. At most these have come to the producer.
    pub(super) fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::SeqCst)
    }

    /// Whether it was our own message that broke off.
    pub(super) fn own_failure(&self) -> bool {
        self.0.own_failure.load(Ordering::SeqCst)
    }

    /// Refuses the body to a connection that has not yet begun to take it. Whether none had: from
    /// then on it is certain that nothing is sent.
    pub(super) fn shut(&self) -> bool {
        self.0
            .gate
            .compare_exchange(UNTOUCHED, SHUT, Ordering::SeqCst, Ordering::SeqCst)
            .map_or_else(|found| found == SHUT, |_| true)
    }

    fn begin(&self) -> io::Result<()> {
        match self.0.gate.compare_exchange(UNTOUCHED, BEGUN, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) | Err(BEGUN) => Ok(()),
            Err(_) => Err(io::Error::other("the call was given up before it began")),
        }
    }
}

/// A body that is counted while it is taken.
#[derive(Debug)]
pub(super) struct Counted {
    count: Count,
    left: u64,
    source: Source,
}

enum Source {
    Whole(Option<Bytes>),
    // The lock is never contended: it only makes the stream `Sync`, which the client asks for.
    Stream(Mutex<Chunks>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole",
            Self::Stream(_) => "Stream",
        })
    }
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().filter(|b| !b.is_empty()).map(Ok)),
            Self::Stream(chunks) => match chunks.get_mut() {
                Ok(chunks) => chunks.as_mut().poll_next(cx),
                Err(_) => Poll::Ready(Some(Err(io::Error::other("the message is lost")))),
            },
        }
    }
}

impl Counted {
    fn fail(&self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        self.count.0.own_failure.store(true, Ordering::SeqCst);
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for Counted {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let polled = this.source.poll(cx);
        // A message whose very first chunk cannot be read leaves the gate untouched: the
        // connection is given up before its head is written.
        if let Poll::Ready(Some(Err(error))) = polled {
            return this.fail(error);
        }
        if let Err(error) = this.count.begin() {
            return Poll::Ready(Some(Err(error)));
        }
        match polled {
            Poll::Ready(Some(Ok(chunk))) => {
                let bytes = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                let Some(left) = this.left.checked_sub(bytes) else {
                    return this.fail(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the message is longer than its stated length",
                    ));
                };
                this.left = left;
                this.count.0.taken.fetch_add(bytes, Ordering::SeqCst);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(None) if this.left > 0 => this.fail(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the message ended {} bytes before its stated length", this.left),
            )),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => this.fail(error),
            Poll::Pending => Poll::Pending,
        }
    }
}
