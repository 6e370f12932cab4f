//! Messages to send: visibly made up, with ids of their own.

use jiff::{Span, Timestamp};
use uuid::Uuid;

use crate::clock;
use crate::complaint::message::{
    Acknowledgement, Actor, Attachment, Classification, Closure, ClosureReason, Code, Complainant,
    Complaint, FromComplainant, FromHandler, Ii, MediaType, OrgUnit, PartialReply, PlaceCorrection,
    ProcessComplaint, ProcessComplaintHandling, Question, Recipient, RecipientKind, Relation,
    Reply, ReplyChannel, ReplyWish, Supplement, Transfer, Withdrawal,
};
use crate::id::HsaId;
use crate::rivta::person::PERSONNUMMER;

/// A test number of the Swedish Tax Agency's: nobody's.
pub const PERSON: &str = "199001012385";

const CASES: &str = "1.2.752.129.2.1.2.1";

/// An id that no other message has.
#[must_use]
pub fn message_id() -> Ii {
    Ii { root: Uuid::new_v4().to_string(), extension: None }
}

/// 1177's id of a case, new every time.
#[must_use]
pub fn case_id() -> Ii {
    let extension = format!("SE0000000000-1177:{}", Uuid::new_v4().simple());
    Ii { root: CASES.to_owned(), extension: Some(extension) }
}

/// A unit with nothing but its HSA-id.
#[must_use]
pub fn unit(hsa_id: &HsaId) -> OrgUnit {
    OrgUnit {
        hsa_id: hsa_id.clone(),
        name: None,
        telecom: None,
        email: None,
        address: None,
        location: None,
    }
}

/// A new case for the care unit `to` in `county`, from a patient with [`PERSON`] who wants a reply
/// in the inbox.
#[must_use]
pub fn complaint(to: &HsaId, county: &str, now: Timestamp) -> ProcessComplaint {
    let day = clock::swedish_day(now);
    let complaint = Complaint {
        submitted: now,
        recipient: Recipient {
            kind: RecipientKind::CareProvider,
            unit: unit(to),
            county: county.to_owned(),
        },
        place: None,
        event_date: day.checked_sub(Span::new().days(7)).unwrap_or(day),
        description: "PÅHITTAT ÄRENDE. Jag fick vänta i två timmar trots bokad tid.".to_owned(),
        desired_outcome: None,
        complainant: complainant(),
        patient: None,
        reply_wish: ReplyWish { wanted: true, channel: Some(ReplyChannel::Inbox) },
        experienced_problems: Vec::new(),
        consent_to_forward: None,
        attachments: Vec::new(),
        language: None,
        remarks: Vec::new(),
    };
    let content = FromComplainant::Complaint(Box::new(complaint));
    ProcessComplaint { message_id: message_id(), sent: now, case_id: case_id(), content }
}

fn complainant() -> Complainant {
    Complainant {
        person_id: Some(Ii { root: PERSONNUMMER.to_owned(), extension: Some(PERSON.to_owned()) }),
        name: Some("Testa Testsson".to_owned()),
        relation: Relation::Patient,
        authorization: None,
        protected_identity: None,
        phone: None,
        email: None,
        address: None,
    }
}

/// The answer to the question `to`, or more of the account.
#[must_use]
pub fn supplement(case_id: &Ii, to: Option<&str>, text: &str, now: Timestamp) -> ProcessComplaint {
    let content = FromComplainant::Supplement(Supplement {
        in_reply_to: to.map(str::to_owned),
        text: text.to_owned(),
        attachments: Vec::new(),
    });
    ProcessComplaint { message_id: message_id(), sent: now, case_id: case_id.clone(), content }
}

/// The complainant takes the case back.
#[must_use]
pub fn withdrawal(case_id: &Ii, now: Timestamp) -> ProcessComplaint {
    let content = FromComplainant::Withdrawal(Withdrawal { reason: None });
    ProcessComplaint { message_id: message_id(), sent: now, case_id: case_id.clone(), content }
}

