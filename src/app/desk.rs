//! What an operator asks of routing, answered from the running parts.

use std::collections::{BTreeMap, BTreeSet};

use super::{Parts, live};
use crate::cases::Cases;
use crate::clock;
use crate::limits;
use crate::routing::decisions::{self, Recorded};
use crate::routing::live::{ROLLED_BACK, Taken};
use crate::routing::picture::{Change, Desk, Fetched, Files, NoAnswer, OpenCases, Picture};
use crate::routing::{Refused, RollBackError};
use crate::telemetry::Chain;

/// The desk of a running gateway.
pub(super) struct RunningDesk(pub(super) Parts);

impl Desk for RunningDesk {
    fn picture(&self) -> Picture {
        self.0.routing.picture(self.0.clock.now())
    }

    fn reload(&self) -> Change {
        let before = self.generation();
        // Reading the folder is saying that it is right as it is.
        if self.0.routing.resume().is_some() {
            tracing::info!("fetching from the live TAK goes on");
        }
        let outcome = super::follow::read(&self.0);
        super::follow::tell(&self.0, &outcome);
        self.change(before)
    }

    fn fetch(&self, accept_fewer: bool) -> Result<Fetched, NoAnswer> {
        let before = self.generation();
        let Taken { report, wrote, outcome: _ } =
            live::ask(&self.0, accept_fewer).map_err(|why| format!("nothing is fetched: {why}"))?;
        let rows = report.left.iter().take(limits::TAK_FETCH_LEFT_SHOWN_MAX);
        Ok(Fetched {
            change: self.change(before),
            wrote,
            routes: report.routes,
            permissions: report.permissions,
            left: report.left.len(),
            left_rows: rows.map(|it| format!("{}: {}: {}", it.place, it.row, it.why)).collect(),
            notes: report.notes,
        })
    }

    fn roll_back(&self, generation: &str) -> Result<Change, NoAnswer> {
        let (before, now) = (self.generation(), self.0.clock.now());
        let routing = &self.0.routing;
        let was_live = routing.live().is_some();
        // Before the folder is touched, so that no fetch under way comes after.
        let paused = routing.pause(ROLLED_BACK, now);
        match routing.roll_back(generation, now) {
            Ok((_, outcome)) => {
                if !was_live && routing.live().is_none() {
                    routing.pause_again(paused);
                } else {
                    tracing::warn!("fetching from the live TAK is paused: {ROLLED_BACK}");
                }
                super::follow::tell(&self.0, &outcome);
                Ok(self.change(before))
            }
            Err(error) => {
                // Of one that was written in part, the pause stays.
                if !matches!(error, RollBackError::Write { .. }) {
                    routing.pause_again(paused);
                }
                Err(Chain(&error).to_string())
            }
        }
    }

    fn files(&self) -> Result<Files, NoAnswer> {
        let generation = self.generation();
        let kept = self.0.routing.generations().ok_or("no configurations are kept")?;
        let content = kept.content(&generation).map_err(|error| Chain(&error).to_string())?;
        let files = content.files().iter();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let files = files.map(|(name, bytes)| (name.clone(), text(bytes))).collect();
        Ok(Files { generation, files })
    }

    fn decisions(&self, days: usize) -> Result<Recorded, NoAnswer> {
        let now = self.0.clock.now();
        flush(&self.0).map_err(|error| format!("the decisions cannot be written: {error}"))?;
        decisions::read(&folder(&self.0), days, clock::swedish_day(now))
            .map_err(|error| format!("the recorded decisions cannot be read: {error}"))
    }

    fn open_cases(&self) -> Result<Vec<OpenCases>, NoAnswer> {
        let mut units = BTreeMap::new();
        let visit = &mut |case: crate::complaint::case::Case| {
            let of_unit = units.entry(case.receiver.clone()).or_insert_with(|| OpenCases {
                unit: case.receiver,
                count: 0,
                numbers: Vec::new(),
            });
            of_unit.count += 1;
            if of_unit.numbers.len() < limits::PLAN_NUMBERS_MAX {
                of_unit.numbers.push(case.number.to_string());
            }
        };
        self.0.cases.each_open(visit).map_err(|error| Chain(&error).to_string())?;
        Ok(units.into_values().collect())
    }
}

impl RunningDesk {
    fn generation(&self) -> String {
        self.0.routing.get().table.generation().full().to_owned()
    }

    fn change(&self, before: String) -> Change {
        let refused: Option<Refused> = self.0.routing.refused();
        Change { before, generation: self.generation(), refused }
    }
}

/// Where the recorded calls lie.
pub(super) fn folder(parts: &Parts) -> std::path::PathBuf {
    parts.config.store.dir.join("decisions")
}

/// Writes what was counted since the last time.
pub(super) fn flush(parts: &Parts) -> std::io::Result<()> {
    parts.routing.counter().flush(&folder(parts), parts.clock.now())
}

/// The configurations that open cases name; `None` when that cannot be told.
pub(super) fn named(cases: &Cases) -> Option<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    let read = cases.each_open(&mut |case| {
        named.insert(case.generation);
    });
    match read {
        Ok(()) => Some(named),
        Err(error) => {
            tracing::warn!("old routing configurations stay: {}", Chain(&error));
            None
        }
    }
}
