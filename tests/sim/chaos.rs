//! What happens to the gateway: deaths, restarts, its clock, its configuration, its operators.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use klagomal::cases::record::Payload;
use klagomal::clock::Clock as _;
use klagomal::complaint::event::{Debt, Decision};
use klagomal::store::journal::disk::Disk as _;
use klagomal::store::journal::memory::{Kept, MemoryDisk};
use klagomal::store::views::{Change, Entry, MemoryTable, Scan, Table as _};
use tokio::time::{Instant, sleep, timeout};

use crate::fault::Fault;
use crate::history::Promise;
use crate::peers::Away;
use crate::world::{Life, World};

/// Faults of a kind that somebody makes at some moment.
const EVENTS: [Fault; 22] = [
    Fault::Killed,
    Fault::PowerCutLosesAll,
    Fault::PowerCutTearsWrites,
    Fault::PowerCutKeepsAll,
    Fault::Restarted,
    Fault::BitFlipped,
    Fault::ViewsFail,
    Fault::LittleSpace,
    Fault::ClockForth,
    Fault::ClockBack,
    Fault::PeerDown,
    Fault::PeerHangs,
    Fault::UnitMoves,
    Fault::ReceiverMoves,
    Fault::AddressMoves,
    Fault::SystemGone,
    Fault::UnitGone,
    Fault::BadConfiguration,
    Fault::OperatorRetries,
    Fault::OperatorHolds,
    Fault::OperatorDiscards,
    Fault::OperatorMarksDelivered,
];

/// Lets things happen, and raises the gateway from its deaths, to the end of the run.
pub async fn chaos(world: Arc<World>) {
    let mut older = None;
    let most = u64::try_from(world.plan.trouble.as_millis() / 16).unwrap();
    loop {
        let pause = Duration::from_millis(world.below(most));
        tokio::select! {
            biased;
            () = world.crash.notified() => {
                die(&world, None, &mut older).await;
                continue;
            }
            () = sleep(pause) => {}
        }
        if world.is_healing() {
            continue;
        }
        if world.has(Fault::ViewsBehind) && world.below(3) == 0 {
            older = copy(&world);
        }
        for _ in 0..4 {
            let event = EVENTS[usize::try_from(world.below(22)).unwrap()];
            if world.has(event) {
                happen(&world, event, &mut older).await;
                break;
            }
        }
    }
}

async fn happen(world: &Arc<World>, event: Fault, older: &mut Option<Arc<MemoryTable>>) {
    match event {
        Fault::Killed
        | Fault::PowerCutLosesAll
        | Fault::PowerCutTearsWrites
        | Fault::PowerCutKeepsAll
        | Fault::BitFlipped => {
            if event != Fault::BitFlipped {
                world.count(event);
            }
            die(world, Some(event), older).await;
        }
        Fault::Restarted => restart(world).await,
        Fault::ViewsFail => {
            world.count(event);
            world.disturb();
            let table = Arc::clone(&world.table.lock().unwrap());
            table.set_failing(true);
            sleep(Duration::from_millis(world.below(60_000))).await;
            table.set_failing(false);
        }
        Fault::LittleSpace => {
            world.count(event);
            world.disturb();
            world.disk.below().set_free(999);
            sleep(Duration::from_millis(world.below(120_000))).await;
            world.disk.below().set_free(u64::MAX);
        }
        Fault::ClockForth | Fault::ClockBack => {
            world.count(event);
            let most = u64::try_from(world.plan.trouble.as_millis() / 2).unwrap();
            let jump = i64::try_from(world.below(most)).unwrap();
            world.clock.jump(if event == Fault::ClockForth { jump } else { -jump });
        }
        Fault::PeerDown | Fault::PeerHangs => {
            world.count(event);
            let peers = ["inkorg", "region-a", "region-b", "plattform"];
            let peer = peers[usize::try_from(world.below(4)).unwrap()];
            let most = u64::try_from(world.plan.trouble.as_millis() / 2).unwrap();
            let until = Instant::now() + Duration::from_millis(world.below(most));
            let away = Away { until, hangs: event == Fault::PeerHangs };
            world.peers().away.insert(peer.to_owned(), away);
        }
        Fault::OperatorRetries
        | Fault::OperatorHolds
        | Fault::OperatorDiscards
        | Fault::OperatorMarksDelivered => decide(world, event).await,
        _ => configure(world, event),
    }
}

