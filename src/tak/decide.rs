//! One question, one answer: where a call goes and whether its caller may make it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;

use super::denial::{Denial, Missing};
use super::finding::Place;
use super::model::{County, HandlingPeriod, Method, Profile, System, Unit};
use super::names::Name;
use super::period::Days;
use super::rows::{Permission, Route, Target};
use super::{Generation, PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING, Table};
use crate::clock;
use crate::id::{Contract, HsaId};
use crate::limits;
use crate::rivta::served;

/// Separates the logical addresses of old-style default routing, `A#B`.
const DELIMITER: char = '#';

/// What a caller wants, as read from its certificate and the head of its envelope.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The one whose certificate it is.
    pub caller: &'a HsaId,
    /// Namespace of the first element in the body.
    pub contract: &'a Contract,
    /// The logical address exactly as it stands in the header; empty where there is none.
    pub address: &'a str,
    /// The profile that the envelope keeps.
    pub profile: Profile,
    /// When; rows hold for whole Swedish local days.
    pub at: Timestamp,
}

/// An answer, and how it came about.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Where to, or why not.
    pub outcome: Result<Destination, Denial>,
    /// What was tried, in order.
    pub trail: Vec<Step>,
    /// The configuration that answered.
    pub generation: Generation,
}

/// Where an allowed call goes.
#[derive(Debug, Clone)]
pub enum Destination {
    /// A complaint: commit it, answer, then see to its handling.
    Keep {
        /// The receiver.
        unit: Arc<Unit>,
        /// Who handles its cases that day.
        handling: Handling,
    },
    /// An event of the handling, from an own system: commit it, answer, pass it on to the citizen.
    Handling,
    /// A question about the gateway or its routing: answer it.
    Answer,
    /// Any other contract: pass it on while the caller waits.
    Forward {
        /// Whom the route names; absent where it gives a bare URL.
        system: Option<Arc<System>>,
        /// Where it is called.
        url: Arc<str>,
        /// The profile it wants; where it differs from the question's, the head is rewritten.
        profile: Profile,
        /// How long the whole call may take.
        timeout: Duration,
    },
}

/// Who handles the cases of a unit.
#[derive(Debug, Clone)]
pub enum Handling {
    /// The built-in staff store.
    Store,
    /// A system of the region's own.
    System {
        /// The system.
        system: Arc<System>,
        /// The logical address toward it: the redirect, or the unit's own.
        receiver: HsaId,
    },
}

/// One thing that was tried. [`Table::explain`] puts it into words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was looked for.
    pub stage: Stage,
    /// How the address came to be tried.
    pub via: Via,
    /// The address tried, where it is not the one asked for or `*`.
    pub address: Option<Box<str>>,
    /// The row, where there was one.
    pub row: Option<Row>,
    /// What came of it.
    pub verdict: Verdict,
}

/// A row of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// When it holds.
    pub days: Days,
}

/// What a step looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// This gateway's own address.
    Own,
    /// The 1177 platform's own address.
    Portal,
    /// A receiver.
    Unit,
    /// The receiver's county.
    County,
    /// The receiver's handling method.
    Handling,
    /// A vägval.
    Route,
    /// An anropsbehörighet.
    Permission,
}

/// How an address came to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// It is the one asked for.
    Asked,
    /// It is one part of an `A#B` address.
    Token,
    /// It lies above the one asked for in the organisation tree.
    Parent,
    /// It is `*`.
    Standard,
}

/// What came of trying a row or an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It decided.
    Won,
    /// There is no such row.
    NoRow,
    /// The row begins on a later day.
    NotYet,
    /// The row ended on an earlier day.
    Over,
    /// Another route at the same address is of the call's profile.
    OtherProfile,
    /// Several routes fit equally well.
    OneOfSeveral,
    /// The county lacks what it takes to be live that day.
    NotLive,
    /// `A#B` addresses are not open to this contract, this caller or this many parts.
    DelimiterNotAllowed,
}

/// A question, prepared.
pub(super) struct Call<'a> {
    asked: &'a Question<'a>,
    day: Date,
    /// The address to look for: trimmed for our own contracts, as it came for others.
    address: &'a str,
    contract: Option<Name>,
    /// Of the address.
    name: Option<Name>,
    trail: Vec<Step>,
}

impl Table {
    /// Where a call goes and whether its caller may make it. From the table and the question alone:
    /// the same question gives the same answer.
    #[must_use]
    pub fn decide(&self, question: &Question<'_>) -> Decision {
        self.decide_on(question, clock::swedish_day(question.at))
    }

