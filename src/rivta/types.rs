//! The shapes of the core types, one for one as in the core schema.

use crate::xml::shape::Item::{Choice, Many, One, Optional, Some as AtLeastOne};
use crate::xml::shape::{Fields, Item, Shape};

use super::CORE;

const TEXT: Shape = Shape::Text;

const fn fields(items: &'static [Item]) -> Fields {
    Fields { namespace: CORE, items, any: true }
}

static II_FIELDS: Fields = fields(&[One("root", TEXT), Optional("extension", TEXT)]);
/// IIType.
pub const II: Shape = Shape::Fields(&II_FIELDS);

static CV_FIELDS: Fields = fields(&[
    Optional("code", TEXT),
    Optional("codeSystem", TEXT),
    Optional("codeSystemName", TEXT),
    Optional("codeSystemVersion", TEXT),
    Optional("displayName", TEXT),
    Optional("originalText", TEXT),
]);
/// CVType.
pub const CV: Shape = Shape::Fields(&CV_FIELDS);

static ORG_UNIT_FIELDS: Fields = fields(&[
    One("orgUnitHSAId", TEXT),
    Optional("orgUnitName", TEXT),
    Optional("orgUnitTelecom", TEXT),
    Optional("orgUnitEmail", TEXT),
    Optional("orgUnitAddress", TEXT),
    Optional("orgUnitLocation", TEXT),
]);
/// OrgUnitType.
pub const ORG_UNIT: Shape = Shape::Fields(&ORG_UNIT_FIELDS);

static ACTOR_FIELDS: Fields = fields(&[
    One("hsaId", TEXT),
    Optional("name", TEXT),
    Optional("title", TEXT),
    Optional("unit", ORG_UNIT),
]);
/// ActorType.
pub const ACTOR: Shape = Shape::Fields(&ACTOR_FIELDS);

static RECIPIENT_FIELDS: Fields =
    fields(&[One("kind", TEXT), One("unit", ORG_UNIT), One("county", TEXT)]);
/// RecipientType.
pub const RECIPIENT: Shape = Shape::Fields(&RECIPIENT_FIELDS);

static PLACE_FIELDS: Fields = fields(&[Choice(&[("unit", ORG_UNIT), ("freeText", TEXT)])]);
/// PlaceType.
pub const PLACE: Shape = Shape::Fields(&PLACE_FIELDS);

static COMPLAINANT_FIELDS: Fields = fields(&[
    Optional("personId", II),
    Optional("name", TEXT),
    One("relation", TEXT),
    Optional("authorization", TEXT),
    Optional("protectedIdentity", TEXT),
    Optional("phone", TEXT),
    Optional("email", TEXT),
    Optional("address", TEXT),
]);
/// ComplainantType.
pub const COMPLAINANT: Shape = Shape::Fields(&COMPLAINANT_FIELDS);

static PATIENT_FIELDS: Fields = fields(&[
    Optional("personId", II),
    Optional("name", TEXT),
    Optional("birthYear", TEXT),
    Optional("sex", CV),
]);
/// PatientType.
pub const PATIENT: Shape = Shape::Fields(&PATIENT_FIELDS);

static REPLY_WISH_FIELDS: Fields = fields(&[One("wanted", TEXT), Optional("channel", TEXT)]);
/// ReplyWishType.
pub const REPLY_WISH: Shape = Shape::Fields(&REPLY_WISH_FIELDS);

static ATTACHMENT_FIELDS: Fields =
    fields(&[One("id", TEXT), One("fileName", TEXT), One("mediaType", TEXT), One("value", TEXT)]);
/// AttachmentType.
pub const ATTACHMENT: Shape = Shape::Fields(&ATTACHMENT_FIELDS);

static COMPLAINT_FIELDS: Fields = fields(&[
    One("submittedTime", TEXT),
    One("recipient", RECIPIENT),
    Optional("place", PLACE),
    One("eventDate", TEXT),
    One("description", TEXT),
    Optional("desiredOutcome", TEXT),
    One("complainant", COMPLAINANT),
    Optional("patient", PATIENT),
    One("replyWish", REPLY_WISH),
    Many("experiencedProblem", CV),
    Optional("consentToForward", TEXT),
    Many("attachment", ATTACHMENT),
    Optional("language", CV),
]);
/// ComplaintType.
pub const COMPLAINT: Shape = Shape::Fields(&COMPLAINT_FIELDS);

