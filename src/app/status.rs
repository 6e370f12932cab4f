//! What the gateway says of itself: ready or not and why, and the whole picture as JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Parts;
use crate::store::keys::Keys;
use crate::tls::{Expiry, Part};

/// Why nothing can be accepted; empty when it can.
pub(super) fn not_ready(parts: &Parts) -> Vec<String> {
    let mut why = Vec::new();
    if let Some(unavailable) = parts.cases.engine().health().unavailable {
        why.push(format!("the store: {} (since {})", unavailable.why, unavailable.since));
    }
    let now = parts.clock.now();
    for expiry in parts.tls.expiries() {
        if matches!(expiry.part, Part::Identity) && expiry.at < now {
            why.push(format!("the certificate {} ran out {}", expiry.subject, expiry.at));
        }
    }
    why
}

pub(super) fn status(parts: &Parts) -> Value {
    let routing = parts.routing.get();
    let table = &routing.table;
    let health = parts.cases.engine().health();
    let refused = parts.routing.refused();
    let tree = parts.routing.tree();
    let today = crate::clock::swedish_day(parts.clock.now());
    let live: Vec<&str> = table.live_counties(today).map(|county| county.code.as_str()).collect();
    json!({
        "name": "klagomal",
        "version": env!("CARGO_PKG_VERSION"),
        "now": parts.clock.now(),
        "notReady": not_ready(parts),
        "cases": parts.cases.count().ok(),
        "store": {
            "durableSeq": health.durable_seq,
            "queue": health.queue,
            "freeBytes": health.free_bytes,
            "segments": health.segments,
            "lastSyncMs": health.last_sync.as_millis(),
            "batches": health.batches,
            "jobs": health.jobs,
            "damage": health.damage,
            "sealed": parts.cases.keys().is_some(),
            "masterKey": parts.cases.keys().map(Keys::master_check),
        },
        "routing": {
            "folder": parts.routing.folder(),
            "generation": table.generation().full(),
            "since": parts.routing.since(),
            "liveCounties": live,
            "hierarchy": json!({
                "units": tree.tree.as_ref().map(|it| it.units),
                "dates": tree.tree.as_ref().map(|it| &it.dates),
                "skipped": tree.tree.as_ref().map(|it| it.skipped),
                "refused": tree.fault.map(|(at, why)| json!({ "at": at, "why": why })),
            }),
            "live": parts.routing.live(),
            "refused": refused.map(|it| json!({ "at": it.at, "findings": it.findings })),
            "changes": parts.routing.changes(),
        },
        "doors": parts.doors,
        "alarms": alarms(parts),
        "systems": systems(parts),
        "certificates": certificates(parts),
        "tlsFaults": tls_faults(parts),
    })
}

fn alarms(parts: &Parts) -> Vec<Value> {
    let all = parts.alarms.all().into_iter();
    all.map(|((kind, of), raised)| {
        json!({ "alarm": kind, "of": of, "since": raised.since, "what": raised.what })
    })
    .collect()
}

/// What is owed to each system, and how it answered last.
fn systems(parts: &Parts) -> Vec<Value> {
    let seen = parts.delivery.last_seen();
    let (configured, resting) = (configured(parts), parts.delivery.resting());
    receivers(parts)
        .into_iter()
        .map(|id| {
            json!({
                "id": id,
                "configured": configured.contains(&id),
                "outgoing": parts.cases.counts(&id).ok(),
                "lastSeen": seen.get(&id),
                "paused": parts.cases.pause_of(&id).ok().flatten(),
                "restingSince": resting.get(&id),
            })
        })
        .collect()
}

fn configured(parts: &Parts) -> BTreeSet<String> {
    parts.routing.get().table.systems().filter_map(|system| system.id.clone()).collect()
}

/// The systems that something is or can be owed to.
pub(super) fn receivers(parts: &Parts) -> BTreeSet<String> {
    let mut all = configured(parts);
    // What is owed to a system that is configured no more waits, and must be seen.
    all.extend(parts.cases.owed_to().unwrap_or_default());
    all
}

/// Files of the doors and the calls that are not as they should be, and why: an older one goes on.
pub(super) fn tls_faults(parts: &Parts) -> Vec<String> {
    let mut all: Vec<String> =
        parts.tls.faults().iter().map(|(part, error)| format!("{part}: {error}")).collect();
    let staff = parts.staff_tls.iter().flat_map(|it| it.faults());
    all.extend(staff.map(|(part, error)| format!("staff door: {part}: {error}")));
    let login = parts.login.iter().flat_map(|it| it.tls.faults());
    all.extend(login.map(|(part, error)| format!("login service: {part}: {error}")));
    all.extend(parts.connections.faults());
    all
}

/// Everything that runs out, once.
pub(super) fn expiries(parts: &Parts) -> Vec<Expiry> {
    let mut all = parts.tls.expiries();
    all.extend(parts.staff_tls.iter().flat_map(|it| it.expiries()));
    all.extend(parts.login.iter().flat_map(|it| it.tls.expiries()));
    all.extend(parts.connections.expiries());
    // The door and the calls usually share their files.
    all.sort_by(|a, b| (&a.file, &a.subject, a.at).cmp(&(&b.file, &b.subject, b.at)));
    all.dedup();
    all
}

fn certificates(parts: &Parts) -> Vec<Value> {
    let now = parts.clock.now();
    let days = |expiry: &Expiry| expiry.at.duration_since(now).as_hours() / 24;
    expiries(parts)
        .into_iter()
        .map(|expiry| {
            json!({
                "file": expiry.file, "what": expiry.part.to_string(), "subject": expiry.subject,
                "until": expiry.at, "daysLeft": days(&expiry),
            })
        })
        .collect()
}
