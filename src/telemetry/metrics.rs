//! Figures for Prometheus: counted without a lock as calls pass, written when somebody asks.
//!
//! Labels are names from the configuration, never what a caller chose to write, and of those at most
//! [`limits::METRIC_SETS_MAX`] sets: what comes beyond is counted as `other`.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::limits;

/// What the configuration does not know, and what is beyond the bound.
pub const OTHER: &str = "other";

/// The beginning of every name.
const PREFIX: &str = "klagomal";

/// Upper bounds in seconds. A kept case costs a sync of the disk, a few milliseconds; a producer
/// answers in tens to hundreds; 29 s is where one is given up on (the platform's figure).
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 29.0, 60.0];

type One = [(&'static str, &'static str); 1];
type Two = [(&'static str, &'static str); 2];

/// All figures. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    seconds: Family<CallLabels, Histogram, Seconds>,
    producer_seconds: Family<CallLabels, Histogram, Seconds>,
    received: Family<CallLabels, Counter>,
    sent: Family<CallLabels, Counter>,
    /// In the order of their labels. Copied when one comes to it, which happens seldom.
    known: ArcSwap<Vec<(CallLabels, CallFigures)>>,
    in_flight: Gauge,
    connections: Family<One, Gauge>,
    handshakes: Family<One, Counter>,
    refused: Family<One, Counter>,
    reloads: Family<Two, Counter>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("sets", &self.known.load().len()).finish_non_exhaustive()
    }
}

/// What calls are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CallLabels {
    contract: Arc<str>,
    consumer: Arc<str>,
    producer: Arc<str>,
    outcome: &'static str,
}

impl EncodeLabelSet for CallLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        [
            ("contract", &*self.contract),
            ("consumer", &*self.consumer),
            ("producer", &*self.producer),
            ("outcome", self.outcome),
        ]
        .encode(encoder)
    }
}

/// The figures of one set of labels.
#[derive(Debug, Clone)]
struct CallFigures {
    calls: Counter,
    seconds: Histogram,
    producer_seconds: Histogram,
    received: Counter,
    sent: Counter,
}

#[derive(Clone)]
struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// As the routing configuration writes it, or [`OTHER`].
    pub contract: &'a str,
    /// As the routing configuration writes it, or [`OTHER`].
    pub consumer: &'a str,
    /// The system that the configuration names, `gateway` for what is answered here, else `none`.
    pub producer: &'a str,
    /// One of a fixed list: what was done, or the code of the fault.
    pub outcome: &'static str,
    /// From the head of the request to the last byte of the answer.
    pub time: Duration,
    /// The producer's part of it, where one was called.
    pub producer_time: Option<Duration>,
    /// Bytes of the message.
    pub received: u64,
    /// Bytes of the answer.
    pub sent: u64,
}

impl Call<'static> {
    /// A call that was refused before anything of it was read.
    #[must_use]
    pub const fn refused(outcome: &'static str) -> Self {
        Self {
            contract: OTHER,
            consumer: OTHER,
            producer: "none",
            outcome,
            time: Duration::ZERO,
            producer_time: None,
            received: 0,
            sent: 0,
        }
    }
}

