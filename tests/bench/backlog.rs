//! A hundred thousand messages that are owed to a receiver that is dead: how long a start takes with
//! them, in how much memory, how quickly they go when it is back, and what others notice of it.
//!
//! `KLAGOMAL_MESSAGES` is how many.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{
    Flood, Peer, VC1, VC2, World, case_id, certs, complaint, inbox_answer, region_answer,
};
use crate::{percentile_ms, timed};

const MESSAGES: u64 = 100_000;
const SENDERS: u64 = 16;
/// Calls of others while it is measured, a second: few, so that they make no backlog of their own.
const OTHERS: f64 = 100.0;
const SPAN: Duration = Duration::from_secs(20);
/// Messages a second that a receiver has been promised not to get more of.
const RATE: usize = 200;

pub(crate) fn run() {
    let messages = std::env::var("KLAGOMAL_MESSAGES").ok().and_then(|it| it.parse().ok());
    let messages: u64 = messages.unwrap_or(MESSAGES);
    let region = Peer::start(certs(), "region", region_answer);
    let inkorg = Peer::start(certs(), "inkorg", inbox_answer);
    let mut world = World::plan().region(region.address).inkorg(inkorg.address).write();
    slow(&world);
    world.start();
    region.falls();
    let from = Instant::now();
    let flood = flood(&world, VC2);
    let mut sent = 0;
    while sent < messages {
        let tally = flood.steadily(SENDERS, true, Duration::from_secs(2));
        assert_eq!(tally.broken.load(Ordering::SeqCst), 0);
        sent += tally.good.load(Ordering::SeqCst);
    }
    println!("{sent} accepted in {:.0?}; {} MB", from.elapsed(), world.resident() >> 20);
    world.stop();
    let (took, ()) = timed(|| world.start());
    println!("a start: {took:.2?}, {} MB", world.resident() >> 20);
    let others = self::flood(&world, VC1);
    let mut rounds = Vec::new();
    for _ in 0..3 {
        let before = p99(&others);
        let count = region.count();
        region.rises();
        // It is only probed by now.
        region.wait(Duration::from_secs(120), "it is back", |calls| calls.len() > count + RATE);
        let (count, begun) = (region.count(), Instant::now());
        let during = p99(&others);
        let rate = (region.count() - count) as f64 / begun.elapsed().as_secs_f64();
        println!(
            "others' p99 {before:.2} ms while it is dead, {during:.2} ms while {rate:.0} a second go \
             out ({RATE} are allowed); {} MB",
            world.resident() >> 20
        );
        rounds.push(during / before);
        region.falls();
    }
    rounds.sort_by(f64::total_cmp);
    println!("median: {:.2} times", rounds[rounds.len() / 2]);
}

/// The routing with what the receivers have been promised.
fn slow(world: &World) {
    let path = world.dir.join("tak-config/systems.toml");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("rate = \"1000/s\""));
    fs::write(&path, text.replace("rate = \"1000/s\"", &format!("rate = \"{RATE}/s\""))).unwrap();
}

fn flood(world: &World, unit: crate::support::Unit) -> Arc<Flood> {
    let id = "7c1c3a52-61f2-4a44-8f07-000000000000";
    let message = complaint(unit, id, &case_id("f-000000000000"), "En av många.", &[]);
    Flood::with(world.https, &World::caller("1177"), "/vp", &message)
}

/// Of calls to a unit that has nothing to do with the receiver, milliseconds.
fn p99(others: &Arc<Flood>) -> f64 {
    let tally = others.evenly(2, OTHERS, SPAN);
    percentile_ms(&mut tally.waits.into_inner().unwrap(), 99)
}
