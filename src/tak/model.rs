//! What a routing configuration says, once it has been read and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::finding::Place;
use super::period::Days;
use crate::complaint::deadline::Terms;
use crate::id::HsaId;

pub(super) use crate::complaint::deadline::Term;

/// `[platform]`: this gateway and its neighbours.
#[derive(Debug, Clone)]
pub struct Platform {
    /// Own HSA-id.
    pub hsa_id: HsaId,
    /// Named in faults and in `x-rivta-routing-history`.
    pub instance: String,
    /// Id of the system that is 1177 Inkorg.
    pub inkorg: String,
    /// The 1177 platform: the logical address of `ProcessComplaintHandling`.
    pub portal: HsaId,
    /// Id of the system that is sent every handling event as `ProcessComplaintHandling`.
    pub onward: Option<String>,
    /// Id of the system that is a live TAK: routes and permissions are fetched from it.
    pub tak: Option<String>,
    /// How often they are, from [`crate::limits::TAK_FETCH_EVERY_MIN`] to
    /// [`crate::limits::TAK_FETCH_EVERY_MAX`].
    pub tak_every: Duration,
    /// Where it is configured.
    pub place: Place,
    /// HSA unit files in the routing folder that make the organisation tree, the master first.
    pub hierarchy_files: Vec<String>,
    /// Contracts that may be called with `A#B` addresses; empty means all. Lower case.
    pub(super) delimiter_contracts: Vec<String>,
    /// Callers that may use `A#B` addresses; empty means all.
    pub(super) delimiter_consumers: Vec<HsaId>,
    /// Whether and where the organisation tree is climbed for a route.
    pub(super) climb_routes: Climb,
    /// The same for permissions.
    pub(super) climb_permissions: Climb,
}

/// Whether the organisation tree is climbed, by contract.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Climb {
    pub(super) enabled: bool,
    /// Beginnings of contracts for which it is the other way round. Lower case.
    pub(super) except: Vec<String>,
}

impl Climb {
    /// `contract` in lower case.
    pub(super) fn applies_to(&self, contract: &str) -> bool {
        self.enabled != self.except.iter().any(|it| contract.starts_with(it.as_str()))
    }
}

/// `[[system]]`: one who calls, is called, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// What other rows name it by; present for those who are called.
    pub id: Option<String>,
    /// What it shows in its certificate.
    pub hsa_id: HsaId,
    /// For people.
    pub name: String,
    /// Where it is called.
    pub url: Option<Arc<str>>,
    /// One call, from the first byte sent to the last received.
    pub timeout: Duration,
    /// Passed on while the caller waits, or kept and then delivered.
    pub delivery: Delivery,
    /// At most this many calls; absent means no bound of its own.
    pub rate: Option<Rate>,
    /// It may call at most this often; absent means the default of the settings.
    pub rate_in: Option<Rate>,
    /// May set `x-rivta-original-serviceconsumer-hsaid`.
    pub original_consumer: bool,
    /// Client certificate chain (PEM), relative to the settings file; absent means the gateway's.
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
    /// Certificates of those who may have issued the system's (PEM); absent means the gateway's.
    pub trust: Option<PathBuf>,
    /// What to do when a call was sent and no answer came.
    pub when_unknown: WhenUnknown,
    /// When to try again.
    pub retry: Retry,
    /// 1177 Inkorg only: ask for a notice (avisering) with each message.
    pub notify: bool,
    /// 1177 Inkorg only: the `sourceSystem` of each message, required with `notify`.
    pub source_system: Option<String>,
    /// Where it is configured.
    pub place: Place,
}

/// How calls to a system are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Passed on while the caller waits; nothing is stored.
    Direct,
    /// Committed to disk, answered, then delivered.
    Queued,
}

/// What to do with a message that may or may not have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnknown {
    /// Keep it apart and show it to a person: the receiver cannot tell a repeat.
    Hold,
    /// Send it again under the same id: the receiver's contract is idempotent.
    Resend,
}

/// A bound on calls: `calls` in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At least one.
    pub calls: u32,
    /// One second, minute or hour.
    pub per: Duration,
}

impl Rate {
    /// Reads `10/s`, `30/min`, `100/h`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (calls, per) = text.split_once('/')?;
        let calls: u32 = calls.trim().parse().ok().filter(|it| *it > 0)?;
        let per = match per.trim() {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Self { calls, per: Duration::from_secs(per) })
    }

    /// The even distance between two calls.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.per.checked_div(self.calls).unwrap_or(self.per)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = match self.per.as_secs() {
            1 => "s",
            60 => "min",
            _ => "h",
        };
        write!(f, "{}/{per}", self.calls)
    }
}

/// The waits between tries of one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The wait after the first failure, the second, and so on; the last one repeats. Never empty.
    pub waits: Vec<Duration>,
    /// After this long since the first try, a person is asked instead.
    pub give_up_after: Duration,
}

impl Retry {
    /// The wait after the `failures`-th failed try (1 is the first).
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
        self.waits.get(at).or(self.waits.last()).copied().unwrap_or(Self::LAST_RESORT)
    }

    const LAST_RESORT: Duration = Duration::from_secs(3600);
}

