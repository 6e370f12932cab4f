//! `klagomal tak plan`: what a changed folder would do to the calls that came and the open cases.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::running::typed;
use super::{counted, short, table, write_json};
use crate::cli::admin_door::At;
use crate::cli::{Failed, Outcome};
use crate::clock::{self, Clock, SystemClock};
use crate::limits;
use crate::routing::decisions::{self, Recorded};
use crate::routing::picture::{Files, OpenCases};
use crate::routing::{self, Content};
use crate::tak::plan::{Changed, Effect, Plan, UnitChange, plan};
use crate::tak::{Finding, Table};

#[derive(Debug, Args)]
pub(in crate::cli) struct PlanCommand {
    /// The folder as it is to be.
    new: PathBuf,
    /// Calls of so many last days, today's included.
    #[arg(long, default_value_t = 30)]
    days: usize,
    /// Without a running gateway: the folder of recorded decisions, in the store.
    #[arg(long, value_name = "DIR", requires = "old")]
    decisions: Option<PathBuf>,
    /// With --decisions: the routing folder as it is.
    #[arg(long, value_name = "DIR", requires = "decisions")]
    old: Option<PathBuf>,
    /// The folder of klagomal.toml, which the paths of systems' certificates start from. Left out:
    /// the one that holds NEW.
    #[arg(long, value_name = "DIR")]
    base: Option<PathBuf>,
    #[command(flatten)]
    at: At,
}

/// Everything that is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    old: String,
    new: String,
    /// How many days of calls there were.
    days: usize,
    /// How many calls each configuration decided, by the first twelve characters of its name; under
    /// the empty one those of before it was recorded.
    decided_by: BTreeMap<String, u64>,
    #[serde(flatten)]
    plan: Plan,
    /// Calls that had only been counted together.
    only_counted: u64,
    /// Open cases of units that change; absent where there was no gateway to ask.
    open_cases: Option<Vec<OpenCases>>,
    certificates: Vec<Finding>,
}

