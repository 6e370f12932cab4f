//! Following the routing folder: a change, or a look now and then, and it is read when it is quiet.

use std::path::Path;
use std::sync::Arc;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Parts, desk, tell_findings};
use crate::limits;
use crate::routing::{self, RoutingError};
use crate::tak::Source;
use crate::telemetry::Chain;

/// Takes a changed routing folder into use. A bad one is told once and the good one goes on.
pub(super) async fn follow_routing(parts: Parts, stop: CancellationToken) {
    let wake = Arc::new(Notify::new());
    let folder = parts.routing.folder().to_owned();
    let mut print = routing::fingerprint(&folder);
    let mut watch = watcher(&folder, &wake);
    // A disk that was full or a folder that was away may be back without a change.
    let mut again = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = wake.notified() => quiet(&wake).await,
            () = sleep(limits::ROUTING_POLL) => {}
        }
        let found = routing::fingerprint(&folder);
        if found == print && !again {
            continue;
        }
        print = found;
        // The folder may be another one under the same name.
        watch = watcher(&folder, &wake);
        let parts = parts.clone();
        let read = tokio::task::spawn_blocking(move || {
            let before = parts.routing.refused();
            let outcome = read(&parts);
            // The same fault again was told already.
            if outcome.is_ok() || parts.routing.refused() != before {
                tell(&parts, &outcome);
            }
            matches!(outcome, Err(RoutingError::Folder { .. } | RoutingError::NotKept(_)))
        });
        again = read.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading the routing folder was cut off");
            true
        });
    }
    drop(watch);
}

/// Waits until nothing has happened for a while: the other files of the same change.
async fn quiet(wake: &Notify) {
    let still = async { while timeout(limits::WATCH_QUIET, wake.notified()).await.is_ok() {} };
    // Where it is never quiet, reading it twice tells whether it can be taken.
    if timeout(limits::ROUTING_QUIET_MAX, still).await.is_err() {
        tracing::warn!("the routing folder changes all the time");
    }
}

/// Watches the folder and its code lists. Not the folder above: a log file there would wake us at
/// each line. What is exchanged by renaming is found at the next look.
fn watcher(folder: &Path, wake: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let wake = Arc::clone(wake);
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too, and we read.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            wake.notify_one();
        }
    });
    let mut watcher = made.ok()?;
    // What cannot be watched is polled.
    for place in [folder.to_owned(), folder.join(Source::CODE_LISTS)] {
        if let Err(error) = watcher.watch(&place, RecursiveMode::NonRecursive) {
            tracing::debug!(place = %place.display(), %error, "not watched");
        }
    }
    Some(watcher)
}

/// Reads the folder again, and counts what came of it.
pub(super) fn read(parts: &Parts) -> Result<bool, RoutingError> {
    let outcome = parts.routing.reload(parts.clock.now());
    parts.metrics.reloaded("routing", outcome.is_ok());
    outcome
}

/// Says in the log what came of reading the folder, and removes what is kept too long.
pub(super) fn tell(parts: &Parts, outcome: &Result<bool, RoutingError>) {
    let generation = parts.routing.get().table.generation().to_string();
    match outcome {
        Ok(true) => {
            tracing::info!(generation, "another routing configuration is in force");
            if let Err(error) = parts.routing.prune(|| desk::named(&parts.cases)) {
                tracing::warn!("old routing configurations: {}", Chain(&error));
            }
        }
        Ok(false) => tracing::info!(generation, "the routing folder holds what is in force"),
        Err(error) => {
            tracing::error!(generation, "the old routing goes on: {}", Chain(error));
            if let RoutingError::Refused { findings, .. } = error {
                tell_findings(findings);
            }
        }
    }
}

/// Removes files that no record names, soon after the start and then every six hours.
pub(super) async fn sweep_files(parts: Parts, stop: CancellationToken) {
    let mut wait = limits::DECISION_FLUSH;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
        wait = limits::ORPHAN_LOOK;
        let cases = parts.cases.clone();
        match tokio::task::spawn_blocking(move || cases.sweep_files()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(removed)) => tracing::info!(removed, "files that no case names are removed"),
            Ok(Err(error)) => tracing::warn!("files that no case names stay: {}", Chain(&error)),
            Err(error) => tracing::error!(%error, "the sweep of the files was cut off"),
        }
    }
}

/// Writes what was decided, every minute and at the stop, and frees what calls held until then.
pub(super) async fn keep_decisions(parts: Parts, stop: CancellationToken) {
    let mut last = true;
    loop {
        let stopped = tokio::select! {
            () = stop.cancelled() => true,
            () = sleep(limits::DECISION_FLUSH) => false,
        };
        let flushed = parts.clone();
        let work = move || {
            flushed.routing.free_retired();
            desk::flush(&flushed)
        };
        let outcome = tokio::task::spawn_blocking(work).await;
        let good = matches!(outcome, Ok(Ok(())));
        if let (Ok(Err(error)), true) = (outcome, last) {
            tracing::warn!(%error, "routing decisions are not written to disk");
        }
        last = good;
        if stopped {
            return;
        }
    }
}
