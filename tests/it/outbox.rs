//! The operator's chapter of the README: a region that loses its answers, and every command on it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Act, Call, Peer, VC2, World, case_id, certs, complaint, inbox_answer};
use crate::support::{region_answer, supplement};

const SOON: Duration = Duration::from_secs(20);

/// The registration numbers of a new store's first cases, as the README has them.
const NUMBERS: [&str; 2] = ["DNM-VMF-Y", "NA9-R9V-W"];

fn message(n: usize) -> String {
    format!("5b1c3a52-61f2-4a44-8f07-00000000010{n}")
}

fn send(world: &World, n: usize) -> String {
    let case = case_id(&format!("o-{n}"));
    let text = complaint(VC2, &message(n), &case, "Ett.", &[]);
    let answer = World::caller("1177").post(world.https, text.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    answer.value("registrationNumber").unwrap()
}

/// A world whose region's messages a person is asked about when their answers are lost.
fn world(region: &Peer, inkorg: &Peer) -> World {
    let plan = World::plan().region(region.address).inkorg(inkorg.address);
    let mut world = plan.set("alarms", "every = \"100ms\"").write();
    let path = world.dir.join("tak-config/systems.toml");
    let text = fs::read_to_string(&path).unwrap();
    let name = "name = \"Region Exempel, ärendesystem\"\n";
    assert!(text.contains(name));
    fs::write(&path, text.replace(name, &format!("{name}when_unknown = \"hold\"\n"))).unwrap();
    world.start();
    world
}

/// A command as the README writes it, run in the world; it must be there.
pub fn run(world: &World, line: &str, good: bool) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The tests also run where there is no README.
    if let Ok(readme) = fs::read_to_string(root.join("README.md")) {
        let text = readme.replace("\\\n    ", "");
        assert!(text.contains(&format!("$ klagomal {line}\n")), "the README does not say {line}");
    }
    let mut words = Vec::new();
    for (at, part) in line.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace()),
            _ => words.push(part),
        }
    }
    let (done, text) = world.command(&words);
    assert_eq!(done, good, "{line}: {text}");
    text
}

