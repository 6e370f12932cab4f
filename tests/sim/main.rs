//! The real parts in one thread, under a clock, a network, a disk and peers that are simulated.
//!
//! A seed says who writes what and when, which faults there are and when they strike; where two
//! receivers are woken at once, their order can still differ from run to run. The history of a run is
//! checked against the promises that the gateway makes, and seeded bugs show that a broken promise is
//! found. `KLAGOMAL_SCALE` multiplies the number of seeds, `KLAGOMAL_SEED` runs one and shows what
//! happened in it.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm, // each place has its few of many faults and bugs
    clippy::disallowed_methods, // its settings come from the environment, and it measures itself
    clippy::allow_attributes,
    reason = "a test that panics has failed, which is its job"
)]

mod actors;
mod bugs;
mod chaos;
mod check;
mod disk;
mod fault;
mod history;
mod ground;
mod net;
mod peers;
mod run;
mod words;
mod world;

#[path = "../it/support/messages.rs"]
#[allow(dead_code, reason = "shared with the tests of the real program, which use more of it")]
mod messages;

/// What the shared messages need of a tree of XML.
mod tree {
    /// A text as XML.
    pub fn escape(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
    }
}

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use bugs::Bug;
use fault::Fault::*;
use fault::{Fault, Tally};
use history::Promise::*;
use history::{Promise, Violation};
use run::{Report, run};

/// Seeds of a plain `cargo test`; CI multiplies them.
const SEEDS: u64 = 500;

/// Seeds within which each seeded bug must be found.
const BUG_SEEDS: u64 = 1000;

/// A fault that is never met proves nothing; with fewer seeds than this the rare ones may be missed.
const SEEDS_FOR_EVERY_FAULT: u64 = 2000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

/// Runs the seeds from `first` on over all cores, until `look` says that it has seen enough.
fn over(first: u64, seeds: u64, bug: Option<Bug>, look: impl Fn(u64, Report) -> bool + Sync) {
    let next = AtomicU64::new(first);
    let end = first + seeds;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                let ground = ground::Ground::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return;
                    }
                    if look(seed, run(seed, bug, &ground, false)) {
                        next.store(end, Ordering::SeqCst);
                    }
                }
            });
        }
    });
}

/// What came of all seeds; they are run once for all tests.
struct Outcome {
    tally: Tally,
    sums: Sums,
    seeds: u64,
    broken: Vec<(u64, Vec<Violation>)>,
}

fn outcome() -> &'static Outcome {
    static OUTCOME: OnceLock<Outcome> = OnceLock::new();
    OUTCOME.get_or_init(|| {
        let seeds = SEEDS * number("KLAGOMAL_SCALE").unwrap_or(1);
        let start = Instant::now();
        let all = Mutex::new((Tally::default(), Sums::default()));
        let broken = Mutex::new(Vec::new());
        over(1, seeds, None, |seed, report| {
            let mut all = all.lock().unwrap();
            all.0.add(&report.tally);
            all.1.add(&report);
            if report.violations.is_empty() {
                return false;
            }
            let mut broken = broken.lock().unwrap();
            broken.push((seed, report.violations));
            broken.len() >= 10
        });
        let (tally, sums) = all.into_inner().unwrap();
        eprintln!("{tally}{}", sums.told(seeds, start.elapsed()));
        Outcome { tally, sums, seeds, broken: broken.into_inner().unwrap() }
    })
}

#[test]
fn every_promise_holds_under_every_fault() {
    if let Some(seed) = number("KLAGOMAL_SEED") {
        let report = run(seed, None, &ground::Ground::new(), true);
        assert!(report.violations.is_empty(), "seed {seed}: {:#?}", report.violations);
        return;
    }
    let Outcome { tally, sums, seeds, broken } = outcome();
    for (seed, violations) in broken {
        eprintln!(
            "seed {seed}, again: KLAGOMAL_SEED={seed} cargo test --test sim every_promise\n\
             {violations:#?}"
        );
    }
    assert!(broken.is_empty(), "{} seeds break a promise", broken.len());
    if *seeds >= SEEDS_FOR_EVERY_FAULT {
        let missed: Vec<_> = Fault::ALL.iter().filter(|it| tally.of(**it) == 0).collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
        assert!(
            Fault::ALL.len() >= 40
                && sums.simulated >= Duration::from_secs(1000 * 86_400 * seeds / 10_000)
        );
    }
}

/// No run breaks one of `promises`, `faults` have struck in them, and each of `bugs` is found.
fn holds(promises: &[Promise], faults: &[Fault], bugs: &[Bug]) {
    let Outcome { tally, broken, .. } = outcome();
    let told = |it: &&Violation| promises.contains(&it.promise);
    let found: Vec<_> = broken.iter().flat_map(|(_, all)| all.iter().filter(told)).collect();
    assert!(found.is_empty(), "{found:#?}");
    let missed: Vec<_> = faults.iter().filter(|it| tally.of(**it) == 0).collect();
    assert!(missed.is_empty(), "never met: {missed:?}");
    for bug in bugs {
        let found = Mutex::new(BTreeMap::new());
        over(1, BUG_SEEDS, Some(*bug), |seed, report| {
            let told = report.violations.iter().find(|it| bug.breaks().contains(&it.promise));
            let Some(violation) = told else { return false };
            found.lock().unwrap().insert(seed, violation.to_string());
            true
        });
        let first = found.into_inner().unwrap().pop_first();
        let (seed, violation) =
            first.unwrap_or_else(|| panic!("{bug:?}: not in {BUG_SEEDS} seeds"));
        eprintln!("{bug:?}: seed {seed}: {violation}");
    }
}

