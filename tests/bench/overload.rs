//! Ten times as many calls as can be served, for a minute: how much is still served, and in how much
//! memory. The gateway has one core and the callers another, where there are two.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, available_parallelism};
use std::time::Duration;

use crate::support::{Flood, Tally, World};
use crate::timed;

const PEAK_TIME: Duration = Duration::from_secs(10);
const TIME: Duration = Duration::from_secs(60);

/// Each complaint has a file of this size, so that a call costs the gateway more than its caller: one
/// core of callers is then ten times too many.
const FILE_BYTES: usize = 64 * 1024;

/// Callers that keep their connections while others come and go.
const INSIDE: u64 = 8;

pub(crate) fn run() {
    let world = World::plan().start();
    let apart = available_parallelism().is_ok_and(|cores| cores.get() > 1)
        && pinned(world.pid(), 0)
        && pinned(std::process::id(), 1);
    println!("each side on a core of its own: {apart}");
    let flood = Flood::new(world.https, &World::caller("1177"), FILE_BYTES);
    let inside = Flood::new(world.https, &World::caller("1177"), FILE_BYTES);
    flood.steadily(4, false, Duration::from_secs(2));
    let peak = best(&flood, false);
    let kept = best(&flood, true);
    println!("peak: {peak:.0} calls a second, each on a new connection; {kept:.0} on kept ones");
    let at_rest = world.resident();
    for rate in [peak, 10.0 * peak] {
        let stop = AtomicBool::new(false);
        let most = AtomicU64::new(0);
        let (over, steady, took) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    most.fetch_max(world.resident(), Ordering::SeqCst);
                    std::thread::park_timeout(Duration::from_millis(50));
                }
            });
            let inside = Arc::clone(&inside);
            let steady =
                Builder::new().spawn_scoped(scope, move || inside.steadily(INSIDE, true, TIME));
            let (took, over) = timed(|| flood.openly(rate, TIME));
            let steady = steady.unwrap().join().unwrap();
            stop.store(true, Ordering::SeqCst);
            (over, steady, took)
        });
        let offered = over.offered.load(Ordering::SeqCst) as f64 / TIME.as_secs_f64();
        let (outside, inside) =
            (good(&over) / took.as_secs_f64(), good(&steady) / TIME.as_secs_f64());
        println!(
            "\n{:.1} x the peak offered ({offered:.0} a second for {took:.1?})\n  new:  {over}\n  \
             kept: {steady}\n  goodput {:.0} + {:.0} a second: {:.2} + {:.2} of the peaks; memory \
             {} MB at most, {} MB at rest",
            offered / peak,
            outside,
            inside,
            outside / peak,
            inside / kept,
            most.load(Ordering::SeqCst) >> 20,
            at_rest >> 20
        );
    }
}

fn good(tally: &Tally) -> f64 {
    tally.good.load(Ordering::SeqCst) as f64
}

/// The most calls a second, over some numbers of callers.
fn best(flood: &Arc<Flood>, keep: bool) -> f64 {
    let rates = [4, 16, 64].map(|callers| {
        let (took, tally) = timed(|| flood.steadily(callers, keep, PEAK_TIME / 3));
        good(&tally) / took.as_secs_f64()
    });
    rates.into_iter().fold(0.0, f64::max)
}

fn pinned(process: u32, core: u32) -> bool {
    let mut taskset = Command::new("taskset");
    taskset.args(["-apc", &core.to_string(), &process.to_string()]).stdout(Stdio::null());
    taskset.status().is_ok_and(|done| done.success())
}
