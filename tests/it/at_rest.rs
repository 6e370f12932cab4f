//! What lies on the disk: unreadable without the key, gone for ever when a case is removed.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::outbox::run as as_written;
use crate::staff::{Browser, start, taken};
use crate::staff_files::answered_with;
use crate::support::{
    File, PERSON, Peer, Power, VC1, World, case_id, certs, complaint, copy_folder, find,
    inbox_answer, program, supplement, temp, write_master_key,
};

const TEXT: &str = "PÅHITTAT ÄRENDE om en hemlig uppgift.";
const FILE: &[u8] = b"%PDF-1.4\nP\xC3\x85HITTAD FIL med hemliga ord, och till slut.";
const LETTER: &[u8] = b"%PDF-1.4\nP\xC3\x85HITTAT BREV med hemliga ord, och till slut.";

fn file() -> File {
    File { name: "skannad.pdf".to_owned(), content: FILE.to_vec() }
}

fn message(of: u32) -> String {
    let id = format!("5f1c3a52-61f2-4a44-8f07-0000000002{of:02}");
    complaint(VC1, &id, &case_id(&format!("vila-{of}")), TEXT, &[file()])
}

/// Sends a case; its registration number.
fn send(world: &World, of: u32) -> String {
    let answer = World::caller("1177").post(world.https, message(of).as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK", "{}", answer.text());
    answer.value("registrationNumber").unwrap()
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    entries.flat_map(|it| if it.is_dir() { files_below(&it) } else { vec![it] }).collect()
}

/// What must not be readable, in each form in which it could lie there.
fn secrets() -> Vec<(&'static str, Vec<u8>)> {
    let hash = Sha256::digest(PERSON.as_bytes()).to_vec();
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes).into_bytes();
    vec![
        ("the complainant's words", b"hemlig uppgift".to_vec()),
        ("the complainant's name", b"Testsson".to_vec()),
        ("the identity", PERSON.into()),
        ("the identity's plain hash", hash),
        ("the file", b"HITTAD FIL med hemliga".to_vec()),
        ("the file as base64", base64(&FILE[..30])),
        ("the file's hash", hex(&Sha256::digest(FILE)).into_bytes()),
        ("the file's name", b"skannad.pdf".to_vec()),
        ("the reply", b"Provet blev liggande".to_vec()),
        ("the reply's file", b"HITTAT BREV med hemliga".to_vec()),
        ("a note among staff", b"Ringde upp".to_vec()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

fn readable(store: &Path) -> Vec<&'static str> {
    let contents: Vec<Vec<u8>> = files_below(store)
        .iter()
        .filter(|it| it.is_file())
        .map(|it| fs::read(it).unwrap())
        .collect();
    let names: Vec<u8> =
        files_below(store).iter().flat_map(|it| it.display().to_string().into_bytes()).collect();
    let lies = |what: &[u8]| contents.iter().chain([&names]).any(|it| find(it, what).is_some());
    secrets().into_iter().filter(|(_, what)| lies(what)).map(|(name, _)| name).collect()
}

/// A case with a note and an answer, both with a file; Anna, and the link to the first file.
fn worked_with(world: &World) -> (String, Browser, String) {
    let number = send(world, 1);
    let mut anna = Browser::of(world, "anna");
    taken(&mut anna, &number);
    let case = format!("/arende/{number}");
    let page = anna.page(&case);
    let note = anna.post(&page, &format!("{case}/anteckna"), &[("text", "Ringde upp.")]);
    assert_eq!(note.status, 303, "{}", note.text());
    let path = format!("{case}/svar");
    let form = anna.page(&path);
    answered_with(&mut anna, &form, &path, LETTER);
    let page = anna.page(&case);
    let link = page.split("href=\"").find(|it| it.contains("/fil/")).unwrap();
    (number, anna, link.split('"').next().unwrap().to_owned())
}

#[test]
fn nothing_that_anybody_wrote_can_be_read_on_the_disk() {
    // What is searched for is there to be found where nothing is sealed.
    let mut open = start(World::plan().in_the_clear());
    worked_with(&open);
    assert!(open.log().contains("the store is NOT sealed"), "{}", open.log());
    assert_eq!(open.json("/status")["store"]["sealed"], false);
    open.stop();
    let all: Vec<&str> = secrets().into_iter().map(|(name, _)| name).collect();
    let found = readable(&open.dir.join("store"));
    let missed: Vec<_> = all.iter().filter(|it| !found.contains(it)).collect();
    assert_eq!(missed, [&"the file as base64"], "a test that finds nothing proves nothing");

    let mut world = start(World::plan());
    let store = world.dir.join("store");
    let (number, mut anna, link) = worked_with(&world);
    assert_eq!(world.json("/status")["store"]["sealed"], true);
    let archive = anna.get(&format!("/arende/{number}/export"));
    assert!(archive.body.starts_with(b"PK"), "{}", archive.text());
    let taken_out = anna.get(&link);
    assert!(taken_out.body == FILE, "byte for byte");
    assert_eq!(readable(&store), Vec::<&str>::new(), "while it runs");
    world.kill();
    assert_eq!(readable(&store), Vec::<&str>::new(), "after a crash");
    fs::remove_dir_all(store.join("views")).unwrap();
    world.start();
    let again = World::caller("1177").post(world.https, message(1).as_bytes()).unwrap();
    assert_eq!(again.value("registrationNumber"), Some(number.clone()), "known again");
    let mut anna = Browser::of(&world, "anna");
    assert!(anna.get(&link).body == FILE, "byte for byte after a start that made the views again");
    assert!(anna.page(&format!("/arende/{number}")).contains("hemlig uppgift"));
    world.stop();
    assert_eq!(readable(&store), Vec::<&str>::new(), "after a stop");
    let names: Vec<String> =
        files_below(&world.dir).iter().map(|it| it.display().to_string()).collect();
    assert!(names.iter().any(|it| it.ends_with("keys/1.klk")), "{names:?}");
}

/// Puts other lines about the key into the settings.
fn set_key(world: &World, line: &str) {
    let path = world.dir.join("klagomal.toml");
    let text = fs::read_to_string(&path).unwrap();
    let keep = text.lines().filter(|it| !it.starts_with("master_key"));
    let text: Vec<&str> =
        keep.flat_map(|it| if it == "[store]" { vec![it, line] } else { vec![it] }).collect();
    fs::write(&path, text.join("\n")).unwrap();
}

fn refuses(world: &mut World, told: &str) {
    let before = world.log().len();
    assert!(!world.try_start().expect_err("it starts").success());
    let log = world.log();
    assert!(log[before..].contains(told), "{told} is not in {}", &log[before..]);
}

#[test]
fn without_its_key_a_sealed_store_stays_shut_and_the_log_says_why() {
    let mut world = World::plan().start();
    let number = send(&world, 2);
    world.stop();
    let before: Vec<_> =
        files_below(&world.dir.join("store/keys")).iter().map(|it| fs::read(it).unwrap()).collect();
    set_key(&world, "");
    refuses(&mut world, "and no master key is set; set [store] master_key_file");
    write_master_key(&world.dir.join("annan.key"), "6c");
    set_key(&world, "master_key_file = \"annan.key\"");
    refuses(&mut world, "are under master key");
    set_key(&world, "master_key_file = \"ingen.key\"");
    refuses(&mut world, "ingen.key: No such file");
    set_key(&world, "master_key_command = [\"false\"]");
    refuses(&mut world, "the command false ended with exit status: 1");
    set_key(&world, "master_key_file = \"certs/ca.crt\"");
    refuses(&mut world, "gives no key: 64 hexadecimal digits are expected");
    let after: Vec<_> =
        files_below(&world.dir.join("store/keys")).iter().map(|it| fs::read(it).unwrap()).collect();
    assert!(before == after, "a start that is refused changes nothing");
    let key = world.dir.join("master.key");
    set_key(&world, &format!("master_key_command = [\"cat\", {:?}]", key.display().to_string()));
    world.start();
    assert!(world.command(&["cases", "show", &number]).0);
    assert!(!world.log().contains(&"6b".repeat(32)), "the key is in no log");
}

#[test]
fn a_store_that_gets_a_key_keeps_what_it_has_and_seals_what_comes() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = World::plan().in_the_clear().inkorg(inkorg.address).start();
    let number = send(&world, 3);
    world.stop();
    write_master_key(&world.dir.join("master.key"), "6b");
    set_key(&world, "master_key_file = \"master.key\"");
    world.start();
    let again = World::caller("1177").post(world.https, message(3).as_bytes()).unwrap();
    assert_eq!(again.value("registrationNumber"), Some(number.clone()), "known again");
    let sealed = send(&world, 4);
    let more = supplement(
        VC1,
        "5f1c3a52-61f2-4a44-8f07-000000000299",
        &case_id("vila-3"),
        "MER.",
        &[file()],
    );
    assert_eq!(World::caller("1177").post(world.https, more.as_bytes()).unwrap().outcome(), "OK");
    for of in [&number, &sealed] {
        let (done, shown) = world.command(&["cases", "show", of]);
        assert!(done, "{shown}");
        close(&world, of);
    }
    world.wait_delivered(Duration::from_secs(60));
    let (done, told) = remove(&world, &["--yes"]);
    assert!(done && told.contains("removed 1 cases"), "{told}");
    assert!(
        told.contains(&format!("{number} stays: it began before the store had keys")),
        "{told}"
    );
    assert!(!world.command(&["cases", "show", &sealed]).0);
    assert!(world.command(&["cases", "show", &number]).0);
}

fn step(world: &World, number: &str, step: &[&str]) {
    let classified =
        ["--by", "SE0000000000-ANNA", "--problem", "1", "--problem", "1.1", "--area", "3"];
    let words = [&["cases", step[0], number], &classified[..], &step[1..]].concat();
    let (done, told) = world.command(&words);
    assert!(done, "{told}");
}

fn answer(world: &World, number: &str) {
    step(world, number, &["answer", "--explanation", "PÅHITTAT SVAR."]);
}

/// Closes a case.
fn close(world: &World, number: &str) {
    step(world, number, &["close", "--reason", "answered-otherwise"]);
}

fn remove(world: &World, more: &[&str]) -> (bool, String) {
    let mut arguments = vec![
        "cases",
        "remove",
        "--unit",
        "SE0000000000-VC1",
        "--closed-before",
        "2100-01-01",
        "--decision",
        "Dnr 12/2031",
        "--by",
        "SE0000000000-ANNA",
    ];
    arguments.extend(more);
    world.command(&arguments)
}

fn run(arguments: &[&str]) -> (bool, String) {
    let done = Command::new(program()).args(arguments).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8_lossy(&done.stderr);
    (done.status.success(), text)
}

fn attachments(store: &Path) -> usize {
    files_below(&store.join("attachments")).len()
}

#[test]
fn a_removed_case_is_gone_for_ever_and_the_chain_still_verifies() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = start(World::plan().inkorg(inkorg.address));
    let store = world.dir.join("store");
    let (gone, open) = (send(&world, 5), send(&world, 6));
    let mut anna = Browser::of(&world, "anna");
    anna.page(&format!("/arende/{gone}"));
    answer(&world, &gone);
    world.wait_delivered(Duration::from_secs(60));
    let copy = temp("before").join("backup");
    let shown = copy.display().to_string();
    let (done, told) = world.command(&["backup", &shown]);
    assert!(done, "{told}");
    assert_eq!(attachments(&store), 2);

    let (done, told) = remove(&world, &[]);
    assert!(!done && told.contains("nothing was removed; add --yes"), "{told}");
    assert!(told.contains(&format!("this will remove 1 cases of SE0000000000-VC1, closed before 2100-01-01, for ever: {gone}")), "{told}");
    assert!(world.command(&["cases", "show", &gone]).0, "only shown");
    let earlier = temp("keys");
    copy_folder(&store.join("keys"), &earlier);
    let (done, told) = remove(&world, &["--yes"]);
    assert!(done && told.contains("removed 1 cases"), "{told}");
    is_gone(&world, &gone, &open);
    assert_eq!(attachments(&store), 1);
    let (done, told) = remove(&world, &["--yes"]);
    assert!(done && told.contains("no case of"), "{told}");
    let line = "cases remove --unit SE0000000000-VC1 --closed-before 2020-01-01 --decision 'Dnr \
                12/2031' --by SE0000000000-ANNA";
    assert!(as_written(&world, line, true).contains("no case of"));
    let told = as_written(&world, "cases removed", true);
    assert!(told.lines().count() == 1 && told.starts_with(&gone), "{told}");
    assert!(told.trim_end().ends_with(" by SE0000000000-ANNA, Dnr 12/2031"), "{told}");

    // The message of a removed case is known again, and its number is nobody else's.
    let again = World::caller("1177").post(world.https, message(5).as_bytes()).unwrap();
    assert_eq!(again.value("registrationNumber"), Some(gone.clone()));
    let next = send(&world, 7);
    assert!(next != gone && next != open);
    world.stop();
    let (done, told) = run(&["audit", "verify", &store.display().to_string()]);
    assert!(done && told.contains("whole"), "{told}");
    let lists = |world: &World| world.command(&["cases", "list", "--json"]).1;

    // Views made again agree, and a removal that was cut off before the key was gone is finished.
    world.start();
    let before = lists(&world);
    world.stop();
    fs::remove_dir_all(store.join("views")).unwrap();
    let shredded = fs::read(store.join("keys/1.klk")).unwrap();
    copy_folder(&earlier, &store.join("keys"));
    assert!(fs::read(store.join("keys/1.klk")).unwrap() != shredded);
    world.start();
    assert!(fs::read(store.join("keys/1.klk")).unwrap() == shredded, "finished at the start");
    is_gone(&world, &gone, &open);
    assert_eq!(lists(&world), before);
    world.stop();
    fs::remove_dir_all(store.join("views")).unwrap();
    world.start();
    is_gone(&world, &gone, &open);
    assert_eq!(lists(&world), before);
    let after = send(&world, 8);
    assert!(![&gone, &open, &next].contains(&&after));

    in_backups_made_before_alone(&world, &copy, (&gone, &open));
}

