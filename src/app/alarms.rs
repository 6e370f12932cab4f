//! Alarms: what a person must look at, told in the log once when it begins and once when it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::silence::{self, Silent};
use super::{Parts, desk, status};
use crate::cases::query::QueryError;
use crate::config;
use crate::limits;
use crate::telemetry::Chain;
use crate::tls::Part;

/// What an alarm is about. The README's table says what each means and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Oldest,
    Parked,
    Unknown,
    Held,
    Resting,
    Paused,
    Certificate,
    Routing,
    Silent,
}

impl Kind {
    pub(super) const ALL: [Self; 9] = [
        Self::Oldest,
        Self::Parked,
        Self::Unknown,
        Self::Held,
        Self::Resting,
        Self::Paused,
        Self::Certificate,
        Self::Routing,
        Self::Silent,
    ];

    /// Its name in the log, in figures and in the status.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Oldest => "oldest",
            Self::Parked => "parked",
            Self::Unknown => "unknown",
            Self::Held => "held",
            Self::Resting => "resting",
            Self::Paused => "paused",
            Self::Certificate => "certificate",
            Self::Routing => "routing",
            Self::Silent => "silent",
        }
    }
}

/// An alarm: its kind, and the receiver, certificate or unit that it is of.
pub(super) type Key = (Kind, String);

/// An alarm that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Raised {
    pub(super) since: Timestamp,
    /// As it is now.
    pub(super) what: String,
}

/// The alarms that go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Board(Arc<Mutex<BTreeMap<Key, Raised>>>);

/// What has changed since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Changes {
    begun: Vec<(Key, Raised)>,
    ended: Vec<(Key, Raised)>,
}

impl Board {
    pub(super) fn all(&self) -> BTreeMap<Key, Raised> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts up what is `found` now, and gives what is new and what is no more.
    fn put_up(&self, found: BTreeMap<Key, String>, now: Timestamp) -> Changes {
        let mut board = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Changes::default();
        let gone: Vec<Key> = board.keys().filter(|key| !found.contains_key(key)).cloned().collect();
        changes.ended.extend(gone.iter().filter_map(|key| board.remove_entry(key)));
        for (key, what) in found {
            if let Some(raised) = board.get_mut(&key) {
                raised.what = what;
                continue;
            }
            let raised = Raised { since: now, what };
            changes.begun.push((key.clone(), raised.clone()));
            board.insert(key, raised);
        }
        changes
    }
}

