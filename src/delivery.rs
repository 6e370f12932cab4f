//! Pays what is owed: looks up what is due, sends it, records what came of it.
//!
//! There is no second road for recovery: the first try, the retry and what a former run of the
//! process left behind all come from the same list of what is due.

pub mod compose;
mod notice;
mod pace;
pub mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::cases::Cases;
use crate::cases::outbox::OutboxError;
use crate::cases::query::QueryError;
use crate::cases::record::{Item, ItemState};
use crate::clock;
use crate::complaint::event::{Debt, ItemId, Outcome};
use crate::complaint::notice::MAIL;
use crate::limits;
use crate::mail::Mailer;
use crate::producer::{Caller, Judgement, Seen, SoapReading, judge};
use crate::routing::Current;
use crate::spans::{Side, Span, Spans};
use crate::store::engine::SubmitError;
use crate::tak::{Rate, System, Table};
use crate::telemetry::Chain;
use crate::telemetry::trace::Trace;
use compose::{ComposeError, Composed};
use notice::Mail;
use pace::{PARALLEL, Pace, Went};
use policy::{Attempt, Policy};

/// The longest pause between two looks at what is due, so that a lost wake-up costs no more.
const LOOK: Duration = Duration::from_secs(1);

/// What a lease gives beyond the call's own time, for the record of its outcome to be written.
const LEASE_MARGIN: Duration = Duration::from_secs(30);

/// The waits between tries to record an outcome; the last one repeats while the store is away.
const RECORD_WAITS: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// The service level of AddMessageToPatientPortalInbox 1.0.
const INBOX_RATE: Rate = Rate { calls: 1, per: Duration::from_secs(1) };

/// The connection to each system, made anew when its settings or certificates change.
pub trait Callers: Send + Sync + std::fmt::Debug {
    /// The connections to `system`; an error says why it cannot be called.
    fn producer(&self, system: &System) -> Result<Box<dyn Caller>, String>;
}

