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
    /// Measure the memory of so many connections that do nothing instead.
    #[arg(long)]
    idle: Option<usize>,
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

/// By the proxy's name.
type Rounds = BTreeMap<String, Vec<Found>>;

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
    if let Some(count) = arguments.idle {
        return idle(&caller, &arguments.proxies, count).await;
    }
    let time = Duration::from_secs_f64(arguments.seconds);
    let mut all = Vec::new();
    for envelope in [Envelope::small(), Envelope::large()] {
        for kept in [true, false] {
            let how = if kept { "keep-alive" } else { "new connections" };
            let course = Course { envelope: envelope.clone(), kept, time };
            let found = rounds(&caller, &arguments.proxies, &course, arguments.rounds).await;
            show(&format!("{}, {how}", envelope.name), &arguments.proxies, &found);
            all.push((kept, found));
        }
    }
    judge(&all);
}

/// Whether klagomal is where it is to be. The worse of the two sizes counts.
fn judge(all: &[(bool, Rounds)]) {
    let beside = |name: &str, found: &Rounds| cpu(found, name) / cpu(found, "klagomal");
    let nginx = |wanted: bool| {
        let of = all.iter().filter(|(kept, _)| *kept == wanted);
        of.map(|(_, found)| beside("nginx", found)).fold(f64::MAX, f64::min)
    };
    let haproxy = all.iter().map(|(_, found)| 1.0 / beside("haproxy", found)).fold(0.0, f64::max);
    let resident = |(_, found): &(bool, Rounds)| middle(found, "klagomal", |it| it.resident_mb);
    let resident = all.iter().map(resident).fold(0.0, f64::max);
    println!("\nklagomal");
    let (kept, new) = (nginx(true), nginx(false));
    told("requests per CPU second beside nginx, keep-alive", kept, "at least 1.0", kept >= 1.0);
    told("requests per CPU second beside nginx, new connections", new, "at least 1.3", new >= 1.3);
    told("CPU beside HAProxy", haproxy, "at most 1.2", haproxy <= 1.2);
    told("resident memory with 64 connections, MB", resident, "at most 40", resident <= 40.0);
}

fn told(what: &str, found: f64, target: &str, met: bool) {
    let met = if met { "met" } else { "NOT met" };
    println!("  {what:<54} {found:>6.2}  target {target:<13} {met}");
}

/// Every proxy in turn, again and again: what else the machine does meets all of them.
async fn rounds(caller: &Caller, proxies: &[Proxy], course: &Course, rounds: usize) -> Rounds {
    let mut found = Rounds::new();
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

fn show(name: &str, proxies: &[Proxy], found: &Rounds) {
    println!("\n{name}, {CONNECTIONS} at once");
    println!(
        "  {:<9} {:>10} {:>10} {:>8} {:>8} {:>11} {:>14} {:>12}",
        "",
        "requests/s",
        "CPU us/req",
        "p50 us",
        "p99 us",
        "resident MB",
        "CPU / klagomal",
        "CPU, spread"
    );
    for Proxy { name, .. } in proxies {
        let each = found[name].iter().map(|it| it.cpu_us);
        let (least, most) = (each.clone().fold(f64::MAX, f64::min), each.fold(0.0, f64::max));
        println!(
            "  {:<9} {:>10.0} {:>10.1} {:>8.0} {:>8.0} {:>11.1} {:>14.2} {:>12}",
            name,
            middle(found, name, |it| it.per_second),
            cpu(found, name),
            middle(found, name, |it| it.p50_us),
            middle(found, name, |it| it.p99_us),
            middle(found, name, |it| it.resident_mb),
            cpu(found, name) / cpu(found, &proxies[0].name),
            format!("{least:.0}-{most:.0}"),
        );
    }
}

fn cpu(found: &Rounds, name: &str) -> f64 {
    middle(found, name, |it| it.cpu_us)
}

fn middle(found: &Rounds, name: &str, of: fn(&Found) -> f64) -> f64 {
    let mut values: Vec<f64> = found[name].iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The memory of connections that have made one call and are kept. Only a process that has not been
/// under load shows it: a later one has memory to spare.
async fn idle(caller: &Caller, proxies: &[Proxy], count: usize) {
    println!("\n{count} idle connections, one call made on each");
    for Proxy { name, address, process } in proxies {
        let envelope = Envelope::small();
        drop(caller.open(*address, 1, &envelope).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = process.resident_kb();
        let held = caller.open(*address, count, &envelope).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = process.resident_kb();
        let each = (after - before) / held.len() as f64;
        told(&format!("{name}, KB for each idle connection"), each, "at most 20", each <= 20.0);
    }
}
