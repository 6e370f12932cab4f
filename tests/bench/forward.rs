//! Drives proxies in turn with the same calls, and tells what each costs; `tests/bench/forward.sh` starts them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "a measurement that panics has failed, and printing is its job"
)]

#[path = "forward/caller.rs"]
mod caller;
#[path = "forward/process.rs"]
mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use caller::{Caller, Course, Envelope};
use process::Process;

/// Connections at once, kept alive or new.
const CONNECTIONS: usize = 64;

/// Kept-alive connections that do nothing, for the memory of each.
const IDLE: usize = 1000;

#[derive(Debug, Parser)]
#[command(about = "Drives proxies in turn; use tests/bench/forward.sh")]
struct Arguments {
    /// The folder that `klagomal certs make` wrote.
    #[arg(long)]
    certs: PathBuf,
    /// One measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Measurements of each kind; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only these kinds ("4 KB", "new", ...).
    #[arg(long)]
    only: Vec<String>,
    /// The proxies, klagomal first.
    #[arg(value_name = "NAME=ADDRESS=PID", required = true)]
    proxies: Vec<Proxy>,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone)]
struct Proxy {
    name: String,
    address: SocketAddr,
    process: Process,
}

impl FromStr for Proxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('=').collect();
        let [name, address, pid] = parts[..] else { return Err("NAME=ADDRESS=PID".to_owned()) };
        Ok(Self {
            name: name.to_owned(),
            address: address.parse().map_err(|error| format!("{address}: {error}"))?,
            process: Process(pid.parse().map_err(|error| format!("{pid}: {error}"))?),
        })
    }
}

/// What one measurement found.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    resident_mb: f64,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&arguments));
}

async fn run(arguments: &Arguments) {
    let caller = Caller::new(&arguments.certs);
    for proxy in &arguments.proxies {
        println!("{:<9} {}", proxy.name, caller.agreed(proxy.address).await);
    }
    let wanted = |name: &str| {
        arguments.only.is_empty() || arguments.only.iter().any(|only| name.contains(only.as_str()))
    };
    if wanted("idle") {
        idle(&caller, &arguments.proxies).await;
    }
    let time = Duration::from_secs_f64(arguments.seconds);
    for envelope in [Envelope::small(), Envelope::large()] {
        for (kept, how) in [(true, "keep-alive"), (false, "new connections")] {
            let name = format!("{}, {how}", envelope.name);
            if wanted(&name) {
                let course = Course { envelope: envelope.clone(), kept, time };
                let found = rounds(&caller, &arguments.proxies, &course, arguments.rounds).await;
                show(&name, &arguments.proxies, &found);
            }
        }
    }
}

/// Every proxy in turn, again and again: what else the machine does meets all of them.
async fn rounds(
    caller: &Caller,
    proxies: &[Proxy],
    course: &Course,
    rounds: usize,
) -> BTreeMap<String, Vec<Found>> {
    let mut found: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for proxy in proxies {
        let warm = Course { time: course.time / 5, ..course.clone() };
        caller.drive(proxy.address, CONNECTIONS, &warm).await;
    }
    for round in 0..rounds {
        for at in 0..proxies.len() {
            // Each is first, second and last as often.
            let proxy = &proxies[(at + round) % proxies.len()];
            let before = proxy.process.cpu();
            let driven = caller.drive(proxy.address, CONNECTIONS, course).await;
            let cpu = proxy.process.cpu() - before;
            let calls = driven.calls() as f64;
            found.entry(proxy.name.clone()).or_default().push(Found {
                per_second: calls / driven.took.as_secs_f64(),
                cpu_us: cpu.as_secs_f64() * 1e6 / calls,
                p50_us: driven.quantile(0.50),
                p99_us: driven.quantile(0.99),
                resident_mb: proxy.process.resident_kb() / 1024.0,
            });
        }
    }
    found
}

fn show(name: &str, proxies: &[Proxy], found: &BTreeMap<String, Vec<Found>>) {
    println!("\n{name}, {CONNECTIONS} at once");
    println!(
        "  {:<9} {:>10} {:>12} {:>9} {:>9} {:>11} {:>16} {:>14}",
        "", "requests/s", "CPU us/req", "p50 us", "p99 us", "resident MB", "its CPU/klagomal", "spread of CPU"
    );
    let middle = |proxy: &Proxy, of: fn(&Found) -> f64| median(found[&proxy.name].iter().map(of));
    let own = middle(&proxies[0], |it| it.cpu_us);
    for proxy in proxies {
        let cpu = found[&proxy.name].iter().map(|it| it.cpu_us);
        let (least, most) = (cpu.clone().fold(f64::MAX, f64::min), cpu.fold(0.0, f64::max));
        println!(
            "  {:<9} {:>10.0} {:>12.1} {:>9.0} {:>9.0} {:>11.1} {:>16.2} {:>14}",
            proxy.name,
            middle(proxy, |it| it.per_second),
            middle(proxy, |it| it.cpu_us),
            middle(proxy, |it| it.p50_us),
            middle(proxy, |it| it.p99_us),
            middle(proxy, |it| it.resident_mb),
            middle(proxy, |it| it.cpu_us) / own,
            format!("{least:.0}-{most:.0}"),
        );
    }
}

/// The memory of connections that have made one call and are kept.
async fn idle(caller: &Caller, proxies: &[Proxy]) {
    println!("\n{IDLE} idle connections, one call made on each");
    for proxy in proxies {
        let envelope = Envelope::small();
        let few = caller.open(proxy.address, CONNECTIONS, &envelope).await;
        drop(few);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = proxy.process.resident_kb();
        let held = caller.open(proxy.address, IDLE, &envelope).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let after = proxy.process.resident_kb();
        println!(
            "  {:<9} {:>6.1} MB before, {:>6.1} MB with them, {:>6.1} KB each",
            proxy.name,
            before / 1024.0,
            after / 1024.0,
            (after - before) / held.len() as f64
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
