//! Tests of the engine over memory: what jobs see, what disks do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::clock::SystemClock;
use crate::store::journal::memory::{Fault, Kept, MemoryDisk};
use crate::store::views::{Change, MemoryTable};

mod folder;
mod lives;

/// Records are `key=value`; an empty value takes the key away. Also counts records and keeps the
/// last position.
#[derive(Debug, Clone, Copy)]
struct Pairs<const LAYOUT: u32 = 1>;

impl<const LAYOUT: u32> Fold for Pairs<LAYOUT> {
    fn layout(&self) -> u32 {
        LAYOUT
    }

    fn apply(
        &mut self,
        _seq: u64,
        position: Position,
        payload: &[u8],
        views: &mut ViewWriter<'_>,
    ) -> Result<(), FoldError> {
        let text = std::str::from_utf8(payload).map_err(|e| FoldError::Record(e.into()))?;
        let (key, value) =
            text.split_once('=').ok_or_else(|| FoldError::Record("no pair".into()))?;
        assert_ne!(value, "panic", "told to");
        if value.is_empty() {
            views.delete(key.as_bytes())?;
        } else {
            views.put(key.as_bytes(), value)?;
        }
        let count = number(views.get(b"#count")?);
        views.put(b"#count", (count + 1).to_be_bytes())?;
        views.put(b"#last", position.to_bytes())?;
        Ok(())
    }
}

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

#[derive(Debug, thiserror::Error)]
enum TestError {
    #[error("no")]
    No,
    #[error("store")]
    Store(#[from] StoreError),
}

fn settings() -> Settings {
    Settings {
        probe_interval: Duration::from_millis(5),
        segment_bytes: 2048,
        free_bytes_min: 1,
        ..Settings::new("")
    }
}

struct Ground {
    disk: MemoryDisk,
    table: Arc<MemoryTable>,
}

impl Ground {
    fn new() -> Self {
        Self { disk: MemoryDisk::default(), table: Arc::new(MemoryTable::default()) }
    }

    fn open(&self) -> Result<(Engine, OpenReport), StoreError> {
        self.open_as(Pairs::<1>, "boot")
    }