    /// The answer on a Swedish local day, whatever time the question has.
    pub(super) fn decide_on(&self, question: &Question<'_>, day: Date) -> Decision {
        let mut call = self.call(question, day);
        let outcome = self.route_and_permit(&mut call);
        Decision { outcome, trail: call.trail, generation: self.generation.clone() }
    }

    pub(super) fn call<'a>(&self, question: &'a Question<'a>, day: Date) -> Call<'a> {
        Call {
            asked: question,
            day,
            address: question.address,
            contract: self.names.find(question.contract.as_str()),
            name: self.names.find(question.address),
            trail: Vec::with_capacity(4),
        }
    }

    fn route_and_permit(&self, call: &mut Call<'_>) -> Result<Destination, Denial> {
        let destination = self.destination(call)?;
        if self.is_permitted(call) { Ok(destination) } else { Err(call.not_permitted()) }
    }

    /// Where the call would go, whoever makes it.
    pub(super) fn destination(&self, call: &mut Call<'_>) -> Result<Destination, Denial> {
        if call.address.trim().is_empty() {
            return Err(Denial::NoAddress);
        }
        if call.address.len() > limits::LOGICAL_ADDRESS_CHARS_MAX
            && call.address.chars().nth(limits::LOGICAL_ADDRESS_CHARS_MAX).is_some()
        {
            return Err(call.no_route());
        }
        let contract = call.asked.contract.as_str();
        let trim = |call: &mut Call<'_>| {
            if call.address.trim() != call.address {
                call.address = call.address.trim();
                call.name = self.names.find(call.address);
            }
        };
        if contract.eq_ignore_ascii_case(PROCESS_COMPLAINT) {
            trim(call);
            self.unit_for(call)
        } else if contract.eq_ignore_ascii_case(PROCESS_COMPLAINT_HANDLING) {
            trim(call);
            self.portal_for(call)
        } else if served::is_served(contract) && self.is_own(call.address) {
            trim(call);
            let row = Row { place: self.platform.place, days: Days::ALL };
            call.step(Stage::Own, Via::Asked, Some(row), Verdict::Won);
            Ok(Destination::Answer)
        } else {
            self.forward_for(call)
        }
    }

    fn is_own(&self, address: &str) -> bool {
        address.trim().eq_ignore_ascii_case(self.platform.hsa_id.as_str())
    }

    fn unit_for(&self, call: &mut Call<'_>) -> Result<Destination, Denial> {
        let unit = HsaId::parse(call.address).ok().and_then(|it| self.units.get(&it));
        let Some(unit) = unit else {
            call.step(Stage::Unit, Via::Asked, None, Verdict::NoRow);
            return Err(call.no_route());
        };
        let row = Row { place: unit.place, days: unit.days };
        let verdict = in_effect(unit.days, call.day).unwrap_or(Verdict::Won);
        call.step(Stage::Unit, Via::Asked, Some(row), verdict);
        if verdict != Verdict::Won {
            return Err(call.no_route());
        }
        self.county_is_live(call, unit)?;
        let handling = handling_for(call, unit)?;
        Ok(Destination::Keep { unit: Arc::clone(unit), handling })
    }

    fn county_is_live(&self, call: &mut Call<'_>, unit: &Unit) -> Result<(), Denial> {
        let Some(county) = self.counties.get(&unit.county) else {
            call.step(Stage::County, Via::Asked, None, Verdict::NoRow);
            return Err(call.no_route());
        };
        let live = county.is_live(call.day);
        let row = Row { place: county.place, days: Days::ALL };
        let verdict = if live { Verdict::Won } else { Verdict::NotLive };
        call.step(Stage::County, Via::Asked, Some(row), verdict);
        if live {
            return Ok(());
        }
        Err(Denial::CountyNotLive {
            contract: call.asked.contract.as_str().to_owned(),
            address: call.asked.address.to_owned(),
            county: county.code.clone(),
            name: county.name.clone(),
            missing: self.missing(county, call.day),
        })
    }

    /// What the county lacks to be live on `day`; empty when it is live.
    #[must_use]
    pub fn missing(&self, county: &County, day: Date) -> Vec<Missing> {
        let takes_cases = |it: &Unit| it.handling_on(day).is_some();
        let committee = county.committee.as_ref().and_then(|it| self.units.get(it));
        let care_unit = self.units.values().any(|it| {
            it.county == county.code && !self.committees.contains(&it.hsa_id) && takes_cases(it)
        });
        let mut missing = Vec::new();
        if !committee.is_some_and(|it| takes_cases(it)) {
            missing.push(Missing::Committee);
        }
        if !care_unit {
            missing.push(Missing::CareUnit);
        }
        missing
    }

    fn portal_for(&self, call: &mut Call<'_>) -> Result<Destination, Denial> {
        let portal = &self.platform.portal;
        if call.address.eq_ignore_ascii_case(portal.as_str()) {
            let row = Row { place: self.platform.place, days: Days::ALL };
            call.step(Stage::Portal, Via::Asked, Some(row), Verdict::Won);
            Ok(Destination::Handling)
        } else {
            call.step(Stage::Portal, Via::Asked, None, Verdict::NoRow);
            Err(call.no_route())
        }
    }

    fn forward_for(&self, call: &mut Call<'_>) -> Result<Destination, Denial> {
        let Some(found) = self.find_route(call) else { return Err(call.no_route()) };
        let route = found.map_err(|MoreThanOne| Denial::MoreThanOne {
            contract: call.asked.contract.as_str().to_owned(),
            address: call.asked.address.to_owned(),
        })?;
        let Some(url) = route.target.url() else {
            return Err(Denial::NoUrl {
                contract: call.asked.contract.as_str().to_owned(),
                address: call.asked.address.to_owned(),
            });
        };
        let (system, timeout) = match &route.target {
            Target::System(system) => (Some(Arc::clone(system)), system.timeout),
            Target::Url(_) => (None, limits::PRODUCER_TIME_DEFAULT),
        };
        Ok(Destination::Forward { system, url: Arc::clone(url), profile: route.profile, timeout })
    }

    /// The route of the first level that has any in effect: the parts of an `A#B` address, last
    /// first, or else the address itself, its ancestors, and `*`.
    fn find_route(&self, call: &mut Call<'_>) -> Option<Result<&Route, MoreThanOne>> {
        let address = call.address;
        if address.contains(DELIMITER) {
            return tokens(address)
                .into_iter()
                .find_map(|it| self.routes_at(call, Via::Token, it, self.names.find(it)));
        }
        if let found @ Some(_) = self.routes_at(call, Via::Asked, address, call.name) {
            return found;
        }
        if self.climbs(&self.platform.climb_routes, call) {
            for parent in self.hierarchy.ancestors(address) {
                if let found @ Some(_) =
                    self.routes_at(call, Via::Parent, parent, self.names.find(parent))
                {
                    return found;
                }
            }
        }
        self.routes_at(call, Via::Standard, "*", self.standard)
    }

    fn routes_at(
        &self,
        call: &mut Call<'_>,
        via: Via,
        address: &str,
        name: Option<Name>,
    ) -> Option<Result<&Route, MoreThanOne>> {
        let rows = call.contract.zip(name).map_or(&[][..], |key| self.routes.with_key(&key));
        choose(call, via, address, rows)
    }

    /// Whether the caller may call the contract at the address at all, wherever that leads: for what
    /// belongs to a case that is already here when its unit takes no new ones any longer.
    #[must_use]
    pub fn permits(&self, question: &Question<'_>) -> bool {
        self.is_permitted(&mut self.call(question, clock::swedish_day(question.at)))
    }

    fn is_permitted(&self, call: &mut Call<'_>) -> bool {
        let address = call.address;
        let consumer = self.names.find(call.asked.caller.as_str());
        let permitted = |call: &mut Call<'_>, via, address: &str, name: Option<Name>| {
            let key = call.contract.zip(name).zip(consumer);
            let rows = key.map_or(&[][..], |((contract, address), consumer)| {
                self.permissions.with_key(&(contract, address, consumer))
            });
            grants(call, via, address, rows)
        };
        if address.contains(DELIMITER) {
            let tokens = tokens(address);
            if !self.may_use_delimiter(call.asked, tokens.len()) {
                call.step(Stage::Permission, Via::Token, None, Verdict::DelimiterNotAllowed);
                return false;
            }
            return tokens
                .into_iter()
                .any(|it| permitted(call, Via::Token, it, self.names.find(it)));
        }
        permitted(call, Via::Asked, address, call.name)
            || permitted(call, Via::Standard, "*", self.standard)
            || (self.climbs(&self.platform.climb_permissions, call)
                && self
                    .hierarchy
                    .ancestors(address)
                    .any(|it| permitted(call, Via::Parent, it, self.names.find(it))))
    }

    fn may_use_delimiter(&self, asked: &Question<'_>, tokens: usize) -> bool {
        let contracts = &self.platform.delimiter_contracts;
        let consumers = &self.platform.delimiter_consumers;
        let contract = asked.contract.as_str();
        tokens <= 2
            && (contracts.is_empty()
                || contracts.iter().any(|it| it.eq_ignore_ascii_case(contract)))
            && (consumers.is_empty() || consumers.contains(asked.caller))
    }

    fn climbs(&self, climb: &super::model::Climb, call: &Call<'_>) -> bool {
        !self.hierarchy.is_empty()
            && climb.applies_to(&call.asked.contract.as_str().to_ascii_lowercase())
    }
}