impl PlanCommand {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let now = SystemClock.now();
        let today = clock::swedish_day(now);
        let new = table(&self.new)?;
        let (old, recorded, open) = match (&self.decisions, &self.old) {
            (Some(folder), Some(old)) => {
                let recorded = decisions::read(folder, self.days, today).map_err(|error| {
                    Failed(format!("{} cannot be read: {error}", folder.display()))
                })?;
                (table(old)?, recorded, None)
            }
            _ => self.ask()?,
        };
        let plan = plan(&old, &new, &recorded.calls, today);
        let changes = |it: &OpenCases| plan.units.iter().any(|unit| unit.unit == it.unit);
        let open = open.map(|it| it.into_iter().filter(changes).collect());
        let above = self.new.parent().map(std::path::Path::to_owned).unwrap_or_default();
        let told = Told {
            old: old.generation().full().to_owned(),
            new: new.generation().full().to_owned(),
            days: recorded.days,
            decided_by: recorded.generations,
            only_counted: recorded.left_out,
            open_cases: open,
            certificates: routing::certificates(&new, &self.base.unwrap_or(above), now),
            plan,
        };
        if self.at.json {
            write_json(&told, out)?;
        } else {
            write(&told, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What a running gateway knows.
    fn ask(&self) -> Result<(Table, Recorded, Option<Vec<OpenCases>>), Failed> {
        let files: Files = typed(self.at.get("/routing/files")?)?;
        let bytes = files.files.into_iter().map(|(name, text)| (name, text.into_bytes()));
        let reading = routing::check(Content::new(bytes.collect()), SystemClock.now());
        let old = reading.routing.ok_or_else(|| {
            let generation = files.generation.get(..12).unwrap_or_default();
            Failed(format!("the configuration in force, {generation}, has errors as read today"))
        })?;
        let recorded = typed(self.at.get(&format!("/routing/decisions?days={}", self.days))?)?;
        let open = typed(self.at.get("/routing/open-cases")?)?;
        Ok((old.table, recorded, Some(open)))
    }
}

/// Which configurations decided the calls, where another than the one in force did.
fn decided_by(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let is_other = |it: &String| !it.is_empty() && !told.old.starts_with(it.as_str());
    if !told.decided_by.keys().any(is_other) {
        return Ok(());
    }
    let each = told.decided_by.iter().map(|(name, count)| match name.as_str() {
        "" => format!("{count} by one that was not recorded"),
        name => format!("{count} by {name}"),
    });
    writeln!(out, "\nwere decided: {}", each.collect::<Vec<_>>().join(", "))
}

fn write(told: &Told, out: &mut dyn Write) -> io::Result<()> {
    let Told { plan, days, .. } = told;
    let totals = &plan.totals;
    let brief = |name: &str| name.get(..12).unwrap_or_default().to_owned();
    let calls = counted(totals.calls, "call");
    let days = counted(u64::try_from(*days).unwrap_or(u64::MAX), "day");
    writeln!(
        out,
        "{} -> {}, rehearsed with {calls} of {days}\n",
        brief(&told.old),
        brief(&told.new)
    )?;
    let lines = [
        (totals.same, "the same answer"),
        (totals.elsewhere, "would go elsewhere"),
        (totals.unroutable, "would find nobody (REFUSED)"),
        (totals.lose_permission, "would lose permission (REFUSED)"),
        (totals.gain, "refused today, would be let through"),
        (totals.other_refusal, "refused today, would be refused for another reason"),
        (totals.unknown, "to addresses or contracts that no row knew; not rehearsed"),
        (told.only_counted, "above what is recorded by address; not rehearsed"),
    ];
    for (at, (count, what)) in lines.into_iter().enumerate() {
        if count > 0 || at == 0 {
            writeln!(out, "{count:>9}  {what}")?;
        }
    }
    decided_by(told, out)?;
    for it in &plan.changed {
        changed(it, out)?;
    }
    if plan.left_out > 0 {
        writeln!(out, "\n{} more changed calls are not shown", plan.left_out)?;
    }
    if !plan.units.is_empty() {
        writeln!(out, "\nunits")?;
    }
    for it in &plan.units {
        unit(it, told.open_cases.as_deref(), out)?;
    }
    if !plan.counties.is_empty() {
        writeln!(out, "\ncounties")?;
    }
    for it in &plan.counties {
        let word = if it.live { "begins" } else { "STOPS" };
        writeln!(out, "  {} {}: {word} to take cases, from {}", it.code, it.name, it.from)?;
    }
    if !told.certificates.is_empty() {
        writeln!(out, "\ncertificates, the next {} days", limits::CERTIFICATE_WARNING_DAYS)?;
    }
    for it in &told.certificates {
        writeln!(out, "  {} ({}:{})", it.message, it.file, it.line)?;
    }
    Ok(())
}

fn changed(it: &Changed, out: &mut dyn Write) -> io::Result<()> {
    let effect = match it.effect {
        Effect::Unroutable => "finds nobody",
        Effect::LosePermission => "loses permission",
        Effect::Elsewhere => "goes elsewhere",
        Effect::Gain => "is let through",
        Effect::OtherRefusal => "is refused for another reason",
    };
    let calls = &it.calls;
    let to = it.to.map_or_else(String::new, |to| format!(" to {to}"));
    let row = it.row.as_ref().map_or_else(String::new, |row| format!("  ({row})"));
    writeln!(
        out,
        "\n{} from {} at {} {effect}, from {}{to}: {}",
        short(&calls.contract),
        calls.caller,
        calls.address,
        it.from,
        counted(calls.count, "call")
    )?;
    writeln!(out, "    - {}\n    + {}{row}", it.before, it.after)
}

fn unit(it: &UnitChange, open: Option<&[OpenCases]>, out: &mut dyn Write) -> io::Result<()> {
    let stops = if it.stops { "  STOPS TAKING CASES" } else { "" };
    writeln!(
        out,
        "  {} {}: {} -> {}, from {}{stops}",
        it.unit, it.name, it.before, it.after, it.from
    )?;
    let Some(open) = open else {
        return writeln!(out, "    open cases stay where they are (ask a running gateway which)");
    };
    let Some(of_unit) = open.iter().find(|open| open.unit == it.unit) else {
        return writeln!(out, "    no open cases");
    };
    let more = usize::try_from(of_unit.count).unwrap_or(usize::MAX) > of_unit.numbers.len();
    let more = if more { ", ..." } else { "" };
    let numbers = of_unit.numbers.join(", ");
    let cases = counted(of_unit.count, "open case");
    let verb = if of_unit.count == 1 { "stays where it is" } else { "stay where they are" };
    writeln!(out, "    {cases} {verb}: {numbers}{more}")
}
