//! Pays what is owed: looks up what is due, sends it, records what came of it.
//!
//! There is no second road for recovery: the first try, the retry and what a former run of the
//! process left behind all come from the same list of what is due.

pub mod compose;
pub mod policy;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cases::Cases;
use crate::cases::outbox::OutboxError;
use crate::cases::record::{Item, ItemState};
use crate::clock;
use crate::complaint::event::{Debt, ItemId, Outcome};
use crate::limits;
use crate::producer::{Judgement, Producer, Seen, SoapReading, judge};
use crate::routing::Current;
use crate::tak::{Rate, System, Table};
use crate::telemetry::Chain;
use compose::{ComposeError, Composed};
use policy::{Attempt, Policy};

/// The longest pause between two looks at what is due, so that a lost wake-up costs no more.
const LOOK: Duration = Duration::from_secs(1);

/// Messages to one system under way at once; each belongs to another case.
const PARALLEL: usize = 8;

/// What a lease gives beyond the call's own time, for the record of its outcome to be written.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The service level of AddMessageToPatientPortalInbox 1.0.
const INBOX_RATE: Rate = Rate { calls: 1, per: Duration::from_secs(1) };

/// The connection to each system, made anew when its settings or certificates change.
pub trait Callers: Send + Sync + std::fmt::Debug {
    /// The connections to `system`; an error says why it cannot be called.
    fn producer(&self, system: &System) -> Result<Producer, String>;
}

/// The worker. One task for each system that is owed something, so that a dead one delays nobody
/// else.
#[derive(Debug, Clone)]
pub struct Delivery {
    cases: Cases,
    routing: Current,
    callers: Arc<dyn Callers>,
    /// How each system answered last, for `/status`.
    seen: Arc<Mutex<BTreeMap<String, LastSeen>>>,
}

/// How a system answered last.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LastSeen {
    pub at: jiff::Timestamp,
    pub outcome: String,
}

impl Delivery {
    /// A worker on these cases, with the systems of the routing in force.
    #[must_use]
    pub fn new(cases: Cases, routing: Current, callers: Arc<dyn Callers>) -> Self {
        Self { cases, routing, callers, seen: Arc::default() }
    }

