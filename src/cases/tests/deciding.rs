//! Decisions about many messages by what was seen of each, and pauses of receivers.

use super::*;
use crate::cases::pause::PauseError;
use crate::cases::select::{Seen, Selection, Standing};

fn why() -> String {
    "därför".to_owned()
}

/// Three cases whose messages to the region are unknown.
async fn three_unknown(cases: &Cases) -> Vec<Item> {
    let mut items = Vec::new();
    for n in 0..3 {
        begin(cases, &ii("c", &n.to_string()), system("VC2", REGION)).await;
        let id = due(cases, REGION)[0].id;
        let item = cases.lease(id, cases.now()).await.unwrap();
        items.push(
            cases.tried(&item, Outcome::Unknown { why: "timeout".to_owned() }).await.unwrap(),
        );
    }
    items
}

#[tokio::test]
async fn a_decision_about_many_leaves_alone_what_has_moved_since_it_was_seen() {
    let bench = Bench::new();
    let cases = bench.open();
    let items = three_unknown(&cases).await;
    let wanted = Selection { states: vec![Standing::Unknown], ..Selection::default() };
    let shown = cases.select(&wanted, 2).unwrap();
    assert_eq!((shown.items.len(), shown.more), (2, true));
    let shown = cases.select(&wanted, 3).unwrap();
    assert_eq!((&shown.items, shown.more), (&items, false));
    // The first is sent again and is unknown anew: the same state, but not the same attempt.
    cases.decide(items[0].id, Decision::Retry, why()).await.unwrap();
    let again = cases.lease(items[0].id, cases.now()).await.unwrap();
    cases.tried(&again, Outcome::Unknown { why: "timeout".to_owned() }).await.unwrap();
    cases.decide(items[1].id, Decision::Hold, why()).await.unwrap();
    let mut seen: Vec<Seen> = shown.items.iter().map(Seen::from).collect();
    seen.push(Seen { id: ItemId { seq: 99, n: 0 }, ..seen[0].clone() });
    let acted = cases.decide_seen(seen.clone(), Decision::Retry, why()).await.unwrap();
    let told: Vec<(bool, &str)> = acted.iter().map(|it| (it.done, it.state.as_str())).collect();
    assert_eq!(told, [(false, "unknown"), (false, "held"), (true, "due"), (false, "gone")]);
    // Said twice, it is done once.
    let acted = cases.decide_seen(seen, Decision::Retry, why()).await.unwrap();
    assert!(acted.iter().all(|it| !it.done));
}

#[tokio::test]
async fn a_selection_is_narrowed_by_receiver_case_state_and_age() {
    let bench = Bench::new();
    let cases = bench.open();
    let items = three_unknown(&cases).await;
    bench.clock.advance(Duration::from_secs(3600));
    begin(&cases, &ii("c", "9"), system("VC2", OTHER)).await;
    let count = |wanted: Selection| cases.select(&wanted, 100).unwrap().items.len();
    let none = Selection::default;
    // A letter of each case, and the relays.
    assert_eq!(count(none()), 8);
    assert_eq!(count(Selection { to: Some(REGION.to_owned()), ..none() }), 3);
    assert_eq!(count(Selection { to: Some("nobody".to_owned()), ..none() }), 0);
    assert_eq!(count(Selection { case: Some(items[0].number.clone()), ..none() }), 2);
    assert_eq!(count(Selection { states: vec![Standing::Due], ..none() }), 5);
    assert_eq!(count(Selection { owed_before: Some(items[2].owed), ..none() }), 6);
}

#[tokio::test]
async fn only_what_is_held_is_released_and_it_remembers_what_it_was() {
    let bench = Bench::new();
    let cases = bench.open();
    let items = three_unknown(&cases).await;
    let refused = cases.decide(items[0].id, Decision::Release, why()).await.unwrap_err();
    assert!(matches!(refused, OutboxError::NotNow { state: "unknown", .. }), "{refused}");
    let held = cases.decide(items[0].id, Decision::Hold, why()).await.unwrap();
    let ItemState::Held { why: told, .. } = &held.state else { panic!("{:?}", held.state) };
    assert_eq!(told, "därför; before it was unknown: timeout");
    let free = cases.decide(items[0].id, Decision::Release, why()).await.unwrap();
    assert!(matches!(free.state, ItemState::Due { .. }), "{:?}", free.state);
}

#[tokio::test]
async fn nothing_is_leased_to_a_paused_receiver_also_after_a_restart_and_a_rebuild() {
    let bench = Bench::new();
    let cases = bench.open();
    begin(&cases, &ii("c", "1"), system("VC2", REGION)).await;
    begin(&cases, &ii("c", "2"), system("VC2", REGION)).await;
    let (first, second) = (due(&cases, REGION)[0].id, due(&cases, REGION)[1].id);
    let under_way = cases.lease(first, cases.now()).await.unwrap();
    let paused = cases.pause(REGION, why()).await.unwrap();
    assert_eq!(cases.pauses().unwrap(), std::slice::from_ref(&paused));
    let twice = cases.pause(REGION, "igen".to_owned()).await.unwrap_err();
    assert!(matches!(&twice, PauseError::Paused(it) if *it == paused), "{twice}");
    cases.tried(&under_way, Outcome::Delivered).await.unwrap();
    assert!(cases.lease(second, cases.now()).await.is_err());
    cases.engine().close().await;
    for table in [&bench.table, &Arc::default()] {
        let (cases, _) = bench.try_open(table).unwrap();
        assert_eq!(cases.pause_of(REGION).unwrap().as_ref(), Some(&paused));
        assert!(cases.lease(second, cases.now()).await.is_err());
        let letter = due(&cases, INKORG)[0].id;
        cases.decide(letter, Decision::Retry, why()).await.unwrap();
        assert!(cases.lease(second, cases.now()).await.is_err(), "others go on");
        cases.engine().close().await;
    }
    let cases = bench.open();
    assert_eq!(cases.resume(REGION, why()).await.unwrap(), paused);
    cases.lease(second, cases.now()).await.unwrap();
    let again = cases.resume(REGION, why()).await.unwrap_err();
    assert!(matches!(again, PauseError::NotPaused(_)), "{again}");
}
