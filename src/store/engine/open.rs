//! Opening a store: the lock, the journal, the views brought up to it, the writer.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::hand::Hand;
use super::transaction::{Apply, ViewWriter};
use super::writer::Writer;
use super::{
    Engine, Fold, FoldError, FolderLock, Health, OpenReport, Settings, Shared, StoreError,
    ViewsReport, chain, panic_text,
};
use crate::clock::Clock;
use crate::limits;
use crate::store::journal::disk::{Disk, FolderDisk};
use crate::store::journal::{Journal, Known, Position, ReadError, Record};
use crate::store::views::{Origin, Overlay, SledTable, Table, Views};

/// What a store stands on.
pub(super) struct Ground {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) table: Arc<dyn Table>,
    pub(super) boot: String,
    /// Why the views that were found could not be used.
    pub(super) doubt: Option<String>,
    pub(super) lock: Option<FolderLock>,
}

pub(super) fn in_folder<F: Fold>(
    settings: &Settings,
    fold: impl FnOnce() -> Result<F, StoreError>,
    clock: Arc<dyn Clock>,
) -> Result<(Engine, OpenReport), StoreError> {
    let dir = settings.dir.as_path();
    let folder = |doing| move |source| StoreError::Folder { doing, dir: dir.to_owned(), source };
    // What is in it is about patients: nobody else on the machine looks in.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .and_then(|()| match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        })
        .map_err(folder("making the folder"))?;
    let lock = FolderLock::take(dir)?;
    let fold = fold()?;
    let disk = FolderDisk::open(&dir.join("journal")).map_err(folder("opening journal/"))?;
    let table = SledTable::open(&dir.join("views"))?;
    let doubt = table.take_doubt().map(|error| chain(&error));
    let boot =
        boot_id().map_err(folder("reading the machine's boot id, while opening the views"))?;
    let (disk, table) = (Arc::new(disk), Arc::new(table));
    on(settings, Ground { disk, table, boot, doubt, lock: Some(lock) }, fold, clock)
}

/// On `ground`, with a thread that writes.
pub(super) fn on<F: Fold>(
    settings: &Settings,
    ground: Ground,
    fold: F,
    clock: Arc<dyn Clock>,
) -> Result<(Engine, OpenReport), StoreError> {
    let (writer, report) = prepare(settings, ground, fold, clock)?;
    let shared = Arc::clone(&writer.shared);
    let (sender, receiver) = sync_channel(limits::STORE_QUEUE_MAX);
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run(&receiver))
        .map_err(StoreError::Thread)?;
    Ok((Engine { sender, shared, bell: None }, report))
}

/// On `ground`, with a writer that works when it is told to.
pub(super) fn by_hand<F: Fold>(
    settings: &Settings,
    ground: Ground,
    fold: F,
    clock: Arc<dyn Clock>,
) -> Result<(Engine, Hand, OpenReport), StoreError> {
    let (writer, report) = prepare(settings, ground, fold, clock)?;
    let shared = Arc::clone(&writer.shared);
    let (sender, receiver) = sync_channel(limits::STORE_QUEUE_MAX);
    let bell = Arc::new(Notify::new());
    let hand = Hand { writer, receiver, bell: Arc::clone(&bell) };
    Ok((Engine { sender, shared, bell: Some(bell) }, hand, report))
}

fn prepare<F: Fold>(
    settings: &Settings,
    ground: Ground,
    mut fold: F,
    clock: Arc<dyn Clock>,
) -> Result<(Writer, OpenReport), StoreError> {
    let began = Instant::now();
    let Ground { disk, table, boot, doubt, lock } = ground;
    let standing = table.standing()?;
    let known = standing.as_ref().map(|(origin, applied)| Known {
        journal: origin.journal,
        seq: applied.map_or(0, |position| position.seq),
    });
    let (journal, report) = Journal::open(Arc::clone(&disk), known, settings.segment_bytes)?;
    for damage in &report.damage {
        tracing::error!(damage = %damage, "the journal is damaged; the rest of it is served");
    }
    let origin = Origin { journal: journal.id(), layout: fold.layout(), boot };
    let why = doubt.or_else(|| reason(standing.as_ref(), &origin, report.last_seq));
    let mut folding = Folding::new(table.as_ref(), &mut fold, &journal);
    let views = folding.bring(why, standing.and_then(|(_, applied)| applied), &origin)?;
    let damage_folded = folding.damage;
    let took = began.elapsed();
    tracing::info!(
        records = report.last_seq,
        segments = report.segments,
        views = ?views,
        took = ?took,
        "opened the store"
    );
    let damage = u64::try_from(report.damage.len()).unwrap_or(0) + report.damage_more;
    let open = OpenReport { journal: report, views, damage_folded, took };
    let writer =
        writer_on(settings, (journal, disk, table, origin, lock), Box::new(fold), clock, damage);
    Ok((writer, open))
}

