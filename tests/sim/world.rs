//! One world: what lies outside of the gateway's memory, and the gateway's present life in it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use klagomal::cases::Cases;
use klagomal::clock::Clock;
use klagomal::config;
use klagomal::delivery::Delivery;
use klagomal::gateway::{Gateway, Pools};
use klagomal::outbound::Pool;
use klagomal::routing::Current;
use klagomal::store::blobs::Blobs;
use klagomal::store::engine::{Engine, Hand, Settings};
use klagomal::store::keys::Keys;
use klagomal::store::keys::master::MasterKey;
use klagomal::store::views::MemoryTable;
use klagomal::tak::System;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bugs::{Bug, SimFold};
use crate::disk::SimDisk;
use crate::fault::{Fault, Swarm, Tally};
use crate::ground::{Config, Ground};
use crate::history::{History, Promise, Violation};
use crate::messages::Random;
use crate::net::Network;
use crate::peers::Peers;
use crate::words::hsa;

/// The machine's clock: it goes with the simulated time, and jumps.
#[derive(Debug)]
pub struct SimClock {
    began: Timestamp,
    base: Instant,
    skew_ms: AtomicI64,
    /// The furthest that it was ever ahead.
    ahead_ms: AtomicI64,
}

impl SimClock {
    pub fn at(began: Timestamp) -> Self {
        Self {
            began,
            base: Instant::now(),
            skew_ms: AtomicI64::new(0),
            ahead_ms: AtomicI64::new(0),
        }
    }

    pub fn jump(&self, ms: i64) {
        let before = self.skew_ms.fetch_add(ms, Ordering::SeqCst);
        self.ahead_ms.fetch_max(before + ms, Ordering::SeqCst);
    }

    /// What is due by a clock that was ahead waits until the clock is there again: it is there now.
    pub fn catches_up(&self) {
        self.skew_ms.store(self.ahead_ms.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let gone = SignedDuration::try_from(self.base.elapsed()).unwrap();
        let skew = SignedDuration::from_millis(self.skew_ms.load(Ordering::SeqCst));
        let now = self.began.checked_add(gone).and_then(|it| it.checked_add(skew)).unwrap();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap()
    }
}

/// How a run is laid out, all from its seed.
#[derive(Debug)]
pub struct Plan {
    pub seed: u64,
    pub bug: Option<Bug>,
    /// How long faults strike.
    pub trouble: Duration,
    /// How long everything then may take to come to rest.
    pub rest: Duration,
    /// How often delivery looks by itself.
    pub look: Duration,
    pub cases: u64,
    /// Nothing goes wrong but one receiver, which hangs all the time.
    pub one_dead: bool,
    pub began: Timestamp,
    pub segment_bytes: u64,
    /// The store is sealed.
    pub sealed: bool,
}

/// A master key; made up.
const MASTER_KEY: &str = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e";

/// Everything outside of the process.
#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    pub clock: Arc<SimClock>,
    pub disk: Arc<SimDisk>,
    pub table: Mutex<Arc<MemoryTable>>,
    pub boot: AtomicU64,
    pub routing: Current,
    pub folder: PathBuf,
    keys: PathBuf,
    blobs: Blobs,
    config: Mutex<Config>,
    /// Moves when the configuration does.
    pub generation: AtomicU64,
    swarm: Swarm,
    random: Mutex<Random>,
    tally: Mutex<Tally>,
    history: Mutex<History>,
    peers: Mutex<Peers>,
    life: Mutex<Option<Arc<Life>>>,
    lives: AtomicU64,
    /// Moves with every fault that the store can feel.
    disturbed: AtomicU64,
    /// No more faults.
    healing: AtomicBool,
    /// Senders have nothing more to send.
    pub quiet: AtomicBool,
    pub crash: Notify,
    began: Instant,
    pub one_call: tokio::sync::Mutex<()>,
}

/// One run of the process.
#[derive(Debug)]
pub struct Life {
    pub cases: Cases,
    pub gateway: Gateway,
    /// The process is no more.
    pub dead: CancellationToken,
    pub stop: CancellationToken,
    pub tasks: Mutex<JoinSet<()>>,
}

/// Nothing is passed on here.
#[derive(Debug)]
struct NoPools;

