//! Spans of Swedish local days, both ends inclusive.

use std::fmt;

use jiff::civil::Date;

/// From one Swedish local day to another, both inclusive; either end may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days {
    from: Date,
    to: Date,
}

impl Days {
    /// Every day there is.
    pub const ALL: Self = Self { from: Date::MIN, to: Date::MAX };

    /// A span; an absent end is open. `None` where it would end before it begins.
    #[must_use]
    pub fn new(from: Option<Date>, to: Option<Date>) -> Option<Self> {
        let span = Self { from: from.unwrap_or(Date::MIN), to: to.unwrap_or(Date::MAX) };
        (span.from <= span.to).then_some(span)
    }

    /// The first day, or absent when it has always been.
    #[must_use]
    pub fn from(self) -> Option<Date> {
        (self.from != Date::MIN).then_some(self.from)
    }

    /// The last day, or absent when there is no end.
    #[must_use]
    pub fn to(self) -> Option<Date> {
        (self.to != Date::MAX).then_some(self.to)
    }

    /// Whether `day` is one of the days.
    #[must_use]
    pub fn contains(self, day: Date) -> bool {
        self.from <= day && day <= self.to
    }

    /// The days in both spans.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from <= both.to).then_some(both)
    }

    /// Whether all of it lies before `day`.
    #[must_use]
    pub fn is_over(self, day: Date) -> bool {
        self.to < day
    }

    pub(super) fn first(self) -> Date {
        self.from
    }

    pub(super) fn last(self) -> Date {
        self.to
    }

    /// The day after the last one; absent where there is no end.
    pub(super) fn next(self) -> Option<Date> {
        self.to.tomorrow().ok()
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from(), self.to()) {
            (None, None) => f.write_str("always"),
            (Some(from), None) => write!(f, "from {from}"),
            (None, Some(to)) => write!(f, "to {to}"),
            (Some(from), Some(to)) if from == to => write!(f, "on {from}"),
            (Some(from), Some(to)) => write!(f, "{from} to {to}"),
        }
    }
}

/// The same days as `spans`, in order, with those that touch or overlap joined.
pub(super) fn union(mut spans: Vec<Days>) -> Vec<Days> {
    spans.sort_unstable();
    let mut joined: Vec<Days> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.next().is_none_or(|next| span.from <= next) => {
                last.to = last.to.max(span.to);
            }
            Some(_) | None => joined.push(span),
        }
    }
    joined
}

/// The days that are in both lists; each must be in order and joined, as [`union`] gives.
pub(super) fn intersection(left: &[Days], right: &[Days]) -> Vec<Days> {
    left.iter().flat_map(|a| right.iter().filter_map(|b| a.and(*b))).collect()
}

/// The days of `whole` that no span covers, in order.
pub(super) fn gaps(whole: Days, spans: &[Days]) -> Vec<Days> {
    let mut found = Vec::new();
    let mut open = Some(whole.from);
    for span in union(spans.to_vec()) {
        let Some(from) = open else { break };
        if let Some(gap) = span.from.yesterday().ok().filter(|it| from <= *it) {
            found.extend(Days { from, to: gap }.and(whole));
        }
        open = span.next().map(|next| next.max(from));
    }
    if let Some(from) = open.filter(|it| *it <= whole.to) {
        found.push(Days { from, to: whole.to });
    }
    found
}