/// Why the views must be made again; `None` where they can be gone on from.
fn reason(
    standing: Option<&(Origin, Option<Position>)>,
    origin: &Origin,
    last_seq: u64,
) -> Option<String> {
    let Some((found, applied)) = standing else { return Some("there are none".to_owned()) };
    if found.journal != origin.journal {
        return Some("they were made from another journal, of which they saw nothing".to_owned());
    }
    if found.layout != origin.layout {
        return Some(format!("they have layout {}, wanted is {}", found.layout, origin.layout));
    }
    if found.boot != origin.boot {
        return Some("the machine has been started since".to_owned());
    }
    match applied {
        Some(at) if at.seq > last_seq => {
            Some(format!("they are at record {}, the journal ends at {last_seq}", at.seq))
        }
        Some(_) | None => None,
    }
}

/// Records on their way into the views.
pub(super) struct Folding<'a> {
    table: &'a dyn Table,
    fold: &'a mut dyn Apply,
    journal: &'a Journal,
    overlay: Overlay,
    damage: u64,
}

impl<'a> Folding<'a> {
    pub(super) fn new(table: &'a dyn Table, fold: &'a mut dyn Apply, journal: &'a Journal) -> Self {
        Self { table, fold, journal, overlay: Overlay::default(), damage: 0 }
    }

    /// Brings the views to the end of the journal, from the start where `why` says so.
    pub(super) fn bring(
        &mut self,
        why: Option<String>,
        applied: Option<Position>,
        origin: &Origin,
    ) -> Result<ViewsReport, StoreError> {
        let Some(why) = why else {
            let records = self.fold_after(applied)?;
            return Ok(match records {
                0 => ViewsReport::Current,
                records => ViewsReport::CaughtUp { records },
            });
        };
        tracing::info!(why = %why, "making the views from the journal");
        self.table.renew(origin)?;
        let records = self.fold_after(None)?;
        Ok(ViewsReport::Rebuilt { why, records })
    }

    fn fold_after(&mut self, applied: Option<Position>) -> Result<u64, StoreError> {
        let mut records = 0;
        let mut last = None;
        let mut held = 0;
        for record in self.journal.reader().records(applied) {
            let record = match record {
                Ok(record) => record,
                Err(ReadError::Damaged(damage)) => {
                    self.damage += 1;
                    tracing::error!(damage = %damage, "left out of the views");
                    continue;
                }
                Err(error @ ReadError::Disk { .. }) => return Err(error.into()),
            };
            self.one(&record)?;
            (records, last, held) = (records + 1, Some(record.position), held + 1);
            self.overlay.settle();
            if self.overlay.len() >= limits::REBUILD_ENTRIES_MAX || held >= 10_000 {
                self.write(last.take())?;
                held = 0;
            }
        }
        self.write(last)?;
        Ok(records)
    }

    fn one(&mut self, record: &Record) -> Result<(), StoreError> {
        let position = record.position;
        let mut views = ViewWriter { overlay: &mut self.overlay, table: self.table };
        let fold = &mut self.fold;
        catch_unwind(AssertUnwindSafe(|| fold.apply(position, &record.payload, &mut views)))
            .unwrap_or_else(|panic| Err(FoldError::Record(panic_text(panic.as_ref()).into())))
            .map_err(|source| StoreError::Fold { seq: position.seq, source })
    }

    fn write(&mut self, last: Option<Position>) -> Result<(), StoreError> {
        if let Some(last) = last {
            self.overlay.apply(self.table, last)?;
        }
        Ok(())
    }
}

type Parts = (Journal, Arc<dyn Disk>, Arc<dyn Table>, Origin, Option<FolderLock>);

fn writer_on(
    settings: &Settings,
    (journal, disk, table, origin, lock): Parts,
    fold: Box<dyn Apply>,
    clock: Arc<dyn Clock>,
    damage: u64,
) -> Writer {
    let durable_seq = journal.durable_seq();
    let health = Health {
        unavailable: None,
        durable_seq,
        queue: 0,
        free_bytes: disk.free_bytes().ok(),
        segments: 0,
        last_sync: Duration::ZERO,
        last_batch_jobs: 0,
        last_batch_bytes: 0,
        batches: 0,
        bytes: 0,
        jobs: 0,
        damage,
    };
    let shared = Arc::new(Shared {
        views: Views { table: Arc::clone(&table), marks: Arc::default() },
        reader: journal.reader(),
        health: Mutex::new(health),
        waiting: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
        durable: watch::Sender::new(durable_seq),
    });
    Writer {
        journal,
        overlay: Overlay::default(),
        table,
        fold,
        origin,
        disk,
        latest: clock.now(),
        clock,
        shared,
        settings: settings.clone(),
        last: None,
        free_asked: None,
        probed: Instant::now(),
        lock,
    }
}

fn boot_id() -> std::io::Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}
