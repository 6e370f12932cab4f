//! The engine: one writer runs the waiting jobs, syncs once for all of them, then answers.
//!
//! What a record means is the [`Fold`]'s affair. A job sees the views with everything before it in
//! them, appends records, and is answered when they are on disk; a job that fails leaves no trace.

use std::any::Any;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot, watch};

use crate::clock::Clock;
use crate::limits;
use crate::store::journal::disk::Disk;
use crate::store::journal::{
    JournalError, JournalReport, Position, ReadError, Reader, Records, Verdict,
};
use crate::store::keys::KeyError;
use crate::store::views::{Entry, Scan, Table, ViewError, Views};

mod hand;
mod lock;
mod open;
#[cfg(test)]
mod tests;
mod transaction;
mod writer;

pub use hand::Hand;
pub use transaction::{Transaction, ViewWriter};
use writer::{Call, Message};

/// A record as what it is, for the fold that knows it.
pub type Handed = Box<dyn Any + Send>;

/// What records mean: how each one changes the views.
///
/// The views are a function of the records alone. A fold may keep buffers in `self`, never state
/// that depends on records: a record can be folded and then rolled back with its job.
pub trait Fold: Send + 'static {
    /// The layout of the views. Another number than last time makes the views again.
    fn layout(&self) -> u32;

    /// The form in which a payload is kept, where it is another: what is appended, and what
    /// [`Fold::apply`] and every reader then see. An error refuses the record.
    fn seal(
        &mut self,
        _payload: &[u8],
        _views: &ViewWriter<'_>,
    ) -> Result<Option<Vec<u8>>, FoldError> {
        Ok(None)
    }

    /// The form in which a record is kept that is handed in as what it is: what is appended. The fold
    /// may keep the record until [`Fold::apply`], which follows at once.
    fn write(&mut self, _record: Handed, _views: &ViewWriter<'_>) -> Result<Vec<u8>, FoldError> {
        Err(FoldError::Record("this fold takes records as bytes only".into()))
    }

    /// What stands for `text` where what is kept must not tell it.
    fn blind(&self, text: &str) -> String {
        text.to_owned()
    }

    /// Brings the record `seq` into the views. An error refuses the record where it is being
    /// appended, and stops the opening where it is being folded again.
    fn apply(
        &mut self,
        seq: u64,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError>;
}

/// Why a record could not be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The views could not be read or written.
    #[error("the views refused")]
    Views(#[from] ViewError),
    /// The record is not one that this program understands.
    #[error("the record cannot be understood")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Where a store lies and what it is bounded by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the store.
    pub dir: PathBuf,
    /// Free bytes on its disk below which nothing more is taken.
    pub free_bytes_min: u64,
    /// When a journal segment is full, in bytes.
    pub segment_bytes: u64,
    /// How often a store that is unavailable tries to come back.
    pub probe_interval: Duration,
}

impl Settings {
    /// The usual bounds.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            free_bytes_min: limits::STORE_FREE_BYTES_MIN,
            segment_bytes: limits::SEGMENT_BYTES_MAX,
            probe_interval: limits::STORE_PROBE_INTERVAL,
        }
    }
}

