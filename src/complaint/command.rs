//! What may happen next: a message and the case as it stands, to an event and what it owes.
//!
//! Pure functions. A refusal leaves no trace in the case.

use crate::id::HsaId;
use crate::limits;

use super::case::Case;
use super::codes::CodeLists;
use super::event::{Debt, Destination, Event, Opened, Owed, Source, Step, Transferred, Via};
use super::message::{
    Actor, Complaint, FromComplainant, FromHandler, Ii, Origin, RecipientKind, Remark,
};
use super::registration::RegistrationNumber;

/// The systems that hear of a case besides the one that handles it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// The HSA-id of the 1177 platform, which speaks for the complainant.
    pub portal: HsaId,
    /// The id of the system that is 1177 Inkorg.
    pub inkorg: String,
    /// The id of the system that gets every handling event, where there is one.
    pub onward: Option<String>,
}

/// What the routing configuration says of a receiving unit at the time of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reception {
    pub receiver: HsaId,
    pub receiver_name: String,
    pub county: String,
    pub kind: RecipientKind,
    pub destination: Destination,
}

/// An event, and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub event: Event,
    pub owed: Vec<Owed>,
}

/// Why a message is refused. The texts are for whoever sent it, in Swedish, and never repeat a
/// value that could be somebody's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `VALIDATION_ERROR`.
    #[error("{field}: {rule}")]
    Invalid { field: String, rule: String },
    /// `NOT_FOUND`.
    #[error("Ärendet finns inte här. Kontrollera caseId.")]
    NotFound,
    /// `INVALID_STATE`.
    #[error("{0}")]
    State(String),
    /// `ACCESS_DENIED`.
    #[error("{0}")]
    Denied(String),
    /// `INVALID_STATE`: somebody else was first.
    #[error("Ärendet har ändrats sedan det visades.")]
    Changed,
}

impl Refusal {
    pub(super) fn invalid(field: &str, rule: impl Into<String>) -> Self {
        Self::Invalid { field: field.to_owned(), rule: rule.into() }
    }
}

/// A new case from 1177. `existing` is the case that already has the id, if any.
pub fn open_from_portal(
    complaint: Complaint,
    sender: &HsaId,
    existing: Option<&Case>,
    reception: &Reception,
    number: RegistrationNumber,
    parties: &Parties,
) -> Result<Decided, Refusal> {
    new_id(existing, sender)?;
    fits_reception("complaint", &complaint, reception)?;
    let mut owed = Vec::new();
    if let Destination::System { id, receiver, .. } = &reception.destination {
        let what = Debt::Relay { seq: None, receiver: receiver.clone() };
        owed.push(Owed::now(id.clone(), what));
    }
    confirm(&complaint, parties, &mut owed);
    let event = opened(Source::Portal, complaint, sender, reception, number);
    Ok(Decided { event, owed })
}

/// A case that began outside 1177, registered by `by`, whose system is `sender`. A system registers
/// cases only for the units that it handles.
pub fn register(
    registration: (&Origin, &Complaint),
    by: &Actor,
    sender: &HsaId,
    existing: Option<&Case>,
    reception: &Reception,
    number: RegistrationNumber,
    parties: &Parties,
) -> Result<Decided, Refusal> {
    let (origin, complaint) = registration;
    let handles =
        matches!(&reception.destination, Destination::System { hsa_id, .. } if hsa_id == sender);
    if !handles {
        return Err(Refusal::Denied("Mottagaren handläggs inte av avsändaren.".to_owned()));
    }
    new_id(existing, sender)?;
    fits_reception("registration/complaint", complaint, reception)?;
    let mut owed = Vec::new();
    confirm(complaint, parties, &mut owed);
    owed.extend(onward(parties, sender));
    let source = Source::Registered { origin: *origin, by: Box::new(by.clone()) };
    let event = opened(source, complaint.clone(), sender, reception, number);
    Ok(Decided { event, owed })
}

