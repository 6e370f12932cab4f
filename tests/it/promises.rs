//! Each invariant, and each window in which others lose or duplicate, on the real program: the same
//! names as in the simulation, with real power cuts, kills and receivers.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::staff::{self, Browser};
use crate::support::{
    Act, Answer, Call, File, Keeps, Peer, Power, Random, Unit, VC1, VC2, World, case_id, certs,
    complaint, inbox_answer, partial_reply, region_answer, reply, supplement,
};

const SOON: Duration = Duration::from_secs(20);
/// Many times the longest wait between two tries that the tests' routing has.
const LONG: Duration = Duration::from_secs(2);
const ROUNDS: u64 = 12;

fn message_id(of: usize) -> String {
    format!("9d1c3a52-61f2-4a44-8f07-{of:012}")
}

/// The message by which case number `of` begins.
fn opening(unit: Unit, of: usize, files: &[File]) -> String {
    complaint(unit, &message_id(of), &case_id(&format!("p-{of}")), "Ett löfte.", files)
}

fn post(world: &World, who: &str, message: &str) -> Answer {
    World::caller(who).post(world.https, message.as_bytes()).unwrap()
}

fn accept(world: &World, who: &str, message: &str) -> String {
    let answer = post(world, who, message);
    assert_eq!(answer.outcome(), "OK");
    answer.value("registrationNumber").unwrap()
}

