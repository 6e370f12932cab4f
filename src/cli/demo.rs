//! `klagomal demo`: everything on this machine, to look at.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failed, Outcome, block_on};
use crate::demo::{Demo, DemoError};
use crate::telemetry::{self, Chain, Format, Level};

#[derive(Debug, Args)]
pub(super) struct DemoCommand {
    /// Do not stay up: exit 0 only if both replies were seen in the inbox.
    #[arg(long)]
    once: bool,
    /// Where its files go; kept afterwards. Left out: a new folder among the temporary ones, which
    /// is removed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Show the gateway's log as well.
    #[arg(long)]
    log: bool,
}

impl DemoCommand {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        telemetry::start(Format::Text, if self.log { Level::Info } else { Level::Error });
        let kept = self.dir.is_some();
        let folder = self.dir.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("klagomal-demo-{}", std::process::id()))
        });
        let shown = block_on(show(&folder, self.once, out))?;
        if !kept && let Err(error) = std::fs::remove_dir_all(&folder) {
            writeln!(out, "{} is left behind: {error}", folder.display())?;
        }
        match shown {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => Ok(ExitCode::FAILURE),
            Err(error) => Err(Failed(Chain(&error).to_string())),
        }
    }
}

async fn show(
    folder: &std::path::Path,
    once: bool,
    out: &mut dyn Write,
) -> Result<bool, DemoError> {
    let demo = Demo::start(folder).await?;
    let shown = demo.show(out).await;
    if !once && matches!(shown, Ok(true)) {
        demo.tell_addresses(out)?;
        out.flush()?;
        stop_asked().await?;
    }
    demo.stop().await;
    shown
}

/// Ctrl-C, or a stop from outside; either way everything is stopped in order.
async fn stop_asked() -> Result<(), std::io::Error> {
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = term.recv() => Ok(()),
        pressed = tokio::signal::ctrl_c() => pressed,
    }
}
