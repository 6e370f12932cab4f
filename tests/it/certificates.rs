//! Who gets in with which certificate, and what a change of files does while the program runs.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{
    Answer, Caller, Peer, TLS12, TLS13, VC2, World, case_id, certificate, certs, complaint,
    partial_reply, region_answer,
};

/// A word about a case that is not there: whoever is permitted to say it is told so.
fn probe() -> String {
    partial_reply("9d1c6a52-61f2-4a44-8f07-95d8a2f6a0c1", &case_id("none"), "Prov.", &[])
}

const IN: &str = "ERROR NOT_FOUND";
const KNOWN: &str = "VP007";

/// Certificate, what the caller sees (nothing: the connection breaks off), what the log says.
const TABLE: [(&str, Option<&str>, &str); 18] = [
    ("region", Some(IN), ""),
    ("hsa-id-in-utf8string", Some(IN), ""),
    ("lower-case-with-blanks", Some(IN), ""),
    ("p384", Some(IN), ""),
    ("rsa", Some(IN), ""),
    ("gateway", Some(KNOWN), "SE0000000000-GATEWAY"),
    ("1177", Some(KNOWN), "SE0000000000-1177"),
    ("obehorig", Some(KNOWN), "SE0000000000-OBEHORIG"),
    ("anna", Some(KNOWN), "SE0000000000-ANNA"),
    ("no-hsa-id", Some("VP002"), "has no attribute 2.5.4.5 with an HSA-id"),
    ("two-hsa-ids", Some("VP002"), "has the attribute 2.5.4.5 more than once"),
    ("expired", None, "has expired"),
    ("not-yet-valid", None, "is not valid yet"),
    ("from-wrong-ca", None, "was not issued by a trusted authority"),
    ("self-signed", None, "was not issued by a trusted authority"),
    ("revoked", None, "is revoked"),
    ("wrong-key-usage", None, "may not be used for this"),
    ("", None, "the peer gave no certificate"),
];

#[test]
fn each_kind_of_certificate_gets_in_or_is_refused_with_its_reason_in_the_log() {
    let world = World::plan().crl("revoked.crl").start();
    let kinds: Vec<&str> = klagomal::pki::kinds().iter().map(|kind| kind.name).collect();
    for (name, expected, logged) in TABLE {
        assert!(name.is_empty() || kinds.contains(&name), "{name}");
        for versions in [TLS12, TLS13] {
            let from = world.log().len();
            let name = Some(name).filter(|name| !name.is_empty());
            let caller = Caller::with(certs(), name, versions);
            let seen = caller.post(world.https, probe().as_bytes());
            match (expected, seen) {
                (Some(expected), Ok(answer)) => {
                    assert!(answer.outcome().contains(expected), "{name:?}: {}", answer.text());
                }
                (None, Err(_)) => {}
                (_, seen) => panic!("{name:?} {versions:?}: expected {expected:?}, saw {seen:?}"),
            }
            if !logged.is_empty() {
                world.wait_log(from, logged);
            }
        }
    }
    assert_eq!(world.admin("/readyz").0, 200);
}

