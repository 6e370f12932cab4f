//! `klagomal tak diff`: two folders, and every call that they answer differently.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::{counted, short, table, write_json};
use crate::cli::Outcome;
use crate::clock::{self, Clock, SystemClock};
use crate::id::HsaId;
use crate::tak::Table;
use crate::tak::diff::{Change, effect};

#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// The folder as it was.
    old: PathBuf,
    /// The folder as it is to be.
    new: PathBuf,
    /// For machines.
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let (old, new) = (table(&self.old)?, table(&self.new)?);
        let today = clock::swedish_day(SystemClock.now());
        let changes = effect(&old, &new, today);
        if self.json {
            let whole = json!({
                "old": old.generation().full(), "new": new.generation().full(),
                "from": today, "changes": changes,
            });
            write_json(&whole, out)?;
            return Ok(ExitCode::SUCCESS);
        }
        if changes.is_empty() {
            let same = if old.generation() == new.generation() {
                "the folders are the same"
            } else {
                "the texts differ; no call gets another answer"
            };
            writeln!(out, "{same}, from {today} on")?;
        } else {
            write(&old, &new, &changes, out)?;
            let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
            writeln!(out, "\n{} in effect, from {today} on", counted(count, "change"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// By address: that is what an operator looks for.
fn write(old: &Table, new: &Table, changes: &[Change], out: &mut dyn Write) -> std::io::Result<()> {
    let mut by_address: BTreeMap<&str, Vec<&Change>> = BTreeMap::new();
    for it in changes {
        by_address.entry(&it.address).or_default().push(it);
    }
    let name = |text: &str| {
        let id = HsaId::parse(text).ok()?;
        let unit = new.unit(&id).or_else(|| old.unit(&id)).map(|it| it.name.clone());
        unit.or_else(|| new.caller(&id).or_else(|| old.caller(&id)).map(|it| it.name.clone()))
    };
    let named = |text: &str| name(text).map_or(text.to_owned(), |it| format!("{text} ({it})"));
    for (at, (address, changes)) in by_address.into_iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        match address {
            "*" => writeln!(out, "*  every address without rows of its own")?,
            address => writeln!(out, "{address}  {}", name(address).unwrap_or_default())?,
        }
        for it in changes {
            writeln!(out, "  {} from {}", short(&it.contract), named(&it.consumer))?;
            writeln!(out, "    {}", it.days)?;
            writeln!(out, "    - {}", it.before)?;
            writeln!(out, "    + {}", it.after)?;
        }
    }
    Ok(())
}
