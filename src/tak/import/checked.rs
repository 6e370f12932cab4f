//! Rows of another TAK that this table can hold, or the reason why one cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::draft::{is_category, is_contract, is_domain, is_logical_address};
use super::super::model::Profile;
use super::super::period::Days;
use super::super::rows::Filter;
use super::super::values::{UrlFault, url_fault};
use super::super::{PROCESS_COMPLAINT, PROCESS_COMPLAINT_HANDLING};
use super::moment::Moment;
use super::raw::{RawPermission, RawRoute};
use crate::id::HsaId;

/// Routes and permissions that stand.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) routes: Vec<RouteRow>,
    pub(super) permissions: Vec<PermissionRow>,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// A `[[system]]` of the folder, and its URL.
    System(Arc<str>, Arc<str>),
    /// A URL; empty for none.
    Url(Arc<str>),
}

impl Goal {
    pub(super) fn url(&self) -> &str {
        match self {
            Self::System(_, url) | Self::Url(url) => url,
        }
    }
}

/// One `[[route]]` to be.
#[derive(Debug, Clone)]
pub(super) struct RouteRow {
    pub(super) contract: Arc<str>,
    pub(super) address: Arc<str>,
    pub(super) profile: Profile,
    pub(super) goal: Goal,
    pub(super) days: Days,
    /// As the other TAK had it, where it did.
    pub(super) from: Option<Moment>,
    pub(super) to: Option<Moment>,
    /// Which raw row it was, for the report.
    pub(super) raw: Option<usize>,
}

impl RouteRow {
    /// Whether both are for the same contract and address.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        same(&self.contract, &other.contract) && same(&self.address, &other.address)
    }
}

/// One `[[permission]]` to be.
#[derive(Debug, Clone)]
pub(super) struct PermissionRow {
    pub(super) contract: Arc<str>,
    pub(super) address: Arc<str>,
    pub(super) consumer: Arc<str>,
    pub(super) days: Days,
    pub(super) filters: Vec<Filter>,
}

impl PermissionRow {
    /// Whether both let the same caller call the same.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        same(&self.contract, &other.contract)
            && same(&self.address, &other.address)
            && same(&self.consumer, &other.consumer)
    }
}

/// Equal as ids and contracts are.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Each text once: rows repeat few contracts and callers many times.
#[derive(Debug, Default)]
pub(super) struct Texts(std::collections::BTreeSet<Arc<str>>);

impl Texts {
    pub(super) fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.0.insert(Arc::clone(&new));
        new
    }
}

/// A route as the table can hold it. `systems` is URL by id of the systems in the folder.
pub(super) fn route(
    raw: &RawRoute,
    index: usize,
    systems: &BTreeMap<String, Arc<str>>,
    texts: &mut Texts,
) -> Result<RouteRow, String> {
    let contract = contract(raw.contract.as_deref())?;
    if is_complaint(contract) {
        return Err(
            "the complaint contracts go by unit, not by route: see that the receiver is a \
                    [[unit]] with its handling"
                .to_owned(),
        );
    }
    let address = address(raw.address.as_deref())?;
    let told = raw.profile.as_deref().map(str::trim);
    let profile = match told {
        Some(it) if it.eq_ignore_ascii_case("rivtabp21") => Profile::Rivtabp21,
        Some(it) if it.eq_ignore_ascii_case("rivtabp20") => Profile::Rivtabp20,
        Some(it) => return Err(format!("the profile \"{it}\" is not one that is spoken here")),
        None => return Err("the file does not tell which profile the URL wants".to_owned()),
    };
    let url = raw.url.as_deref().ok_or("it has no URL (adress)")?.trim();
    if !url.is_empty() {
        url_is_usable(url)?;
    }
    let (from, to, days) = days(raw.from.as_deref(), raw.to.as_deref())?;
    let known = raw.system.as_ref().and_then(|id| systems.get_key_value(id));
    let goal = match known {
        Some((id, own)) if **own == *url => Goal::System(texts.keep(id), Arc::clone(own)),
        Some(_) | None => Goal::Url(texts.keep(url)),
    };
    Ok(RouteRow {
        contract: texts.keep(contract),
        address: texts.keep(address),
        profile,
        goal,
        days,
        from: Some(from),
        to: Some(to),
        raw: Some(index),
    })
}

