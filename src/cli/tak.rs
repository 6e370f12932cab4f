//! `klagomal tak …`: the routing configuration.

mod diff;
mod explain;
mod plan;
mod running;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::admin_door::At;
use super::{Failed, Outcome};
use crate::clock::{Clock, SystemClock};
use crate::routing::{self, Reading};
use crate::tak::{Finding, Severity, Table, report};
use crate::telemetry::Chain;

#[derive(Debug, Subcommand)]
pub(super) enum Tak {
    /// Show every fault in one run, each with its place and how to mend it. Exit 1 on an error.
    Check {
        /// The routing folder.
        #[arg(default_value = "tak-config")]
        dir: PathBuf,
        /// The folder of klagomal.toml, which the paths of systems' certificates start from. Left
        /// out: the one that holds DIR.
        #[arg(long, value_name = "DIR")]
        base: Option<PathBuf>,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// Tell what becomes of a call, and which rows decide it.
    Explain(explain::Explain),
    /// Show what a changed folder changes in effect: who gets another answer, and on which days.
    Diff(diff::Diff),
    /// Rehearse a changed folder with the calls that really came, and the cases that are open.
    Plan(plan::PlanCommand),
    /// Show what is in force, what did not take, what is planned and what can be returned to.
    Status {
        #[command(flatten)]
        at: At,
    },
    /// Read the folder again now. Exit 1 when its content is not taken.
    Reload {
        #[command(flatten)]
        at: At,
    },
    /// Fetch routes and permissions from the live TAK now, also where fetching is paused.
    Fetch {
        /// Take the answers although they have less than half the rows of the last good copy.
        #[arg(long)]
        accept_fewer: bool,
        #[command(flatten)]
        at: At,
    },
    /// Return the folder to a configuration that was in force, byte for byte.
    Rollback(running::RollBack),
    Import(super::tak_import::Import),
    Export(super::tak_import::Export),
}

impl Tak {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::Check { dir, base, json } => check(&dir, base, json, out),
            Self::Explain(explain) => explain.run(out),
            Self::Diff(diff) => diff.run(out),
            Self::Plan(plan) => plan.run(out),
            Self::Status { at } => running::status(&at, out),
            Self::Reload { at } => running::reload(&at, out),
            Self::Fetch { accept_fewer, at } => running::fetch(&at, accept_fewer, out),
            Self::Rollback(back) => back.run(out),
            Self::Import(import) => import.run(out),
            Self::Export(export) => export.run(out),
        }
    }
}

fn check(dir: &Path, base: Option<PathBuf>, json: bool, out: &mut dyn Write) -> Outcome {
    let now = SystemClock.now();
    let mut reading = read(dir)?;
    if let Some(routing) = &reading.routing {
        let base = base.unwrap_or_else(|| dir.parent().unwrap_or(Path::new("")).to_owned());
        reading.findings.extend(routing::certificates(&routing.table, &base, now));
    }
    let findings = in_folder(dir, reading.findings);
    if json {
        report::write_json(&findings, out)?;
    } else {
        report::write_text(&findings, out)?;
        if let Some(routing) = &reading.routing {
            writeln!(out, "generation {}", routing.table.generation())?;
        }
    }
    let refused = findings.iter().any(|it| it.severity == Severity::Error);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn read(dir: &Path) -> Result<Reading, Failed> {
    routing::read(dir, SystemClock.now())
        .map_err(|error| Failed(format!("{}; name the folder that holds it", Chain(&error))))
}

/// A folder without errors; those that it has are in the failure.
fn table(dir: &Path) -> Result<Table, Failed> {
    let reading = read(dir)?;
    let Some(routing) = reading.routing else {
        let mut text = Vec::new();
        let mut findings = in_folder(dir, reading.findings);
        findings.retain(|it| it.severity == Severity::Error);
        report::write_text(&findings, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        return Err(Failed(format!("{} has errors:\n{}", dir.display(), text.trim_end())));
    };
    Ok(routing.table)
}

/// Findings with the files named so that an editor finds them.
fn in_folder(dir: &Path, mut findings: Vec<Finding>) -> Vec<Finding> {
    for it in &mut findings {
        it.file = dir.join(&it.file).display().to_string();
    }
    findings
}

fn write_json(value: &impl Serialize, out: &mut dyn Write) -> Result<(), Failed> {
    serde_json::to_writer_pretty(&mut *out, value)
        .map_err(|error| Failed(format!("the output cannot be written: {error}")))?;
    Ok(writeln!(out)?)
}

/// A contract as people say it: `ProcessComplaint` for
/// `urn:…:complaint:ProcessComplaintResponder:1`.
fn short(contract: &str) -> &str {
    let Some((rest, version)) = contract.rsplit_once(':') else { return contract };
    let name = rest.rsplit(':').next().unwrap_or(rest);
    match name.strip_suffix("Responder") {
        Some(name) if !version.is_empty() && !name.is_empty() => name,
        Some(_) | None => contract,
    }
}

/// A count with its noun: `1 call`, `2 calls`.
fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
