//! Backup, audit and restore on the real program, while cases come in.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{
    File, Peer, Random, VC1, VC2, World, case_id, certs, complaint, inbox_answer, program, temp,
};

/// Senders of cases until they are told to stop; they give the registration numbers acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    senders: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(door: SocketAddr) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let senders = (0..3)
            .map(|of| {
                let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
                std::thread::spawn(move || {
                    let mut random = Random::new(of + 4711);
                    let mut connection = World::caller("1177").connect(door).unwrap();
                    let mut numbers = Vec::new();
                    for at in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let files = [File::pdf("fil.pdf", 30_000, of * 1_000_000 + at)];
                        let files = if at % 2 == 0 { &files[..] } else { &[] };
                        let case = case_id(&format!("kopia-{of}-{at}"));
                        let unit = if at % 3 == 0 { VC2 } else { VC1 };
                        let message = complaint(unit, &random.uuid(), &case, "Kopia.", files);
                        let answer = connection.post(message.as_bytes()).unwrap();
                        assert_eq!(answer.outcome(), "OK");
                        numbers.push(answer.value("registrationNumber").unwrap());
                        sent.fetch_add(1, Ordering::SeqCst);
                    }
                    numbers
                })
            })
            .collect();
        Self { stop, sent, senders }
    }

    fn wait_for(&self, more: usize) {
        let (start, wanted) = (Instant::now(), self.sent.load(Ordering::SeqCst) + more);
        while self.sent.load(Ordering::SeqCst) < wanted {
            assert!(start.elapsed() < Duration::from_secs(60), "the load stands still");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.senders.into_iter().flat_map(|it| it.join().unwrap()).collect()
    }
}

/// A command that needs no gateway.
fn run(arguments: &[&str]) -> (bool, String) {
    let done = Command::new(program()).args(arguments).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr);
    (done.status.success(), text)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn head(output: &str) -> String {
    let line = output.lines().find_map(|line| line.trim().strip_prefix("head "));
    line.unwrap_or_else(|| panic!("no head: {output}")).to_owned()
}

fn rows(world: &World) -> Vec<Value> {
    let (done, listed) = world.command(&["cases", "list", "--json", "--limit", "10000"]);
    assert!(done, "{listed}");
    serde_json::from_str(&listed).unwrap()
}

fn first_segment(dir: &Path) -> PathBuf {
    let mut found: Vec<_> =
        fs::read_dir(dir.join("journal")).unwrap().map(|it| it.unwrap().path()).collect();
    found.sort();
    found.remove(0)
}

#[test]
fn a_backup_under_load_is_whole_and_becomes_a_store_that_runs() {
    let mut world = World::plan().start();
    let folder = temp("backups");
    let load = Load::on(world.https);
    load.wait_for(30);
    let before: Vec<Value> = rows(&world);
    let (one, two) = (folder.join("one"), folder.join("two"));
    let (done, told) = world.command(&["backup", text(&one)]);
    assert!(done && told.contains(" records, ") && told.contains(" files, "), "{told}");
    load.wait_for(30);
    let (done, again) = world.command(&["backup", text(&two), "--since", text(&one)]);
    assert!(done && again.contains("shared with the backup before"), "{again}");
    let (done, refused) = world.command(&["backup", text(&one)]);
    assert!(!done && refused.contains("something is there already"), "{refused}");
    // A store in use is not judged unless that is asked for.
    let store = world.dir.join("store");
    let (done, used) = run(&["audit", "verify", text(&store)]);
    assert!(!done && used.contains("--anyway"), "{used}");
    let (done, used) = run(&["audit", "verify", text(&store), "--anyway"]);
    assert!(done && used.contains("in use"), "{used}");
    load.wait_for(10);
    let numbers = load.stop();
    let after = rows(&world);
    world.kill();
    for (dir, made) in [(&one, &told), (&two, &again)] {
        let (whole, report) = run(&["backup", "verify", text(dir)]);
        assert!(whole && report.contains("whole"), "{report}");
        assert_eq!(head(&report), head(made));
        let (whole, report) = run(&["audit", "verify", text(&store), "--expect", &head(made)]);
        assert!(whole, "{report}");
    }
    let new = folder.join("store");
    let (done, restored) = run(&["restore", text(&one), text(&new)]);
    assert!(done && restored.contains("holds every letter"), "{restored}");
    assert_eq!(head(&restored), head(&told));
    let (done, refused) = run(&["restore", text(&one), text(&new)]);
    assert!(!done && refused.contains("something is there already"), "{refused}");
    let world_two = World::plan().store(new.clone()).start();
    let there = rows(&world_two);
    // Everything up to the head and nothing after it: the list is in the order of the journal.
    assert!(there.len() >= before.len() && there.len() < after.len(), "{}", there.len());
    assert_eq!(there, after[..there.len()]);
    assert_eq!(after.len(), numbers.len());
    assert_eq!(fs::metadata(new.join("restored.json")).ok().map(|_| ()), None);
    no_number_is_given_twice(&world_two, &numbers, after.len() - there.len());
    drop(world_two);
    damage_is_named(&one, &there);
}

