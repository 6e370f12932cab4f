//! What is owed: in order within a case, leased, tried, decided about, and never forgotten.

use super::*;

fn state(cases: &Cases, id: ItemId) -> &'static str {
    cases.item(id).unwrap().unwrap().state.name()
}

/// A case in an own system with two supplements: three messages in one lane.
async fn three_in_a_lane(cases: &Cases, case: &Ii) -> Vec<ItemId> {
    begin(cases, case, system("VC2", REGION)).await;
    add(cases, case, "s1", "VC2").await;
    add(cases, case, "s2", "VC2").await;
    let items = cases.items_of(case).unwrap();
    items.into_iter().filter(|item| item.to == REGION).map(|item| item.id).collect()
}

async fn lease(cases: &Cases, id: ItemId) -> Item {
    cases.lease(id, clock_after(cases, 60)).await.unwrap()
}

fn clock_after(cases: &Cases, seconds: u64) -> Timestamp {
    crate::clock::after(cases.now(), Duration::from_secs(seconds))
}

fn states(cases: &Cases, lane: &[ItemId]) -> Vec<&'static str> {
    lane.iter().map(|id| state(cases, *id)).collect()
}

#[tokio::test]
async fn one_message_of_a_case_is_due_at_a_time_in_the_order_they_came() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    begin(&cases, &ii("c", "2"), system("VC2", REGION)).await;
    for id in lane.iter().copied() {
        let firsts: Vec<ItemId> = due(&cases, REGION).into_iter().map(|item| item.id).collect();
        assert_eq!(firsts.len(), 2, "one of each case");
        assert!(firsts.contains(&id));
        let item = lease(&cases, id).await;
        assert_eq!(due(&cases, REGION).len(), 1, "a leased one is not due");
        cases.tried(&item, Outcome::Delivered).await.unwrap();
    }
    assert_eq!(states(&cases, &lane), ["delivered"; 3]);
    let counts = cases.counts(REGION).unwrap();
    assert_eq!((counts.delivered, counts.due, counts.waiting, counts.open()), (3, 1, 0, 1));
}

#[tokio::test]
async fn what_stands_still_holds_its_lane_until_somebody_decides_and_no_longer() {
    let decisions = [
        (Decision::MarkDelivered, ["delivered", "due", "waiting"]),
        (Decision::Discard, ["discarded", "due", "waiting"]),
        (Decision::Retry, ["due", "waiting", "waiting"]),
        (Decision::Hold, ["held", "waiting", "waiting"]),
    ];
    let why = || "why".to_owned();
    for outcome in [Outcome::Parked { why: why() }, Outcome::Unknown { why: why() }] {
        for (decision, expected) in decisions {
            let bench = Bench::new();
            let cases = bench.open();
            let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
            let item = lease(&cases, lane[0]).await;
            cases.tried(&item, outcome.clone()).await.unwrap();
            bench.clock.advance(Duration::from_secs(30 * 24 * 3600));
            assert_eq!(due(&cases, REGION), []);
            assert_eq!(cases.stuck(10).unwrap().len(), 1);
            cases.decide(lane[0], decision, why()).await.unwrap();
            assert_eq!(states(&cases, &lane), expected, "{decision:?}");
            let stuck = usize::from(decision == Decision::Hold);
            assert_eq!(cases.stuck(10).unwrap().len(), stuck);
        }
    }
}

#[tokio::test]
async fn nobody_decides_about_a_message_that_is_being_sent_waits_or_is_done_with() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    let refused = |id| cases.decide(id, Decision::Discard, "why".to_owned());
    let waits = refused(lane[1]).await.unwrap_err();
    assert!(matches!(waits, OutboxError::NotNow { state: "waiting", .. }), "{waits}");
    let item = lease(&cases, lane[0]).await;
    let sent = refused(lane[0]).await.unwrap_err();
    assert!(matches!(sent, OutboxError::NotNow { state: "leased", .. }), "{sent}");
    cases.tried(&item, Outcome::Delivered).await.unwrap();
    let done = refused(lane[0]).await.unwrap_err();
    assert!(matches!(done, OutboxError::NotNow { state: "delivered", .. }), "{done}");
    let none = refused(ItemId { seq: 99, n: 0 }).await.unwrap_err();
    assert!(matches!(none, OutboxError::NoSuch(_)), "{none}");
}

