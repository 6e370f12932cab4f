//! ProcessComplaintHandling 1: what the one who handles a complaint sends back.

use super::process_complaint_v1::{Naming, complaint_of, write_complaint};
use super::read::{Fields, Optional as Faults, Read, wire};
use super::types::{
    ACKNOWLEDGEMENT, ACTOR, CLOSURE, II, PARTIAL_REPLY, PLACE_CORRECTION, QUESTION, REGISTRATION,
    REPLY, TRANSFER,
};
use super::write::{COMMON, OWN, Writer, request};
use super::{FileSeen, Reading, Rejection, Request};
use crate::complaint::message::{
    Acknowledgement, Closure, ClosureReason, FromHandler, Origin, PartialReply, PlaceCorrection,
    ProcessComplaintHandling, Question, Registration, Reply, Transfer,
};
use crate::id::HsaId;
use crate::limits;
use crate::soap::Outline;
use crate::xml::Node;
use crate::xml::shape::Item::{Choice, One, Optional};
use crate::xml::shape::{Fields as Sequence, Shape};

/// The contract's namespace.
pub const CONTRACT: &str = domain!(":ProcessComplaintHandlingResponder:1");

static REQUEST: Sequence = Sequence {
    namespace: CONTRACT,
    items: &[
        One("messageId", II),
        One("sentTime", Shape::Text),
        Optional("caseId", II),
        One("handler", ACTOR),
        Choice(&[
            ("registration", REGISTRATION),
            ("acknowledgement", ACKNOWLEDGEMENT),
            ("partialReply", PARTIAL_REPLY),
            ("question", QUESTION),
            ("reply", REPLY),
            ("transfer", TRANSFER),
            ("placeCorrection", PLACE_CORRECTION),
            ("closure", CLOSURE),
        ]),
    ],
    any: true,
};

/// The request element's shape.
pub const SHAPE: Shape = Shape::Fields(&REQUEST);

const ORIGINS: [(&str, Origin); 7] = [
    ("PHONE", Origin::Phone),
    ("LETTER", Origin::Letter),
    ("EMAIL", Origin::Email),
    ("VISIT", Origin::Visit),
    ("WEB_FORM", Origin::WebForm),
    ("IVO", Origin::Ivo),
    ("OTHER", Origin::Other),
];

const REASONS: [(&str, ClosureReason); 5] = [
    ("ANSWERED_OTHERWISE", ClosureReason::AnsweredOtherwise),
    ("REFERRED", ClosureReason::Referred),
    ("NO_REPLY_WANTED", ClosureReason::NoReplyWanted),
    ("SECRECY", ClosureReason::Secrecy),
    ("WITHDRAWN", ClosureReason::Withdrawn),
];

/// Reads a request whose shape has been checked. Messages between systems are held to every rule;
/// only a registered complaint is read as leniently as one from 1177.
pub(super) fn decode(node: Node<'_>, files: &[FileSeen]) -> Result<Reading, Rejection> {
    let mut fields = Fields::new(node, files, Faults::Refused);
    let message_id = fields.ii(node, "messageId")?;
    let sent = fields.stamp(node, "sentTime")?;
    let case_id = match fields.may(node, "caseId") {
        Some(id) => Some(fields.ii_of(id)?),
        None if fields.may(node, "registration").is_some() => None,
        None => {
            let rule = "ska finnas i alla meddelanden utom registration";
            return Err(fields.lacks(node, "caseId", rule));
        }
    };
    let handler = fields.must(node, "handler")?;
    let handler = fields.actor(handler)?;
    let content = content(&mut fields, node)?;
    let message = ProcessComplaintHandling { message_id, sent, case_id, handler, content };
    Ok(Reading { request: Request::Handling(Box::new(message)), remarks: fields.remarks })
}

