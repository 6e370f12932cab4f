//! Ten times as many calls as can be served, for a minute: how much is still served, and in how much
//! memory. The gateway has one core and the callers another, where there are two.
//!
//! `KLAGOMAL_SECONDS` is how long each flood lasts.

use std::io;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, available_parallelism};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Flood, Process, World, find};
use crate::timed;

const SECONDS: u64 = 60;

/// How many times too many.
const TIMES: f64 = 10.0;

/// A message that is passed on, and the file of a complaint: so large that a call costs the gateway
/// more than ten callers who are let go at the door cost the core of the callers.
const PASSED_BYTES: usize = 1024 * 1024;
const FILE_BYTES: usize = 64 * 1024;

/// Callers that keep their connections while others come and go.
const INSIDE: u64 = 8;

pub(crate) fn run() {
    let seconds = std::env::var("KLAGOMAL_SECONDS").ok().and_then(|it| it.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let producer = producer();
    let world = World::plan().routing(&routing(producer)).start();
    let apart = available_parallelism().is_ok_and(|cores| cores.get() > 1)
        && pinned(world.pid(), 0)
        && pinned(std::process::id(), 1);
    println!("each side on a core of its own: {apart}");
    let caller = World::caller("1177");
    let passed = || Flood::with(world.https, &caller, "/matning", &message());
    overload("calls of 1 MB, passed on", &world, &[passed(), passed()], time);
    let kept = || Flood::new(world.https, &caller, FILE_BYTES);
    overload("complaints with a file of 64 KB, stored", &world, &[kept(), kept()], time);
}

fn overload(what: &str, world: &World, [flood, inside]: &[Arc<Flood>; 2], time: Duration) {
    println!("\n{what}");
    let process = Process(world.pid());
    flood.steadily(16, false, time / 6);
    let peaks = || [best(process, flood, false, time), best(process, flood, true, time)];
    let before = peaks();
    let rate = TIMES * before[0].rate;
    let (memory, (over, steady, took, cpu)) = watched(world, || {
        std::thread::scope(|scope| {
            let steady = Builder::new().spawn_scoped(scope, || inside.steadily(INSIDE, true, time));
            let cpu = scope.spawn(|| {
                let before = process.cpu();
                std::thread::sleep(time);
                process.cpu() - before
            });
            let (took, over) = timed(|| flood.openly(rate, time));
            (over, steady.unwrap().join().unwrap(), took, cpu.join().unwrap())
        })
    });
    // Before and after, as a machine is not equally fast all the time.
    let after = peaks();
    let seconds = time.as_secs_f64();
    let a_second = |count: &AtomicU64| count.load(Ordering::SeqCst) as f64 / seconds;
    let good = [a_second(&over.in_time), a_second(&steady.good)];
    println!(
        "  peak, before and after: {:.0} and {:.0} a second, each on a new connection; {:.0} and \
         {:.0} on kept ones",
        before[0].rate, after[0].rate, before[1].rate, after[1].rate,
    );
    println!(
        "  {:.1} x the peak for {took:.1?}\n    new:  {over}\n    kept: {steady}",
        a_second(&over.offered) / before[0].rate
    );
    let mean = |of: fn(&Peak) -> f64, at: usize| f64::midpoint(of(&before[at]), of(&after[at]));
    let shares = [0, 1].map(|at| good[at] / mean(|it| it.rate, at));
    println!(
        "  goodput {:.0} + {:.0} a second: {:.2} + {:.2} = {:.2} of the peaks",
        good[0],
        good[1],
        shares[0],
        shares[1],
        shares[0] + shares[1],
    );
    // What somebody else's work on the machine does not change.
    let of_use: f64 = [0, 1].map(|at| good[at] * mean(|it| it.cpu, at)).iter().sum();
    println!(
        "  goodput for each CPU second of the gateway: {:.2} of the peaks' ({:.0} % of a core)",
        of_use * seconds / cpu.as_secs_f64(),
        100.0 * cpu.as_secs_f64() / seconds
    );
    let at = |part: usize| memory[(memory.len() - 1) * part / 6] >> 20;
    let grown = memory[memory.len() - 1].saturating_sub(memory[0]);
    let all = over.good.load(Ordering::SeqCst) + steady.good.load(Ordering::SeqCst);
    println!("  memory that came for each call served: {} bytes", grown / all.max(1));
    let each: Vec<String> = (0..=6).map(|part| at(part).to_string()).collect();
    println!("  memory, MB, from the beginning to the end of it: {}", each.join(" "));
}

/// The resident memory meanwhile, bytes, at equal distances.
fn watched<T>(world: &World, work: impl FnOnce() -> T) -> (Vec<u64>, T) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = vec![world.resident()];
            while !stop.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(100));
                seen.push(world.resident());
            }
            seen
        });
        let given = work();
        stop.store(true, Ordering::SeqCst);
        (watch.join().unwrap(), given)
    })
}