/// The gateway is killed, or the power goes; then it is started again.
async fn die(world: &Arc<World>, event: Option<Fault>, older: &mut Option<Arc<MemoryTable>>) {
    let Some(life) = world.end_life() else { return };
    let flipped = event == Some(Fault::BitFlipped) && !world.history().bit_flipped;
    let flip = if flipped { choose(world, &life) } else { None };
    end(&life).await;
    world.note("dead");
    let kept = match event {
        Some(Fault::PowerCutLosesAll) => Some(Kept::Nothing),
        Some(Fault::PowerCutTearsWrites) => Some(Kept::Some(world.below(u64::MAX))),
        Some(Fault::PowerCutKeepsAll) => Some(Kept::All),
        _ if world.disk.is_off() => Some(match world.below(3) {
            0 => Kept::Nothing,
            1 => Kept::All,
            _ => Kept::Some(world.below(u64::MAX)),
        }),
        _ => None,
    };
    if let Some(kept) = kept {
        power_on(world, kept);
    }
    if let Some((payload, case)) = flip
        && flip_bit(world, &world.disk.below(), &payload)
    {
        world.count(Fault::BitFlipped);
        let mut history = world.history();
        history.damaged.push(case);
        history.bit_flipped = true;
    }
    if world.strikes(Fault::ViewsLost) {
        *world.table.lock().unwrap() = Arc::default();
    } else if let Some(table) = older.take()
        && world.strikes(Fault::ViewsBehind)
    {
        *world.table.lock().unwrap() = table;
    }
    let away = u64::try_from(world.plan.trouble.as_millis() / 30).unwrap();
    sleep(Duration::from_millis(world.below(away))).await;
    rise(world).await;
}

fn power_on(world: &World, kept: Kept) {
    world.disk.power_on(kept);
    world.boot.fetch_add(1, Ordering::SeqCst);
}

/// Starts the gateway, as often as its disk lets it fail.
pub async fn rise(world: &Arc<World>) {
    loop {
        let before = world.disturbed();
        let Err(why) = world.start() else { return };
        world.note(&format!("not started: {why}"));
        if world.disk.is_off() {
            power_on(world, Kept::Some(world.below(u64::MAX)));
        } else if world.disturbed() == before {
            world.break_promise(Promise::ItRuns, format!("it does not start: {why}"));
            return;
        }
        sleep(Duration::from_secs(1)).await;
    }
}

async fn end(life: &Life) {
    life.dead.cancel();
    let mut tasks = std::mem::take(&mut *life.tasks.lock().unwrap());
    tasks.shutdown().await;
}

/// Ends the process as an operator does.
pub async fn stop(world: &World) {
    let Some(life) = world.end_life() else { return };
    life.stop.cancel();
    sleep(Duration::from_millis(world.below(40_000))).await;
    // A disk that fails can keep it from closing.
    drop(timeout(Duration::from_secs(60), life.cases.engine().close()).await);
    end(&life).await;
}

async fn restart(world: &Arc<World>) {
    world.count(Fault::Restarted);
    stop(world).await;
    if world.disk.is_off() {
        power_on(world, Kept::Nothing);
    }
    rise(world).await;
}

/// A record that has been on disk for a while, and its case.
fn choose(world: &World, life: &Life) -> Option<(Vec<u8>, klagomal::complaint::message::Ii)> {
    let all: Vec<_> = life.cases.engine().records(None).filter_map(Result::ok).collect();
    let old = all.len().checked_sub(12)?;
    let at = usize::try_from(world.below(u64::try_from(old).unwrap())).unwrap();
    let payload = all.get(at)?.payload.clone();
    match Payload::read(&payload).ok()? {
        Payload::Case(record) => Some((payload, record.case)),
        Payload::Sealed(sealed) => Some((payload, sealed.head.case)),
        Payload::Store(_) => None,
    }
}

