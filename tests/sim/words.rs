//! Messages that are made up, and what peers answer.

use std::sync::{Arc, OnceLock};

use klagomal::complaint::message::{
    Acknowledgement, Actor, Classification, Code, FromHandler, Ii, OrgUnit, PartialReply,
    ProcessComplaintHandling, Question, Reply, Transfer,
};
use klagomal::id::HsaId;
use klagomal::rivta::patient_portal_v1::{
    self as portal, InboxResult, NOT_ACTIVE, Notification, UserStatus,
};
use klagomal::rivta::{Answer, ErrorCode, Interaction, ResultCode, process_complaint_handling_v1};
use klagomal::soap::{Fault, FaultCode, Outline, Piece};

use crate::messages::{self, Unit};

pub const PAN99: Unit = Unit { hsa_id: "SE0000000000-PAN99", county: "99", area: "1" };
pub const VC1: Unit = messages::VC1;
pub const VC2: Unit = messages::VC2;
pub const VC3: Unit = Unit { hsa_id: "SE0000000000-VC3", county: "99", area: "1" };
pub const VC4: Unit = Unit { hsa_id: "SE0000000000-VC4", county: "99", area: "1" };
pub const UNITS: [Unit; 5] = [VC1, VC2, VC3, VC4, PAN99];

pub const CASE_ROOT: &str = "1.2.752.129.2.1.2.1";

pub fn hsa(id: &str) -> HsaId {
    HsaId::parse(id).unwrap()
}

pub fn case_id(of: &str) -> Ii {
    Ii { root: CASE_ROOT.to_owned(), extension: Some(messages::case_id(of)) }
}

/// A new case.
pub fn complaint(unit: Unit, id: &str, case: &Ii, token: &str) -> Arc<str> {
    let case = case.extension.as_deref().unwrap();
    let text = messages::complaint(unit, id, case, &format!("[{token}]"), &[]);
    if unit == PAN99 {
        return text.replace("CARE_PROVIDER", "PATIENT_ADVISORY_COMMITTEE").into();
    }
    text.into()
}

pub fn supplement(unit: Unit, id: &str, case: &Ii, token: &str) -> Arc<str> {
    let case = case.extension.as_deref().unwrap();
    messages::supplement(unit, id, case, &format!("[{token}]"), &[]).into()
}

pub fn withdrawal(unit: Unit, id: &str, case: &Ii, token: &str) -> Arc<str> {
    let text = supplement(unit, id, case, token);
    let text = text.replace("r:supplement", "r:withdrawal");
    text.replace("<c:text>", "<c:reason>").replace("</c:text>", "</c:reason>").into()
}

/// A step of the handling by which `unit` is answered.
pub fn step(id: &str, case: &Ii, content: FromHandler) -> ProcessComplaintHandling {
    ProcessComplaintHandling {
        message_id: Ii { root: id.to_owned(), extension: None },
        sent: "2026-03-02T09:15:02Z".parse().unwrap(),
        case_id: Some(case.clone()),
        handler: Actor { hsa_id: hsa("SE0000000000-H1"), name: None, title: None, unit: None },
        content,
    }
}

/// A step as it is sent.
pub fn handling(message: &ProcessComplaintHandling) -> Arc<str> {
    text_of(process_complaint_handling_v1::write(message, &hsa("SE0000000000-1177"))).into()
}

fn text_of(outline: Outline) -> String {
    outline
        .parts
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::File { .. } => panic!("no files here"),
        })
        .collect()
}

fn said(token: &str) -> String {
    format!("PÅHITTAT. [{token}]")
}

pub fn acknowledgement(token: &str) -> FromHandler {
    FromHandler::Acknowledgement(Acknowledgement {
        received: "2026-03-02T08:00:00Z".parse().unwrap(),
        expected_reply: None,
        text: Some(said(token)),
    })
}

pub fn partial_reply(token: &str) -> FromHandler {
    let text = said(token);
    FromHandler::PartialReply(PartialReply { text, standard_reply: None, attachments: Vec::new() })
}

pub fn question(token: &str) -> FromHandler {
    FromHandler::Question(Question {
        question_id: token.to_owned(),
        text: said(token),
        attachments_allowed: false,
        answer_before: None,
    })
}