impl Pools for NoPools {
    fn pool(&self, _: Option<&System>) -> Result<Arc<Pool>, String> {
        Err("nothing is passed on in a simulation".to_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl World {
    pub fn new(plan: Plan, swarm: Swarm, random: Random, ground: &Ground, told: bool) -> Arc<Self> {
        let clock = Arc::new(SimClock::at(plan.began));
        let config =
            Config { inbox_resends: plan.bug == Some(Bug::SendsUnknownAgain), ..Config::first() };
        let folder = ground.routing();
        config.write(&folder);
        let routing = Current::open(&folder, clock.now()).expect("the first configuration").0;
        Arc::new_cyclic(|world| Self {
            clock,
            disk: SimDisk::new(world.clone()),
            table: Mutex::default(),
            boot: AtomicU64::new(1),
            routing,
            folder,
            keys: ground.keys(),
            blobs: ground.blobs.clone(),
            config: Mutex::new(config),
            generation: AtomicU64::new(0),
            swarm,
            random: Mutex::new(random),
            tally: Mutex::default(),
            history: Mutex::new(History::new(told)),
            peers: Mutex::default(),
            life: Mutex::new(None),
            lives: AtomicU64::new(0),
            disturbed: AtomicU64::new(0),
            healing: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
            crash: Notify::new(),
            began: Instant::now(),
            one_call: tokio::sync::Mutex::new(()),
            plan,
        })
    }

    pub fn has_bug(&self, bug: Bug) -> bool {
        self.plan.bug == Some(bug)
    }

    /// Whether `fault` strikes now; then it is counted.
    pub fn strikes(&self, fault: Fault) -> bool {
        if self.is_healing() || !self.swarm.has(fault) {
            return false;
        }
        let strikes = self.swarm.strikes(fault, &mut lock(&self.random));
        if strikes {
            self.count(fault);
        }
        strikes
    }

    pub fn has(&self, fault: Fault) -> bool {
        self.swarm.has(fault)
    }

    pub fn count(&self, fault: Fault) {
        lock(&self.tally).count(fault);
        self.note(&format!("fault {fault:?}"));
    }

    pub fn below(&self, most: u64) -> u64 {
        lock(&self.random).below(most)
    }

    pub fn uuid(&self) -> String {
        lock(&self.random).uuid()
    }

    pub fn note(&self, what: &str) {
        let ms = self.began.elapsed().as_millis();
        lock(&self.history).note(ms, what);
    }

    pub fn break_promise(&self, promise: Promise, what: String) {
        self.note(&format!("BROKEN {promise:?}: {what}"));
        lock(&self.history).violations.push(Violation { promise, what });
    }

    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    pub fn peers(&self) -> MutexGuard<'_, Peers> {
        lock(&self.peers)
    }

    pub fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    pub fn config(&self) -> Config {
        lock(&self.config).clone()
    }

    pub fn set_config(&self, config: Config) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        *lock(&self.config) = config;
    }

    pub fn disturb(&self) {
        self.disturbed.fetch_add(1, Ordering::SeqCst);
    }

    pub fn disturbed(&self) -> u64 {
        self.disturbed.load(Ordering::SeqCst)
    }

    pub fn is_healing(&self) -> bool {
        self.healing.load(Ordering::SeqCst)
    }

    pub fn heal(&self) {
        self.healing.store(true, Ordering::SeqCst);
        lock(&self.peers).away.clear();
    }

    pub fn lives(&self) -> u64 {
        self.lives.load(Ordering::SeqCst)
    }

    /// The process, when there is one.
    pub fn life(&self) -> Option<Arc<Life>> {
        lock(&self.life).clone()
    }

    pub fn end_life(&self) -> Option<Arc<Life>> {
        lock(&self.life).take()
    }

    /// Where the process can be killed: then nothing goes on from here.
    pub async fn crash_point(&self, fault: Fault) {
        if self.strikes(fault) {
            self.crash.notify_one();
            std::future::pending::<()>().await;
        }
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new("");
        settings.free_bytes_min = 1000;
        settings.segment_bytes = self.plan.segment_bytes;
        settings.probe_interval = self.plan.look.min(Duration::from_secs(20));
        settings
    }

    /// The keys of the store, where it is sealed.
    pub fn keys(&self) -> Option<Arc<Keys>> {
        let master = MasterKey::parse(MASTER_KEY).unwrap();
        self.plan.sealed.then(|| Arc::new(Keys::open(&self.keys, &master).unwrap()))
    }

    /// Opens the store on what the disk and the views hold, by hand.
    pub fn open(
        &self,
        table: Arc<MemoryTable>,
        keys: Option<Arc<Keys>>,
    ) -> Result<(Engine, Hand, String), String> {
        let boot = format!("boot {}", self.boot.load(Ordering::SeqCst));
        let disk = Arc::new(self.disk.handle());
        let fold = SimFold::new(self.plan.bug, keys);
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let opened = Engine::open_by_hand(&self.settings(), disk, table, &boot, fold, clock);
        let (engine, hand, report) =
            opened.map_err(|error| klagomal::telemetry::Chain(&error).to_string())?;
        let views = format!("{:?}, {} damaged", report.views, report.journal.damage.len());
        Ok((engine, hand, views))
    }

    /// Starts the process.
    pub fn start(self: &Arc<Self>) -> Result<(), String> {
        let table = Arc::clone(&lock(&self.table));
        let keys = self.keys();
        let (engine, hand, report) = self.open(table, keys.clone())?;
        let number = self.lives.fetch_add(1, Ordering::SeqCst) + 1;
        self.note(&format!("life {number}: {report}"));
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let own = hsa("SE0000000000-GATEWAY");
        let cases = Cases::new(engine, self.blobs.clone(), clock, own, format!("life {number}"))
            .sealed_by(keys);
        let limits = config::Limits {
            message_bytes: 1_000_000,
            calls_in_flight: 64,
            connections: 64,
            consumer_rate: None,
        };
        let gateway =
            Gateway::new(cases.clone(), self.routing.clone(), Arc::new(NoPools), None, &limits);
        let stop = CancellationToken::new();
        let callers = Arc::new(Network(Arc::downgrade(self)));
        let delivery = Delivery::new(cases.clone(), self.routing.clone(), callers)
            .looking_every(self.plan.look);
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(self).write(hand));
        tasks.spawn(delivery.run(stop.clone()));
        let dead = CancellationToken::new();
        let life = Life { cases, gateway, dead, stop, tasks: Mutex::new(tasks) };
        *lock(&self.life) = Some(Arc::new(life));
        Ok(())
    }

    /// The store's writer.
    async fn write(self: Arc<Self>, mut hand: Hand) {
        loop {
            hand.wait().await;
            if self.strikes(Fault::DiskSlow) {
                sleep(Duration::from_millis(self.below(20_000))).await;
            }
            self.crash_point(Fault::KilledBeforeWrite).await;
            let goes_on = hand.turn();
            if self.disk.is_off() {
                self.crash.notify_one();
                std::future::pending::<()>().await;
            }
            if !goes_on {
                return;
            }
            self.crash_point(Fault::KilledAfterWrite).await;
        }
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
