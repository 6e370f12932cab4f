//! What is owed arrives, whatever the receiver does; what nobody knows of is shown to a person.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    Act, Call, Peer, VC2, World, case_id, certs, complaint, inbox_answer, region_answer, reply,
    supplement,
};

const FIRST: &str = "5b1c3a52-61f2-4a44-8f07-000000000001";
const SECOND: &str = "5b1c3a52-61f2-4a44-8f07-000000000002";
const ANSWER: &str = "5b1c3a52-61f2-4a44-8f07-000000000003";

fn send(world: &World, who: &str, message: &str) -> String {
    let answer = World::caller(who).post(world.https, message.as_bytes()).unwrap();
    assert_eq!(answer.outcome(), "OK");
    answer.value("registrationNumber").unwrap()
}

#[test]
fn a_region_that_fails_and_hangs_up_gets_the_same_message_until_it_answers_and_then_the_next() {
    let tries = AtomicUsize::new(0);
    let region = Peer::start(certs(), "region", move |call: &Call| {
        match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Act::Answer(503, "stängt".to_owned()),
            1 | 2 => Act::HangUp,
            _ => region_answer(call),
        }
    });
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let case = case_id("d-1");
    send(&world, "1177", &complaint(VC2, FIRST, &case, "Ett.", &[]));
    send(&world, "1177", &supplement(VC2, SECOND, &case, "Två.", &[]));
    let enough = |calls: &[Call]| calls.iter().any(|call| call.says(SECOND));
    region.wait(Duration::from_secs(20), "the supplement", enough);
    world.wait_delivered(Duration::from_secs(20));
    let calls = region.calls();
    let first = calls.iter().filter(|call| call.says(FIRST)).collect::<Vec<_>>();
    assert_eq!((first.len(), calls.len()), (4, 5), "the second waits for the first");
    assert!(first.iter().all(|call| call.body == first[0].body), "the same bytes each time");
    send(&world, "region", &reply(VC2, ANSWER, &case, "Svar.", &[]));
    world.wait_delivered(Duration::from_secs(20));
    let letters = inkorg.calls().iter().filter(|it| it.says("messageText")).count();
    assert_eq!(letters, 2, "a confirmation and a reply");
}

#[test]
fn an_inbox_that_hangs_up_is_not_written_to_again_until_a_person_says_so() {
    let region = Peer::start(certs(), "region", region_answer);
    let letters = AtomicUsize::new(0);
    let inkorg = Peer::start(certs(), "inkorg", move |call: &Call| {
        if call.says("messageText") && letters.fetch_add(1, Ordering::SeqCst) < 2 {
            return Act::HangUp;
        }
        inbox_answer(call)
    });
    let world = World::plan().region(region.address).inkorg(inkorg.address).start();
    let count = || inkorg.calls().iter().filter(|it| it.says("messageText")).count();
    let one = send(&world, "1177", &complaint(VC2, FIRST, &case_id("d-2"), "Ett.", &[]));
    let two = send(&world, "1177", &complaint(VC2, SECOND, &case_id("d-3"), "Två.", &[]));
    inkorg.wait(Duration::from_secs(20), "two letters", |calls| {
        calls.iter().filter(|it| it.says("messageText")).count() == 2
    });
    world.wait_delivered_or_held(Duration::from_secs(20));
    // Many times the longest of the waits that are set here.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(count(), 2, "the citizen would read it twice");
    let (done, list) = world.command(&["outbox", "list"]);
    assert!(done && list.contains(&one) && list.contains(&two), "{list}");
    let stuck = world.json("/outbox");
    let id = |number: &str| {
        let item = stuck.as_array().unwrap().iter().find(|it| it["number"] == number).unwrap();
        assert_eq!(item["state"]["state"], "unknown");
        format!("{}.{}", item["id"]["seq"], item["id"]["n"])
    };
    let (done, text) = world.command(&["outbox", "retry", &id(&one), "--reason", "kom inte fram"]);
    assert!(done, "{text}");
    let (done, text) = world.command(&["outbox", "mark-delivered", &id(&two), "--reason", "syns"]);
    assert!(done, "{text}");
    world.wait_delivered(Duration::from_secs(20));
    assert_eq!(count(), 3, "once more for the one that was to be sent again");
}
