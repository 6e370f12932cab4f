//! The access log, for a granskare: who has read what, by unit, by case, and as an extract for a
//! patient (PDL 8 kap. 5 §).

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::Desk;
use super::access::Action;
use super::gate::Visit;
use super::inbox;
use super::page::{self, Field, Trouble, page};
use super::search::identity;
use crate::cases::desk::Reading;
use crate::complaint::case::Case;
use crate::complaint::event::Why;
use crate::complaint::message::Ii;
use crate::limits;

/// The newest readings of a unit's cases.
pub(super) async fn of_unit(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let unit = visit.unit()?;
    let before = visit.query.some("fore").and_then(|it| it.parse().ok());
    let id = unit.hsa_id.clone();
    let (readings, numbers) = desk
        .read(move |cases| {
            let readings = cases.readings_at(&id, before)?;
            let mut numbers: BTreeMap<Ii, String> = BTreeMap::new();
            for reading in &readings {
                if !numbers.contains_key(&reading.case)
                    && let Some(case) = cases.case(&reading.case)?
                {
                    numbers.insert(reading.case.clone(), case.number.to_string());
                }
            }
            Ok((readings, numbers))
        })
        .await?;
    let more = readings.last().filter(|_| readings.len() == limits::STAFF_ROWS_MAX);
    let path = format!("{}/utdrag", inbox::address(&unit.hsa_id));
    let form = &visit.form;
    let body = html! {
        details {
            summary { "Utdrag åt en patient" }
            form method="post" action=(path) {
                (page::token(&visit, &path))
                (Field { name: "person", label: "Personnummer eller annat id", hint: "12 siffror utan bindestreck.", form, faults: &[] }.line("text"))
                button type="submit" { "Visa utdrag" }
            }
        }
        (rows(&readings, |reading| {
            let number = numbers.get(&reading.case)?;
            Some(html! { a href={ "/arende/" (number) "/logg" } { (number) } })
        }))
        @if let Some(last) = more {
            p { a href={ (inbox::address(&unit.hsa_id)) "/logg?fore=" (last.seq) } { "Äldre" } }
        }
    };
    Ok(page(&visit, &format!("Åtkomstlogg – {}", unit.name), body))
}

/// Every reading of one case.
pub(super) async fn of_case(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let id = case.id.clone();
    let readings = desk.read(move |cases| cases.readings_of(&id)).await?;
    let number = case.number.to_string();
    let body = rows(&readings, |_| Some(html! { (number) }));
    Ok(page(&visit, &format!("Vem har läst ärende {number}"), body))
}

/// Every reading of a person's cases at the unit. The extract is itself a reading of each.
pub(super) async fn extract(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let unit = visit.unit()?;
    let wanted = identity(visit.form.one("person"));
    let at = unit.hsa_id.clone();
    let cases: Vec<Case> = desk
        .read(move |cases| {
            let mut found = cases.of_person(&wanted)?;
            found.retain(|case| case.receiver == at);
            Ok(found)
        })
        .await?;
    let mut parts = Vec::new();
    for case in cases.into_iter().filter(|case| visit.may(Action::ReviewLog, case)) {
        let generation = visit.routing.table.generation().to_string();
        let by = visit.actor(&case.receiver);
        desk.cases.note_reading(&case.id, by, Why::ReviewsLog, generation).await?;
        let id = case.id.clone();
        let readings = desk.read(move |cases| cases.readings_of(&id)).await?;
        parts.push((case, readings));
    }
    let body = html! {
        p { "Uttaget " (page::moment(visit.now)) " av " (visit.person.name) ", " (unit.name) "." }
        @if parts.is_empty() { p { "Personen har inga ärenden hos enheten." } }
        @for (case, readings) in &parts {
            h2 { "Ärende " (case.number) }
            (rows(readings, |_| Some(html! { (case.number) })))
        }
    };
    Ok(page(&visit, "Utdrag ur åtkomstloggen", body))
}

fn rows(readings: &[Reading], number: impl Fn(&Reading) -> Option<Markup>) -> Markup {
    html! {
        @if readings.is_empty() { p { "Ingen har läst." } } @else {
            table {
                thead { tr {
                    th scope="col" { "När" }
                    th scope="col" { "Vem" }
                    th scope="col" { "Enhet" }
                    th scope="col" { "Ärende" }
                    th scope="col" { "Varför" }
                } }
                tbody {
                    @for reading in readings {
                        tr {
                            td data-label="När" { (page::moment(reading.at)) }
                            td data-label="Vem" {
                                (reading.by.name.as_deref().unwrap_or_default()) " (" (reading.by.hsa_id) ")"
                            }
                            td data-label="Enhet" {
                                @if let Some(unit) = &reading.by.unit {
                                    (unit.name.as_deref().unwrap_or(unit.hsa_id.as_str()))
                                }
                            }
                            td data-label="Ärende" { (number(reading).unwrap_or_default()) }
                            td data-label="Varför" { (reading.why.swedish()) }
                        }
                    }
                }
            }
        }
    }
}
