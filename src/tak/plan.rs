//! What a new configuration would do to the calls that really came: a rehearsal.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Table;
use super::decide::{Decision, Destination, Handling, Question, Verdict};
use super::denial::Denial;
use super::diff::told;
use super::model::{Profile, Unit};
use super::period::Days;
use crate::id::{Contract, HsaId};
use crate::limits;

/// What came of a call, as it is recorded: no more than is needed to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Kept in the built-in store.
    Store,
    /// Kept for an own system.
    System,
    /// An event of the handling.
    Handling,
    /// Answered by the gateway itself.
    Answer,
    /// Passed on.
    Forward,
    /// Refused: nobody there.
    NoRoute,
    /// Refused: the county takes no cases.
    NotLive,
    /// Refused: no permission.
    NotPermitted,
    /// Refused: no address, no configuration, or a faulty one.
    Other,
}

impl Outcome {
    /// Whether the call was let through.
    #[must_use]
    pub const fn is_let_through(self) -> bool {
        match self {
            Self::Store | Self::System | Self::Handling | Self::Answer | Self::Forward => true,
            Self::NoRoute | Self::NotLive | Self::NotPermitted | Self::Other => false,
        }
    }

    /// What an answer counts as.
    #[must_use]
    pub const fn of(outcome: &Result<Destination, Denial>) -> Self {
        match outcome {
            Ok(Destination::Keep { handling: Handling::Store, .. }) => Self::Store,
            Ok(Destination::Keep { handling: Handling::System { .. }, .. }) => Self::System,
            Ok(Destination::Handling) => Self::Handling,
            Ok(Destination::Answer) => Self::Answer,
            Ok(Destination::Forward { .. }) => Self::Forward,
            Err(Denial::NoRoute { .. }) => Self::NoRoute,
            Err(Denial::CountyNotLive { .. }) => Self::NotLive,
            Err(Denial::NotPermitted { .. }) => Self::NotPermitted,
            Err(
                Denial::NoAddress
                | Denial::MoreThanOne { .. }
                | Denial::NoUrl { .. }
                | Denial::NoTable,
            ) => Self::Other,
        }
    }
}

/// Calls that are one to routing, and how many came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Calls {
    /// Namespace of the first element in the body.
    pub contract: String,
    /// Logical address; `?` for all that no row knows.
    pub address: String,
    /// HSA-id of the caller.
    pub caller: String,
    /// The envelope's profile.
    pub profile: Profile,
    /// How many.
    pub count: u64,
}

/// What becomes of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Refused, as nobody is there any longer.
    Unroutable,
    /// Refused, as the permission is gone.
    LosePermission,
    /// Answered by another.
    Elsewhere,
    /// Refused before, and let through now.
    Gain,
    /// Refused before and after, for another reason.
    OtherRefusal,
}

/// Calls that would get another answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What becomes of them.
    pub effect: Effect,
    /// The calls.
    #[serde(flatten)]
    pub calls: Calls,
    /// The first Swedish local day of it.
    pub from: Date,
    /// The last, where it ends.
    pub to: Option<Date>,
    /// The answer in force.
    pub before: String,
    /// The answer to come.
    pub after: String,
    /// The row of the new configuration that decides, `file:line`; absent where there is none.
    pub row: Option<String>,
}

/// A unit whose cases would be handled elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitChange {
    /// The unit.
    pub unit: HsaId,
    /// Its name.
    pub name: String,
    /// From this Swedish local day on.
    pub from: Date,
    /// Where its new cases are handled today's way.
    pub before: String,
    /// And then.
    pub after: String,
    /// Whether it takes no new cases any longer.
    pub stops: bool,
}

/// A county that would begin or stop taking cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountyChange {
    /// Länskod.
    pub code: String,
    /// Its name.
    pub name: String,
    /// From this Swedish local day on.
    pub from: Date,
    /// Whether it takes cases then.
    pub live: bool,
}

