//! Keys: sealed, damaged, shredded, turned, and cut off on the way.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};

use super::*;
use crate::store::keys::file::{HEAD_BYTES, SLOT_BYTES};
use crate::store::keys::seal::{FileOpener, FileSealer, SealedBlocks, plain_length, sealed_length};

const HEAD: &[u8] = b"{\"case\":1}";
const BODY: &[u8] = "PÅHITTAD TEXT".as_bytes();

fn master(digit: char) -> MasterKey {
    MasterKey::parse(&digit.to_string().repeat(64)).unwrap()
}

fn open(dir: &Path) -> Keys {
    Keys::open(dir, &master('a')).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_sealed_is_opened_by_its_key_alone_and_by_its_own_head() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(&dir.path().join("keys"));
    let (one, two) = (keys.make(0).unwrap(), keys.make(1).unwrap());
    assert_eq!((one, two), (0, 1));
    let sealed = keys.seal(one, HEAD, BODY).unwrap().unwrap();
    assert!(!sealed.windows(4).any(|it| BODY.windows(4).any(|plain| it == plain)));
    assert_eq!(keys.open_sealed(one, HEAD, &sealed).unwrap().unwrap(), BODY);
    assert_ne!(keys.seal(one, HEAD, BODY).unwrap().unwrap(), sealed, "never the same twice");
    let refused = |slot, head: &[u8], sealed: &[u8]| {
        matches!(keys.open_sealed(slot, head, sealed), Err(KeyError::NotAsSealed { .. }))
    };
    assert!(refused(two, HEAD, &sealed), "another case's key");
    assert!(refused(one, b"{\"case\":2}", &sealed), "another head");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(refused(one, HEAD, &changed), "byte {at}");
    }
    for length in 0..sealed.len() {
        assert!(refused(one, HEAD, &sealed[..length]), "cut to {length}");
    }
}

#[test]
fn keys_are_there_again_after_a_start_and_for_no_other_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path());
    let slot = keys.make(3).unwrap();
    let sealed = keys.seal(slot, HEAD, BODY).unwrap().unwrap();
    let blind = keys.blind("199001012384");
    drop(keys);
    let keys = open(dir.path());
    assert_eq!(keys.open_sealed(slot, HEAD, &sealed).unwrap().unwrap(), BODY);
    assert_eq!(keys.blind("199001012384"), blind);
    drop(keys);
    let error = Keys::open(dir.path(), &master('b')).unwrap_err().to_string();
    let (found, given) = (file::short(&master('a').check()), file::short(&master('b').check()));
    assert!(error.contains(&found) && error.contains(&given), "{error}");
    let other = tempfile::tempdir().unwrap();
    assert_ne!(open(other.path()).blind("199001012384"), blind, "another store blinds otherwise");
}

#[test]
fn a_first_start_that_is_cut_off_leaves_what_the_next_one_can_use() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let whole = fs::read(dir.path().join("1.klk")).unwrap();
    // Before the first copy has its name, and between the two.
    for (there, left) in [(None, &whole[..100]), (Some(&whole), &whole[..0])] {
        fs::remove_dir_all(dir.path()).unwrap();
        fs::create_dir(dir.path()).unwrap();
        if let Some(whole) = there {
            fs::write(dir.path().join("1.klk"), whole).unwrap();
        }
        fs::write(dir.path().join("new-1.klk"), left).unwrap();
        let slot = open(dir.path()).make(0).unwrap();
        assert_eq!((slot, fs::read_dir(dir.path()).unwrap().count()), (0, 2));
    }
}