static SUPPLEMENT_FIELDS: Fields =
    fields(&[Optional("inReplyTo", TEXT), One("text", TEXT), Many("attachment", ATTACHMENT)]);
/// SupplementType.
pub const SUPPLEMENT: Shape = Shape::Fields(&SUPPLEMENT_FIELDS);

static WITHDRAWAL_FIELDS: Fields = fields(&[Optional("reason", TEXT)]);
/// WithdrawalType.
pub const WITHDRAWAL: Shape = Shape::Fields(&WITHDRAWAL_FIELDS);

static REGISTRATION_FIELDS: Fields = fields(&[One("origin", TEXT), One("complaint", COMPLAINT)]);
/// RegistrationType.
pub const REGISTRATION: Shape = Shape::Fields(&REGISTRATION_FIELDS);

static ACKNOWLEDGEMENT_FIELDS: Fields =
    fields(&[One("received", TEXT), Optional("expectedReplyDate", TEXT), Optional("text", TEXT)]);
/// AcknowledgementType.
pub const ACKNOWLEDGEMENT: Shape = Shape::Fields(&ACKNOWLEDGEMENT_FIELDS);

static PARTIAL_REPLY_FIELDS: Fields =
    fields(&[One("text", TEXT), Optional("standardReply", CV), Many("attachment", ATTACHMENT)]);
/// PartialReplyType.
pub const PARTIAL_REPLY: Shape = Shape::Fields(&PARTIAL_REPLY_FIELDS);

static QUESTION_FIELDS: Fields = fields(&[
    One("questionId", TEXT),
    One("text", TEXT),
    One("attachmentsAllowed", TEXT),
    Optional("answerBefore", TEXT),
]);
/// QuestionType.
pub const QUESTION: Shape = Shape::Fields(&QUESTION_FIELDS);

static REPLY_FIELDS: Fields = fields(&[
    One("explanation", TEXT),
    Optional("measures", TEXT),
    Optional("text", TEXT),
    Many("attachment", ATTACHMENT),
    One("classification", CLASSIFICATION),
]);
/// ReplyType.
pub const REPLY: Shape = Shape::Fields(&REPLY_FIELDS);

static TRANSFER_FIELDS: Fields = fields(&[One("toUnit", ORG_UNIT), One("reason", TEXT)]);
/// TransferType.
pub const TRANSFER: Shape = Shape::Fields(&TRANSFER_FIELDS);

static PLACE_CORRECTION_FIELDS: Fields = fields(&[One("unit", ORG_UNIT)]);
/// PlaceCorrectionType.
pub const PLACE_CORRECTION: Shape = Shape::Fields(&PLACE_CORRECTION_FIELDS);

static CLOSURE_FIELDS: Fields =
    fields(&[One("reason", TEXT), One("classification", CLASSIFICATION)]);
/// ClosureType.
pub const CLOSURE: Shape = Shape::Fields(&CLOSURE_FIELDS);

static CLASSIFICATION_FIELDS: Fields =
    fields(&[AtLeastOne("mainProblem", CV), Many("subProblem", CV), One("operationalArea", CV)]);
/// ClassificationType.
pub const CLASSIFICATION: Shape = Shape::Fields(&CLASSIFICATION_FIELDS);

static RESULT_FIELDS: Fields = fields(&[
    One("resultCode", TEXT),
    Optional("errorCode", TEXT),
    Optional("subcode", TEXT),
    One("logId", TEXT),
    Optional("message", TEXT),
]);
/// ResultType.
pub const RESULT: Shape = Shape::Fields(&RESULT_FIELDS);

/// The direct children of both responses, in the responder's own namespace.
pub const RESPONSE_ITEMS: &[Item] = &[
    One("result", RESULT),
    Optional("caseId", II),
    Optional("registrationNumber", TEXT),
    Optional("receivedTime", TEXT),
];
