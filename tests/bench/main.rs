//! `cargo bench`: routing at national scale, the envelope's head, the durable accept, the lists of
//! the staff page, too many callers, and a backlog. It prints figures and ratios to quote, and judges nothing: machines differ.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::disallowed_methods, // threads of their own, on the wall's clock
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "a measurement that panics has failed, and printing is its job"
)]

mod accept;
mod backlog;
mod envelope;
mod lists;
mod overload;
mod routing;
mod support;

use std::fs;
use std::time::{Duration, Instant};

/// The program's own, so that its parts cost here what they cost there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo bench -- NAME` runs one; the harness's own flags are no names.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with('-')).collect();
    let run = |name: &str, work: fn()| {
        if wanted.is_empty() || wanted.iter().any(|it| it == name) {
            println!("\n== {name}");
            work();
        }
    };
    run("routing", routing::run);
    run("envelope", envelope::run);
    run("accept", accept::run);
    run("lists", lists::run);
    run("overload", overload::run);
    run("backlog", backlog::run);
}

/// The time that `work` takes, and what it gives.
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let given = work();
    (start.elapsed(), given)
}

/// The median time of one call, in nanoseconds, over `rounds` rounds of `calls` calls.
fn median_ns(rounds: usize, calls: usize, mut work: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|round| {
            let (took, ()) = timed(|| (0..calls).for_each(|at| work(round * calls + at)));
            took.as_nanos() as f64 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The least time of one call, in nanoseconds, over `rounds` rounds of `calls` calls: what it takes
/// when nobody else is at work on the machine.
fn least_ns(rounds: usize, calls: usize, mut work: impl FnMut(usize)) -> f64 {
    let least = (0..rounds)
        .map(|round| timed(|| (0..calls).for_each(|at| work(round * calls + at))).0)
        .min();
    least.unwrap_or_default().as_nanos() as f64 / calls as f64
}

/// The `percent`th of some times in microseconds, in milliseconds.
fn percentile_ms(times: &mut [u32], percent: usize) -> f64 {
    times.sort_unstable();
    f64::from(times[(times.len() - 1) * percent / 100]) / 1000.0
}

/// Resident memory of this process, megabytes.
fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap_or_default();
    let kb: f64 = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0.0);
    kb / 1024.0
}