    /// How each system answered last.
    #[must_use]
    pub fn last_seen(&self) -> BTreeMap<String, LastSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works until `stop`; then lets what is under way come to its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut systems: BTreeMap<String, ()> = BTreeMap::new();
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            let routing = self.routing.get();
            for id in owed_to(&routing.table) {
                if systems.insert(id.clone(), ()).is_none() {
                    tasks.spawn(self.clone().serve(id, stop.clone()));
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Serves one system: what a former run left first, then whatever is due.
    async fn serve(self, id: String, stop: CancellationToken) {
        self.settle_orphans(&id).await;
        let mut changes = self.cases.engine().watch();
        let mut under_way = JoinSet::new();
        let mut busy: BTreeMap<ItemId, ()> = BTreeMap::new();
        loop {
            while let Some(done) = under_way.try_join_next() {
                if let Ok(item) = done {
                    busy.remove(&item);
                }
            }
            if stop.is_cancelled() {
                break;
            }
            let pause = self.start_due(&id, &mut busy, &mut under_way).await;
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                _ = changes.changed(), if busy.len() < PARALLEL => {}
                Some(done) = under_way.join_next(), if !under_way.is_empty() => {
                    if let Ok(item) = done {
                        busy.remove(&item);
                    }
                }
            }
        }
        while under_way.join_next().await.is_some() {}
    }

    /// Starts what is due, at the system's rate; how long to wait before looking again.
    async fn start_due(
        &self,
        id: &str,
        busy: &mut BTreeMap<ItemId, ()>,
        under_way: &mut JoinSet<ItemId>,
    ) -> Duration {
        let free = PARALLEL.saturating_sub(busy.len());
        let Some(system) = self.system(id) else { return LOOK };
        if free == 0 {
            return LOOK;
        }
        let now = self.cases.now();
        let due = match self.cases.due(id, now, PARALLEL * 2) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(system = id, "what is due cannot be read: {}", Chain(&error));
                return LOOK;
            }
        };
        let due = due.into_iter().filter(|item| !busy.contains_key(&item.id)).take(free);
        for item in due.collect::<Vec<_>>() {
            busy.insert(item.id, ());
            let worker = self.clone();
            let rate = self.rate_of(&system);
            let system = Arc::clone(&system);
            under_way.spawn(async move {
                let id = item.id;
                worker.pay(item, &system).await;
                id
            });
            if let Some(rate) = rate {
                tokio::time::sleep(rate.interval()).await;
            }
        }
        self.until_next(id, now)
    }

    /// Configured, or for the inbox what its contract promises: one message a second.
    fn rate_of(&self, system: &System) -> Option<Rate> {
        let routing = self.routing.get();
        let inbox = system.id.as_ref() == Some(&routing.table.platform().inkorg);
        system.rate.or_else(|| inbox.then_some(INBOX_RATE))
    }

    fn until_next(&self, id: &str, now: jiff::Timestamp) -> Duration {
        match self.cases.next_due(id) {
            Ok(Some(at)) if at > now => {
                Duration::try_from(at.duration_since(now)).unwrap_or(LOOK).min(LOOK)
            }
            Ok(_) | Err(_) => LOOK,
        }
    }

    /// A lease of a former run tells that something may have been sent and nothing was recorded.
    async fn settle_orphans(&self, id: &str) {
        let orphans = match self.cases.orphans(id) {
            Ok(orphans) => orphans,
            Err(error) => {
                tracing::error!(system = id, "leases cannot be read: {}", Chain(&error));
                return;
            }
        };
        for item in orphans {
            self.settle(&item).await;
        }
    }

    /// Nobody will tell what came of the attempt.
    async fn settle(&self, item: &Item) {
        let Some(system) = self.system(&item.to) else { return };
        let why = "the gateway stopped while it was being sent".to_owned();
        let outcome = policy::unknown(why, self.attempt(item), &Policy::of(&system));
        self.record(item, outcome).await;
    }

    async fn pay(&self, item: Item, system: &System) {
        if let ItemState::Leased { .. } = item.state {
            self.settle(&item).await;
            return;
        }
        let producer = match self.callers.producer(system) {
            Ok(producer) => producer,
            Err(why) => return self.later(&item, system, why).await,
        };
        let routing = self.routing.get();
        let composed = match compose::compose(&self.cases, &item, &routing.table, system) {
            Ok(composed) => composed,
            Err(ComposeError::NotTold) => return self.record(&item, Outcome::Delivered).await,
            Err(error) => {
                let why = format!("it cannot be written: {}", Chain(&error));
                return self.record(&item, Outcome::Parked { why }).await;
            }
        };
        if let Some(question) = composed.before() {
            match self.is_active(question, &producer, system).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "the person has no active inbox".to_owned();
                    return self.record(&item, Outcome::Unreachable { why }).await;
                }
                Err(judgement) => {
                    let outcome = match judgement {
                        // A question changes nothing: it can always be asked again.
                        Judgement::Unknown { why } => Judgement::RetryLater { why },
                        other @ (Judgement::Done
                        | Judgement::Refused { .. }
                        | Judgement::RetryLater { .. }) => other,
                    };
                    let outcome =
                        policy::outcome(outcome, self.attempt(&item), &Policy::of(system));
                    return self.record(&item, outcome).await;
                }
            }
        }
        self.send(item, composed, &producer, system).await;
    }

    async fn send(&self, item: Item, composed: Composed, producer: &Producer, system: &System) {
        let until = clock::after(self.cases.now(), system.timeout + LEASE_MARGIN);
        let item = match self.cases.lease(item.id, until).await {
            Ok(item) => item,
            Err(OutboxError::NotNow { .. }) => return,
            Err(error) => {
                tracing::warn!(outgoing.id = %item.id, "not leased: {}", Chain(&error));
                return;
            }
        };
        let reader = composed.reader();
        let seen = producer.call(composed.into_call(system, self.cases.blobs())).await;
        let reading = match &seen {
            Seen::Answered(answer) => reader.read(answer),
            Seen::NotSent { .. } | Seen::Unknown { .. } => compose::Read::of(SoapReading::NotSoap),
        };
        let outcome = match reading.unreachable {
            Some(why) => Outcome::Unreachable { why },
            None => {
                let judgement = judge(&seen, reading.soap);
                policy::outcome(judgement, self.attempt(&item), &Policy::of(system))
            }
        };
        self.record(&item, outcome).await;
    }

    async fn is_active(
        &self,
        question: compose::Question,
        producer: &Producer,
        system: &System,
    ) -> Result<bool, Judgement> {
        let seen = producer.call(question.into_call(system)).await;
        let Seen::Answered(answer) = &seen else {
            return Err(judge(&seen, SoapReading::NotSoap));
        };
        compose::is_active(answer).map_err(|reading| judge(&seen, reading))
    }

    async fn later(&self, item: &Item, system: &System, why: String) {
        let judgement = Judgement::RetryLater { why };
        let outcome = policy::outcome(judgement, self.attempt(item), &Policy::of(system));
        self.record(item, outcome).await;
    }

    /// Records an outcome, for as long as it takes the store to take it: what was seen must not be
    /// forgotten while the process lives.
    async fn record(&self, item: &Item, outcome: Outcome) {
        tell(item, &outcome);
        self.note(item, &outcome);
        for wait in [0, 1, 2, 5, 10].map(Duration::from_secs) {
            tokio::time::sleep(wait).await;
            match self.cases.tried(item.id, outcome.clone()).await {
                Ok(_) | Err(OutboxError::NoSuch(_) | OutboxError::NotNow { .. }) => return,
                Err(error) => {
                    tracing::error!(outgoing.id = %item.id, "outcome not recorded: {}", Chain(&error));
                }
            }
        }
    }

    fn note(&self, item: &Item, outcome: &Outcome) {
        let last = LastSeen { at: self.cases.now(), outcome: name(outcome).to_owned() };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(item.to.clone(), last);
    }

    fn attempt(&self, item: &Item) -> Attempt {
        let leased = matches!(item.state, ItemState::Leased { .. });
        let number = if leased { item.attempts } else { item.attempts + 1 };
        Attempt { item: item.id, number, owed: item.owed, now: self.cases.now() }
    }

    fn system(&self, id: &str) -> Option<Arc<System>> {
        self.routing.get().table.system(id)
    }
}