/// Asks until the answer is as wanted.
fn until(what: &str, mut asked: impl FnMut() -> bool) {
    let start = Instant::now();
    while !asked() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not within 20 s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn outcome(seen: std::io::Result<Answer>) -> String {
    seen.map_or_else(|error| format!("broken off: {error}"), |answer| answer.outcome())
}

#[test]
fn a_caller_on_a_new_revocation_list_is_out_at_once_and_others_stay() {
    let world = World::plan().crl("empty.crl").start();
    for (name, hangup) in [("rsa", false), ("p384", true)] {
        // An authority of its own is in each world's folder only by its public half: revoke where
        // the keys are, and carry the list over as an operator would.
        let mut kept = World::caller(name).connect(world.https).unwrap();
        let mut other = World::caller("region").connect(world.https).unwrap();
        let mut idle = World::caller(name).connect(world.https).unwrap();
        for connection in [&mut kept, &mut other, &mut idle] {
            assert_eq!(connection.post(probe().as_bytes()).unwrap().outcome(), IN);
        }
        let lists = crate::support::temp("lists");
        for file in ["ca.crt", "function-ca.crt", "function-ca.key", "revoked.crl"] {
            fs::copy(certs().join(file), lists.join(file)).unwrap();
        }
        fs::copy(certs().join(format!("{name}.crt")), lists.join(format!("{name}.crt"))).unwrap();
        klagomal::pki::revoke(&lists, name, jiff::Timestamp::now()).unwrap();
        let from = world.log().len();
        replace(&world, "empty.crl", &fs::read(lists.join("revoked.crl")).unwrap());
        if hangup {
            world.signal("HUP");
        }
        assert!(idle.is_closed_within(Duration::from_secs(10)), "an idle connection goes on");
        let seen = outcome(kept.post(probe().as_bytes()));
        assert!(seen.contains("VP002") || seen.contains("broken off"), "{seen}");
        let seen = outcome(World::caller(name).post(world.https, probe().as_bytes()));
        assert!(seen.contains("broken off"), "{seen}");
        world.wait_log(from, "is revoked");
        assert_eq!(other.post(probe().as_bytes()).unwrap().outcome(), IN, "others stay");
        // The next round begins with the list as it was.
        replace(&world, "empty.crl", &fs::read(certs().join("empty.crl")).unwrap());
        until("a list without it", || {
            outcome(World::caller(name).post(world.https, probe().as_bytes())) == IN
        });
    }
}

fn replace(world: &World, name: &str, content: &[u8]) {
    let path = world.dir.join("certs").join(name);
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_new_trust_list_counts_at_once_and_a_broken_one_changes_nothing() {
    let world = World::plan().start();
    let ask = |name| outcome(World::caller(name).post(world.https, probe().as_bytes()));
    assert_eq!(ask("region"), IN);
    assert!(ask("from-wrong-ca").contains("broken off"));
    let from = world.log().len();
    replace(&world, "ca.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    world.signal("HUP");
    let told = world.wait_log(from, "ca.crt");
    assert!(told.contains("certs/ca.crt"), "{told}");
    assert_eq!(ask("region"), IN, "the old list goes on");
    let both = [
        fs::read(certs().join("ca.crt")).unwrap(),
        fs::read(certs().join("wrong-ca.crt")).unwrap(),
    ];
    replace(&world, "ca.crt", &both.concat());
    until("the other authority is trusted", || ask("from-wrong-ca") == IN);
    assert_eq!(ask("region"), IN);
}

#[test]
fn a_new_server_certificate_is_shown_without_a_restart_and_old_connections_go_on() {
    let world = World::plan().start();
    let mut old = World::caller("region").connect(world.https).unwrap();
    assert_eq!(old.post(probe().as_bytes()).unwrap().outcome(), IN);
    let shown = || {
        let mut new = World::caller("region").connect(world.https).unwrap();
        new.shake_hands().unwrap();
        new.server_certificate()
    };
    let before = shown();
    // Half of a change: a certificate that the key does not fit is not taken.
    let from = world.log().len();
    replace(&world, "gateway.crt", &fs::read(certs().join("p384.crt")).unwrap());
    world.signal("HUP");
    world.wait_log(from, "gateway.crt");
    assert_eq!(shown(), before);
    replace(&world, "gateway.key", &fs::read(certs().join("p384.key")).unwrap());
    until("the new certificate is shown", || shown() != before);
    assert_eq!(old.post(probe().as_bytes()).unwrap().outcome(), IN);
    assert_eq!(outcome(World::caller("region").post(world.https, probe().as_bytes())), IN);
}

#[test]
fn half_a_change_of_certificate_stops_no_call_to_a_system() {
    let region = Peer::start(certs(), "region", region_answer);
    let world = World::plan().region(region.address).start();
    let relay = |number: usize, name: &str| {
        let id = format!("7b1c3a52-61f2-4a44-8f07-{number:012}");
        let message = complaint(VC2, &id, &case_id(&format!("h-{number}")), "Prov.", &[]);
        let answer = World::caller("1177").post(world.https, message.as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
        region.wait(Duration::from_secs(10), "the relay", |calls| calls.len() == number);
        assert_eq!(region.calls().last().unwrap().caller, Some(certificate(name)), "{number}");
    };
    let reload = || world.admin_post("/reload", &serde_json::json!({})).1;
    let faults = || world.json("/status")["tlsFaults"].to_string();
    replace(&world, "gateway.crt", &fs::read(certs().join("inkorg.crt")).unwrap());
    assert!(reload().contains("calls with"), "told to who reloads");
    relay(1, "gateway");
    assert!(faults().contains("calls with"), "{}", faults());
    replace(&world, "gateway.key", &fs::read(certs().join("inkorg.key")).unwrap());
    assert!(!reload().contains("calls with"));
    assert_eq!(faults(), "[]");
    // Half of the next change, before the first call with what was just read.
    replace(&world, "gateway.crt", &fs::read(certs().join("gateway.crt")).unwrap());
    relay(2, "inkorg");
    assert!(reload().contains("calls with"));
    relay(3, "inkorg");
}
