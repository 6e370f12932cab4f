//! What operators are shown of routing, over the admin door: the same form at both of its ends.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::generations::Kept;
use super::live::LivePicture;
use super::{Current, Refused};
use crate::clock;
use crate::id::HsaId;
use crate::limits;
use crate::tak::Planned;

/// Routing as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// Where it is read from.
    pub folder: PathBuf,
    /// The configuration in force, all 64 characters.
    pub generation: String,
    /// Since when.
    pub since: Timestamp,
    /// Why the newest change of the folder is not in force, where it is not.
    pub refused: Option<Refused>,
    /// Every county, by code.
    pub counties: Vec<CountyState>,
    /// What becomes another within [`limits::ROUTING_PLANNED_DAYS`].
    pub planned: Vec<Planned>,
    /// The live TAK that routes and permissions are fetched from, where one is configured.
    #[serde(default)]
    pub live: Option<LivePicture>,
    /// What can be returned to, the newest first.
    pub kept: Vec<Kept>,
}

/// A county today.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountyState {
    /// Länskod.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Whether it takes cases.
    pub live: bool,
    /// What it lacks to take them, for a person.
    pub missing: Vec<String>,
}

/// What came of reading the folder again or returning to an older one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What was in force before.
    pub before: String,
    /// What is in force now.
    pub generation: String,
    /// Why the folder's content is not in force, where it is not.
    pub refused: Option<Refused>,
}

/// What came of a fetch from the live TAK.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// What it did to what is in force.
    pub change: Change,
    /// Files of the folder that are others now.
    pub wrote: Vec<String>,
    /// Routes in the imported files.
    pub routes: usize,
    /// Permissions in the imported files.
    pub permissions: usize,
    /// Rows that were not carried over.
    pub left: usize,
    /// The first [`limits::TAK_FETCH_LEFT_SHOWN_MAX`] of them, each with why.
    pub left_rows: Vec<String>,
    /// What else was done.
    pub notes: Vec<String>,
}

/// The open cases of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCases {
    /// Who has them.
    pub unit: HsaId,
    /// How many.
    pub count: u64,
    /// Registration numbers of the oldest, at most [`limits::PLAN_NUMBERS_MAX`].
    pub numbers: Vec<String>,
}

/// The files of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// All 64 characters of its name.
    pub generation: String,
    /// Texts by name.
    pub files: BTreeMap<String, String>,
}

/// Why an operator's question has no answer, in words for the operator.
pub type NoAnswer = String;

/// What an operator may ask of routing. Calls may take long: not for a thread that others wait for.
pub trait Desk: Send + Sync {
    /// Routing as it stands.
    fn picture(&self) -> Picture;
    /// Reads the folder again.
    fn reload(&self) -> Change;
    /// Fetches from the live TAK now, also where fetching is paused; with `accept_fewer` also answers
    /// that have far fewer rows than the last good copy.
    ///
    /// # Errors
    /// When nothing was fetched; nothing has changed.
    fn fetch(&self, accept_fewer: bool) -> Result<Fetched, NoAnswer>;
    /// Returns to a kept configuration.
    ///
    /// # Errors
    /// When that is not possible; nothing has changed unless it says so.
    fn roll_back(&self, generation: &str) -> Result<Change, NoAnswer>;
    /// The files of the configuration in force.
    ///
    /// # Errors
    /// When they cannot be read.
    fn files(&self) -> Result<Files, NoAnswer>;
    /// The decisions of the last days, this one's included.
    ///
    /// # Errors
    /// When they cannot be read.
    fn decisions(&self, days: usize) -> Result<super::decisions::Recorded, NoAnswer>;
    /// Open cases by unit.
    ///
    /// # Errors
    /// When they cannot be read.
    fn open_cases(&self) -> Result<Vec<OpenCases>, NoAnswer>;
}

/// A desk that many ask at.
#[derive(Clone)]
pub struct SharedDesk(pub Arc<dyn Desk>);

impl fmt::Debug for SharedDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl Current {
    /// Routing as it stands.
    #[must_use]
    pub fn picture(&self, now: Timestamp) -> Picture {
        let routing = self.get();
        let table = &routing.table;
        let today = clock::swedish_day(now);
        let counties = table.counties().map(|it| CountyState {
            code: it.code.clone(),
            name: it.name.clone(),
            live: it.is_live(today),
            missing: table.missing(it, today).iter().map(|it| it.english().to_owned()).collect(),
        });
        let until = today.checked_add(limits::ROUTING_PLANNED_DAYS.days()).unwrap_or(Date::MAX);
        Picture {
            folder: std::path::absolute(self.folder()).unwrap_or_else(|_| self.folder().into()),
            generation: table.generation().full().to_owned(),
            since: self.since(),
            refused: self.refused(),
            counties: counties.collect(),
            planned: table.planned(today, until),
            live: self.live(),
            // A list that cannot be read is no reason to show nothing; the next change says why.
            kept: self.generations().and_then(|it| it.list().ok()).unwrap_or_default(),
        }
    }
}