/// As many calls as can be served.
struct Peak {
    /// Calls a second, the most over some numbers of callers.
    rate: f64,
    /// The gateway's CPU seconds for each of them, over all numbers of callers.
    cpu: f64,
}

fn best(process: Process, flood: &Arc<Flood>, keep: bool, time: Duration) -> Peak {
    let (cpu, mut all, mut rate) = (process.cpu(), 0.0, 0.0_f64);
    for callers in [8, 32, 64] {
        let (took, tally) = timed(|| flood.steadily(callers, keep, time / 12));
        let good = tally.good.load(Ordering::SeqCst) as f64;
        rate = rate.max(good / took.as_secs_f64());
        all += good;
    }
    Peak { rate, cpu: (process.cpu() - cpu).as_secs_f64() / all }
}

const CONTRACT: &str = "urn:riv:exempel:matning:GetDocumentsResponder:1";

fn routing(producer: SocketAddr) -> String {
    format!(
        "[[route]]\ncontract = \"{CONTRACT}\"\nlogical_address = \"SE0000000000-VC2\"\n\
         address = \"http://{producer}/\"\n\n[[permission]]\nconsumer = \"SE0000000000-1177\"\n\
         contract = \"{CONTRACT}\"\nlogical_address = \"*\"\n"
    )
}

fn message() -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:r=\"urn:riv:itintegration:registry:1\"><s:Header>\
         <r:LogicalAddress>SE0000000000-VC2</r:LogicalAddress></s:Header><s:Body>\
         <m:GetDocuments xmlns:m=\"{CONTRACT}\">{}</m:GetDocuments></s:Body></s:Envelope>",
        "<m:row code=\"1\">Påhittad text, en rad av många.</m:row>\n".repeat(PASSED_BYTES / 56)
    )
}

/// A producer in the clear that says OK to everything, as cheaply as can be.
fn producer() -> SocketAddr {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                // A gateway that hangs up is an event like another.
                tokio::spawn(async move { drop(answer(stream).await) });
            }
        });
    });
    address
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    const BODY: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">\
        <s:Body><r>OK</r></s:Body></s:Envelope>";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut came = Vec::new();
    loop {
        let Some(end) = find(&came, b"\r\n\r\n") else {
            if stream.read_buf(&mut came).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&came[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|it| it.lines().next());
        let length: usize =
            length.and_then(|it| it.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        while came.len() < end + 4 + length {
            if stream.read_buf(&mut came).await? == 0 {
                return Ok(());
            }
        }
        came.clear();
        stream.write_all(answer.as_bytes()).await?;
    }
}

fn pinned(process: u32, core: u32) -> bool {
    let mut taskset = Command::new("taskset");
    taskset.args(["-apc", &core.to_string(), &process.to_string()]).stdout(Stdio::null());
    taskset.status().is_ok_and(|done| done.success())
}
