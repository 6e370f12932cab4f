//! What follows from an attempt: pure, so that every row of it can be read as a table.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::complaint::event::{ItemId, Outcome};
use crate::producer::Judgement;
use crate::tak::{Retry, System, WhenUnknown};

/// Attempts that an answered refusal gets when the receiver says that a resend can help.
const REFUSED_ATTEMPTS_MAX: u32 = 5;

/// What the receiver's configuration says of trying again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub retry: Retry,
    pub when_unknown: WhenUnknown,
}

impl Policy {
    /// The policy of a configured system.
    #[must_use]
    pub fn of(system: &System) -> Self {
        Self { retry: system.retry.clone(), when_unknown: system.when_unknown }
    }
}

/// An attempt that was made.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub item: ItemId,
    /// From 1.
    pub number: u32,
    /// Since when it is tried: waiting for its turn, or for somebody to decide, is no trying.
    pub since: Timestamp,
    pub now: Timestamp,
}

/// The outcome that a judgement leads to.
#[must_use]
pub fn outcome(judgement: Judgement, attempt: Attempt, policy: &Policy) -> Outcome {
    match judgement {
        Judgement::Done => Outcome::Delivered,
        Judgement::RetryLater { why } => again(why, attempt, policy),
        Judgement::Refused { resend_helps: true, why } if attempt.number < REFUSED_ATTEMPTS_MAX => {
            again(why, attempt, policy)
        }
        Judgement::Refused { why, .. } => Outcome::Parked { why },
        Judgement::Unknown { why } => unknown(why, attempt, policy),
    }
}

/// Sent, and no answer that tells. Where the receiver knows a message by its id the same message is
/// sent again; elsewhere a person decides, so that nobody reads the same words twice.
#[must_use]
pub fn unknown(why: String, attempt: Attempt, policy: &Policy) -> Outcome {
    match policy.when_unknown {
        WhenUnknown::Hold => Outcome::Unknown { why },
        WhenUnknown::Resend => again(why, attempt, policy),
    }
}

fn again(why: String, attempt: Attempt, policy: &Policy) -> Outcome {
    let at = clock::after(attempt.now, wait(attempt, &policy.retry));
    if at > clock::after(attempt.since, policy.retry.give_up_after) {
        return Outcome::Parked { why: format!("the time to try is over; last: {why}") };
    }
    Outcome::Again { at, why }
}

/// The configured wait, and up to a tenth more so that a receiver that comes back is not met by
/// everybody at once. Derived from the item, not drawn, so that a run can be repeated.
fn wait(attempt: Attempt, retry: &Retry) -> Duration {
    let wait = retry.wait(attempt.number);
    let mixed = attempt
        .item
        .seq
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(u64::from(attempt.item.n) << 32 | u64::from(attempt.number))
        .wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let tenth = wait / 10;
    let part = u32::try_from(mixed >> 54).unwrap_or(0);
    wait + tenth * part / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32) -> Attempt {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        Attempt { item: ItemId { seq: 9, n: 1 }, number, since: now, now }
    }

    fn policy(when_unknown: WhenUnknown) -> Policy {
        Policy { retry: Retry::default(), when_unknown }
    }

    fn seconds_until(outcome: &Outcome) -> Option<i64> {
        let Outcome::Again { at, .. } = outcome else { return None };
        Some(at.duration_since(attempt(1).now).as_secs())
    }

    fn later() -> Judgement {
        Judgement::RetryLater { why: "refused".to_owned() }
    }

    #[test]
    fn waits_grow_as_the_inbox_contract_says_and_end_hourly() {
        let waits: Vec<i64> = (1..=6)
            .map(|n| seconds_until(&outcome(later(), attempt(n), &policy(WhenUnknown::Hold))))
            .map(Option::unwrap)
            .collect();
        for (got, least) in waits.iter().zip([4, 20, 300, 1800, 3600, 3600]) {
            assert!((least..=least + least / 10).contains(got), "{waits:?}");
        }
    }

    #[test]
    fn unknown_is_held_where_the_receiver_knows_no_id_and_sent_again_where_it_does() {
        let seen = || Judgement::Unknown { why: "timeout".to_owned() };
        let held = outcome(seen(), attempt(1), &policy(WhenUnknown::Hold));
        assert_eq!(held, Outcome::Unknown { why: "timeout".to_owned() });
        let sent = outcome(seen(), attempt(1), &policy(WhenUnknown::Resend));
        assert!(seconds_until(&sent).is_some());
    }

    #[test]
    fn a_refusal_for_good_is_parked_at_once_and_one_that_may_pass_after_five_tries() {
        let refused = |resend_helps| Judgement::Refused { resend_helps, why: "no".to_owned() };
        let hold = policy(WhenUnknown::Hold);
        assert!(matches!(outcome(refused(false), attempt(1), &hold), Outcome::Parked { .. }));
        assert!(matches!(outcome(refused(true), attempt(4), &hold), Outcome::Again { .. }));
        assert!(matches!(outcome(refused(true), attempt(5), &hold), Outcome::Parked { .. }));
    }

    #[test]
    fn trying_ends_and_is_parked_with_the_last_reason() {
        let mut late = attempt(40);
        late.now = clock::after(late.since, Retry::default().give_up_after);
        let Outcome::Parked { why } = outcome(later(), late, &policy(WhenUnknown::Resend)) else {
            panic!("it goes on for ever");
        };
        assert!(why.contains("refused"), "{why}");
    }
}