/// What a store cannot do, and why.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the folder.
    #[error(
        "the store in {} is used by process {pid}; stop it first, or name another folder",
        dir.display()
    )]
    InUse {
        /// The folder of the store.
        dir: PathBuf,
        /// What the lock file says.
        pid: String,
    },
    /// The folder, or something in it, cannot be used.
    #[error("{doing} in the store's folder {}", dir.display())]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// The folder of the store.
        dir: PathBuf,
        /// What the disk said.
        #[source]
        source: std::io::Error,
    },
    /// The journal said no.
    #[error("the journal")]
    Journal(#[from] JournalError),
    /// A record cannot be given.
    #[error("reading a record")]
    Read(#[from] ReadError),
    /// The views said no.
    #[error("the views")]
    Views(#[from] ViewError),
    /// A record could not be folded.
    #[error("record {seq} could not be brought into the views")]
    Fold {
        /// The number of the record.
        seq: u64,
        /// Why.
        #[source]
        source: FoldError,
    },
    /// The keys of the store cannot be used.
    #[error("the keys of the store")]
    Keys(#[from] KeyError),
    /// The writer cannot be started.
    #[error("starting the store's writer")]
    Thread(#[source] std::io::Error),
}

/// Since when and why the store takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// Since when.
    pub since: Timestamp,
    /// Why, for staff who run the store.
    pub why: String,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError<E> {
    /// The job itself refused; nothing has changed.
    #[error("the job refused")]
    Refused(#[source] E),
    /// Too many jobs wait; nothing has changed.
    #[error("{} jobs wait for the store already", limits::STORE_QUEUE_MAX)]
    Overloaded,
    /// The store takes nothing for the moment. Where the disk failed under this very job its
    /// records may be found after a restart all the same: the caller repeats it with the same
    /// idempotency key.
    #[error("the store has been unavailable since {}: {}", .0.since, .0.why)]
    Unavailable(Unavailable),
    /// The job panicked; nothing has changed.
    #[error("the job gave up: {0}")]
    Panicked(String),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// How the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `None` while the store takes jobs.
    pub unavailable: Option<Unavailable>,
    /// The number of the last record that is on disk.
    pub durable_seq: u64,
    /// Jobs that wait.
    pub queue: usize,
    /// Free bytes on the disk, at most a second old; `None` where nobody can tell.
    pub free_bytes: Option<u64>,
    /// Journal segments.
    pub segments: usize,
    /// How long the last write and sync took.
    pub last_sync: Duration,
    /// Jobs answered by the last sync.
    pub last_batch_jobs: usize,
    /// Bytes written by the last sync.
    pub last_batch_bytes: usize,
    /// Batches written since the start; each is one sync.
    pub batches: u64,
    /// Bytes written to the journal since the start.
    pub bytes: u64,
    /// Jobs run since the start.
    pub jobs: u64,
    /// Damaged parts of the journal found at the start.
    pub damage: u64,
}

/// Why and how the views were brought up to the journal when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewsReport {
    /// They stood where the journal ends.
    Current,
    /// They were behind.
    CaughtUp {
        /// Records folded.
        records: u64,
    },
    /// They were made again from the first record.
    Rebuilt {
        /// Why.
        why: String,
        /// Records folded.
        records: u64,
    },
}

/// What was found when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The journal.
    pub journal: JournalReport,
    /// The views.
    pub views: ViewsReport,
    /// Damaged parts met while records were folded.
    pub damage_folded: u64,
    /// How long it took.
    pub took: Duration,
}

/// What the writer and everybody else look at.
#[derive(Debug)]
struct Shared {
    views: Views,
    reader: Arc<Reader>,
    health: Mutex<Health>,
    waiting: AtomicUsize,
    /// The writer is no more.
    ended: AtomicBool,
    durable: watch::Sender<u64>,
}

/// The store's engine. Clones are the same engine; when the last is gone the writer finishes what
/// waits and ends.
#[derive(Debug, Clone)]
pub struct Engine {
    sender: SyncSender<Message>,
    shared: Arc<Shared>,
    /// Tells a writer without a thread that something waits.
    bell: Option<Arc<Notify>>,
}

impl Engine {
    /// Opens the store in `settings.dir`, making it where there is none: locks the folder, checks
    /// the journal, brings the views up to it, and starts the writer.
    pub fn open<F: Fold>(
        settings: &Settings,
        fold: F,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport), StoreError> {
        Self::open_with(settings, || Ok(fold), clock)
    }

    /// The same with a fold that is made once the folder is locked.
    pub fn open_with<F: Fold>(
        settings: &Settings,
        fold: impl FnOnce() -> Result<F, StoreError>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport), StoreError> {
        open::in_folder(settings, fold, clock)
    }

    /// The same over any disk and any table: for tests and simulation. `boot` names the run of the
    /// machine; `settings.dir` is not looked at.
    pub fn open_on<F: Fold>(
        settings: &Settings,
        disk: Arc<dyn Disk>,
        table: Arc<dyn Table>,
        boot: &str,
        fold: F,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, OpenReport), StoreError> {
        let ground = open::Ground { disk, table, boot: boot.to_owned(), doubt: None, lock: None };
        open::on(settings, ground, fold, clock)
    }

    /// As [`Engine::open_on`], without a thread: the writer works when its [`Hand`] is told to, so
    /// that a simulation decides when, and the same run can be made again.
    pub fn open_by_hand<F: Fold>(
        settings: &Settings,
        disk: Arc<dyn Disk>,
        table: Arc<dyn Table>,
        boot: &str,
        fold: F,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Hand, OpenReport), StoreError> {
        let ground = open::Ground { disk, table, boot: boot.to_owned(), doubt: None, lock: None };
        open::by_hand(settings, ground, fold, clock)
    }

    /// Runs `work`, which may wait for the disk, where that holds up nobody; `None` if it panicked.
    /// An engine that is moved by hand has no threads: there it is run at once.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        match self.bell {
            Some(_) => Some(work()),
            None => tokio::task::spawn_blocking(work).await.ok(),
        }
    }

    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.notify_one();
        }
    }

    /// Runs `job` and gives its answer once everything it appended, and everything it saw, is on
    /// disk. Jobs run one at a time, in the order in which they came. From the first poll on the
    /// job is run even if the future is dropped. Jobs must not wait for anything.
    pub async fn submit<T, E>(
        &self,
        job: impl FnOnce(&mut Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, SubmitError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        if let Some(unavailable) = self.unavailable() {
            return Err(match self.shared.ended.load(Ordering::Acquire) {
                true => SubmitError::Closed,
                false => SubmitError::Unavailable(unavailable),
            });
        }
        let (reply, answer) = oneshot::channel();
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let call = Message::Job(Box::new(Call::new(job, reply)));
        if let Err(refused) = self.sender.try_send(call) {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match refused {
                TrySendError::Full(_) => SubmitError::Overloaded,
                TrySendError::Disconnected(_) => SubmitError::Closed,
            });
        }
        self.ring();
        answer.await.unwrap_or(Err(SubmitError::Closed))
    }

    fn unavailable(&self) -> Option<Unavailable> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).unavailable.clone()
    }

    /// What is applied of the views: at least everything that has been answered.
    #[must_use]
    pub fn views(&self) -> Views {
        self.shared.views.clone()
    }

    /// The value of `key` in the views.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        self.shared.views.get(key)
    }

    /// The entries of the views that `scan` covers.
    pub fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, ViewError> {
        self.shared.views.scan(scan)
    }

    /// The payload of the record at `position`. Reads the disk: from a blocking thread.
    pub fn read(&self, position: Position) -> Result<Vec<u8>, ReadError> {
        self.shared.reader.read(position)
    }

    /// All records on disk, in order, after `after` or from the first. Reads the disk.
    #[must_use]
    pub fn records(&self, after: Option<Position>) -> Records {
        self.shared.reader.records(after)
    }

    /// What reads the journal, for a copy of it.
    #[must_use]
    pub fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.shared.reader)
    }

    /// Checks every byte of the journal. Reads the whole disk: minutes for a large store.
    pub fn verify(&self) -> Result<Verdict, ReadError> {
        self.shared.reader.verify()
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        let mut health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        health.queue = self.shared.waiting.load(Ordering::Relaxed);
        health.segments = self.shared.reader.segments();
        health
    }

    /// Changes after each batch that is on disk and in the views: the number of its last record.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// Takes no more jobs, finishes those that wait, brings the views to disk and lets go of the
    /// folder.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        let mut message = Message::Close(reply);
        loop {
            match self.sender.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(back)) => message = back,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.ring();
        // An error means that the writer is gone, which is what was asked for.
        answer.await.unwrap_or_default();
    }
}

/// Does `work` while no engine can have the store in `dir`.
///
/// # Errors
/// When somebody has it, or the folder cannot be used.
pub fn locked<T>(dir: &Path, work: impl FnOnce() -> T) -> Result<T, StoreError> {
    let lock = FolderLock::take(dir)?;
    let done = work();
    drop(lock);
    Ok(done)
}

/// What a panic said, where it said something.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// An error and all that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The lock on the folder: held as long as the value lives.
#[derive(Debug)]
struct FolderLock {
    _file: File,
}