macro_rules! named {
    ($($(#[$told:meta])* $name:ident: $promises:expr, $faults:expr, $bugs:expr;)*) => {
        $($(#[$told])* #[test] fn $name() { holds(&$promises, &$faults, &$bugs); })*
    };
}

named! {
    invariant_1_nothing_acknowledged_is_lost:
        [NothingLost], [KilledAfterWrite, PowerCutLosesAll, PowerCutTearsWrites],
        [Bug::DiskLiesAboutSync];
    invariant_2_nothing_happens_twice:
        [NothingTwice, OneContent], [CallTwiceAtOnce, CallRepeatedLater, OtherContentSameId],
        [Bug::ForgetsIds, Bug::TakesOtherContent];
    invariant_3_an_outbox_item_is_leased_never_taken:
        [OwedIsPaid], [KilledDuringCall, KilledBeforeOutcome], [Bug::TakesForDelivered];
    invariant_4_unknown_is_a_state:
        [NoWordsTwice, OwedIsPaid], [AnswerLost, AnswersGarbage, AnswersNothing],
        [Bug::UnknownIsSilent];
    invariant_5_the_destination_is_fixed_at_accept:
        [DestinationFixed], [UnitMoves, ReceiverMoves], [Bug::RoutesAtSend];
    invariant_6_order_holds_within_a_case_and_a_dead_receiver_delays_its_own:
        [Order, DeadDelaysItsOwn], [PeerDown, PeerHangs], [Bug::IgnoresOrder, Bug::OneCallAtATime];
    invariant_7_a_refusal_changes_nothing:
        [RefusalChangesNothing], [CallCutShort, WrongHandler, CallerNotPermitted],
        [Bug::RefusalLeavesTrace];
    invariant_8_one_partys_case_never_reaches_another_party:
        [PartiesApart], [UnitMoves, UnitGone], [Bug::ShowsToOtherParty];
    invariant_9_what_was_begun_is_finished:
        [BegunIsFinished], [CallerHangsUp], [Bug::DropsWhenHungUp];
    window_1_acknowledged_before_durable:
        [NothingLost], [SyncFails, PowerCutInSync, PowerCutInWrite], [Bug::DiskLiesAboutSync];
    window_2_known_before_done:
        [NothingLost, NothingTwice], [KilledBeforeWrite, KilledAfterWrite], [Bug::ForgetsIds];
    window_3_claimed_without_a_lease:
        [OwedIsPaid, NoWordsTwice], [KilledBeforeCall, KilledDuringCall], [Bug::ForgetsLease];
    window_4_taken_before_the_next_is_there:
        [OwedIsPaid], [KilledBeforeOutcome, WriteFails], [Bug::ForgetsNext];
    window_5_sent_again_after_an_unclear_answer:
        [NoWordsTwice], [AnswerNeverEnds, Answers504, ResetUnread], [Bug::SendsUnknownAgain];
    window_6_recovered_under_another_configuration:
        [DestinationFixed, ItRuns], [UnitGone, SystemGone, BadConfiguration], [Bug::RoutesAtSend];
    /// What the design rests on besides: the views are a function of the records.
    views_made_again_are_the_same:
        [ViewsFollow, ItRuns], [ViewsLost, ViewsFail], [Bug::ViewsRemember, Bug::CannotReadItsOwn];
}

/// One seed makes one run, on whichever thread and however often.
#[test]
fn a_seed_makes_the_same_run_again() {
    let seeds = 100 * number("KLAGOMAL_SCALE").unwrap_or(1);
    let prints = || {
        let prints = Mutex::new(BTreeMap::new());
        over(1, seeds, None, |seed, report| {
            prints.lock().unwrap().insert(seed, report.print);
            false
        });
        prints.into_inner().unwrap()
    };
    let (once, again) = (prints(), prints());
    let others: Vec<&u64> = once.keys().filter(|seed| once[seed] != again[seed]).collect();
    assert!(others.is_empty(), "these seeds went another way the second time: {others:?}");
}

/// What all runs did together.
#[derive(Debug, Default)]
struct Sums {
    simulated: Duration,
    accepted: u64,
    delivered: u64,
    stuck: u64,
    lives: u64,
}

impl Sums {
    fn add(&mut self, report: &Report) {
        self.simulated += report.simulated;
        self.accepted += report.accepted;
        self.delivered += report.delivered;
        self.stuck += report.stuck;
        self.lives += report.lives;
    }

    fn told(&self, seeds: u64, took: Duration) -> String {
        let days = self.simulated.as_secs() / 86_400;
        let faster = self.simulated.as_secs() / took.as_secs().max(1);
        format!(
            "{seeds} seeds, {days} simulated days in {} s ({faster} times real time): {} messages \
             accepted, {} sent on, {} left to a person, {} lives of the gateway",
            took.as_secs(),
            self.accepted,
            self.delivered,
            self.stuck,
            self.lives,
        )
    }
}