/// What was removed is in a backup made before, and in none made after.
fn in_backups_made_before_alone(world: &World, copy: &Path, (gone, open): (&str, &str)) {
    let later = temp("after").join("backup");
    let (done, told) = world.command(&["backup", &later.display().to_string()]);
    assert!(done, "{told}");
    for (copy, has) in [(copy, true), (&later, false)] {
        let (done, told) = run(&["backup", "verify", &copy.display().to_string()]);
        assert!(done, "{told}");
        let back = temp("back").join("store");
        let (done, told) =
            run(&["restore", &copy.display().to_string(), &back.display().to_string()]);
        assert!(done, "{told}");
        let restored = World::plan().store(back).start();
        assert_eq!(restored.command(&["cases", "show", gone]).0, has);
        assert!(restored.command(&["cases", "show", open]).0);
    }
}

fn is_gone(world: &World, gone: &str, open: &str) {
    let (done, told) = world.command(&["cases", "show", gone]);
    assert!(!done && told.contains("no case"), "{told}");
    let (done, told) = world.command(&["cases", "show", open]);
    assert!(done, "{told}");
    let mut anna = Browser::of(world, "anna");
    assert_eq!(anna.get(&format!("/arende/{gone}")).status, 404);
    assert_eq!(anna.get(&format!("/arende/{open}")).status, 200);
    let page = anna.page("/sok");
    let found = anna.post(&page, "/sok", &[("sok", PERSON)]);
    // One alone is shown at once.
    let found = found.text() + found.header("location").unwrap_or_default();
    assert!(!found.contains(gone), "{found}");
    assert!(found.contains(open), "{found}");
}