impl Call<'_> {
    fn order(&self, labels: &CallLabels) -> Ordering {
        (&*labels.contract, &*labels.consumer, &*labels.producer, labels.outcome).cmp(&(
            self.contract,
            self.consumer,
            self.producer,
            self.outcome,
        ))
    }

    /// As it is counted when there are too many sets of labels.
    const fn beyond(&self) -> Self {
        Self { contract: OTHER, consumer: OTHER, producer: OTHER, ..*self }
    }

    fn labels(&self) -> CallLabels {
        CallLabels {
            contract: self.contract.into(),
            consumer: self.consumer.into(),
            producer: self.producer.into(),
            outcome: self.outcome,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All figures at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let mut inner = Inner {
            registry: Registry::default(),
            calls: Family::default(),
            seconds: Family::new_with_constructor(Seconds),
            producer_seconds: Family::new_with_constructor(Seconds),
            received: Family::default(),
            sent: Family::default(),
            known: ArcSwap::default(),
            in_flight: Gauge::default(),
            connections: Family::default(),
            handshakes: Family::default(),
            refused: Family::default(),
            reloads: Family::default(),
        };
        let to = &mut registry;
        to.register("calls", "Calls that have ended", inner.calls.clone());
        to.register(
            "call_seconds",
            "From the head of a request to the end of its answer",
            inner.seconds.clone(),
        );
        to.register(
            "producer_seconds",
            "From the call to a producer to the head of its answer",
            inner.producer_seconds.clone(),
        );
        to.register("received_bytes", "Bytes of messages", inner.received.clone());
        to.register("sent_bytes", "Bytes of answers", inner.sent.clone());
        to.register("calls_in_flight", "Calls being answered", inner.in_flight.clone());
        to.register("connections", "Open connections", inner.connections.clone());
        to.register("handshakes_failed", "TLS handshakes that failed", inner.handshakes.clone());
        to.register("refused", "Refused because a limit was reached", inner.refused.clone());
        to.register(
            "reloads",
            "Readings of changed configuration and certificates",
            inner.reloads.clone(),
        );
        inner.registry = registry;
        Self(Arc::new(inner))
    }

    /// A call has begun; it is in flight until what is returned is dropped.
    #[must_use]
    pub fn call_begins(&self) -> InFlight {
        InFlight::new(self.0.in_flight.clone())
    }

    /// A call has ended.
    pub fn call(&self, call: &Call<'_>) {
        let known = self.0.known.load();
        let find = |call: &Call<'_>| {
            let at = known.binary_search_by(|(labels, _)| call.order(labels)).ok()?;
            known.get(at).map(|(_, figures)| figures)
        };
        // Beyond the bound only the outcomes remain, and those are a fixed list: it is copied for the
        // first of each, and never again.
        let full = known.len() >= limits::METRIC_SETS_MAX;
        let beyond = || if full { find(&call.beyond()) } else { None };
        match find(call).or_else(beyond) {
            Some(figures) => figures.count(call),
            None => self.add(call).count(call),
        }
    }

    /// The figures of labels that are not known yet.
    fn add(&self, call: &Call<'_>) -> CallFigures {
        let all = call.beyond();
        let mut figures = None;
        self.0.known.rcu(|known| {
            let call = if known.len() < limits::METRIC_SETS_MAX { call } else { &all };
            let mut known = Vec::clone(known);
            match known.binary_search_by(|(labels, _)| call.order(labels)) {
                Ok(at) => figures = known.get(at).map(|(_, figures)| figures.clone()),
                Err(at) => {
                    let labels = call.labels();
                    let new = figures.insert(self.0.figures(&labels)).clone();
                    known.insert(at, (labels, new));
                }
            }
            known
        });
        figures.unwrap_or_else(|| self.0.figures(&all.labels()))
    }

    /// Something was refused because `limit` was reached.
    pub fn refused(&self, limit: &'static str) {
        self.0.refused.get_or_create(&[("limit", limit)]).inc();
    }

    /// Something was read again, and taken into use or not.
    pub fn reloaded(&self, what: &'static str, taken: bool) {
        let outcome = if taken { "ok" } else { "failed" };
        self.0.reloads.get_or_create(&[("what", what), ("outcome", outcome)]).inc();
    }

    /// The figures of a door.
    #[must_use]
    pub fn door(&self, name: &'static str) -> DoorMetrics {
        DoorMetrics {
            connections: self.0.connections.get_or_create_owned(&[("door", name)]),
            full: self.0.refused.get_or_create_owned(&[("limit", "connections")]),
            handshakes: self.0.handshakes.clone(),
        }
    }

    /// Everything as OpenMetrics text, with what was looked up for it.
    ///
    /// # Errors
    /// When a name or value cannot be written.
    pub fn text(&self, now: &Now) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.0.registry)?;
        let mut registry = Registry::with_prefix(PREFIX);
        for (name, (help, family)) in &now.gauges {
            registry.register(*name, *help, family.clone());
        }
        for (name, (help, family)) in &now.counters {
            registry.register(*name, *help, family.clone());
        }
        encode_registry(&mut text, &registry)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Inner {
    fn figures(&self, labels: &CallLabels) -> CallFigures {
        CallFigures {
            calls: self.calls.get_or_create_owned(labels),
            seconds: self.seconds.get_or_create_owned(labels),
            producer_seconds: self.producer_seconds.get_or_create_owned(labels),
            received: self.received.get_or_create_owned(labels),
            sent: self.sent.get_or_create_owned(labels),
        }
    }
}

impl CallFigures {
    fn count(&self, call: &Call<'_>) {
        self.calls.inc();
        self.seconds.observe(call.time.as_secs_f64());
        if let Some(time) = call.producer_time {
            self.producer_seconds.observe(time.as_secs_f64());
        }
        self.received.inc_by(call.received);
        self.sent.inc_by(call.sent);
    }
}

/// Counted in a gauge for as long as it is there.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The figures of one door. The default ones are seen by nobody.
#[derive(Debug, Clone, Default)]
pub struct DoorMetrics {
    connections: Gauge,
    full: Counter,
    handshakes: Family<One, Counter>,
}

impl DoorMetrics {
    /// A connection is open until what is returned is dropped.
    #[must_use]
    pub fn opened(&self) -> InFlight {
        InFlight::new(self.connections.clone())
    }