/// A message of the handling of a case.
#[must_use]
pub fn handling(
    case_id: &Ii,
    handler: &HsaId,
    content: FromHandler,
    now: Timestamp,
) -> ProcessComplaintHandling {
    ProcessComplaintHandling {
        message_id: message_id(),
        sent: now,
        case_id: Some(case_id.clone()),
        handler: Actor {
            hsa_id: handler.clone(),
            name: Some("Testa Handläggare".to_owned()),
            title: Some("Verksamhetschef".to_owned()),
            unit: None,
        },
        content,
    }
}

/// Received; a reply is to be expected within four weeks.
#[must_use]
pub fn acknowledgement(now: Timestamp) -> FromHandler {
    FromHandler::Acknowledgement(Acknowledgement {
        received: now,
        expected_reply: clock::swedish_day(now).checked_add(Span::new().days(28)).ok(),
        text: Some("PÅHITTAT SVAR. Vi har tagit emot ditt ärende.".to_owned()),
    })
}

/// Delsvar.
#[must_use]
pub fn partial_reply(attachments: Vec<Attachment>) -> FromHandler {
    let text = "PÅHITTAT SVAR. Vi har begärt in journalen och återkommer.".to_owned();
    FromHandler::PartialReply(PartialReply { text, standard_reply: None, attachments })
}

/// Motfråga.
#[must_use]
pub fn question(question_id: &str) -> FromHandler {
    FromHandler::Question(Question {
        question_id: question_id.to_owned(),
        text: "PÅHITTAD FRÅGA. Vilken avdelning hade du fått tid på?".to_owned(),
        attachments_allowed: true,
        answer_before: None,
    })
}

/// Slutsvar.
#[must_use]
pub fn reply(attachments: Vec<Attachment>) -> FromHandler {
    FromHandler::Reply(Reply {
        explanation: "PÅHITTAT SVAR. Två av tre läkare var sjuka den dagen.".to_owned(),
        measures: Some("PÅHITTAT SVAR. Vi ringer nu till den som får vänta.".to_owned()),
        text: None,
        attachments,
        classification: classification(),
    })
}

/// An end without a written reply.
#[must_use]
pub fn closure(reason: ClosureReason) -> FromHandler {
    FromHandler::Closure(Closure { reason, classification: classification() })
}

/// To another unit of the same system.
#[must_use]
pub fn transfer(to: &HsaId) -> FromHandler {
    let reason = "PÅHITTAT SKÄL. Händelsen gäller en annan enhet.".to_owned();
    FromHandler::Transfer(Transfer { to_unit: unit(to), reason })
}

/// Where it happened, afterwards.
#[must_use]
pub fn place_correction(hsa_id: &HsaId) -> FromHandler {
    FromHandler::PlaceCorrection(PlaceCorrection { unit: unit(hsa_id) })
}

/// By the national lists: care and treatment, diagnosis; somatic specialist care.
#[must_use]
pub fn classification() -> Classification {
    let problem = |code, name| coded("urn:klagomal:kv-huvud-och-delproblem", code, name);
    Classification {
        main_problems: vec![problem("1", "Vård och behandling")],
        sub_problems: vec![problem("1.2", "Diagnos")],
        operational_area: coded(
            "urn:klagomal:kv-verksamhetsomrade",
            "1",
            "Somatisk specialistvård",
        ),
    }
}

fn coded(system: &str, code: &str, name: &str) -> Code {
    Code {
        code: Some(code.to_owned()),
        code_system: Some(system.to_owned()),
        code_system_version: Some("1.0".to_owned()),
        display_name: Some(name.to_owned()),
        ..Code::default()
    }
}

/// The description of an attachment that is kept as `sha256`.
#[must_use]
pub fn attachment(number: usize, sha256: &str, bytes: u64) -> Attachment {
    Attachment {
        id: format!("bilaga-{number}"),
        file_name: format!("bilaga-{number}.pdf"),
        media_type: MediaType::Pdf,
        sha256: sha256.to_owned(),
        bytes,
    }
}

/// A file that begins as a PDF does, of `bytes` bytes (at least five); another for every `seed`.
#[must_use]
pub fn pdf(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = b"%PDF-1.7\n".to_vec();
    content.truncate(bytes.max(5));
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while content.len() < bytes {
        // xorshift: bytes of every value, so that nothing compresses or repeats.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let room = bytes - content.len();
        content.extend(state.to_le_bytes().iter().take(room));
    }
    content
}