    fn open_as<F: Fold>(&self, fold: F, boot: &str) -> Result<(Engine, OpenReport), StoreError> {
        let (disk, table) = (Arc::new(self.disk.clone()), Arc::clone(&self.table));
        Engine::open_on(&settings(), disk, table, boot, fold, Arc::new(SystemClock))
    }
}

async fn put(engine: &Engine, pair: &str) -> Result<Position, SubmitError<TestError>> {
    let pair = pair.to_owned();
    engine.submit(move |tx| Ok(tx.append(pair.as_bytes())?)).await
}

fn value(engine: &Engine, key: &str) -> Option<String> {
    engine.get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn pairs(engine: &Engine) -> Vec<Entry> {
    engine.scan(&Scan::prefix("")).unwrap().into_iter().filter(|(k, _)| k[0] > b' ').collect()
}

#[tokio::test]
async fn an_answered_record_is_in_the_views_and_in_the_journal() {
    let (engine, report) = Ground::new().open().unwrap();
    assert_eq!(report.journal.last_seq, 0);
    let mut watch = engine.watch();
    let at = put(&engine, "a=1").await.unwrap();
    assert_eq!((at.seq, value(&engine, "a").as_deref()), (1, Some("1")));
    assert_eq!(engine.read(at).unwrap(), b"a=1");
    assert_eq!(*watch.borrow_and_update(), 1);
    put(&engine, "a=").await.unwrap();
    assert_eq!(value(&engine, "a"), None);
    let health = engine.health();
    assert_eq!((health.durable_seq, health.queue, health.unavailable), (2, 0, None));
    engine.close().await;
    assert!(matches!(put(&engine, "a=2").await, Err(SubmitError::Closed)));
    assert!(engine.health().unavailable.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_are_each_answered_once_in_their_order_with_no_number_left_out() {
    const CALLERS: u64 = 64;
    const JOBS: u64 = 100;
    let (engine, _) = Ground::new().open().unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let engine = engine.clone();
            tokio::spawn(async move {
                let mut seqs = Vec::new();
                for n in 0..JOBS {
                    let at = put(&engine, &format!("c{caller}={n}")).await.unwrap();
                    assert_eq!(value(&engine, &format!("c{caller}")), Some(n.to_string()));
                    seqs.push(at.seq);
                }
                seqs
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        let seqs = caller.await.unwrap();
        assert!(seqs.is_sorted());
        all.extend(seqs);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=CALLERS * JOBS).collect::<Vec<_>>());
    let health = engine.health();
    assert_eq!(health.jobs, CALLERS * JOBS);
    assert!(health.batches < CALLERS * JOBS / 2, "gathered: {} batches", health.batches);
    assert_eq!(engine.verify().unwrap().records, CALLERS * JOBS);
}

#[tokio::test]
async fn a_job_that_refuses_or_panics_or_goes_on_after_a_failure_leaves_no_trace() {
    let (engine, _) = Ground::new().open().unwrap();
    put(&engine, "a=1").await.unwrap();
    let refused = engine.submit(|tx| {
        tx.append(b"a=2")?;
        tx.append(b"b=2")?;
        assert_eq!(tx.get(b"a")?.as_deref(), Some(&b"2"[..]));
        Err::<(), _>(TestError::No)
    });
    assert!(matches!(refused.await, Err(SubmitError::Refused(TestError::No))));
    let panicked = engine.submit::<(), TestError>(|tx| {
        tx.append(b"a=3")?;
        panic!("told to");
    });
    assert!(matches!(panicked.await, Err(SubmitError::Panicked(why)) if why == "told to"));
    let fold = put(&engine, "a=panic").await;
    assert!(matches!(fold, Err(SubmitError::Panicked(_))));
    let went_on = engine.submit::<_, TestError>(|tx| {
        tx.append(b"c=1")?;
        Ok(tx.append(b"no pair").is_err())
    });
    assert!(matches!(went_on.await, Err(SubmitError::Panicked(why)) if why.contains("no pair")));
    // What the next job brings to the views would bring leftovers with it.
    assert_eq!(put(&engine, "d=1").await.unwrap().seq, 2);
    let found = ["a", "b", "c", "d"].map(|key| value(&engine, key));
    assert_eq!(found, [Some("1".to_owned()), None, None, Some("1".to_owned())]);
    assert_eq!(number(engine.get(b"#count").unwrap()), 2);
    assert_eq!(engine.verify().unwrap().records, 2);
}

#[tokio::test]
async fn a_job_sees_what_earlier_jobs_of_its_batch_did_and_reads_their_records() {
    let (engine, _) = Ground::new().open().unwrap();
    let first = engine.submit::<_, TestError>(|tx| {
        let at = tx.append(b"a=1")?;
        assert_eq!(tx.read(at)?, b"a=1");
        tx.append(b"b=1")?;
        tx.append(b"a=")?;
        Ok(at)
    });
    let second = engine.submit::<_, TestError>(|tx| {
        let found = tx.scan(&Scan::prefix("").from("a"))?;
        let last = Position::from_bytes(&tx.get(b"#last")?.unwrap()).unwrap();
        Ok((found, tx.read(last)?))
    });
    let (first, second) = tokio::join!(first, second);
    assert_eq!(engine.read(first.unwrap()).unwrap(), b"a=1");
    let (found, last) = second.unwrap();
    assert_eq!((found, last), (vec![(b"b".to_vec(), b"1".to_vec())], b"a=".to_vec()));
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_stop_its_job() {
    let (engine, _) = Ground::new().open().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut call = Box::pin(engine.submit::<_, TestError>(move |tx| {
        wait.recv().unwrap();
        Ok(tx.append(b"a=1")?)
    }));
    assert!(futures_util::poll!(&mut call).is_pending());
    drop(call);
    go.send(()).unwrap();
    put(&engine, "b=1").await.unwrap();
    assert_eq!(value(&engine, "a").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (engine, _) = Ground::new().open().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let (began, begun) = std::sync::mpsc::channel();
    let mut held = Box::pin(engine.submit::<(), TestError>(move |_| {
        began.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    }));
    assert!(futures_util::poll!(&mut held).is_pending());
    begun.recv().unwrap();
    let mut calls = Vec::new();
    for _ in 0..limits::STORE_QUEUE_MAX {
        let mut call = Box::pin(put(&engine, "a=1"));
        assert!(futures_util::poll!(&mut call).is_pending());
        calls.push(call);
    }
    assert_eq!(engine.health().queue, limits::STORE_QUEUE_MAX);
    assert!(matches!(put(&engine, "a=1").await, Err(SubmitError::Overloaded)));
    go.send(()).unwrap();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(engine.health().queue, 0);
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_store_comes_back_by_itself() {
    let ground = Ground::new();
    let (engine, _) = ground.open().unwrap();
    put(&engine, "a=1").await.unwrap();
    let clean = ground.disk.operations();
    for n in 1..5 {
        let before = engine.health().durable_seq;
        ground.disk.fail_at(ground.disk.operations() + n, u64::MAX, Fault::NoSpace);
        let mut seen = false;
        for tries in 0..4 {
            match put(&engine, &format!("try={tries}")).await {
                Ok(at) => assert!(at.seq > before),
                Err(SubmitError::Unavailable(_)) => seen = true,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(seen);
        assert!(engine.health().unavailable.is_some());
        let acked = engine.health().durable_seq;
        ground.disk.heal();
        let back = async {
            while engine.health().unavailable.is_some() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
        assert_eq!(put(&engine, "back=1").await.unwrap().seq, acked + 1);
        assert_eq!(number(engine.get(b"#count").unwrap()), acked + 1);
    }
    assert!(ground.disk.operations() > clean);
    let seq = engine.health().durable_seq;
    engine.close().await;
    let (engine, report) = ground.open().unwrap();
    assert_eq!((report.journal.last_seq, report.journal.damage.len()), (seq, 0));
    assert_eq!(number(engine.get(b"#count").unwrap()), seq);
}

#[tokio::test]
async fn little_free_space_refuses_before_the_disk_is_full() {
    let ground = Ground::new();
    ground.disk.set_free(0);
    let (engine, _) = ground.open().unwrap();
    let refused = put(&engine, "a=1").await;
    assert!(
        matches!(refused, Err(SubmitError::Unavailable(u)) if u.why.contains("0 bytes are free"))
    );
    ground.disk.set_free(1);
    let back = async { while put(&engine, "a=1").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
    assert_eq!(engine.health().free_bytes, Some(1));
}

#[tokio::test]
async fn views_that_fail_after_the_sync_keep_the_promise_and_give_no_stale_answer() {
    let ground = Ground::new();
    let (engine, _) = ground.open().unwrap();
    put(&engine, "a=1").await.unwrap();
    let table = Arc::clone(&ground.table);
    // The views fail between the job and their own change.
    let answered = engine.submit::<_, TestError>(move |tx| {
        let at = tx.append(b"a=2")?;
        table.set_failing(true);
        Ok(at)
    });
    assert_eq!(answered.await.unwrap().seq, 2);
    assert!(engine.get(b"a").is_err());
    assert!(matches!(put(&engine, "b=1").await, Err(SubmitError::Unavailable(_))));
    ground.table.set_failing(false);
    let back = async { while put(&engine, "b=1").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
    assert_eq!(value(&engine, "a").as_deref(), Some("2"));
}

#[tokio::test]
async fn views_that_fail_under_a_job_or_a_reader_are_made_again_without_a_restart() {
    let ground = Ground::new();
    let (engine, _) = ground.open().unwrap();
    put(&engine, "a=1").await.unwrap();
    for under_a_job in [true, false] {
        ground.table.set_failing(true);
        if !under_a_job {
            assert!(engine.get(b"a").is_err());
        }
        assert!(matches!(put(&engine, "b=1").await, Err(SubmitError::Unavailable(_))));
        // The database comes back with something else in it.
        ground.table.set_failing(false);
        let wrong = Position { segment: 1, offset: 0, seq: 1 };
        let change = Change { key: b"a".to_vec(), value: Some(b"wrong".to_vec()), is_new: false };
        ground.table.apply(&[change], wrong).unwrap();
        let back = async { while put(&engine, "c=1").await.is_err() {} };
        tokio::time::timeout(Duration::from_secs(5), back).await.unwrap();
        assert_eq!(value(&engine, "a").as_deref(), Some("1"));
        assert_eq!(value(&engine, "b"), None);
    }
    assert_eq!(number(engine.get(b"#count").unwrap()), 3);
}

/// A clock that gives up when told to, and takes its thread with it.
#[derive(Debug, Default)]
struct Bomb(AtomicBool);

impl Clock for Bomb {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "told to");
        Timestamp::UNIX_EPOCH
    }
}

#[tokio::test]
async fn a_writer_that_dies_is_told_and_every_caller_is_answered() {
    let ground = Ground::new();
    let bomb = Arc::new(Bomb::default());
    let (disk, table) = (Arc::new(ground.disk.clone()), Arc::clone(&ground.table));
    let clock: Arc<dyn Clock> = Arc::clone(&bomb) as Arc<dyn Clock>;
    let (engine, _) = Engine::open_on(&settings(), disk, table, "boot", Pairs::<1>, clock).unwrap();
    put(&engine, "a=1").await.unwrap();
    bomb.0.store(true, Ordering::SeqCst);
    assert!(matches!(put(&engine, "b=1").await, Err(SubmitError::Closed)));
    assert!(matches!(put(&engine, "c=1").await, Err(SubmitError::Closed)));
    assert!(engine.health().unavailable.is_some());
    let (engine, report) = ground.open().unwrap();
    assert_eq!((report.journal.last_seq, value(&engine, "b")), (1, None));
}

/// Puts pairs one by one until the store refuses; gives how many were acknowledged.
async fn work(ground: &Ground, count: u64) -> u64 {
    let Ok((engine, _)) = ground.open() else { return 0 };
    let start = engine.health().durable_seq;
    for n in start + 1..=start + count {
        match put(&engine, &format!("key{n}={n}")).await {
            Ok(at) => assert_eq!(at.seq, n),
            Err(_) => return n - 1,
        }
    }
    engine.close().await;
    start + count
}

#[tokio::test]
async fn a_power_cut_at_any_operation_leaves_every_acknowledged_pair() {
    let clean = Ground::new();
    work(&clean, 30).await;
    for n in 1..=clean.disk.operations() {
        let ground = Ground::new();
        ground.disk.fail_at(n, 1, Fault::PowerCut);
        let acked = work(&ground, 30).await;
        for kept in [Kept::Nothing, Kept::All, Kept::Some(n * 77 + 1), Kept::Some(n * 1313 + 7)] {
            let after = Ground { disk: ground.disk.after_power_cut(kept), table: Arc::default() };
            let (engine, report) = after.open().unwrap();
            let last = report.journal.last_seq;
            assert!(last >= acked, "{n} {kept:?}: {last} < {acked}");
            assert_eq!(report.journal.damage, [], "{n} {kept:?}");
            assert_eq!(number(engine.get(b"#count").unwrap()), last);
            for seq in 1..=last {
                assert_eq!(value(&engine, &format!("key{seq}")), Some(seq.to_string()));
            }
            assert_eq!(put(&engine, "on=1").await.unwrap().seq, last + 1);
            engine.close().await;
        }
    }
}

#[tokio::test]
async fn views_behind_catch_up_and_another_layout_boot_or_end_makes_them_again() {
    let ground = Ground::new();
    work(&ground, 10).await;
    let behind = Ground { disk: ground.disk.clone(), table: Arc::new(MemoryTable::default()) };
    let views = |opened: Result<(Engine, OpenReport), StoreError>| {
        let (engine, report) = opened.unwrap();
        assert_eq!(number(engine.get(b"#count").unwrap()), report.journal.last_seq);
        (report.views, engine)
    };
    let rebuilt = |why: &str, records| ViewsReport::Rebuilt { why: why.to_owned(), records };
    let (report, engine) = views(behind.open());
    assert_eq!(report, rebuilt("there are none", 10));
    engine.close().await;
    work(&ground, 5).await;
    let (report, engine) = views(behind.open());
    assert_eq!(report, ViewsReport::CaughtUp { records: 5 });
    engine.close().await;
    let (report, engine) = views(behind.open());
    assert_eq!(report, ViewsReport::Current);
    engine.close().await;
    let (report, engine) = views(behind.open_as(Pairs::<2>, "boot"));
    assert_eq!(report, rebuilt("they have layout 1, wanted is 2", 15));
    engine.close().await;
    let (report, engine) = views(behind.open_as(Pairs::<2>, "later"));
    assert_eq!(report, rebuilt("the machine has been started since", 15));
    engine.close().await;
}

#[tokio::test]
async fn a_damaged_record_is_left_out_of_the_views_and_told() {
    let ground = Ground::new();
    work(&ground, 10).await;
    let name = "00000000000000000001.klj";
    let mut bytes = ground.disk.content(name).unwrap();
    let at = bytes.windows(6).position(|w| w == b"key4=4").unwrap();
    bytes[at] ^= 1;
    ground.disk.set_content(name, bytes);
    let again = Ground { disk: ground.disk.clone(), table: Arc::default() };
    let (engine, report) = again.open().unwrap();
    assert_eq!(report.journal.damage[0].seqs, Some(4..=4));
    assert!(report.damage_folded > 0);
    assert_eq!(engine.health().damage, 1);
    assert_eq!((value(&engine, "key4"), value(&engine, "key5")), (None, Some("5".to_owned())));
    assert_eq!(put(&engine, "on=1").await.unwrap().seq, 11);
}

#[tokio::test]
async fn more_records_than_a_rebuild_holds_in_memory_come_out_the_same() {
    let ground = Ground::new();
    let (engine, _) = ground.open().unwrap();
    let count = 2 * limits::REBUILD_ENTRIES_MAX + 77;
    let filled = engine.submit::<_, TestError>(move |tx| {
        for n in 0..count {
            tx.append(format!("key{n}={n}").as_bytes())?;
        }
        Ok(())
    });
    filled.await.unwrap();
    let before = engine.get(b"#last").unwrap();
    engine.close().await;
    let again = Ground { disk: ground.disk.clone(), table: Arc::default() };
    let (engine, report) = again.open().unwrap();
    let records = u64::try_from(count).unwrap();
    assert!(matches!(report.views, ViewsReport::Rebuilt { records: n, .. } if n == records));
    assert_eq!(
        (engine.get(b"#last").unwrap(), number(engine.get(b"#count").unwrap())),
        (before, records)
    );
    assert_eq!(value(&engine, "key20000").as_deref(), Some("20000"));
}

#[test]
fn scans_over_changes_agree_with_a_plain_map() {
    use proptest::prelude::*;
    let key = || proptest::collection::vec(1..4u8, 1..4);
    let changes = proptest::collection::vec((key(), any::<bool>(), any::<bool>()), 0..40);
    let scans = (proptest::collection::vec(1..4u8, 0..2), key(), 0..3u8, 1..6usize, any::<bool>());
    proptest!(|(changes in changes, (prefix, from, how, limit, reverse) in scans)| {
        let table = MemoryTable::default();
        let mut overlay = crate::store::views::Overlay::default();
        let mut plain = BTreeMap::new();
        for (n, (key, put, over)) in changes.into_iter().enumerate() {
            let value = put.then(|| vec![u8::try_from(n).unwrap()]);
            match &value {
                Some(value) => plain.insert(key.clone(), value.clone()),
                None => plain.remove(&key),
            };
            let at = Position { segment: 1, offset: 0, seq: 1 };
            if over || overlay.get(&MemoryTable::default(), &key).unwrap().is_some() {
                overlay.set(&key, value, false).unwrap();
            } else {
                let change = Change { key: key.clone(), value: value.clone(), is_new: false };
                table.apply(&[change], at).unwrap();
                overlay.set(&key, value, false).unwrap();
            }
        }
        let mut scan = Scan::prefix(prefix.clone()).limit(limit);
        scan = match how { 0 => scan, 1 => scan.from(from.clone()), _ => scan.after(from.clone()) };
        let wanted = |key: &Vec<u8>| key.starts_with(&prefix) && match (how, reverse) {
            (0, _) => true,
            (1, false) => *key >= from,
            (1, true) => *key <= from,
            (_, false) => *key > from,
            (_, true) => *key < from,
        };
        let mut expected: Vec<Entry> = plain.into_iter().filter(|(key, _)| wanted(key)).collect();
        if reverse {
            expected.reverse();
            scan = scan.reverse();
        }
        expected.truncate(limit);
        prop_assert_eq!(overlay.scan(&table, &scan).unwrap(), expected);
    });
}