#[test]
fn one_damaged_copy_costs_nothing_and_is_mended() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path());
    let slot = keys.make(0).unwrap();
    let sealed = keys.seal(slot, HEAD, BODY).unwrap().unwrap();
    drop(keys);
    for name in NAMES {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in [0, 30, 100, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + SLOT_BYTES - 1] {
            flip(&path, at);
            assert!(!check(dir.path()).unwrap().unwrap().damage.is_empty(), "{name} byte {at}");
            let keys = open(dir.path());
            keys.make(slot).unwrap();
            assert_eq!(keys.open_sealed(slot, HEAD, &sealed).unwrap().unwrap(), BODY);
            assert_eq!(fs::read(&path).unwrap(), whole, "{name} byte {at}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(open(dir.path()).open_sealed(slot, HEAD, &sealed).unwrap().unwrap(), BODY);
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    assert_eq!(check(dir.path()).unwrap().unwrap().damage, Vec::<String>::new());
    for name in NAMES {
        flip(&dir.path().join(name), HEAD_BYTES + 5);
    }
    let keys = open(dir.path());
    let error = keys.open_sealed(slot, HEAD, &sealed).unwrap_err();
    assert!(matches!(error, KeyError::DamagedSlot { slot: 0 }), "{error}");
    let other = keys.make(1).unwrap();
    assert!(keys.seal(other, HEAD, BODY).unwrap().is_some(), "only that key is lost");
    let told = check(dir.path()).unwrap().unwrap().damage.join("; ");
    assert!(told.contains("1 keys are damaged in every copy"), "{told}");
}

#[test]
fn a_shredded_key_opens_nothing_whichever_copy_is_asked_and_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path());
    let (gone, stays) = (keys.make(0).unwrap(), keys.make(1).unwrap());
    let sealed = keys.seal(gone, HEAD, BODY).unwrap().unwrap();
    let other = keys.seal(stays, HEAD, BODY).unwrap().unwrap();
    let wrapped = |name| fs::read(dir.path().join(name)).unwrap()[HEAD_BYTES..][..48].to_vec();
    let before = wrapped("1.klk");
    keys.shred(&[gone]).unwrap();
    keys.shred(&[gone]).unwrap();
    assert_eq!(keys.open_sealed(gone, HEAD, &sealed).unwrap(), None);
    assert_eq!(keys.seal(gone, HEAD, BODY).unwrap(), None);
    assert_eq!(keys.open_sealed(stays, HEAD, &other).unwrap().unwrap(), BODY);
    for name in NAMES {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(!bytes.windows(before.len()).any(|it| it == before), "{name} has it still");
    }
    assert_eq!(keys.make(gone).unwrap(), stays, "the next one is given");
    // Cut off between the two copies: the key is in one of them, and the start goes on with it.
    drop(keys);
    let mut bytes = fs::read(dir.path().join("2.klk")).unwrap();
    bytes[HEAD_BYTES..HEAD_BYTES + 48].copy_from_slice(&before);
    fs::write(dir.path().join("2.klk"), bytes).unwrap();
    let keys = open(dir.path());
    keys.shred(&[gone]).unwrap();
    assert_eq!(wrapped("2.klk"), vec![0; 48]);
    let told = check(dir.path()).unwrap().unwrap();
    assert_eq!((told.shredded, told.damage.len()), (1, 0));
}

#[test]
fn another_master_key_opens_everything_and_the_old_one_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path());
    let (slot, gone) = (keys.make(0).unwrap(), keys.make(1).unwrap());
    let sealed = keys.seal(slot, HEAD, BODY).unwrap().unwrap();
    keys.shred(&[gone]).unwrap();
    let blind = keys.blind("x");
    drop(keys);
    let before = NAMES.map(|name| fs::read(dir.path().join(name)).unwrap());
    let count = rotate(dir.path(), &master('a'), &master('b')).unwrap();
    assert_eq!(count, limits::KEYS_AHEAD - 1);
    assert!(matches!(Keys::open(dir.path(), &master('a')), Err(KeyError::OtherMaster { .. })));
    let keys = Keys::open(dir.path(), &master('b')).unwrap();
    assert_eq!(keys.open_sealed(slot, HEAD, &sealed).unwrap().unwrap(), BODY);
    assert_eq!(keys.open_sealed(gone, HEAD, &sealed).unwrap(), None);
    assert_eq!(keys.blind("x"), blind);
    drop(keys);
    for name in ["new-1.klk", "new-2.klk", "1.new"] {
        fs::write(dir.path().join(name), &before[0]).unwrap();
    }
    // Cut off after the first copy: either key opens it, and what is left is made one again.
    let after = NAMES.map(|name| fs::read(dir.path().join(name)).unwrap());
    for digit in ['a', 'b'] {
        fs::write(dir.path().join("1.klk"), &after[0]).unwrap();
        fs::write(dir.path().join("2.klk"), &before[1]).unwrap();
        let keys = Keys::open(dir.path(), &master(digit)).unwrap();
        assert_eq!(keys.open_sealed(slot, HEAD, &sealed).unwrap().unwrap(), BODY);
        drop(keys);
        let both = NAMES.map(|name| fs::read(dir.path().join(name)).unwrap());
        assert_eq!(both[0], both[1]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left");
    }
}

fn sealed_file(bytes: &[u8], step: usize) -> (Vec<u8>, SealedFile) {
    let mut sealer = FileSealer::new().unwrap();
    let mut out = Vec::new();
    for part in bytes.chunks(step) {
        sealer.push(part, &mut |sealed| out.write_all(sealed)).unwrap();
    }
    sealer.finish(&mut |sealed| out.write_all(sealed)).unwrap();
    (out, sealer.sealed("sum", "name"))
}

fn opened(bytes: &[u8], sealed: &SealedFile) -> io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let length = u64::try_from(bytes.len()).unwrap();
    let mut out = Vec::new();
    FileOpener::new(file, length, sealed).unwrap().read_to_end(&mut out).map(|_| out)
}

