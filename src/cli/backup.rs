//! `klagomal audit|backup|restore …`: copies of the store, and whether they are whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::{Failed, Outcome, block_on};
use crate::admin::client;
use crate::backup::BackupError;
use crate::backup::audit::{self, Report};
use crate::backup::make::Wanted;
use crate::backup::manifest::{Head, Manifest};
use crate::backup::restore::{self, Restored};
use crate::limits;
use crate::telemetry::Chain;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Check every byte of journal and attachments. Exit 1 when anything is not as it was written.
    Verify {
        /// The folder of a store that nobody uses, or of a copy.
        #[arg(default_value = "store")]
        dir: PathBuf,
        /// A head noted earlier, which must still be in the chain.
        #[arg(long, value_name = "SEQ:HASH")]
        expect: Option<Head>,
        /// Check a store in use all the same; what is being written meanwhile is not judged.
        #[arg(long)]
        anyway: bool,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Backup {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// Where it goes, on the machine of the gateway: a folder that is absent or empty.
    #[arg(required = true)]
    dir: Option<PathBuf>,
    /// An earlier backup on the same disk: what has not changed is shared with it.
    #[arg(long, value_name = "DIR")]
    since: Option<PathBuf>,
    /// The admin door of the gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    admin: String,
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Check a backup against its manifest, and every byte of it. Exit 1 when anything is amiss.
    Verify {
        /// The backup.
        dir: PathBuf,
        /// For machines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup.
    backup: PathBuf,
    /// Where the store goes: a folder that is absent or empty.
    store: PathBuf,
    /// Do not hold the letters to 1177 Inkorg: only when nothing was sent after the backup.
    #[arg(long)]
    release_inbox: bool,
    /// For machines.
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let Self::Verify { dir, expect, anyway, json } = self;
        let user = audit::user_of(&dir).map_err(|error| failed(&error))?;
        if let (Some(pid), false) = (&user, anyway) {
            return Err(Failed(format!(
                "the store in {} is used by process {pid}; check a backup of it \
                 (`klagomal backup DIR`), or give --anyway",
                dir.display()
            )));
        }
        let report =
            audit::verify(&dir, expect.as_ref(), user.is_some()).map_err(|error| failed(&error))?;
        tell(&report, json, out)
    }
}

fn tell(report: &Report, json: bool, out: &mut dyn Write) -> Outcome {
    if json {
        pretty(report, out)?;
    } else {
        people(report, out)?;
    }
    Ok(if report.damaged() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn people(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let dir = report.folder.display();
    match report.damaged() {
        0 => writeln!(out, "{dir}: whole")?,
        1 => writeln!(out, "{dir}: DAMAGED, in one place")?,
        found => writeln!(out, "{dir}: DAMAGED, in {found} places")?,
    }
    for finding in &report.damage {
        writeln!(out, "  {finding}")?;
    }
    if report.damage_more > 0 {
        writeln!(out, "  and {} more", report.damage_more)?;
    }
    writeln!(
        out,
        "  {} records in {} segments, {} files, {}",
        report.records,
        report.segments,
        report.files,
        size(report.journal_bytes + report.file_bytes)
    )?;
    if report.unnamed > 0 {
        writeln!(
            out,
            "  {} files that no record names (of messages not accepted)",
            report.unnamed
        )?;
    }
    if report.in_use {
        writeln!(out, "  the store is in use: what was being written meanwhile is not judged")?;
    }
    writeln!(out, "  head {}", report.head)
}

impl Backup {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        if let Some(BackupCommand::Verify { dir, json }) = self.command {
            return verify(&dir, json, out);
        }
        let dir = self.dir.unwrap_or_default();
        let since = self.since.as_deref().map(whole).transpose()?;
        let wanted = Wanted { dir: whole(&dir)?, since };
        let body = serde_json::to_value(&wanted)
            .map_err(|error| Failed(format!("the request cannot be written: {error}")))?;
        let time = limits::BACKUP_TIME_MAX;
        let made = block_on(client::call_within(time, &self.admin, "/backup", Some(&body)))?
            .map_err(|error| Failed(Chain(&error).to_string()))?;
        let count = |name: &str| made.get(name).and_then(Value::as_u64).unwrap_or_default();
        if self.json {
            pretty(&made, out)?;
        } else {
            let text = |name: &str| made.get(name).and_then(Value::as_str).unwrap_or_default();
            writeln!(
                out,
                "{}: {} records, {} files, {}{}\n  head {}",
                text("dir"),
                count("records"),
                count("files"),
                size(count("bytes")),
                match count("shared_bytes") {
                    0 => String::new(),
                    shared => format!(", {} of it shared with the backup before", size(shared)),
                },
                text("head")
            )?;
        }
        match count("damage") {
            0 => Ok(ExitCode::SUCCESS),
            found => Err(Failed(format!(
                "the backup is made, but the store is damaged in {found} places and so is the \
                 backup; `klagomal backup verify {}` names them",
                wanted.dir.display()
            ))),
        }
    }
}

fn verify(dir: &Path, json: bool, out: &mut dyn Write) -> Outcome {
    let (manifest, report) = restore::verify(dir).map_err(|error| failed(&error))?;
    if json {
        return tell(&report, true, out);
    }
    let Manifest { at, program, routing, .. } = &manifest;
    let generation = routing.generation.get(..12).unwrap_or(&routing.generation);
    writeln!(
        out,
        "backup of {at:.0}, made by klagomal {program}, routing generation {generation}"
    )?;
    tell(&report, false, out)
}

impl Restore {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let store = whole(&self.store)?;
        let restored = restore::restore(&self.backup, &store, self.release_inbox)
            .map_err(|error| failed(&error))?;
        if self.json {
            pretty(&restored, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        let Restored { store, backup, records, files, bytes, head, inbox_held } = restored;
        writeln!(
            out,
            "{}: {records} records, {files} files, {} of the backup of {backup:.0}\n  head {head}",
            store.display(),
            size(bytes)
        )?;
        if inbox_held {
            writeln!(
                out,
                "  The first start holds every letter to 1177 Inkorg that was not done with: \
                 `klagomal outbox list`"
            )?;
        }
        writeln!(
            out,
            "  Set dir = {:?} under [store]; the routing of the backup is in {}",
            store.display().to_string(),
            self.backup.join("tak-config").display()
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn whole(path: &Path) -> Result<PathBuf, Failed> {
    absolute(path).map_err(|error| Failed(format!("{} is no path: {error}", path.display())))
}

fn failed(error: &BackupError) -> Failed {
    Failed(Chain(error).to_string())
}

fn pretty(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

/// Bytes for people: two or more digits of the largest unit.
fn size(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB"];
    let mut rest = bytes;
    let mut unit = 0;
    while rest >= 10_000 && unit + 1 < units.len() {
        rest /= 1000;
        unit += 1;
    }
    format!("{rest} {}", units.get(unit).copied().unwrap_or("bytes"))
}
