//! `klagomal tak status|reload|fetch|rollback`: routing of a running gateway, through its admin door.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::write_json;
use crate::cli::admin_door::At;
use crate::cli::{Failed, Outcome, serve};
use crate::clock::{self, Clock, SystemClock};
use crate::routing;
use crate::routing::generations::{Generations, Kept};
use crate::routing::live::{self, LivePicture};
use crate::routing::picture::{Change, Fetched, Picture};
use crate::telemetry::Chain;

#[derive(Debug, Args)]
pub(in crate::cli) struct RollBack {
    /// As `klagomal tak status` lists it; its beginning is enough.
    generation: String,
    /// Where no gateway runs: the settings file of the one that should. Its folder is put right,
    /// and the next start takes it.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

impl RollBack {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        if let Some(settings) = &self.settings {
            return self.without_gateway(settings, out);
        }
        let body = json!({ "generation": self.generation });
        let change = typed(self.at.post("/routing/rollback", &body)?)?;
        changed(&self.at, &change, out)
    }

    fn without_gateway(&self, settings: &std::path::Path, out: &mut dyn Write) -> Outcome {
        let config = serve::read(settings)?;
        let kept = Generations::open(&config.store.dir)
            .map_err(|error| Failed(Chain(&error).to_string()))?;
        let folder = &config.tak.dir;
        let name = routing::roll_back(folder, &kept, &self.generation, SystemClock.now())
            .map_err(|error| Failed(Chain(&error).to_string()))?;
        let now = SystemClock.now();
        let back = routing::read(folder, now).ok().and_then(|it| it.routing);
        if back.is_some_and(|it| it.table.live_tak().is_some()) {
            live::pause_in(&config.store.dir, live::ROLLED_BACK, now).map_err(|error| {
                Failed(format!("fetching from the live TAK is not paused: {error}"))
            })?;
        }
        if self.at.json {
            write_json(&json!({ "generation": name, "folder": folder }), out)?;
        } else {
            let short = name.get(..12).unwrap_or(&name);
            writeln!(out, "{} holds {short}; the next start takes it", folder.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn reload(at: &At, out: &mut dyn Write) -> Outcome {
    let change = typed(at.post("/routing/reload", &json!({}))?)?;
    changed(at, &change, out)
}

pub(super) fn fetch(at: &At, accept_fewer: bool, out: &mut dyn Write) -> Outcome {
    let body = json!({ "acceptFewer": accept_fewer });
    let fetched: Fetched = typed(at.post("/routing/fetch", &body)?)?;
    if at.json {
        write_json(&fetched, out)?;
        let refused = fetched.change.refused.is_some();
        return Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    fetched.left_rows.iter().try_for_each(|it| writeln!(out, "not carried over: {it}"))?;
    fetched.notes.iter().try_for_each(|it| writeln!(out, "{it}"))?;
    let Fetched { routes, permissions, left, .. } = &fetched;
    writeln!(
        out,
        "{routes} routes and {permissions} permissions; {left} rows are not carried over"
    )?;
    fetched.wrote.iter().try_for_each(|it| writeln!(out, "wrote {it}"))?;
    if fetched.wrote.is_empty() {
        writeln!(out, "the folder says the same already")?;
    }
    changed(at, &fetched.change, out)
}

/// Reads what the gateway answered.
pub(super) fn typed<T: DeserializeOwned>(answer: Value) -> Result<T, Failed> {
    serde_json::from_value(answer).map_err(|error| {
        Failed(format!("the gateway's answer is of another version than this command: {error}"))
    })
}

fn changed(at: &At, change: &Change, out: &mut dyn Write) -> Outcome {
    let code = if change.refused.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if at.json {
        write_json(change, out)?;
        return Ok(code);
    }
    let (before, now) = (short(&change.before), short(&change.generation));
    match &change.refused {
        Some(refused) => {
            writeln!(out, "NOT TAKEN; {now} goes on")?;
            refused.findings.iter().try_for_each(|it| writeln!(out, "  {it}"))?;
        }
        None if before == now => writeln!(out, "{now} is in force, as before")?,
        None => {
            writeln!(out, "{now} is in force, {before} was")?;
            writeln!(out, "undo: klagomal tak rollback {before}")?;
        }
    }
    Ok(code)
}

pub(super) fn status(at: &At, out: &mut dyn Write) -> Outcome {
    let picture: Picture = typed(at.get("/routing")?)?;
    if at.json {
        write_json(&picture, out)?;
    } else {
        write(&picture, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write(picture: &Picture, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "in force   {} since {}", short(&picture.generation), minute(picture.since))?;
    writeln!(out, "read from  {}", picture.folder.display())?;
    match &picture.refused {
        None => writeln!(out, "newest     is in force")?,
        Some(refused) => {
            writeln!(out, "newest     NOT TAKEN {}", minute(refused.at))?;
            refused.findings.iter().try_for_each(|it| writeln!(out, "           {it}"))?;
            writeln!(
                out,
                "           mend it, or: klagomal tak rollback {}",
                short(&picture.generation)
            )?;
        }
    }
    if let Some(live) = &picture.live {
        write_live(live, out)?;
    }
    writeln!(out, "\ncounties")?;
    for it in &picture.counties {
        let state = if it.live {
            "live".to_owned()
        } else {
            format!("NOT LIVE: lacks {}", it.missing.join(" and "))
        };
        writeln!(out, "  {} {:<20} {state}", it.code, it.name)?;
    }
    writeln!(out, "\nplanned, the next {} days", crate::limits::ROUTING_PLANNED_DAYS)?;
    for it in &picture.planned {
        writeln!(out, "  {it}")?;
    }
    if picture.planned.is_empty() {
        writeln!(out, "  nothing")?;
    }
    writeln!(out, "\nkept, to return to with `klagomal tak rollback GENERATION`")?;
    for it in &picture.kept {
        let running = if it.generation == picture.generation { "  <- now" } else { "" };
        writeln!(out, "  {}  {}{running}", it.short(), when(it))?;
    }
    Ok(())
}

fn write_live(live: &LivePicture, out: &mut dyn Write) -> io::Result<()> {
    let every = live.every_seconds / 60;
    writeln!(out, "\nlive TAK   {}, every {every} min", live.system)?;
    match (&live.paused, live.next) {
        (Some(pause), _) => {
            writeln!(out, "           PAUSED {}: {}", minute(pause.since), pause.why)?;
            writeln!(out, "           go on with: klagomal tak reload, or: klagomal tak fetch")?;
        }
        (None, Some(next)) => writeln!(out, "next       {}", minute(next))?,
        (None, None) => writeln!(out, "next       now")?,
    }
    let good = live.last_good.map_or_else(|| "never".to_owned(), minute);
    writeln!(out, "last good  {good}")?;
    if let Some(failure) = &live.last_failure {
        let still = if live.failing { "FAILED     " } else { "failed     " };
        writeln!(out, "{still}{} {}", minute(failure.at), failure.why)?;
    }
    if live.left > 0 {
        writeln!(out, "           {} rows are not carried over", live.left)?;
    }
    Ok(())
}

fn when(kept: &Kept) -> String {
    match (kept.taken.last(), kept.set_aside) {
        (Some(taken), _) => format!("taken {}", minute(*taken)),
        (None, Some(at)) => format!("never taken; set aside {}", minute(at)),
        (None, None) => String::new(),
    }
}

fn short(generation: &str) -> &str {
    generation.get(..12).unwrap_or(generation)
}

/// To the minute, in Swedish local time.
fn minute(at: jiff::Timestamp) -> String {
    at.to_zoned(clock::swedish()).strftime("%Y-%m-%d %H:%M").to_string()
}