/// Whether the contract goes by unit.
pub(super) fn is_complaint(contract: &str) -> bool {
    same(contract, PROCESS_COMPLAINT) || same(contract, PROCESS_COMPLAINT_HANDLING)
}

/// A permission as the table can hold it.
pub(super) fn permission(raw: &RawPermission, texts: &mut Texts) -> Result<PermissionRow, String> {
    let contract = contract(raw.contract.as_deref())?;
    let address = address(raw.address.as_deref())?;
    let consumer = raw.consumer.as_deref().ok_or("it has no consumer (senderId)")?;
    unspaced("the consumer", consumer)?;
    if consumer.ends_with('.') || consumer.parse::<std::net::IpAddr>().is_ok() {
        return Err(format!(
            "the consumer \"{consumer}\" is an IP address or the beginning of \
                            one; callers are known by certificate here"
        ));
    }
    if let Err(why) = HsaId::parse(consumer) {
        return Err(format!("the consumer is not an HSA-id: {why}"));
    }
    for filter in &raw.filters {
        if !is_domain(&filter.domain) {
            return Err(format!("the filter \"{}\" is not a service domain", filter.domain));
        }
        if let Some(it) = filter.categorizations.iter().find(|it| !is_category(it)) {
            return Err(format!("the filter's categorization \"{it}\" is not one"));
        }
    }
    let (_, _, days) = days(raw.from.as_deref(), raw.to.as_deref())?;
    let mut filters = raw.filters.clone();
    filters.sort_unstable();
    Ok(PermissionRow {
        contract: texts.keep(contract),
        address: texts.keep(address),
        consumer: texts.keep(consumer),
        days,
        filters,
    })
}

fn contract(text: Option<&str>) -> Result<&str, String> {
    let text = text.ok_or("it has no contract")?.trim();
    if is_contract(text) {
        return Ok(text);
    }
    Err(format!("\"{text}\" is not the namespace of a contract"))
}

fn address(text: Option<&str>) -> Result<&str, String> {
    let text = text.ok_or("it has no logical address")?;
    unspaced("the logical address", text)?;
    if is_logical_address(text) {
        return Ok(text);
    }
    let hint = if text.contains('#') { ": give each part a row of its own" } else { "" };
    Err(format!("\"{text}\" is not a logical address{hint}"))
}

/// The platform compares white space too, so such a row never matched a call there.
fn unspaced(what: &str, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if text.contains(char::is_whitespace) {
        return Err(format!("{what} \"{text}\" has white space in it"));
    }
    Ok(())
}

fn url_is_usable(url: &str) -> Result<(), String> {
    let why = match url_fault(url) {
        None | Some(UrlFault::Plain) => return Ok(()),
        Some(UrlFault::NotAUrl) => "is not a URL",
        Some(UrlFault::Scheme) => "is neither http nor https",
        Some(UrlFault::NoHost) => "has no host",
        Some(UrlFault::UserInfo) => "has a user name in it",
        Some(UrlFault::Fragment) => "has a \"#\" in it",
    };
    Err(format!("the URL \"{url}\" {why}"))
}

fn days(from: Option<&str>, to: Option<&str>) -> Result<(Moment, Moment, Days), String> {
    let read = |what: &str, text: Option<&str>| {
        let text = text.ok_or_else(|| format!("it has no {what}"))?;
        Moment::read(text).ok_or_else(|| format!("{what} is no time: \"{text}\""))
    };
    let (from, to) = (read("fromTidpunkt", from)?, read("tomTidpunkt", to)?);
    let (first, last) = (from.first_day(), to.last_day());
    for day in [first, last].into_iter().flatten() {
        if !Moment::is_meant(day) {
            return Err(format!("{day} is not in the years that rows are written for"));
        }
    }
    match Days::new(first, last) {
        Some(days) => Ok((from, to, days)),
        None => {
            Err(format!("it ends ({}) before it begins ({}), so it never holds", to.day, from.day))
        }
    }
}
