//! The writer without a thread: moved by whoever holds it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};

use tokio::sync::Notify;

use super::writer::{Message, Writer};

/// The writer of an engine that has no thread of its own. Dropped, it is gone as a killed process is.
pub struct Hand {
    pub(super) writer: Writer,
    pub(super) receiver: Receiver<Message>,
    pub(super) bell: Arc<Notify>,
}

impl std::fmt::Debug for Hand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hand").finish_non_exhaustive()
    }
}

impl Hand {
    /// Waits until something is asked of the writer, or the probe interval is over.
    pub async fn wait(&mut self) {
        let interval = self.writer.settings.probe_interval;
        // Either way there is a turn to take.
        tokio::time::timeout(interval, self.bell.notified()).await.unwrap_or_default();
    }

    /// One turn: a batch of what waits, or a look around where nothing does. Whether it goes on.
    pub fn turn(&mut self) -> bool {
        let next = self.receiver.try_recv().map_err(|error| match error {
            TryRecvError::Empty => RecvTimeoutError::Timeout,
            TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        });
        let waited = next.is_ok();
        match self.writer.turn(next, &self.receiver) {
            ControlFlow::Continue(()) => {
                // A batch is bounded: the rest has its own turn.
                if waited {
                    self.bell.notify_one();
                }
                true
            }
            ControlFlow::Break(closing) => {
                self.writer.finish(closing);
                false
            }
        }
    }
}
