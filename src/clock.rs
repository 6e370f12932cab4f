//! The only place that knows the time: Swedish local days and stamps, and where "now" comes from.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Where "now" comes from. Deciding parts never ask: they are handed a [`Timestamp`].
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
        Timestamp::now()
    }
}

/// A clock that a test moves by hand.
#[derive(Debug, Clone)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// A clock that stands at `start` (whole milliseconds) until it is moved.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.as_millisecond())))
    }

    /// Moves the clock forward by `step` (whole milliseconds).
    pub fn advance(&self, step: Duration) {
        self.0.fetch_add(i64::try_from(step.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }
}

/// Swedish local time: RIV TA timestamps and routing days carry no zone and mean this one.
#[must_use]
pub fn swedish() -> TimeZone {
    // Every routing decision asks: looked up once, as that takes a lock.
    static ZONE: LazyLock<TimeZone> =
        LazyLock::new(|| TimeZone::get("Europe/Stockholm").unwrap_or(TimeZone::UTC));
    ZONE.clone()
}

/// The Swedish local day that `at` falls on.
#[must_use]
pub fn swedish_day(at: Timestamp) -> Date {
    thread_local! {
        /// The last day asked for, when it began and when it ends: every routing decision asks, and
        /// nearly always for the same day.
        static LAST: Cell<(Date, Timestamp, Timestamp)> =
            const { Cell::new((Date::MIN, Timestamp::MAX, Timestamp::MIN)) };
    }
    let (day, from, to) = LAST.get();
    if from <= at && at < to {
        return day;
    }
    let local = local(at);
    let ends = (local.start_of_day(), local.tomorrow().and_then(|it| it.start_of_day()));
    if let (Ok(from), Ok(to)) = ends {
        LAST.set((local.date(), from.timestamp(), to.timestamp()));
    }
    local.date()
}

/// `at` as a RIV TA `TimeStampType`: `YYYYMMDDhhmmss`, Swedish local time.
#[must_use]
pub fn to_riv_stamp(at: Timestamp) -> String {
    local(at).strftime("%Y%m%d%H%M%S").to_string()
}

/// Reads a RIV TA `TimeStampType`. The repeated hour in autumn is taken as the first of the two;
/// a stamp in the missing hour in spring is moved forward. `None` where it is no time at all.
#[must_use]
pub fn from_riv_stamp(text: &str) -> Option<Timestamp> {
    if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    if !(1900..2100).contains(&civil.year()) {
        return None;
    }
    swedish().to_timestamp(civil).ok()
}

/// Reads a RIV TA `DateType`, `YYYYMMDD`. `None` where there is no such day.
#[must_use]
pub fn from_riv_date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let date = Date::strptime("%Y%m%d", text).ok()?;
    (1900..2100).contains(&date.year()).then_some(date)
}

/// `date` as a RIV TA `DateType`.
#[must_use]
pub fn to_riv_date(date: Date) -> String {
    date.strftime("%Y%m%d").to_string()
}

/// `at` plus `wait`, or the end of time.
#[must_use]
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait)
        .ok()
        .and_then(|wait| at.checked_add(wait).ok())
        .unwrap_or(Timestamp::MAX)
}

fn local(at: Timestamp) -> Zoned {
    at.to_zoned(swedish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_swedish_local_time_in_winter_and_summer() {
        let winter = from_riv_stamp("20260115120000").unwrap();
        let summer = from_riv_stamp("20260715120000").unwrap();
        assert_eq!(winter.to_string(), "2026-01-15T11:00:00Z");
        assert_eq!(summer.to_string(), "2026-07-15T10:00:00Z");
        assert_eq!(to_riv_stamp(summer), "20260715120000");
    }

    #[test]
    fn the_repeated_hour_is_the_first_and_the_missing_hour_moves_forward() {
        assert_eq!(from_riv_stamp("20261025023000").unwrap().to_string(), "2026-10-25T00:30:00Z");
        assert_eq!(from_riv_stamp("20260329023000").unwrap().to_string(), "2026-03-29T01:30:00Z");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "2026", "20260230120000", "20260101250000", "2026010112000 ", "18991231235959"]
        {
            assert_eq!(from_riv_stamp(text), None, "{text}");
        }
        assert_eq!(from_riv_date("20260230"), None);
        assert_eq!(to_riv_date(from_riv_date("20240229").unwrap()), "20240229");
    }

    #[test]
    fn a_day_begins_at_midnight_in_sweden() {
        assert_eq!(swedish_day("2026-06-30T21:59:59Z".parse().unwrap()).to_string(), "2026-06-30");
        assert_eq!(swedish_day("2026-06-30T22:00:00Z".parse().unwrap()).to_string(), "2026-07-01");
    }
}
