//! Receivers that are killed as processes while messages are on their way to them.
//!
//! `KLAGOMAL_SCALE` multiplies the kills; `KLAGOMAL_SEED` repeats a run's choices.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::campaign::{number, settle, times};
use crate::support::{File, Random, Simulator, VC2, World, case_id, complaint, temp};

const KILLS: usize = 20;
const SENDERS: u64 = 3;

/// An acknowledged case: its registration number, and what its file is called where it arrives.
type Sent = (String, String);

/// Each message reaches the region's system though it is killed with messages under way and forgets
/// all of them; each letter reaches the inbox, and none twice unless a person had it sent again.
#[test]
fn receivers_that_are_killed_get_everything_and_no_letter_twice() {
    let clock = u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs());
    let seed = number("KLAGOMAL_SEED", clock);
    eprintln!("KLAGOMAL_SEED={seed}");
    let folder = temp("region");
    let kept = folder.display().to_string();
    let mut region = Simulator::start("region", "region", &["--attachments", &kept]);
    let mut inkorg = Simulator::start("inkorg", "inkorg", &[]);
    let world = World::plan().region(region.at).inkorg(inkorg.at).start();
    let (stop, mut random) = (AtomicBool::new(false), Random::new(seed));
    let mut letters = Vec::new();
    let sent: Vec<Sent> = std::thread::scope(|scope| {
        let senders: Vec<_> = (1..=SENDERS)
            .map(|of| {
                let (stop, door) = (&stop, world.https);
                scope.spawn(move || send(stop, door, of, Random::new(seed ^ of)))
            })
            .collect();
        for kill in 0..times(KILLS) {
            std::thread::sleep(Duration::from_millis(20 + random.below(250)));
            if kill % 2 == 0 {
                region.is_killed_and_started();
            } else {
                letters.extend(texts(&inkorg));
                inkorg.is_killed_and_started();
            }
        }
        stop.store(true, Ordering::SeqCst);
        senders.into_iter().flat_map(|it| it.join().unwrap()).collect()
    });
    let unknown = settle(&world);
    letters.extend(texts(&inkorg));
    check(&folder, &sent, &letters, &unknown);
    let (count, held) = (sent.len(), unknown.len());
    eprintln!("{count} cases, {} letters seen, {held} outcomes unknown", letters.len());
    assert!(count > times(KILLS), "too little load to prove anything: {count}");
}

/// One case after another, each with a file that is like no other.
fn send(stop: &AtomicBool, door: SocketAddr, of: u64, mut random: Random) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut connection = World::caller("1177").connect(door).unwrap();
    while !stop.load(Ordering::SeqCst) {
        let file = File::pdf("fil.pdf", 2_000, random.next());
        let name: String =
            Sha256::digest(&file.content).iter().map(|byte| format!("{byte:02x}")).collect();
        let case = case_id(&format!("{of}-{}", sent.len()));
        let message = complaint(VC2, &random.uuid(), &case, "Ett fall.", &[file]);
        let answer = connection.post(message.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
        sent.push((answer.value("registrationNumber").unwrap(), name));
        std::thread::sleep(Duration::from_millis(random.below(20)));
    }
    sent
}

/// The texts of the letters that this process of the inbox has taken.
fn texts(inkorg: &Simulator) -> Vec<String> {
    let answer = inkorg.ask("GET", "/messages", "");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let items: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
    let times =
        |item: &serde_json::Value| usize::try_from(item["times"].as_u64().unwrap()).unwrap();
    let text = |item: &serde_json::Value| item["text"].as_str().unwrap().to_owned();
    items.iter().flat_map(|item| vec![text(item); times(item)]).collect()
}

fn check(folder: &Path, sent: &[Sent], letters: &[String], unknown: &[String]) {
    let mut again: BTreeMap<&str, usize> = BTreeMap::new();
    for number in unknown {
        *again.entry(number).or_default() += 1;
    }
    let mut seen = 0;
    for (number, file) in sent {
        assert!(folder.join(&file[..2]).join(file).exists(), "{number} has not arrived");
        let came = letters.iter().filter(|text| text.contains(number.as_str())).count();
        let most = 1 + again.get(number.as_str()).copied().unwrap_or_default();
        assert!(came <= most, "{number}: {came} letters, at most {most}");
        seen += came.min(1);
    }
    // What a process had taken since it was last asked died with it; the gateway knows that it came.
    assert!(seen > sent.len() / 2, "{seen} letters of {} were seen", sent.len());
}
