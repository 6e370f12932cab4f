//! A step of the handling: write, see exactly what the complainant will see, send.
//!
//! One address for each step. A GET shows the form; a POST shows it again with what is wrong, or the
//! preview, or the form once more (`gor=andra`), or sends (`gor=skicka`). Between them everything
//! written travels in the form itself: nothing half done is kept here.

mod read;
mod write;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::Desk;
use super::access::Action;
use super::case::{Whole, seen, seen_in};
use super::files;
use super::form::Form;
use super::gate::Visit;
use super::page::{self, Fault, Trouble, page, page_with, to};
use crate::cases::NotAccepted;
use crate::cases::desk::{What, Work};
use crate::complaint::case::Case;
use crate::complaint::command::{self, Handling, Refusal};
use crate::complaint::event::{Event, Via};
use crate::complaint::letter::letter;
use crate::complaint::message::FromHandler;
use crate::complaint::words::TextFault;

/// The steps that are taken by a form of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Acknowledge,
    PartialReply,
    Question,
    Reply,
    CorrectPlace,
    Close,
}

impl Kind {
    /// In the order that they are offered.
    pub(super) const ALL: [Self; 6] = [
        Self::Reply,
        Self::Acknowledge,
        Self::PartialReply,
        Self::Question,
        Self::CorrectPlace,
        Self::Close,
    ];

    /// The last part of its address.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Acknowledge => "bekrafta",
            Self::PartialReply => "delsvar",
            Self::Question => "fraga",
            Self::Reply => "svar",
            Self::CorrectPlace => "plats",
            Self::Close => "avsluta",
        }
    }

    /// On the button that leads to it.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Acknowledge => "Bekräfta",
            Self::PartialReply => "Skriv delsvar",
            Self::Question => "Ställ en fråga",
            Self::Reply => "Svara",
            Self::CorrectPlace => "Rätta platsen",
            Self::Close => "Avsluta utan skriftligt svar",
        }
    }

    /// Whether files can be sent with it.
    pub(super) const fn takes_files(self) -> bool {
        matches!(self, Self::PartialReply | Self::Reply)
    }

    /// Where its form is posted to.
    fn address(self, case: &Case) -> String {
        format!("/arende/{}/{}", case.number, self.path())
    }

    pub(super) const fn action(self) -> Action {
        match self {
            Self::Acknowledge => Action::Acknowledge,
            Self::PartialReply => Action::PartialReply,
            Self::Question => Action::Question,
            Self::Reply => Action::Reply,
            Self::CorrectPlace => Action::CorrectPlace,
            Self::Close => Action::Close,
        }
    }
}

/// What is wrong with a text, said of the field that it stands in.
pub(super) fn text_fault(field: &'static str, label: &str, fault: TextFault) -> Fault {
    let text = match fault {
        TextFault::Empty => format!("{label} saknas."),
        TextFault::TooLong(most) => format!("{label} är längre än {most} tecken."),
        TextFault::Unfit(c) => format!(
            "{label} innehåller tecknet U+{:04X}, som inte kan skickas. Ta bort det.",
            u32::from(c)
        ),
    };
    Fault { field, text }
}

pub(super) async fn show(kind: Kind, desk: Desk, visit: Arc<Visit>) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let whole = Whole::read(&desk, case).await?;
    let form = write::blank(kind, &visit, case);
    Ok(page(&visit, &title(kind, case), write_page(kind, &visit, &whole, &form, &[], None)?))
}

pub(super) async fn take(kind: Kind, desk: Desk, visit: Arc<Visit>) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let content = match read::content(kind, &visit, case) {
        Ok(content) => content,
        Err(faults) => return again(kind, &desk, &visit, &faults, None).await,
    };
    match visit.form.one("gor") {
        "skicka" => send(kind, &desk, &visit, content).await,
        "andra" => {
            let whole = Whole::read(&desk, case).await?;
            let body = write_page(kind, &visit, &whole, &visit.form, &[], None)?;
            Ok(page(&visit, &title(kind, case), body))
        }
        _ => preview(kind, &desk, &visit, &content).await,
    }
}

fn title(kind: Kind, case: &Case) -> String {
    format!("{} – ärende {}", kind.title(), case.number)
}

