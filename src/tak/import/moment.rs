//! Times of other TAKs as Swedish local days, and back.
//!
//! A row holds from the Swedish local day that its `fromTidpunkt` falls on to the one that its
//! `tomTidpunkt` falls on, both included: midnight of a day as `tom` makes that day the last one. A
//! time without zone is Swedish local time; one with an offset is converted first.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};

use crate::clock;

/// How far the platform may be from the time meant: a time without zone is compared as if it could
/// be in any zone (XML Schema, indeterminate order).
const SLACK: SignedDuration = SignedDuration::from_hours(14);

/// Years that a TAK writes for "no end" and "always". Rows here leave the key out.
const FIRST_DAY: Date = jiff::civil::date(1900, 1, 1);
const LAST_YEAR: i16 = 2999;

/// A `fromTidpunkt` or `tomTidpunkt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// The Swedish local day that it falls on.
    pub(super) day: Date,
    /// The time; for one without zone, as if it were UTC.
    at: Timestamp,
    has_zone: bool,
}

impl Moment {
    /// Reads `2024-01-31T00:00:00.000`, with or without `Z`, `+01:00` or `+0100`, or the day alone.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let Some((_, time)) = text.split_once('T') else {
            let day = Date::strptime("%Y-%m-%d", text).ok()?;
            return Some(Self { day, at: as_utc(day.into()), has_zone: false });
        };
        if time.contains(['Z', '+', '-']) {
            let at: Timestamp = with_colon(text).parse().ok()?;
            return Some(Self { day: clock::swedish_day(at), at, has_zone: true });
        }
        let civil: DateTime = text.parse().ok()?;
        Some(Self { day: civil.date(), at: as_utc(civil), has_zone: false })
    }

    /// The first day of a row; absent for one that has always been.
    pub(super) fn first_day(self) -> Option<Date> {
        (self.day > FIRST_DAY).then_some(self.day)
    }

    /// The last day of a row; absent for one without end.
    pub(super) fn last_day(self) -> Option<Date> {
        (self.day.year() < LAST_YEAR).then_some(self.day)
    }

    /// Whether a row can begin or end on that day: outside these years, it is not a day that anybody
    /// meant, and the routing folder does not take it.
    pub(super) fn is_meant(day: Date) -> bool {
        (FIRST_DAY.year()..=LAST_YEAR).contains(&day.year())
    }

    /// Whether it says exactly when.
    pub(super) fn has_zone(self) -> bool {
        self.has_zone
    }

    /// When the platform begins to use a row with this `from`.
    pub(super) fn platform_begins(self) -> Timestamp {
        if self.has_zone { self.at } else { self.at.checked_sub(SLACK).unwrap_or(Timestamp::MIN) }
    }

    /// When the platform ceases to use a row with this `tom`.
    pub(super) fn platform_ends(self) -> Timestamp {
        if self.has_zone { self.at } else { self.at.checked_add(SLACK).unwrap_or(Timestamp::MAX) }
    }
}

/// The first moment of a row as `fromTidpunkt`, with its offset so that no reader has to guess.
pub(in super::super) fn from_text(day: Option<Date>) -> String {
    let day = day.unwrap_or(FIRST_DAY);
    match day.to_zoned(clock::swedish()) {
        Ok(start) => start.strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string(),
        Err(_) => format!("{day}T00:00:00.000+01:00"),
    }
}

/// The last moment of a row as `tomTidpunkt`, with its offset.
pub(in super::super) fn to_text(day: Option<Date>) -> String {
    let day = day.unwrap_or(jiff::civil::date(LAST_YEAR, 12, 31));
    match day.at(23, 59, 59, 0).to_zoned(clock::swedish()) {
        Ok(end) => end.strftime("%Y-%m-%dT%H:%M:%S.999%:z").to_string(),
        Err(_) => format!("{day}T23:59:59.999+01:00"),
    }
}

fn as_utc(civil: DateTime) -> Timestamp {
    civil.to_zoned(jiff::tz::TimeZone::UTC).map_or(Timestamp::MAX, |it| it.timestamp())
}

/// `+0100` as `+01:00`.
fn with_colon(text: &str) -> String {
    let split = text.len().checked_sub(5).and_then(|at| text.split_at_checked(at));
    match split.and_then(|(head, offset)| Some((head, offset.split_at_checked(3)?))) {
        Some((head, (hours, minutes)))
            if hours.starts_with(['+', '-']) && !minutes.contains(':') =>
        {
            format!("{head}{hours}:{minutes}")
        }
        Some(_) | None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> String {
        Moment::read(text).map_or("none".to_owned(), |it| it.day.to_string())
    }

    #[test]
    fn a_time_falls_on_a_swedish_day() {
        for (text, expected) in [
            ("2024-01-31T00:00:00.000", "2024-01-31"),
            ("2024-01-31T23:59:59", "2024-01-31"),
            (" 2024-01-31 ", "2024-01-31"),
            ("2024-01-31T00:00:00+0100", "2024-01-31"),
            ("2024-01-31T00:00:00.000+01:00", "2024-01-31"),
            ("2024-06-30T00:00:00+0200", "2024-06-30"),
            // Winter time written for a summer day is one o'clock that day, and the other way round
            // is the evening before.
            ("2024-06-30T00:00:00+0100", "2024-06-30"),
            ("2024-01-31T00:00:00+0200", "2024-01-30"),
            ("2024-01-31T22:59:59Z", "2024-01-31"),
            ("2024-01-31T23:00:00Z", "2024-02-01"),
            ("2024-06-30T21:59:59Z", "2024-06-30"),
            ("2024-06-30T22:00:00Z", "2024-07-01"),
            ("2024-02-30T00:00:00", "none"),
            ("2024-02-30", "none"),
            ("31/1 2024", "none"),
            ("", "none"),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn the_platform_uses_a_time_without_zone_half_a_day_early_and_late() {
        let read = |text| Moment::read(text).unwrap();
        let end = read("2024-01-31T00:00:00.000");
        assert_eq!(end.platform_ends().to_string(), "2024-01-31T14:00:00Z");
        let start = read("2024-02-01T00:00:00.000");
        assert_eq!(start.platform_begins().to_string(), "2024-01-31T10:00:00Z");
        let exact = read("2024-02-01T00:00:00.000+01:00");
        assert_eq!(exact.platform_begins().to_string(), "2024-01-31T23:00:00Z");
        assert_eq!(exact.platform_ends(), exact.platform_begins());
    }

    #[test]
    fn days_are_written_with_their_offset_and_read_back() {
        let date = |text: &str| Some(text.parse::<Date>().unwrap());
        assert_eq!(from_text(date("2026-03-29")), "2026-03-29T00:00:00.000+01:00");
        assert_eq!(to_text(date("2026-03-29")), "2026-03-29T23:59:59.999+02:00");
        assert_eq!(from_text(date("2026-10-25")), "2026-10-25T00:00:00.000+02:00");
        assert_eq!(to_text(date("2026-10-25")), "2026-10-25T23:59:59.999+01:00");
        let mut at = jiff::civil::date(2025, 1, 1);
        while at.year() < 2028 {
            let from = Moment::read(&from_text(Some(at))).unwrap().first_day();
            let to = Moment::read(&to_text(Some(at))).unwrap().last_day();
            assert_eq!((from, to), (Some(at), Some(at)));
            at = at.tomorrow().unwrap();
        }
        assert_eq!(Moment::read(&from_text(None)).unwrap().first_day(), None);
        assert_eq!(Moment::read(&to_text(None)).unwrap().last_day(), None);
    }
}
