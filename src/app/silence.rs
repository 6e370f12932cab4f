//! Units that have gone silent against their usual traffic, by the recorded calls.
//!
//! The rule: from a unit's last call to now, at most a week, nothing came, and in the same hours of
//! each of the three weeks before at least [`WEEK_MIN`] calls came, in all three together at least
//! [`ALL_MIN`]. By chance that is one silence in 10^8, so a unit that gets a hundred calls a day is
//! told of after some hours, one that gets five a day after four days, and one that gets less than
//! twenty a week never. After about two weeks silence is what is usual, and the alarm ends.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use jiff::{Timestamp, ToSpan as _, Unit};

use crate::clock;
use crate::limits;
use crate::routing::decisions;

/// The weeks before that are compared with.
const WEEKS: i64 = 3;

/// Calls in the same hours of each of those weeks: one that had a holiday tells nothing.
const WEEK_MIN: u64 = 10;

/// Calls in the same hours of all of them: twenty a week on average.
const ALL_MIN: u64 = 60;

/// A unit's calls, by the beginning of each hour that had any.
type Hours = BTreeMap<Timestamp, u64>;

/// A unit that nothing comes to any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent {
    address: String,
    contract: String,
    /// The end of the last hour that had a call.
    since: Timestamp,
    /// Calls in the same hours of the weeks before, on average.
    usual: u64,
}

impl Silent {
    /// The address, and the contract without what is the same in all of them.
    pub(super) fn name(&self) -> String {
        let contract = self.contract.rsplit(':').nth(1).unwrap_or(&self.contract);
        format!("{} {}", self.address, contract.trim_end_matches("Responder"))
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { since, usual, .. } = self;
        write!(f, "{}: no call since {since:.0}, usually {usual} in that time", self.name())
    }
}

/// The silent ones among the addresses that routing `knows`, by the recorded days in `dir`.
pub(super) fn look(
    dir: &Path,
    now: Timestamp,
    knows: &dyn Fn(&str) -> bool,
) -> io::Result<Vec<Silent>> {
    // The longest silence, the weeks before it, and the days that they begin and end in.
    let first = clock::swedish_day(now).checked_sub(((WEEKS + 1) * 7 + 1).days());
    let first = first.map_err(io::Error::other)?;
    let mut all: BTreeMap<(String, String), Hours> = BTreeMap::new();
    decisions::each_hour(dir, first, &mut |address, contract, hour, count| {
        let key = (address.to_ascii_uppercase(), contract.to_owned());
        if all.contains_key(&key) || all.len() < limits::SILENCE_WATCHED_MAX {
            *all.entry(key).or_default().entry(hour).or_default() += count;
        }
    })?;
    let silent = all.into_iter().filter_map(|((address, contract), hours)| {
        let (since, usual) = judge(&hours, now)?;
        knows(&address).then_some(Silent { address, contract, since, usual })
    });
    Ok(silent.collect())
}

/// Since when it is silent and how many calls are usual in that time; `None` where it is not, or
/// nobody can tell.
fn judge(hours: &Hours, now: Timestamp) -> Option<(Timestamp, u64)> {
    let (last, _) = hours.last_key_value()?;
    let since = last.checked_add(1.hour()).ok()?;
    // The hour that goes on is compared with nothing.
    let end = now
        .to_zoned(clock::swedish())
        .round(jiff::ZonedRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor))
        .ok()?;
    let begin = since.to_zoned(clock::swedish()).max(end.checked_sub(7.days()).ok()?);
    if begin >= end {
        return None;
    }
    let mut all = 0;
    for week in 1..=WEEKS {
        // By the calendar, so that the hours are the same when the clocks have been changed.
        let from = begin.checked_sub((week * 7).days()).ok()?.timestamp();
        let to = end.checked_sub((week * 7).days()).ok()?.timestamp();
        let calls: u64 = hours.range(from..to).map(|(_, count)| count).sum();
        if calls < WEEK_MIN {
            return None;
        }
        all += calls;
    }
    (all >= ALL_MIN).then_some((since, all / WEEKS.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    fn now() -> Timestamp {
        "2026-11-19T12:20:00Z".parse().unwrap()
    }

    /// Four weeks with `each` calls every `every` hours in office time, until `silent` hours ago.
    fn unit(every: i64, each: u64, silent: i64) -> Hours {
        let end = now().as_second() / HOUR;
        let office = |hour: &i64| (7..17).contains(&(hour % 24)) && hour % every == 0;
        let hours = (end - 29 * 24..=end - silent).filter(office);
        hours.map(|hour| (Timestamp::from_second(hour * HOUR).unwrap(), each)).collect()
    }

    #[test]
    fn a_busy_unit_that_stops_is_told_of_and_one_that_goes_on_is_not() {
        let busy = |silent| judge(&unit(1, 10, silent), now());
        for silent in [0, 1, 2] {
            assert_eq!(busy(silent), None, "{silent}");
        }
        let (since, usual) = busy(4).unwrap();
        assert_eq!((since.to_string().as_str(), usual), ("2026-11-19T09:00:00Z", 30));
    }

    #[test]
    fn a_night_is_no_silence() {
        let night: Timestamp = "2026-11-20T04:00:00Z".parse().unwrap();
        let hours = unit(1, 10, 0);
        let evening = hours.range(..now());
        let mut day: Hours = evening.map(|(hour, count)| (*hour, *count)).collect();
        day.extend((13..17).map(|h| (format!("2026-11-19T{h}:00:00Z").parse().unwrap(), 10)));
        assert_eq!(judge(&day, night), None);
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        assert!(judge(&day, noon).is_some());
    }

    #[test]
    fn a_small_unit_is_never_told_of() {
        for silent in [1, 24, 3 * 24, 7 * 24, 10 * 24, 20 * 24] {
            // Two a day: fewer than twenty in five days of seven hold no alarm, nor do fourteen.
            assert_eq!(judge(&unit(5, 1, silent), now()), None, "{silent}");
        }
        assert_eq!(judge(&Hours::new(), now()), None);
    }

    #[test]
    fn one_week_without_traffic_among_those_compared_with_tells_nothing() {
        let mut hours = unit(1, 100, 4);
        let week = now().checked_sub((7 * 24).hours()).unwrap();
        hours.retain(|hour, _| (hour.as_second() - week.as_second()).abs() > 24 * HOUR);
        assert_eq!(judge(&hours, now()), None);
    }

    #[test]
    fn after_two_weeks_silence_is_what_is_usual() {
        assert!(judge(&unit(1, 10, 6 * 24), now()).is_some());
        assert_eq!(judge(&unit(1, 10, 15 * 24), now()), None);
    }

    #[test]
    fn hours_are_swedish_when_the_clocks_have_been_changed() {
        // Summer time ended on 25 October: ten in the morning was 8 UTC before and is 9 UTC after.
        let mut hours = Hours::new();
        for (day, hour) in [("10-09", 8), ("10-16", 8), ("10-23", 8)] {
            hours.insert(format!("2026-{day}T{hour:02}:00:00Z").parse().unwrap(), 50);
        }
        hours.insert("2026-10-30T07:00:00Z".parse().unwrap(), 50);
        let at = |text: &str| judge(&hours, text.parse().unwrap());
        assert_eq!(at("2026-10-30T09:30:00Z"), None, "the usual hour goes on");
        assert!(at("2026-10-30T10:05:00Z").is_some());
    }
}