impl Call<'_> {
    fn step(&mut self, stage: Stage, via: Via, row: Option<Row>, verdict: Verdict) {
        self.trail.push(Step { stage, via, address: None, row, verdict });
    }

    /// A step about an address that is not the one asked for.
    fn step_at(
        &mut self,
        stage: Stage,
        via: Via,
        address: &str,
        row: Option<Row>,
        verdict: Verdict,
    ) {
        let address = match via {
            Via::Asked | Via::Standard => None,
            Via::Token | Via::Parent => Some(address.into()),
        };
        self.trail.push(Step { stage, via, address, row, verdict });
    }

    fn no_route(&self) -> Denial {
        Denial::NoRoute {
            contract: self.asked.contract.as_str().to_owned(),
            address: self.asked.address.to_owned(),
            white_space: self.address.contains(char::is_whitespace),
        }
    }

    fn not_permitted(&self) -> Denial {
        Denial::NotPermitted {
            contract: self.asked.contract.as_str().to_owned(),
            address: self.asked.address.to_owned(),
            caller: self.asked.caller.clone(),
        }
    }
}

/// Several routes are in effect at one level and the profile does not tell them apart.
struct MoreThanOne;

/// The route among `rows`, all of one address, that is in effect; of several, the only one that is
/// of the call's profile.
fn choose<'a>(
    call: &mut Call<'_>,
    via: Via,
    address: &str,
    rows: &'a [Route],
) -> Option<Result<&'a Route, MoreThanOne>> {
    let day = call.day;
    let profile = call.asked.profile;
    let valid = || rows.iter().filter(|it| it.days.contains(day));
    let (all, fitting) = (valid().count(), valid().filter(|it| it.profile == profile).count());
    let mut won = None;
    for row in rows {
        let verdict = match in_effect(row.days, day) {
            Some(verdict) => verdict,
            None if all > 1 && fitting != 1 => Verdict::OneOfSeveral,
            None if all > 1 && row.profile != profile => Verdict::OtherProfile,
            None => {
                won = Some(row);
                Verdict::Won
            }
        };
        let row = Row { place: row.place, days: row.days };
        call.step_at(Stage::Route, via, address, Some(row), verdict);
    }
    if all == 0 {
        if rows.is_empty() {
            call.step_at(Stage::Route, via, address, None, Verdict::NoRow);
        }
        return None;
    }
    Some(won.ok_or(MoreThanOne))
}

