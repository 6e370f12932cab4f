//! Ten times as many callers as can be served: each is told at once, and what was accepted is kept.
//! (How much is still served is measured by `cargo bench -- overload`.)
//!
//! `KLAGOMAL_SCALE` multiplies how long it lasts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Flood, Tally, World};
use crate::{campaign, memory};

/// How long the gateway is flooded.
const TIME: Duration = Duration::from_secs(6);

/// What may come on top of the memory that the peak took: the places of the flood are bounded.
const GROWTH_MAX: u64 = 64 * 1024 * 1024;

#[test]
fn ten_times_too_many_callers_are_each_told_and_what_was_accepted_is_kept() {
    let plan = World::plan().set("limits", "calls_in_flight = 8");
    let world = plan.set("limits", "connections = 120").start();
    let time = TIME * u32::try_from(campaign::number("KLAGOMAL_SCALE", 1)).unwrap();
    let flood = Flood::new(world.https, &World::caller("1177"), 0);
    let peak = flood.steadily(8, false, TIME / 2);
    let rate = peak.good.load(Ordering::SeqCst) as f64 / (TIME / 2).as_secs_f64();
    let before = world.resident();
    // Those who are in keep their places while the flood goes by.
    let inside = Flood::new(world.https, &World::caller("1177"), 0);
    let steady = std::thread::spawn(move || inside.steadily(4, true, time));
    let mut over = Tally::default();
    let grown = memory::growth(&world, || over = flood.openly(10.0 * rate, time));
    let steady = steady.join().unwrap();
    eprintln!(
        "peak: {peak}\nover: {over}\ninside: {steady}\nmemory: {} kB more than {} kB",
        grown >> 10,
        before >> 10
    );
    for tally in [&peak, &over, &steady] {
        assert_eq!(tally.broken.load(Ordering::SeqCst), 0, "{tally}");
        assert!(tally.good.load(Ordering::SeqCst) > 0, "{tally}");
    }
    assert_eq!(steady.shut.load(Ordering::SeqCst), 0, "who was in was thrown out: {steady}");
    let away = over.shut.load(Ordering::SeqCst) + over.refused.load(Ordering::SeqCst);
    assert!(away > 0, "it was no overload: {over}");
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    let good = |tally: &Tally| tally.good.load(Ordering::SeqCst);
    let accepted = good(&peak) + good(&over) + good(&steady);
    assert_eq!(world.json("/status")["cases"], accepted, "what was said OK to is there, once");
    // And then it is over: callers who gave up while they waited are cleared away, no more.
    let over = (0..100).any(|_| good(&flood.steadily(1, false, Duration::from_millis(100))) > 0);
    assert!(over, "nobody is answered after the flood");
}
