//! Tests of backup, audit and restore: what was changed is found and named, what is whole comes back.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::audit::{self, Report};
use super::make::{Made, Source, Wanted, make};
use super::manifest::{Head, Manifest};
use super::restore::{restore, verify};
use super::{BackupError, tree};
use crate::cases::fold::CaseFold;
use crate::cases::record::RECORD_VERSION;
use crate::clock::SystemClock;
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, Settings};
use crate::store::journal::Journal;
use crate::store::journal::disk::FolderDisk;

/// Small segments, so that there are several.
const SEGMENT: u64 = 2_500;

/// A store of `cases` cases, each opened with a file and supplemented; made without an engine.
struct Store {
    dir: tempfile::TempDir,
    journal: Journal,
    blobs: Blobs,
    seq: u64,
}

impl Store {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FolderDisk::open(&dir.path().join("store/journal")).unwrap());
        let (journal, _) = Journal::open(disk, None, SEGMENT).unwrap();
        let blobs = Blobs::keeping_free(&dir.path().join("store/attachments"), 0).unwrap();
        fs::create_dir_all(dir.path().join("tak")).unwrap();
        fs::write(dir.path().join("tak/units.toml"), "# none\n").unwrap();
        Self { dir, journal, blobs, seq: 0 }
    }

    fn with_cases(count: u64) -> Self {
        let mut store = Self::new();
        (1..=count).for_each(|n| store.case(n));
        store
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&mut self, record: &serde_json::Value) {
        self.journal.prepare().unwrap();
        self.journal.stage(&serde_json::to_vec(record).unwrap()).unwrap();
        self.journal.commit().unwrap();
        self.seq += 1;
    }

    fn file(&self, content: &str) -> serde_json::Value {
        let mut writer = self.blobs.begin(10_000).unwrap();
        writer.write(content.as_bytes()).unwrap();
        let stored = writer.finish().unwrap();
        serde_json::json!([{
            "id": "1", "file_name": "a.pdf", "media_type": "application/pdf",
            "sha256": stored.sha256, "bytes": stored.bytes,
        }])
    }

    fn case(&mut self, n: u64) {
        let files = self.file(&format!("fil {n} ").repeat(20));
        let number = number(n);
        let complaint = complaint(files);
        self.append(&record(
            n,
            &serde_json::json!({
                "kind": "opened", "number": number, "source": "Portal",
                "sender": "SE0000000000-1177", "receiver_name": "Test", "destination": "Store",
                "complaint": complaint,
            }),
        ));
        let files = self.file(&format!("mer {n}"));
        self.append(&record(n, &serde_json::json!({
            "kind": "supplemented", "remarks": [],
            "supplement": { "in_reply_to": null, "text": "PÅHITTAT ÄRENDE", "attachments": files },
        })));
    }

    fn back_up(&self, to: &Path, since: Option<PathBuf>) -> Result<Made, BackupError> {
        make(
            &Source {
                store: &self.path(),
                reader: &self.journal.reader(),
                keys: None,
                routing: &self.at("tak"),
                generation: "abc",
                now: "2026-03-01T10:00:00Z".parse().unwrap(),
                stop: &|| false,
            },
            &Wanted { dir: to.to_owned(), since },
        )
    }
}

fn number(n: u64) -> String {
    crate::complaint::registration::RegistrationNumber::of_ordinal(n).to_string()
}

fn record(case: u64, event: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({
        "v": RECORD_VERSION, "at": "2026-03-01T09:00:00Z",
        "case": { "root": "1.2.752.129.2.1.2.1", "extension": format!("SE0000000000-1177:{case}") },
        "generation": "abc", "event": event,
    })
}

fn complaint(attachments: serde_json::Value) -> serde_json::Value {
    let mut complaint = serde_json::json!({
        "submitted": "2026-03-01T08:59:00Z", "event_date": "2026-02-16",
        "recipient": {
            "kind": "CARE_PROVIDER", "unit": { "hsa_id": "SE0000000000-VC1" }, "county": "99",
        },
        "description": "PÅHITTAT ÄRENDE", "reply_wish": { "wanted": true, "channel": "INBOX" },
        "complainant": { "relation": "PATIENT" }, "experienced_problems": [], "remarks": [],
    });
    complaint["attachments"] = attachments;
    complaint
}

