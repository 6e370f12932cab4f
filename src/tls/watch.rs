//! Watching the files: a change, a trigger or a minute passed, and they are read again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use notify::Watcher as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::reload::{Reload, Reloads, told};
use crate::clock::Clock;
use crate::limits;
use crate::telemetry::metrics::Metrics;

/// A running watch; clone it to trigger a reload from elsewhere.
#[derive(Debug, Clone)]
pub struct Watch {
    wake: Arc<Notify>,
}

impl Watch {
    /// Reads the files again soon (`SIGHUP`, an operator's command).
    pub fn trigger(&self) {
        self.wake.notify_one();
    }
}

/// Watches the files of every one of `kept` until `stop`; what comes of each reload is logged.
///
/// Where the system cannot watch (too many watches, a network disk), a poll every
/// [`limits::WATCH_POLL`] goes on alone; that is logged and is no error.
pub fn watch(
    kept: Vec<Arc<dyn Reloads>>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    stop: CancellationToken,
) -> Watch {
    let wake = Arc::new(Notify::new());
    let watch = Watch { wake: Arc::clone(&wake) };
    tokio::spawn(async move {
        let _watcher = watcher(&kept, &wake);
        let mut last = vec![Vec::new(); kept.len()];
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake.notified() => tokio::time::sleep(limits::WATCH_QUIET).await,
                () = tokio::time::sleep(limits::WATCH_POLL) => {}
            }
            for (one, last) in kept.iter().zip(&mut last) {
                let (reads, now) = (Arc::clone(one), clock.now());
                match tokio::task::spawn_blocking(move || reads.reload(now)).await {
                    Ok(reload) => report(&reload, last, &metrics),
                    Err(error) => tracing::error!(%error, "reading certificates again failed"),
                }
            }
        }
    });
    watch
}

/// Watches the folders, not the files: files are replaced by renaming, often through links.
fn watcher(kept: &[Arc<dyn Reloads>], wake: &Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let wake = Arc::clone(wake);
    let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too, and we read.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            wake.notify_one();
        }
    });
    let mut watcher = match made {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "certificate files cannot be watched; they are polled");
            return None;
        }
    };
    for folder in folders(kept) {
        if let Err(error) = watcher.watch(&folder, notify::RecursiveMode::NonRecursive) {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "a folder cannot be watched; its files are polled");
        }
    }
    Some(watcher)
}

fn folders(kept: &[Arc<dyn Reloads>]) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::new();
    for path in kept.iter().flat_map(|one| one.paths()) {
        for path in [path.canonicalize().ok(), Some(path)].into_iter().flatten() {
            let folder = path.parent().map(PathBuf::from).unwrap_or_default();
            let here = folder.as_os_str().is_empty();
            folders.insert(if here { PathBuf::from(".") } else { folder });
        }
    }
    folders
}

/// Logs what changed, and what is wrong when it was not wrong in the same way the last time.
fn report(reload: &Reload, last: &mut Vec<String>, metrics: &Metrics) {
    for part in &reload.changed {
        tracing::info!(%part, "new TLS files taken into use");
    }
    let faults: Vec<String> =
        reload.faults.iter().map(|(part, error)| format!("{part}: {}", told(error))).collect();
    for fault in faults.iter().filter(|fault| !last.contains(fault)) {
        tracing::error!(fault, "new TLS files not taken into use; the last good ones stay");
    }
    if faults.is_empty() && !last.is_empty() {
        tracing::info!("the TLS files are right again");
    }
    // A look that found nothing new is no reading that was taken or not.
    let failed = !faults.is_empty() && faults != *last;
    if failed || !reload.changed.is_empty() {
        metrics.reloaded("certificates", !failed);
    }
    *last = faults;
}
