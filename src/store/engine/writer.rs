//! The writer: gathers jobs, runs them, syncs once, applies the views, answers.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::open::Folding;
use super::transaction::{Apply, Transaction};
use super::{
    FolderLock, Health, Settings, Shared, StoreError, SubmitError, Unavailable, chain, panic_text,
};
use crate::clock::Clock;
use crate::limits;
use crate::store::journal::disk::Disk;
use crate::store::journal::{Journal, Position};
use crate::store::views::{Origin, Overlay, Table, ViewError};

/// What comes to the writer.
pub(super) enum Message {
    Job(Box<dyn Job>),
    Close(oneshot::Sender<()>),
}

/// A job without its types.
pub(super) trait Job: Send {
    /// Runs it; whether what it did is to be kept.
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool;
    /// The transaction failed or panicked under it.
    fn gave_up(&mut self, why: String);
    /// Answers the caller, who may be gone.
    fn answer(self: Box<Self>, outcome: Result<(), &Unavailable>);
}

/// A job with its types and its caller.
pub(super) struct Call<F, T, E> {
    job: Option<F>,
    done: Option<Result<T, SubmitError<E>>>,
    reply: oneshot::Sender<Result<T, SubmitError<E>>>,
}

impl<F, T, E> Call<F, T, E> {
    pub(super) fn new(job: F, reply: oneshot::Sender<Result<T, SubmitError<E>>>) -> Self {
        Self { job: Some(job), done: None, reply }
    }
}

impl<F, T, E> Job for Call<F, T, E>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, transaction: &mut Transaction<'_>) -> bool {
        let Some(job) = self.job.take() else { return false };
        let done = job(transaction);
        let keep = done.is_ok();
        self.done = Some(done.map_err(SubmitError::Refused));
        keep
    }

    fn gave_up(&mut self, why: String) {
        self.done = Some(Err(SubmitError::Panicked(why)));
    }

    fn answer(self: Box<Self>, outcome: Result<(), &Unavailable>) {
        let answer = match (outcome, self.done) {
            (Ok(()), Some(done)) => done,
            // What a job refused or saw may rest on records that are not there now.
            (Err(unavailable), _) => Err(SubmitError::Unavailable(unavailable.clone())),
            (Ok(()), None) => Err(SubmitError::Closed),
        };
        // A caller that has hung up finds the answer when it asks again.
        drop(self.reply.send(answer));
    }
}