fn audited(dir: &Path) -> Report {
    audit::verify(dir, None, false).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: usize, mask: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= mask;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_whole_store_is_whole_and_says_where_its_chain_ends() {
    let store = Store::with_cases(6);
    let report = audited(&store.path());
    assert_eq!(report.damage, vec![]);
    assert_eq!((report.records, report.files, report.unnamed), (12, 12, 0));
    assert!(report.segments > 2, "{report:?}");
    let verdict = store.journal.reader().verify().unwrap();
    let head = Head { seq: 12, hash: tree::hex(&verdict.last_hash) };
    assert_eq!(report.head, head);
    assert_eq!(head.to_string().parse(), Ok(head));
}

#[test]
fn every_byte_that_is_changed_is_found_and_named() {
    let store = Store::with_cases(4);
    let all = files(&store.path());
    let bytes: Vec<usize> =
        all.iter().map(|path| fs::metadata(path).unwrap().len().try_into().unwrap()).collect();
    let total: usize = bytes.iter().sum();
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() };
    proptest!(config, |(place in 0..total, mask in 1u8..)| {
        let mut at = place;
        let mut which = 0;
        while at >= bytes[which] {
            at -= bytes[which];
            which += 1;
        }
        let path = &all[which];
        flip(path, at, mask);
        let report = audited(&store.path());
        flip(path, at, mask);
        let name = path.file_name().unwrap().to_str().unwrap();
        prop_assert!(report.damaged() > 0, "{name} byte {at} ^ {mask}");
        let named = report.damage.iter().any(|finding| {
            let here = (finding.from..finding.to).contains(&u64::try_from(at).unwrap());
            finding.file.as_deref() == Some(name)
                || (finding.segment.as_deref() == Some(name) && here)
        });
        prop_assert!(named, "{name} byte {at} ^ {mask}: {:?}", report.damage);
    });
    assert_eq!(audited(&store.path()).damage, vec![]);
}

#[test]
fn a_damaged_record_is_named_by_its_number_and_its_case() {
    let store = Store::with_cases(4);
    let path = files(&store.path().join("journal"))[0].clone();
    let text = fs::read(&path).unwrap();
    let at = text.windows(8).position(|it| it == "PÅHITTA".as_bytes()).unwrap();
    flip(&path, at, 0x20);
    let report = audited(&store.path());
    let [finding] = report.damage.as_slice() else { panic!("{:?}", report.damage) };
    assert_eq!((finding.first_seq, finding.last_seq), (Some(1), Some(1)));
    assert_eq!(finding.numbers, [number(1)]);
    assert!(!finding.to_string().contains("PÅHITTA"), "{finding}");
    assert_eq!(report.records, 7);
}

#[test]
fn an_attachment_that_is_gone_is_named_with_its_case() {
    let store = Store::with_cases(2);
    let path = files(&store.path().join("attachments"))[1].clone();
    fs::remove_file(&path).unwrap();
    let report = audited(&store.path());
    let [finding] = report.damage.as_slice() else { panic!("{:?}", report.damage) };
    assert_eq!(finding.file.as_deref(), path.file_name().unwrap().to_str());
    assert_eq!(finding.numbers.len(), 1);
    assert!(finding.what.contains("missing"), "{finding}");
}

#[test]
fn a_journal_cut_at_a_record_is_whole_by_itself_and_found_by_a_noted_head() {
    let store = Store::with_cases(6);
    let head = audited(&store.path()).head;
    let segments = files(&store.path().join("journal"));
    fs::remove_file(segments.last().unwrap()).unwrap();
    let report = audited(&store.path());
    assert_eq!(report.damage, vec![]);
    let report = audit::verify(&store.path(), Some(&head), false).unwrap();
    assert_eq!(report.damaged(), 1);
    assert!(report.damage[0].what.contains("cut off"), "{:?}", report.damage);
    let still = audit::verify(&store.path(), Some(&report.head), false).unwrap();
    assert_eq!(still.damaged(), 0);
}