/// The registration numbers of all cases.
fn numbers(world: &World) -> BTreeSet<String> {
    let listed = world.json("/cases?limit=1000");
    let number = |row: &serde_json::Value| row["number"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(number).collect()
}

/// The kinds of what happened to a case, in order.
fn kinds(world: &World, number: &str) -> Vec<String> {
    let case = world.json(&format!("/cases/{number}"));
    let kind = |row: &serde_json::Value| row["event"]["kind"].as_str().unwrap().to_owned();
    case["events"].as_array().unwrap().iter().map(kind).collect()
}

fn letters(inkorg: &Peer) -> usize {
    inkorg.calls().iter().filter(|call| call.says("messageText")).count()
}

fn times(peer: &Peer, of: usize) -> usize {
    peer.calls().iter().filter(|call| call.says(&message_id(of))).count()
}

/// A region that does as it is told, until it is told to be well.
fn region(ill: impl Fn() -> Act + Send + Sync + 'static) -> (Peer, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&well);
    let peer =
        Peer::start(certs(), "region", move |call: &Call| match seen.load(Ordering::SeqCst) {
            true => region_answer(call),
            false => ill(),
        });
    (peer, well)
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < SOON, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn invariant_1_nothing_acknowledged_is_lost() {
    let (region, inkorg) = (
        Peer::start(certs(), "region", region_answer),
        Peer::start(certs(), "inkorg", inbox_answer),
    );
    let plan = World::plan().region(region.address).inkorg(inkorg.address);
    let (mut power, plan) = Power::under(plan, false);
    let mut world = plan.start();
    let mut random = Random::new(1);
    let pdf = [File::pdf("fil.pdf", 90_000, 1)];
    let case = case_id("p-1");
    // The power goes in the moment of each answer.
    let number = accept(&world, "1177", &opening(VC2, 1, &pdf));
    let steps = [
        ("1177", supplement(VC2, &message_id(2), &case, "Två.", &pdf)),
        ("region", partial_reply(&message_id(3), &case, "Tre.", &pdf)),
        ("region", reply(VC2, &message_id(4), &case, "Fyra.", &[])),
    ];
    let kept = |it: &str| ["opened", "supplemented", "handled"].contains(&it);
    for (at, (who, message)) in steps.iter().enumerate() {
        power.cut(&mut world, Keeps::Nothing, &mut random);
        world.start();
        let had = kinds(&world, &number);
        assert_eq!(had.iter().filter(|it| kept(it)).count(), at + 1, "{had:?}");
        assert_eq!(accept(&world, who, message), number);
    }
    power.cut(&mut world, Keeps::Any, &mut random);
    world.start();
    world.wait_delivered_or_held(SOON);
    let had: Vec<_> = kinds(&world, &number).into_iter().filter(|it| kept(it)).collect();
    assert_eq!(had, ["opened", "supplemented", "handled", "handled"]);
    for (who, message) in &steps {
        assert_eq!(post(&world, who, message).outcome(), "INFO ALREADY_RECEIVED");
    }
    assert!(times(&region, 1) > 0 && times(&region, 2) > 0, "what is owed is not lost either");
}

#[test]
fn invariant_2_nothing_happens_twice() {
    let region = Peer::start(certs(), "region", region_answer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let message = opening(VC2, 1, &[File::pdf("fil.pdf", 40_000, 2)]);
    let at_once: Vec<Answer> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| post(&world, "1177", &message))).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let first: Vec<_> = at_once.iter().filter(|it| it.outcome() == "OK").collect();
    assert_eq!(first.len(), 1, "one of sixteen is the first");
    let receipt = |it: &Answer| (it.value("registrationNumber"), it.value("receivedTime"));
    for again in at_once.iter().filter(|it| it.outcome() != "OK") {
        assert_eq!(again.outcome(), "INFO ALREADY_RECEIVED");
        assert_eq!(receipt(again), receipt(first[0]));
    }
    world.wait_delivered(SOON);
    world.kill();
    world.start();
    let again = post(&world, "1177", &message);
    assert_eq!(
        (again.outcome().as_str(), receipt(&again)),
        ("INFO ALREADY_RECEIVED", receipt(first[0]))
    );
    let other = complaint(VC2, &message_id(1), &case_id("p-1"), "Andra ord.", &[]);
    let refused = post(&world, "1177", &other).outcome();
    assert!(refused.starts_with("ERROR"), "the same id with other words: {refused}");
    std::thread::sleep(LONG);
    assert_eq!(numbers(&world).len(), 1);
    assert_eq!((times(&region, 1), letters(&inkorg)), (1, 1), "one relay and one letter");
}

#[test]
fn invariant_3_an_outbox_item_is_leased_never_taken() {
    let (region, well) = region(|| {
        std::thread::sleep(LONG);
        Act::HangUp
    });
    let mut world = World::plan().region(region.address).start();
    accept(&world, "1177", &opening(VC2, 1, &[]));
    until("it is leased", || world.outgoing()["leased"] >= 1);
    for _ in 0..3 {
        // The one who holds the lease dies with it; the next one finds it, and needs no help.
        world.kill();
        world.start();
        until("it is tried again", || world.outgoing()["leased"] >= 1);
    }
    well.store(true, Ordering::SeqCst);
    until("it has come", || owed_to(&world, "region-exempel") == 0);
    let calls = region.calls();
    let sent: BTreeSet<_> = calls.iter().map(|call| call.body.clone()).collect();
    assert_eq!(sent.len(), 1, "the same message each time");
}

#[test]
fn invariant_4_unknown_is_a_state() {
    let inkorg = Peer::start(certs(), "inkorg", |call: &Call| match call.says("messageText") {
        true => Act::HangUp,
        false => inbox_answer(call),
    });
    let mut world = World::plan().inkorg(inkorg.address).start();
    let number = accept(&world, "1177", &opening(VC1, 1, &[]));
    until("nobody knows", || world.outgoing()["unknown"] == 1);
    let shown = world.json("/outbox")[0].clone();
    assert_eq!(shown["number"], number.as_str());
    let evidence = shown["state"].to_string();
    assert!(evidence.contains("bytes had been taken for sending"), "{evidence}");
    world.kill();
    world.start();
    std::thread::sleep(LONG);
    assert_eq!(world.json("/outbox")[0]["state"]["state"], "unknown", "a restart decides nothing");
    assert_eq!(letters(&inkorg), 1);
}

#[test]
fn invariant_5_the_destination_is_fixed_at_accept() {
    let (region, well) = region(|| Act::Answer(503, "stängt".to_owned()));
    let mut world = World::plan().region(region.address).start();
    let number = accept(&world, "1177", &opening(VC2, 1, &[]));
    until("it was tried", || region.count() > 0);
    // The unit is handled in the built-in store from now on.
    let units = world.dir.join("tak-config/units.toml");
    let text = fs::read_to_string(&units).unwrap();
    let own = "method = \"system\"\nsystem = \"region-exempel\"\n";
    fs::write(&units, text.replacen(own, "method = \"store\"\n", 1)).unwrap();
    let (done, told) = world.command(&["tak", "reload"]);
    assert!(done, "{told}");
    let later = accept(&world, "1177", &opening(VC2, 2, &[]));
    world.kill();
    world.start();
    well.store(true, Ordering::SeqCst);
    until("it has come", || region.calls().last().is_some_and(|call| call.says(&message_id(1))));
    until("nothing is owed to the region", || owed_to(&world, "region-exempel") == 0);
    std::thread::sleep(LONG);
    assert_eq!(times(&region, 2), 0, "what came later goes where the newer routing says");
    let show = |number: &str| world.command(&["cases", "show", number]).1;
    assert!(show(&number).contains("region-exempel"), "{}", show(&number));
    assert!(!show(&later).contains("region-exempel"), "{}", show(&later));
}

#[test]
fn invariant_6_order_holds_within_a_case_and_a_dead_receiver_delays_its_own() {
    let (region, well) = region(|| {
        std::thread::sleep(Duration::from_millis(300));
        Act::Answer(503, "stängt".to_owned())
    });
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = World::plan().region(region.address).inkorg(inkorg.address).start();
    for of in (0..40).step_by(4) {
        let case = case_id(&format!("p-{of}"));
        accept(&world, "1177", &opening(VC2, of, &[]));
        for more in 1..4 {
            let text = supplement(VC2, &message_id(of + more), &case, "Mer.", &[]);
            accept(&world, "1177", &text);
        }
    }
    // Forty are owed to the dead one, and others have theirs meanwhile.
    let begun = Instant::now();
    accept(&world, "1177", &opening(VC1, 90, &[]));
    inkorg.wait(Duration::from_secs(5), "a letter", |calls| {
        calls.iter().filter(|it| it.says("messageText")).count() == 11
    });
    assert!(begun.elapsed() < Duration::from_secs(5) && world.outgoing()["waiting"] == 30);
    well.store(true, Ordering::SeqCst);
    world.wait_delivered(Duration::from_secs(60));
    let order: Vec<usize> = region
        .calls()
        .iter()
        .filter_map(|call| call.payload().at("messageId/root").unwrap().text[24..].parse().ok())
        .collect();
    for of in (0..40).step_by(4) {
        let mut of_case: Vec<_> = order.iter().filter(|it| **it / 4 * 4 == of).copied().collect();
        of_case.dedup();
        assert_eq!(of_case, [of, of + 1, of + 2, of + 3]);
    }
}

#[test]
fn invariant_7_a_refusal_changes_nothing() {
    let mut world = World::plan().start();
    accept(&world, "1177", &opening(VC2, 1, &[]));
    let kept = |world: &World| world.json("/status")["store"]["durableSeq"].clone();
    until("what it gave rise to is done", || {
        let before = kept(&world);
        std::thread::sleep(Duration::from_millis(300));
        before == kept(&world)
    });
    let before = (kept(&world), numbers(&world));
    let case = case_id("p-1");
    let good = opening(VC1, 2, &[]);
    let nobody = Unit { hsa_id: "SE0000000000-INGEN", ..VC1 };
    let none = case_id("ingen");
    let table = [
        ("region", good.clone(), " VP007 "),
        ("1177", reply(VC2, &message_id(6), &case, "Ett svar.", &[]), " VP007 "),
        ("1177", opening(nobody, 3, &[]), " VP004 "),
        ("1177", good.replace("ProcessComplaint", "ProcessKomplaint"), " VP004 "),
        ("1177", good.replace("</r:complaint>", ""), " VP015 "),
        ("1177", good.replace("20260216", "20261332"), "ERROR VALIDATION_ERROR"),
        ("1177", complaint(VC2, &message_id(1), &case, "Andra ord.", &[]), "MESSAGE_ID_REUSED"),
        ("1177", supplement(VC1, &message_id(4), &case, "Fel enhet.", &[]), "ERROR ACCESS_DENIED"),
        ("1177", supplement(VC1, &message_id(5), &none, "Ett.", &[]), "ERROR NOT_FOUND"),
        ("region", reply(VC1, &message_id(7), &none, "Svar.", &[]), "ERROR NOT_FOUND"),
    ];
    for (who, message, why) in table {
        let told = post(&world, who, &message).outcome();
        assert!(told.contains(why), "{why}: {told}");
    }
    assert_eq!((kept(&world), numbers(&world)), before);
    world.kill();
    world.start();
    assert_eq!(numbers(&world), before.1);
    accept(&world, "1177", &good);
}

#[test]
fn invariant_8_one_partys_case_never_reaches_another_party() {
    let region = Peer::start(certs(), "region", region_answer);
    let world = staff::start(World::plan().region(region.address));
    let care = accept(&world, "1177", &opening(VC1, 1, &[]));
    // To its own unit's staff it is shown; to the committee's and another unit's it is not there.
    let mut anna = Browser::of(&world, "anna");
    assert!(anna.page(&format!("/arende/{care}")).contains("Ett löfte."));
    let mut of_the_committee = Browser::of(&world, "p4");
    // A form to answer is only for whoever has taken the case.
    let shown = |path: &str| if path == "/svar" { 403 } else { 200 };
    for path in ["", "/svar", "/pdf", "/export"] {
        assert_eq!(anna.get(&format!("/arende/{care}{path}")).status, shown(path), "{path}");
        let answer = of_the_committee.get(&format!("/arende/{care}{path}"));
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains(&care), "{path}");
    }
    // The region answers for what it handles only, and hears nothing of one elsewhere.
    let there = post(&world, "region", &reply(VC1, &message_id(2), &case_id("p-1"), "Svar.", &[]));
    assert_eq!(there.outcome(), "ERROR ACCESS_DENIED");
    assert!(!there.text().contains(&care) && !there.text().contains("löfte"));
    std::thread::sleep(LONG);
    assert_eq!(region.count(), 0);
    let log = Browser::of(&world, "p2").page("/enhet/SE0000000000-VC1/logg");
    assert!(log.contains(&care) && log.contains("Anna Påhittad"), "each reading is kept: {log}");
    assert!(!log.contains("Filip Påhittad"), "{log}");
}