/// The restored store knows nothing of the `lost` cases that came after the backup.
fn no_number_is_given_twice(restored: &World, numbers: &[String], lost: usize) {
    let mut random = Random::new(7);
    let mut connection = World::caller("1177").connect(restored.https).unwrap();
    for at in 0..lost + 10 {
        let case = case_id(&format!("ny-{at}"));
        let message = complaint(VC1, &random.uuid(), &case, "Ny.", &[]);
        let answer = connection.post(message.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
        let number = answer.value("registrationNumber").unwrap();
        assert!(!numbers.contains(&number), "{number} stands for two cases");
    }
    assert!(restored.log().contains("none is given twice"), "{}", restored.log());
}

/// One byte of the first case's record, and one of an attachment.
fn damage_is_named(backup: &Path, cases: &[Value]) {
    let path = first_segment(backup);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    // Behind the head of the sealed record, which tells the case.
    let at = bytes.windows(4).position(|it| it == b"KLS1").unwrap();
    bytes[at + 1500] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (done, report) = run(&["audit", "verify", text(backup)]);
    let segment = path.file_name().unwrap().to_str().unwrap();
    assert!(!done && report.contains("DAMAGED") && report.contains(segment), "{report}");
    let named = cases.iter().any(|row| report.contains(row["number"].as_str().unwrap()));
    assert!(named && report.contains("record 1;"), "{report}");
    assert!(!report.contains("PÅHITTAT") && !report.contains("Testsson"), "{report}");
    let (done, report) = run(&["backup", "verify", text(backup), "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(!done && report["damage"][0]["first_seq"] == 1, "{report}");
    let to = backup.with_file_name("never");
    let (done, refused) = run(&["restore", text(backup), text(&to)]);
    assert!(!done && refused.contains("backup verify") && !to.exists(), "{refused}");
    fs::write(&path, whole).unwrap();
    let folder = fs::read_dir(backup.join("attachments")).unwrap().next().unwrap().unwrap().path();
    let file = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (done, report) = run(&["audit", "verify", text(backup)]);
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(
        !done && report.contains("an attachment is damaged") && report.contains(name),
        "{report}"
    );
}

/// Three cases, each with an acknowledgement waiting behind the first letter, and a backup taken
/// before any letter has gone; then the letters go.
#[test]
fn letters_sent_after_the_backup_are_not_sent_again_by_the_restored_store() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = World::plan().start();
    let mut random = Random::new(99);
    let mut connection = World::caller("1177").connect(world.https).unwrap();
    for at in 0..3 {
        let case = case_id(&format!("brev-{at}"));
        let message = complaint(VC1, &random.uuid(), &case, "Brev.", &[]);
        let answer = connection.post(message.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
        let number = answer.value("registrationNumber").unwrap();
        let (done, told) =
            world.command(&["cases", "acknowledge", &number, "--by", "SE0000000000-ANNA"]);
        assert!(done, "{told}");
    }
    let folder = temp("letters");
    let backup = folder.join("backup");
    let (done, told) = world.command(&["backup", text(&backup)]);
    assert!(done, "{told}");
    world.kill();
    let (held, free) = (folder.join("held"), folder.join("free"));
    assert!(run(&["restore", text(&backup), text(&held)]).0);
    assert!(run(&["restore", text(&backup), text(&free), "--release-inbox"]).0);
    let mut restored = World::plan().inkorg(inkorg.address).store(held.clone()).start();
    let stuck = restored.json("/outbox");
    let stuck = stuck.as_array().unwrap();
    assert_eq!(stuck.len(), 6, "{stuck:?}");
    for item in stuck {
        assert_eq!(item["state"]["state"], "held", "{item}");
        let why = item["state"]["why"].as_str().unwrap();
        assert!(why.starts_with("restored from a backup of 20"), "{why}");
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(inkorg.count(), 0, "a letter went without anybody deciding it");
    // The later letter of a case, released first, waits for the one before it.
    let id = |at: usize| format!("{}.{}", stuck[at]["id"]["seq"], stuck[at]["id"]["n"]);
    let of_first = |item: &Value| item["number"] == stuck[0]["number"];
    let second = (1..6).find(|at| of_first(&stuck[*at])).unwrap();
    let (done, told) = restored.command(&["outbox", "retry", &id(second), "--reason", "prov"]);
    assert!(done && told.contains("waiting"), "{told}");
    let (done, told) = restored.command(&["outbox", "mark-delivered", &id(0), "--reason", "prov"]);
    assert!(done, "{told}");
    let start = Instant::now();
    while inkorg.count() == 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "the released letter does not go");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The decision was made once: another start asks nothing again.
    restored.kill();
    restored.start();
    assert_eq!(restored.json("/outbox").as_array().unwrap().len(), 4);
    drop(restored);
    // Their next attempt was ten minutes away when the backup was made, and still is.
    let world = World::plan().inkorg(inkorg.address).store(free).start();
    assert_eq!(world.json("/outbox").as_array().unwrap().len(), 0);
    let status = world.json("/status");
    let systems = status["systems"].as_array().unwrap();
    let owed = &systems.iter().find(|it| it["id"] == "inkorg").unwrap()["outgoing"];
    assert_eq!((&owed["due"], &owed["waiting"]), (&3.into(), &3.into()), "{owed}");
}
