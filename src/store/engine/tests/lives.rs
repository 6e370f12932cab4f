//! Many random lives of a store: jobs, faults, power cuts and restarts in any order.

use super::*;

/// Repeatable choices (splitmix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % sides
    }
}

/// What was promised: where, and what.
type Promised = Vec<(Position, String)>;

async fn check(engine: &Engine, report: &OpenReport, promised: &Promised, seed: u64) {
    assert_eq!(report.journal.damage, [], "life {seed}");
    let last = report.journal.last_seq;
    assert_eq!(number(engine.get(b"#count").unwrap()), last, "life {seed}");
    for (position, pair) in promised {
        let found = engine.read(*position).unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), *pair, "life {seed}");
    }
    let mut expected = BTreeMap::new();
    for record in engine.records(None) {
        let pair = String::from_utf8(record.unwrap().payload).unwrap();
        let (key, value) = pair.split_once('=').unwrap();
        expected.insert(key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    let found: BTreeMap<_, _> = engine.scan(&Scan::prefix("k")).unwrap().into_iter().collect();
    assert_eq!(found, expected, "life {seed}: the views are what the records say");
    assert_eq!(engine.verify().unwrap().report.damage, [], "life {seed}");
}

async fn step(engine: &Engine, ground: &Ground, dice: &mut Dice, promised: &mut Promised) {
    let next = ground.disk.operations() + 1 + dice.throw(5);
    match dice.throw(20) {
        0 => ground.disk.fail_at(next, 1 + dice.throw(4), Fault::NoSpace),
        1 => ground.disk.fail_at(next, 1 + dice.throw(4), Fault::Io),
        2 => ground.disk.fail_at(next, 1, Fault::PowerCut),
        3 => ground.table.set_failing(true),
        4..7 => {
            ground.disk.heal();
            ground.table.set_failing(false);
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        _ => {
            let pairs: Vec<String> = (0..1 + dice.throw(4))
                .map(|_| format!("k{}={}", dice.throw(9), dice.throw(1 << 40)))
                .collect();
            let answers = pairs.iter().map(|pair| put(engine, pair));
            let answers = futures_util::future::join_all(answers).await;
            for (pair, answer) in pairs.into_iter().zip(answers) {
                if let Ok(position) = answer {
                    promised.push((position, pair));
                }
            }
        }
    }
}

#[tokio::test]
async fn in_no_life_is_a_promise_broken() {
    let mut kept_promises = 0;
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let mut ground = Ground::new();
        let mut promised = Promised::new();
        for _ in 0..6 {
            let (engine, report) = ground.open().unwrap();
            check(&engine, &report, &promised, seed).await;
            for _ in 0..dice.throw(30) {
                step(&engine, &ground, &mut dice, &mut promised).await;
            }
            engine.close().await;
            ground.table.set_failing(false);
            let kept = match dice.throw(4) {
                0 => Kept::Nothing,
                1 => Kept::All,
                _ => Kept::Some(dice.throw(u64::MAX)),
            };
            let table = match dice.throw(2) {
                0 => Arc::clone(&ground.table),
                _ => Arc::default(),
            };
            ground = Ground { disk: ground.disk.after_power_cut(kept), table };
        }
        kept_promises += promised.len();
    }
    assert!(kept_promises > 500, "{kept_promises}");
}
