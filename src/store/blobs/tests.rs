//! Tests of the attachments.

use std::io::Read;

use super::*;

const LIMIT: u64 = 1000;

fn kept(blobs: &Blobs, bytes: &[u8]) -> Stored {
    let mut writer = blobs.begin(LIMIT).unwrap();
    bytes.chunks(7).for_each(|part| writer.write(part).unwrap());
    writer.finish().unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_file_is_named_by_its_hash_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let stored = kept(&blobs, b"abc");
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(stored, Stored { sha256: hash.to_owned(), bytes: 3, first: b"abc".to_vec() });
    assert_eq!(files(dir.path()), [dir.path().join("ba").join(hash)]);
    let (mut file, length) = blobs.open(hash).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), length), ("abc", 3));
    let long = kept(&blobs, b"0123456789abcdefgh");
    assert_eq!((long.first.as_slice(), long.bytes), (&b"0123456789abcdef"[..], 18));
    assert_eq!(kept(&blobs, b"").first, b"");
}

#[test]
fn the_same_file_twice_is_one_file_and_a_cut_one_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let first = kept(&blobs, b"the same");
    assert_eq!(kept(&blobs, b"the same"), first);
    let path = files(dir.path());
    assert_eq!(path.len(), 1);
    fs::write(&path[0], b"the").unwrap();
    assert!(matches!(blobs.verify(&first.sha256), Err(BlobError::Damaged { .. })));
    assert_eq!(kept(&blobs, b"the same"), first);
    assert_eq!(blobs.verify(&first.sha256).unwrap(), 8);
}

#[test]
fn a_file_at_its_bound_is_kept_and_one_byte_more_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    assert_eq!(kept(&blobs, &[1; 1000]).bytes, 1000);
    let mut over = blobs.begin(LIMIT).unwrap();
    over.write(&[2; 1000]).unwrap();
    assert!(!over.is_over());
    over.write(&[2]).unwrap();
    over.write(&[2; 1 << 20]).unwrap();
    assert!(over.is_over());
    assert_eq!(over.bytes(), 1000);
    assert!(matches!(over.finish(), Err(BlobError::TooLarge { limit: LIMIT })));
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_file_given_up_leaves_nothing_at_once_or_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let mut dropped = blobs.begin(LIMIT).unwrap();
    dropped.write(b"abc").unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    drop(dropped);
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    assert_eq!(blobs.shared.writing.load(Ordering::Relaxed), 0);
    fs::write(dir.path().join("tmp/left"), "x").unwrap();
    Blobs::new(dir.path()).unwrap();
    assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn only_a_hash_is_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let upper = "A".repeat(64);
    let path = format!("../{}", "a".repeat(61));
    for name in ["", "ab", "../../etc/passwd", &upper, &path, &"å".repeat(32)] {
        assert!(matches!(blobs.open(name), Err(BlobError::Name)), "{name}");
    }
    assert!(matches!(blobs.open(&"a".repeat(64)), Err(BlobError::Absent { .. })));
}

#[test]
fn a_sweep_takes_what_is_old_and_named_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let (named, nameless) = (kept(&blobs, b"named").sha256, kept(&blobs, b"nameless").sha256);
    let hour = Duration::from_secs(3600);
    let written = fs::metadata(blobs.shared.path(&named).unwrap()).unwrap().modified().unwrap();
    let written = Timestamp::try_from(written).unwrap();
    let is_named = |name: &str| name == named;
    let early = clock::after(written, hour / 2);
    let late = clock::after(written, hour * 2);
    assert_eq!(blobs.sweep(is_named, hour, early).unwrap(), 0);
    assert_eq!(blobs.sweep(is_named, hour, late).unwrap(), 1);
    assert!(blobs.open(&named).is_ok());
    assert!(matches!(blobs.open(&nameless), Err(BlobError::Absent { .. })));
}

#[test]
fn a_file_that_is_used_again_is_young_again() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::new(dir.path()).unwrap();
    let name = kept(&blobs, b"again").sha256;
    let path = blobs.shared.path(&name).unwrap();
    let old = fs::metadata(&path).unwrap().modified().unwrap() - Duration::from_secs(7200);
    File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
    kept(&blobs, b"again");
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > old + Duration::from_secs(3600));
}

#[test]
fn what_is_given_out_takes_no_room_that_cases_need_and_leaves_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let full = Blobs::keeping_free(dir.path(), u64::MAX).unwrap();
    assert!(matches!(full.scratch(1), Err(BlobError::NoSpace { .. })));
    let blobs = Blobs::keeping_free(dir.path(), 1).unwrap();
    let writing = || blobs.shared.writing.load(Ordering::Relaxed);
    let mut scratch = blobs.scratch(1000).unwrap();
    scratch.write_all(b"given out").unwrap();
    assert_eq!(writing(), 1000);
    assert_eq!(fs::read_dir(&blobs.shared.tmp).unwrap().count(), 0);
    drop(scratch);
    let writer = blobs.begin(500).unwrap();
    assert_eq!(writing(), 500);
    drop(writer);
    assert_eq!(writing(), 0);
}
