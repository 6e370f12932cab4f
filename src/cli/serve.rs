//! `klagomal serve`: the gateway until it is told to stop.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failed, Outcome, Settings, block_on};
use crate::app::{self, StartError};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::routing::RoutingError;
use crate::tak::report;
use crate::telemetry::{self, Chain};

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let path = self.settings.settings;
        let config = read(&path)?;
        telemetry::start(config.log.format, config.log.level);
        let base = path.parent().map(Path::to_owned).unwrap_or_default();
        block_on(serve(config, base, out))?
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

async fn serve(config: Config, base: PathBuf, out: &mut dyn Write) -> Outcome {
    let running = app::start(config, base, Arc::new(SystemClock))
        .await
        .map_err(|error| not_started(&error))?;
    writeln!(out, "https {}\nadmin {}", running.https, running.admin)?;
    if let Some(proxied) = running.proxied {
        writeln!(out, "proxied {proxied}")?;
    }
    out.flush()?;
    stop_asked(&running).await?;
    running.stop().await;
    Ok(ExitCode::SUCCESS)
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

/// Waits for SIGTERM or SIGINT; SIGHUP reads certificates and routing again.
async fn stop_asked(running: &app::Running) -> Result<(), Failed> {
    let on =
        |kind| signal(kind).map_err(|error| Failed(format!("signals cannot be received: {error}")));
    let mut term = on(SignalKind::terminate())?;
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut hangup = on(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => running.reload().await,
        }
    }
}
