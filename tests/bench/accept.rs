//! The durable accept: in the store alone, beside a bare append and fdatasync, sled and redb with the
//! same groups on the same disk; and over mutual TLS. `tests/bench/accept.sh` adds PostgreSQL.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use klagomal::clock::SystemClock;
use klagomal::store::engine::{Engine, Fold, FoldError, Settings, StoreError, ViewWriter};
use klagomal::store::journal::Position;

use crate::support::{Flood, Process, Tally, VC1, World, case_id, complaint};
use crate::{percentile_ms, timed};

/// One record, bytes: about what a case without attachments is.
const RECORD: usize = 2_048;
const CALLERS: usize = 64;
/// One measurement, seconds; `KLAGOMAL_SECONDS` is another.
const SECONDS: f64 = 3.0;

fn span() -> Duration {
    let seconds = std::env::var("KLAGOMAL_SECONDS").ok().and_then(|it| it.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(SECONDS))
}

struct OneKey;

impl Fold for OneKey {
    fn layout(&self) -> u32 {
        1
    }

    fn apply(
        &mut self,
        seq: u64,
        position: Position,
        _: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError> {
        let mut key = vec![b'r'];
        key.extend_from_slice(&seq.to_be_bytes());
        Ok(views.put_new(&key, position.to_bytes())?)
    }
}

pub(super) fn run() {
    // On the disk that the build is on: the temporary folder is often memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut ratios: Vec<[f64; 3]> = Vec::new();
    println!("{CALLERS} callers, {RECORD} bytes each, a second; in the store's groups");
    let a_second = |all: u64| (all as f64 / span().as_secs_f64()).round();
    for round in 0..5 {
        let path = |of: &str| dir.path().join(format!("{of}-{round}"));
        let (stored, batches) = store(&path("store"));
        let group = (stored / batches.max(1)).max(1);
        let bare = bare(&path("bare"), group).0;
        let (sled, redb) = (sled(&path("sled"), group), redb(&path("redb"), group));
        println!(
            "  store {:>6} in groups of {group}; append + fdatasync {:>6}; sled + fdatasync {:>6}; \
             redb {:>6}",
            a_second(stored),
            a_second(bare),
            a_second(sled),
            a_second(redb),
        );
        ratios.push([bare, sled, redb].map(|other| stored as f64 / other as f64));
    }
    for (at, name) in ["append + fdatasync", "sled + fdatasync", "redb"].iter().enumerate() {
        let mut all: Vec<f64> = ratios.iter().map(|it| it[at]).collect();
        all.sort_by(f64::total_cmp);
        println!("  median ratio to {name}: {:.2}", all[all.len() / 2]);
    }
    whole_way(dir.path());
}

/// Cases over mutual TLS, each on the disk before its answer, on connections that are kept.
fn whole_way(dir: &std::path::Path) {
    let world = World::plan().start();
    let caller = World::caller("1177");
    let id = "7c1c3a52-61f2-4a44-8f07-000000000000";
    let case = case_id("f-000000000000");
    let empty = complaint(VC1, id, &case, "", &[]).len();
    let text = "x".repeat(RECORD.saturating_sub(empty));
    let message = complaint(VC1, id, &case, &text, &[]);
    let flood = Flood::with(world.https, &caller, "/vp", &message);
    flood.steadily(CALLERS as u64, true, span());
    println!("\nover mutual TLS, {CALLERS} connections, messages of {} bytes", message.len());
    let mut rates = Vec::new();
    for _ in 0..3 {
        let process = Process(world.pid());
        let cpu = process.cpu();
        let (took, tally) = timed(|| flood.steadily(CALLERS as u64, true, 2 * span()));
        let cpu = process.cpu() - cpu;
        let good = tally.good.load(Ordering::SeqCst);
        let rate = good as f64 / took.as_secs_f64();
        rates.push(rate);
        println!(
            "  one call after another: {rate:.0} a second, {:.0} us CPU each, {}",
            cpu.as_secs_f64() * 1e6 / good as f64,
            waits(tally),
        );
    }
    rates.sort_by(f64::total_cmp);
    // Callers who always wait for an answer measure how many they are; these come when they come.
    for part in [2.0, 5.0] {
        let rate = rates[1] / part;
        for _ in 0..3 {
            let tally = flood.evenly(CALLERS as u64, rate, 2 * span());
            let mut syncs = bare(&dir.join("syncs"), 16).1;
            println!(
                "  {rate:.0} a second: {}; the disk's own sync {:.1} ms p99",
                waits(tally),
                percentile_ms(&mut syncs, 99),
            );
        }
    }
    println!("  {} MB", world.resident() >> 20);
}

fn waits(tally: Tally) -> String {
    let mut waits = tally.waits.into_inner().unwrap();
    let [p50, p99] = [50, 99].map(|it| percentile_ms(&mut waits, it));
    format!("{p50:.1} ms median, {p99:.1} ms p99")
}

/// Records accepted, and batches they took.
fn store(dir: &std::path::Path) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings = Settings::new(dir);
    let (engine, _) = Engine::open(&settings, OneKey, Arc::new(SystemClock)).unwrap();
    let end = Instant::now() + span();
    let payload: Arc<[u8]> = vec![b'x'; RECORD].into();
    let accepted = runtime.block_on(async {
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..CALLERS {
            let (engine, payload) = (engine.clone(), Arc::clone(&payload));
            callers.spawn(async move {
                let mut accepted = 0u64;
                while Instant::now() < end {
                    let payload = Arc::clone(&payload);
                    let job = move |it: &mut klagomal::store::engine::Transaction<'_>| {
                        it.append(&payload).map(drop)
                    };
                    engine.submit::<(), StoreError>(job).await.unwrap();
                    accepted += 1;
                }
                accepted
            });
        }
        let mut sum = 0;
        while let Some(accepted) = callers.join_next().await {
            sum += accepted.unwrap();
        }
        sum
    });
    let batches = engine.health().batches;
    runtime.block_on(engine.close());
    (accepted, batches)
}