impl Default for Retry {
    /// 4 s, 20 s, 5 min, 30 min, then hourly (1177 Inkorg's own advice), for seven days: longer
    /// than any long weekend at a receiver.
    fn default() -> Self {
        Self {
            waits: [4, 20, 300, 1800, 3600].map(Duration::from_secs).to_vec(),
            give_up_after: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// `[[county]]`: a län, live when it has a care unit and a patientnämnd.
#[derive(Debug, Clone)]
pub struct County {
    /// Länskod, two digits.
    pub code: String,
    /// For people.
    pub name: String,
    /// The unit that is its patientnämnd.
    pub committee: Option<HsaId>,
    /// Where it is configured.
    pub place: Place,
    /// The days on which it takes cases.
    pub(super) live: Vec<Days>,
}

impl County {
    /// Whether the county takes cases on this Swedish local day.
    #[must_use]
    pub fn is_live(&self, day: Date) -> bool {
        self.live.iter().any(|it| it.contains(day))
    }
}

/// `[[unit]]`: a receiver of cases.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The logical address.
    pub hsa_id: HsaId,
    /// For people.
    pub name: String,
    /// Länskod.
    pub county: String,
    /// Vårdgivare; absent for a patientnämnd.
    pub care_provider: Option<HsaId>,
    /// Verksamhetsområde.
    pub operational_area: Option<String>,
    /// Where a mail about a new case goes, never with content.
    pub mailbox: Option<String>,
    /// For letters.
    pub telephone: Option<String>,
    /// For letters.
    pub address: Option<String>,
    /// How long a case may take here.
    pub terms: Terms,
    /// The days on which it takes cases at all.
    pub days: Days,
    /// In order of days; from the day of loading on, exactly one covers each of `days`.
    pub handling: Vec<HandlingPeriod>,
    /// Where it is configured.
    pub place: Place,
}

impl Unit {
    /// The handling method on this Swedish local day.
    #[must_use]
    pub fn handling_on(&self, day: Date) -> Option<&HandlingPeriod> {
        if !self.days.contains(day) {
            return None;
        }
        self.handling.iter().find(|it| it.days.contains(day))
    }
}

/// `[[person]]`: somebody who works in the built-in store.
#[derive(Debug, Clone)]
pub struct Person {
    /// What the card shows (SITHS: serialNumber of the subject).
    pub hsa_id: HsaId,
    /// For colleagues, and for the complainant where it stands under an answer.
    pub name: String,
    /// The same.
    pub title: Option<String>,
    /// Where notices go; without, to the unit's mailbox.
    pub email: Option<String>,
    /// The roles at each unit. Never at both a patientnämnd and in care.
    pub posts: BTreeMap<HsaId, BTreeSet<Role>>,
    /// When somebody else handles this person's cases, too.
    pub absences: Vec<Absence>,
    /// Those whose cases this person handles beside the own ones; see [`super::Table::on_duty`].
    pub stands_in_for: BTreeSet<HsaId>,
    /// Where it is configured.
    pub place: Place,
}

/// `[[person.absence]]`: days on which a substitute (ersättare) handles somebody's cases, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    pub days: Days,
    pub substitute: HsaId,
}

impl Person {
    /// Who handles the person's cases, too, on `day`.
    #[must_use]
    pub fn substitute_on(&self, day: Date) -> Option<&HsaId> {
        self.absences.iter().find(|it| it.days.contains(day)).map(|it| &it.substitute)
    }

    /// The roles at a unit.
    #[must_use]
    pub fn roles_at(&self, unit: &HsaId) -> BTreeSet<Role> {
        self.posts.get(unit).cloned().unwrap_or_default()
    }
}

/// What somebody does at a unit; the national tool's roles, and kvalitetsansvarig of municipal care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Ärendemottagare: reads and distributes what comes in.
    CaseReceiver,
    /// Ärendehanterare: sees and answers what is assigned.
    CaseHandler,
    /// Granskare: reads the access log.
    LogReviewer,
    /// Kvalitetsansvarig: places and oversees, writes no reply.
    QualityLead,
    /// Lokal administratör: redistributes without reading.
    LocalAdministrator,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::CaseReceiver,
        Self::CaseHandler,
        Self::LogReviewer,
        Self::QualityLead,
        Self::LocalAdministrator,
    ];

    /// As in the configuration and on the page.
    #[must_use]
    pub const fn swedish(self) -> &'static str {
        match self {
            Self::CaseReceiver => "ärendemottagare",
            Self::CaseHandler => "ärendehanterare",
            Self::LogReviewer => "granskare",
            Self::QualityLead => "kvalitetsansvarig",
            Self::LocalAdministrator => "lokal administratör",
        }
    }

    /// From the word of the configuration, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        Self::ALL.into_iter().find(|it| it.swedish() == text)
    }
}

/// `[[unit.handling]]`: who handles a unit's cases during some days.
#[derive(Debug, Clone)]
pub struct HandlingPeriod {
    /// When.
    pub days: Days,
    /// How.
    pub method: Method,
    /// Where it is configured.
    pub place: Place,
}

/// How a unit's cases are handled.
#[derive(Debug, Clone)]
pub enum Method {
    /// In the built-in staff store.
    Store,
    /// In an own system.
    System {
        /// The system.
        system: Arc<System>,
        /// The logical address toward it where that is not the unit's own.
        receiver: Option<HsaId>,
    },
}

/// A RIV TA profile: which header and transport rules a call keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Basic Profile 2.0: WS-Addressing `To`.
    Rivtabp20,
    /// Basic Profile 2.1: `LogicalAddress`.
    Rivtabp21,
}

impl Profile {
    /// As in configuration and paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rivtabp20 => "rivtabp20",
            Self::Rivtabp21 => "rivtabp21",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
