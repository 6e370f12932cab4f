//! Leaving a door to another process: nobody is turned away, and everybody is asked to connect anew.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The steps in which doors are left to another process. Clones are the same leave.
///
/// First [`Leave::begin`]: new connections are still taken, each answer is the last on its
/// connection, and a connection that stays quiet is closed. Then [`Leave::shut`]: nobody is taken
/// any more, so whoever comes waits in the backlog of the listening socket, for the next process.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    begun: CancellationToken,
    shut: CancellationToken,
    /// A token for each connection that may still ask for what the process is about to give up.
    bound: TaskTracker,
}

impl Leave {
    /// From now on each answer ends its connection.
    pub fn begin(&self) {
        self.begun.cancel();
    }

    /// From now on nobody is taken. Returns when every connection has ended or is in an exchange
    /// that needs nothing of what is given up ([`super::Connection::needs_nothing_more`]).
    pub async fn shut(&self) {
        self.begin();
        self.shut.cancel();
        self.bound.close();
        self.bound.wait().await;
    }

    /// As long as it lives, [`Leave::shut`] waits for its owner.
    pub fn bind(&self) -> TaskTrackerToken {
        self.bound.token()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    pub(super) async fn beginning(&self) {
        self.begun.cancelled().await;
    }

    pub(super) async fn shutting(&self) {
        self.shut.cancelled().await;
    }
}
