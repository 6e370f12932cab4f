//! 100 000 routes and 300 000 permissions: load, decide, memory, the rehearsal of a million calls,
//! what a swap of the table costs a call, and the import of as many rows.

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jiff::Timestamp;
use klagomal::id::{Contract, HsaId};
use klagomal::routing::{self, Current};
use klagomal::tak::plan::{Calls, plan};
use klagomal::tak::{Profile, Question, Source, Table, import};

use super::{least_ns, resident_mb, timed};

const ROUTES: usize = 100_000;
const PERMISSIONS: usize = 300_000;
const CONTRACTS: usize = 200;
const CONSUMERS: usize = 300;

fn contract(at: usize) -> String {
    format!("urn:riv:exempel:prov:Hamta{}Responder:1", at % CONTRACTS)
}

fn address(at: usize) -> String {
    format!("SE0000000000-E{}", at % (ROUTES / CONTRACTS))
}

fn consumer(at: usize) -> String {
    format!("SE0000000000-K{}", at % CONSUMERS)
}

/// Consumer, contract and address of a permission; no two are the same.
fn permission(at: usize) -> (usize, usize, usize) {
    (at / 1000 % CONSUMERS, at % 1000 / 5, at % 5 + at / 1000)
}

/// The example configuration, and as many rows as the nation has.
fn sources() -> Vec<Source> {
    let source = |name: &str, text: String| Source { name: name.to_owned(), text };
    let mut routes = String::new();
    for at in 0..ROUTES {
        writeln!(
            routes,
            "[[route]]\ncontract = \"{}\"\nlogical_address = \"{}\"\nsystem = \"region-exempel\"",
            contract(at / (ROUTES / CONTRACTS)),
            address(at)
        )
        .unwrap();
    }
    let mut permissions = String::new();
    for at in 0..PERMISSIONS {
        writeln!(
            permissions,
            "[[permission]]\nconsumer = \"{}\"\ncontract = \"{}\"\nlogical_address = \"{}\"",
            consumer(permission(at).0),
            contract(permission(at).1),
            address(permission(at).2)
        )
        .unwrap();
    }
    vec![
        source("permissions.toml", include_str!("../../tak-config/permissions.toml").to_owned()),
        source("platform.toml", include_str!("../../tak-config/platform.toml").to_owned()),
        source("systems.toml", include_str!("../../tak-config/systems.toml").to_owned()),
        source("units.toml", include_str!("../../tak-config/units.toml").to_owned()),
        source("z-permissions.toml", permissions),
        source("z-routes.toml", routes),
    ]
}

pub(super) fn run() {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let sources = sources();
    let bytes: usize = sources.iter().map(|it| it.text.len()).sum();
    println!("{} MB of TOML, {ROUTES} routes, {PERMISSIONS} permissions", bytes / 1_000_000);
    let before = resident_mb();
    let (first, loaded) = timed(|| Table::parse(&sources, now));
    let table = loaded.table.expect("the table loads");
    println!("resident memory     {:>8.0} MB more than before", resident_mb() - before);
    let again = (0..4).map(|_| timed(|| black_box(Table::parse(&sources, now))).0);
    let least = again.min().unwrap_or(first).min(first);
    println!(
        "load and check      {:>8.0} ms, the best of five ({:.0} ms at first)",
        least.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3
    );
    decide(&table, now);
    rehearse(&table, &sources, now);
    drop(table);
    swap(&sources, now);
    bring_in(now);
}

/// Rows from all over the table, so that no two calls meet the same memory; one in ten is of another
/// caller.
struct Asking {
    contracts: Vec<Contract>,
    callers: Vec<HsaId>,
    addresses: Vec<String>,
    now: Timestamp,
}

impl Asking {
    fn new(now: Timestamp) -> Self {
        Self {
            contracts: (0..CONTRACTS).map(|at| Contract(contract(at))).collect(),
            callers: (0..CONSUMERS).map(|at| HsaId::parse(&consumer(at)).unwrap()).collect(),
            addresses: (0..ROUTES / CONTRACTS).map(address).collect(),
            now,
        }
    }

    fn question(&self, at: usize) -> Question<'_> {
        let row = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (consumer, contract, address) = permission(row % PERMISSIONS);
        let other = usize::from(at.is_multiple_of(10));
        Question {
            caller: &self.callers[(consumer + other) % self.callers.len()],
            contract: &self.contracts[contract % self.contracts.len()],
            address: &self.addresses[address % self.addresses.len()],
            profile: Profile::Rivtabp21,
            at: self.now,
        }
    }
}

fn decide(table: &Table, now: Timestamp) {
    let asking = Asking::new(now);
    let permitted =
        (0..10_000).filter(|at| table.decide(&asking.question(*at)).outcome.is_ok()).count();
    let ns = least_ns(200, 2_000, |at| {
        black_box(table.decide(&asking.question(at)));
    });
    println!("decision            {ns:>8.0} ns ({} % of the calls permitted)", permitted / 100);
}

