//! 100 000 routes and 300 000 permissions: load, decide, memory, and the rehearsal of a million calls.

use std::fmt::Write as _;
use std::hint::black_box;

use jiff::Timestamp;
use klagomal::id::{Contract, HsaId};
use klagomal::tak::plan::{Calls, plan};
use klagomal::tak::{Profile, Question, Source, Table};

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
}

fn decide(table: &Table, now: Timestamp) {
    let contracts: Vec<Contract> = (0..CONTRACTS).map(|at| Contract(contract(at))).collect();
    let callers: Vec<HsaId> =
        (0..CONSUMERS).map(|at| HsaId::parse(&consumer(at)).unwrap()).collect();
    let addresses: Vec<String> = (0..ROUTES / CONTRACTS).map(address).collect();
    // Rows from all over the table, so that no two calls meet the same memory; one in ten is refused.
    let question = |at: usize| {
        let row = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let (consumer, contract, address) = permission(row % PERMISSIONS);
        Question {
            caller: &callers[(consumer + usize::from(at.is_multiple_of(10))) % callers.len()],
            contract: &contracts[contract % contracts.len()],
            address: &addresses[address % addresses.len()],
            profile: Profile::Rivtabp21,
            at: now,
        }
    };
    let permitted = (0..10_000).filter(|at| table.decide(&question(*at)).outcome.is_ok()).count();
    let ns = least_ns(200, 2_000, |at| {
        black_box(table.decide(&question(at)));
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
