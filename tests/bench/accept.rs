//! The durable accept in the store alone, beside a bare append and fdatasync with the same groups on
//! the same disk.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klagomal::clock::SystemClock;
use klagomal::store::engine::{Engine, Fold, FoldError, Settings, StoreError, ViewWriter};
use klagomal::store::journal::Position;

/// One record, bytes: about what a case without attachments is.
const RECORD: usize = 2_048;
const CALLERS: usize = 64;
const SPAN: Duration = Duration::from_secs(3);

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
        Ok(views.put(&key, position.to_bytes())?)
    }
}

pub(super) fn run() {
    // On the disk that the build is on: the temporary folder is often memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut ratios: Vec<f64> = Vec::new();
    for round in 0..5 {
        let (stored, batches) = store(&dir.path().join(format!("store-{round}")));
        let group = (stored / batches.max(1)).max(1);
        let bare = bare(&dir.path().join(format!("bare-{round}")), group);
        let ratio = stored as f64 / bare as f64;
        println!(
            "{CALLERS} callers: {:>7}/s in groups of {group}; bare append + fdatasync {:>7}/s; \
             ratio {ratio:.2}",
            stored / SPAN.as_secs(),
            bare / SPAN.as_secs()
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[ratios.len() / 2]);
}

/// Records accepted, and batches they took.
fn store(dir: &std::path::Path) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings = Settings::new(dir);
    let (engine, _) = Engine::open(&settings, OneKey, Arc::new(SystemClock)).unwrap();
    let end = Instant::now() + SPAN;
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

/// Records written by one thread that writes and syncs `group` of them at a time.
fn bare(path: &std::path::Path, group: u64) -> u64 {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let bytes = vec![b'x'; RECORD * usize::try_from(group).unwrap()];
    let (end, mut written) = (Instant::now() + SPAN, 0);
    while Instant::now() < end {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        written += group;
    }
    written
}
