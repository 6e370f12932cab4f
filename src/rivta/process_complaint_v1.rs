//! ProcessComplaint 1: what a complainant sends, by way of 1177.

use super::read::{EMPTY, Fields, Optional as Faults, Read, not_one_of, pick, wire};
use super::types::{COMPLAINT, II, SUPPLEMENT, WITHDRAWAL};
use super::write::{COMMON, OWN, Writer, request};
use super::{FileSeen, Reading, Rejection, Request};
use crate::complaint::message::{
    Complainant, Complaint, FromComplainant, Patient, Place, ProcessComplaint, Recipient,
    RecipientKind, Relation, ReplyChannel, ReplyWish, Supplement, Withdrawal,
};
use crate::id::HsaId;
use crate::limits;
use crate::soap::Outline;
use crate::xml::Node;
use crate::xml::shape::Item::{Choice, One};
use crate::xml::shape::{Fields as Sequence, Shape};

/// The contract's namespace.
pub const CONTRACT: &str = domain!(":ProcessComplaintResponder:1");

static REQUEST: Sequence = Sequence {
    namespace: CONTRACT,
    items: &[
        One("messageId", II),
        One("sentTime", Shape::Text),
        One("caseId", II),
        Choice(&[("complaint", COMPLAINT), ("supplement", SUPPLEMENT), ("withdrawal", WITHDRAWAL)]),
    ],
    any: true,
};

/// The request element's shape.
pub const SHAPE: Shape = Shape::Fields(&REQUEST);

const KINDS: [(&str, RecipientKind); 2] = [
    ("CARE_PROVIDER", RecipientKind::CareProvider),
    ("PATIENT_ADVISORY_COMMITTEE", RecipientKind::PatientAdvisoryCommittee),
];

const RELATIONS: [(&str, Relation); 4] = [
    ("PATIENT", Relation::Patient),
    ("CLOSE_RELATIVE", Relation::CloseRelative),
    ("GUARDIAN", Relation::Guardian),
    ("REPRESENTATIVE", Relation::Representative),
];

const CHANNELS: [(&str, ReplyChannel); 4] = [
    ("INBOX", ReplyChannel::Inbox),
    ("PHONE", ReplyChannel::Phone),
    ("LETTER", ReplyChannel::Letter),
    ("EMAIL", ReplyChannel::Email),
];

/// Whether the complainant must be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// From 1177, where the complainant has logged in.
    Named,
    /// From outside 1177: may be anonymous.
    MayBeAnonymous,
}

/// Reads a request whose shape has been checked.
pub(super) fn decode(node: Node<'_>, files: &[FileSeen]) -> Result<Reading, Rejection> {
    let mut fields = Fields::new(node, files, Faults::Remarked);
    let message_id = fields.ii(node, "messageId")?;
    let sent = fields.stamp(node, "sentTime")?;
    let case_id = fields.ii(node, "caseId")?;
    let content = if let Some(complaint) = fields.may(node, "complaint") {
        FromComplainant::Complaint(Box::new(complaint_of(&mut fields, complaint, Naming::Named)?))
    } else if let Some(supplement) = fields.may(node, "supplement") {
        FromComplainant::Supplement(Supplement {
            in_reply_to: fields.optional_id(supplement, "inReplyTo")?,
            text: fields.text(supplement, "text")?,
            attachments: fields.attachments(supplement, limits::COMPLAINANT_ATTACHMENTS_MAX)?,
        })
    } else {
        let withdrawal = fields.must(node, "withdrawal")?;
        let reason = fields.optional_text(withdrawal, "reason")?;
        FromComplainant::Withdrawal(Withdrawal { reason })
    };
    let request = Request::Complaint(ProcessComplaint { message_id, sent, case_id, content });
    Ok(Reading { request, remarks: fields.remarks })
}

/// Reads a ComplaintType; its remarks go into it, with paths below it.
pub(super) fn complaint_of<'d>(
    fields: &mut Fields<'d>,
    node: Node<'d>,
    naming: Naming,
) -> Read<Complaint> {
    let before = std::mem::take(&mut fields.remarks);
    let (below, optional) = (fields.remarks_below, fields.optional);
    fields.remarks_below = node;
    fields.optional = Faults::Remarked;
    let recipient = recipient(fields, node)?;
    let mut complaint = Complaint {
        submitted: fields.stamp(node, "submittedTime")?,
        place: place(fields, node, recipient.kind)?,
        recipient,
        event_date: fields.date(node, "eventDate")?,
        description: fields.text(node, "description")?,
        desired_outcome: fields.optional_text(node, "desiredOutcome")?,
        complainant: complainant(fields, node, naming)?,
        patient: patient(fields, node)?,
        reply_wish: reply_wish(fields, node)?,
        experienced_problems: fields.optional_codes(node, "experiencedProblem")?,
        consent_to_forward: fields.optional_boolean(node, "consentToForward", None)?,
        attachments: fields.attachments(node, limits::COMPLAINANT_ATTACHMENTS_MAX)?,
        language: match fields.may(node, "language") {
            Some(language) => fields.optional_code(language)?,
            None => None,
        },
        remarks: Vec::new(),
    };
    complaint.remarks = std::mem::replace(&mut fields.remarks, before);
    fields.remarks_below = below;
    fields.optional = optional;
    Ok(complaint)
}