#[tokio::test]
async fn what_somebody_decides_while_an_attempt_is_under_way_stands() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    let seen = cases.item(lane[0]).unwrap().unwrap();
    cases.decide(lane[0], Decision::Hold, "vänta".to_owned()).await.unwrap();
    let again = Outcome::Again { at: cases.now(), why: "no answer".to_owned() };
    let late = cases.tried(&seen, again).await.unwrap_err();
    assert!(matches!(late, OutboxError::NotNow { state: "held", .. }), "{late}");
    assert_eq!(state(&cases, lane[0]), "held");
    assert!(cases.lease(lane[0], cases.now()).await.is_err());
}

#[tokio::test]
async fn two_that_lease_the_same_message_get_one_lease() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    let until = clock_after(&cases, 60);
    let (one, other) = tokio::join!(cases.lease(lane[0], until), cases.lease(lane[0], until));
    assert!(one.is_ok() != other.is_ok());
}

#[tokio::test]
async fn attempts_that_ended_before_anything_was_sent_are_counted() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    let again = || Outcome::Again { at: cases.now(), why: "not asked".to_owned() };
    for attempts in 1..=3 {
        let seen = cases.item(lane[0]).unwrap().unwrap();
        assert_eq!(cases.tried(&seen, again()).await.unwrap().attempts, attempts);
    }
    let leased = lease(&cases, lane[0]).await;
    assert_eq!(leased.attempts, 4);
    assert_eq!(cases.tried(&leased, again()).await.unwrap().attempts, 4);
}

#[tokio::test]
async fn the_time_to_try_begins_when_its_turn_comes_or_a_person_says_so() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    let since = |id| cases.item(id).unwrap().unwrap().since;
    let start = since(lane[0]);
    let day = Duration::from_secs(24 * 3600);
    bench.clock.advance(day);
    let item = lease(&cases, lane[0]).await;
    let again = Outcome::Again { at: cases.now(), why: "no".to_owned() };
    cases.tried(&item, again).await.unwrap();
    assert_eq!(since(lane[0]), start, "a failure does not begin it anew");
    let item = lease(&cases, lane[0]).await;
    cases.tried(&item, Outcome::Parked { why: "no".to_owned() }).await.unwrap();
    bench.clock.advance(day);
    cases.decide(lane[0], Decision::Retry, "mended".to_owned()).await.unwrap();
    assert_eq!(since(lane[0]), cases.now());
    bench.clock.advance(day);
    let item = lease(&cases, lane[0]).await;
    cases.tried(&item, Outcome::Delivered).await.unwrap();
    assert_eq!(since(lane[1]), cases.now());
}

#[tokio::test]
async fn a_lease_of_a_former_run_is_an_orphan_and_one_of_this_run_is_due_when_it_runs_out() {
    let bench = Bench::new();
    let cases = bench.open();
    let lane = three_in_a_lane(&cases, &ii("c", "1")).await;
    lease(&cases, lane[0]).await;
    assert_eq!(cases.orphans(REGION).unwrap(), []);
    assert_eq!(due(&cases, REGION), []);
    bench.clock.advance(Duration::from_secs(61));
    assert_eq!(due(&cases, REGION).first().map(|item| item.id), Some(lane[0]));
    cases.engine().close().await;
    let cases = bench.open();
    let orphans = cases.orphans(REGION).unwrap();
    assert_eq!(orphans.iter().map(|item| item.id).collect::<Vec<_>>(), [lane[0]]);
    cases.tried(&orphans[0], Outcome::Unknown { why: "stopped".to_owned() }).await.unwrap();
    assert_eq!(states(&cases, &lane), ["unknown", "waiting", "waiting"]);
}

#[tokio::test]
async fn among_many_the_oldest_is_told_and_a_lease_of_a_former_run_found() {
    let bench = Bench::new();
    let cases = bench.open();
    begin(&cases, &ii("o", "first"), system("VC2", OTHER)).await;
    let mut first = Vec::new();
    for n in 0..3 {
        bench.clock.advance(Duration::from_secs(60));
        let case = ii("c", &n.to_string());
        begin(&cases, &case, system("VC2", REGION)).await;
        let items = cases.items_of(&case).unwrap();
        first.extend(items.into_iter().filter(|item| item.to == REGION));
    }
    bench.clock.advance(Duration::from_secs(60));
    let last = cases.now();
    let rest: Vec<Ii> = (0..limits::VIEW_SCAN_MAX).map(|n| ii("d", &format!("d{n}"))).collect();
    let begun = rest.iter().map(|case| begin(&cases, case, system("VC2", REGION)));
    futures_util::future::join_all(begun).await;
    // A lease stands behind all that is due, on another page.
    let leased =
        cases.items_of(&rest[0]).unwrap().into_iter().find(|item| item.to == REGION).unwrap();
    lease(&cases, leased.id).await;
    cases.engine().close().await;
    let cases = bench.open();
    let orphans = cases.orphans(REGION).unwrap();
    assert_eq!(orphans.iter().map(|item| item.id).collect::<Vec<_>>(), [leased.id]);
    let oldest = || cases.oldest_owed(REGION).unwrap();
    let deliver = async |id| {
        let item = lease(&cases, id).await;
        cases.tried(&item, Outcome::Delivered).await.unwrap();
    };
    assert_eq!(oldest(), Some(first[0].owed));
    assert_eq!(oldest(), Some(first[0].owed), "asked again");
    deliver(first[1].id).await;
    assert_eq!(oldest(), Some(first[0].owed), "another is done with");
    deliver(first[0].id).await;
    assert_eq!(oldest(), Some(first[2].owed));
    cases.decide(first[2].id, Decision::Hold, "vänta".to_owned()).await.unwrap();
    assert_eq!(oldest(), Some(first[2].owed), "what stands still is owed");
    cases.decide(first[2].id, Decision::Discard, "fel".to_owned()).await.unwrap();
    assert_eq!(oldest(), Some(last), "few enough to look at each");
    assert_eq!(cases.oldest_owed(OTHER).unwrap(), Some(begun_at(&cases, OTHER)));
    assert_eq!(cases.oldest_owed("nobody").unwrap(), None);
}