/// The worker. One task for each system that is owed something, so that a dead one delays nobody
/// else.
#[derive(Debug, Clone)]
pub struct Delivery {
    cases: Cases,
    routing: Current,
    callers: Arc<dyn Callers>,
    /// The collector, where one is configured.
    spans: Option<Spans>,
    /// How each system answered last, for `/status`.
    seen: Arc<Mutex<BTreeMap<String, LastSeen>>>,
    /// The longest pause between two looks at what is due.
    look: Duration,
    /// Where mail to staff goes, where it is configured.
    mail: Option<Mail>,
    /// Since when each system that fails is rested and probed.
    resting: Arc<Mutex<BTreeMap<String, jiff::Timestamp>>>,
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
        let (seen, resting) = (Arc::default(), Arc::default());
        Self { cases, routing, callers, spans: None, seen, look: LOOK, mail: None, resting }
    }

    /// The same worker, whose calls are told to a collector.
    #[must_use]
    pub fn told_to(self, spans: Option<Spans>) -> Self {
        Self { spans, ..self }
    }

    /// The same, which also sends mail to staff, with links to the staff page at `page`.
    #[must_use]
    pub fn mailing(self, mailer: Option<(Mailer, String)>) -> Self {
        let own = self.cases.own().clone();
        let mail = mailer.map(|(mailer, page)| Mail::new(mailer, page, own));
        Self { mail, ..self }
    }

    /// The same, looking at least every `look` where nothing wakes it.
    #[must_use]
    pub fn looking_every(self, look: Duration) -> Self {
        Self { look, ..self }
    }

    /// How each system answered last.
    #[must_use]
    pub fn last_seen(&self) -> BTreeMap<String, LastSeen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The systems that fail and are probed by one message at a time, and since when.
    #[must_use]
    pub fn resting(&self) -> BTreeMap<String, jiff::Timestamp> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_rest(&self, id: &str, pace: &Pace) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if pace.is_resting() {
            resting.entry(id.to_owned()).or_insert_with(|| self.cases.now());
        } else {
            resting.remove(id);
        }
    }

    /// Works until `stop`; then lets what is under way come to its end.
    pub async fn run(self, stop: CancellationToken) {
        let mut served: BTreeMap<String, Id> = BTreeMap::new();
        let mut missing = BTreeSet::new();
        let mut tasks = JoinSet::new();
        while !stop.is_cancelled() {
            while let Some(ended) = tasks.try_join_next_with_id() {
                // Only a panic ends one before the stop: it is begun again.
                let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
                served.retain(|_, id| *id != task);
            }
            for id in self.owed_to(&mut missing) {
                served.entry(id).or_insert_with_key(|id| {
                    tasks.spawn(self.clone().serve(id.clone(), stop.clone())).id()
                });
            }
            tokio::select! {
                biased; // in the order written, so that a run can be made again
                () = stop.cancelled() => {}
                () = tokio::time::sleep(self.look) => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }

    /// The systems that something is or can be owed to. One that is configured no more is told of
    /// once: what is owed to it waits until it is back, or somebody decides.
    fn owed_to(&self, missing: &mut BTreeSet<String>) -> BTreeSet<String> {
        let routing = self.routing.get();
        let mut ids = configured(&routing.table);
        if self.mail.is_some() {
            ids.insert(MAIL.to_owned());
        }
        match self.cases.owed_to() {
            Ok(owed) => ids.extend(owed),
            Err(error) => {
                tracing::error!("the systems that are owed to cannot be read: {}", Chain(&error));
            }
        }
        for id in &ids {
            if self.system(id).is_some() {
                missing.remove(id);
            } else if self.is_owed(id) && missing.insert(id.clone()) {
                let of =
                    if id == MAIL { "[mail] of the settings" } else { "the routing configuration" };
                tracing::error!(
                    system = %id,
                    "messages are owed to what is not in {of}: put it back, or discard them with \
                     `klagomal outbox discard`"
                );
            }
        }
        ids
    }

    fn is_owed(&self, id: &str) -> bool {
        self.cases.counts(id).is_ok_and(|counts| counts.open() > 0)
    }

    /// Serves one system: what a former run left first, then whatever is due.
    async fn serve(self, id: String, stop: CancellationToken) {
        self.settle_orphans(&id).await;
        let bell = self.cases.bell(&id);
        let mut round = Round::default();
        while !stop.is_cancelled() {
            let pause = self.start_due(&id, &mut round, &stop);
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = bell.notified() => {}
                Some(ended) = round.under_way.join_next_with_id(), if !round.busy.is_empty() => {
                    let rest = round.ended(ended);
                    self.note_rest(&id, &round.pace);
                    if let Some(rest) = rest {
                        tracing::warn!(system = %id, rest = ?rest, "it fails and is rested");
                    }
                }
            }
        }
        while round.under_way.join_next().await.is_some() {}
    }

    /// Starts what is due, at the system's pace; how long to wait before looking again.
    fn start_due(&self, id: &str, round: &mut Round, stop: &CancellationToken) -> Duration {
        let Some(system) = self.system(id) else { return self.look };
        // The lease asks again: this one spares the reading. A resume rings the bell.
        if self.cases.pause_of(id).is_ok_and(|pause| pause.is_some()) {
            return self.look;
        }
        let rate = self.rate_of(&system);
        let free = round.pace.free(round.busy.len(), rate, Instant::now());
        if free == 0 {
            return round.pace.wait(Instant::now()).unwrap_or(self.look).min(self.look);
        }
        let now = self.cases.now();
        // At most as many as are under way stand before the first that can be started.
        let due = match self.cases.due(id, now, PARALLEL * 2) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(system = id, "what is due cannot be read: {}", Chain(&error));
                return self.look;
            }
        };
        let under_way: BTreeSet<ItemId> = round.busy.values().copied().collect();
        for item in due.into_iter().filter(|item| !under_way.contains(&item.id)).take(free) {
            round.pace.begun(rate, Instant::now());
            let (worker, item_id) = (self.clone(), item.id);
            let (system, stop) = (Arc::clone(&system), stop.clone());
            let task =
                round.under_way.spawn(async move { worker.attempt_at(item, system, stop).await });
            round.busy.insert(task.id(), item_id);
        }
        let paced = round.pace.wait(Instant::now()).unwrap_or(self.look);
        self.until_next(id, now).min(paced)
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
                Duration::try_from(at.duration_since(now)).unwrap_or(self.look).min(self.look)
            }
            Ok(_) | Err(_) => self.look,
        }
    }

    /// A lease of a former run tells that something may have been sent and nothing was recorded.
    async fn settle_orphans(&self, id: &str) {
        let (cases, system) = (self.cases.clone(), id.to_owned());
        let read = self.cases.engine().blocking(move || cases.orphans(&system)).await;
        let orphans: Result<Vec<Item>, QueryError> = read.unwrap_or_else(|| Ok(Vec::new()));
        let orphans = match orphans {
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
        let why = "the gateway stopped while it was being sent, or could not record it".to_owned();
        let outcome = policy::unknown(why, self.attempt(item), &Policy::of(&system));
        self.record(item, outcome).await;
    }

    /// One attempt, whatever becomes of it: a bug of ours must not leave the lane shut.
    async fn attempt_at(self, item: Item, system: Arc<System>, stop: CancellationToken) -> Went {
        let id = item.id;
        match AssertUnwindSafe(self.pay(item, &system, &stop)).catch_unwind().await {
            Ok(went) => went,
            Err(_) => {
                self.after_panic(id).await;
                Went::Badly
            }
        }
    }

    async fn after_panic(&self, id: ItemId) {
        match self.cases.item(id) {
            Ok(Some(item)) if matches!(item.state, ItemState::Leased { .. }) => {
                self.settle(&item).await;
            }
            Ok(Some(item)) => {
                let why = "the gateway ran into a bug of its own before it was sent".to_owned();
                self.record(&item, Outcome::Parked { why }).await;
            }
            Ok(None) => {}
            Err(error) => tracing::error!(outgoing.id = %id, "after a panic: {}", Chain(&error)),
        }
    }

    async fn pay(&self, item: Item, system: &Arc<System>, stop: &CancellationToken) -> Went {
        if let ItemState::Leased { .. } = item.state {
            self.settle(&item).await;
            return Went::Well;
        }
        if let (Debt::Notice { about, whom }, Some(mail)) = (&item.what, &self.mail) {
            return self.notify(&item, mail, (*about, whom.clone()), stop).await;
        }
        let producer = match self.callers.producer(system) {
            Ok(producer) => producer,
            Err(why) => return self.judged(&item, system, Judgement::RetryLater { why }).await,
        };
        let composed = match self.composed(&item, system).await {
            Ok(composed) => composed,
            Err(ComposeError::NotTold) => return self.record(&item, Outcome::Delivered).await,
            Err(error) => {
                let why = format!("it cannot be written: {}", Chain(&error));
                if error.may_pass() {
                    return self.judged(&item, system, Judgement::RetryLater { why }).await;
                }
                return self.record(&item, Outcome::Parked { why }).await;
            }
        };
        if let Some(question) = composed.before() {
            match self.is_active(question, producer.as_ref(), system, composed.trace()).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "the person has no active inbox".to_owned();
                    return self.record(&item, Outcome::Unreachable { why }).await;
                }
                // A question changes nothing: it can always be asked again.
                Err(Judgement::Unknown { why }) => {
                    return self.judged(&item, system, Judgement::RetryLater { why }).await;
                }
                Err(judgement) => return self.judged(&item, system, judgement).await,
            }
        }
        if stop.is_cancelled() {
            return Went::Well;
        }
        let span = tracing::info_span!("delivery", trace.id = %composed.trace());
        self.send(item, composed, producer.as_ref(), system).instrument(span).await
    }

    /// Records are read from disk by a thread that may wait for it.
    async fn composed(&self, item: &Item, system: &Arc<System>) -> Result<Composed, ComposeError> {
        let (cases, routing) = (self.cases.clone(), self.routing.get());
        let (item, system) = (item.clone(), Arc::clone(system));
        let work = move || compose::compose(&cases, &item, &routing.table, &system);
        self.cases.engine().blocking(work).await.unwrap_or(Err(ComposeError::Thread))
    }

    async fn send(
        &self,
        item: Item,
        composed: Composed,
        producer: &dyn Caller,
        system: &System,
    ) -> Went {
        let item = match self.leased(&item, system).await {
            Ok(item) => item,
            Err(went) => return went,
        };
        let reader = composed.reader();
        let (trace, begun, start) = (composed.trace().clone(), self.cases.now(), Instant::now());
        let seen = producer.call(composed.into_call(system, self.cases.blobs())).await;
        self.export(&trace, &item, system, begun, start.elapsed(), &seen);
        let reading = match &seen {
            Seen::Answered(answer) => reader.read(answer),
            Seen::NotSent { .. } | Seen::Unknown { .. } => compose::Read::of(SoapReading::NotSoap),
        };
        match reading.unreachable {
            Some(why) => self.record(&item, Outcome::Unreachable { why }).await,
            None => self.judged(&item, system, judge(&seen, reading.soap)).await,
        }
    }

    /// The item, leased for one call to `system`; or what the attempt came to without.
    async fn leased(&self, item: &Item, system: &System) -> Result<Item, Went> {
        let until = clock::after(self.cases.now(), system.timeout + LEASE_MARGIN);
        match self.cases.lease(item.id, until).await {
            Ok(item) => Ok(item),
            // Somebody has decided about it meanwhile.
            Err(OutboxError::NotNow { .. } | OutboxError::NoSuch(_)) => Err(Went::Well),
            Err(error @ OutboxError::Store(_)) => {
                tracing::warn!(outgoing.id = %item.id, "not leased: {}", Chain(&error));
                Err(Went::Badly)
            }
        }
    }

    /// The span of one attempt.
    fn export(
        &self,
        trace: &Trace,
        item: &Item,
        system: &System,
        start: jiff::Timestamp,
        time: Duration,
        seen: &Seen,
    ) {
        let Some(spans) = &self.spans else { return };
        let (status, failed) = match seen {
            Seen::Answered(answer) => (Some(answer.status), None),
            Seen::NotSent { why, .. } | Seen::Unknown { why, .. } => (None, Some(why.clone())),
        };
        spans.end(Span {
            trace,
            side: Side::Client,
            name: debt(item).to_owned(),
            start,
            time,
            attributes: vec![
                ("outgoing.id", item.id.to_string()),
                ("outgoing.to", item.to.clone()),
                ("case.number", item.number.to_string()),
                ("url.original", system.url.as_deref().unwrap_or_default().to_owned()),
            ],
            status,
            failed,
        });
    }

    async fn is_active(
        &self,
        question: compose::Question,
        producer: &dyn Caller,
        system: &System,
        trace: &Trace,
    ) -> Result<bool, Judgement> {
        let seen = producer.call(question.into_call(system, &trace.child())).await;
        let Seen::Answered(answer) = &seen else {
            return Err(judge(&seen, SoapReading::NotSoap));
        };
        compose::is_active(answer).map_err(|reading| judge(&seen, reading))
    }

    async fn judged(&self, item: &Item, system: &System, judgement: Judgement) -> Went {
        let outcome = policy::outcome(judgement, self.attempt(item), &Policy::of(system));
        self.record(item, outcome).await
    }

    /// Records an outcome, for as long as it takes the store to take it: what was seen must not be
    /// forgotten while the process lives.
    async fn record(&self, item: &Item, outcome: Outcome) -> Went {
        tell(item, &outcome);
        self.note(item, &outcome);
        // A system that refuses everything is rested too: each refusal is one for a person to mend.
        let went = match outcome {
            Outcome::Delivered | Outcome::Unreachable { .. } => Went::Well,
            Outcome::Again { .. } | Outcome::Unknown { .. } | Outcome::Parked { .. } => Went::Badly,
        };
        let mut waits = RECORD_WAITS.iter();
        let mut wait = Duration::ZERO;
        loop {
            let error = match self.cases.tried(item, outcome.clone()).await {
                Ok(_) | Err(OutboxError::NoSuch(_) | OutboxError::NotNow { .. }) => return went,
                Err(OutboxError::Store(error)) => error,
            };
            tracing::error!(outgoing.id = %item.id, "outcome not recorded: {}", Chain(&error));
            let next = waits.next().copied();
            wait = match error {
                // The next run finds the lease.
                SubmitError::Closed => return Went::Badly,
                SubmitError::Unavailable(_) | SubmitError::Overloaded => next.unwrap_or(wait),
                // Not the disk but this record: the lease runs out, and it is looked at again.
                SubmitError::Refused(_) | SubmitError::Panicked(_) => match next {
                    Some(next) => next,
                    None => return Went::Badly,
                },
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn note(&self, item: &Item, outcome: &Outcome) {
        let last = LastSeen { at: self.cases.now(), outcome: name(outcome).to_owned() };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(item.to.clone(), last);
    }

    fn attempt(&self, item: &Item) -> Attempt {
        let leased = matches!(item.state, ItemState::Leased { .. });
        let number = if leased { item.attempts } else { item.attempts + 1 };
        Attempt { item: item.id, number, since: item.since, now: self.cases.now() }
    }

    fn system(&self, id: &str) -> Option<Arc<System>> {
        if id == MAIL {
            return self.mail.as_ref().map(|it| Arc::clone(&it.system));
        }
        self.routing.get().table.system(id)
    }
}

/// The attempts at one system that are under way.
#[derive(Default)]
struct Round {
    under_way: JoinSet<Went>,
    busy: BTreeMap<Id, ItemId>,
    pace: Pace,
}

impl Round {
    fn ended(&mut self, ended: Result<(Id, Went), JoinError>) -> Option<Duration> {
        let (task, went) = ended.unwrap_or_else(|error| (error.id(), Went::Badly));
        self.busy.remove(&task);
        self.pace.ended(went, Instant::now())
    }
}

/// The systems that the configuration lets something be owed to.
fn configured(table: &Table) -> BTreeSet<String> {
    let platform = table.platform();
    let queued = table.systems().filter(|it| it.delivery == crate::tak::Delivery::Queued);
    let mut ids: BTreeSet<String> = queued.filter_map(|it| it.id.clone()).collect();
    ids.insert(platform.inkorg.clone());
    ids.extend(platform.onward.clone());
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

const fn debt(item: &Item) -> &'static str {
    match item.what {
        Debt::Relay { .. } => "relay",
        Debt::Letter => "letter",
        Debt::Onward => "onward",
        Debt::Notice { .. } => "notice",
    }
}

fn tell(item: &Item, outcome: &Outcome) {
    let what = debt(item);
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
