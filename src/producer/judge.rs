//! What an observed call means: done, refused, unknown, or to be tried again.

use super::{Answer, Seen, Stage};

/// What the caller read from the body of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoapReading {
    /// A result with code `OK`, or the response of a contract that has no result.
    Ok,
    /// A result with code `INFO`: done, and something to tell.
    Info,
    /// A result with code `ERROR`: nothing was done.
    Error(ErrorCode),
    /// A SOAP Fault.
    Fault {
        /// Whose fault it says it is.
        side: Side,
        /// The number of a `VPnnn` code, where the fault has one.
        vp: Option<u16>,
    },
    /// Neither: empty, a web page, another language.
    NotSoap,
}

/// The error code beside a result code `ERROR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The message breaks a rule (also: could not be transformed).
    Validation,
    /// We may not.
    AccessDenied,
    /// What it is about is not there.
    NotFound,
    /// What it is about is not in a state for it.
    InvalidState,
    /// The application failed.
    Application,
    /// The technique below failed.
    Technical,
    /// None given, or one that is not known here.
    Other,
}

/// Whose fault a SOAP Fault says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `Client`: the message or the caller.
    Client,
    /// `Server`, or anything else.
    Server,
}

/// What a call means for sending the message again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The producer has taken the message.
    Done,
    /// The producer has refused it and done nothing.
    Refused {
        /// Whether a limited number of resends may help. Otherwise a person must mend something.
        resend_helps: bool,
        /// Why, for the log.
        why: String,
    },
    /// The producer may have taken it. Ask it, or send the same id again where it is idempotent, or
    /// show it to a person.
    Unknown {
        /// Why, for the log.
        why: String,
    },
    /// Nothing was done. Send again, with growing delay.
    RetryLater {
        /// Why, for the log.
        why: String,
    },
}

/// Judges a call. `reading` is what was read of the answer's body; of a call without a whole answer
/// it says nothing and is not looked at.
///
/// The rules are those of RIV TA's error classes and the national platform's codes. One is stricter
/// than the platform's custom: where an intermediary says that *it* got no answer (VP009, HTTP 502
/// and 504), the producer behind it may have taken the message, so the outcome is unknown.
#[must_use]
pub fn judge(seen: &Seen, reading: SoapReading) -> Judgement {
    match seen {
        Seen::NotSent { stage: Stage::Address, why, .. } => refused(false, why.clone()),
        Seen::NotSent { why, .. } => Judgement::RetryLater { why: why.clone() },
        Seen::Unknown { bytes_sent, bytes, why, .. } => Judgement::Unknown {
            why: format!("{why}; {bytes_sent} of {bytes} bytes had been taken for sending"),
        },
        Seen::Answered(answer) => answered(answer, reading),
    }
}

fn answered(answer: &Answer, reading: SoapReading) -> Judgement {
    let status = answer.status;
    match reading {
        SoapReading::Ok | SoapReading::Info if (200..300).contains(&status) => Judgement::Done,
        SoapReading::Ok | SoapReading::Info => Judgement::Unknown {
            why: format!("the result says it is done, but the HTTP status is {status}"),
        },
        SoapReading::Error(code) => error(code),
        SoapReading::Fault { side, vp: Some(vp) } => platform(side, vp),
        SoapReading::Fault { side, vp: None } => fault(side),
        SoapReading::NotSoap => not_soap(status),
    }
}

fn error(code: ErrorCode) -> Judgement {
    let (resend_helps, name) = match code {
        ErrorCode::Validation => (false, "VALIDATION_ERROR"),
        ErrorCode::AccessDenied => (false, "ACCESS_DENIED"),
        ErrorCode::NotFound => (false, "NOT_FOUND"),
        ErrorCode::InvalidState => (false, "INVALID_STATE"),
        ErrorCode::Other => (false, "no known error code"),
        ErrorCode::Application => (true, "APPLICATION_ERROR"),
        ErrorCode::Technical => (true, "TECHNICAL_ERROR"),
    };
    refused(resend_helps, format!("the producer answered ERROR with {name}"))
}

fn platform(side: Side, vp: u16) -> Judgement {
    let why = format!("fault VP{vp:03}");
    match vp {
        1..=7 | 10 | 11 | 13..=15 => refused(false, why),
        12 => refused(true, why),
        8 => Judgement::RetryLater { why },
        9 => Judgement::Unknown {
            why: format!("{why}: the platform got no answer from the producer behind it"),
        },
        _ => fault(side),
    }
}

fn fault(side: Side) -> Judgement {
    match side {
        Side::Client => refused(false, "fault Client: the message or the caller".to_owned()),
        Side::Server => Judgement::RetryLater { why: "fault Server".to_owned() },
    }
}

fn not_soap(status: u16) -> Judgement {
    let why = format!("HTTP status {status} without SOAP");
    match status {
        502 | 504 => Judgement::Unknown {
            why: format!("{why}: an intermediary got no answer from the producer behind it"),
        },
        // Wrong in what we send, whenever we send it.
        400 | 405 | 411 | 413 | 415 => refused(false, why),
        // Not taken by anyone: not there (yet), not allowed (yet), moved, busy, broken.
        300..=599 => Judgement::RetryLater { why },
        _ => Judgement::Unknown { why: format!("{why}: what it means cannot be read") },
    }
}

