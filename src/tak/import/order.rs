//! The JSON order file (JSON-beställning): what is to be added and removed, and from which day.
//!
//! The rules are TAK's own, so that an order gives the same rows here as there: a route with another
//! URL ends the one before it the day before; what is removed ends the day before, or goes where it
//! had not begun; what is already so is left alone, and what is not there is no error.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Deserialize;

use super::super::period::Days;
use super::ImportError;
use super::checked::{Goal, PermissionRow, RouteRow};
use super::moment::Moment;
use super::raw::{At, NamesTold, Raw, RawPermission, RawRoute, Spot};

/// What an order says shall be, or shall not be any more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    tjanstekontrakt: Vec<Contract>,
    logiskadresser: Vec<Named>,
    tjanstekomponenter: Vec<Named>,
    anropsbehorigheter: Vec<Permission>,
    vagval: Vec<Route>,
}

#[derive(Debug, Deserialize)]
struct Contract {
    namnrymd: String,
    #[serde(default)]
    beskrivning: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    hsa_id: String,
    #[serde(default)]
    beskrivning: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Permission {
    logisk_adress: String,
    tjanstekontrakt: String,
    tjanstekonsument: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    adress: String,
    logisk_adress: String,
    tjanstekontrakt: String,
    rivtaprofil: String,
}

/// One order, read and not yet carried out.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) day: Date,
    pub(super) add: (Vec<RawRoute>, Vec<RawPermission>),
    pub(super) remove: (Vec<RawRoute>, Vec<RawPermission>),
}

/// Reads an order's parts. `day` is its `genomforandeTidpunkt`.
pub(super) fn read(
    file: usize,
    name: &str,
    day: Option<&str>,
    add: &Part,
    remove: &Part,
    raw: &mut Raw,
) -> Result<(), ImportError> {
    let fault = |what: String| ImportError::Order { file: name.to_owned(), what };
    let told = day.unwrap_or_default();
    // What it ends, it ends the day before.
    let meant = |day: &Date| day.yesterday().is_ok_and(Moment::is_meant) && Moment::is_meant(*day);
    let Some(day) = Moment::read(told).map(|it| it.day).filter(meant) else {
        return Err(fault(format!("genomforandeTidpunkt is no time: \"{told}\"")));
    };
    let mut routes = BTreeSet::new();
    let mut permissions = BTreeSet::new();
    for part in [add, remove] {
        if let Some(it) = part.vagval.iter().find(|it| !routes.insert(key_of(it))) {
            let what = format!("{} at {}", it.tjanstekontrakt, it.logisk_adress);
            return Err(fault(format!("the route {what} to {} is there twice", it.adress)));
        }
        if let Some(it) = part.anropsbehorigheter.iter().find(|it| !permissions.insert(upper(it))) {
            let what = format!("{} at {}", it.tjanstekontrakt, it.logisk_adress);
            return Err(fault(format!(
                "the permission of {} for {what} is there twice",
                it.tjanstekonsument
            )));
        }
    }
    for it in &add.tjanstekontrakt {
        NamesTold::tell(&mut raw.names.contracts, &it.namnrymd, &it.beskrivning);
    }
    for it in &add.logiskadresser {
        NamesTold::tell(&mut raw.names.addresses, &it.hsa_id, &it.beskrivning);
    }
    for it in &add.tjanstekomponenter {
        NamesTold::tell(&mut raw.names.components, &it.hsa_id, &it.beskrivning);
    }
    let rows = |part: &Part, word| raw_rows(file, word, day, part);
    let (add, remove) = (rows(add, "inkludera"), rows(remove, "exkludera"));
    raw.orders.push(Order { day, add, remove });
    Ok(())
}

fn key_of(it: &Route) -> Route {
    Route { logisk_adress: it.logisk_adress.to_ascii_uppercase(), ..it.clone() }
}

fn upper(it: &Permission) -> Permission {
    Permission {
        logisk_adress: it.logisk_adress.to_ascii_uppercase(),
        tjanstekontrakt: it.tjanstekontrakt.clone(),
        tjanstekonsument: it.tjanstekonsument.to_ascii_uppercase(),
    }
}

