//! `klagomal serve`: the gateway until it is told to stop.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Failed, Outcome, Settings, block_on};
use crate::app::{self, HandedOver, Running, StartError, Successor};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::routing::RoutingError;
use crate::tak::report;
use crate::telemetry::{self, Chain};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// Take doors and store over from the gateway that runs with this store, without a call being
    /// refused. It ends when this one is ready, and goes on if this one does not start. Where none
    /// runs, start as usual.
    #[arg(long)]
    take_over: bool,
}

impl Serve {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let path = self.settings.settings;
        let config = read(&path)?;
        telemetry::start(config.log.format, config.log.level);
        open_many_files();
        use_small_pages();
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        block_on(serve(config, base, self.take_over, out))?
    }
}

/// Reads a settings file; every fault in it is told at once.
pub(super) fn read(path: &Path) -> Result<Config, Failed> {
    config::read(path).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Failed(format!(
            "the settings are not used:\n{}\n`klagomal settings` prints an example with every key",
            lines.join("\n")
        ))
    })
}

async fn serve(config: Config, base: PathBuf, take_over: bool, out: &mut dyn Write) -> Outcome {
    let prepared = app::prepare(config, base, Arc::new(SystemClock));
    let prepared = prepared.map_err(|error| not_started(&error))?;
    let started = match take_over {
        true => prepared.take_over().await,
        false => prepared.start().await,
    };
    let mut running = started.map_err(|error| not_started(&error))?;
    let mut signals = Signals::new()?;
    writeln!(out, "https {}\nadmin {}", running.https, running.admin)?;
    if let Some(proxied) = running.proxied {
        writeln!(out, "proxied {proxied}")?;
    }
    if let Some(staff) = running.staff {
        writeln!(out, "staff {staff}")?;
    }
    out.flush()?;
    loop {
        let Some(successor) = signals.end_of(&running).await else {
            running.stop().await;
            return Ok(ExitCode::SUCCESS);
        };
        running = match running.hand_over(successor).await.map_err(|error| not_started(&error))? {
            HandedOver::Left(lasting) => {
                tokio::select! {
                    () = lasting.ended() => {}
                    _ = signals.term.recv() => {}
                    _ = signals.interrupt.recv() => {}
                }
                lasting.stop().await;
                return Ok(ExitCode::SUCCESS);
            }
            HandedOver::Back(running) => *running,
        };
    }
}

/// Raises the number of files that the process may have open to what the system lets it: the usual
/// 1024 are fewer than the connections of one door.
fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, files = limit.current, "the number of open files stays as it is");
    }
}

/// Some systems hand out pages of 2 MB unasked (transparent huge pages): with them a start with a
/// large backlog takes a fifth more memory, and another amount on each machine.
fn use_small_pages() {
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "memory may come in huge pages, and more of it be used");
    }
}

/// Every fault of a routing folder is told at once, as `klagomal tak check` tells it.
fn not_started(error: &StartError) -> Failed {
    let mut why = format!("the gateway does not start: {}", Chain(error));
    if let StartError::Routing(RoutingError::Refused { findings, .. }) = error {
        let mut all = Vec::new();
        if report::write_text(findings, &mut all).is_ok() {
            why = format!("{why}\n{}", String::from_utf8_lossy(&all).trim_end());
        }
    }
    Failed(why)
}

/// What the system may ask for. One that comes during a hand-over is heard after it.
struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let on = |kind| {
            signal(kind).map_err(|error| Failed(format!("signals cannot be received: {error}")))
        };
        Ok(Self {
            term: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT, or for the process that takes over; SIGHUP reads certificates
    /// and routing again.
    async fn end_of(&mut self, running: &Running) -> Option<Successor> {
        let mut successor = pin!(running.successor());
        loop {
            tokio::select! {
                _ = self.term.recv() => return None,
                _ = self.interrupt.recv() => return None,
                _ = self.hangup.recv() => running.reload().await,
                successor = &mut successor => return Some(successor),
            }
        }
    }
}