fn recipient<'d>(fields: &mut Fields<'d>, node: Node<'d>) -> Read<Recipient> {
    let node = fields.must(node, "recipient")?;
    let kind = fields.one_of(node, "kind", &KINDS)?;
    let unit = fields.must(node, "unit")?;
    let unit = fields.org_unit(unit)?;
    let county = fields.must(node, "county")?;
    let code = county.text().trim();
    if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_digit()) {
        return Err(fields.invalid(county, "ska vara en länskod: två siffror"));
    }
    Ok(Recipient { kind, unit, county: code.to_owned() })
}

fn place<'d>(fields: &mut Fields<'d>, node: Node<'d>, kind: RecipientKind) -> Read<Option<Place>> {
    let Some(node) = fields.may(node, "place") else { return Ok(None) };
    if let Some(unit) = fields.may(node, "unit") {
        return Ok(Some(Place::Unit(fields.org_unit(unit)?)));
    }
    let free = fields.must(node, "freeText")?;
    if kind != RecipientKind::PatientAdvisoryCommittee {
        let rule = "får finnas bara när mottagaren är PATIENT_ADVISORY_COMMITTEE";
        return Err(fields.invalid(free, rule));
    }
    let text = fields.optional_text(node, "freeText")?;
    if text.is_none() {
        fields.fault(free, EMPTY)?;
    }
    Ok(text.map(Place::FreeText))
}

fn complainant<'d>(fields: &mut Fields<'d>, node: Node<'d>, naming: Naming) -> Read<Complainant> {
    let node = fields.must(node, "complainant")?;
    let person_id = match fields.may(node, "personId") {
        Some(id) => Some(fields.person(id)?),
        None => None,
    };
    let name = fields.optional_line(node, "name")?;
    if naming == Naming::Named {
        let rule = "ska finnas när ärendet kommer från 1177";
        if person_id.is_none() {
            return Err(fields.lacks(node, "personId", rule));
        }
        if name.is_none() {
            return Err(fields.lacks(node, "name", rule));
        }
    }
    Ok(Complainant {
        person_id,
        name,
        relation: fields.one_of(node, "relation", &RELATIONS)?,
        authorization: fields.optional_boolean(node, "authorization", None)?,
        // Unreadable: to protect one too many does no harm.
        protected_identity: fields.optional_boolean(node, "protectedIdentity", Some(true))?,
        phone: checked_line(fields, node, "phone", is_phone, "ska vara ett telefonnummer")?,
        email: checked_line(fields, node, "email", is_email, "ska vara en e-postadress")?,
        address: fields.optional_line(node, "address")?,
    })
}

fn patient<'d>(fields: &mut Fields<'d>, node: Node<'d>) -> Read<Option<Patient>> {
    let Some(node) = fields.may(node, "patient") else { return Ok(None) };
    let person_id = match fields.may(node, "personId") {
        Some(id) => fields.person_as_given(id)?,
        None => None,
    };
    let name = fields.optional_line(node, "name")?;
    let birth_year = match fields.may(node, "birthYear") {
        Some(year) => {
            let found = to_year(year.text().trim());
            if found.is_none() {
                fields.fault(year, "ska vara ett årtal: fyra siffror")?;
            }
            found
        }
        None => None,
    };
    let sex = match fields.may(node, "sex") {
        Some(sex) => fields.optional_code(sex)?,
        None => None,
    };
    Ok(Some(Patient { person_id, name, birth_year, sex }))
}

fn reply_wish<'d>(fields: &mut Fields<'d>, node: Node<'d>) -> Read<ReplyWish> {
    let node = fields.must(node, "replyWish")?;
    let wanted = fields.boolean(node, "wanted")?;
    let Some(given) = fields.may(node, "channel") else {
        if wanted {
            return Err(fields.lacks(node, "channel", "ska finnas när svar önskas"));
        }
        return Ok(ReplyWish { wanted, channel: None });
    };
    let channel = pick(given, &CHANNELS);
    if channel.is_none() {
        let rule = not_one_of(&CHANNELS);
        if wanted {
            return Err(fields.invalid(given, &rule));
        }
        fields.fault(given, &rule)?;
    }
    Ok(ReplyWish { wanted, channel })
}

