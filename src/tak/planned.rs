//! What a configuration has planned: who takes over, who opens and who closes, and when.

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::model::{Method, Unit};
use super::{Place, Table};
use crate::id::HsaId;

/// Something that becomes another on a day to come, without anybody touching the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Planned {
    /// The first Swedish local day on which it holds.
    pub day: Date,
    /// The receiver.
    pub unit: HsaId,
    /// Its name.
    pub name: String,
    /// What happens, for a person.
    pub what: String,
    /// The row that says so, `file:line`.
    pub row: String,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { day, unit, name, what, row } = self;
        write!(f, "{day}  {unit} ({name}): {what} ({row})")
    }
}

impl Table {
    /// Everything planned after `today` and up to `until`, itself included, by day.
    #[must_use]
    pub fn planned(&self, today: Date, until: Date) -> Vec<Planned> {
        let ahead = |day: &Date| *day > today && *day <= until;
        let mut found: Vec<Planned> =
            self.units.values().flat_map(|unit| self.planned_of(unit)).collect();
        found.retain(|it| ahead(&it.day));
        found.sort();
        found
    }

    fn planned_of(&self, unit: &Unit) -> Vec<Planned> {
        let told = |day: Date, place: Place, what: String| Planned {
            day,
            unit: unit.hsa_id.clone(),
            name: unit.name.clone(),
            what,
            row: self.row(place),
        };
        let mut found = Vec::new();
        for it in &unit.handling {
            let before = it.days.from().and_then(|from| from.yesterday().ok());
            let before = before.and_then(|day| unit.handling_on(day)).map(|it| &it.method);
            let same = before.is_some_and(|before| before.told() == it.method.told());
            if let Some(from) = it.days.from().filter(|from| !same && unit.days.contains(*from)) {
                found.push(told(from, it.place, format!("handled in {}", it.method.told())));
            }
        }
        let opens = unit.days.from().map(|day| (day, "begins to take cases"));
        let closes = unit.days.next().map(|day| (day, "takes no new cases any longer"));
        let ends = opens.into_iter().chain(closes);
        found.extend(ends.map(|(day, what)| told(day, unit.place, what.to_owned())));
        found
    }

    /// A place as an editor takes it: `file:line`.
    #[must_use]
    pub fn row(&self, place: Place) -> String {
        format!("{}:{}", self.file(place), place.line())
    }
}

impl Method {
    /// For a person: where the cases are handled.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Store => "the built-in store".to_owned(),
            Self::System { system, receiver } => {
                let id = system.id.as_deref().unwrap_or(&system.name);
                match receiver {
                    Some(receiver) => format!("system {id} as {receiver}"),
                    None => format!("system {id}"),
                }
            }
        }
    }
}