fn refused(resend_helps: bool, why: String) -> Judgement {
    Judgement::Refused { resend_helps, why }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::producer::Loss;

    fn answer(status: u16) -> Seen {
        Seen::Answered(Answer { status, headers: Vec::new(), body: Bytes::new(), ms: 1 })
    }

    fn word(judgement: &Judgement) -> &'static str {
        match judgement {
            Judgement::Done => "done",
            Judgement::Refused { resend_helps: false, .. } => "refused",
            Judgement::Refused { resend_helps: true, .. } => "refused, may help",
            Judgement::Unknown { .. } => "unknown",
            Judgement::RetryLater { .. } => "later",
        }
    }

    fn vp(code: u16, side: Side) -> SoapReading {
        SoapReading::Fault { side, vp: Some(code) }
    }

    #[test]
    fn every_answer_has_its_judgement() {
        let fault = |side| SoapReading::Fault { side, vp: None };
        let table = [
            (200, SoapReading::Ok, "done"),
            (202, SoapReading::Info, "done"),
            (500, SoapReading::Ok, "unknown"),
            (302, SoapReading::Info, "unknown"),
            (200, SoapReading::Error(ErrorCode::Validation), "refused"),
            (200, SoapReading::Error(ErrorCode::AccessDenied), "refused"),
            (200, SoapReading::Error(ErrorCode::NotFound), "refused"),
            (200, SoapReading::Error(ErrorCode::InvalidState), "refused"),
            (200, SoapReading::Error(ErrorCode::Other), "refused"),
            (200, SoapReading::Error(ErrorCode::Application), "refused, may help"),
            (200, SoapReading::Error(ErrorCode::Technical), "refused, may help"),
            (500, fault(Side::Client), "refused"),
            (500, fault(Side::Server), "later"),
            (200, fault(Side::Server), "later"),
            (200, SoapReading::NotSoap, "unknown"),
            (204, SoapReading::NotSoap, "unknown"),
            (302, SoapReading::NotSoap, "later"),
            (400, SoapReading::NotSoap, "refused"),
            (401, SoapReading::NotSoap, "later"),
            (404, SoapReading::NotSoap, "later"),
            (413, SoapReading::NotSoap, "refused"),
            (429, SoapReading::NotSoap, "later"),
            (500, SoapReading::NotSoap, "later"),
            (502, SoapReading::NotSoap, "unknown"),
            (503, SoapReading::NotSoap, "later"),
            (504, SoapReading::NotSoap, "unknown"),
            (599, SoapReading::NotSoap, "later"),
            (600, SoapReading::NotSoap, "unknown"),
        ];
        for (status, reading, expected) in table {
            assert_eq!(word(&judge(&answer(status), reading)), expected, "{status} {reading:?}");
        }
    }

    #[test]
    fn the_platform_s_code_counts_before_the_side_of_the_fault() {
        for side in [Side::Client, Side::Server] {
            for code in [1, 2, 3, 4, 5, 6, 7, 10, 11, 13, 14, 15] {
                assert_eq!(word(&judge(&answer(500), vp(code, side))), "refused", "VP{code:03}");
            }
            assert_eq!(word(&judge(&answer(500), vp(8, side))), "later");
            assert_eq!(word(&judge(&answer(500), vp(9, side))), "unknown");
            assert_eq!(word(&judge(&answer(500), vp(12, side))), "refused, may help");
        }
        assert_eq!(word(&judge(&answer(500), vp(16, Side::Client))), "refused");
        assert_eq!(word(&judge(&answer(500), vp(16, Side::Server))), "later");
    }

    #[test]
    fn what_was_not_sent_is_tried_again_unless_the_address_itself_is_wrong() {
        let stages = [
            (Stage::Address, "refused"),
            (Stage::Resolve, "later"),
            (Stage::Connect, "later"),
            (Stage::Tls, "later"),
            (Stage::Begin, "later"),
            (Stage::Body, "later"),
        ];
        for (stage, expected) in stages {
            let seen = Seen::NotSent { stage, why: "why".to_owned(), ms: 1 };
            assert_eq!(word(&judge(&seen, SoapReading::Ok)), expected, "{stage:?}");
        }
    }

    #[test]
    fn without_a_whole_answer_nothing_that_was_read_makes_it_done() {
        let half = Answer { status: 200, headers: Vec::new(), body: Bytes::new(), ms: 1 };
        for read in [None, Some(half)] {
            let seen = Seen::Unknown {
                bytes_sent: 3,
                bytes: 9,
                read,
                loss: Loss::Closed,
                why: "closed".to_owned(),
                ms: 1,
            };
            let judgement = judge(&seen, SoapReading::Ok);
            let why = "closed; 3 of 9 bytes had been taken for sending".to_owned();
            assert_eq!(judgement, Judgement::Unknown { why });
        }
    }
}