/// A case that began outside 1177, registered by `by` in the built-in store; `own` is the gateway.
pub fn register_here(
    registration: (&Origin, &Complaint),
    by: &Actor,
    own: &HsaId,
    reception: &Reception,
    number: RegistrationNumber,
    parties: &Parties,
) -> Result<Decided, Refusal> {
    let (origin, complaint) = registration;
    if !matches!(reception.destination, Destination::Store) {
        return Err(Refusal::Denied("Mottagaren handläggs inte här.".to_owned()));
    }
    fits_reception("registration/complaint", complaint, reception)?;
    let mut owed = Vec::new();
    confirm(complaint, parties, &mut owed);
    owed.extend(onward(parties, own));
    let source = Source::Registered { origin: *origin, by: Box::new(by.clone()) };
    Ok(Decided { event: opened(source, complaint.clone(), own, reception, number), owed })
}

/// What the complainant sends to a case that is there: a supplement or a withdrawal. `addressed` is
/// the logical address of the message.
pub fn from_complainant(
    content: &FromComplainant,
    case: Option<&Case>,
    caller: &HsaId,
    addressed: &HsaId,
    parties: &Parties,
) -> Result<Decided, Refusal> {
    let case = case.ok_or(Refusal::NotFound)?;
    if *caller != case.sender && *caller != parties.portal {
        return Err(Refusal::Denied("Ärendet har en annan avsändare.".to_owned()));
    }
    if *addressed != case.addressed && *addressed != case.receiver {
        return Err(Refusal::Denied("Ärendet har en annan mottagare.".to_owned()));
    }
    let event = match content {
        FromComplainant::Complaint(_) => {
            return Err(Refusal::State("Ärendet finns redan.".to_owned()));
        }
        FromComplainant::Supplement(supplement) => Event::Supplemented {
            supplement: supplement.clone(),
            remarks: question_of(case, supplement),
        },
        FromComplainant::Withdrawal(withdrawal) => {
            Event::Withdrawn { withdrawal: withdrawal.clone() }
        }
    };
    still_open(case)?;
    if case.complainant_seqs.len() >= limits::CASE_MESSAGES_MAX {
        let most = limits::CASE_MESSAGES_MAX;
        return Err(Refusal::State(format!("Ärendet har redan {most} meddelanden.")));
    }
    let mut owed = Vec::new();
    if let Destination::System { id, receiver, .. } = &case.destination {
        let what = Debt::Relay { seq: None, receiver: receiver.clone() };
        owed.push(Owed::now(id.clone(), what));
    }
    Ok(Decided { event, owed })
}

/// Who handles, and by which door.
#[derive(Debug, Clone, Copy)]
pub struct Handling<'a> {
    pub by: &'a Actor,
    pub via: Via,
    /// The calling system; for the built-in store the gateway itself.
    pub system: &'a HsaId,
}

/// A step of the handling. `to` is what the configuration says of a transfer's unit.
pub fn handle(
    content: &FromHandler,
    case: Option<&Case>,
    handling: Handling<'_>,
    to: Option<&Reception>,
    codes: &CodeLists,
    parties: &Parties,
) -> Result<Decided, Refusal> {
    let case = case.ok_or(Refusal::NotFound)?;
    may_handle(case, handling)?;
    still_open(case)?;
    let step = step_of(content, case, handling.via, to, codes)?;
    let mut owed = Vec::new();
    if case.in_inbox && is_told(&step) {
        owed.push(Owed::now(parties.inkorg.clone(), Debt::Letter));
    }
    owed.extend(onward(parties, handling.system));
    if let Step::Transfer(transferred) = &step {
        owed.extend(relay_all(case, transferred));
    }
    let event = Event::Handled { by: handling.by.clone(), via: handling.via, step: Box::new(step) };
    Ok(Decided { event, owed })
}

/// The identity that the inbox can be written to: absent for anonymous cases and for identities
/// that 1177 Inkorg 1.0 does not take (its pattern).
#[must_use]
pub fn inbox_person(complaint: &Complaint) -> Option<&str> {
    let id = complaint.complainant.person_id.as_ref()?.extension.as_deref()?;
    let bytes = id.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let ninth = bytes.get(8).is_some_and(|b| b.is_ascii_digit() || b"pPtTfF".contains(b));
    (bytes.len() == 12 && digits(0..8) && ninth && digits(9..12)).then_some(id)
}

