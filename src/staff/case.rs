//! One case: who is who, the complainant's words, what has happened and where each message is.

mod told;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use uuid::Uuid;

use super::Desk;
use super::access::Action;
use super::gate::Visit;
use super::inbox;
use super::page::{self, Fault, Field, Trouble, page, page_with, to};
use super::step::Kind;
use crate::cases::NotAccepted;
use crate::cases::desk::{What, Work};
use crate::cases::query::Numbered;
use crate::cases::record::{Item, ItemState};
use crate::complaint::case::Case;
use crate::complaint::event::{Act, Assignee, Event, Opened};
use crate::complaint::words;
use crate::limits;
use crate::store::blobs;
use crate::tak::Role;

/// What a case's page is made of.
pub(super) struct Whole {
    pub(super) records: Vec<Numbered>,
    items: Vec<Item>,
}

impl Whole {
    /// Reads it; the access log has been written by the gate.
    pub(super) async fn read(desk: &Desk, case: &Case) -> Result<Self, Trouble> {
        let id = case.id.clone();
        desk.read(move |cases| {
            Ok(Self { records: cases.records(&id)?, items: cases.items_of(&id)? })
        })
        .await
    }

    /// How the case began; `None` where that record is damaged.
    pub(super) fn opened(&self) -> Option<&Opened> {
        self.records.iter().find_map(|(_, record)| match record.as_ref().map(|it| &it.event) {
            Ok(Event::Opened(opened)) => Some(opened.as_ref()),
            _ => None,
        })
    }
}

pub(super) async fn show(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let whole = Whole::read(&desk, case).await?;
    let unit = visit.routing.table.unit(&case.receiver);
    let body = html! {
        p.lead {
            strong { (case.status().swedish()) } " · " (case.receiver_name) " · mottaget "
            (page::moment(case.opened))
            @if let Some(unit) = unit.as_ref().filter(|_| case.closed.is_none()) {
                " · " (inbox::due(&visit, unit, case))
            }
        }
        (undo_form(&visit, case, &whole))
        div.columns {
            div {
                @match whole.opened() {
                    Some(opened) => (told::complaint(&visit, case, opened)),
                    None => p.alarm { "Ärendets början är skadad i lagret. Kontakta driften." },
                }
                (history(&visit, case, &whole))
            }
            aside aria-label="Gör något med ärendet" {
                (actions(&visit, case))
                (assignment(&visit, case, &[]))
                (note_form(&visit, case, &[]))
            }
        }
    };
    Ok(page(&visit, &format!("Ärende {}", case.number), body))
}

/// What can be done, the usual first.
fn actions(visit: &Visit, case: &Case) -> Markup {
    let steps = Kind::ALL.iter().filter(|it| visit.may(it.action(), case));
    html! {
        ul.actions {
            @for step in steps {
                li { a.button href={ "/arende/" (case.number) "/" (step.path()) } { (step.title()) } }
            }
        }
        @if visit.may(Action::Read, case) {
            p.links {
                a href={ "/arende/" (case.number) "/pdf" } { "Spara som PDF" } " "
                a href={ "/arende/" (case.number) "/export" } { "Ta ut för diarieföring" }
            }
        }
        @if visit.may(Action::ReviewLog, case) {
            p { a href={ "/arende/" (case.number) "/logg" } { "Vem har läst ärendet" } }
        }
    }
}

fn assignment(visit: &Visit, case: &Case, faults: &[Fault]) -> Markup {
    let number = &case.number;
    let takes = format!("/arende/{number}/ta");
    let mine = case.assigned.as_ref().is_some_and(|it| it.hsa_id == visit.person.hsa_id);
    html! {
        section {
            h2 { "Handläggare" }
            p { @match &case.assigned { Some(it) => (it.name), None => "Ingen har ärendet." } }
            @if !mine && visit.may(Action::Take, case) {
                form method="post" action=(takes) {
                    (page::token(visit, &takes)) (seen(case))
                    button type="submit" { "Ta ärendet" }
                }
            }
            @if visit.may(Action::Assign, case) { (assign_to(visit, case, faults)) }
        }
    }
}

