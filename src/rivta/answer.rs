//! The answer of both complaint contracts: a result, and what the receiver calls the case.

use jiff::Timestamp;

use super::read::{Fields, Optional as Faults, Read, wire};
use super::types::RESPONSE_ITEMS;
use super::write::{COMMON, OWN, response};
use super::{Interaction, Rejection, process_complaint_handling_v1, process_complaint_v1};
use crate::complaint::message::Ii;
use crate::limits;
use crate::soap::fault::fault_in;
use crate::soap::{FaultSeen, Outline, Piece, ReadError, body_element, text_of};
use crate::xml::shape::{Fields as Sequence, Shape, check};
use crate::xml::{Document, Node};

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultCode {
    /// Done.
    Ok,
    /// Done, and there is something to tell.
    Info,
    /// Not done, and nothing changed.
    Error,
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The message breaks a rule of the contract: never to be sent again as it is.
    ValidationError,
    /// The caller may not do this with this case.
    AccessDenied,
    /// There is no such case.
    NotFound,
    /// The case is not in a state where this can be done.
    InvalidState,
    /// May succeed later.
    ApplicationError,
    /// May succeed later.
    TechnicalError,
}

const RESULT_CODES: [(&str, ResultCode); 3] =
    [("OK", ResultCode::Ok), ("INFO", ResultCode::Info), ("ERROR", ResultCode::Error)];

const ERROR_CODES: [(&str, ErrorCode); 6] = [
    ("VALIDATION_ERROR", ErrorCode::ValidationError),
    ("ACCESS_DENIED", ErrorCode::AccessDenied),
    ("NOT_FOUND", ErrorCode::NotFound),
    ("INVALID_STATE", ErrorCode::InvalidState),
    ("APPLICATION_ERROR", ErrorCode::ApplicationError),
    ("TECHNICAL_ERROR", ErrorCode::TechnicalError),
];

impl ResultCode {
    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        wire(&self, &RESULT_CODES)
    }
}

impl ErrorCode {
    /// As on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        wire(&self, &ERROR_CODES)
    }
}

/// The content of `ProcessComplaintResponse` and `ProcessComplaintHandlingResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub result_code: ResultCode,
    /// Only with [`ResultCode::Error`].
    pub error_code: Option<ErrorCode>,
    /// As `ALREADY_RECEIVED`.
    pub subcode: Option<String>,
    /// What to quote when asking about it: a UUID.
    pub log_id: String,
    /// For people, in Swedish; never personal data.
    pub message: Option<String>,
    /// Given at registration.
    pub case_id: Option<Ii>,
    /// The number a person can quote.
    pub registration_number: Option<String>,
    /// When it was received; whole seconds on the wire.
    pub received: Option<Timestamp>,
}

/// Why an answer is no [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswer {
    /// A SOAP fault.
    #[error("en SOAP Fault: {}", .0.string)]
    Fault(FaultSeen),
    /// Not a SOAP message that can be read.
    #[error("svaret kan inte läsas")]
    Unreadable(#[source] ReadError),
    /// SOAP, but not the contract's response.
    #[error("svaret följer inte tjänstekontraktet")]
    Other(#[source] Rejection),
}

impl Answer {
    /// The whole envelope, as one line of UTF-8 XML.
    #[must_use]
    pub fn write(&self, interaction: Interaction) -> String {
        let outline = response(interaction.contract(), interaction.operation(), |w| {
            w.element(OWN, "result", |w| {
                w.line(COMMON, "resultCode", self.result_code.as_str());
                w.optional("errorCode", self.error_code.map(ErrorCode::as_str));
                w.optional("subcode", self.subcode.as_deref());
                w.line(COMMON, "logId", &self.log_id);
                w.optional("message", self.message.as_deref());
            });
            if let Some(id) = &self.case_id {
                w.ii(OWN, "caseId", id);
            }
            if let Some(number) = &self.registration_number {
                w.line(OWN, "registrationNumber", number);
            }
            if let Some(at) = self.received {
                w.stamp(OWN, "receivedTime", at);
            }
        });
        text_only(outline)
    }
}

/// An outline without files as one text.
pub(super) fn text_only(outline: Outline) -> String {
    let text = |piece| match piece {
        Piece::Text(text) => text,
        Piece::File { .. } => String::new(),
    };
    outline.parts.into_iter().map(text).collect()
}

static RESPONSE: Sequence =
    Sequence { namespace: process_complaint_v1::CONTRACT, items: RESPONSE_ITEMS, any: true };
static HANDLING_RESPONSE: Sequence = Sequence {
    namespace: process_complaint_handling_v1::CONTRACT,
    items: RESPONSE_ITEMS,
    any: true,
};

const fn shape(interaction: Interaction) -> Shape {
    match interaction {
        Interaction::ProcessComplaint => Shape::Fields(&RESPONSE),
        Interaction::ProcessComplaintHandling => Shape::Fields(&HANDLING_RESPONSE),
    }
}

/// Reads an answer of at most [`limits::ANSWER_BYTES_MAX`], whatever its HTTP status was.
pub fn read_answer(
    interaction: Interaction,
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<Answer, NotAnswer> {
    let text =
        text_of(bytes, content_type, limits::ANSWER_BYTES_MAX).map_err(NotAnswer::Unreadable)?;
    let document =
        Document::parse(&text).map_err(|error| NotAnswer::Unreadable(ReadError::from(error)))?;
    if let Some(fault) = fault_in(&document) {
        return Err(NotAnswer::Fault(fault));
    }
    let node = body_element(&document).map_err(NotAnswer::Unreadable)?;
    let element = format!("{}Response", interaction.operation());
    if !node.is(interaction.contract(), &element) {
        return Err(NotAnswer::Other(Rejection::Malformed {
            path: node.name().to_owned(),
            what: format!("svaret ska vara {element}"),
        }));
    }
    check(node, shape(interaction)).map_err(|error| NotAnswer::Other(error.into()))?;
    decode(node).map_err(NotAnswer::Other)
}

fn decode(node: Node<'_>) -> Read<Answer> {
    let mut fields = Fields::new(node, &[], Faults::Refused);
    let result = fields.must(node, "result")?;
    let case_id = match fields.may(node, "caseId") {
        Some(id) => Some(fields.ii_of(id)?),
        None => None,
    };
    Ok(Answer {
        result_code: fields.one_of(result, "resultCode", &RESULT_CODES)?,
        error_code: match fields.may(result, "errorCode") {
            Some(_) => Some(fields.one_of(result, "errorCode", &ERROR_CODES)?),
            None => None,
        },
        subcode: fields.optional_id(result, "subcode")?,
        log_id: fields.line(result, "logId")?,
        message: fields.optional_text(result, "message")?,
        case_id,
        registration_number: fields.optional_id(node, "registrationNumber")?,
        received: match fields.may(node, "receivedTime") {
            Some(_) => Some(fields.stamp(node, "receivedTime")?),
            None => None,
        },
    })
}
