//! What a simulated own system does with a case, step by step, as text and as values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use crate::complaint::message::{Attachment, ClosureReason, FromHandler};
use crate::id::HsaId;
use crate::limits;
use crate::simulators::behaviour::duration;
use crate::simulators::sample;

/// One step of handling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// `acknowledge`.
    Acknowledge,
    /// `partial-reply`, or with attached files `partial-reply:3x1000`.
    PartialReply(Vec<usize>),
    /// `question`: the steps after it wait for the complainant's answer.
    Question,
    /// `reply`, or with attached files `reply:1000` (one of 1000 bytes), `reply:3x1000`.
    Reply(Vec<usize>),
    /// `closure`, `closure:SECRECY`: without a written reply.
    Closure(ClosureReason),
    /// `transfer:HSA-ID`.
    Transfer(HsaId),
    /// `place-correction:HSA-ID`.
    PlaceCorrection(HsaId),
    /// `wait:5s`.
    Wait(Duration),
}

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no step; there are acknowledge, partial-reply, question, reply, closure, \
     transfer:HSA-ID, place-correction:HSA-ID, wait:5s; a reply may have attached files, as \
     reply:1000 or reply:3x1000 (at most 10, of at most 20 MB); a script has commas between"
)]
pub struct ScriptError {
    found: String,
}

/// The steps of every new case, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    pub steps: Vec<Step>,
    /// Before each step.
    pub pause: Duration,
}

impl Default for Script {
    /// Acknowledges and replies, at once.
    fn default() -> Self {
        Self { steps: vec![Step::Acknowledge, Step::Reply(Vec::new())], pause: Duration::ZERO }
    }
}

impl Script {
    /// Does nothing by itself.
    #[must_use]
    pub const fn none() -> Self {
        Self { steps: Vec::new(), pause: Duration::ZERO }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    /// `acknowledge,question,reply:2x1000`; `none` does nothing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "none" {
            return Ok(Self::none());
        }
        let steps = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { steps, pause: Duration::ZERO })
    }
}

const REASONS: [(&str, ClosureReason); 5] = [
    ("ANSWERED_OTHERWISE", ClosureReason::AnsweredOtherwise),
    ("REFERRED", ClosureReason::Referred),
    ("NO_REPLY_WANTED", ClosureReason::NoReplyWanted),
    ("SECRECY", ClosureReason::Secrecy),
    ("WITHDRAWN", ClosureReason::Withdrawn),
];

impl FromStr for Step {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let id = |text: &str| HsaId::parse(text).ok();
        let reason = |text: &str| REASONS.iter().find(|(name, _)| *name == text);
        let found = match text.split_once(':') {
            None => match text {
                "acknowledge" => Some(Self::Acknowledge),
                "partial-reply" => Some(Self::PartialReply(Vec::new())),
                "question" => Some(Self::Question),
                "reply" => Some(Self::Reply(Vec::new())),
                "closure" => Some(Self::Closure(ClosureReason::AnsweredOtherwise)),
                _ => None,
            },
            Some(("partial-reply", sizes)) => files(sizes).map(Self::PartialReply),
            Some(("reply", sizes)) => files(sizes).map(Self::Reply),
            Some(("closure", name)) => reason(name).map(|(_, reason)| Self::Closure(*reason)),
            Some(("transfer", to)) => id(to).map(Self::Transfer),
            Some(("place-correction", to)) => id(to).map(Self::PlaceCorrection),
            Some(("wait", wait)) => duration(wait).map(Self::Wait),
            Some(_) => None,
        };
        found.ok_or_else(|| ScriptError { found: text.to_owned() })
    }
}

/// `1000` or `3x1000`. One more than the contract allows may be asked for, to see it refused.
fn files(text: &str) -> Option<Vec<usize>> {
    let (count, bytes) = text.split_once('x').unwrap_or(("1", text));
    let (count, bytes): (usize, usize) = (count.parse().ok()?, bytes.parse().ok()?);
    let most = usize::try_from(limits::ATTACHMENT_BYTES_MAX).ok()?;
    let fits = count <= limits::HANDLER_ATTACHMENTS_MAX + 1 && bytes <= most;
    fits.then(|| vec![bytes; count])
}

impl Step {
    /// The sizes of the files that go with it.
    pub(super) fn files(&self) -> &[usize] {
        match self {
            Self::PartialReply(sizes) | Self::Reply(sizes) => sizes,
            Self::Acknowledge
            | Self::Question
            | Self::Closure(_)
            | Self::Transfer(_)
            | Self::PlaceCorrection(_)
            | Self::Wait(_) => &[],
        }
    }

    /// What is sent; nothing for a wait. `question` is the id of a question.
    pub(super) fn content(
        &self,
        attachments: Vec<Attachment>,
        question: &str,
        now: Timestamp,
    ) -> Option<FromHandler> {
        Some(match self {
            Self::Acknowledge => sample::acknowledgement(now),
            Self::PartialReply(_) => sample::partial_reply(attachments),
            Self::Question => sample::question(question),
            Self::Reply(_) => sample::reply(attachments),
            Self::Closure(reason) => sample::closure(*reason),
            Self::Transfer(to) => sample::transfer(to),
            Self::PlaceCorrection(unit) => sample::place_correction(unit),
            Self::Wait(_) => return None,
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledge => "acknowledgement",
            Self::PartialReply(_) => "partialReply",
            Self::Question => "question",
            Self::Reply(_) => "reply",
            Self::Closure(_) => "closure",
            Self::Transfer(_) => "transfer",
            Self::PlaceCorrection(_) => "placeCorrection",
            Self::Wait(_) => "wait",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_step_by_step() {
        let script: Script =
            "acknowledge, wait:5s,question,partial-reply:9,reply:2x1000,closure:SECRECY,\
             transfer:SE0000000000-VC3"
                .parse()
                .unwrap();
        let to = HsaId::parse("SE0000000000-VC3").unwrap();
        assert_eq!(
            script.steps,
            [
                Step::Acknowledge,
                Step::Wait(Duration::from_secs(5)),
                Step::Question,
                Step::PartialReply(vec![9]),
                Step::Reply(vec![1000, 1000]),
                Step::Closure(ClosureReason::Secrecy),
                Step::Transfer(to),
            ]
        );
        assert_eq!("none".parse(), Ok(Script::none()));
    }

    #[test]
    fn what_is_no_step_is_refused_with_those_there_are() {
        for text in
            ["", "ack", "reply:", "reply:12x1", "reply:-1", "reply:99999999", "closure:Secrecy"]
        {
            let error = text.parse::<Script>().unwrap_err();
            assert!(error.to_string().contains("there are acknowledge"), "{text}");
        }
        assert!("reply:11x1".parse::<Step>().is_ok());
        assert!("reply:20971520".parse::<Step>().is_ok());
        assert!("reply:20971521".parse::<Step>().is_err());
    }
}