#[test]
fn a_journal_written_anew_is_found_by_a_noted_head() {
    let head = audited(&Store::with_cases(2).path()).head;
    // The same cases in a journal of another name: other checksums, other chain.
    let report = audit::verify(&Store::with_cases(3).path(), Some(&head), false).unwrap();
    assert_eq!(report.damaged(), 1);
    assert!(report.damage[0].what.contains("not in the chain"), "{:?}", report.damage);
}

#[test]
fn a_segment_in_the_middle_that_is_gone_is_named_by_its_records() {
    let store = Store::with_cases(6);
    let segments = files(&store.path().join("journal"));
    let name = |at: usize| segments[at].file_stem().unwrap().to_str().unwrap().parse::<u64>();
    let (from, next) = (name(1).unwrap(), name(2).unwrap());
    fs::remove_file(&segments[1]).unwrap();
    let report = audited(&store.path());
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    let finding = &report.damage[0];
    assert_eq!((finding.first_seq, finding.last_seq), (Some(from), Some(next - 1)));
}

#[test]
fn a_record_of_a_later_form_is_refused_with_both_numbers() {
    let mut store = Store::with_cases(1);
    store.append(&serde_json::json!({ "v": RECORD_VERSION + 1, "new": true }));
    let error = audit::verify(&store.path(), None, false).unwrap_err();
    let text = crate::telemetry::Chain(&error).to_string();
    let said = format!("form {}, this program reads up to {RECORD_VERSION}", RECORD_VERSION + 1);
    assert!(text.contains("record 3") && text.contains(&said), "{text}");
    let settings = Settings { free_bytes_min: 0, ..Settings::new(store.path()) };
    let opened = Engine::open(&settings, CaseFold::default(), Arc::new(SystemClock)).unwrap_err();
    let text = crate::telemetry::Chain(&opened).to_string();
    assert!(text.contains("record 3") && text.contains(&said), "{text}");
}

