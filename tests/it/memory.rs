//! A message as large as the contract lets it be costs little memory, in and out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::support::{
    Call, File, Peer, VC2, World, case_id, certs, complaint, find, inbox_answer, partial_reply,
    region_answer,
};

const FILE_BYTES: usize = 20 * 1024 * 1024;
const GROWTH_MAX: u64 = 64 * 1024 * 1024;

fn five_files(seed: u64) -> Vec<File> {
    (0..5).map(|at| File::pdf(&format!("fil{at}.pdf"), FILE_BYTES, seed + at)).collect()
}

fn sums(files: &[File]) -> Vec<Vec<u8>> {
    files.iter().map(|file| Sha256::digest(&file.content).to_vec()).collect()
}

/// The files of a message that came, found without a parser.
fn sums_of(call: &Call) -> Vec<Vec<u8>> {
    let (mut rest, mut sums) = (call.body.as_slice(), Vec::new());
    while let Some(at) = find(rest, b":value>") {
        rest = &rest[at + 7..];
        let end = find(rest, b"</").unwrap();
        sums.push(Sha256::digest(STANDARD.decode(&rest[..end]).unwrap()).to_vec());
        rest = &rest[find(rest, b">").unwrap() + 1..];
    }
    sums
}

/// The most that the process has held while `work` went on, beyond what it held before.
pub fn growth(world: &World, work: impl FnOnce()) -> u64 {
    let before = world.resident();
    let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(before)));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                most.fetch_max(world.resident(), Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        work();
        stop.store(true, Ordering::SeqCst);
    });
    most.load(Ordering::SeqCst) - before
}

#[test]
fn five_files_of_twenty_megabytes_pass_both_ways_in_little_memory() {
    let region = Peer::start(certs(), "region", region_answer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let portal = World::caller("1177");
    // The first message brings in what every message needs.
    let small = complaint(
        VC2,
        "c3f5d6a0-5f0e-4c39-b8ab-29b1d7b4f001",
        &case_id("m-1"),
        "Litet.",
        &[File::pdf("liten.pdf", 2_000_000, 9)],
    );
    assert_eq!(portal.post(world.https, small.as_bytes()).unwrap().outcome(), "OK");
    world.wait_delivered(Duration::from_secs(30));

    let (start, files) = (Instant::now(), five_files(1));
    let id = "c3f5d6a0-5f0e-4c39-b8ab-29b1d7b4f002";
    let large = complaint(VC2, id, &case_id("m-2"), "Stort.", &files);
    let made = start.elapsed();
    let in_and_on = growth(&world, || {
        assert_eq!(portal.post(world.https, large.as_bytes()).unwrap().outcome(), "OK");
        world.wait_delivered(Duration::from_secs(60));
    });
    let relayed = region.calls().into_iter().find(|call| call.says(id)).expect("it was sent on");
    assert_eq!(sums_of(&relayed), sums(&files), "the region has the same files");
    drop((large, relayed));

    let files = five_files(100);
    let id = "c3f5d6a0-5f0e-4c39-b8ab-29b1d7b4f003";
    let back = partial_reply(id, &case_id("m-2"), "Stort svar.", &files);
    let and_back = growth(&world, || {
        let answer = World::caller("region").post(world.https, back.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
        world.wait_delivered(Duration::from_secs(60));
    });
    eprintln!(
        "memory: {} MB at rest; {} MB more inward and on, {} MB more back; {:?} in all, {made:?} of it to make \
         the first message",
        world.resident() >> 20,
        in_and_on >> 20,
        and_back >> 20,
        start.elapsed()
    );
    assert!(in_and_on < GROWTH_MAX, "{in_and_on} bytes more");
    assert!(and_back < GROWTH_MAX, "{and_back} bytes more");
}