pub fn reply(token: &str) -> FromHandler {
    FromHandler::Reply(Reply {
        explanation: said(token),
        measures: None,
        text: None,
        attachments: Vec::new(),
        classification: classification(),
    })
}

pub fn transfer(to: Unit, token: &str) -> FromHandler {
    FromHandler::Transfer(Transfer {
        to_unit: OrgUnit {
            hsa_id: hsa(to.hsa_id),
            name: None,
            telecom: None,
            email: None,
            address: None,
            location: None,
        },
        reason: said(token),
    })
}

fn classification() -> Classification {
    let code = |list: &str, code: &str| Code {
        code: Some(code.to_owned()),
        code_system: Some(format!("urn:klagomal:{list}")),
        code_system_name: None,
        code_system_version: Some("1.0".to_owned()),
        display_name: None,
        original_text: None,
    };
    Classification {
        main_problems: vec![code("kv-huvud-och-delproblem", "3")],
        sub_problems: Vec::new(),
        operational_area: code("kv-verksamhetsomrade", "1"),
    }
}

/// The token in a text, where there is one.
pub fn token(text: &str) -> Option<&str> {
    let from = text.find("[t")? + 1;
    text[from..].split(']').next()
}

/// All tokens in a text.
pub fn tokens(text: &str) -> Vec<&str> {
    text.split("[t").skip(1).filter_map(|it| it.split_once(']')).map(|(number, _)| number).collect()
}

/// The text of the first element with this local name.
pub fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let at = [">", " "].iter().filter_map(|end| text.find(&format!("{name}{end}"))).min()?;
    let from = at + text[at..].find('>')? + 1;
    text[from..].split('<').next()
}

/// The whole content of the first element with this local name, tags included.
pub fn inside<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let tag = format!("{name}>");
    let from = text.find(&tag)? + tag.len();
    text[from..].find(&tag).map(|to| &text[from..from + to])
}

/// What a peer can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    Ok,
    Again,
    NotActive,
    Error(ErrorCode),
    Active(bool),
    Fault(FaultCode, &'static str),
}

/// The answer of a peer to `action`, as text.
pub fn answer(action: &str, says: Says) -> String {
    if let Says::Fault(code, text) = says {
        return Fault { code, string: text.to_owned(), detail: None }.write();
    }
    if action == portal::IS_ACTIVE_USER_ACTION {
        let active = says == Says::Active(true);
        let methods = if active { vec![Notification::Email] } else { Vec::new() };
        return portal::write_user_status(&UserStatus { active, methods }).unwrap();
    }
    if action == portal::ADD_MESSAGE_ACTION {
        let (result_code, result_text) = match says {
            Says::NotActive => (ResultCode::Info, Some(NOT_ACTIVE.to_owned())),
            Says::Error(_) => (ResultCode::Error, Some("fel".to_owned())),
            Says::Ok | Says::Again | Says::Active(_) | Says::Fault(..) => (ResultCode::Ok, None),
        };
        let result =
            InboxResult { thread_id: None, notified: Vec::new(), result_code, result_text };
        return portal::write_result(&result).unwrap();
    }
    static DONE: OnceLock<[String; 2]> = OnceLock::new();
    let made = |interaction, result_code, error_code| {
        let answer = Answer {
            result_code,
            error_code,
            subcode: None,
            log_id: "0".to_owned(),
            message: None,
            case_id: None,
            registration_number: None,
            received: None,
        };
        answer.write(interaction)
    };
    let interaction = interaction(action);
    match says {
        Says::Error(code) => made(interaction, ResultCode::Error, Some(code)),
        Says::Again => made(interaction, ResultCode::Info, None),
        Says::Ok | Says::NotActive | Says::Active(_) | Says::Fault(..) => {
            let done = DONE.get_or_init(|| {
                [Interaction::ProcessComplaint, Interaction::ProcessComplaintHandling]
                    .map(|it| made(it, ResultCode::Ok, None))
            });
            done[usize::from(interaction == Interaction::ProcessComplaintHandling)].clone()
        }
    }
}

fn interaction(action: &str) -> Interaction {
    if action.ends_with(":ProcessComplaintHandling") {
        Interaction::ProcessComplaintHandling
    } else {
        Interaction::ProcessComplaint
    }
}