#[test]
fn a_segment_of_a_later_format_is_refused_with_both_numbers() {
    let store = Store::with_cases(1);
    let path = files(&store.path().join("journal"))[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    for copy in [0, 128] {
        bytes[copy + 8] = 9;
        let crc = crc32c::crc32c(&bytes[copy..copy + 124]);
        bytes[copy + 124..copy + 128].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
    let error = audit::verify(&store.path(), None, false).unwrap_err();
    let text = crate::telemetry::Chain(&error).to_string();
    assert!(text.contains("has format 9, this program reads up to 1"), "{text}");
}

#[test]
fn a_backup_is_whole_and_restores_to_the_same_chain() {
    let store = Store::with_cases(5);
    let made = store.back_up(&store.at("kopia"), None).unwrap();
    assert_eq!((made.records, made.files, made.damage), (10, 10, 0));
    let (manifest, report) = verify(&store.at("kopia")).unwrap();
    assert_eq!(report.damage, vec![]);
    assert_eq!(manifest.routing.files[0].name, "units.toml");
    assert!(!store.at("kopia.part").exists());
    let restored = restore(&store.at("kopia"), &store.at("ny"), false).unwrap();
    assert_eq!(restored.head, made.head);
    assert!(store.at("ny/restored.json").exists());
    let mut new = audited(&store.at("ny"));
    new.folder = store.path();
    assert_eq!(new, audited(&store.path()));
    restore(&store.at("kopia"), &store.at("fri"), true).unwrap();
    assert!(fs::read_to_string(store.at("fri/restored.json")).unwrap().contains("false"));
}

#[test]
fn a_backup_holds_what_was_on_disk_and_nothing_of_what_comes_after() {
    let mut store = Store::with_cases(3);
    let first = store.back_up(&store.at("a"), None).unwrap();
    store.case(4);
    let second = store.back_up(&store.at("b"), Some(store.at("a"))).unwrap();
    assert_eq!((first.records, second.records), (6, 8));
    assert!(second.shared_bytes > first.bytes / 2, "{second:?} {first:?}");
    for name in ["a", "b"] {
        assert_eq!(verify(&store.at(name)).unwrap().1.damage, vec![], "{name}");
    }
    // The second holds without the first.
    fs::remove_dir_all(store.at("a")).unwrap();
    assert_eq!(verify(&store.at("b")).unwrap().1.damage, vec![]);
}

#[test]
fn a_backup_of_damage_is_made_and_says_so_and_is_not_restored() {
    let store = Store::with_cases(3);
    let path = files(&store.path().join("journal"))[0].clone();
    flip(&path, 500, 1);
    fs::remove_file(&files(&store.path().join("attachments"))[0]).unwrap();
    let made = store.back_up(&store.at("kopia"), None).unwrap();
    assert!(made.damage >= 1, "{made:?}");
    let (_, report) = verify(&store.at("kopia")).unwrap();
    assert!(report.damaged() >= 1);
    let refused = restore(&store.at("kopia"), &store.at("ny"), false).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused:?}");
    assert!(!store.at("ny").exists() && !store.at("ny.part").exists());
}

#[test]
fn any_file_of_a_backup_that_is_changed_or_gone_is_found() {
    let store = Store::with_cases(3);
    store.back_up(&store.at("kopia"), None).unwrap();
    for path in files(&store.at("kopia")) {
        let bytes = fs::read(&path).unwrap();
        for changed in [None, Some(bytes.len() / 2)] {
            match changed {
                None => fs::remove_file(&path).unwrap(),
                Some(at) => flip(&path, at, 4),
            }
            let found = verify(&store.at("kopia")).map_or(1, |(_, report)| report.damaged());
            assert!(found > 0, "{} {changed:?}", path.display());
            fs::write(&path, &bytes).unwrap();
        }
    }
    assert_eq!(verify(&store.at("kopia")).unwrap().1.damage, vec![]);
}

#[test]
fn a_folder_that_is_not_free_is_never_written_into() {
    let store = Store::with_cases(1);
    let taken = store.at("full");
    fs::create_dir_all(&taken).unwrap();
    fs::write(taken.join("x"), "x").unwrap();
    let inside = store.path().join("kopia");
    let relative = PathBuf::from("kopia");
    let orphan = store.at("no/such");
    for dir in [&taken, &inside, &relative, &orphan, &store.path()] {
        assert!(store.back_up(dir, None).is_err(), "{}", dir.display());
    }
    assert_eq!(files(&taken), [taken.join("x")]);
    let empty = store.at("tom");
    fs::create_dir_all(&empty).unwrap();
    store.back_up(&empty, None).unwrap();
    assert!(restore(&empty, &taken, false).is_err());
    assert!(restore(&empty, &store.path(), false).is_err());
    fs::create_dir_all(store.at("z.part")).unwrap();
    let refused = store.back_up(&store.at("z"), None).unwrap_err().to_string();
    assert!(refused.contains("z.part") && refused.contains("remove it"), "{refused}");
}

#[test]
fn a_backup_that_is_stopped_leaves_nothing() {
    let store = Store::with_cases(3);
    let stopped = make(
        &Source {
            store: &store.path(),
            reader: &store.journal.reader(),
            keys: None,
            routing: &store.at("tak"),
            generation: "abc",
            now: "2026-03-01T10:00:00Z".parse().unwrap(),
            stop: &|| true,
        },
        &Wanted { dir: store.at("kopia"), since: None },
    );
    assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
    assert!(!store.at("kopia").exists() && !store.at("kopia.part").exists());
}

#[test]
fn a_manifest_of_a_later_form_is_refused_with_both_numbers() {
    let store = Store::with_cases(1);
    store.back_up(&store.at("kopia"), None).unwrap();
    fs::write(store.at("kopia/manifest.json"), r#"{"format":7}"#).unwrap();
    let text = Manifest::read(&store.at("kopia")).unwrap_err().to_string();
    assert!(text.contains("form 7, this program reads up to 2"), "{text}");
}

#[test]
fn a_store_in_use_is_told_by_its_lock_and_one_that_was_is_free() {
    let store = Store::with_cases(1);
    assert_eq!(audit::user_of(&store.path()).unwrap(), None);
    let mut lock = File::create(store.path().join("lock")).unwrap();
    writeln!(lock, "4711").unwrap();
    assert_eq!(audit::user_of(&store.path()).unwrap(), None);
    lock.lock().unwrap();
    assert_eq!(audit::user_of(&store.path()).unwrap().as_deref(), Some("4711"));
}

#[test]
fn a_file_cut_anywhere_is_found_by_a_noted_head() {
    let store = Store::with_cases(4);
    let head = audited(&store.path()).head;
    let all = files(&store.path());
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    proptest!(config, |(which in 0..all.len(), share in 0.0..1.0f64)| {
        let path = &all[which];
        let whole = fs::read(path).unwrap();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "any place will do"
        )]
        let length = (whole.len() as f64 * share) as usize;
        fs::write(path, &whole[..length]).unwrap();
        let report = audit::verify(&store.path(), Some(&head), false);
        fs::write(path, &whole).unwrap();
        prop_assert!(report.map_or(1, |it| it.damaged()) > 0, "{} cut at {length}", path.display());
    });
}