fn assign_to(visit: &Visit, case: &Case, faults: &[Fault]) -> Markup {
    let path = format!("/arende/{}/fordela", case.number);
    let nobody = (String::new(), "ingen (tillbaka till inkorgen)".to_owned());
    let people = handlers(visit, case).map(|it| (it.hsa_id.to_string(), it.name));
    let options: Vec<(String, String)> = std::iter::once(nobody).chain(people).collect();
    let label = "Fördela till";
    let field = Field { name: "hos", label, hint: "", form: &visit.form, faults };
    html! {
        form method="post" action=(path) {
            (page::token(visit, &path)) (seen(case))
            (field.choice(&options))
            button.plain type="submit" { "Fördela" }
        }
    }
}

/// Those who can handle the unit's cases.
fn handlers<'v>(visit: &'v Visit, case: &'v Case) -> impl Iterator<Item = Assignee> + 'v {
    let people = visit.routing.table.people();
    people
        .filter(|it| it.roles_at(&case.receiver).contains(&Role::CaseHandler))
        .map(|it| Assignee { hsa_id: it.hsa_id.clone(), name: it.name.clone() })
}

fn note_form(visit: &Visit, case: &Case, faults: &[Fault]) -> Markup {
    if !visit.may(Action::Note, case) {
        return html! {};
    }
    let path = format!("/arende/{}/anteckna", case.number);
    let hint = "Syns bara för enheten, aldrig för anmälaren.";
    let field = Field { name: "text", label: "Anteckning", hint, form: &visit.form, faults };
    html! {
        section {
            h2 { "Intern anteckning" }
            form method="post" action=(path) {
                (page::token(visit, &path))
                input type="hidden" name=(super::register::FORM) value=(Uuid::new_v4());
                (field.area(3))
                button.plain type="submit" { "Spara anteckningen" }
            }
        }
    }
}

/// The hidden field that says what the person has seen.
pub(super) fn seen(case: &Case) -> Markup {
    html! { input type="hidden" name="sett" value=(case.events); }
}

/// What was sent by this person and can still be taken back.
fn undo_form(visit: &Visit, case: &Case, whole: &Whole) -> Markup {
    let last = case.last_step.as_ref().filter(|last| last.by == visit.person.hsa_id);
    let Some(last) = last.filter(|_| visit.may(Action::Undo, case)) else { return html! {} };
    let of_step: Vec<&Item> = whole.items.iter().filter(|it| it.id.seq == last.seq).collect();
    let untouched = of_step.iter().all(|it| {
        it.attempts == 0 && matches!(it.state, ItemState::Due { .. } | ItemState::Waiting)
    });
    let until = crate::clock::after(last.at, limits::UNDO_TIME);
    if !untouched || (of_step.is_empty() && visit.now >= until) {
        return html! {};
    }
    let path = format!("/arende/{}/angra", case.number);
    html! {
        form.undo method="post" action=(path) {
            (page::token(visit, &path))
            input type="hidden" name="steg" value=(last.seq);
            p role="status" {
                @if of_step.is_empty() { "Sparat. " }
                @else { "Sparat. Skickas tidigast " (page::hour(until, visit.now)) ". " }
                button.plain type="submit" { "Ångra" }
            }
        }
    }
}

fn history(visit: &Visit, case: &Case, whole: &Whole) -> Markup {
    let mut items: BTreeMap<u64, Vec<&Item>> = BTreeMap::new();
    for item in &whole.items {
        items.entry(item.id.seq).or_default().push(item);
    }
    html! {
        section {
            h2 { "Vad som har hänt" }
            ol.history {
                @for (seq, record) in &whole.records {
                    @match record {
                        Ok(record) => (told::event(visit, case, *seq, record, &items)),
                        Err(_) => li.alarm {
                            "En uppgift i ärendet är skadad i lagret (nummer " (seq) "). Kontakta driften."
                        },
                    }
                }
            }
        }
    }
}

/// What the person saw when the form was shown.
pub(super) fn seen_in(visit: &Visit) -> Option<u32> {
    // Something else than a number is as old as can be: it fits no case.
    Some(visit.form.one("sett").parse().unwrap_or(u32::MAX))
}

