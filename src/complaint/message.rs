//! What a message of the complaint contracts says, once it has been read and checked.
//!
//! Field by field the tables of the contracts (`schemas/`), without their wire form.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::HsaId;

/// An instance identifier (IIType): `root` is the name space, `extension` the id in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ii {
    /// OID or UUID.
    pub root: String,
    /// Absent where the root alone is globally unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
}

/// A coded value (CVType); a local value has only `original_text`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Code {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_system_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_system_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_text: Option<String>,
}

/// An organisational unit (OrgUnitType); the HSA-id is mandatory in these contracts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrgUnit {
    pub hsa_id: HsaId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telecom: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// Who handled (ActorType).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub hsa_id: HsaId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<OrgUnit>,
}

/// A file that came with a message. Its content is kept under its SHA-256, never in a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The sender's id of the file within its message.
    pub id: String,
    pub file_name: String,
    pub media_type: MediaType,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Decoded size.
    pub bytes: u64,
}

/// The four kinds of file that 1177 takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MediaType {
    #[serde(rename = "application/pdf")]
    Pdf,
    #[serde(rename = "image/gif")]
    Gif,
    #[serde(rename = "image/jpeg")]
    Jpeg,
    #[serde(rename = "image/png")]
    Png,
}

impl MediaType {
    /// As on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Gif => "image/gif",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// From the wire form; `None` for every other kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pdf, Self::Gif, Self::Jpeg, Self::Png].into_iter().find(|it| it.as_str() == text)
    }

    /// The kind that a file's first bytes show (at least eight are enough), whatever it is called.
    #[must_use]
    pub fn of_magic(first: &[u8]) -> Option<Self> {
        match first {
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Self::Png),
            _ => None,
        }
    }
}

/// Something about an optional field that was not as it should be: kept, and shown to the handler,
/// because a vårdgivare must receive complaints (PSL 3:8 a).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The field's path in the contract, as `complainant/personId`.
    pub field: String,
    /// What the rule is, in Swedish, for the handler.
    pub rule: String,
}

/// A message of `ProcessComplaint`: from the complainant, by way of 1177.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessComplaint {
    pub message_id: Ii,
    pub sent: Timestamp,
    pub case_id: Ii,
    pub content: FromComplainant,
}

/// The three things a complainant can send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromComplainant {
    Complaint(Box<Complaint>),
    Supplement(Supplement),
    Withdrawal(Withdrawal),
}

/// A message of `ProcessComplaintHandling`: from the one who handles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessComplaintHandling {
    pub message_id: Ii,
    pub sent: Timestamp,
    /// Absent only with a registration.
    pub case_id: Option<Ii>,
    pub handler: Actor,
    pub content: FromHandler,
}

/// The eight things a handler can send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHandler {
    Registration(Box<Registration>),
    Acknowledgement(Acknowledgement),
    PartialReply(PartialReply),
    Question(Question),
    Reply(Reply),
    Transfer(Transfer),
    PlaceCorrection(PlaceCorrection),
    Closure(Closure),
}

/// ComplaintType: the common form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complaint {
    pub submitted: Timestamp,
    pub recipient: Recipient,
    pub place: Option<Place>,
    /// The first day, where a whole process is meant.
    pub event_date: Date,
    pub description: String,
    pub desired_outcome: Option<String>,
    pub complainant: Complainant,
    /// Absent: unknown.
    pub patient: Option<Patient>,
    pub reply_wish: ReplyWish,
    /// The complainant's own categories; never mixed with the handler's.
    pub experienced_problems: Vec<Code>,
    pub consent_to_forward: Option<bool>,
    pub attachments: Vec<Attachment>,
    pub language: Option<Code>,
    /// What was not as it should be in optional fields.
    pub remarks: Vec<Remark>,
}

/// RecipientType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    pub kind: RecipientKind,
    pub unit: OrgUnit,
    /// Länskod, two digits.
    pub county: String,
}