#[test]
fn what_was_never_acknowledged_is_no_damage_behind_a_closed_segment_and_told_at_the_end() {
    let store = Store::with_cases(4);
    let segments = files(&store.path().join("journal"));
    let add = |path: &Path| {
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"KLJr half a record").unwrap();
    };
    add(&segments[0]);
    assert_eq!(audited(&store.path()).damage, vec![]);
    add(segments.last().unwrap());
    let report = audited(&store.path());
    let [finding] = report.damage.as_slice() else { panic!("{:?}", report.damage) };
    assert!(finding.what.contains("cut off by a crash"), "{finding}");
    assert_eq!((report.records, report.head.seq), (8, 8));
    // Somebody who appends may be in the middle of it.
    assert_eq!(audit::verify(&store.path(), None, true).unwrap().damage, vec![]);
}

#[test]
fn a_whole_record_that_was_put_in_place_of_another_breaks_the_chain() {
    let (one, two) = (Store::with_cases(4), Store::with_cases(4));
    let path = files(&one.path().join("journal"))[1].clone();
    // A segment of another journal does not belong here at all.
    fs::copy(files(&two.path().join("journal"))[1].clone(), &path).unwrap();
    let error = audit::verify(&one.path(), None, false).unwrap_err();
    let text = crate::telemetry::Chain(&error).to_string();
    assert!(text.contains("belongs to another journal"), "{text}");
}

#[test]
fn a_journal_forked_from_a_copy_is_found_where_the_two_part() {
    let mut store = Store::with_cases(1);
    store.back_up(&store.at("kopia"), None).unwrap();
    let disk = Arc::new(FolderDisk::open(&store.at("kopia/journal")).unwrap());
    let (mut fork, _) = Journal::open(disk, None, SEGMENT).unwrap();
    for n in 2..6 {
        fork.prepare().unwrap();
        fork.stage(&serde_json::to_vec(&record(n, &withdrawn())).unwrap()).unwrap();
        fork.commit().unwrap();
    }
    (2..6).for_each(|n| store.case(n));
    let head = audited(&store.path()).head;
    let report = audit::verify(&store.at("kopia"), Some(&head), false).unwrap();
    assert!(report.damaged() > 0);
    // Its last segment among the others of the first: whole frames, another chain.
    let ours = files(&store.path().join("journal"));
    for theirs in files(&store.at("kopia/journal")) {
        let here = store.path().join("journal").join(theirs.file_name().unwrap());
        if fs::read(&theirs).unwrap() == fs::read(ours.last().unwrap()).unwrap() || !here.exists() {
            continue;
        }
        let whole = fs::read(&here).unwrap();
        fs::copy(&theirs, &here).unwrap();
        let report = audit::verify(&store.path(), Some(&head), false).unwrap();
        assert!(report.damaged() > 0, "{}", here.display());
        fs::write(&here, whole).unwrap();
    }
    assert_eq!(audited(&store.path()).damage, vec![]);
}

fn withdrawn() -> serde_json::Value {
    serde_json::json!({ "kind": "withdrawn", "withdrawal": { "reason": null } })
}