/// The systems that something can be owed to.
fn owed_to(table: &Table) -> Vec<String> {
    let platform = table.platform();
    let queued = table.systems().filter(|it| it.delivery == crate::tak::Delivery::Queued);
    let mut ids: Vec<String> = queued.filter_map(|it| it.id.clone()).collect();
    ids.push(platform.inkorg.clone());
    ids.extend(platform.onward.clone());
    ids.sort();
    ids.dedup();
    ids
}

/// The name of an outcome, for logs and counters.
#[must_use]
pub const fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Unreachable { .. } => "unreachable",
        Outcome::Again { .. } => "again",
        Outcome::Unknown { .. } => "unknown",
        Outcome::Parked { .. } => "parked",
    }
}

fn tell(item: &Item, outcome: &Outcome) {
    let what = match item.what {
        Debt::Relay { .. } => "relay",
        Debt::Letter => "letter",
        Debt::Onward => "onward",
    };
    let (id, number, to) = (&item.id, &item.number, &item.to);
    match outcome {
        Outcome::Delivered => tracing::info!(
            outgoing.id = %id, case.number = %number, outgoing.to = %to, outgoing.what = what,
            "delivered"
        ),
        Outcome::Unreachable { why } => tracing::info!(
            outgoing.id = %id, case.number = %number, outgoing.to = %to, outgoing.what = what,
            "cannot be reached: {why}"
        ),
        Outcome::Again { at, why } => tracing::warn!(
            outgoing.id = %id, case.number = %number, outgoing.to = %to, outgoing.what = what,
            outgoing.again = %at, "not delivered, again later: {why}"
        ),
        Outcome::Unknown { why } => tracing::error!(
            outgoing.id = %id, case.number = %number, outgoing.to = %to, outgoing.what = what,
            "sent, and nobody knows whether it arrived; a person must decide: {why}"
        ),
        Outcome::Parked { why } => tracing::error!(
            outgoing.id = %id, case.number = %number, outgoing.to = %to, outgoing.what = what,
            "not delivered; a person must look: {why}"
        ),
    }
}

const _: () = assert!(PARALLEL <= limits::PRODUCER_IDLE_CONNECTIONS_MAX);