fn new_id(existing: Option<&Case>, sender: &HsaId) -> Result<(), Refusal> {
    match existing {
        None => Ok(()),
        Some(case) if case.sender == *sender => {
            Err(Refusal::State("Ett ärende med detta caseId finns redan.".to_owned()))
        }
        Some(_) => Err(Refusal::Denied("Ärendet har en annan avsändare.".to_owned())),
    }
}

/// A complaint that names another receiver than the one it is addressed to would be shown to the
/// wrong party.
fn fits_reception(path: &str, complaint: &Complaint, to: &Reception) -> Result<(), Refusal> {
    let recipient = &complaint.recipient;
    if recipient.unit.hsa_id != to.receiver {
        let rule = "ska vara den enhet som meddelandet är adresserat till";
        return Err(Refusal::invalid(&format!("{path}/recipient/unit"), rule));
    }
    if recipient.kind != to.kind {
        let rule = match to.kind {
            RecipientKind::CareProvider => "enheten är en vårdgivare (CARE_PROVIDER)",
            RecipientKind::PatientAdvisoryCommittee => {
                "enheten är en patientnämnd (PATIENT_ADVISORY_COMMITTEE)"
            }
        };
        return Err(Refusal::invalid(&format!("{path}/recipient/kind"), rule));
    }
    if recipient.county != to.county {
        let rule = "ska vara enhetens län";
        return Err(Refusal::invalid(&format!("{path}/recipient/county"), rule));
    }
    Ok(())
}

fn opened(
    source: Source,
    complaint: Complaint,
    sender: &HsaId,
    reception: &Reception,
    number: RegistrationNumber,
) -> Event {
    Event::Opened(Box::new(Opened {
        number,
        source,
        sender: sender.clone(),
        receiver_name: reception.receiver_name.clone(),
        destination: reception.destination.clone(),
        complaint,
    }))
}

/// The confirmation (ärendebekräftelse) that every complainant with an inbox gets.
fn confirm(complaint: &Complaint, parties: &Parties, owed: &mut Vec<Owed>) {
    if inbox_person(complaint).is_some() {
        owed.push(Owed::now(parties.inkorg.clone(), Debt::Letter));
    }
}

/// What the 1177 platform itself sent is not told back to it.
fn onward(parties: &Parties, sender: &HsaId) -> Option<Owed> {
    let to = parties.onward.clone()?;
    (*sender != parties.portal).then_some(Owed::now(to, Debt::Onward))
}

pub(super) fn still_open(case: &Case) -> Result<(), Refusal> {
    if case.closed.is_some() {
        return Err(Refusal::State("Ärendet är avslutat.".to_owned()));
    }
    Ok(())
}

pub(super) fn may_handle(case: &Case, handling: Handling<'_>) -> Result<(), Refusal> {
    let may = match (&case.destination, handling.via) {
        (Destination::Store, Via::Store) => true,
        (Destination::System { hsa_id, .. }, Via::System) => hsa_id == handling.system,
        (Destination::Store, Via::System) | (Destination::System { .. }, Via::Store) => false,
    };
    if may {
        Ok(())
    } else {
        Err(Refusal::Denied("Ärendet handläggs av någon annan.".to_owned()))
    }
}

/// A supplement that answers a question nobody asked is kept, with a remark.
fn question_of(case: &Case, supplement: &super::message::Supplement) -> Vec<Remark> {
    let known = supplement
        .in_reply_to
        .as_ref()
        .is_none_or(|id| case.questions.iter().any(|asked| asked.id == *id));
    if known {
        return Vec::new();
    }
    vec![Remark {
        field: "supplement/inReplyTo".to_owned(),
        rule: "frågan finns inte i ärendet".to_owned(),
    }]
}

