//! Decisions are counted by routing key, bounded, and on disk by day.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;
use crate::id::{Contract, HsaId};
use crate::routing::decisions::{Recorded, read};
use crate::tak::plan::{Effect, plan};
use crate::tak::{PROCESS_COMPLAINT, Profile};

fn id(text: &str) -> HsaId {
    HsaId::parse(text).unwrap()
}

fn ask(routing: &Routing, counter: &Counter, caller: &str, address: &str, at: Timestamp) {
    let question = Question {
        caller: &id(caller),
        contract: &Contract(PROCESS_COMPLAINT.to_owned()),
        address,
        profile: Profile::Rivtabp21,
        at,
    };
    counter.count(&question, &routing.table.decide(&question), &routing.table);
}

fn addresses(recorded: &Recorded) -> Vec<(&str, u64)> {
    recorded.calls.iter().map(|it| (it.address.as_str(), it.count)).collect()
}

const PORTAL: &str = "SE0000000000-1177";

#[test]
fn decisions_are_added_up_over_flushes_and_days() {
    let place = Place::new();
    let routing = place.running().get();
    let dir = place.dir.path().join("decisions");
    let counter = Counter::default();
    let today = crate::clock::swedish_day(now());
    for _ in 0..3 {
        ask(&routing, &counter, PORTAL, "SE0000000000-VC1", now());
        ask(&routing, &counter, PORTAL, "SE0000000000-VC2", later(-3600));
        counter.flush(&dir, now()).unwrap();
    }
    let yesterday = later(-24 * 3600);
    ask(&routing, &counter, PORTAL, "SE0000000000-VC1", yesterday);
    counter.flush(&dir, now()).unwrap();
    counter.flush(&dir, now()).unwrap();
    let recorded = read(&dir, 30, today).unwrap();
    assert_eq!(addresses(&recorded), [("SE0000000000-VC1", 4), ("SE0000000000-VC2", 3)]);
    assert_eq!((recorded.days, recorded.left_out), (2, 0));
    assert_eq!(addresses(&read(&dir, 1, today).unwrap())[0], ("SE0000000000-VC1", 3));
    // Days too long ago go.
    let month = later(i64::try_from(limits::DECISION_DAYS_MAX).unwrap() * 24 * 3600);
    counter.flush(&dir, month).unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn each_call_names_the_configuration_that_decided_it() {
    let place = Place::new();
    let current = place.running();
    let dir = place.dir.path().join("decisions");
    let counter = Counter::default();
    let first = current.get();
    ask(&first, &counter, PORTAL, "SE0000000000-VC1", now());
    fs::write(place.file("more.toml"), "# another\n").unwrap();
    assert!(current.reload(now()).unwrap());
    let second = current.get();
    ask(&second, &counter, PORTAL, "SE0000000000-VC1", now());
    ask(&second, &counter, PORTAL, "SE0000000000-VC1", now());
    counter.flush(&dir, now()).unwrap();
    let day = crate::clock::swedish_day(now());
    let name = |it: &Routing| it.table.generation().to_string();
    let recorded = read(&dir, 1, day).unwrap();
    assert_eq!(recorded.generations, [(name(&first), 1), (name(&second), 2)].into());
    // For a rehearsal they are one call.
    assert_eq!(addresses(&recorded), [("SE0000000000-VC1", 3)]);
    // A file of before is read and added to.
    let file = dir.join(format!("{day}.json"));
    let text = fs::read_to_string(&file).unwrap();
    let named = format!(",\"generation\":\"{}\"", name(&first));
    assert!(text.contains(&named), "{text}");
    fs::write(&file, text.replace(&named, "")).unwrap();
    ask(&first, &counter, PORTAL, "SE0000000000-VC1", now());
    counter.flush(&dir, now()).unwrap();
    let recorded = read(&dir, 1, day).unwrap();
    let by = [(String::new(), 1), (name(&first), 1), (name(&second), 2)];
    assert_eq!(recorded.generations, by.into());
}

#[test]
fn somebody_who_tries_addresses_fills_one_key() {
    let place = Place::new();
    let routing = place.running().get();
    let dir = place.dir.path().join("decisions");
    let counter = Counter::default();
    for at in 0..1000 {
        ask(&routing, &counter, "SE0000000000-OBEHORIG", &format!("SE0000000000-{at}"), now());
        ask(&routing, &counter, "SE0000000000-OBEHORIG", "SE0000000000-VC1", now());
    }
    counter.flush(&dir, now()).unwrap();
    let recorded = read(&dir, 1, crate::clock::swedish_day(now())).unwrap();
    assert_eq!(addresses(&recorded), [("?", 1000), ("SE0000000000-VC1", 1000)]);
}

#[test]
fn the_count_is_bounded_and_says_what_it_left_out() {
    let place = Place::new();
    let routing = place.running().get();
    let dir = place.dir.path().join("decisions");
    let counter = Counter::default();
    let more = 10;
    for at in 0..limits::DECISION_KEYS_MAX + more {
        let hour = i64::try_from(at).unwrap() * 3600;
        ask(&routing, &counter, PORTAL, "SE0000000000-VC1", later(-hour));
    }
    counter.flush(&dir, now()).unwrap();
    let today = crate::clock::swedish_day(now());
    assert_eq!(read(&dir, 1, today).unwrap().left_out, u64::try_from(more).unwrap());
    // There is room again.
    ask(&routing, &counter, PORTAL, "SE0000000000-VC2", now());
    counter.flush(&dir, now()).unwrap();
    assert_eq!(addresses(&read(&dir, 1, today).unwrap())[1], ("SE0000000000-VC2", 1));
}

#[test]
fn what_cannot_be_written_is_counted_again_and_damage_begins_anew() {
    let place = Place::new();
    let routing = place.running().get();
    let dir = place.dir.path().join("decisions");
    let counter = Counter::default();
    ask(&routing, &counter, PORTAL, "SE0000000000-VC1", now());
    fs::create_dir_all(dir.join("2026-05-01.json.new")).unwrap();
    assert!(counter.flush(&dir, now()).is_err());
    fs::remove_dir(dir.join("2026-05-01.json.new")).unwrap();
    fs::write(dir.join("2026-05-01.json"), "{").unwrap();
    counter.flush(&dir, now()).unwrap();
    let recorded = read(&dir, 1, crate::clock::swedish_day(now())).unwrap();
    assert_eq!(addresses(&recorded), [("SE0000000000-VC1", 1)]);
}

/// A million recorded rows: 100 hours of 2 000 addresses and 5 callers.
#[test]
fn a_million_recorded_decisions_are_rehearsed_in_seconds() {
    let place = Place::new();
    let (rows, hours) = (1_000_000_u32, 100);
    let mut text = String::with_capacity(250_000_000);
    text.push_str("{\"leftOut\":0,\"decisions\":[");
    for at in 0..rows {
        let (hour, call) = (at % hours, at / hours);
        let comma = if at == 0 { "" } else { "," };
        let (address, caller) = (call % 2000, call / 2000);
        let caller =
            if caller == 0 { PORTAL.to_owned() } else { format!("SE0000000000-C{caller}") };
        let address = if address == 0 { "VC1".to_owned() } else { format!("U{address}") };
        write!(
            text,
            "{comma}{{\"hour\":\"2026-04-{:02}T{:02}:00:00Z\",\"contract\":\"{PROCESS_COMPLAINT}\",\
             \"address\":\"SE0000000000-{address}\",\"caller\":\"{caller}\",\
             \"profile\":\"rivtabp21\",\"outcome\":\"store\",\"count\":1}}",
            1 + hour / 24,
            hour % 24
        )
        .unwrap();
    }
    text.push_str("]}");
    let dir = place.dir.path().join("decisions");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("2026-05-01.json"), text).unwrap();
    let old = place.running().get();
    let units = fs::read_to_string(place.file("units.toml")).unwrap();
    let moved = units.replace(
        "from = 2026-01-01\nmethod = \"store\"",
        "from = 2026-01-01\nto = 2026-05-31\nmethod = \"store\"\n[[unit.handling]]\n\
         from = 2026-06-01\nmethod = \"system\"\nsystem = \"region-exempel\"",
    );
    fs::write(place.file("units.toml"), moved).unwrap();
    let new = super::super::read(&place.folder(), now()).unwrap().routing.unwrap();

    let started = Instant::now();
    let today = crate::clock::swedish_day(now());
    let recorded = read(&dir, 30, today).unwrap();
    let plan = plan(&old.table, &new.table, &recorded.calls, today);
    let took = started.elapsed();
    assert_eq!((recorded.calls.len(), plan.totals.calls), (10_000, 1_000_000));
    assert_eq!((plan.totals.elsewhere, plan.totals.same), (100, 999_900));
    assert_eq!((plan.changed.len(), plan.changed[0].effect), (1, Effect::Elsewhere));
    assert_eq!(plan.changed[0].from.to_string(), "2026-06-01");
    assert_eq!(plan.units[0].after, "system region-exempel");
    // Not optimised, on a busy machine; a fraction of it in a release.
    assert!(took.as_secs() < 60, "{took:?}");
}
