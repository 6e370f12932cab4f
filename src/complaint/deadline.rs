//! When a case is late: a function of its events and the Swedish calendar, never stored.
//!
//! The law says *snarast* (PSL 3:8 b) and no number of days; what a receiver promises is
//! configuration ([`Terms`]). Three rules of counting:
//!
//! * Days are Swedish local days, and a term of days ends with its last day.
//! * Working hours stand still on days without work, whatever the time of day: 48 of them from a
//!   Friday at 15 end on the Tuesday at 15.
//! * The reply rests while the complainant is asked for something: a day at whose end a question
//!   stands open does not count. What was late before the question stays late.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, Time};
use jiff::{SignedDuration, Timestamp};

use super::case::Case;
use super::holidays::is_working;
use crate::clock;

/// The longest term, days: more is a slip of the pen.
const TERM_DAYS_MAX: u16 = 366;

/// Days that are looked through for the end of a term, those that rest included.
const SEARCH_DAYS_MAX: usize = 20 * 366;

/// A first contact that is due within this time is near.
const CONTACT_NEAR: Duration = Duration::from_secs(24 * 3600);

/// A reply that is due within this time is near.
const REPLY_NEAR: Duration = Duration::from_secs(5 * 24 * 3600);

/// How long something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Hours of working days, all 24 of each.
    WorkingHours(u16),
    /// Working days after the first.
    WorkingDays(u16),
    /// Days after the first.
    Days(u16),
}

impl Term {
    /// Reads `48 working hours`, `10 working days`, `28 days`, `4 weeks`; a whole number above zero,
    /// at most a year.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.trim().split_once(' ')?;
        let number: u16 = number.parse().ok().filter(|it| *it > 0)?;
        let days = |each: u16| number.checked_mul(each).filter(|it| *it <= TERM_DAYS_MAX);
        match unit.trim() {
            "working hour" | "working hours" => {
                (number <= 24 * TERM_DAYS_MAX).then_some(Self::WorkingHours(number))
            }
            "working day" | "working days" => days(1).map(Self::WorkingDays),
            "day" | "days" => days(1).map(Self::Days),
            "week" | "weeks" => days(7).map(Self::Days),
            _ => None,
        }
    }

    /// When the term from `start` ends: the first moment that is too late. `None` where no day that
    /// `counts` is left.
    fn end(self, start: Timestamp, counts: impl Fn(Date) -> bool) -> Option<Timestamp> {
        let zone = clock::swedish();
        let local = start.to_zoned(zone.clone()).datetime();
        let midnight = |day: Date| zone.to_timestamp(day.to_datetime(Time::midnight())).ok();
        let (mut left, hours) = match self {
            Self::WorkingHours(hours) => (SignedDuration::from_hours(hours.into()), true),
            Self::WorkingDays(days) | Self::Days(days) => {
                (SignedDuration::from_hours(24 * i64::from(days)), false)
            }
        };
        let works = |day: Date| matches!(self, Self::Days(_)) || is_working(day);
        let mut at = if hours { local } else { local.date().tomorrow().ok()?.into() };
        for _ in 0..SEARCH_DAYS_MAX {
            let (day, next) = (at.date(), at.date().tomorrow().ok()?);
            if works(day) && counts(day) {
                let rest = next.to_datetime(Time::midnight()).duration_since(at);
                if left < rest {
                    return zone.to_timestamp(at.checked_add(left).ok()?).ok();
                }
                left -= rest;
                if left.is_zero() {
                    return midnight(next);
                }
            }
            at = next.into();
        }
        None
    }
}

impl fmt::Display for Term {
    /// In Swedish, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkingHours(hours) => write!(f, "{hours} timmar, helger oräknade"),
            Self::WorkingDays(days) => write!(f, "{days} arbetsdagar"),
            Self::Days(days) if days % 7 == 0 => write!(f, "{} veckor", days / 7),
            Self::Days(days) => write!(f, "{days} dagar"),
        }
    }
}

/// What a receiver promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Until the complainant has heard from somebody.
    pub first_contact: Term,
    /// Until the case is answered or closed.
    pub reply: Term,
}

impl Terms {
    /// 48 hours except days without work (a municipal rule), and 1177's promise of four weeks.
    pub const STANDARD: Self =
        Self { first_contact: Term::WorkingHours(48), reply: Term::Days(28) };

    /// How `case` stands to them.
    #[must_use]
    pub fn of(&self, case: &Case) -> Deadlines {
        let answered = case.closed.as_ref().map(|closed| closed.at);
        let waited = waited(case);
        let rests = |day: Date| {
            waited.iter().any(|(from, to)| *from <= day && to.is_none_or(|to| day < to))
        };
        let met = case.contacted.or(answered);
        // Nobody can be contacted who is not known, or has asked for nothing.
        let first_contact = (case.reply_wanted && !case.anonymous).then(|| Deadline {
            due: self.first_contact.end(case.opened, |_| true),
            met,
            near: CONTACT_NEAR,
        });
        Deadlines {
            first_contact,
            reply: Deadline {
                due: self.reply.end(case.opened, |day| !rests(day)),
                met: answered,
                near: REPLY_NEAR,
            },
        }
    }
}

/// From the day of each question to the day of its answer, or on.
fn waited(case: &Case) -> Vec<(Date, Option<Date>)> {
    let end = case.closed.as_ref().map(|closed| closed.at);
    let days = |from: Timestamp, to: Option<Timestamp>| {
        (clock::swedish_day(from), to.or(end).map(clock::swedish_day))
    };
    case.questions.iter().map(|asked| days(asked.at, asked.answered)).collect()
}

/// How a case stands to what its receiver promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlines {
    /// `None` where nobody is to be contacted.
    pub first_contact: Option<Deadline>,
    /// Until the case is answered or closed.
    pub reply: Deadline,
}

impl Deadlines {
    /// The graver of the two.
    #[must_use]
    pub fn worst(&self, now: Timestamp) -> Stand {
        let contact = self.first_contact.as_ref().map(|it| it.stand(now));
        contact.into_iter().chain([self.reply.stand(now)]).max().unwrap_or(Stand::Met)
    }
}

/// One promise and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadline {
    /// The first moment that is too late; `None` while it rests.
    pub due: Option<Timestamp>,
    /// When it was kept, late or not.
    pub met: Option<Timestamp>,
    near: Duration,
}

/// Where a promise stands, from the lightest to the gravest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// Kept, in time or late.
    Met,
    /// The complainant is asked for something.
    Rests,
    /// There is time.
    Ahead,
    /// Soon due.
    Near,
    /// Too late.
    Overdue,
}

impl Deadline {
    /// Where it stands at `now`.
    #[must_use]
    pub fn stand(&self, now: Timestamp) -> Stand {
        match (self.met, self.due) {
            (Some(_), _) => Stand::Met,
            (None, None) => Stand::Rests,
            (None, Some(due)) if now >= due => Stand::Overdue,
            (None, Some(due)) if clock::after(now, self.near) >= due => Stand::Near,
            (None, Some(_)) => Stand::Ahead,
        }
    }
}

#[cfg(test)]
mod tests;
