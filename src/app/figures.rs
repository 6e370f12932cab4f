//! What is looked up when the figures are asked for: certificates, routing, what is owed, the store.

use super::alarms::Kind;
use super::{Parts, status};
use crate::cases::outbox::Counts;
use crate::telemetry::Chain;
use crate::telemetry::metrics::Now;

/// All figures as text; an error says why there are none.
pub(super) fn text(parts: &Parts) -> Result<String, String> {
    let mut now = Now::default();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    now.gauge("build_info", "The program that runs", vec![("version", version)], 1.0);
    certificates(parts, &mut now);
    let refused = f64::from(u8::from(parts.routing.refused().is_some()));
    let help = "1 while the newest routing change did not take";
    now.gauge("routing_refused", help, Vec::new(), refused);
    outgoing(parts, &mut now);
    alarms(parts, &mut now);
    store(parts, &mut now);
    parts.metrics.text(&now).map_err(|_| "the figures cannot be written".to_owned())
}

fn certificates(parts: &Parts, now: &mut Now) {
    let at = parts.clock.now();
    for expiry in status::expiries(parts) {
        let file = expiry.file.display().to_string();
        let labels = vec![
            ("file", file),
            ("what", expiry.part.to_string()),
            ("subject", expiry.subject.clone()),
        ];
        let days = count(expiry.at.duration_since(at).as_hours()) / 24.0;
        now.gauge("certificate_days", "Days until it runs out", labels, days);
    }
    let faults = status::tls_faults(parts).len();
    let help = "Certificate files that are not as they should be";
    now.gauge("certificate_faults", help, Vec::new(), count(faults));
}

/// Receivers are systems of the configuration, and those that something was ever owed to.
fn outgoing(parts: &Parts, now: &mut Now) {
    let (at, resting) = (parts.clock.now(), parts.delivery.resting());
    for receiver in status::receivers(parts) {
        let label = || vec![("receiver", receiver.clone())];
        match parts.cases.counts(&receiver) {
            Ok(counts) => {
                for (state, number) in states(&counts) {
                    let labels = vec![("receiver", receiver.clone()), ("state", state.to_owned())];
                    let help = "Outgoing messages that are not done with";
                    now.gauge("outgoing", help, labels, count(number));
                }
            }
            Err(error) => tracing::warn!("outgoing messages are not counted: {}", Chain(&error)),
        }
        let help = "1 while an operator has paused it, and nothing is sent";
        let paused = parts.cases.pause_of(&receiver).is_ok_and(|it| it.is_some());
        now.gauge("outgoing_paused", help, label(), f64::from(u8::from(paused)));
        let help = "1 while it fails and is only probed";
        let rests = resting.contains_key(&receiver);
        now.gauge("outgoing_resting", help, label(), f64::from(u8::from(rests)));
        let age = match parts.cases.oldest_owed(&receiver) {
            Ok(since) => since.map_or(0.0, |since| at.duration_since(since).as_secs_f64()),
            Err(error) => {
                tracing::warn!("outgoing messages have no age: {}", Chain(&error));
                continue;
            }
        };
        let help = "Since when the oldest of them is owed; 0 where there is none";
        now.gauge("outgoing_oldest_seconds", help, label(), age.max(0.0));
    }
}

/// Of each kind how many, also none; and each that goes on.
fn alarms(parts: &Parts, now: &mut Now) {
    let all = parts.alarms.all();
    for kind in Kind::ALL {
        let number = all.keys().filter(|(of_kind, _)| *of_kind == kind).count();
        let labels = vec![("alarm", kind.name().to_owned())];
        now.gauge("alarms", "Alarms that go on, by kind", labels, count(number));
    }
    for (kind, of) in all.into_keys() {
        let labels = vec![("alarm", kind.name().to_owned()), ("of", of)];
        now.gauge("alarm", "1 for each alarm that goes on", labels, 1.0);
    }
}

const fn states(counts: &Counts) -> [(&'static str, i64); 6] {
    [
        ("waiting", counts.waiting),
        ("due", counts.due),
        ("leased", counts.leased),
        ("unknown", counts.unknown),
        ("parked", counts.parked),
        ("held", counts.held),
    ]
}

fn store(parts: &Parts, now: &mut Now) {
    let health = parts.cases.engine().health();
    let up = f64::from(u8::from(health.unavailable.is_none()));
    now.gauge("store_available", "1 while messages can be accepted", Vec::new(), up);
    if let Some(free) = health.free_bytes {
        now.gauge("store_free_bytes", "Free on the store's disk", Vec::new(), count(free));
    }
    let waiting = count(health.queue);
    now.gauge("journal_queue", "Jobs that wait for the journal", Vec::new(), waiting);
    let seconds = health.last_sync.as_secs_f64();
    now.gauge("journal_sync_seconds", "The last write and sync", Vec::new(), seconds);
    now.gauge(
        "journal_damage",
        "Damaged parts found at the start",
        Vec::new(),
        count(health.damage),
    );
    now.counter("journal_bytes", "Bytes written", Vec::new(), health.bytes);
    now.counter("journal_syncs", "Syncs, each of many records", Vec::new(), health.batches);
}

/// As a figure; what is lost beyond 2^53 is nothing that anybody sees.
#[expect(clippy::cast_precision_loss, reason = "figures are floating point")]
fn count(number: impl TryInto<i64>) -> f64 {
    number.try_into().unwrap_or(i64::MAX) as f64
}