/// Whether any of `rows`, all of one address and caller, is in effect.
fn grants(call: &mut Call<'_>, via: Via, address: &str, rows: &[Permission]) -> bool {
    for it in rows {
        let row = Row { place: it.place, days: it.days };
        let verdict = in_effect(it.days, call.day).unwrap_or(Verdict::Won);
        call.step_at(Stage::Permission, via, address, Some(row), verdict);
        if verdict == Verdict::Won {
            return true;
        }
    }
    if rows.is_empty() {
        call.step_at(Stage::Permission, via, address, None, Verdict::NoRow);
    }
    false
}

fn handling_for(call: &mut Call<'_>, unit: &Unit) -> Result<Handling, Denial> {
    let step = |it: &HandlingPeriod| Some(Row { place: it.place, days: it.days });
    for period in &unit.handling {
        if let Some(verdict) = in_effect(period.days, call.day) {
            call.step(Stage::Handling, Via::Asked, step(period), verdict);
        }
    }
    let Some(period) = unit.handling_on(call.day) else { return Err(call.no_route()) };
    call.step(Stage::Handling, Via::Asked, step(period), Verdict::Won);
    Ok(match &period.method {
        Method::Store => Handling::Store,
        Method::System { system, receiver } => Handling::System {
            system: Arc::clone(system),
            receiver: receiver.as_ref().unwrap_or(&unit.hsa_id).clone(),
        },
    })
}

/// Why a row of these days is not in effect; `None` when it is.
fn in_effect(days: Days, day: Date) -> Option<Verdict> {
    if days.is_over(day) {
        Some(Verdict::Over)
    } else if days.contains(day) {
        None
    } else {
        Some(Verdict::NotYet)
    }
}

/// The parts of an `A#B` address, each once, last first.
fn tokens(address: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for token in address.split(DELIMITER).filter(|it| !it.is_empty()) {
        if !found.contains(&token) {
            found.push(token);
        }
    }
    found.reverse();
    found
}
