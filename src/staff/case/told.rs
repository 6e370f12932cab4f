//! A case in words: the complaint, each event, and how far each message has come.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::gate::Visit;
use super::super::page;
use crate::cases::record::{Item, ItemState, Record};
use crate::complaint::case::Case;
use crate::complaint::event::{Debt, Opened};
use crate::complaint::message::{Attachment, Complainant, Complaint, Patient, Relation, Remark};
use crate::export::told;

/// Who is who, what happened in the complainant's own words, and what is wanted.
pub(super) fn complaint(visit: &Visit, case: &Case, opened: &Opened) -> Markup {
    let complaint = &opened.complaint;
    html! {
        section {
            h2 { "Vem det gäller" }
            @if complaint.complainant.protected_identity == Some(true) {
                p.alarm { strong { "Skyddade personuppgifter." }
                    " Lämna inte ut namn, adress eller telefonnummer till någon." }
            }
            (people(complaint))
        }
        section {
            h2 { "Anmälarens berättelse" }
            dl {
                dt { "Hände" } dd { (complaint.event_date) }
                @if let Some(place) = told::place(case, complaint) { dt { "Plats" } dd { (place) } }
                dt { "Vill ha svar" } dd { (told::reply_wish(complaint)) }
                @if !complaint.experienced_problems.is_empty() {
                    dt { "Upplevt problem, enligt anmälaren" }
                    dd { (told::labels(&visit.routing.codes, &complaint.experienced_problems)) }
                }
            }
            div.words { (complaint.description) }
            @if let Some(wish) = &complaint.desired_outcome {
                h3 { "Det här vill anmälaren" } div.words { (wish) }
            }
            (remarks(&complaint.remarks))
        }
    }
}

fn people(complaint: &Complaint) -> Markup {
    let Complainant { relation, .. } = &complaint.complainant;
    let other = *relation != Relation::Patient;
    html! {
        @if other {
            p.notice { "Anmälaren är " strong { "inte" } " patienten, utan " (told::relation_text(*relation))
                ". Kontrollera rätten att företräda patienten innan du svarar." }
        }
        dl {
            dt { "Anmälare" @if !other { " och patient" } }
            dd { (complainant(&complaint.complainant)) }
            @if other {
                dt { "Patient" }
                dd { @match &complaint.patient { Some(it) => (patient(it)), None => "okänd" } }
                dt { "Fullmakt" }
                dd { @match complaint.complainant.authorization {
                    Some(true) => "anmälaren uppger att fullmakt finns",
                    Some(false) => "anmälaren uppger att fullmakt saknas",
                    None => "inte uppgivet",
                } }
            }
        }
    }
}

fn complainant(it: &Complainant) -> Markup {
    let id = it.person_id.as_ref().and_then(|id| id.extension.as_deref());
    if it.name.is_none() && id.is_none() {
        return html! { "anonym" };
    }
    let lines =
        [it.name.as_deref(), id, it.phone.as_deref(), it.email.as_deref(), it.address.as_deref()];
    lines_of(&lines)
}

fn patient(it: &Patient) -> Markup {
    let id = it.person_id.as_ref().and_then(|id| id.extension.as_deref());
    let born = it.birth_year.map(|year| format!("född {year}"));
    lines_of(&[it.name.as_deref(), id, born.as_deref()])
}

fn lines_of(lines: &[Option<&str>]) -> Markup {
    html! { @for line in lines.iter().flatten() { span.line { (line) } } }
}

fn remarks(remarks: &[Remark]) -> Markup {
    html! {
        @if !remarks.is_empty() {
            p.notice { "Något i anmälan var inte som det ska: "
                @for remark in remarks { span.line { (remark.field) ": " (remark.rule) } }
            }
        }
    }
}

/// One event, and what was sent because of it.
pub(super) fn event(
    visit: &Visit,
    case: &Case,
    seq: u64,
    record: &Record,
    items: &BTreeMap<u64, Vec<&Item>>,
) -> Markup {
    let Some((title, words)) = told::words(&visit.routing.codes, case, record) else {
        return html! {};
    };
    html! {
        li id={ "h" (seq) } {
            p.when { (page::moment(record.at)) " " strong { (title) } }
            @if let Some(words) = words { div.words { (words) } }
            (remarks(&record.remarks))
            (files(case, seq, record.attachments()))
            @for item in items.get(&seq).into_iter().flatten() { (way(visit, item)) }
        }
    }
}

fn files(case: &Case, seq: u64, files: &[Attachment]) -> Markup {
    html! {
        @if !files.is_empty() {
            ul.files {
                @for (n, file) in files.iter().enumerate() {
                    li {
                        a href={ "/arende/" (case.number) "/fil/" (seq) "/" (n) } { (file.file_name) }
                        " (" (file.bytes.div_ceil(1024)) " kB)"
                    }
                }
            }
        }
    }
}

/// How far a message has come, and what to do where it has not.
fn way(visit: &Visit, item: &Item) -> Markup {
    let to = match item.what {
        Debt::Letter => "Inkorgen",
        Debt::Onward => "1177:s plattform",
        Debt::Relay { .. } => "Det egna systemet",
        Debt::Notice { .. } => "Aviseringen per e-post",
    };
    let hour = |at| page::hour(at, visit.now);
    let is_stuck = matches!(item.state, ItemState::Parked { .. } | ItemState::Held { .. });
    if matches!(item.what, Debt::Notice { .. }) && !is_stuck {
        return html! {};
    }
    let (class, text) = match &item.state {
        ItemState::Delivered { at } if item.what == Debt::Letter => {
            ("arrived", format!("i inkorgen {}", hour(*at)))
        }
        ItemState::Delivered { at } => ("arrived", format!("framme {}", hour(*at))),
        ItemState::Due { at, .. } if item.attempts == 0 && *at > visit.now => {
            ("waits", format!("skickas {}", hour(*at)))
        }
        ItemState::Due { at, .. } if item.attempts > 0 => {
            ("trouble", format!("har inte kommit fram; nytt försök {}", hour(*at)))
        }
        ItemState::Due { .. } | ItemState::Waiting | ItemState::Leased { .. } => {
            ("waits", "på väg".to_owned())
        }
        ItemState::Unreachable { .. } => (
            "trouble",
            "kan inte tas emot: personen har ingen inkorg på 1177. Kontakta anmälaren på ett annat \
             sätt, till exempel per telefon eller brev"
                .to_owned(),
        ),
        ItemState::Unknown { .. } => (
            "trouble",
            "det är osäkert om meddelandet kom fram. Fråga driften innan du skickar igen".to_owned(),
        ),
        ItemState::Parked { .. } | ItemState::Held { .. } => {
            ("trouble", "har inte skickats. Driften behöver göra något; kontakta dem".to_owned())
        }
        ItemState::Discarded { .. } => ("waits", "skickas inte".to_owned()),
    };
    html! { p.way.(class) { (to) ": " (text) "." } }
}
