//! Search by registration number, 1177's case id or identity; never in what cases say (PDL 2:8).
//!
//! What is searched for is posted, so that no identity stands in an address, a history or a log.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use futures_util::future::try_join_all;
use maud::{Markup, html};

use super::Desk;
use super::access::Action;
use super::gate::Visit;
use super::page::{self, Field, Trouble, page, to};
use crate::cases::Cases;
use crate::cases::query::QueryError;
use crate::complaint::case::Case;
use crate::complaint::event::{Destination, Why};
use crate::complaint::message::Ii;

/// The name space of the case ids that 1177 and this gateway give.
const CASE_IDS: &str = "1.2.752.129.2.1.2.1";

pub(super) async fn show(Extension(visit): Extension<Arc<Visit>>) -> Response {
    page(&visit, "Sök", field(&visit))
}

fn field(visit: &Visit) -> Markup {
    let hint = "Ärendenummer, 1177:s ärende-id eller personnummer (12 siffror). Det går inte att \
                söka i vad som står i ärendena.";
    let label = "Sök efter";
    html! {
        form method="post" action="/sok" {
            (page::token(visit, "/sok"))
            (Field { name: "sok", label, hint, form: &visit.form, faults: &[] }.line("search"))
            button type="submit" { "Sök" }
        }
    }
}

/// An identity as it stands in messages, however it was typed.
pub(super) fn identity(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '+' | ' ')).collect()
}

fn look(cases: &Cases, text: &str) -> Result<Vec<Case>, QueryError> {
    let mut found: Vec<Case> = cases.by_number(text)?.into_iter().collect();
    let id = Ii { root: CASE_IDS.to_owned(), extension: Some(text.to_owned()) };
    found.extend(cases.case(&id)?);
    found.extend(cases.of_person(&identity(text))?);
    Ok(found)
}

pub(super) async fn find(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let Some(text) = visit.form.some("sok").map(str::to_owned) else {
        return Ok(page(&visit, "Sök", field(&visit)));
    };
    let mut found = desk.read(move |cases| look(cases, &text)).await?;
    found.retain(|case| {
        case.destination == Destination::Store
            && (visit.may(Action::Read, case) || visit.may(Action::Assign, case))
    });
    if let [only] = found.as_slice()
        && visit.may(Action::Read, only)
    {
        return Ok(to(&format!("/arende/{}", only.number)));
    }
    let generation = visit.routing.table.generation().to_string();
    // All at once: they come to disk together.
    let noted = found.iter().map(|case| {
        let by = visit.actor(&case.receiver);
        desk.cases.note_reading(&case.id, by, Why::Searches, generation.clone())
    });
    try_join_all(noted).await?;
    let body = html! {
        (field(&visit))
        @if found.is_empty() {
            p role="status" { "Inget ärende som du har behörighet till." }
        } @else {
            ul {
                @for case in &found {
                    li {
                        @if visit.may(Action::Read, case) {
                            a href={ "/arende/" (case.number) } { (case.number) }
                        } @else {
                            a href={ "/arende/" (case.number) "/fordela" } { (case.number) }
                        }
                        " " (case.receiver_name) ", mottaget " (page::day(case.opened)) ", "
                        (case.status().swedish())
                    }
                }
            }
        }
    };
    Ok(page(&visit, "Sök", body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_found_however_it_is_typed() {
        for text in ["199001012385", "19900101-2385", " 19900101 2385", "19900101+2385"] {
            assert_eq!(identity(text), "199001012385");
        }
    }
}
