//! What was seen of a run from outside: every message and what became of it, and each broken promise.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use klagomal::complaint::message::Ii;

/// A promise of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nothing acknowledged is lost.
    NothingLost,
    /// A message happens once, and a repeat gets the first answer.
    NothingTwice,
    /// A message id stands for one content.
    OneContent,
    /// Nobody reads the same words twice unless a person decided so.
    NoWordsTwice,
    /// What one case owes to one receiver goes in order.
    Order,
    /// A dead receiver delays only its own.
    DeadDelaysItsOwn,
    /// The destination is fixed at accept.
    DestinationFixed,
    /// A refusal changes nothing.
    RefusalChangesNothing,
    /// One party's case never reaches another.
    PartiesApart,
    /// What was begun is finished, even if the caller hangs up.
    BegunIsFinished,
    /// What is owed is delivered in the end, or stands where a person sees it.
    OwedIsPaid,
    /// State is a function of the records: views made again are the same.
    ViewsFollow,
    /// The store opens, whatever happened to it; and nothing panics.
    ItRuns,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub promise: Promise,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.promise, self.what)
    }
}

/// What an acknowledged message was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub number: String,
    pub received: Option<Timestamp>,
}

/// What became of a message, as its sender sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Not answered yet.
    Open,
    Accepted(Receipt),
    Refused(String),
}

/// One message to the gateway.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Stands in its text.
    pub token: String,
    /// Who sends it, by HSA-id; the gateway itself for a step in the built-in store.
    pub from: String,
    pub case: Ii,
    pub unit: &'static str,
    pub body: Arc<str>,
    /// Whether it begins the case.
    pub opens: bool,
    pub fate: Fate,
    /// Places in the history: when it was first tried, and when its fate was known.
    pub tried_at: Option<u64>,
    pub known_at: Option<u64>,
    /// How long after the run began that was.
    pub known_after: Option<Duration>,
    /// An attempt of which nobody knows what came of it.
    pub loose: bool,
    /// The system that the configuration in force named for the unit, where that was one and the
    /// same from the first attempt to the answer. `Some(None)`: the built-in store.
    pub goes: Option<Option<String>>,
}

/// Everything that was seen.
#[derive(Debug, Default)]
pub struct History {
    pub sent: BTreeMap<String, Sent>,
    pub violations: Vec<Violation>,
    /// Decisions of operators to send again, by registration number.
    pub retried: BTreeMap<String, u64>,
    /// Found delivered by an operator, without proof: item ids.
    pub marked: Vec<String>,
    /// Cases that lost a record to damage.
    pub damaged: Vec<Ii>,
    pub bit_flipped: bool,
    /// Moves with everything that is noted: a place in the history.
    pub place: u64,
    /// Of everything noted so far and when: two runs with the same one went the same way.
    pub print: u64,
    told: Option<Vec<String>>,
}

impl History {
    pub fn new(told: bool) -> Self {
        Self { told: told.then(Vec::new), ..Self::default() }
    }

    /// Notes what happened at `ms` of the run.
    pub fn note(&mut self, ms: u128, what: &str) {
        self.place += 1;
        let mut hasher = DefaultHasher::new();
        (self.print, ms, what).hash(&mut hasher);
        self.print = hasher.finish();
        if let Some(told) = &mut self.told {
            told.push(format!(
                "{:>12.3} {what}",
                Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
            ));
        }
    }

    pub fn told(&self) -> &[String] {
        self.told.as_deref().unwrap_or_default()
    }
}
