//! A case in words: the complaint, each event, and how far each message has come.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::gate::Visit;
use super::super::page;
use crate::cases::record::{Item, ItemState, Record};
use crate::complaint::case::Case;
use crate::complaint::event::{Act, Debt, Event, Opened, Source, Step};
use crate::complaint::letter::letter;
use crate::complaint::message::{
    Attachment, Classification, Code, Complainant, Complaint, Origin, Patient, Place, Relation,
    Remark, ReplyChannel,
};

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
                @if let Some(place) = place(case, complaint) { dt { "Plats" } dd { (place) } }
                dt { "Vill ha svar" } dd { (reply_wish(complaint)) }
                @if !complaint.experienced_problems.is_empty() {
                    dt { "Upplevt problem, enligt anmälaren" }
                    dd { (labels(visit, &complaint.experienced_problems)) }
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
            p.notice { "Anmälaren är " strong { "inte" } " patienten, utan " (relation_text(*relation))
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

const fn relation_text(relation: Relation) -> &'static str {
    match relation {
        Relation::Patient => "patienten",
        Relation::CloseRelative => "närstående",
        Relation::Guardian => "vårdnadshavare",
        Relation::Representative => "ombud",
    }
}

fn place(case: &Case, complaint: &Complaint) -> Option<String> {
    let said = match complaint.place.as_ref()? {
        Place::Unit(unit) => unit.name.clone().unwrap_or_else(|| unit.hsa_id.to_string()),
        Place::FreeText(text) => text.clone(),
    };
    let set = case.place.as_ref().map(|it| format!(" (HSA-id {it})"));
    Some(said + &set.unwrap_or_default())
}

fn reply_wish(complaint: &Complaint) -> &'static str {
    match (complaint.reply_wish.wanted, complaint.reply_wish.channel) {
        (false, _) => "nej",
        (true, Some(ReplyChannel::Inbox) | None) => "ja, i 1177 Inkorg",
        (true, Some(ReplyChannel::Phone)) => "ja, per telefon",
        (true, Some(ReplyChannel::Letter)) => "ja, per brev",
        (true, Some(ReplyChannel::Email)) => "ja, per e-post",
    }
}

fn labels(visit: &Visit, codes: &[Code]) -> String {
    let labels: Vec<&str> = codes.iter().map(|code| visit.routing.codes.label(code)).collect();
    labels.join(", ")
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
    let Some((title, words)) = words(visit, case, record) else { return html! {} };
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

/// The title of an event and its text; `None` for what only concerns delivery.
fn words(visit: &Visit, case: &Case, record: &Record) -> Option<(String, Option<String>)> {
    Some(match &record.event {
        Event::Opened(opened) => (opened_title(opened), None),
        Event::Supplemented { supplement, .. } => {
            ("Anmälaren kompletterade".to_owned(), Some(supplement.text.clone()))
        }
        Event::Withdrawn { withdrawal } => {
            ("Anmälaren tog tillbaka ärendet".to_owned(), withdrawal.reason.clone())
        }
        Event::Handled { by, step, .. } => {
            let who = by.name.clone().unwrap_or_else(|| by.hsa_id.to_string());
            let coded = step_codes(visit, step);
            let text = letter(case, &record.event).map(|it| it.text);
            let text = match (text, coded) {
                (Some(text), Some(coded)) => Some(format!("{text}\n\n{coded}")),
                (text, coded) => text.or(coded),
            };
            (format!("{} – {who}", step_title(step)), text)
        }
        Event::Staff { by, act } => {
            let who = by.name.clone().unwrap_or_else(|| by.hsa_id.to_string());
            match act {
                Act::Assigned { to: Some(to) } => (format!("Tilldelat {} – {who}", to.name), None),
                Act::Assigned { to: None } => (format!("Lämnat tillbaka – {who}"), None),
                Act::Noted { text } => (format!("Intern anteckning – {who}"), Some(text.clone())),
                Act::Undone { .. } => (format!("Ångrade det senaste – {who}"), None),
                Act::Read { .. } => return None,
            }
        }
        Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Reminded { .. } => return None,
    })
}

fn opened_title(opened: &Opened) -> String {
    match &opened.source {
        Source::Portal => "Ärendet kom in från 1177".to_owned(),
        Source::Registered { origin, by } => {
            let who = by.name.clone().unwrap_or_else(|| by.hsa_id.to_string());
            format!("Registrerat av {who}: {}", origin_text(*origin))
        }
    }
}

/// How a case came in.
pub(in crate::staff) const fn origin_text(origin: Origin) -> &'static str {
    match origin {
        Origin::Phone => "per telefon",
        Origin::Letter => "per brev",
        Origin::Email => "per e-post",
        Origin::Visit => "vid ett besök",
        Origin::WebForm => "genom ett webbformulär",
        Origin::Ivo => "överlämnat från IVO",
        Origin::Other => "på annat sätt",
    }
}

const fn step_title(step: &Step) -> &'static str {
    match step {
        Step::Acknowledgement(_) => "Bekräftat",
        Step::PartialReply(_) => "Delsvar",
        Step::Question(_) => "Fråga till anmälaren",
        Step::Reply(..) => "Svar",
        Step::Transfer(_) => "Överlämnat",
        Step::PlaceCorrection(_) => "Plats rättad",
        Step::Closure(..) => "Avslutat utan skriftligt svar",
    }
}

fn step_codes(visit: &Visit, step: &Step) -> Option<String> {
    let of = |it: &Classification| {
        let problems = [it.main_problems.as_slice(), it.sub_problems.as_slice()].concat();
        let area = visit.routing.codes.label(&it.operational_area);
        format!("Klassificerat: {}. Verksamhetsområde: {area}.", labels(visit, &problems))
    };
    match step {
        Step::Reply(it, _) => Some(of(&it.classification)),
        Step::Closure(it, _) => Some(of(&it.classification)),
        Step::PlaceCorrection(it) => {
            let name = it.unit.name.clone().unwrap_or_default();
            Some(format!("{name} ({})", it.unit.hsa_id))
        }
        Step::Acknowledgement(_)
        | Step::PartialReply(_)
        | Step::Question(_)
        | Step::Transfer(_) => None,
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
