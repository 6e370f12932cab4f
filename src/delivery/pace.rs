//! How fast one system is called: so many at once, at its rate, and hardly at all while it fails.
//!
//! Without the last, a system that is down while much is owed to it would be called as fast as it
//! refuses, and every refusal is two records in the journal.

use std::time::Duration;

use tokio::time::Instant;

use crate::tak::Rate;

/// Messages to one system under way at once; each belongs to another case.
pub(super) const PARALLEL: usize = 8;

/// Failures in a row after which a system is rested.
const FAILURES_MIN: u32 = 3;

/// The first rest, doubled with each further failure up to the longest: a system that comes back is
/// found within half a minute.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_LONGEST: Duration = Duration::from_secs(30);

/// How an attempt went, for the pace of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    /// The system took it, or was not asked.
    Well,
    /// The system, or our way to it, failed, or it refused.
    Badly,
}

/// The pace of one system.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    /// Nothing begins before: it rests, or its rate says so.
    not_before: Option<Instant>,
}

impl Pace {
    /// How many may begin now, with `busy` under way.
    pub(super) fn free(&self, busy: usize, rate: Option<Rate>, now: Instant) -> usize {
        if self.not_before.is_some_and(|at| at > now) {
            return 0;
        }
        let most = if self.is_resting() { 1 } else { PARALLEL };
        let free = most.saturating_sub(busy);
        if rate.is_some() { free.min(1) } else { free }
    }

    /// Whether so many have failed that it is probed by one at a time.
    pub(super) const fn is_resting(&self) -> bool {
        self.failures >= FAILURES_MIN
    }

    /// How long nothing may begin; `None` when something may as soon as there is room.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.not_before.map(|at| at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// One has begun.
    pub(super) fn begun(&mut self, rate: Option<Rate>, now: Instant) {
        if let Some(rate) = rate {
            self.not_before = self.not_before.max(now.checked_add(rate.interval()));
        }
    }

    /// One has ended. Tells how long the system rests, when this has made it rest.
    pub(super) fn ended(&mut self, went: Went, now: Instant) -> Option<Duration> {
        if went == Went::Well {
            self.failures = 0;
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let over = self.failures.checked_sub(FAILURES_MIN)?;
        let rest = REST_FIRST.saturating_mul(2_u32.saturating_pow(over)).min(REST_LONGEST);
        self.not_before = self.not_before.max(now.checked_add(rest));
        Some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(at: Instant, n: u64) -> Instant {
        at + Duration::from_secs(n)
    }

    #[test]
    fn a_system_that_answers_is_called_eight_at_once() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.free(0, None, now), PARALLEL);
        assert_eq!(pace.free(PARALLEL - 1, None, now), 1);
        assert_eq!(pace.free(PARALLEL, None, now), 0);
        for went in [Went::Badly, Went::Badly, Went::Well, Went::Badly, Went::Badly] {
            assert_eq!(pace.ended(went, now), None);
        }
        assert_eq!(pace.free(0, None, now), PARALLEL);
    }

    #[test]
    fn a_system_that_fails_is_probed_by_one_at_a_time_ever_more_seldom() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let rests: Vec<Option<u64>> =
            (0..10).map(|_| pace.ended(Went::Badly, start).map(|rest| rest.as_secs())).collect();
        let longest = Some(REST_LONGEST.as_secs());
        let grows = [None, None, Some(1), Some(2), Some(4), Some(8), Some(16)];
        assert_eq!(rests, [&grows[..], &[longest; 3]].concat());
        assert_eq!(pace.free(0, None, seconds(start, 29)), 0);
        assert_eq!(pace.wait(seconds(start, 29)), Some(Duration::from_secs(1)));
        assert_eq!(pace.free(0, None, seconds(start, 30)), 1);
        assert_eq!(pace.free(1, None, seconds(start, 30)), 0);
        pace.ended(Went::Well, seconds(start, 30));
        assert_eq!(pace.free(1, None, seconds(start, 30)), PARALLEL - 1);
    }

    #[test]
    fn a_rate_spaces_the_beginnings_evenly() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let rate = Some(Rate { calls: 2, per: Duration::from_secs(10) });
        assert_eq!(pace.free(0, rate, start), 1);
        pace.begun(rate, start);
        assert_eq!(pace.free(1, rate, seconds(start, 4)), 0);
        assert_eq!(pace.wait(seconds(start, 4)), Some(Duration::from_secs(1)));
        assert_eq!(pace.free(1, rate, seconds(start, 5)), 1);
        assert_eq!(pace.wait(seconds(start, 5)), None);
    }
}
