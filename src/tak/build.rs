//! From rows that have been checked to a table that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::check::live_days;
use super::draft::person::{AbsenceDraft, PersonDraft, PostDraft};
use super::draft::{Draft, HandlingDraft, RouteDraft, SystemDraft, TargetDraft, UnitDraft};
use super::model::{
    Absence, County, Delivery, HandlingPeriod, Method, Person, Platform, System, Unit, WhenUnknown,
};
use super::rows::{Route, Rows, Target};
use super::{Generation, Hierarchy, Table};
use crate::complaint::deadline::Terms;
use crate::limits;

type Systems = BTreeMap<String, Arc<System>>;

/// The table of a draft without errors; `None` would mean that a check has let something through.
pub(super) fn table(
    mut draft: Draft,
    files: Vec<Arc<str>>,
    generation: Generation,
) -> Option<Table> {
    let platform = platform(&draft)?;
    let all: Vec<Arc<System>> = draft
        .systems
        .iter()
        .map(|it| system(it, &platform).map(Arc::new))
        .collect::<Option<_>>()?;
    let systems: Systems =
        all.iter().filter_map(|it| Some((it.id.clone()?, Arc::clone(it)))).collect();
    let counties = draft
        .counties
        .iter()
        .map(|it| {
            let code = it.code.as_ref()?.value.clone();
            let county = County {
                code: code.clone(),
                name: it.name.clone()?,
                committee: it.committee.as_ref().map(|it| it.value.clone()),
                place: it.place,
                live: live_days(it, &draft.units),
            };
            Some((code, Arc::new(county)))
        })
        .collect::<Option<BTreeMap<_, _>>>()?;
    let units = draft
        .units
        .iter()
        .map(|it| unit(it, &systems).map(|it| (it.hsa_id.clone(), Arc::new(it))))
        .collect::<Option<_>>()?;
    let routes = std::mem::take(&mut draft.routes);
    let routes = routes.iter().map(|it| route(it, &systems)).collect::<Option<_>>()?;
    draft.names.settle();
    Some(Table {
        generation,
        files,
        platform,
        callers: all.into_iter().map(|it| (it.hsa_id.clone(), it)).collect(),
        systems,
        committees: counties.values().filter_map(|it| it.committee.clone()).collect(),
        counties,
        units,
        standard: draft.names.find("*"),
        people: draft
            .people
            .iter()
            .map(|it| person(it).map(|it| (it.hsa_id.clone(), Arc::new(it))))
            .collect::<Option<_>>()?,
        names: draft.names,
        routes: Rows::new(routes),
        permissions: Rows::new(draft.permissions),
        filters: draft.filters,
        hierarchy: Hierarchy::default(),
    })
}

fn platform(draft: &Draft) -> Option<Platform> {
    let it = draft.platform.as_ref()?;
    let climbing = draft.climbing.as_ref();
    Some(Platform {
        hsa_id: it.hsa_id.clone()?,
        instance: it.instance.clone()?,
        inkorg: it.inkorg.as_ref()?.value.clone(),
        portal: it.portal.as_ref()?.value.clone(),
        onward: it.onward.as_ref().map(|it| it.value.clone()),
        tak: it.tak.as_ref().map(|it| it.value.clone()),
        tak_every: it.tak_every.unwrap_or(limits::TAK_FETCH_EVERY_DEFAULT),
        place: it.place,
        hierarchy_files: climbing.map(|it| it.files.clone()).unwrap_or_default(),
        delimiter_contracts: it.delimiter_contracts.clone(),
        delimiter_consumers: it.delimiter_consumers.clone(),
        climb_routes: climbing.map(|it| it.routes.clone()).unwrap_or_default(),
        climb_permissions: climbing.map(|it| it.permissions.clone()).unwrap_or_default(),
    })
}

fn system(it: &SystemDraft, platform: &Platform) -> Option<System> {
    let id = it.id.as_ref().map(|it| it.value.clone());
    let is_inkorg = id.as_ref() == Some(&platform.inkorg);
    let is_onward = id.is_some() && id == platform.onward;
    // The inbox cannot tell a repeat; the complaint contracts can.
    let when_unknown = if !is_inkorg && (is_onward || it.delivery == Delivery::Queued) {
        WhenUnknown::Resend
    } else {
        WhenUnknown::Hold
    };
    Some(System {
        id,
        hsa_id: it.hsa_id.as_ref()?.value.clone(),
        name: it.name.clone()?,
        url: it.url.clone(),
        timeout: it.timeout.unwrap_or(limits::PRODUCER_TIME_DEFAULT),
        delivery: it.delivery,
        rate: it.rate,
        rate_in: it.rate_in,
        original_consumer: it.original_consumer,
        certificate: it.certificate.clone(),
        key: it.key.clone(),
        trust: it.trust.clone(),
        when_unknown: it.when_unknown.as_ref().map_or(when_unknown, |it| it.value),
        retry: it.retry.clone(),
        notify: it.notify.as_ref().is_some_and(|it| it.value),
        source_system: it.source_system.as_ref().map(|it| it.value.clone()),
        place: it.place,
    })
}

fn unit(it: &UnitDraft, systems: &Systems) -> Option<Unit> {
    let mut handling: Vec<HandlingPeriod> =
        it.handling.iter().map(|it| period(it, systems)).collect::<Option<_>>()?;
    handling.sort_by_key(|it| it.days);
    Some(Unit {
        hsa_id: it.hsa_id.as_ref()?.value.clone(),
        name: it.name.clone()?,
        county: it.county.as_ref()?.value.clone(),
        care_provider: it.care_provider.clone(),
        operational_area: it.operational_area.clone(),
        mailbox: it.mailbox.clone(),
        telephone: it.telephone.clone(),
        address: it.address.clone(),
        terms: Terms {
            first_contact: it.first_contact.unwrap_or(Terms::STANDARD.first_contact),
            reply: it.reply_within.unwrap_or(Terms::STANDARD.reply),
        },
        days: it.days?,
        handling,
        place: it.place,
    })
}

fn person(it: &PersonDraft) -> Option<Person> {
    let absence = |it: &AbsenceDraft| {
        Some(Absence { days: it.days?, substitute: it.substitute.as_ref()?.value.clone() })
    };
    let post = |it: &PostDraft| {
        Some((it.unit.as_ref()?.value.clone(), it.roles.iter().copied().collect()))
    };
    Some(Person {
        hsa_id: it.hsa_id.as_ref()?.value.clone(),
        name: it.name.clone()?,
        title: it.title.clone(),
        email: it.email.clone(),
        posts: it.posts.iter().map(post).collect::<Option<_>>()?,
        absences: it.absences.iter().map(absence).collect::<Option<_>>()?,
        stands_in_for: BTreeSet::new(),
        place: it.place,
    })
}

fn period(it: &HandlingDraft, systems: &Systems) -> Option<HandlingPeriod> {
    let method = if it.in_system? {
        let system = Arc::clone(systems.get(&it.system.as_ref()?.value)?);
        Method::System { system, receiver: it.receiver.as_ref().map(|it| it.value.clone()) }
    } else {
        Method::Store
    };
    Some(HandlingPeriod { days: it.days?, method, place: it.place })
}

fn route(it: &RouteDraft, systems: &Systems) -> Option<Route> {
    let target = match &it.target {
        TargetDraft::System(told) => Target::System(Arc::clone(systems.get(told.value.as_ref())?)),
        TargetDraft::Url(url) => Target::Url(Arc::clone(url)),
    };
    Some(Route {
        contract: it.contract,
        address: it.address,
        days: it.days,
        profile: it.profile,
        target,
        place: it.place,
    })
}
