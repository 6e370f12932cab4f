//! What a simulator does with a call instead of answering it well, and for which calls.
//!
//! Whether the message was processed is what matters to the one who called and got no answer, so
//! every behaviour says which it is.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::limits;
use crate::rivta::ErrorCode;

/// What is done with one call. The message is read to its end in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// `normal`: processed, answered.
    Normal,
    /// `late:5s`: **processed**, answered after so long.
    Late(Duration),
    /// `lost-answer`: **processed**, then the connection is closed without a byte of an answer.
    LostAnswer,
    /// `twice`: 1177 Inkorg and the 1177 platform **process** the message and hold the answer until
    /// the caller gives up, so that it sends again. A region answers as usual, and sends every
    /// message of its handling of that case twice.
    Twice,
    /// `error`, `error:APPLICATION_ERROR`: not processed; the contract's answer with result `ERROR`.
    Error(ErrorCode),
    /// `fault`, `fault:VP009`: not processed; HTTP 500 with a SOAP fault, the platform's where a
    /// number is given.
    Fault(Option<u16>),
    /// `http:503`: not processed; that status with a short web page.
    Http(u16),
    /// `none`: not processed; the caller waits until it gives up.
    Silent,
    /// `close`: not processed; the connection is closed without a byte of an answer.
    Close,
    /// `garbage`: not processed; HTTP 200 with something that only looks like XML.
    Garbage,
}

/// Why a text is no behaviour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no behaviour; there are normal, late:5s, lost-answer, twice, error, \
     error:APPLICATION_ERROR, fault, fault:VP009, http:503, none, close and garbage, \
     and several with commas between, the last of which holds on"
)]
pub struct BehaviourError {
    found: String,
}

const ERROR_CODES: [ErrorCode; 6] = [
    ErrorCode::ValidationError,
    ErrorCode::AccessDenied,
    ErrorCode::NotFound,
    ErrorCode::InvalidState,
    ErrorCode::ApplicationError,
    ErrorCode::TechnicalError,
];

impl FromStr for Behaviour {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let found = match text.split_once(':') {
            None => plain(text),
            Some(("late", wait)) => duration(wait).map(Self::Late),
            Some(("error", code)) => {
                ERROR_CODES.into_iter().find(|it| it.as_str() == code).map(Self::Error)
            }
            Some(("fault", code)) => vp(code).map(|number| Self::Fault(Some(number))),
            Some(("http", status)) => {
                status.parse().ok().filter(|it| (200..=599).contains(it)).map(Self::Http)
            }
            Some(_) => None,
        };
        found.ok_or_else(|| BehaviourError { found: text.to_owned() })
    }
}

fn plain(text: &str) -> Option<Behaviour> {
    Some(match text {
        "normal" => Behaviour::Normal,
        "lost-answer" => Behaviour::LostAnswer,
        "twice" => Behaviour::Twice,
        "error" => Behaviour::Error(ErrorCode::TechnicalError),
        "fault" => Behaviour::Fault(None),
        "none" => Behaviour::Silent,
        "close" => Behaviour::Close,
        "garbage" => Behaviour::Garbage,
        _ => return None,
    })
}

/// `5s`, `500ms`, `2m`: at most [`limits::SIMULATOR_HOLD_TIME_MAX`].
pub(super) fn duration(text: &str) -> Option<Duration> {
    let span: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(span).ok().filter(|it| *it <= limits::SIMULATOR_HOLD_TIME_MAX)
}

fn vp(code: &str) -> Option<u16> {
    let digits = code.strip_prefix("VP").filter(|it| it.len() == 3)?;
    digits.parse().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("normal"),
            Self::Late(wait) => write!(f, "late:{}ms", wait.as_millis()),
            Self::LostAnswer => f.write_str("lost-answer"),
            Self::Twice => f.write_str("twice"),
            Self::Error(code) => write!(f, "error:{}", code.as_str()),
            Self::Fault(None) => f.write_str("fault"),
            Self::Fault(Some(number)) => write!(f, "fault:VP{number:03}"),
            Self::Http(status) => write!(f, "http:{status}"),
            Self::Silent => f.write_str("none"),
            Self::Close => f.write_str("close"),
            Self::Garbage => f.write_str("garbage"),
        }
    }
}

