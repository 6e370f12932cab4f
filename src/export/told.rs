//! A case in words, for people: what stands in lists of events, on the staff page and on paper.

use crate::cases::record::Record;
use crate::complaint::case::Case;
use crate::complaint::codes::CodeLists;
use crate::complaint::event::{Act, Event, Opened, Source, Step};
use crate::complaint::letter::letter;
use crate::complaint::message::{
    Classification, Code, Complaint, Origin, Place, Relation, ReplyChannel,
};

/// Who the complainant is to the patient.
#[must_use]
pub const fn relation_text(relation: Relation) -> &'static str {
    match relation {
        Relation::Patient => "patienten",
        Relation::CloseRelative => "närstående",
        Relation::Guardian => "vårdnadshavare",
        Relation::Representative => "ombud",
    }
}

/// Where it happened, as said and as set.
#[must_use]
pub fn place(case: &Case, complaint: &Complaint) -> Option<String> {
    let said = match complaint.place.as_ref()? {
        Place::Unit(unit) => unit.name.clone().unwrap_or_else(|| unit.hsa_id.to_string()),
        Place::FreeText(text) => text.clone(),
    };
    let set = case.place.as_ref().map(|it| format!(" (HSA-id {it})"));
    Some(said + &set.unwrap_or_default())
}

/// Whether and how a reply is wanted.
#[must_use]
pub fn reply_wish(complaint: &Complaint) -> &'static str {
    match (complaint.reply_wish.wanted, complaint.reply_wish.channel) {
        (false, _) => "nej",
        (true, Some(ReplyChannel::Inbox) | None) => "ja, i 1177 Inkorg",
        (true, Some(ReplyChannel::Phone)) => "ja, per telefon",
        (true, Some(ReplyChannel::Letter)) => "ja, per brev",
        (true, Some(ReplyChannel::Email)) => "ja, per e-post",
    }
}

/// Codes by their texts.
#[must_use]
pub fn labels(lists: &CodeLists, codes: &[Code]) -> String {
    let labels: Vec<&str> = codes.iter().map(|code| lists.label(code)).collect();
    labels.join(", ")
}

/// The title of an event and its text; `None` for what only concerns delivery.
#[must_use]
pub fn words(lists: &CodeLists, case: &Case, record: &Record) -> Option<(String, Option<String>)> {
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
            let coded = step_codes(lists, step);
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
#[must_use]
pub const fn origin_text(origin: Origin) -> &'static str {
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

fn step_codes(lists: &CodeLists, step: &Step) -> Option<String> {
    let of = |it: &Classification| {
        let problems = [it.main_problems.as_slice(), it.sub_problems.as_slice()].concat();
        let area = lists.label(&it.operational_area);
        format!("Klassificerat: {}. Verksamhetsområde: {area}.", labels(lists, &problems))
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