#[test]
fn a_removal_that_was_begun_is_finished_when_its_caller_hangs_up() {
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let (power, plan) = Power::under(World::plan().inkorg(inkorg.address), false);
    let world = plan.start();
    let number = send(&world, 17);
    close(&world, &number);
    world.wait_delivered(Duration::from_secs(60));
    let request = serde_json::json!({
        "scope": { "unit": "SE0000000000-VC1", "before": "2100-01-01T00:00:00Z" },
        "decision": "Dnr 12/2031", "by": "SE0000000000-ANNA", "numbers": [number],
    })
    .to_string();
    power.stalls();
    let mut caller = TcpStream::connect(world.admin).unwrap();
    let head = format!(
        "POST /removal HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        world.admin,
        request.len()
    );
    caller.write_all((head + &request).as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    drop(caller);
    std::thread::sleep(Duration::from_millis(500));
    power.goes_on();
    let start = Instant::now();
    // The first slot behind the head of 256: its 60 bytes are zero once the key is gone.
    let is_shredded = |name: &str| {
        let keys = fs::read(world.store().join("keys").join(name)).unwrap();
        keys[256..316].iter().all(|byte| *byte == 0)
    };
    while !(is_shredded("1.klk") && is_shredded("2.klk")) {
        assert!(start.elapsed() < Duration::from_secs(20), "the key is there still");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!world.command(&["cases", "show", &number]).0);
}

#[test]
fn only_what_is_sealed_can_be_removed_and_only_what_owes_nothing() {
    let open = World::plan().in_the_clear().start();
    let number = send(&open, 9);
    close(&open, &number);
    let (done, told) = remove(&open, &["--yes"]);
    assert!(!done && told.contains("the store is not sealed"), "{told}");
    assert!(open.command(&["cases", "show", &number]).0);

    let world = World::plan().start();
    let number = send(&world, 10);
    answer(&world, &number);
    let (done, told) = remove(&world, &["--yes"]);
    assert!(
        done && told.contains(&format!("{number} stays: something is owed about it")),
        "{told}"
    );
    assert!(world.command(&["cases", "show", &number]).0);
}

#[test]
fn a_master_key_is_turned_while_nobody_uses_the_store() {
    let mut world = World::plan().start();
    let number = send(&world, 11);
    // The README's commands, in this world's folder.
    let here = world.dir.display().to_string();
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let run_line = |line: &str| {
        assert!(readme.as_ref().is_ok_and(|it| it.contains(&format!("$ klagomal {line}\n"))));
        let line = line.replace("/etc/klagomal", &here);
        run(&line.split(' ').collect::<Vec<_>>())
    };
    let (done, told) = run_line("keys new /etc/klagomal/master-2.key");
    assert!(done && told.contains("keep a copy"), "{told}");
    assert!(!run_line("keys new /etc/klagomal/master-2.key").0, "never over another");
    let turn = "keys rotate --settings /etc/klagomal/klagomal.toml --to-file \
                /etc/klagomal/master-2.key";
    let (done, told) = run_line(turn);
    assert!(!done && told.contains("is used by process"), "{told}");
    world.stop();
    let (done, told) = run_line(turn);
    assert!(done && told.contains("keys are under the new master key"), "{told}");
    refuses(&mut world, "are under master key");
    set_key(&world, "master_key_file = \"master-2.key\"");
    world.start();
    assert!(world.command(&["cases", "show", &number]).0);
    send(&world, 12);
}

#[test]
fn a_key_that_is_damaged_in_both_copies_costs_its_own_case_alone() {
    let mut world = World::plan().start();
    let numbers: Vec<String> = (13..16).map(|of| send(&world, of)).collect();
    world.stop();
    let store = world.dir.join("store");
    for name in ["1.klk", "2.klk"] {
        let path = store.join("keys").join(name);
        let mut bytes = fs::read(&path).unwrap();
        // The third slot of 64 bytes behind a head of 256: of the case with the last number given.
        bytes[256 + 2 * 64 + 20] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    fs::remove_dir_all(store.join("views")).unwrap();
    let (done, told) = run(&["audit", "verify", &store.display().to_string()]);
    assert!(!done && told.contains("1 keys are damaged in every copy"), "{told}");
    world.start();
    assert!(world.log().contains("left out of the views"), "{}", world.log());
    for (at, number) in numbers.iter().enumerate() {
        assert_eq!(world.command(&["cases", "show", number]).0, at != 2, "{number}");
    }
    assert!(!numbers.contains(&send(&world, 16)), "a number is given once");
    // What its sender sends again is taken: it is here no more.
    let again = send(&world, 15);
    assert!(!numbers.contains(&again), "{again}");
    assert!(world.command(&["cases", "show", &again]).0);
}