    /// A connection was closed, as there were too many.
    pub fn full(&self) {
        self.full.inc();
    }

    /// A handshake failed; `reason` is one of a fixed list.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes.get_or_create(&[("reason", reason)]).inc();
    }
}

type Labels = Vec<(&'static str, String)>;
type Looked<M> = BTreeMap<&'static str, (&'static str, Family<Labels, M>)>;

/// What is looked up when the figures are asked for.
#[derive(Debug, Default)]
pub struct Now {
    gauges: Looked<Gauge<f64, AtomicU64>>,
    counters: Looked<Counter>,
}

impl Now {
    /// A value that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, labels: Labels, value: f64) {
        let (_, family) = self.gauges.entry(name).or_insert_with(|| (help, Family::default()));
        family.get_or_create(&labels).set(value);
    }

    /// A value that only grows while the process lives.
    pub fn counter(&mut self, name: &'static str, help: &'static str, labels: Labels, value: u64) {
        let (_, family) = self.counters.entry(name).or_insert_with(|| (help, Family::default()));
        family.get_or_create(&labels).inc_by(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(consumer: &'a str, outcome: &'static str) -> Call<'a> {
        Call {
            contract: "urn:c:1",
            consumer,
            producer: "p",
            outcome,
            time: Duration::from_millis(7),
            producer_time: None,
            received: 10,
            sent: 20,
        }
    }

    fn value(text: &str, line: &str) -> Option<f64> {
        let rest = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '))?;
        rest.parse().ok()
    }

    #[test]
    fn what_is_counted_is_written() {
        let metrics = Metrics::new();
        let begun = metrics.call_begins();
        for _ in 0..3 {
            metrics.call(&call("a", "passed"));
        }
        metrics.call(&Call { producer_time: Some(Duration::from_secs(30)), ..call("a", "VP009") });
        let mut now = Now::default();
        now.gauge("store_free_bytes", "Free", Vec::new(), 5.0);
        now.counter("journal_syncs", "Syncs", vec![("of", "x\"y".to_owned())], 4);
        let text = metrics.text(&now).unwrap();
        let set = "{contract=\"urn:c:1\",consumer=\"a\",producer=\"p\",outcome=\"passed\"}";
        assert_eq!(value(&text, &format!("klagomal_calls_total{set}")), Some(3.0), "{text}");
        assert_eq!(value(&text, &format!("klagomal_call_seconds_count{set}")), Some(3.0));
        assert_eq!(value(&text, &format!("klagomal_producer_seconds_count{set}")), Some(0.0));
        assert_eq!(value(&text, &format!("klagomal_received_bytes_total{set}")), Some(30.0));
        assert_eq!(value(&text, &format!("klagomal_sent_bytes_total{set}")), Some(60.0));
        assert_eq!(value(&text, "klagomal_calls_in_flight"), Some(1.0));
        assert_eq!(value(&text, "klagomal_store_free_bytes{}"), Some(5.0), "{text}");
        assert_eq!(value(&text, "klagomal_journal_syncs_total{of=\"x\\\"y\"}"), Some(4.0));
        let late =
            "{le=\"29.0\",contract=\"urn:c:1\",consumer=\"a\",producer=\"p\",outcome=\"VP009\"}";
        assert_eq!(value(&text, &format!("klagomal_producer_seconds_bucket{late}")), Some(0.0));
        assert!(text.ends_with("# EOF\n"));
        drop(begun);
        let text = metrics.text(&Now::default()).unwrap();
        assert_eq!(value(&text, "klagomal_calls_in_flight"), Some(0.0));
    }

    #[test]
    fn beyond_the_bound_calls_are_counted_together() {
        let metrics = Metrics::new();
        let consumers: Vec<String> =
            (0..limits::METRIC_SETS_MAX + 50).map(|it| format!("c{it}")).collect();
        for consumer in &consumers {
            metrics.call(&call(consumer, "passed"));
        }
        metrics.call(&call("c0", "passed"));
        // Who comes when all is full is counted without a copy of the list.
        let full = metrics.0.known.load_full();
        metrics.call(&call("late", "passed"));
        assert!(Arc::ptr_eq(&full, &metrics.0.known.load_full()));
        let text = metrics.text(&Now::default()).unwrap();
        let sets = text.lines().filter(|it| it.starts_with("klagomal_calls_total{")).count();
        assert_eq!(sets, limits::METRIC_SETS_MAX + 1);
        let others = text.lines().find(|it| it.contains("calls_total{contract=\"other\"")).unwrap();
        assert!(others.ends_with(" 51"), "{others}");
        let first = text.lines().find(|it| it.contains("_calls_total") && it.contains("\"c0\""));
        assert!(first.unwrap().ends_with(" 2"));
    }
}
