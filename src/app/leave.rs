//! Leaving the doors and the store to another process, and coming back when it is not there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::handover::{Successor, Waiting};
use super::{Parts, Running, StartError, desk, run, stored};
use crate::cases::Cases;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::limits;
use crate::routing::Current;
use crate::spans::Spans;
use crate::store::engine::StoreError;

/// Between two tries to open the store of a process that is just ending, and how many.
const TRY_AGAIN: Duration = Duration::from_millis(100);
const TRIES: u32 = 50;

/// What a hand-over came to.
#[derive(Debug)]
pub enum HandedOver {
    /// The other process has everything but the calls that are still passed on.
    Left(Lasting),
    /// The other process is no more; this one goes on as it was.
    Back(Box<Running>),
}

/// Calls that are passed on and last longer than the hand-over.
#[derive(Debug)]
pub struct Lasting {
    doors: TaskTracker,
    spans: Option<Spans>,
}

impl Lasting {
    /// Waits for their end, at most [`limits::LEAVE_TIME_MAX`].
    pub async fn ended(&self) {
        self.doors.wait().await;
    }

    /// Exports the last spans, for at most [`limits::SPANS_STOP_TIME_MAX`].
    pub async fn stop(self) {
        stop_spans(self.spans).await;
        tracing::info!("stopped");
    }
}

/// Exports the spans that are left.
pub(super) async fn stop_spans(spans: Option<Spans>) {
    if let Some(spans) = spans
        && let Err(error) = tokio::task::spawn_blocking(move || spans.stop()).await
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

/// Lets another process ask for the doors. A gateway that cannot be taken over runs all the same.
pub(super) fn wait_in(store: &Path) -> Option<Waiting> {
    match Waiting::open(store) {
        Ok(waiting) => Some(waiting),
        Err(error) => {
            tracing::warn!(%error, "no other process can take over: its socket cannot be made");
            None
        }
    }
}

/// Opens a store whose process is ending.
pub(super) async fn open_store_soon(
    config: &Config,
    routing: &Current,
    clock: &Arc<dyn Clock>,
) -> Result<Cases, StartError> {
    for _ in 1..TRIES {
        match stored::open(config, routing, clock) {
            Err(StartError::Store(StoreError::InUse { .. })) => sleep(TRY_AGAIN).await,
            other => return other,
        }
    }
    stored::open(config, routing, clock)
}

impl Running {
    /// Waits until another process has the listening sockets and wants the store.
    pub async fn successor(&self) -> Successor {
        match &self.waiting {
            Some(waiting) => waiting.asked(&self.sockets).await,
            None => std::future::pending().await,
        }
    }

    /// Leaves doors and store to `successor`, in an order that fails nobody: what is being delivered
    /// is recorded and each answer asks its caller to connect anew, then nobody is taken, then the
    /// store is closed. Calls that are passed on need no store, and end after it. Each step has its
    /// bound.
    ///
    /// # Errors
    /// When the successor did not come up, and the store cannot be opened again.
    pub async fn hand_over(self, successor: Successor) -> Result<HandedOver, StartError> {
        tracing::info!("another process takes over: answers ask for new connections");
        self.stop_work.cancel();
        self.leave.begin();
        let patience = limits::STOP_TIME_MAX;
        let (worked, ()) = tokio::join!(
            timeout(patience, self.work.wait()),
            // Those who send steadily have heard it by then.
            sleep(limits::LEAVE_QUIET_TIME)
        );
        if worked.is_err() {
            tracing::warn!("deliveries under way are left; the next process settles them");
        }
        self.stop_admin.cancel();
        if timeout(patience, self.leave.shut()).await.is_err() {
            tracing::warn!("calls under way are left; their senders are told to send again");
        }
        let (sockets, parts, doors) = (self.sockets, self.parts, self.doors);
        let flushed = parts.clone();
        match tokio::task::spawn_blocking(move || desk::flush(&flushed)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "routing decisions are not written to disk"),
            Err(error) => tracing::warn!(%error, "routing decisions are not written to disk"),
        }
        if let Some(waiting) = self.waiting {
            waiting.close();
        }
        parts.cases.engine().close().await;
        match successor.follow().await {
            Ok(()) => {
                tracing::info!("the other process has the doors and the store");
                drop(sockets);
                Ok(HandedOver::Left(Lasting { doors, spans: parts.spans }))
            }
            Err(error) => {
                tracing::error!(%error, "the other process did not come up: this one goes on");
                let (parts, asked) = parts.again().await?;
                run(parts, asked, sockets).map(|running| HandedOver::Back(Box::new(running)))
            }
        }
    }
}

impl Parts {
    /// The same parts on the store opened anew; nothing is read that could have changed since.
    async fn again(self) -> Result<(Self, mpsc::Receiver<super::live::Ask>), StartError> {
        let cases = open_store_soon(&self.config, &self.routing, &self.clock).await?;
        let (routing, connections) = (self.routing.clone(), Arc::clone(&self.connections));
        let delivery =
            Delivery::new(cases.clone(), routing, connections as _).told_to(self.spans.clone());
        let (fetches, asked) = mpsc::channel(limits::TAK_FETCH_ASKED_MAX);
        Ok((Self { cases, delivery, fetches, ..self }, asked))
    }
}
