//! One run: from its seed to its report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::bugs::Bug;
use crate::fault::{Fault, Swarm, Tally};
use crate::ground::{Config, Ground};
use crate::history::{Promise, Violation};
use crate::messages::Random;
use crate::peers::Away;
use crate::world::{Plan, World};
use crate::{actors, chaos, check};

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    pub violations: Vec<Violation>,
    pub tally: Tally,
    pub simulated: Duration,
    /// Of everything that was seen, and when.
    pub print: u64,
    pub accepted: u64,
    pub delivered: u64,
    pub stuck: u64,
    pub lives: u64,
}

/// Moments that a run may begin shortly before.
const MOMENTS: [(&str, Fault); 4] = [
    ("2028-02-29T00:00:00+01:00", Fault::LeapDay),
    ("2027-03-28T02:00:00+01:00", Fault::SummerTimeBegins),
    ("2026-10-25T02:00:00+01:00", Fault::SummerTimeEnds),
    ("2027-01-01T00:00:00+01:00", Fault::YearEnds),
];

fn plan(seed: u64, bug: Option<Bug>, random: &mut Random) -> (Plan, Option<Fault>) {
    let long = random.below(6) == 0;
    let trouble = if long { 3600 * (3 + random.below(60)) } else { 120 + random.below(1500) };
    let (mut began, mut moment): (Timestamp, _) = ("2026-03-02T08:00:00Z".parse().unwrap(), None);
    if random.below(5) == 0 {
        let (at, fault) = MOMENTS[usize::try_from(random.below(4)).unwrap()];
        let before = i64::try_from(random.below(trouble)).unwrap();
        let at: Timestamp = at.parse().unwrap();
        began = at.checked_sub(SignedDuration::from_secs(before)).unwrap();
        moment = Some(fault);
    }
    let one_dead = random.below(20) == 0;
    let plan = Plan {
        seed,
        bug,
        trouble: Duration::from_secs(trouble),
        rest: Duration::from_secs(4 * 3600),
        look: Duration::from_secs(if long { 600 } else { 1 + random.below(30) }),
        cases: if one_dead { 6 + random.below(6) } else { 1 + random.below(5) },
        one_dead,
        began,
        segment_bytes: 4_000 + random.below(60_000),
        // Seeded bugs change records as they stand.
        sealed: bug.is_none() && seed.is_multiple_of(3),
    };
    (plan, moment)
}

/// Makes the run of `seed`; with `told`, its history is printed.
pub fn run(seed: u64, bug: Option<Bug>, ground: &Ground, told: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let mut random = Random::new(seed);
    let (plan, moment) = plan(seed, bug, &mut random);
    let swarm = if plan.one_dead { Swarm::none() } else { Swarm::pick(&mut random) };
    let world = {
        let _inside = runtime.enter();
        let world = World::new(plan, swarm, random, ground, told);
        if let Some(moment) = moment {
            world.count(moment);
        }
        world
    };
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(live(&world))));
    let (delivered, stuck) = ran.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        world.break_promise(Promise::ItRuns, format!("a panic: {}", what.unwrap_or_default()));
        (0, 0)
    });
    let simulated = {
        let _inside = runtime.enter();
        world.elapsed()
    };
    let history = world.history();
    for line in history.told() {
        eprintln!("{line}");
    }
    Report {
        violations: history.violations.clone(),
        tally: world.tally(),
        simulated,
        print: history.print,
        accepted: u64::try_from(
            history
                .sent
                .values()
                .filter(|it| matches!(it.fate, crate::history::Fate::Accepted(_)))
                .count(),
        )
        .unwrap(),
        delivered,
        stuck,
        lives: world.lives(),
    }
}

async fn live(world: &Arc<World>) -> (u64, u64) {
    chaos::rise(world).await;
    if world.plan.one_dead {
        let until = tokio::time::Instant::now() + world.plan.trouble;
        world.peers().away.insert("region-a".to_owned(), Away { until, hangs: true });
    }
    let mut senders = JoinSet::new();
    for number in 0..world.plan.cases {
        senders.spawn(actors::citizen(Arc::clone(world), number));
    }
    let mut others = JoinSet::new();
    others.spawn(actors::regions(Arc::clone(world)));
    others.spawn(actors::staff(Arc::clone(world)));
    let mut monkey = JoinSet::new();
    monkey.spawn(chaos::chaos(Arc::clone(world)));
    sleep(world.plan.trouble).await;
    calm(world).await;
    let settled =
        tokio::time::timeout(world.plan.rest, settle(world, &mut senders, &mut others)).await;
    if let Ok(Err(panic)) = &settled {
        world.break_promise(Promise::ItRuns, format!("an actor: {panic}"));
    }
    if let Some(Err(error)) = monkey.try_join_next() {
        world.break_promise(Promise::ItRuns, format!("the world: {error}"));
    }
    monkey.shutdown().await;
    let sums = check::of(world, settled.is_err());
    chaos::stop(world).await;
    check::views(world);
    sums
}

/// Everything that was broken is mended; the configuration is the first one again.
async fn calm(world: &Arc<World>) {
    world.heal();
    world.note("calm");
    world.clock.catches_up();
    let table = Arc::clone(&world.table.lock().unwrap());
    table.set_failing(false);
    world.disk.below().set_free(u64::MAX);
    let first = Config { inbox_resends: world.config().inbox_resends, ..Config::first() };
    chaos::take(world, first);
}

/// Waits until nobody has anything more to say and nothing more to send.
async fn settle(
    world: &Arc<World>,
    senders: &mut JoinSet<()>,
    others: &mut JoinSet<()>,
) -> Result<(), tokio::task::JoinError> {
    while let Some(ended) = senders.join_next().await {
        ended?;
    }
    world.quiet.store(true, Ordering::SeqCst);
    while let Some(ended) = others.join_next().await {
        ended?;
    }
    loop {
        sleep(Duration::from_secs(20)).await;
        let Some(life) = world.life() else { continue };
        let moving = ["inkorg", "region-a", "region-b", "plattform"].iter().any(|system| {
            life.cases.counts(system).map_or(true, |counts| counts.due + counts.leased > 0)
        });
        if !moving {
            return Ok(());
        }
    }
}
