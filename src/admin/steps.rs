//! A step of the handling as an operator gives it on the command line.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::complaint::case::Case;
use crate::complaint::codes::{CodeLists, ListedCode, OPERATIONAL_AREAS, PROBLEMS};
use crate::complaint::message::{
    Acknowledgement, Actor, Classification, Closure, ClosureReason, Code, FromHandler, Ii, OrgUnit,
    PartialReply, PlaceCorrection, ProcessComplaintHandling, Question, Reply,
};
use crate::complaint::words::{self, TextFault};
use crate::id::HsaId;
use crate::limits;

/// Who does what with a case of the built-in store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRequest {
    pub by: HsaId,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub title: Option<String>,
    pub step: StepWords,
}

/// The steps, with codes as plain text: they are looked up in the lists in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StepWords {
    Acknowledge {
        text: Option<String>,
        expected_reply: Option<Date>,
    },
    PartialReply {
        text: String,
    },
    Question {
        text: String,
        answer_before: Option<Date>,
        attachments_allowed: bool,
    },
    Answer {
        explanation: String,
        measures: Option<String>,
        text: Option<String>,
        problems: Vec<String>,
        area: String,
    },
    Close {
        reason: ClosureReason,
        problems: Vec<String>,
        area: String,
    },
    CorrectPlace {
        unit: HsaId,
        name: Option<String>,
    },
}

impl StepRequest {
    /// The step as a message about `case`; the text says what cannot be meant.
    pub fn into_message(
        self,
        case: &Case,
        now: Timestamp,
        codes: &CodeLists,
    ) -> Result<ProcessComplaintHandling, String> {
        let name = line("name", self.name)?;
        let title = line("title", self.title)?;
        let content = self.step.into_content(case, now, codes)?;
        Ok(ProcessComplaintHandling {
            // Steps made here carry no message id of their own.
            message_id: Ii { root: String::new(), extension: None },
            sent: now,
            case_id: Some(case.id.clone()),
            handler: Actor { hsa_id: self.by, name, title, unit: None },
            content,
        })
    }
}

impl StepWords {
    fn into_content(
        self,
        case: &Case,
        now: Timestamp,
        codes: &CodeLists,
    ) -> Result<FromHandler, String> {
        Ok(match self {
            Self::Acknowledge { text, expected_reply } => {
                FromHandler::Acknowledgement(Acknowledgement {
                    received: now,
                    expected_reply,
                    text: more("text", text)?,
                })
            }
            Self::PartialReply { text } => FromHandler::PartialReply(PartialReply {
                text: given("text", text)?,
                standard_reply: None,
                attachments: Vec::new(),
            }),
            Self::Question { text, answer_before, attachments_allowed } => {
                FromHandler::Question(Question {
                    question_id: format!("{}/{}", case.number, case.questions.len() + 1),
                    text: given("text", text)?,
                    attachments_allowed,
                    answer_before,
                })
            }
            Self::Answer { explanation, measures, text, problems, area } => {
                FromHandler::Reply(Reply {
                    explanation: given("explanation", explanation)?,
                    measures: more("measures", measures)?,
                    text: more("text", text)?,
                    attachments: Vec::new(),
                    classification: classification(&problems, &area, codes)?,
                })
            }
            Self::Close { reason, problems, area } => FromHandler::Closure(Closure {
                reason,
                classification: classification(&problems, &area, codes)?,
            }),
            Self::CorrectPlace { unit, name } => {
                let unit = OrgUnit {
                    hsa_id: unit,
                    name: line("unit name", name)?,
                    telecom: None,
                    email: None,
                    address: None,
                    location: None,
                };
                FromHandler::PlaceCorrection(PlaceCorrection { unit })
            }
        })
    }
}

fn given(field: &str, text: String) -> Result<String, String> {
    words::given(&text, limits::TEXT_CHARS_MAX).map_err(|fault| told(field, fault))?;
    Ok(text)
}

fn more(field: &str, text: Option<String>) -> Result<Option<String>, String> {
    text.map(|text| within(field, &text, limits::TEXT_CHARS_MAX).map(|()| text)).transpose()
}

fn line(field: &str, text: Option<String>) -> Result<Option<String>, String> {
    text.map(|text| within(field, &text, limits::LINE_CHARS_MAX).map(|()| text)).transpose()
}

/// The bounds of the contracts hold here too: what is kept must be possible to send.
fn within(field: &str, text: &str, most: usize) -> Result<(), String> {
    words::within(text, most).map_err(|fault| told(field, fault))
}

fn told(field: &str, fault: TextFault) -> String {
    match fault {
        TextFault::Empty => format!("{field} is empty"),
        TextFault::TooLong(most) => format!("{field} has more than {most} characters"),
        TextFault::Unfit(c) => format!(
            "{field} holds the character U+{:04X}, which no message can carry; take it away",
            u32::from(c)
        ),
    }
}

/// Main and sub problems in one list: a code with a parent is a sub problem.
fn classification(
    problems: &[String],
    area: &str,
    codes: &CodeLists,
) -> Result<Classification, String> {
    let mut main_problems = Vec::new();
    let mut sub_problems = Vec::new();
    for problem in problems {
        let (code, listed) = look_up(codes, PROBLEMS, problem)?;
        if listed.parent.is_some() { &mut sub_problems } else { &mut main_problems }.push(code);
    }
    let (operational_area, _) = look_up(codes, OPERATIONAL_AREAS, area)?;
    Ok(Classification { main_problems, sub_problems, operational_area })
}

fn look_up<'a>(
    codes: &'a CodeLists,
    list: &str,
    code: &str,
) -> Result<(Code, &'a ListedCode), String> {
    let current = codes.current(list).ok_or_else(|| format!("there is no code list {list}"))?;
    codes.coded(list, code).ok_or_else(|| {
        let known: Vec<String> =
            current.all().map(|it| format!("{} {}", it.code, it.text)).collect();
        format!("{code} is not in {list}; it has: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_no_message_can_carry_is_refused_before_it_is_kept() {
        let fits = |text: &str| given("text", text.to_owned()).map(|_| ());
        assert_eq!(fits("PÅHITTAT SVAR.\n\tMed rader."), Ok(()));
        assert_eq!(fits(&"å".repeat(limits::TEXT_CHARS_MAX)), Ok(()));
        assert!(fits(&"å".repeat(limits::TEXT_CHARS_MAX + 1)).unwrap_err().contains("20000"));
        assert!(fits("en\u{7}klocka").unwrap_err().contains("U+0007"));
        assert!(fits("\u{FFFE}").unwrap_err().contains("U+FFFE"));
        assert!(fits(" \n").is_err());
        assert!(line("name", Some("å".repeat(limits::LINE_CHARS_MAX))).is_ok());
        assert!(line("name", Some("å".repeat(limits::LINE_CHARS_MAX + 1))).is_err());
    }
}
