//! `klagomal cases remove …`: gallring, shown before it is done.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use jiff::civil::Date;
use serde_json::json;

use super::{At, Failed, Outcome, confirmed, of_json, show};
use crate::admin::removal::{KeptCase, RemoveDone, RemoveRequest, ScopeFound, ScopeRequest};
use crate::clock;
use crate::id::HsaId;
use crate::limits;

#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    #[command(flatten)]
    at: At,
    /// The unit that has the cases.
    #[arg(long, value_name = "HSA-ID", value_parser = HsaId::parse)]
    unit: HsaId,
    /// Only cases that were closed before this day.
    #[arg(long, value_name = "YYYY-MM-DD")]
    closed_before: Date,
    /// The reference of the decision that it rests on, such as "Dnr 12/2031"; it stays in the journal.
    #[arg(long, value_name = "TEXT")]
    decision: String,
    /// HSA-id of the one who has it done; it stays in the journal.
    #[arg(long, value_name = "HSA-ID", value_parser = HsaId::parse)]
    by: HsaId,
    /// Do it; without it, only what would be done is shown, and at a terminal asked about.
    #[arg(long)]
    yes: bool,
}

impl Remove {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let midnight = self.closed_before.to_zoned(clock::swedish());
        let before = midnight
            .map_err(|error| Failed(format!("{} has no beginning: {error}", self.closed_before)))?
            .timestamp();
        let scope = ScopeRequest { unit: self.unit.clone(), before };
        let found: ScopeFound = of_json(self.at.post("/removal/scope", &scope)?)?;
        if !self.at.json {
            self.tell(&found, out)?;
            out.flush()?;
        }
        if found.cases.is_empty() {
            return self.done(&found, RemoveDone { removed: Vec::new(), kept: Vec::new() }, out);
        }
        if !self.yes && !confirmed("cases", found.cases.len())? {
            if self.at.json {
                show::pretty(&json!({ "scope": found, "removed": [] }), out)?;
            }
            return Err(Failed("nothing was removed; add --yes to do it".to_owned()));
        }
        let done = self.remove(&scope, &found.cases)?;
        self.done(&found, done, out)
    }

    fn tell(&self, found: &ScopeFound, out: &mut dyn Write) -> io::Result<()> {
        let (unit, day) = (&self.unit, self.closed_before);
        let count = found.cases.len();
        if count == 0 {
            writeln!(out, "no case of {unit} that was closed before {day} can be removed")?;
        } else {
            writeln!(
                out,
                "this will remove {count} cases of {unit}, closed before {day}, for ever: {}{}",
                listed(&found.cases),
                if found.more { "; there are more, run it again for those" } else { "" }
            )?;
            writeln!(out, "backups made before still have them")?;
        }
        kept(&found.kept, out)
    }

    /// In bounded steps; what was shown is what is sent back.
    fn remove(&self, scope: &ScopeRequest, numbers: &[String]) -> Result<RemoveDone, Failed> {
        let mut all = RemoveDone { removed: Vec::new(), kept: Vec::new() };
        for batch in numbers.chunks(limits::REMOVE_BATCH_MAX) {
            let request = RemoveRequest {
                scope: scope.clone(),
                decision: self.decision.clone(),
                by: self.by.clone(),
                numbers: batch.to_vec(),
            };
            let done = self.at.post("/removal", &request).and_then(of_json::<RemoveDone>);
            let done = done.map_err(|Failed(why)| {
                let before = all.removed.len();
                Failed(format!("stopped after {before} cases: {why}; run it again"))
            })?;
            all.removed.extend(done.removed);
            all.kept.extend(done.kept);
        }
        Ok(all)
    }

    fn done(&self, found: &ScopeFound, done: RemoveDone, out: &mut dyn Write) -> Outcome {
        if self.at.json {
            let told = json!({ "scope": found, "removed": done.removed, "kept": done.kept });
            show::pretty(&told, out)?;
        } else {
            writeln!(out, "removed {} cases", done.removed.len())?;
            kept(&done.kept, out)?;
        }
        Ok(if done.kept.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// The first few.
fn listed(numbers: &[String]) -> String {
    const SHOWN: usize = 20;
    let first: Vec<&str> = numbers.iter().take(SHOWN).map(String::as_str).collect();
    match numbers.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", first.join(", ")),
        None => first.join(", "),
    }
}

fn kept(cases: &[KeptCase], out: &mut dyn Write) -> io::Result<()> {
    cases.iter().try_for_each(|it| writeln!(out, "  {} stays: {}", it.number, it.why))
}