async fn act(desk: &Desk, visit: &Visit, seen: Option<u32>, act: Act) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let by = visit.actor(&case.receiver);
    // A double click on a note is one note.
    let form = visit.form.one(super::register::FORM).parse().ok();
    let work = Work { case: case.id.clone(), by, seen, form, what: What::Act(act) };
    let done = desk.cases.work(work, (desk.grounds)(&visit.routing)).await;
    done.map_err(|error| match error {
        NotAccepted::Reused => Trouble::Refused(
            "Formuläret är redan sparat, med en annan text. Öppna ärendet på nytt.".to_owned(),
        ),
        error @ (NotAccepted::Refused(_) | NotAccepted::Unavailable(_)) => error.into(),
    })?;
    // Who has handed a case on may not be one who reads it any more.
    let read = desk.read({
        let id = case.id.clone();
        move |cases| cases.case(&id)
    });
    let still = read.await?.is_some_and(|case| visit.may(Action::Read, &case));
    let list = inbox::address(&case.receiver);
    Ok(to(&if still { format!("/arende/{}", case.number) } else { list }))
}

pub(super) async fn take(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let (hsa_id, name) = (visit.person.hsa_id.clone(), visit.person.name.clone());
    let to = Act::Assigned { to: Some(Assignee { hsa_id, name }) };
    act(&desk, &visit, seen_in(&visit), to).await
}

pub(super) async fn assign_form(
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let body = assignment(&visit, case, &[]);
    Ok(page(&visit, &format!("Fördela ärende {}", case.number), body))
}

pub(super) async fn assign(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let to = match visit.form.some("hos") {
        None => None,
        Some(wanted) => {
            let known = handlers(&visit, case).find(|it| it.hsa_id.as_str() == wanted);
            let Some(known) = known else {
                let text = "Personen är inte ärendehanterare vid enheten.".to_owned();
                let faults = [Fault { field: "hos", text }];
                let body = html! { (page::faults(&faults)) (assignment(&visit, case, &faults)) };
                let title = format!("Fördela ärende {}", case.number);
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Ok(page_with(&visit, status, &title, body));
            };
            Some(known)
        }
    };
    act(&desk, &visit, seen_in(&visit), Act::Assigned { to }).await
}

pub(super) async fn note(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let text = visit.form.one("text").trim().to_owned();
    if let Err(fault) = words::given(&text, limits::TEXT_CHARS_MAX) {
        let case = visit.case()?;
        let faults = [super::step::text_fault("text", "Anteckningen", fault)];
        let body = html! { (page::faults(&faults)) (note_form(&visit, case, &faults)) };
        let title = format!("Anteckning i ärende {}", case.number);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page_with(&visit, status, &title, body));
    }
    act(&desk, &visit, None, Act::Noted { text }).await
}

pub(super) async fn undo(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let step = visit.form.one("steg").parse().map_err(|_| Trouble::NotFound)?;
    act(&desk, &visit, None, Act::Undone { step }).await
}

/// A file of the case, to be saved: never shown inside the browser's page.
pub(super) async fn file(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let param = |name: &str| visit.params.get(name).and_then(|it| it.parse::<u64>().ok());
    let (seq, n) = (param("record").ok_or(Trouble::NotFound)?, param("n"));
    let n = n.and_then(|it| usize::try_from(it).ok()).ok_or(Trouble::NotFound)?;
    let id = visit.case()?.id.clone();
    let known = desk.read(move |cases| {
        let records = cases.records(&id)?;
        let record = records.into_iter().find(|(at, _)| *at == seq).and_then(|(_, it)| it.ok());
        Ok(record.and_then(|record| {
            let file = record.attachments().get(n)?.clone();
            let sealed = record.sealed_file(&file.sha256).cloned();
            Some((file, sealed))
        }))
    });
    let (file, sealed) = known.await?.ok_or(Trouble::NotFound)?;
    let blobs = desk.cases.blobs().clone();
    let sha256 = file.sha256.clone();
    let opened = move || blobs.content(&sha256, sealed.as_ref());
    let opened = tokio::task::spawn_blocking(opened).await;
    let (content, bytes) = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Err(Trouble::store(&error)),
        Err(_) => return Err(Trouble::Internal),
    };
    let content = blobs::chunks(content);
    let name = super::form::encode(&file.file_name).replace('+', "%20");
    let headers = [
        (header::CONTENT_TYPE, file.media_type.as_str().to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename*=UTF-8''{name}")),
    ];
    Ok((headers, axum::body::Body::from_stream(content)).into_response())
}