#[test]
fn invariant_9_what_was_begun_is_finished() {
    let region = Peer::start(certs(), "region", region_answer);
    let (power, plan) = Power::under(World::plan().region(region.address), false);
    let world = plan.start();
    power.stalls();
    // A text is the store's at once; a file is on its way to the disk still.
    let message = |of: usize| {
        let file = (of % 2 == 1).then(|| File::pdf("f.pdf", 30_000 * of, 9));
        opening(VC2, of, &file.into_iter().collect::<Vec<_>>())
    };
    for of in 0..5 {
        let message = message(of);
        let mut connection = World::caller("1177").connect(world.https).unwrap();
        let head = format!(
            "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\n\
             Content-Length: {}\r\n\r\n",
            message.len()
        );
        connection.send(head.as_bytes()).unwrap();
        connection.send(message.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        // Whoever called hangs up while the disk is still at it.
        drop(connection);
    }
    power.goes_on();
    until("all are kept", || numbers(&world).len() == 5);
    until("and sent on", || (0..5).all(|of| times(&region, of) == 1));
    for of in 0..5 {
        let again = post(&world, "1177", &message(of));
        assert_eq!(again.outcome(), "INFO ALREADY_RECEIVED");
    }
}

/// Acknowledged before it is on the disk.
#[test]
fn window_1_acknowledged_before_durable() {
    let mut random = Random::new(11);
    let (mut power, plan) = Power::under(World::plan(), false);
    let mut world = plan.start();
    for round in 0..4 {
        let message = opening(VC1, round, &[]);
        power.stalls();
        let mut connection = World::caller("1177").connect(world.https).unwrap();
        let answered = std::thread::scope(|scope| {
            let sending = scope.spawn(|| connection.post(message.as_bytes()));
            std::thread::sleep(Duration::from_millis(700));
            assert!(!sending.is_finished(), "an answer while no sync has returned");
            power.cut(&mut world, Keeps::Nothing, &mut random);
            sending.join().unwrap()
        });
        assert!(answered.is_err(), "{answered:?}");
        power.goes_on();
        world.start();
        let known = numbers(&world).len();
        assert_eq!(known, round, "it was not on the disk");
        accept(&world, "1177", &message);
        power.cut(&mut world, Keeps::Nothing, &mut random);
        world.start();
        assert_eq!(numbers(&world).len(), known + 1, "it was acknowledged");
    }
}

/// The power goes somewhere on a message's way, and the gateway starts again.
fn cut_while_sent(power: &mut Power, world: &mut World, message: &str, random: &mut Random) {
    let door = world.https;
    std::thread::scope(|scope| {
        // It may be dead already, or die on the way.
        let sending =
            scope.spawn(move || drop(World::caller("1177").post(door, message.as_bytes())));
        std::thread::sleep(Duration::from_millis(random.below(50)));
        power.cut(world, Keeps::Any, random);
        sending.join().unwrap();
    });
    world.start();
}

/// The mark that a message is known, without what it says.
#[test]
fn window_2_known_before_done() {
    let mut random = Random::new(12);
    let (mut power, plan) = Power::under(World::plan(), false);
    let mut world = plan.start();
    let (mut kept, mut lost) = (0, 0);
    for round in 0..ROUNDS {
        let message =
            opening(VC1, usize::try_from(round).unwrap(), &[File::pdf("f.pdf", 30_000, round)]);
        let before = numbers(&world);
        cut_while_sent(&mut power, &mut world, &message, &mut random);
        let done = numbers(&world).len() - before.len();
        let outcome = post(&world, "1177", &message).outcome();
        let known = outcome == "INFO ALREADY_RECEIVED";
        assert!(known || outcome == "OK", "{outcome}");
        assert_eq!(known, done == 1, "round {round}: the mark and the case are one");
        assert_eq!(numbers(&world).len(), before.len() + 1);
        (kept, lost) = (kept + done, lost + usize::from(!known));
    }
    eprintln!("{kept} were there after the cut, {lost} were not");
}

/// Claimed by somebody who is gone.
#[test]
fn window_3_claimed_without_a_lease() {
    let (region, well) = region(|| {
        std::thread::sleep(Duration::from_secs(1));
        Act::HangUp
    });
    let mut world = World::plan().region(region.address).start();
    for of in 0..6 {
        accept(&world, "1177", &opening(VC2, of, &[]));
    }
    let mut random = Random::new(13);
    for _ in 0..4 {
        until("one is claimed", || world.outgoing()["leased"] >= 1);
        std::thread::sleep(Duration::from_millis(random.below(300)));
        world.kill();
        world.start();
    }
    well.store(true, Ordering::SeqCst);
    until("all have come", || owed_to(&world, "region-exempel") == 0);
    assert!((0..6).all(|of| times(&region, of) > 0));
}

/// How many messages are owed to a system.
fn owed_to(world: &World, system: &str) -> i64 {
    let status = world.json("/status");
    let all = status["systems"].as_array().unwrap();
    let found = all.iter().find(|it| it["id"] == system).unwrap_or_else(|| panic!("{status}"));
    let states = ["due", "leased", "waiting", "unknown", "parked", "held"];
    states.iter().map(|state| found["outgoing"][*state].as_i64().unwrap_or(0)).sum()
}

/// Taken from one list before it stands in the next: the case without what is owed about it.
#[test]
fn window_4_taken_before_the_next_is_there() {
    let mut random = Random::new(14);
    // Nobody answers: what is owed stays owed, and can be counted.
    let (mut power, plan) = Power::under(World::plan(), false);
    let mut world = plan.start();
    for round in 0..ROUNDS {
        let message = opening(VC2, usize::try_from(round).unwrap(), &[]);
        cut_while_sent(&mut power, &mut world, &message, &mut random);
        let cases = i64::try_from(numbers(&world).len()).unwrap();
        assert_eq!(
            owed_to(&world, "region-exempel"),
            cases,
            "round {round}: a relay for each case"
        );
        assert_eq!(owed_to(&world, "inkorg"), cases, "round {round}: a letter for each case");
    }
}

/// Sent again after an answer that tells nothing.
#[test]
fn window_5_sent_again_after_an_unclear_answer() {
    let unclear: [fn() -> Act; 4] = [
        || Act::HangUp,
        || Act::Bytes { bytes: b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(), keep: false },
        || Act::Answer(504, "för sent".to_owned()),
        || Act::Answer(200, "<ok/>".to_owned()),
    ];
    for (at, act) in unclear.into_iter().enumerate() {
        let inkorg =
            Peer::start(certs(), "inkorg", move |call: &Call| match call.says("messageText") {
                true => act(),
                false => inbox_answer(call),
            });
        let (region, well) = region(act);
        let world = World::plan().region(region.address).inkorg(inkorg.address).start();
        accept(&world, "1177", &opening(VC2, 1, &[]));
        // The region knows a repeat by its id, and is asked until it answers; the citizen does not.
        region.wait(SOON, "a repeat", |calls| calls.len() >= 2);
        until("nobody knows", || world.outgoing()["unknown"] == 1);
        well.store(true, Ordering::SeqCst);
        until("the region has it", || owed_to(&world, "region-exempel") == 0);
        std::thread::sleep(LONG);
        assert_eq!(letters(&inkorg), 1, "act {at}");
        let sent: BTreeSet<_> = region.calls().iter().map(|call| call.body.clone()).collect();
        assert_eq!(sent.len(), 1, "act {at}: the same message under the same id");
    }
}

/// Recovered under another configuration: the receiver's row is gone, or stands elsewhere.
#[test]
fn window_6_recovered_under_another_configuration() {
    let (region, well) = region(|| Act::Answer(503, "stängt".to_owned()));
    let mut world = World::plan().region(region.address).start();
    accept(&world, "1177", &opening(VC2, 1, &[]));
    until("it was tried", || region.count() > 0);
    world.kill();
    // While it is down, every unit is moved to the built-in store, and the system gets other words.
    let units = world.dir.join("tak-config/units.toml");
    let text = fs::read_to_string(&units).unwrap();
    let own = "method = \"system\"\nsystem = \"region-exempel\"\n";
    let text = text.replace("receiver = \"SE0000000000-KLAGOMAL\"\n", "");
    assert!(text.contains(own));
    fs::write(&units, text.replace(own, "method = \"store\"\n")).unwrap();
    world.start();
    well.store(true, Ordering::SeqCst);
    until("it has come where it was to go", || owed_to(&world, "region-exempel") == 0);
    assert!(times(&region, 1) > 0);
    let more = supplement(VC2, &message_id(2), &case_id("p-1"), "Mer.", &[]);
    accept(&world, "1177", &more);
    until("and so does what belongs to it", || times(&region, 2) == 1);
    accept(&world, "1177", &opening(VC2, 3, &[]));
    std::thread::sleep(LONG);
    assert_eq!(times(&region, 3), 0, "a new case goes by the new routing");
}