/// How many recorded calls would meet each effect, on some day from today on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// All that were looked at.
    pub calls: u64,
    /// No other answer on any day.
    pub same: u64,
    /// See [`Effect::Elsewhere`].
    pub elsewhere: u64,
    /// See [`Effect::Unroutable`].
    pub unroutable: u64,
    /// See [`Effect::LosePermission`].
    pub lose_permission: u64,
    /// See [`Effect::Gain`].
    pub gain: u64,
    /// See [`Effect::OtherRefusal`].
    pub other_refusal: u64,
    /// To addresses or contracts that no row knew, which were counted under one key.
    pub unknown: u64,
}

/// The whole rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// How many calls.
    pub totals: Totals,
    /// The gravest first, then those with most calls; at most [`limits::PLAN_ROWS_MAX`].
    pub changed: Vec<Changed>,
    /// How many more there are.
    pub left_out: usize,
    /// By unit.
    pub units: Vec<UnitChange>,
    /// By county.
    pub counties: Vec<CountyChange>,
}

/// What stands for addresses and contracts that no row knows.
pub const UNKNOWN: &str = "?";

/// Asks both configurations about every one of `calls`, on every day from `today` on where an answer
/// may change.
#[must_use]
pub fn plan(old: &Table, new: &Table, calls: &[Calls], today: Date) -> Plan {
    let mut totals = Totals::default();
    let mut changed = Vec::new();
    for one in calls {
        totals.calls = totals.calls.saturating_add(one.count);
        let caller = HsaId::parse(&one.caller);
        let (true, Ok(caller)) = (one.address != UNKNOWN && one.contract != UNKNOWN, caller) else {
            totals.unknown = totals.unknown.saturating_add(one.count);
            continue;
        };
        let found = changes(old, new, one, &caller, today);
        count(&mut totals, &found, one.count);
        changed.extend(found);
    }
    changed.sort_by(|a, b| {
        let most = |it: &Changed| std::cmp::Reverse(it.calls.count);
        (a.effect, most(a), &a.calls, a.from).cmp(&(b.effect, most(b), &b.calls, b.from))
    });
    let left_out = changed.len().saturating_sub(limits::PLAN_ROWS_MAX);
    changed.truncate(limits::PLAN_ROWS_MAX);
    let units = units(old, new, today);
    Plan { totals, changed, left_out, units, counties: counties(old, new, today) }
}

fn count(totals: &mut Totals, found: &[Changed], calls: u64) {
    let effects: BTreeSet<Effect> = found.iter().map(|it| it.effect).collect();
    if effects.is_empty() {
        totals.same = totals.same.saturating_add(calls);
    }
    for effect in effects {
        let of = match effect {
            Effect::Unroutable => &mut totals.unroutable,
            Effect::LosePermission => &mut totals.lose_permission,
            Effect::Elsewhere => &mut totals.elsewhere,
            Effect::Gain => &mut totals.gain,
            Effect::OtherRefusal => &mut totals.other_refusal,
        };
        *of = of.saturating_add(calls);
    }
}

/// What becomes of calls that are one to routing, day span by day span.
fn changes(old: &Table, new: &Table, calls: &Calls, caller: &HsaId, today: Date) -> Vec<Changed> {
    let contract = Contract(calls.contract.clone());
    let question = Question {
        caller,
        contract: &contract,
        address: &calls.address,
        profile: calls.profile,
        at: Timestamp::UNIX_EPOCH,
    };
    let turns = [old, new].map(|it| it.turns(&calls.contract, &calls.address, &calls.caller));
    let mut found: Vec<Changed> = Vec::new();
    let mut goes_on = false;
    for (from, to) in spans(turns.iter().flatten().copied(), today) {
        let (one, two) = (old.decide_on(&question, from), new.decide_on(&question, from));
        let (before, after) = (told(&one.outcome), told(&two.outcome));
        let Some(effect) = effect(&one, &two).filter(|_| before != after) else {
            goes_on = false;
            continue;
        };
        match found.last_mut() {
            Some(last) if goes_on && last.before == before && last.after == after => last.to = to,
            Some(_) | None => found.push(Changed {
                effect,
                calls: calls.clone(),
                from,
                to,
                before,
                after,
                row: new.deciding_row(&two),
            }),
        }
        goes_on = true;
    }
    found
}