/// An optional line with a form of its own: kept whatever it is.
fn checked_line<'d>(
    fields: &mut Fields<'d>,
    node: Node<'d>,
    name: &str,
    is_right: fn(&str) -> bool,
    rule: &str,
) -> Read<Option<String>> {
    let line = fields.optional_id(node, name)?;
    if let (Some(text), Some(node)) = (&line, fields.may(node, name))
        && !is_right(text)
    {
        fields.fault(node, rule)?;
    }
    Ok(line)
}

fn is_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (5..=20).contains(&digits) && text.bytes().all(|b| b.is_ascii_digit() || b" +-()/".contains(&b))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(who, host)| {
        !who.is_empty() && host.contains('.') && !text.contains(char::is_whitespace)
    })
}

fn to_year(text: &str) -> Option<i16> {
    let year: i16 = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    (1850..2100).contains(&year).then_some(year)
}

/// The whole envelope of a request, addressed to the receiving unit.
#[must_use]
pub fn write(message: &ProcessComplaint, address: &HsaId) -> Outline {
    request(CONTRACT, "ProcessComplaint", address, |w| {
        w.ii(OWN, "messageId", &message.message_id);
        w.stamp(OWN, "sentTime", message.sent);
        w.ii(OWN, "caseId", &message.case_id);
        match &message.content {
            FromComplainant::Complaint(complaint) => write_complaint(w, OWN, complaint),
            FromComplainant::Supplement(supplement) => w.element(OWN, "supplement", |w| {
                w.optional("inReplyTo", supplement.in_reply_to.as_deref());
                w.line(COMMON, "text", &supplement.text);
                w.attachments(&supplement.attachments);
            }),
            FromComplainant::Withdrawal(withdrawal) => w.element(OWN, "withdrawal", |w| {
                w.optional("reason", withdrawal.reason.as_deref());
            }),
        }
    })
}

pub(super) fn write_complaint(w: &mut Writer, prefix: &str, complaint: &Complaint) {
    w.element(prefix, "complaint", |w| {
        w.stamp(COMMON, "submittedTime", complaint.submitted);
        w.element(COMMON, "recipient", |w| {
            w.line(COMMON, "kind", wire(&complaint.recipient.kind, &KINDS));
            w.org_unit("unit", &complaint.recipient.unit);
            w.line(COMMON, "county", &complaint.recipient.county);
        });
        if let Some(place) = &complaint.place {
            w.element(COMMON, "place", |w| match place {
                Place::Unit(unit) => w.org_unit("unit", unit),
                Place::FreeText(text) => w.line(COMMON, "freeText", text),
            });
        }
        w.date("eventDate", Some(complaint.event_date));
        w.line(COMMON, "description", &complaint.description);
        w.optional("desiredOutcome", complaint.desired_outcome.as_deref());
        write_persons(w, complaint);
        w.element(COMMON, "replyWish", |w| {
            w.boolean("wanted", Some(complaint.reply_wish.wanted));
            w.optional("channel", complaint.reply_wish.channel.map(|it| wire(&it, &CHANNELS)));
        });
        for code in &complaint.experienced_problems {
            w.code("experiencedProblem", code);
        }
        w.boolean("consentToForward", complaint.consent_to_forward);
        w.attachments(&complaint.attachments);
        if let Some(language) = &complaint.language {
            w.code("language", language);
        }
    });
}

fn write_persons(w: &mut Writer, complaint: &Complaint) {
    let complainant = &complaint.complainant;
    w.element(COMMON, "complainant", |w| {
        if let Some(id) = &complainant.person_id {
            w.ii(COMMON, "personId", id);
        }
        w.optional("name", complainant.name.as_deref());
        w.line(COMMON, "relation", wire(&complainant.relation, &RELATIONS));
        w.boolean("authorization", complainant.authorization);
        w.boolean("protectedIdentity", complainant.protected_identity);
        w.optional("phone", complainant.phone.as_deref());
        w.optional("email", complainant.email.as_deref());
        w.optional("address", complainant.address.as_deref());
    });
    if let Some(patient) = &complaint.patient {
        w.element(COMMON, "patient", |w| {
            if let Some(id) = &patient.person_id {
                w.ii(COMMON, "personId", id);
            }
            w.optional("name", patient.name.as_deref());
            w.optional("birthYear", patient.birth_year.map(|it| format!("{it:04}")).as_deref());
            if let Some(sex) = &patient.sex {
                w.code("sex", sex);
            }
        });
    }
}