fn flip_bit(world: &World, disk: &MemoryDisk, payload: &[u8]) -> bool {
    for name in disk.list().unwrap() {
        let mut bytes = disk.content(&name).unwrap();
        let found = bytes.windows(payload.len()).position(|it| it == payload);
        if let Some(from) = found {
            let at =
                from + usize::try_from(world.below(u64::try_from(payload.len()).unwrap())).unwrap();
            bytes[at] ^= 1 << world.below(8);
            disk.set_content(&name, bytes);
            return true;
        }
    }
    false
}

/// Every entry of a table.
pub fn entries(table: &MemoryTable) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let scan = Scan::prefix(Vec::new());
        let scan = match all.last() {
            Some((last, _)) => scan.after(last.clone()),
            None => scan,
        };
        let page = table.scan(&scan).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// The views as they are now.
fn copy(world: &World) -> Option<Arc<MemoryTable>> {
    let table = Arc::clone(&world.table.lock().unwrap());
    let (origin, applied) = table.standing().ok()??;
    let copy = MemoryTable::default();
    copy.renew(&origin).unwrap();
    let entries = entries(&table).into_iter();
    let changes: Vec<Change> =
        entries.map(|(key, it)| Change { key, value: Some(it), is_new: true }).collect();
    copy.apply(&changes, applied?).unwrap();
    Some(Arc::new(copy))
}

fn configure(world: &World, event: Fault) {
    let mut config = world.config();
    match event {
        Fault::UnitMoves if world.below(2) == 0 => {
            config.vc1 = if config.vc1.is_none() { Some("region-a") } else { None };
        }
        Fault::UnitMoves => {
            config.vc2 = match config.vc2 {
                Some("region-a") => Some("region-b"),
                Some(_) => None,
                None => Some("region-a"),
            };
        }
        Fault::ReceiverMoves => {
            let other = config.vc3_receiver == "SE0000000000-KLAGOMAL";
            config.vc3_receiver =
                if other { "SE0000000000-ANDRA" } else { "SE0000000000-KLAGOMAL" };
        }
        Fault::AddressMoves => config.port += 1,
        Fault::SystemGone => config.region_b = !config.region_b,
        Fault::UnitGone => config.vc4 = !config.vc4,
        _ => {
            world.count(event);
            let bad = crate::ground::Config { bad: true, ..config.clone() };
            bad.write(&world.folder);
            let taken = world.routing.reload(world.clock.now());
            assert!(taken.is_err(), "a bad configuration is taken");
            config.write(&world.folder);
            return;
        }
    }
    world.count(event);
    take(world, config);
}

/// Brings a configuration into force.
pub fn take(world: &World, config: crate::ground::Config) {
    config.write(&world.folder);
    let taken = world.routing.reload(world.clock.now());
    assert!(taken.is_ok(), "{:?}", taken.err());
    world.set_config(config);
}

/// An operator decides about something that stands still, or about what is on its way.
async fn decide(world: &World, event: Fault) {
    let Some(life) = world.life() else { return };
    let mut items = life.cases.stuck(100).unwrap_or_default();
    if items.is_empty() || world.below(4) == 0 {
        for system in ["inkorg", "region-a", "region-b", "plattform"] {
            items.extend(life.cases.due(system, jiff::Timestamp::MAX, 20).unwrap_or_default());
        }
    }
    let Some(item) =
        items.get(usize::try_from(world.below(u64::try_from(items.len()).unwrap())).unwrap())
    else {
        return;
    };
    let decision = match event {
        Fault::OperatorRetries => Decision::Retry,
        Fault::OperatorHolds => Decision::Hold,
        Fault::OperatorDiscards => Decision::Discard,
        _ => Decision::MarkDelivered,
    };
    world.count(event);
    {
        let mut history = world.history();
        match decision {
            Decision::Retry if item.what == Debt::Letter => {
                *history.retried.entry(item.number.to_string()).or_default() += 1;
            }
            Decision::MarkDelivered => history.marked.push(item.id.to_string()),
            Decision::Retry | Decision::Hold | Decision::Release | Decision::Discard => {}
        }
    }
    let decided = tokio::select! {
        biased;
        () = life.dead.cancelled() => return,
        // Killed over it: nobody but this task raises the gateway.
        () = sleep(Duration::from_secs(30)) => return,
        decided = life.cases.decide(item.id, decision, "prov".to_owned()) => decided,
    };
    world.note(&format!("{decision:?} {}: {}", item.id, decided.is_ok()));
}