fn effect(before: &Decision, after: &Decision) -> Option<Effect> {
    Some(match (&before.outcome, &after.outcome) {
        (Ok(_), Ok(_)) => Effect::Elsewhere,
        (Ok(_), Err(Denial::NotPermitted { .. })) => Effect::LosePermission,
        (Ok(_), Err(_)) => Effect::Unroutable,
        (Err(_), Ok(_)) => Effect::Gain,
        (Err(_), Err(_)) => Effect::OtherRefusal,
    })
}

/// The spans between turns, from `today` on.
fn spans(turns: impl Iterator<Item = Date>, today: Date) -> Vec<(Date, Option<Date>)> {
    let days: BTreeSet<Date> = turns.filter(|it| *it > today).chain([today]).collect();
    let ends = days.iter().skip(1).map(|it| it.yesterday().ok()).chain([None]);
    days.iter().copied().zip(ends).collect()
}

impl Table {
    /// The row that decided: the last that won before the permission was asked for, or the last that
    /// was tried.
    fn deciding_row(&self, decision: &Decision) -> Option<String> {
        use super::decide::Stage;
        let won = decision.trail.iter().rev().find(|it| {
            it.verdict == Verdict::Won && it.stage != Stage::Permission && it.row.is_some()
        });
        let last = decision.trail.iter().rev().find(|it| it.row.is_some());
        let step = if decision.outcome.is_ok() { won } else { last };
        step.and_then(|it| it.row).map(|it| self.row(it.place))
    }
}

fn units(old: &Table, new: &Table, today: Date) -> Vec<UnitChange> {
    let all: BTreeSet<&HsaId> = old.units().chain(new.units()).map(|it| &it.hsa_id).collect();
    let mut found = Vec::new();
    for id in all {
        let (one, two) = (old.unit(id), new.unit(id));
        let name = two.as_ref().or(one.as_ref()).map(|it| it.name.clone()).unwrap_or_default();
        let turns = one.iter().chain(&two).flat_map(|it| unit_turns(it));
        let on = |unit: Option<&Unit>, day| {
            unit.and_then(|it| it.handling_on(day)).map(|it| it.method.told())
        };
        let mut last = None;
        for (from, _) in spans(turns, today) {
            let pair = (on(one.as_deref(), from), on(two.as_deref(), from));
            if pair.0 != pair.1 && last.as_ref() != Some(&pair) {
                let none = || "takes no cases".to_owned();
                found.push(UnitChange {
                    unit: id.clone(),
                    name: name.clone(),
                    from,
                    stops: pair.1.is_none(),
                    before: pair.0.clone().unwrap_or_else(none),
                    after: pair.1.clone().unwrap_or_else(none),
                });
            }
            last = Some(pair);
        }
    }
    found
}

fn unit_turns(unit: &Unit) -> Vec<Date> {
    let spans = unit.handling.iter().map(|it| it.days).chain([unit.days]);
    spans.flat_map(|it: Days| it.from().into_iter().chain(it.next())).collect()
}

fn counties(old: &Table, new: &Table, today: Date) -> Vec<CountyChange> {
    let all: BTreeSet<&str> = old.counties().chain(new.counties()).map(|it| &*it.code).collect();
    let mut found = Vec::new();
    for code in all {
        let (one, two) = (old.county(code), new.county(code));
        let name = two.as_ref().or(one.as_ref()).map(|it| it.name.clone()).unwrap_or_default();
        let live = one.iter().chain(&two).flat_map(|it| &it.live);
        let turns = live.flat_map(|it| it.from().into_iter().chain(it.next()));
        let mut differs = false;
        for (from, _) in spans(turns, today) {
            let was = one.as_ref().is_some_and(|it| it.is_live(from));
            let is = two.as_ref().is_some_and(|it| it.is_live(from));
            if was != is && !differs {
                let (code, name) = (code.to_owned(), name.clone());
                found.push(CountyChange { code, name, from, live: is });
            }
            differs = was != is;
        }
    }
    found
}