fn step_of(
    content: &FromHandler,
    case: &Case,
    via: Via,
    to: Option<&Reception>,
    codes: &CodeLists,
) -> Result<Step, Refusal> {
    Ok(match content {
        FromHandler::Registration(_) => {
            return Err(Refusal::State("Ärendet finns redan.".to_owned()));
        }
        FromHandler::Acknowledgement(it) => Step::Acknowledgement(it.clone()),
        FromHandler::PartialReply(it) => Step::PartialReply(it.clone()),
        FromHandler::Question(it) => {
            if case.questions.iter().any(|asked| asked.id == it.question_id) {
                let rule = "är redan använt i ärendet";
                return Err(Refusal::invalid("question/questionId", rule));
            }
            if case.questions.len() >= limits::CASE_QUESTIONS_MAX {
                let most = limits::CASE_QUESTIONS_MAX;
                return Err(Refusal::State(format!("Ärendet har redan {most} frågor.")));
            }
            Step::Question(it.clone())
        }
        FromHandler::Reply(it) => {
            let coded = classified("reply", &it.classification, codes)?;
            Step::Reply(it.clone(), coded)
        }
        FromHandler::Transfer(it) => Step::Transfer(transfer(it, case, via, to)?),
        FromHandler::PlaceCorrection(it) => {
            if case.kind != RecipientKind::PatientAdvisoryCommittee {
                let rule = "får bara göras av en patientnämnd";
                return Err(Refusal::invalid("placeCorrection", rule));
            }
            Step::PlaceCorrection(it.clone())
        }
        FromHandler::Closure(it) => {
            let coded = classified("closure", &it.classification, codes)?;
            Step::Closure(it.clone(), coded)
        }
    })
}

fn classified(
    path: &str,
    classification: &super::message::Classification,
    codes: &CodeLists,
) -> Result<super::codes::CodedWith, Refusal> {
    codes
        .check_classification(classification)
        .map_err(|fault| Refusal::invalid(&format!("{path}/{}", fault.field), fault.rule))
}

/// Only between units handled in own systems, and never between a vårdgivare and a patientnämnd:
/// they share no data.
fn transfer(
    transfer: &super::message::Transfer,
    case: &Case,
    via: Via,
    to: Option<&Reception>,
) -> Result<Transferred, Refusal> {
    let field = "transfer/toUnit";
    if via == Via::Store {
        let rule = "överlämning kan bara göras i ett eget system; hänvisa i stället";
        return Err(Refusal::invalid(field, rule));
    }
    let to = to.ok_or_else(|| Refusal::invalid(field, "enheten är inte ansluten"))?;
    if to.receiver == case.receiver {
        return Err(Refusal::invalid(field, "enheten har redan ärendet"));
    }
    if to.kind != case.kind {
        let rule = "får inte lämnas mellan patientnämnd och vårdgivare";
        return Err(Refusal::invalid(field, rule));
    }
    if matches!(to.destination, Destination::Store) {
        return Err(Refusal::invalid(field, "enheten handläggs inte i ett eget system"));
    }
    Ok(Transferred {
        transfer: transfer.clone(),
        receiver_name: to.receiver_name.clone(),
        destination: to.destination.clone(),
    })
}

/// Another system than the one that transferred gets everything that the complainant has sent.
fn relay_all(case: &Case, transferred: &Transferred) -> Vec<Owed> {
    let Destination::System { id, receiver, .. } = &transferred.destination else {
        return Vec::new();
    };
    if matches!(&case.destination, Destination::System { id: from, .. } if from == id) {
        return Vec::new();
    }
    case.complainant_seqs
        .iter()
        .map(|seq| {
            let what = Debt::Relay { seq: Some(*seq), receiver: receiver.clone() };
            Owed::now(id.clone(), what)
        })
        .collect()
}

/// A corrected place is a matter of follow-up, not of the complainant's.
const fn is_told(step: &Step) -> bool {
    match step {
        Step::Acknowledgement(_)
        | Step::PartialReply(_)
        | Step::Question(_)
        | Step::Reply(..)
        | Step::Transfer(_)
        | Step::Closure(..) => true,
        Step::PlaceCorrection(_) => false,
    }
}

/// The form of a case id that this gateway gives: local ids in the sender's own name space
/// (1.2.752.129.2.1.2.1), made unique by its HSA-id.
#[must_use]
pub fn own_case_id(gateway: &HsaId, number: &RegistrationNumber) -> Ii {
    Ii { root: "1.2.752.129.2.1.2.1".to_owned(), extension: Some(format!("{gateway}:{number}")) }
}

#[cfg(test)]
pub(super) mod tests;
