//! `klagomal tak …`: the routing configuration.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Failed, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::routing;
use crate::tak::{Severity, report};
use crate::telemetry::Chain;

#[derive(Debug, Subcommand)]
pub(super) enum Tak {
    /// Show every fault in one run, each with its place and how to mend it. Exit 1 on an error.
    Check {
        /// The routing folder.
        #[arg(default_value = "tak-config")]
        dir: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    Import(super::tak_import::Import),
    Export(super::tak_import::Export),
}

impl Tak {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::Check { dir, json } => check(&dir, json, out),
            Self::Import(import) => import.run(out),
            Self::Export(export) => export.run(out),
        }
    }
}

fn check(dir: &std::path::Path, json: bool, out: &mut dyn Write) -> Outcome {
    let reading = routing::read(dir, SystemClock.now())
        .map_err(|error| Failed(format!("{}; name the folder that holds it", Chain(&error))))?;
    if json {
        report::write_json(&reading.findings, out)?;
    } else {
        report::write_text(&reading.findings, out)?;
        if let Some(routing) = &reading.routing {
            writeln!(out, "generation {}", routing.table.generation())?;
        }
    }
    let refused = reading.findings.iter().any(|it| it.severity == Severity::Error);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
