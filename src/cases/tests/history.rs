//! Random histories: whenever the store is opened, the views are the same function of the journal.

use super::*;

/// xorshift: the same history for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % 1_000_000).unwrap() % n
    }
}

/// One thing that happens. Refusals are part of life; only their effects would be wrong.
async fn happen(dice: &mut Dice, cases: &Cases, bench: &Bench, n: usize) {
    let known = (n / 6).max(1);
    let case = ii("c", &dice.below(known).to_string());
    match dice.below(12) {
        0 | 1 => {
            let message = complaint(&format!("o{n}"), &ii("c", &n.to_string()), "VC1");
            let to = [store("VC1"), system("VC1", REGION), system("VC1", OTHER)];
            let grounds = grounds(Some(to[dice.below(3)].clone()));
            let sent = cases.accept_complaint(message, hsa("VC1"), envelope("1177"), grounds);
            drop(sent.await);
        }
        2 | 3 => {
            let message = supplement(&format!("s{}", dice.below(n + 1)), &case);
            let sent = cases.accept_complaint(message, hsa("VC1"), envelope("1177"), grounds(None));
            drop(sent.await);
        }
        4 => drop(cases.handle_here(step("", &case, acknowledged()), grounds(None)).await),
        5 => {
            let content = if dice.below(2) == 0 { acknowledged() } else { transferred("VC9") };
            let message = step(&format!("h{}", dice.below(n + 1)), &case, content);
            let grounds = grounds(Some(system("VC9", OTHER)));
            drop(cases.accept_handling(message, envelope("REGION-EXEMPEL"), grounds).await);
        }
        6 => {
            let stuck = cases.stuck(50).unwrap();
            if let Some(item) = stuck.get(dice.below(stuck.len().max(1))) {
                let all =
                    [Decision::Retry, Decision::Hold, Decision::MarkDelivered, Decision::Discard];
                cases.decide(item.id, all[dice.below(4)], "därför".to_owned()).await.unwrap();
            }
        }
        7 => bench.clock.advance(Duration::from_secs(60)),
        _ => attempt(dice, cases).await,
    }
}

async fn attempt(dice: &mut Dice, cases: &Cases) {
    let to = [INKORG, REGION, OTHER][dice.below(3)];
    let due = due(cases, to);
    let Some(item) = due.get(dice.below(due.len().max(1))) else { return };
    let leased = matches!(item.state, ItemState::Leased { .. });
    let item = if leased || dice.below(5) == 0 {
        item.clone()
    } else {
        let until = crate::clock::after(cases.now(), Duration::from_secs(59));
        cases.lease(item.id, until).await.unwrap()
    };
    let why = || "därför".to_owned();
    let outcome = match dice.below(8) {
        0 => Outcome::Unreachable { why: why() },
        1 => Outcome::Again { at: cases.now(), why: why() },
        2 => Outcome::Unknown { why: why() },
        3 => Outcome::Parked { why: why() },
        // The process dies before it is recorded.
        4 => return,
        _ => Outcome::Delivered,
    };
    cases.tried(&item, outcome).await.unwrap();
}

#[tokio::test]
async fn views_kept_through_restarts_and_views_made_anew_are_the_same_byte_for_byte() {
    for seed in 1..=4_u64 {
        let bench = Bench::new();
        let mut dice = Dice(seed);
        let mut cases = bench.open();
        for n in 0..600 {
            happen(&mut dice, &cases, &bench, n).await;
            if dice.below(60) == 0 {
                cases.engine().close().await;
                cases = bench.open();
            }
        }
        lanes_hold(&cases);
        cases.engine().close().await;
        let (one, other) = (Arc::new(MemoryTable::default()), Arc::new(MemoryTable::default()));
        for table in [&one, &other] {
            bench.try_open(table).unwrap().0.engine().close().await;
        }
        let kept = entries(&bench.table);
        assert!(kept.len() > 500, "{}", kept.len());
        assert!(kept == entries(&one), "kept and made anew differ, seed {seed}");
        assert!(entries(&one) == entries(&other), "two made anew differ, seed {seed}");
    }
}

/// In every lane all before the first open message is done with, and all behind it waits; the
/// counters are what is counted.
fn lanes_hold(cases: &Cases) {
    let mut counted = BTreeMap::<(String, &str), i64>::new();
    for case in cases.list(None, usize::MAX).unwrap() {
        let items = cases.items_of(&case.id).unwrap();
        for to in [INKORG, REGION, OTHER] {
            let lane = items.iter().filter(|item| item.to == to);
            let open: Vec<&Item> = lane.filter(|item| !item.state.is_final()).collect();
            for (at, item) in open.iter().enumerate() {
                let waits = item.state == ItemState::Waiting;
                assert_eq!(waits, at > 0, "{} {:?}", item.id, item.state);
            }
        }
        for item in items {
            *counted.entry((item.to, item.state.name())).or_default() += 1;
        }
    }
    for ((to, state), count) in counted {
        assert_eq!(cases.counter(&to, state).unwrap(), count, "{to} {state}");
    }
}
