//! The units of a person, and the list of a unit's cases, oldest first.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jiff::civil::Date;
use maud::{Markup, html};

use super::Desk;
use super::access::{About, Action, authorise, sees_all};
use super::form::{Form, encode};
use super::gate::Visit;
use super::page::{self, Trouble, page, to};
use crate::cases::desk::{Page, Shelf, UnitCounts};
use crate::clock;
use crate::complaint::case::{Case, Status};
use crate::complaint::codes::PROBLEMS;
use crate::complaint::event::Destination;
use crate::id::HsaId;
use crate::tak::{Role, Unit};

/// The person's units; straight to the only one.
pub(super) async fn units(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let table = &visit.routing.table;
    let units: Vec<Arc<Unit>> = visit.person.posts.keys().filter_map(|it| table.unit(it)).collect();
    let lists =
        |unit: &Unit| authorise(&visit.person, Action::List, About::unit(&unit.hsa_id)).is_ok();
    if let [only] = units.as_slice()
        && lists(only)
    {
        return Ok(to(&address(&only.hsa_id)));
    }
    let ids: Vec<HsaId> = units.iter().map(|it| it.hsa_id.clone()).collect();
    let counts = desk
        .read(move |cases| {
            ids.iter().map(|it| cases.unit_counts(it)).collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let body = html! {
        ul.units {
            @for (unit, counts) in units.iter().zip(&counts) {
                li {
                    @if lists(unit) {
                        a href=(address(&unit.hsa_id)) { (unit.name) }
                        @if sees_all(&visit.person, &unit.hsa_id) { " " (numbers(counts)) }
                    } @else { (unit.name) }
                    @if visit.person.roles_at(&unit.hsa_id).contains(&Role::LogReviewer) {
                        " " a href={ (address(&unit.hsa_id)) "/logg" } { "Åtkomstlogg" }
                    }
                }
            }
        }
    };
    Ok(page(&visit, "Dina enheter", body))
}

fn numbers(counts: &UnitCounts) -> Markup {
    html! {
        @for (status, count) in counts.by_status.iter().filter(|(status, _)| *status != Status::Closed) {
            span.count { (count) " " (status.swedish()) } " "
        }
        span.count { (counts.unassigned) " ofördelade" }
    }
}

/// The address of a unit's list.
pub(super) fn address(unit: &HsaId) -> String {
    format!("/enhet/{}", encode(unit.as_str()))
}

/// What of a unit's cases is wanted.
struct Wanted {
    closed: bool,
    status: Option<Status>,
    /// `Some(None)`: nobody's.
    handler: Option<Option<HsaId>>,
    category: Option<String>,
    from: Option<Date>,
    to: Option<Date>,
}

impl Wanted {
    fn of(query: &Form) -> Self {
        let date = |name| query.some(name).and_then(|it| it.parse().ok());
        Self {
            closed: query.one("visa") == "avslutade",
            status: Status::ALL.into_iter().find(|it| it.name() == query.one("status")),
            handler: query.some("hos").and_then(|it| match it {
                "ingen" => Some(None),
                other => HsaId::parse(other).ok().map(Some),
            }),
            category: query.some("kategori").map(str::to_owned),
            from: date("fran"),
            to: date("till"),
        }
    }

    fn keeps(&self, case: &Case) -> bool {
        let day = clock::swedish_day(case.opened);
        let codes = || case.main_problems.iter().chain(&case.experienced);
        // An own system's cases are not here.
        case.destination == Destination::Store
            && self.status.is_none_or(|it| it == case.status())
            && self.handler.as_ref().is_none_or(|it| {
                it.as_ref() == case.assigned.as_ref().map(|assigned| &assigned.hsa_id)
            })
            && self.category.as_ref().is_none_or(|it| codes().any(|code| code == it))
            && self.from.is_none_or(|it| it <= day)
            && self.to.is_none_or(|it| day <= it)
    }
}

/// A unit's cases: all of them for those who distribute and oversee, else one's own.
pub(super) async fn list(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let unit = visit.unit()?;
    let all = sees_all(&visit.person, &unit.hsa_id);
    let wanted = Wanted::of(&visit.query);
    // One's own, or those of somebody whose substitute one is.
    let other = wanted.handler.clone().flatten();
    let other = other.filter(|it| visit.person.stands_in_for.contains(it));
    let whose = other.unwrap_or_else(|| visit.person.hsa_id.clone());
    let shelf = Shelf {
        unit: unit.hsa_id.clone(),
        handler: (!all).then(|| whose.clone()),
        closed: wanted.closed,
    };
    let after = visit.query.some("efter").and_then(from_hex);
    let (found, counts) = desk
        .read(move |cases| {
            let page = cases.page(&shelf, after.as_deref(), &|case| wanted.keeps(case))?;
            Ok((page, cases.unit_counts(&shelf.unit)?))
        })
        .await?;
    let body = html! {
        p {
            @if all { (numbers(&counts)) }
            @else if whose == visit.person.hsa_id { "Ärenden som är tilldelade dig." }
            @else { "Ärenden hos någon som du ersätter." }
        }
        @for absent in visit.person.stands_in_for.iter().filter_map(|it| visit.routing.table.person(it)) {
            p {
                a href={ (address(&unit.hsa_id)) "?hos=" (encode(absent.hsa_id.as_str())) } {
                    "Ärenden hos " (absent.name)
                }
                ", som du är ersättare för just nu."
            }
        }
        p.links {
            @if visit.query.one("visa") == "avslutade" {
                a href=(address(&unit.hsa_id)) { "Öppna ärenden" }
            } @else {
                a href={ (address(&unit.hsa_id)) "?visa=avslutade" } { "Avslutade ärenden" }
            }
            @if authorise(&visit.person, Action::Register, About::unit(&unit.hsa_id)).is_ok() {
                " " a href={ (address(&unit.hsa_id)) "/nytt" } { "Registrera ett ärende" }
            }
            @if authorise(&visit.person, Action::ReviewLog, About::unit(&unit.hsa_id)).is_ok() {
                " " a href={ (address(&unit.hsa_id)) "/logg" } { "Åtkomstlogg" }
            }
        }
        (filters(&visit, all))
        (table(&visit, unit, &found))
        (further(&visit, unit, &found))
    };
    Ok(page(&visit, &unit.name, body))
}

fn filters(visit: &Visit, all: bool) -> Markup {
    let query = &visit.query;
    let unit = visit.unit().map(|it| it.hsa_id.clone()).ok();
    let option = |value: &str, text: &str| (value.to_owned(), text.to_owned());
    let mut statuses = vec![option("", "alla")];
    statuses.extend(Status::ALL.iter().map(|it| option(it.name(), it.swedish())));
    let mut handlers = vec![option("", "alla"), option("ingen", "ingen")];
    let people = visit.routing.table.people();
    handlers.extend(
        people
            .filter(|it| unit.as_ref().is_some_and(|unit| it.posts.contains_key(unit)))
            .map(|it| option(it.hsa_id.as_str(), &it.name)),
    );
    let mut categories = vec![option("", "alla")];
    let problems = visit.routing.codes.current(PROBLEMS);
    categories
        .extend(problems.iter().flat_map(|it| it.top_level()).map(|it| option(&it.code, &it.text)));
    let field = |name, label| page::Field { name, label, hint: "", form: query, faults: &[] };
    html! {
        details.filters open[query.fields().any(|(name, _)| name != "visa" && name != "efter")] {
            summary { "Filtrera" }
            form method="get" {
                @if query.one("visa") == "avslutade" {
                    input type="hidden" name="visa" value="avslutade";
                }
                (field("status", "Status").choice(&statuses))
                @if all { (field("hos", "Handläggare").choice(&handlers)) }
                (field("kategori", "Kategori").choice(&categories))
                (field("fran", "Mottaget från och med").line("date"))
                (field("till", "Mottaget till och med").line("date"))
                button type="submit" { "Visa" }
            }
        }
    }
}

fn table(visit: &Visit, unit: &Unit, found: &Page) -> Markup {
    if found.cases.is_empty() {
        return html! { p { "Inga ärenden att visa här." } };
    }
    html! {
        table {
            caption.hidden { "Ärenden, äldst först" }
            thead { tr {
                th scope="col" { "Ärende" }
                th scope="col" { "Mottaget" }
                th scope="col" { "Status" }
                th scope="col" { "Handläggare" }
                th scope="col" { "Svara senast" }
            } }
            tbody {
                @for case in &found.cases {
                    tr {
                        td data-label="Ärende" {
                            @if visit.may(Action::Read, case) {
                                a href={ "/arende/" (case.number) } { (case.number) }
                            } @else if visit.may(Action::Assign, case) {
                                a href={ "/arende/" (case.number) "/fordela" } { (case.number) }
                            } @else { (case.number) }
                        }
                        td data-label="Mottaget" { (page::day(case.opened)) }
                        td data-label="Status" { (case.status().swedish()) }
                        td data-label="Handläggare" {
                            @match &case.assigned {
                                Some(assigned) => (assigned.name),
                                None => span.nobody { "ingen" },
                            }
                        }
                        td data-label="Svara senast" { (due(visit, unit, case)) }
                    }
                }
            }
        }
    }
}

/// What is promised for a case and where it stands.
pub(super) fn due(visit: &Visit, unit: &Unit, case: &Case) -> Markup {
    let deadlines = unit.terms.of(case);
    html! {
        @if let Some(contact) = &deadlines.first_contact {
            (page::deadline("första kontakt", contact, visit.now)) " "
        }
        (page::deadline("svar", &deadlines.reply, visit.now))
    }
}

fn further(visit: &Visit, unit: &Unit, found: &Page) -> Markup {
    let Some(next) = &found.next else { return html! {} };
    let kept = visit.query.fields().filter(|(name, _)| *name != "efter");
    let query: String =
        kept.map(|(name, value)| format!("{}={}&", encode(name), encode(value))).collect();
    let href = format!("{}?{query}efter={}", address(&unit.hsa_id), to_hex(next));
    html! { p { a href=(href) { "Nästa sida" } } }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