#[test]
fn a_file_of_any_length_is_the_same_again_and_no_part_of_it_can_be_changed_or_cut() {
    const CHUNK: usize = 64 * 1024;
    let plain: Vec<u8> = (0..3 * CHUNK + 17).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17] {
        let (on_disk, sealed) = sealed_file(&plain[..length], 10_007);
        assert_eq!(u64::try_from(on_disk.len()).unwrap(), sealed_length(length as u64));
        assert_eq!(plain_length(on_disk.len() as u64), length as u64);
        assert_eq!(opened(&on_disk, &sealed).unwrap(), &plain[..length]);
        for at in (0..on_disk.len()).step_by(7919) {
            let mut changed = on_disk.clone();
            changed[at] ^= 0x80;
            assert!(opened(&changed, &sealed).is_err(), "byte {at} of {length}");
        }
        for cut in [1, 16, 17, CHUNK + 16, 2 * (CHUNK + 16)] {
            let Some(left) = on_disk.len().checked_sub(cut) else { continue };
            assert!(opened(&on_disk[..left], &sealed).is_err(), "{cut} less of {length}");
        }
    }
    let (on_disk, sealed) = sealed_file(&plain, CHUNK);
    let (a, b) = (CHUNK + 16, 2 * (CHUNK + 16));
    let moved = [&on_disk[a..b], &on_disk[..a], &on_disk[b..]].concat();
    assert!(opened(&moved, &sealed).is_err());
    assert!(opened(&[&on_disk[..a], &on_disk].concat(), &sealed).is_err());
    let (_, another) = sealed_file(b"x", 1);
    assert!(opened(&on_disk, &another).is_err());
}

proptest::proptest! {
    #[test]
    fn blocks_hold_what_a_file_would(
        steps in proptest::collection::vec((0u64..200_000, 0usize..90_000, 0u8..255), 1..12)
    ) {
        let mut blocks = SealedBlocks::new(tempfile::tempfile().unwrap()).unwrap();
        let mut plain: Vec<u8> = Vec::new();
        for (at, length, value) in steps {
            let at = at.min(plain.len() as u64);
            blocks.seek(SeekFrom::Start(at)).unwrap();
            blocks.write_all(&vec![value; length]).unwrap();
            let at = usize::try_from(at).unwrap();
            plain.resize(plain.len().max(at + length), 0);
            plain[at..at + length].fill(value);
            let mut out = Vec::new();
            blocks.seek(SeekFrom::Start(0)).unwrap();
            blocks.read_to_end(&mut out).unwrap();
            proptest::prop_assert!(out == plain);
            proptest::prop_assert_eq!(blocks.seek(SeekFrom::End(0)).unwrap(), plain.len() as u64);
        }
    }
}

#[test]
fn files_wait_for_a_record_each_for_one_and_the_oldest_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let keys = open(dir.path());
    let file = |content: &str, name: &str| SealedFile {
        sha256: content.to_owned(),
        name: name.to_owned(),
        key: String::new(),
    };
    keys.remember(file("a", "1"));
    keys.remember(file("a", "2"));
    assert!(keys.peek("a").is_some());
    let mut names = [keys.take("a").unwrap().name, keys.take("a").unwrap().name];
    names.sort();
    assert_eq!((names, keys.take("a"), keys.peek("a")), (["1".into(), "2".into()], None, None));
    for n in 0..limits::FRESH_FILES_MAX + 3 {
        keys.remember(file(&n.to_string(), &n.to_string()));
    }
    assert!(keys.peek("2").is_none() && keys.peek("3").is_some());
    for n in 0..limits::FRESH_FILES_MAX + 3 {
        drop(keys.take(&n.to_string()));
    }
    assert!(keys.fresh().order.len() < 100, "what was taken leaves no trace");
}

#[test]
fn a_master_key_is_a_file_or_what_a_command_prints_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let text = MasterKey::new_text().unwrap();
    fs::write(&path, format!("{text}\n")).unwrap();
    let of_file = MasterKey::fetch(&master::Source::File(path.clone())).unwrap();
    let command =
        |words: &[&str]| master::Source::Command(words.iter().map(|it| (*it).to_owned()).collect());
    let shown = path.display().to_string();
    let of_command = MasterKey::fetch(&command(&["cat", &shown])).unwrap();
    assert_eq!(of_file.check(), of_command.check());
    assert_ne!(of_file.check(), master('a').check());
    fs::write(&path, "HEMLIGT men ingen nyckel").unwrap();
    for source in [
        master::Source::File(path),
        master::Source::File(dir.path().join("ingen")),
        command(&["cat", &shown]),
        command(&["false"]),
        command(&["finns-inte-alls"]),
        command(&["printf", "aa"]),
        command(&[]),
    ] {
        let error = crate::telemetry::Chain(&MasterKey::fetch(&source).unwrap_err()).to_string();
        assert!(!error.contains("HEMLIGT"), "{error}");
    }
}