fn content<'d>(fields: &mut Fields<'d>, node: Node<'d>) -> Read<FromHandler> {
    if let Some(node) = fields.may(node, "registration") {
        let origin = fields.one_of(node, "origin", &ORIGINS)?;
        let complaint = fields.must(node, "complaint")?;
        let complaint = complaint_of(fields, complaint, Naming::MayBeAnonymous)?;
        return Ok(FromHandler::Registration(Box::new(Registration { origin, complaint })));
    }
    if let Some(node) = fields.may(node, "acknowledgement") {
        return Ok(FromHandler::Acknowledgement(Acknowledgement {
            received: fields.stamp(node, "received")?,
            expected_reply: fields.optional_date(node, "expectedReplyDate")?,
            text: fields.optional_text(node, "text")?,
        }));
    }
    if let Some(node) = fields.may(node, "question") {
        return Ok(FromHandler::Question(Question {
            question_id: fields.line(node, "questionId")?,
            text: fields.text(node, "text")?,
            attachments_allowed: fields.boolean(node, "attachmentsAllowed")?,
            answer_before: fields.optional_date(node, "answerBefore")?,
        }));
    }
    if let Some(node) = fields.may(node, "transfer") {
        let to_unit = fields.must(node, "toUnit")?;
        return Ok(FromHandler::Transfer(Transfer {
            to_unit: fields.org_unit(to_unit)?,
            reason: fields.text(node, "reason")?,
        }));
    }
    if let Some(node) = fields.may(node, "placeCorrection") {
        let unit = fields.must(node, "unit")?;
        let unit = fields.org_unit(unit)?;
        return Ok(FromHandler::PlaceCorrection(PlaceCorrection { unit }));
    }
    if let Some(node) = fields.may(node, "closure") {
        return Ok(FromHandler::Closure(Closure {
            reason: fields.one_of(node, "reason", &REASONS)?,
            classification: fields.classification(node)?,
        }));
    }
    replies(fields, node)
}

fn replies<'d>(fields: &mut Fields<'d>, node: Node<'d>) -> Read<FromHandler> {
    if let Some(node) = fields.may(node, "partialReply") {
        return Ok(FromHandler::PartialReply(PartialReply {
            text: fields.text(node, "text")?,
            standard_reply: match fields.may(node, "standardReply") {
                Some(code) => fields.optional_code(code)?,
                None => None,
            },
            attachments: fields.attachments(node, limits::HANDLER_ATTACHMENTS_MAX)?,
        }));
    }
    let node = fields.must(node, "reply")?;
    Ok(FromHandler::Reply(Reply {
        explanation: fields.text(node, "explanation")?,
        measures: fields.optional_text(node, "measures")?,
        text: fields.optional_text(node, "text")?,
        attachments: fields.attachments(node, limits::HANDLER_ATTACHMENTS_MAX)?,
        classification: fields.classification(node)?,
    }))
}

/// The whole envelope of a request, addressed to the 1177 platform.
#[must_use]
pub fn write(message: &ProcessComplaintHandling, address: &HsaId) -> Outline {
    request(CONTRACT, "ProcessComplaintHandling", address, |w| {
        w.ii(OWN, "messageId", &message.message_id);
        w.stamp(OWN, "sentTime", message.sent);
        if let Some(case_id) = &message.case_id {
            w.ii(OWN, "caseId", case_id);
        }
        w.actor(OWN, "handler", &message.handler);
        write_content(w, &message.content);
    })
}

fn write_content(w: &mut Writer, content: &FromHandler) {
    match content {
        FromHandler::Registration(registration) => w.element(OWN, "registration", |w| {
            w.line(COMMON, "origin", wire(&registration.origin, &ORIGINS));
            write_complaint(w, COMMON, &registration.complaint);
        }),
        FromHandler::Acknowledgement(it) => w.element(OWN, "acknowledgement", |w| {
            w.stamp(COMMON, "received", it.received);
            w.date("expectedReplyDate", it.expected_reply);
            w.optional("text", it.text.as_deref());
        }),
        FromHandler::PartialReply(it) => w.element(OWN, "partialReply", |w| {
            w.line(COMMON, "text", &it.text);
            if let Some(code) = &it.standard_reply {
                w.code("standardReply", code);
            }
            w.attachments(&it.attachments);
        }),
        FromHandler::Question(it) => w.element(OWN, "question", |w| {
            w.line(COMMON, "questionId", &it.question_id);
            w.line(COMMON, "text", &it.text);
            w.boolean("attachmentsAllowed", Some(it.attachments_allowed));
            w.date("answerBefore", it.answer_before);
        }),
        FromHandler::Reply(it) => w.element(OWN, "reply", |w| {
            w.line(COMMON, "explanation", &it.explanation);
            w.optional("measures", it.measures.as_deref());
            w.optional("text", it.text.as_deref());
            w.attachments(&it.attachments);
            w.classification(&it.classification);
        }),
        FromHandler::Transfer(it) => w.element(OWN, "transfer", |w| {
            w.org_unit("toUnit", &it.to_unit);
            w.line(COMMON, "reason", &it.reason);
        }),
        FromHandler::PlaceCorrection(it) => {
            w.element(OWN, "placeCorrection", |w| w.org_unit("unit", &it.unit));
        }
        FromHandler::Closure(it) => w.element(OWN, "closure", |w| {
            w.line(COMMON, "reason", wire(&it.reason, &REASONS));
            w.classification(&it.classification);
        }),
    }
}