/// Behaviours for the next calls, one each, and the one that holds from then on.
///
/// As text `close,lost-answer,normal`: the first call is closed, the answer to the second is lost,
/// and all later ones are answered. A single behaviour holds for every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// For the next calls, in order; at most [`limits::SIMULATOR_COURSE_MAX`] are kept.
    pub next: Vec<Behaviour>,
    /// For all calls after those.
    pub then: Behaviour,
}

impl Default for Course {
    fn default() -> Self {
        Self::always(Behaviour::Normal)
    }
}

impl Course {
    /// One behaviour for every call.
    #[must_use]
    pub const fn always(then: Behaviour) -> Self {
        Self { next: Vec::new(), then }
    }

    /// `next` for as many calls, and then all is well.
    #[must_use]
    pub fn first(next: &[Behaviour]) -> Self {
        Self { next: next.to_vec(), then: Behaviour::Normal }
    }
}

impl FromStr for Course {
    type Err = BehaviourError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut next = text.split(',').map(str::parse).collect::<Result<Vec<Behaviour>, _>>()?;
        let then = next.pop().ok_or_else(|| BehaviourError { found: text.to_owned() })?;
        Ok(Self { next, then })
    }
}

/// The behaviours of a running simulator, changed while it runs.
#[derive(Debug)]
pub(super) struct Behaviours(Mutex<State>);

#[derive(Debug)]
struct State {
    next: VecDeque<Behaviour>,
    then: Behaviour,
}

impl Behaviours {
    pub(super) fn new(course: Course) -> Self {
        Self(Mutex::new(State::from(course)))
    }

    /// Replaces what was to come.
    pub(super) fn set(&self, course: Course) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::from(course);
    }

    /// For the call at hand.
    pub(super) fn take(&self) -> Behaviour {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.next.pop_front().unwrap_or(state.then)
    }
}

impl From<Course> for State {
    fn from(course: Course) -> Self {
        let next = course.next.into_iter().take(limits::SIMULATOR_COURSE_MAX).collect();
        Self { next, then: course.then }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_behaviour_is_read_as_it_is_written() {
        let all = [
            Behaviour::Normal,
            Behaviour::Late(Duration::from_millis(1500)),
            Behaviour::LostAnswer,
            Behaviour::Twice,
            Behaviour::Error(ErrorCode::InvalidState),
            Behaviour::Fault(None),
            Behaviour::Fault(Some(9)),
            Behaviour::Http(503),
            Behaviour::Silent,
            Behaviour::Close,
            Behaviour::Garbage,
        ];
        for one in all {
            assert_eq!(one.to_string().parse(), Ok(one));
        }
        assert_eq!("late:5s".parse(), Ok(Behaviour::Late(Duration::from_secs(5))));
        assert_eq!(" error ".parse(), Ok(Behaviour::Error(ErrorCode::TechnicalError)));
    }

    #[test]
    fn what_is_no_behaviour_is_refused() {
        for text in [
            "",
            "late",
            "late:",
            "late:-5s",
            "late:11m",
            "late:5",
            "http:99",
            "http:600",
            "http:+20",
            "fault:9",
            "fault:VP9",
            "fault:VP0009",
            "fault:VP+09",
            "error:OK",
            "Close",
            "none:1",
        ] {
            assert!(text.parse::<Behaviour>().is_err(), "{text}");
        }
        let error = "close,,normal".parse::<Course>().unwrap_err();
        assert!(error.to_string().starts_with("\"\" is no behaviour; there are normal"));
    }

    #[test]
    fn the_last_of_a_course_holds_on_and_a_new_course_replaces_it() {
        let behaviours = Behaviours::new("close,lost-answer,http:503".parse().unwrap());
        let taken: Vec<_> = (0..4).map(|_| behaviours.take()).collect();
        let down = Behaviour::Http(503);
        assert_eq!(taken, [Behaviour::Close, Behaviour::LostAnswer, down, down]);
        behaviours.set(Course::first(&[Behaviour::Garbage]));
        assert_eq!(behaviours.take(), Behaviour::Garbage);
        assert_eq!(behaviours.take(), Behaviour::Normal);
    }
}
