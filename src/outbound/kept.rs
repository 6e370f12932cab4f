//! The unused connections to one producer, and how many calls it has.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::client::conn::http1::SendRequest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::Settings;
use crate::limits;
use crate::listen::Body;

/// What is kept for one producer.
#[derive(Debug)]
pub(super) struct Kept {
    unused: Mutex<Vec<(Instant, SendRequest<Body>)>>,
    calls: Arc<Semaphore>,
    idle_time: Duration,
}

impl Kept {
    pub(super) fn new(settings: &Settings) -> Arc<Self> {
        let kept = Arc::new(Self {
            unused: Mutex::default(),
            calls: Arc::new(Semaphore::new(settings.calls_max)),
            idle_time: settings.idle_time,
        });
        tokio::spawn(close_unused(Arc::downgrade(&kept), settings.idle_time));
        kept
    }

    /// A place for one call; `None` where all are taken.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.calls).try_acquire_owned().ok()
    }

    /// A connection that seems to be open, the one used last before others.
    pub(super) fn take(&self) -> Option<SendRequest<Body>> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((since, sender)) = unused.pop() {
            if since.elapsed() < self.idle_time && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    /// Keeps a connection as soon as its answer has been read to the end.
    pub(super) fn take_back(self: &Arc<Self>, mut sender: SendRequest<Body>) {
        let kept = Arc::downgrade(self);
        tokio::spawn(async move {
            if sender.ready().await.is_ok()
                && let Some(kept) = kept.upgrade()
            {
                kept.keep(sender);
            }
        });
    }

    fn keep(&self, sender: SendRequest<Body>) {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        if unused.len() < limits::PRODUCER_IDLE_CONNECTIONS_MAX {
            unused.push((Instant::now(), sender));
        }
    }

    fn forget_old(&self) {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.retain(|(since, sender)| since.elapsed() < self.idle_time && sender.is_ready());
    }
}

async fn close_unused(kept: Weak<Kept>, idle_time: Duration) {
    loop {
        sleep(idle_time / 2).await;
        let Some(kept) = kept.upgrade() else { return };
        kept.forget_old();
    }
}