fn rehearse(old: &Table, sources: &[Source], now: Timestamp) {
    let mut changed = sources.to_vec();
    let routes = changed.last_mut().unwrap();
    routes.text = routes.text.replacen("region-exempel", "inkorg", 1_000);
    let new = Table::parse(&changed, now).table.expect("the other table loads");
    let calls: Vec<Calls> = (0..1_000_000)
        .map(|at: usize| Calls {
            contract: contract(at / 500),
            address: address(at),
            caller: consumer(at / 7),
            profile: Profile::Rivtabp21,
            count: 3,
        })
        .collect();
    let today = "2026-11-22".parse().unwrap();
    let (took, plan) = timed(|| plan(old, &new, &calls, today));
    println!(
        "plan, 1 000 000 recorded decisions {:>6.2} s ({} would go elsewhere)",
        took.as_secs_f64(),
        plan.totals.elsewhere
    );
}

/// Single decisions, the table fetched for each as the gateway does it, while another thread reads
/// and checks the folder again and again: without taking what it read, and taking it.
fn swap(sources: &[Source], now: Timestamp) {
    let place = tempfile::tempdir().unwrap();
    for it in sources {
        fs::write(place.path().join(&it.name), &it.text).unwrap();
    }
    let lists = place.path().join(Source::CODE_LISTS);
    fs::create_dir(&lists).unwrap();
    for entry in
        fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tak-config/code-lists")).unwrap()
    {
        let path = entry.unwrap().path();
        fs::copy(&path, lists.join(path.file_name().unwrap())).unwrap();
    }
    let before = resident_mb();
    let (current, _, content) = Current::open(place.path(), now).expect("the folder opens");
    drop(content);
    println!("a gateway's routing  {:>7.0} MB more than before", resident_mb() - before);
    let work = || {
        black_box(routing::read(place.path(), now).expect("it is read"));
    };
    latencies("beside reading", &current, now, work);
    let (took, outcome) = timed(|| current.reload(now));
    outcome.expect("it is taken");
    println!("reload              {:>8.0} ms, the folder read twice", took.as_secs_f64() * 1e3);
    latencies("beside reloads", &current, now, || {
        current.reload(now).expect("it is taken");
    });
}

fn latencies(what: &str, current: &Current, now: Timestamp, work: impl Fn() + Sync) {
    let asking = Asking::new(now);
    let over = AtomicBool::new(false);
    let mut each: Vec<u64> = thread::scope(|scope| {
        scope.spawn(|| {
            (0..5).for_each(|_| work());
            over.store(true, Ordering::Release);
        });
        let mut each = Vec::new();
        while !over.load(Ordering::Acquire) {
            let question = asking.question(each.len());
            let (took, _) = timed(|| black_box(current.get().table.decide(&question)));
            each.push(u64::try_from(took.as_nanos()).unwrap());
        }
        each
    });
    each.sort_unstable();
    let part = |of: usize| each[(each.len() * of / 100_000).min(each.len() - 1)];
    println!(
        "decision {what}: p50 {} ns, p99 {} ns, p99.9 {} ns, p99.99 {} ns, longest {:.1} ms of {}",
        part(50_000),
        part(99_000),
        part(99_900),
        part(99_990),
        part(100_000) as f64 / 1e6,
        each.len()
    );
}

/// The national platform's cache file of as many rows.
fn bring_in(now: Timestamp) {
    let days = "<ns2:fromTidpunkt>2020-01-01T00:00:00.000+01:00</ns2:fromTidpunkt>\
                <ns2:tomTidpunkt>2120-01-01T00:00:00.000+01:00</ns2:tomTidpunkt>";
    let mut text = String::from("<persistentCache xmlns:ns2=\"urn:skl:tp:vagvalsinfo:v2\">");
    for at in 0..ROUTES {
        write!(
            text,
            "<virtualiseringsInfo><ns2:virtualiseringsInfoId>{at}</ns2:virtualiseringsInfoId>\
             <ns2:receiverId>{}</ns2:receiverId><ns2:rivProfil>RIVTABP21</ns2:rivProfil>\
             <ns2:tjansteKontrakt>{}</ns2:tjansteKontrakt>{days}\
             <ns2:adress>https://localhost:19000/{}</ns2:adress></virtualiseringsInfo>",
            address(at),
            contract(at / (ROUTES / CONTRACTS)),
            at % 1000
        )
        .unwrap();
    }
    for at in 0..PERMISSIONS {
        let (who, what, at_whom) = permission(at);
        write!(
            text,
            "<anropsBehorighetsInfo><ns2:anropsBehorighetsInfoId>{at}</ns2:anropsBehorighetsInfoId>\
             <ns2:receiverId>{}</ns2:receiverId><ns2:senderId>{}</ns2:senderId>\
             <ns2:tjansteKontrakt>{}</ns2:tjansteKontrakt>{days}</anropsBehorighetsInfo>",
            address(at_whom),
            consumer(who),
            contract(what)
        )
        .unwrap();
    }
    text.push_str("</persistentCache>");
    let bytes = text.len();
    let files = [Source { name: "cache.xml".to_owned(), text }];
    let (took, imported) = timed(|| import::import(&files, &[], now));
    let report = imported.expect("it is read").report;
    println!(
        "import              {:>8.0} ms for {} MB, {} routes and {} permissions",
        took.as_secs_f64() * 1e3,
        bytes / 1_000_000,
        report.routes,
        report.permissions
    );
}