fn raw_rows(
    file: usize,
    word: &'static str,
    day: Date,
    part: &Part,
) -> (Vec<RawRoute>, Vec<RawPermission>) {
    let spot =
        |kind, at: usize| At { file, spot: Spot::Row(word, format!("{kind} no. {}", at + 1)) };
    let from = Some(day.to_string());
    // New rows hold for a hundred years, as TAK has it.
    let to = day.checked_add(jiff::Span::new().years(100)).ok().map(|it| it.to_string());
    let routes = part.vagval.iter().enumerate().map(|(at, it)| RawRoute {
        at: spot("vagval", at),
        contract: Some(it.tjanstekontrakt.clone()),
        address: Some(it.logisk_adress.to_ascii_uppercase()),
        profile: Some(it.rivtaprofil.clone()),
        url: Some(it.adress.clone()),
        from: from.clone(),
        to: to.clone(),
        system: None,
    });
    let permissions = part.anropsbehorigheter.iter().enumerate().map(|(at, it)| RawPermission {
        at: spot("anropsbehorighet", at),
        contract: Some(it.tjanstekontrakt.clone()),
        address: Some(it.logisk_adress.to_ascii_uppercase()),
        consumer: Some(it.tjanstekonsument.to_ascii_uppercase()),
        from: from.clone(),
        to: to.clone(),
        filters: Vec::new(),
    });
    (routes.collect(), permissions.collect())
}

/// What came of one row of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Came {
    /// Nyskapad.
    New,
    /// Uppdaterad: the route before it ends the day before.
    Changed,
    /// Borttagen: it had not begun.
    Removed,
    /// Deaktiverad: it ends the day before.
    Ended,
    /// It is so already.
    Already,
    /// Existerar ej.
    Missing,
    /// A later row stands in the way.
    Blocked,
}

/// Adds a route on its first day.
pub(super) fn add_route(rows: &mut Vec<RouteRow>, row: RouteRow) -> Came {
    let Some(day) = row.days.from() else { return Came::Blocked };
    let mut came = Came::New;
    for it in rows.iter().filter(|it| it.is_at(&row)) {
        if it.days.contains(day) && it.goal.url() == row.goal.url() && it.profile == row.profile {
            return Came::Already;
        }
        if it.days.from().is_some_and(|from| from >= day) {
            return Came::Blocked;
        }
    }
    for it in rows.iter_mut().filter(|it| it.is_at(&row)) {
        if it.days.contains(day)
            && let Some(shorter) = before(it.days, day)
        {
            it.days = shorter;
            came = Came::Changed;
        }
    }
    rows.push(row);
    came
}

/// Adds a permission on its first day.
pub(super) fn add_permission(rows: &mut Vec<PermissionRow>, row: PermissionRow) -> Came {
    let covers = |it: &PermissionRow| {
        it.is_at(&row) && row.days.from().is_none_or(|day| it.days.contains(day))
    };
    if rows.iter().any(covers) {
        return Came::Already;
    }
    rows.push(row);
    Came::New
}

/// Ends the routes like `row` the day before `day`.
pub(super) fn remove_route(rows: &mut Vec<RouteRow>, row: &RouteRow, day: Date) -> Came {
    let like = |it: &RouteRow| {
        let any_url = matches!(&row.goal, Goal::Url(url) if url.is_empty());
        it.is_at(row) && (any_url || it.goal.url() == row.goal.url())
    };
    remove(rows, like, |it| &mut it.days, day)
}

/// Ends the permissions like `row` the day before `day`.
pub(super) fn remove_permission(
    rows: &mut Vec<PermissionRow>,
    row: &PermissionRow,
    day: Date,
) -> Came {
    remove(rows, |it| it.is_at(row), |it| &mut it.days, day)
}

fn remove<T>(
    rows: &mut Vec<T>,
    like: impl Fn(&T) -> bool,
    days: impl Fn(&mut T) -> &mut Days,
    day: Date,
) -> Came {
    let mut came = Came::Missing;
    rows.retain_mut(|it| {
        if !like(it) {
            return true;
        }
        let days = days(it);
        if days.is_over(day) {
            came = came.min(Came::Already);
            return true;
        }
        match before(*days, day) {
            Some(shorter) => {
                *days = shorter;
                came = came.min(Came::Ended);
                true
            }
            None => {
                came = came.min(Came::Removed);
                false
            }
        }
    });
    came
}

/// The days before `day`; `None` where there are none.
fn before(days: Days, day: Date) -> Option<Days> {
    let last = day.yesterday().ok()?;
    days.and(Days::new(None, Some(last))?)
}