/// Looks until `stop`.
pub(super) async fn watch(parts: Parts, stop: CancellationToken) {
    let mut silent: Vec<Silent> = Vec::new();
    let mut silence_at = Instant::now();
    let mut good = true;
    loop {
        let listen = parts.config.alarms.silence && silence_at <= Instant::now();
        if listen {
            silence_at = Instant::now() + limits::SILENCE_LOOK;
        }
        let (looked, before) = (parts.clone(), silent.clone());
        let work = move || {
            let silent = if listen { listen_to(&looked).unwrap_or(before) } else { before };
            (found(&looked, &silent), silent)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((Ok(all), heard)) => {
                silent = heard;
                good = true;
                tell(&parts.alarms.put_up(all, parts.clock.now()));
            }
            // What cannot be read has not ended: the board stays as it is.
            Ok((Err(error), _)) => {
                if good {
                    tracing::warn!("it cannot be told what is alarming: {}", Chain(&error));
                }
                good = false;
            }
            Err(error) => tracing::error!(%error, "the look for alarms was cut off"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(parts.config.alarms.every) => {}
        }
    }
}

fn tell(changes: &Changes) {
    for ((kind, of), raised) in &changes.begun {
        tracing::error!(alarm = kind.name(), alarm.of = %of, "alarm: {}", raised.what);
    }
    for ((kind, of), raised) in &changes.ended {
        tracing::info!(
            alarm = kind.name(), alarm.of = %of, alarm.since = %raised.since,
            "no alarm any more: {}", kind.name()
        );
    }
}

/// The silent units by what is recorded until now; `None` where that cannot be read.
fn listen_to(parts: &Parts) -> Option<Vec<Silent>> {
    let now = parts.clock.now();
    let routing = parts.routing.get();
    let heard = desk::flush(parts).and_then(|()| {
        silence::look(&desk::folder(parts), now, &|address| routing.table.knows(address))
    });
    heard
        .inspect_err(|error| tracing::warn!(%error, "recorded calls are not read for silence"))
        .ok()
}

/// Everything that is alarming now.
fn found(parts: &Parts, silent: &[Silent]) -> Result<BTreeMap<Key, String>, QueryError> {
    let (now, bounds) = (parts.clock.now(), &parts.config.alarms);
    let mut all = BTreeMap::new();
    for receiver in status::receivers(parts) {
        let counts = parts.cases.counts(&receiver)?;
        let oldest = parts.cases.oldest_owed(&receiver)?;
        let standing = [
            (Kind::Parked, counts.parked, "were refused or given up"),
            (Kind::Unknown, counts.unknown, "were sent, and nobody knows whether they arrived"),
            (Kind::Held, counts.held, "are held by an operator"),
        ];
        for (kind, count, what) in standing.into_iter().filter(|(_, count, _)| *count > 0) {
            let text = format!("messages to {receiver} that {what}: {count}");
            all.insert((kind, receiver.clone()), text);
        }
        if let Some(since) = oldest.filter(|since| is_over(*since, now, bounds.oldest)) {
            let text = format!("a message to {receiver} is owed since {since:.0}");
            all.insert((Kind::Oldest, receiver), text);
        }
    }
    for (id, since) in parts.delivery.resting() {
        let text = format!("{id} fails and is only probed since {since:.0}");
        all.insert((Kind::Resting, id), text);
    }
    for pause in parts.cases.pauses()? {
        if is_over(pause.since, now, bounds.paused) {
            let text = format!("{} is paused since {:.0}", pause.system, pause.since);
            all.insert((Kind::Paused, pause.system), text);
        }
    }
    if let Some(refused) = parts.routing.refused() {
        let text = format!("the newest routing change did not take at {:.0}", refused.at);
        all.insert((Kind::Routing, "folder".to_owned()), text);
    }
    certificates(parts, bounds, now, &mut all);
    for unit in silent {
        all.insert((Kind::Silent, unit.name()), unit.to_string());
    }
    Ok(all)
}

fn certificates(
    parts: &Parts,
    bounds: &config::Alarms,
    now: Timestamp,
    all: &mut BTreeMap<Key, String>,
) {
    let days = Duration::from_secs(bounds.certificate_days.saturating_mul(86_400));
    for expiry in status::expiries(parts) {
        // A revocation list lives for days and is renewed by itself: only one that ran out is late.
        let early = if matches!(expiry.part, Part::Lists) { Duration::ZERO } else { days };
        if crate::clock::after(now, early) >= expiry.at {
            let of = format!("{} {}", expiry.file.display(), expiry.subject);
            let text = format!("{of}: {} until {:.0}", expiry.part, expiry.at);
            all.insert((Kind::Certificate, of), text);
        }
    }
}

fn is_over(since: Timestamp, now: Timestamp, bound: Duration) -> bool {
    crate::clock::after(since, bound) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind) -> Key {
        (kind, "region-exempel".to_owned())
    }

    #[test]
    fn an_alarm_is_told_when_it_begins_and_when_it_ends_and_not_in_between() {
        let board = Board::default();
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let now = |texts: &[(Kind, &str)]| {
            texts.iter().map(|(kind, what)| (key(*kind), (*what).to_owned())).collect()
        };
        let first = board.put_up(now(&[(Kind::Parked, "1")]), at(1));
        assert_eq!((first.begun.len(), first.ended.len()), (1, 0));
        let next = board.put_up(now(&[(Kind::Parked, "2"), (Kind::Held, "1")]), at(2));
        let begun: Vec<Key> = next.begun.into_iter().map(|(key, _)| key).collect();
        assert_eq!((begun, next.ended), (vec![key(Kind::Held)], Vec::new()));
        let parked = board.all().remove(&key(Kind::Parked)).unwrap();
        assert_eq!(parked, Raised { since: at(1), what: "2".to_owned() });
        assert_eq!(
            board.put_up(now(&[(Kind::Held, "1")]), at(3)),
            Changes { begun: Vec::new(), ended: vec![(key(Kind::Parked), parked)] }
        );
        assert_eq!(board.put_up(now(&[(Kind::Held, "1")]), at(4)), Changes::default());
    }
}