/// Records written by one thread that writes and syncs `group` of them at a time; and how long each
/// sync took, microseconds.
fn bare(path: &std::path::Path, group: u64) -> (u64, Vec<u32>) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let bytes = vec![b'x'; RECORD * usize::try_from(group).unwrap()];
    let (end, mut written, mut syncs) = (Instant::now() + span(), 0, Vec::new());
    while Instant::now() < end {
        file.write_all(&bytes).unwrap();
        let (took, ()) = timed(|| file.sync_data().unwrap());
        syncs.push(u32::try_from(took.as_micros()).unwrap());
        written += group;
    }
    (written, syncs)
}

/// A record and the mark that its message is known, by a thread that gathers `group` of them.
fn sled(path: &std::path::Path, group: u64) -> u64 {
    let db = sled::Config::new().path(path).flush_every_ms(None).open().unwrap();
    // Its flush does not sync the file.
    let file = OpenOptions::new().write(true).open(path.join("db")).unwrap();
    let (end, mut written) = (Instant::now() + span(), 0_u64);
    let record = [b'x'; RECORD];
    while Instant::now() < end {
        let mut batch = sled::Batch::default();
        for _ in 0..group {
            written += 1;
            batch.insert(&[&b"r"[..], &written.to_be_bytes()].concat()[..], &record[..]);
            batch.insert(&[&b"k"[..], &mark(written)].concat()[..], &written.to_be_bytes());
        }
        db.apply_batch(batch).unwrap();
        db.flush().unwrap();
        file.sync_data().unwrap();
    }
    written
}

/// As [`sled`].
fn redb(path: &std::path::Path, group: u64) -> u64 {
    const RECORDS: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("records");
    const MARKS: redb::TableDefinition<'_, &[u8], u64> = redb::TableDefinition::new("marks");
    let db = redb::Database::create(path).unwrap();
    let (end, mut written) = (Instant::now() + span(), 0_u64);
    let record = [b'x'; RECORD];
    while Instant::now() < end {
        let commit = db.begin_write().unwrap();
        {
            let mut records = commit.open_table(RECORDS).unwrap();
            let mut marks = commit.open_table(MARKS).unwrap();
            for _ in 0..group {
                written += 1;
                records.insert(written, &record[..]).unwrap();
                marks.insert(&mark(written)[..], written).unwrap();
            }
        }
        commit.commit().unwrap();
    }
    written
}

/// A messageId: no two are near each other.
fn mark(of: u64) -> [u8; 16] {
    let spread = of.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut mark = [0; 16];
    mark[..8].copy_from_slice(&spread.to_be_bytes());
    mark[8..].copy_from_slice(&of.to_be_bytes());
    mark
}