/// Who the complainant chose: two receivers, one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecipientKind {
    /// Vårdgivare.
    #[serde(rename = "CARE_PROVIDER")]
    CareProvider,
    /// Patientnämnd.
    #[serde(rename = "PATIENT_ADVISORY_COMMITTEE")]
    PatientAdvisoryCommittee,
}

/// PlaceType: where it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    Unit(OrgUnit),
    /// Only toward a patientnämnd, which sets the right HSA-id afterwards.
    FreeText(String),
}

/// ComplainantType. `person_id` and `name` are absent only for an anonymous case from outside 1177.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complainant {
    pub person_id: Option<Ii>,
    pub name: Option<String>,
    pub relation: Relation,
    /// Fullmakt stated.
    pub authorization: Option<bool>,
    pub protected_identity: Option<bool>,
    pub phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<String>,
}

/// The complainant's relation to the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    #[serde(rename = "PATIENT")]
    Patient,
    /// Närstående.
    #[serde(rename = "CLOSE_RELATIVE")]
    CloseRelative,
    /// Vårdnadshavare.
    #[serde(rename = "GUARDIAN")]
    Guardian,
    /// Ombud.
    #[serde(rename = "REPRESENTATIVE")]
    Representative,
}

/// PatientType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patient {
    pub person_id: Option<Ii>,
    pub name: Option<String>,
    pub birth_year: Option<i16>,
    pub sex: Option<Code>,
}

/// ReplyWishType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyWish {
    pub wanted: bool,
    /// Given when a reply is wanted.
    pub channel: Option<ReplyChannel>,
}

/// How a reply is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplyChannel {
    Inbox,
    Phone,
    Letter,
    Email,
}

/// SupplementType: the complainant's answer to a question, or more of the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supplement {
    /// The `questionId` that is answered.
    pub in_reply_to: Option<String>,
    pub text: String,
    pub attachments: Vec<Attachment>,
}

/// WithdrawalType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    pub reason: Option<String>,
}

/// RegistrationType: a case that began outside 1177.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    pub origin: Origin,
    pub complaint: Complaint,
}

/// How a case from outside 1177 came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Origin {
    Phone,
    Letter,
    Email,
    Visit,
    WebForm,
    Ivo,
    Other,
}

/// AcknowledgementType.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    pub received: Timestamp,
    pub expected_reply: Option<Date>,
    pub text: Option<String>,
}

/// PartialReplyType (delsvar).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialReply {
    pub text: String,
    pub standard_reply: Option<Code>,
    pub attachments: Vec<Attachment>,
}

/// QuestionType (motfråga).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub question_id: String,
    pub text: String,
    pub attachments_allowed: bool,
    pub answer_before: Option<Date>,
}

/// ReplyType (slutsvar): the two parts of PSL 3:8 b, and the classification. Closes the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What happened.
    pub explanation: String,
    /// What is done so that it does not happen again.
    pub measures: Option<String>,
    pub text: Option<String>,
    pub attachments: Vec<Attachment>,
    pub classification: Classification,
}

/// TransferType: to another unit; only where the unit is handled in an own system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub to_unit: OrgUnit,
    pub reason: String,
}

/// PlaceCorrectionType: the patientnämnd sets the right HSA-id afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceCorrection {
    pub unit: OrgUnit,
}

/// ClosureType: an end without a written reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    pub reason: ClosureReason,
    pub classification: Classification,
}

/// Why a case is closed without a written reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClosureReason {
    AnsweredOtherwise,
    Referred,
    NoReplyWanted,
    Secrecy,
    Withdrawn,
}

/// The handler's classification, by the national lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classification {
    /// Huvudproblem, at least one.
    pub main_problems: Vec<Code>,
    /// Delproblem; each belongs to one of the main problems.
    pub sub_problems: Vec<Code>,
    /// Verksamhetsområde.
    pub operational_area: Code,
}