fn begun_at(cases: &Cases, system: &str) -> Timestamp {
    due(cases, system)[0].owed
}

#[tokio::test]
async fn a_case_with_thousands_of_attempts_is_still_told_whole() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    let lane = three_in_a_lane(&cases, &case).await;
    let before = cases.records(&case).unwrap().len();
    let rounds = 1_100;
    for _ in 0..rounds {
        let seen = cases.item(lane[0]).unwrap().unwrap();
        let again = Outcome::Again { at: cases.now(), why: "no".to_owned() };
        cases.tried(&seen, again).await.unwrap();
    }
    add(&cases, &case, "s3", "VC2").await;
    assert_eq!(cases.records(&case).unwrap().len(), before + rounds + 1);
    assert_eq!(cases.items_of(&case).unwrap().len(), 5, "four relays and a letter");
}

#[tokio::test]
async fn another_system_gets_all_that_the_complainant_sent_in_order_before_what_comes_later() {
    let bench = Bench::new();
    let cases = bench.open();
    let case = ii("c", "1");
    three_in_a_lane(&cases, &case).await;
    let at = cases.records(&case).unwrap().last().unwrap().0;
    let message = step("h1", &case, transferred("VC9"));
    let grounds = grounds(Some(system("VC9", OTHER)));
    cases.accept_handling(message, envelope("REGION-EXEMPEL"), grounds).await.unwrap();
    add(&cases, &case, "s3", "VC2").await;
    let items = cases.items_of(&case).unwrap();
    let there: Vec<&Item> = items.iter().filter(|item| item.to == OTHER).collect();
    let seqs: Vec<Option<u64>> = there
        .iter()
        .map(|item| match item.what {
            crate::complaint::event::Debt::Relay { seq, .. } => seq,
            crate::complaint::event::Debt::Letter
            | crate::complaint::event::Debt::Onward
            | crate::complaint::event::Debt::Notice { .. } => None,
        })
        .collect();
    assert_eq!(seqs, [Some(1), Some(2), Some(3), None]);
    let names: Vec<_> = there.iter().map(|item| item.state.name()).collect();
    assert_eq!(names, ["due", "waiting", "waiting", "waiting"]);
    // A letter about what was before the transfer speaks for the unit that had the case then.
    let name = |seq| cases.case_as_of(&case, seq).unwrap().unwrap().receiver_name;
    assert_eq!(name(at), "Testenheten VC2");
    assert_eq!(name(at + 1), "Testenheten VC9");
    assert_eq!(cases.case_as_of(&case, 0).unwrap(), None);
    // Who had it may not handle it any more.
    let late = step("h2", &case, acknowledged());
    let refused =
        cases.accept_handling(late, envelope("REGION-EXEMPEL"), super::grounds(None)).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, NotAccepted::Refused(Refusal::Denied(_))), "{refused:?}");
}

#[tokio::test]
async fn whoever_waits_for_a_system_is_rung_for_that_system_only() {
    let bench = Bench::new();
    let cases = bench.open();
    let (region, other) = (cases.bell(REGION), cases.bell(OTHER));
    begin(&cases, &ii("c", "1"), system("VC2", REGION)).await;
    let rung = |bell: Arc<Notify>| async move {
        tokio::time::timeout(Duration::from_millis(50), bell.notified()).await.is_ok()
    };
    assert!(rung(region).await);
    assert!(!rung(other).await);
}