fn wait_state(world: &World, state: &str, count: i64) {
    let start = std::time::Instant::now();
    while world.outgoing()[state] != count {
        assert!(start.elapsed() < SOON, "{state}: {:?}", world.outgoing());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn item(world: &World, number: &str) -> String {
    let stuck = world.json("/outbox");
    let item = stuck.as_array().unwrap().iter().find(|it| it["number"] == number).unwrap();
    format!("{}.{}", item["id"]["seq"], item["id"]["n"])
}

#[test]
fn unknown_messages_are_listed_and_sent_again_exactly_as_an_operator_decides() {
    let loses = Arc::new(AtomicBool::new(true));
    let lost = Arc::clone(&loses);
    let region = Peer::start(certs(), "region", move |call: &Call| {
        if lost.load(Ordering::SeqCst) { Act::HangUp } else { region_answer(call) }
    });
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = world(&region, &inkorg);
    let mut numbers: Vec<String> = (0..5).map(|n| send(&world, n)).collect();
    assert_eq!(numbers[..2], NUMBERS);
    wait_state(&world, "unknown", 5);
    world.wait_log(0, "were sent, and nobody knows whether they arrived");
    let listed = run(&world, "outbox list", true);
    assert!(numbers.iter().all(|it| listed.contains(it.as_str())), "{listed}");
    let listed = run(&world, "outbox list --to region-exempel --state unknown", true);
    assert_eq!(listed.lines().count(), 5, "{listed}");

    let said = run(&world, "outbox pause region-exempel --why 'driftstopp hos regionen'", true);
    assert!(said.contains("region-exempel is PAUSED since "), "{said}");
    run(&world, "outbox hold --case DNM-VMF-Y --why 'frågar regionen' --yes", true);
    let never = "outbox discard --case NA9-R9V-W --why 'skickad med brev' --yes";
    let said = run(&world, never, true);
    assert!(said.contains("this will discard, and never send, 1 message of 1 case"), "{said}");
    let id = item(&world, &numbers[2]);
    let marked = world.command(&["outbox", "mark-delivered", &id, "--reason", "syns hos regionen"]);
    assert!(marked.0, "{}", marked.1);

    // What is shown is only shown.
    let retry = "outbox retry --to region-exempel --state unknown --why 'regionen är igång'";
    let said = run(&world, retry, false);
    assert!(said.contains("this will resend 2 messages of 2 cases to region-exempel\n"), "{said}");
    assert!(said.contains("the receiver may get it twice"), "{said}");
    assert!(said.contains("nothing was done; add --yes"), "{said}");
    assert_eq!(world.outgoing()["unknown"], 2);
    loses.store(false, Ordering::SeqCst);
    let said = run(&world, &format!("{retry} --yes"), true);
    assert!(said.contains("done with 2 messages"), "{said}");

    // Paused: what is decided and what comes gathers, over a restart, too.
    let metrics = world.admin("/metrics").1;
    let paused = "klagomal_outgoing_paused{receiver=\"region-exempel\"} 1";
    assert!(metrics.contains(paused) && metrics.contains("klagomal_alarms{alarm=\"held\"}"));
    world.wait_log(0, "no alarm any more: unknown");
    world.stop();
    world.start();
    numbers.push(send(&world, 5));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(region.count(), 5, "nothing is sent while it is paused");
    assert_eq!(world.outgoing()["due"], 3);
    assert!(run(&world, "outbox list", true).starts_with("region-exempel is PAUSED since "));
    let from = world.log().len();
    run(&world, "outbox resume region-exempel --why 'driftstoppet är över'", true);
    region.wait(SOON, "those that were freed", |calls| calls.len() == 8);
    run(&world, "outbox release --all --why 'regionen saknar den' --yes", true);
    world.wait_log(from, "no alarm any more: held");
    world.wait_delivered(SOON);

    let times = |n: usize| region.calls().iter().filter(|call| call.says(&message(n))).count();
    let counts: Vec<usize> = (0..6).map(times).collect();
    assert_eq!(counts, [2, 1, 1, 2, 2, 1], "each as decided");
    let told = run(&world, "cases show DNM-VMF-Y", true);
    for word in ["hold", "frågar regionen", "before it was unknown", "release", "regionen saknar"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    let log = world.log();
    let begun = |what: &str| log.matches(what).count();
    assert_eq!(begun("nobody knows whether they arrived"), 1, "once, not at each look");
    assert_eq!(begun("no alarm any more: unknown"), 1);
}

#[test]
fn what_has_moved_since_it_was_shown_is_left_alone_and_told() {
    let region = Peer::start(certs(), "region", |_: &Call| Act::HangUp);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = world(&region, &inkorg);
    let number = send(&world, 0);
    send(&world, 1);
    wait_state(&world, "unknown", 2);
    let choose =
        serde_json::json!({ "decision": "discard", "selection": { "to": "region-exempel" } });
    let (status, shown) = world.admin_post("/outbox/select", &choose);
    assert_eq!(status, 200, "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let seen: Vec<_> = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| serde_json::json!({ "id": it["id"], "attempts": it["attempts"], "state": it["state"] }))
        .collect();
    let (done, text) = world.command(&["outbox", "hold", &item(&world, &number), "--why", "vänta"]);
    assert!(done, "{text}");
    let act = serde_json::json!({ "decision": "discard", "reason": "därför", "seen": seen });
    let (status, acted) = world.admin_post("/outbox/decide", &act);
    assert_eq!(status, 200, "{acted}");
    let acted: serde_json::Value = serde_json::from_str(&acted).unwrap();
    let told: Vec<_> =
        acted.as_array().unwrap().iter().map(|it| (&it["done"], &it["state"])).collect();
    assert_eq!(
        format!("{told:?}"),
        r#"[(Bool(false), String("held")), (Bool(true), String("discarded"))]"#
    );
    // Behind the held one its case waits, and nobody decides about that.
    let more = supplement(VC2, &message(7), &case_id("o-0"), "Två.", &[]);
    let answer = World::caller("1177").post(world.https, more.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    let table = [
        (&["hold", "--state", "waiting"][..], "nobody decides about messages that wait"),
        (&["release", "--state", "unknown"], "only what is held can be released"),
        (&["retry", "--to", "regionen"], "there is no receiver regionen; there are "),
        (&["retry", "--case", "nej"], "is no registration number"),
        (&["pause", "regionen"], "there is no receiver regionen"),
        (&["resume", "region-exempel"], "region-exempel is not paused"),
    ];
    for (words, told) in table {
        let all = [&["outbox"][..], words, &["--why", "därför"]].concat();
        let (done, text) = world.command(&all);
        assert!(!done && text.contains(told), "{words:?}: {text}");
    }
    let (done, text) = world.command(&["outbox", "discard", "--why", "därför"]);
    assert!(!done && text.contains("--all"), "nothing is meant without a selection: {text}");
}

#[test]
fn a_unit_that_goes_silent_against_its_usual_traffic_is_told_of_and_a_small_one_is_not() {
    let mut world = World::plan().set("alarms", "every = \"100ms\"").write();
    let folder = world.dir.join("store/decisions");
    fs::create_dir_all(&folder).unwrap();
    let now = jiff::Timestamp::now();
    let contract =
        "urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1";
    for day in 2..30_i64 {
        let noon = now.as_second() - day * 86_400;
        let hour = jiff::Timestamp::from_second(noon - noon % 3600).unwrap();
        let row = |address: &str, count: u64| {
            serde_json::json!({
                "hour": hour, "contract": contract, "address": address, "caller": "SE0000000000-1177",
                "profile": "rivtabp21", "outcome": "store", "count": count,
            })
        };
        let rows = [row("SE0000000000-VC1", 40), row("SE0000000000-VC2", 1)];
        let file = serde_json::json!({ "leftOut": 0, "decisions": rows });
        let local = hour.to_zoned(jiff::tz::TimeZone::get("Europe/Stockholm").unwrap());
        fs::write(folder.join(format!("{}.json", local.date())), file.to_string()).unwrap();
    }
    world.start();
    let line = world.wait_log(0, "SE0000000000-VC1 ProcessComplaint: no call since ");
    assert!(line.contains("ERROR"), "{line}");
    let metrics = world.admin("/metrics").1;
    assert!(metrics.contains("klagomal_alarms{alarm=\"silent\"} 1"), "{metrics}");
    assert!(!metrics.contains("VC2"), "{metrics}");
    let alarms = world.json("/status")["alarms"].clone();
    assert!(alarms.to_string().contains("\"alarm\":\"silent\""), "{alarms}");
}