/// The one thread that writes.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) overlay: Overlay,
    pub(super) table: Arc<dyn Table>,
    pub(super) fold: Box<dyn Apply>,
    /// What the views are made from.
    pub(super) origin: Origin,
    pub(super) disk: Arc<dyn Disk>,
    /// The time at the last look at the clock.
    pub(super) latest: Timestamp,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Settings,
    pub(super) last: Option<Position>,
    pub(super) free_asked: Option<Instant>,
    pub(super) probed: Instant,
    pub(super) lock: Option<FolderLock>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Writer {
    /// Works until it is told to close or everybody is gone.
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        let closing = loop {
            let next = receiver.recv_timeout(self.settings.probe_interval);
            if let ControlFlow::Break(closing) = self.turn(next, receiver) {
                break closing;
            }
        };
        self.finish(closing);
    }

    /// Deals with what has come, or with nothing having come in a while. Ends with the reply to
    /// whoever asked for the end.
    pub(super) fn turn(
        &mut self,
        next: Result<Message, RecvTimeoutError>,
        receiver: &Receiver<Message>,
    ) -> ControlFlow<Option<oneshot::Sender<()>>> {
        self.probe();
        match next {
            Ok(first) => match self.batch(first, receiver) {
                None => ControlFlow::Continue(()),
                closing @ Some(_) => ControlFlow::Break(closing),
            },
            Err(RecvTimeoutError::Timeout) => {
                self.look();
                ControlFlow::Continue(())
            }
            Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(None),
        }
    }

    /// Brings the views to disk, lets go of the folder, and tells whoever asked for the end.
    pub(super) fn finish(&mut self, closing: Option<oneshot::Sender<()>>) {
        if let Err(error) = self.apply().and_then(|()| self.table.flush()) {
            tracing::warn!(error = %chain(&error), "the views could not be brought to disk at close");
        }
        self.table.close();
        drop(self.lock.take());
        if let Some(reply) = closing {
            // Whoever asked may be gone.
            reply.send(()).unwrap_or_default();
        }
    }

    /// Runs `first` and what waits behind it, then answers all. Gives the reply to a close.
    fn batch(
        &mut self,
        first: Message,
        receiver: &Receiver<Message>,
    ) -> Option<oneshot::Sender<()>> {
        let mut jobs = Vec::new();
        let mut next = Some(first);
        let mut closing = None;
        let mut ready = self.unavailable().map_or_else(|| self.ready(), Err);
        while let Some(message) = next.take() {
            match message {
                Message::Close(reply) => {
                    closing = Some(reply);
                    break;
                }
                Message::Job(mut job) => {
                    self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    if ready.is_ok() {
                        ready = self.run_job(job.as_mut());
                    }
                    jobs.push(job);
                }
            }
            let full = self.journal.staged_bytes() >= limits::BATCH_BYTES_MAX;
            if ready.is_ok() && !full && jobs.len() < limits::BATCH_JOBS_MAX {
                next = receiver.try_recv().ok();
            }
        }
        let outcome = match ready {
            Ok(()) => self.commit(jobs.len()),
            Err(unavailable) => {
                self.forget_batch();
                Err(unavailable)
            }
        };
        for job in jobs {
            job.answer(outcome.as_ref().copied());
        }
        closing
    }

    /// Whether a batch may begin: space on the disk, and a segment to write to.
    fn ready(&mut self) -> Result<(), Unavailable> {
        if self.shared.views.marks.doubted.load(Ordering::Acquire) {
            return Err(self.give_up("the view database has failed".to_owned()));
        }
        self.room()?;
        match self.journal.prepare() {
            Ok(()) => Ok(()),
            Err(error) => Err(self.give_up(chain(&error))),
        }
    }

    fn room(&mut self) -> Result<(), Unavailable> {
        let least = self.settings.free_bytes_min;
        match self.free_bytes() {
            Some(free) if free < least => {
                let why = format!("{free} bytes are free on the store's disk, {least} are needed");
                Err(self.give_up(why))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// With nothing to do: a disk that has filled up is told before a message is refused for it.
    fn look(&mut self) {
        if self.unavailable().is_none() && self.room().is_err() {
            tracing::debug!("found while nothing was being written");
        }
    }

    /// Runs one job; what it did stays staged only if it ends well.
    fn run_job(&mut self, job: &mut dyn Job) -> Result<(), Unavailable> {
        let (records, changes) = (self.journal.savepoint(), self.overlay.savepoint());
        let now = self.now();
        let mut transaction = Transaction {
            journal: &mut self.journal,
            overlay: &mut self.overlay,
            table: self.table.as_ref(),
            fold: self.fold.as_mut(),
            now,
            failed: None,
            views_failed: false,
        };
        let ran = catch_unwind(AssertUnwindSafe(|| job.run(&mut transaction)));
        let (failed, views_failed) = (transaction.failed.take(), transaction.views_failed);
        let keep = match (ran, &failed) {
            (Ok(keep), None) => keep,
            (Ok(true), Some(why)) => {
                job.gave_up(format!("it went on after a failure: {why}"));
                false
            }
            (Ok(false), Some(_)) => false,
            (Err(panic), _) => {
                let why = panic_text(panic.as_ref());
                tracing::error!(why = %why, "a job of the store panicked and was rolled back");
                job.gave_up(why);
                false
            }
        };
        if !keep {
            self.journal.roll_back(records);
            self.overlay.roll_back(changes);
        }
        if views_failed {
            self.shared.views.marks.doubted.store(true, Ordering::Release);
            return Err(self.give_up(failed.unwrap_or_default()));
        }
        Ok(())
    }

    /// One write and one sync for all that is staged, then the views.
    fn commit(&mut self, jobs: usize) -> Result<(), Unavailable> {
        let bytes = self.journal.staged_bytes();
        if bytes > 0 {
            let began = Instant::now();
            if let Err(error) = self.journal.commit() {
                let why = chain(&error);
                self.forget_batch();
                return Err(self.give_up(why));
            }
            let took = began.elapsed();
            self.note(|health| {
                health.last_sync = took;
                health.last_batch_jobs = jobs;
                health.last_batch_bytes = bytes;
                health.batches += 1;
                health.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            });
            self.last = self.journal.last_position();
            self.overlay.settle();
            if let Err(error) = self.apply() {
                // The journal has it: the promise is kept, and the views wait.
                self.give_up(chain(&error));
            }
        }
        let seq = self.journal.durable_seq();
        self.note(|health| {
            health.durable_seq = seq;
            health.jobs += u64::try_from(jobs).unwrap_or(0);
        });
        if bytes > 0 {
            self.shared.durable.send_replace(seq);
        }
        Ok(())
    }

    /// Brings the views to the last record on disk.
    fn apply(&mut self) -> Result<(), ViewError> {
        let Some(last) = self.last else { return Ok(()) };
        if let Err(error) = self.overlay.apply(self.table.as_ref(), last) {
            self.shared.views.marks.behind.store(true, Ordering::Release);
            return Err(error);
        }
        self.last = None;
        self.shared.views.marks.behind.store(false, Ordering::Release);
        Ok(())
    }

    /// Brings the views to the journal's end again, by making them anew where they are in doubt.
    fn mend(&mut self) -> Result<(), StoreError> {
        let marks = Arc::clone(&self.shared.views.marks);
        if !marks.doubted.load(Ordering::Acquire) && self.apply().is_ok() {
            return Ok(());
        }
        marks.doubted.store(true, Ordering::Release);
        marks.behind.store(true, Ordering::Release);
        let mut folding = Folding::new(self.table.as_ref(), self.fold.as_mut(), &self.journal);
        let why = "the view database has failed".to_owned();
        let report = folding.bring(Some(why), None, &self.origin)?;
        tracing::warn!(views = ?report, "made the views again");
        self.overlay.clear();
        self.last = None;
        marks.doubted.store(false, Ordering::Release);
        marks.behind.store(false, Ordering::Release);
        Ok(())
    }

    fn forget_batch(&mut self) {
        self.journal.forget();
        self.overlay.roll_back(0);
    }

    /// Tries to come back, at most once in an interval.
    fn probe(&mut self) {
        if self.unavailable().is_none() || self.probed.elapsed() < self.settings.probe_interval {
            return;
        }
        self.probed = Instant::now();
        self.free_asked = None;
        if let Err(error) = self.mend() {
            self.give_up(chain(&error));
            return;
        }
        if self.ready().is_ok() {
            self.note(|health| health.unavailable = None);
            tracing::info!("the store is available again");
        }
    }

    /// Notes that nobody writes any more, however the writer came to its end.
    fn end(&self) {
        self.shared.ended.store(true, Ordering::Release);
        let (since, why) = (self.latest, "the store's writer has ended".to_owned());
        self.note(|health| {
            health.unavailable.get_or_insert(Unavailable { since, why });
        });
    }

    fn unavailable(&self) -> Option<Unavailable> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).unavailable.clone()
    }

    /// Notes that nothing is taken from now on; the first moment stands.
    fn give_up(&mut self, why: String) -> Unavailable {
        let since = self.unavailable().map(|earlier| earlier.since);
        let since = since.unwrap_or_else(|| self.now());
        let unavailable = Unavailable { since, why };
        if self.unavailable().is_none() {
            tracing::error!(why = %unavailable.why, "the store is unavailable");
            self.probed = Instant::now();
        }
        self.note(|health| health.unavailable = Some(unavailable.clone()));
        unavailable
    }

    fn now(&mut self) -> Timestamp {
        self.latest = self.clock.now();
        self.latest
    }

    fn note(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.shared.health.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Free bytes, asked for at most once in an interval.
    fn free_bytes(&mut self) -> Option<u64> {
        let fresh = self.free_asked.is_some_and(|at| at.elapsed() < limits::STORE_PROBE_INTERVAL);
        if !fresh {
            self.free_asked = Some(Instant::now());
            let free = self.disk.free_bytes().ok();
            self.note(|health| health.free_bytes = free);
        }
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).free_bytes
    }
}
