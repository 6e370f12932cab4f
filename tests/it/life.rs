//! Starting and stopping: in order under load, alone on a store, and never on wrong settings.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{File, Random, VC1, World, case_id, complaint, program};

#[test]
fn a_stop_under_load_answers_what_was_begun_and_loses_nothing() {
    let mut world = World::plan().start();
    let stop = Arc::new(AtomicBool::new(false));
    let door = world.https;
    let senders: Vec<_> = (0..6)
        .map(|of| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut random = Random::new(of + 77);
                let mut numbers = Vec::new();
                let mut connection = World::caller("1177").connect(door).unwrap();
                for at in 0.. {
                    let files = [File::pdf("fil.pdf", 300_000, at)];
                    let files = if at % 3 == 0 { &files[..] } else { &[] };
                    let case = case_id(&format!("stop-{of}-{at}"));
                    let message = complaint(VC1, &random.uuid(), &case, "Stopp.", files);
                    match connection.post(message.as_bytes()) {
                        Ok(answer) => {
                            assert_eq!(answer.outcome(), "OK");
                            numbers.push(answer.value("registrationNumber").unwrap());
                            if answer.header("connection") == Some("close") {
                                break;
                            }
                        }
                        Err(error) => {
                            assert!(stop.load(Ordering::SeqCst), "before the stop: {error}");
                            break;
                        }
                    }
                }
                numbers
            })
        })
        .collect();
    // Somebody who holds a connection and says nothing, and somebody in the middle of a message.
    let mut idle = World::caller("1177").connect(door).unwrap();
    idle.shake_hands().unwrap();
    let mut half = World::caller("1177").connect(door).unwrap();
    half.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n<e")
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    stop.store(true, Ordering::SeqCst);
    let (end, took) = world.stop();
    assert!(end.success(), "{end}");
    assert!(took < Duration::from_secs(30), "{took:?}");
    let numbers: Vec<String> = senders.into_iter().flat_map(|it| it.join().unwrap()).collect();
    assert!(numbers.len() > 6, "{}", numbers.len());
    let log = world.log();
    assert!(
        log.contains("stopping: no new calls are taken") && log.contains("INFO stopped"),
        "{log}"
    );
    world.start();
    for number in &numbers {
        assert_eq!(world.admin(&format!("/cases/{number}")).0, 200, "{number} is lost");
    }
    let listed = world.json("/cases?limit=10000").as_array().unwrap().len();
    // A message whose answer the stop cut off may be there; its sender would send it again.
    assert!((numbers.len()..=numbers.len() + 6).contains(&listed), "{listed}, {}", numbers.len());
}

#[test]
fn a_stop_without_load_is_quick() {
    let mut world = World::plan().start();
    let mut kept = World::caller("1177").connect(world.https).unwrap();
    kept.shake_hands().unwrap();
    let (end, took) = world.stop();
    assert!(end.success() && took < Duration::from_secs(5), "{end} {took:?}");
    assert!(kept.is_closed_within(Duration::from_secs(2)));
    assert!(World::caller("1177").connect(world.https).is_err(), "the door is closed");
}

#[test]
fn a_second_process_on_the_same_store_is_told_so_and_harms_nothing() {
    let world = World::plan().start();
    let second = World::plan().store(world.dir.join("store")).write();
    let done = serve(&second.dir);
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("the gateway does not start") && told.contains("store"), "{told}");
    assert!(told.contains(&format!("is used by process {}", world.pid())), "{told}");
    let message =
        complaint(VC1, "6a1c3a52-61f2-4a44-8f07-95d8a2f6a0c1", &case_id("2nd"), "Två.", &[]);
    let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
}

fn serve(dir: &Path) -> Output {
    let settings = dir.join("klagomal.toml");
    Command::new(program()).args(["serve", "--settings"]).arg(settings).output().unwrap()
}

#[test]
fn wrong_settings_are_told_all_at_once_with_their_lines() {
    let world = World::plan().write();
    let path = world.dir.join("klagomal.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text =
        text.replace("crl = []", "clr = []").replace("[limits]", "[limits]\nconnections = 0");
    let text = text.replace("min_free_bytes = 1_048_576", "min_free_bytes = \"much\"");
    fs::write(&path, text + "\n[logg]\nlevel = \"info\"\n").unwrap();
    let done = serve(&world.dir);
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8(done.stderr).unwrap();
    for word in ["clr", "`crl`", "connections", "min_free_bytes", "[logg]", "klagomal.toml:"] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    assert!(done.stdout.is_empty(), "nothing is said to be up");
}

#[test]
fn wrong_routing_is_told_all_at_once_with_file_and_line() {
    let world = World::plan().write();
    let units = world.dir.join("tak-config/units.toml");
    let text = fs::read_to_string(&units).unwrap();
    let text = text.replacen("method = \"store\"", "method = \"stor\"", 1);
    fs::write(&units, text.replacen("system = \"region-exempel\"", "system = \"region\"", 1))
        .unwrap();
    let permissions = world.dir.join("tak-config/permissions.toml");
    let text = fs::read_to_string(&permissions).unwrap();
    fs::write(&permissions, text.replacen("consumer =", "konsumer =", 1)).unwrap();
    let done = serve(&world.dir);
    assert_eq!(done.status.code(), Some(1));
    let told = String::from_utf8(done.stderr).unwrap();
    for word in ["units.toml:", "permissions.toml:", "\"stor\"", "\"region\"", "konsumer"] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
}
