//! Tests of the engine over a real folder: what sled does to it, and who has the folder.

use std::fs;
use std::path::Path;

use super::*;

fn open_in(dir: &Path) -> Result<(Engine, OpenReport), StoreError> {
    let settings = Settings { dir: dir.to_owned(), ..settings() };
    Engine::open(&settings, Pairs::<1>, Arc::new(SystemClock))
}

#[tokio::test]
async fn a_real_store_comes_back_as_it_was_and_knows_that_it_is_current() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, report) = open_in(dir.path()).unwrap();
    assert_eq!(report.views, ViewsReport::Rebuilt { why: "there are none".to_owned(), records: 0 });
    for n in 0..50 {
        put(&engine, &format!("key{n}={n}")).await.unwrap();
    }
    let before = pairs(&engine);
    engine.close().await;
    let (engine, report) = open_in(dir.path()).unwrap();
    assert_eq!((report.views, report.journal.last_seq), (ViewsReport::Current, 50));
    assert!(report.journal.segments > 1);
    assert_eq!(pairs(&engine), before);
    engine.close().await;
}

#[tokio::test]
async fn a_second_process_is_told_which_folder_and_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open_in(dir.path()).unwrap();
    let refused = open_in(dir.path()).unwrap_err().to_string();
    assert!(refused.contains(&dir.path().display().to_string()), "{refused}");
    assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
    engine.close().await;
    let (engine, _) = open_in(dir.path()).unwrap();
    engine.close().await;
}

#[tokio::test]
async fn views_that_are_gone_or_garbage_or_cut_short_are_made_again_and_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open_in(dir.path()).unwrap();
    for n in 0..300 {
        put(&engine, &format!("key{n}={n}")).await.unwrap();
    }
    let before = pairs(&engine);
    engine.close().await;
    let views = dir.path().join("views");
    let garbage = |share: u64| {
        let path = views.join("db");
        let mut bytes = fs::read(&path).unwrap();
        for (n, byte) in bytes.iter_mut().enumerate() {
            if (n as u64).wrapping_mul(2_654_435_761).is_multiple_of(share) {
                *byte ^= 0x55;
            }
        }
        fs::write(&path, bytes).unwrap();
    };
    let cut = |share: u64| {
        let file = File::options().write(true).open(views.join("db")).unwrap();
        file.set_len(file.metadata().unwrap().len() / share).unwrap();
    };
    let hurt: [(&str, &dyn Fn()); 6] = [
        ("gone", &|| fs::remove_dir_all(&views).unwrap()),
        ("a file in its place", &|| {
            fs::remove_dir_all(&views).unwrap();
            fs::write(&views, "x").unwrap();
        }),
        ("noise", &|| garbage(1)),
        ("some noise", &|| garbage(50)),
        ("half", &|| cut(2)),
        ("the settings gone", &|| fs::write(views.join("conf"), "x").unwrap()),
    ];
    for (what, hurt) in hurt {
        hurt();
        let (engine, report) = open_in(dir.path()).unwrap();
        assert_eq!(report.journal.last_seq, 300, "{what}");
        assert_eq!(pairs(&engine), before, "{what}: {:?}", report.views);
        assert_eq!(put(&engine, "key0=0").await.unwrap().seq, 301, "{what}");
        engine.close().await;
        // Back to 300 records for the next round.
        fs::remove_dir_all(&views).unwrap();
        let last = newest_segment(dir.path());
        let bytes = fs::read(&last).unwrap();
        let at = bytes.windows(4).rposition(|w| w == b"KLJr").unwrap();
        fs::write(&last, &bytes[..at]).unwrap();
        let (engine, _) = open_in(dir.path()).unwrap();
        engine.close().await;
    }
}

#[tokio::test]
async fn one_flipped_byte_anywhere_in_the_views_never_gives_another_answer() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open_in(dir.path()).unwrap();
    for n in 0..200 {
        put(&engine, &format!("key{}={n}", n % 60)).await.unwrap();
    }
    let before = engine.scan(&Scan::prefix("")).unwrap();
    engine.close().await;
    let db = dir.path().join("views/db");
    let pristine = fs::read(&db).unwrap();
    let used: Vec<usize> = (0..pristine.len()).filter(|at| pristine[*at] != 0).collect();
    let mut rebuilt = 0;
    for n in 0..50 {
        let mut bytes = pristine.clone();
        bytes[used[n * used.len() / 50]] ^= 0x10;
        fs::remove_dir_all(dir.path().join("views")).unwrap();
        fs::create_dir(dir.path().join("views")).unwrap();
        fs::write(&db, bytes).unwrap();
        let (engine, report) = open_in(dir.path()).unwrap();
        assert_eq!(engine.scan(&Scan::prefix("")).unwrap(), before, "{n}: {:?}", report.views);
        rebuilt += u32::from(report.views != ViewsReport::Current);
        engine.close().await;
    }
    assert!(rebuilt > 0);
}

fn newest_segment(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    entries.map(|entry| entry.unwrap().path()).max().unwrap()
}

#[tokio::test]
async fn views_that_have_lost_one_entry_without_a_word_are_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open_in(dir.path()).unwrap();
    for n in 0..20 {
        put(&engine, &format!("key{n}={n}")).await.unwrap();
    }
    engine.close().await;
    let db = sled::open(dir.path().join("views")).unwrap();
    assert!(db.remove("key7").unwrap().is_some());
    db.flush().unwrap();
    drop(db);
    let (engine, report) = open_in(dir.path()).unwrap();
    let why = "the view database does not hold what was written to it".to_owned();
    assert_eq!(report.views, ViewsReport::Rebuilt { why, records: 20 });
    assert_eq!(value(&engine, "key7").as_deref(), Some("7"));
    assert!(dir.path().join("views.old").is_dir(), "one old copy is kept");
    engine.close().await;
}

#[tokio::test]
async fn nobody_else_on_the_machine_can_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let (engine, _) = open_in(&store).unwrap();
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
    engine.close().await;
}