/// The form once more, with what stands in the way.
async fn again(
    kind: Kind,
    desk: &Desk,
    visit: &Visit,
    faults: &[Fault],
    changed: Option<&str>,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let whole = Whole::read(desk, case).await?;
    let status =
        if changed.is_some() { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
    let body = write_page(kind, visit, &whole, &visit.form, faults, changed)?;
    Ok(page_with(visit, status, &title(kind, case), body))
}

/// The form, with the complainant's words beside it.
fn write_page(
    kind: Kind,
    visit: &Visit,
    whole: &Whole,
    form: &Form,
    faults: &[Fault],
    changed: Option<&str>,
) -> Result<Markup, Trouble> {
    let case = visit.case()?;
    let path = kind.address(case);
    Ok(html! {
        @if let Some(changed) = changed {
            div.faults role="alert" tabindex="-1" {
                h2 { "Inget är skickat" }
                p { (changed) }
                p { a href={ "/arende/" (case.number) } target="_blank" { "Se ärendet i ett nytt fönster" } }
            }
        }
        (page::faults(faults))
        div.columns {
            form method="post" action=(path) enctype=[kind.takes_files().then_some("multipart/form-data")] {
                (page::token(visit, &path)) (seen(case))
                (write::fields(kind, visit, form, faults))
                p.buttons {
                    button type="submit" name="gor" value="visa" { "Förhandsgranska" }
                    a href={ "/arende/" (case.number) } { "Avbryt" }
                }
            }
            @if let Some(opened) = whole.opened() {
                aside aria-label="Anmälarens berättelse" {
                    h2 { "Anmälarens berättelse" }
                    div.words { (opened.complaint.description) }
                    @if let Some(wish) = &opened.complaint.desired_outcome {
                        h3 { "Det här vill anmälaren" } div.words { (wish) }
                    }
                }
            }
        }
    })
}

/// Exactly what will be sent: made of the same event by the same functions.
async fn preview(
    kind: Kind,
    desk: &Desk,
    visit: &Visit,
    content: &FromHandler,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let grounds = (desk.grounds)(&visit.routing);
    let by = visit.actor(&case.receiver);
    let handling = Handling { by: &by, via: Via::Store, system: desk.cases.own() };
    let (codes, parties) = (&grounds.codes, &grounds.parties);
    let decided = match command::handle(content, Some(case), handling, None, codes, parties) {
        Ok(decided) => decided,
        Err(refusal) => return refused(kind, desk, visit, refusal).await,
    };
    let told = told(case, &decided.event, visit);
    let path = kind.address(case);
    let carried = visit.form.fields().filter(|(name, _)| !matches!(*name, "gor" | "intyg"));
    let body = html! {
        (told)
        form method="post" action=(path) {
            (page::token(visit, &path))
            @for (name, value) in carried {
                // A textarea keeps line breaks as they are; a hidden input does not.
                textarea.hidden name=(name) aria-hidden="true" tabindex="-1" readonly { "\n" (value) }
            }
            p.buttons {
                button type="submit" name="gor" value="skicka" autofocus {
                    @if case.in_inbox && kind != Kind::CorrectPlace { "Skicka" } @else { "Spara" }
                }
                button.plain type="submit" name="gor" value="andra" { "Ändra" }
            }
        }
        p.hint { "Du kan ångra i en minut efter att du har skickat." }
    };
    Ok(page(visit, &format!("Förhandsgranska – ärende {}", case.number), body))
}

fn told(case: &Case, event: &Event, visit: &Visit) -> Markup {
    let mut after = case.clone();
    after.fold(0, visit.now, event);
    let Some(letter) = letter(&after, event) else {
        return html! { p { "Anmälaren får inget meddelande om det här." } };
    };
    html! {
        @if case.in_inbox {
            p { "Det här får anmälaren i 1177 Inkorg:" }
        } @else {
            p.notice { "Anmälaren har ingen inkorg på 1177. Det här skickas " strong { "inte" }
                "; lämna det på ett annat sätt, till exempel per telefon eller brev:" }
        }
        div.letter lang="sv" { h2 { (letter.heading) } div.words { (letter.text) } }
    }
}

async fn send(
    kind: Kind,
    desk: &Desk,
    visit: &Visit,
    content: FromHandler,
) -> Result<Response, Trouble> {
    let case = visit.case()?;
    let attachments = match &content {
        FromHandler::Reply(it) => it.attachments.as_slice(),
        FromHandler::PartialReply(it) => it.attachments.as_slice(),
        FromHandler::Registration(_)
        | FromHandler::Acknowledgement(_)
        | FromHandler::Question(_)
        | FromHandler::Transfer(_)
        | FromHandler::PlaceCorrection(_)
        | FromHandler::Closure(_) => &[],
    };
    let missing = files::missing(desk, attachments).await?;
    if !missing.is_empty() {
        return again(kind, desk, visit, &missing, None).await;
    }
    let work = Work {
        case: case.id.clone(),
        by: visit.actor(&case.receiver),
        seen: seen_in(visit),
        form: None,
        what: What::Step(Box::new(content)),
    };
    match desk.cases.work(work, (desk.grounds)(&visit.routing)).await {
        Ok(_) => Ok(to(&format!("/arende/{}", case.number))),
        Err(NotAccepted::Refused(refusal)) => refused(kind, desk, visit, refusal).await,
        Err(error @ (NotAccepted::Reused | NotAccepted::Unavailable(_))) => Err(error.into()),
    }
}

/// What was written stays in the form, whatever stands in the way.
async fn refused(
    kind: Kind,
    desk: &Desk,
    visit: &Visit,
    refusal: Refusal,
) -> Result<Response, Trouble> {
    match &refusal {
        Refusal::Changed => {
            let why = "Ärendet har ändrats medan du skrev: en kollega eller anmälaren var före. Din \
                       text finns kvar här. Se efter vad som har hänt innan du skickar.";
            again(kind, desk, visit, &[], Some(why)).await
        }
        Refusal::State(why) | Refusal::Denied(why) => {
            again(kind, desk, visit, &[], Some(why)).await
        }
        Refusal::Invalid { rule, .. } => {
            let fault = Fault { field: write::first_field(kind), text: rule.clone() };
            again(kind, desk, visit, &[fault], None).await
        }
        Refusal::NotFound => Err(Trouble::NotFound),
    }
}
