//! The evidence of one message: one log line, its figures and its spans, when its answer has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::reply::{self, Reply};
use super::trail;
use crate::id::HsaId;
use crate::limits;
use crate::soap::Head;
use crate::spans::{Side, Span, Spans};
use crate::tak::{self, Denial, Destination, Step, System, Table};
use crate::telemetry::metrics::{Call, InFlight, Metrics, OTHER};
use crate::telemetry::trace::Trace;

/// Who produced an answer, where no system did.
const GATEWAY: &str = "gateway";
const NONE: &str = "none";

/// Where what is known of calls goes besides the log.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The figures.
    pub metrics: Metrics,
    /// The collector, where one is configured.
    pub spans: Option<Spans>,
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing more was heard: the one who is answered is gone.
    HungUp,
    /// Kept.
    Accepted,
    /// Kept before.
    Repeated,
    /// Answered with `ERROR`.
    Rejected,
    /// A question to the gateway, answered.
    Answered,
    /// Passed on, and the answer back.
    Passed,
    /// Passed on, and a fault back.
    ProducerFault,
    /// The answer broke off on its way back.
    Broken,
    /// A fault of ours with a code of the platform's.
    Refused(&'static str),
    /// A fault of ours without.
    Fault,
}

impl Came {
    const fn label(self) -> &'static str {
        match self {
            Self::HungUp => "hung_up",
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Rejected => "rejected",
            Self::Answered => "answered",
            Self::Passed => "passed",
            Self::ProducerFault => "producer_fault",
            Self::Broken => "broken",
            Self::Refused(code) => code,
            Self::Fault => "fault",
        }
    }

    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Refused(code) => Some(code),
            Self::HungUp
            | Self::Accepted
            | Self::Repeated
            | Self::Rejected
            | Self::Answered
            | Self::Passed
            | Self::ProducerFault
            | Self::Broken
            | Self::Fault => None,
        }
    }

    /// In the words of Elastic Common Schema.
    const fn outcome(self) -> &'static str {
        match self {
            Self::HungUp => "unknown",
            Self::Accepted | Self::Repeated | Self::Answered | Self::Passed => "success",
            Self::Rejected
            | Self::ProducerFault
            | Self::Broken
            | Self::Refused(_)
            | Self::Fault => "failure",
        }
    }
}

/// What a call came to. The line is written when this is dropped, so there is one whatever happens.
#[derive(Debug)]
pub(super) struct Line {
    evidence: Evidence,
    begun: Timestamp,
    started: Instant,
    /// The trace that the call came in, and our span of it.
    pub trace: Trace,
    correlation: String,
    caller: HsaId,
    /// Quoted in the answer and found in the log: a UUID.
    pub log_id: String,
    said: Said,
    known: Known,
    outcome: String,
    came: Came,
    /// Of the answer; 0 where there was none.
    pub status: u16,
    to: Option<Sent>,
    pub counts: Arc<Counts>,
    _in_flight: InFlight,
}

/// What the message says of itself.
#[derive(Debug, Default)]
struct Said {
    contract: String,
    address: String,
    profile: &'static str,
    trail: Vec<Step>,
}

/// The same as the configuration has it, for what is counted.
#[derive(Debug)]
struct Known {
    contract: Arc<str>,
    consumer: Arc<str>,
    producer: Producer,
}

#[derive(Debug)]
enum Producer {
    Nobody,
    Gateway,
    System(Arc<System>),
    Url(Arc<str>),
}

/// The call to a producer.
#[derive(Debug)]
struct Sent {
    url: Arc<str>,
    trace: Trace,
    begun: Timestamp,
    /// To the head of its answer, or to its failure.
    time: Option<Duration>,
}

/// The bytes of bodies, as they pass.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub into: AtomicU64,
    pub out: AtomicU64,
}

impl Counts {
    pub(super) fn add(count: &AtomicU64, bytes: usize) {
        count.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Line {
    /// The outcome is what it is if nothing more is heard: the one who is answered is gone.
    pub(super) fn new(
        evidence: &Evidence,
        caller: &HsaId,
        correlation: &str,
        trace: Trace,
        now: Timestamp,
    ) -> Self {
        let other: Arc<str> = OTHER.into();
        Self {
            _in_flight: evidence.metrics.call_begins(),
            evidence: evidence.clone(),
            begun: now,
            started: Instant::now(),
            trace,
            correlation: correlation.to_owned(),
            caller: caller.clone(),
            log_id: Uuid::new_v4().to_string(),
            said: Said::default(),
            known: Known {
                contract: Arc::clone(&other),
                consumer: other,
                producer: Producer::Nobody,
            },
            outcome: "the caller hung up before the answer".to_owned(),
            came: Came::HungUp,
            status: 0,
            to: None,
            counts: Arc::default(),
        }
    }

    /// Who calls, as the configuration knows it.
    pub(super) fn caller_in(&mut self, table: &Table) {
        if let Some(known) = table.as_written(self.caller.as_str()) {
            self.known.consumer = known.into();
        }
    }

    /// What is called, as the message says it.
    pub(super) fn asked(&mut self, head: &Head, profile: tak::Profile, table: &Table) {
        let contract = head.contract.as_str();
        self.said.contract = reply::visible_within(contract, limits::CONTRACT_CHARS_SHOWN_MAX);
        self.said.address = reply::visible(&head.address);
        self.said.profile = match profile {
            tak::Profile::Rivtabp20 => "rivtabp20",
            tak::Profile::Rivtabp21 => "rivtabp21",
        };
        if let Some(known) = table.as_written(head.contract.as_str()) {
            self.known.contract = known.into();
        }
    }

    /// Where the call goes, and how that came about.
    pub(super) fn decided(&mut self, trail: Vec<Step>, outcome: &Result<Destination, Denial>) {
        self.said.trail = trail;
        self.known.producer = match outcome {
            Ok(Destination::Forward { system: Some(system), .. }) => {
                Producer::System(Arc::clone(system))
            }
            Ok(Destination::Forward { system: None, url, .. }) => Producer::Url(Arc::clone(url)),
            Ok(Destination::Keep { .. } | Destination::Handling | Destination::Answer) => {
                Producer::Gateway
            }
            Err(_) => Producer::Nobody,
        };
    }

    /// What it came to, and the words for it.
    pub(super) fn came(&mut self, came: Came, outcome: impl Into<String>) {
        self.came = came;
        self.outcome = reply::sentence(&outcome.into());
    }

    /// All of a producer's answer has been passed back.
    pub(super) fn passed(&mut self) {
        match self.status {
            500.. => self.came(Came::ProducerFault, "passed on, a fault back"),
            _ => self.came(Came::Passed, "passed on"),
        }
    }

    /// A producer is called now, under the span that is returned.
    pub(super) fn calls(&mut self, url: &Arc<str>, now: Timestamp) -> Trace {
        let trace = self.trace.child();
        let sent = Sent { url: Arc::clone(url), trace: trace.clone(), begun: now, time: None };
        self.to = Some(sent);
        trace
    }

    /// The producer has begun to answer, or has failed.
    pub(super) fn producer_came(&mut self, time: Duration) {
        if let Some(sent) = &mut self.to {
            sent.time = Some(time);
        }
    }

    /// What the producer took, milliseconds.
    pub(super) fn producer_ms(&self) -> u64 {
        let time = self.to.as_ref().and_then(|it| it.time).unwrap_or_default();
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    }

    /// The answer, all of which is at hand.
    pub(super) fn answered_with(&mut self, reply: &Reply) {
        self.status = reply.status().as_u16();
        let bytes = hyper::body::Body::size_hint(reply.body()).exact().unwrap_or_default();
        self.counts.out.store(bytes, Ordering::Relaxed);
    }

    fn count(&self, time: Duration) {
        let Known { contract, consumer, producer } = &self.known;
        self.evidence.metrics.call(&Call {
            contract,
            consumer,
            producer: match producer {
                Producer::Nobody => NONE,
                Producer::Gateway => GATEWAY,
                Producer::System(system) => {
                    system.id.as_deref().unwrap_or_else(|| system.hsa_id.as_str())
                }
                Producer::Url(url) => url,
            },
            outcome: self.came.label(),
            time,
            producer_time: self.to.as_ref().and_then(|it| it.time),
            received: self.counts.into.load(Ordering::Relaxed),
            sent: self.counts.out.load(Ordering::Relaxed),
        });
    }

    fn export(&self, spans: &Spans, time: Duration) {
        let failed = (self.came.outcome() != "success").then(|| self.came.label().to_owned());
        let attributes = vec![
            ("labels.senderid", self.caller.as_str().to_owned()),
            ("labels.receiverid", self.said.address.clone()),
            ("labels.servicecontract_namespace", self.said.contract.clone()),
            ("labels.correlationId", self.correlation.clone()),
            ("labels.outcome", self.came.label().to_owned()),
            ("event.id", self.log_id.clone()),
        ];
        let name = || self.known.contract.to_string();
        if let Some(sent) = &self.to {
            let mut attributes = attributes.clone();
            attributes.push(("url.original", sent.url.to_string()));
            spans.end(Span {
                trace: &sent.trace,
                side: Side::Client,
                name: name(),
                start: sent.begun,
                time: sent.time.unwrap_or_else(|| time_since(self.begun, sent.begun, time)),
                attributes,
                status: None,
                failed: failed.clone(),
            });
        }
        spans.end(Span {
            trace: &self.trace,
            side: Side::Server,
            name: name(),
            start: self.begun,
            time,
            attributes,
            status: (self.status != 0).then_some(self.status),
            failed,
        });
    }

    fn write(&self, time: Duration) {
        let Said { contract, address, profile, trail } = &self.said;
        let destination = self.to.as_ref().and_then(|it| it.url.parse::<http::Uri>().ok());
        let port = |it: &http::Uri| {
            it.port_u16().unwrap_or(if it.scheme_str() == Some("http") { 80 } else { 443 })
        };
        let some = |text: String| (!text.is_empty()).then_some(text);
        let (routing, permission) = trail::texts(trail, address);
        let producer_ms = self.to.as_ref().map(|_| self.producer_ms());
        tracing::info!(
            event.action = "resp-out", event.category = "web", event.outcome = self.came.outcome(),
            event.id = %self.log_id, event.duration = nanos(time),
            labels.correlationId = %self.correlation, trace.id = %self.trace,
            span.id = %format_args!("{:016x}", self.trace.span()),
            labels.senderid = %self.caller, labels.receiverid = %address,
            labels.servicecontract_namespace = %contract, labels.rivversion = profile,
            labels.routerVagvalTrace = some(routing),
            labels.routerBehorighetTrace = some(permission),
            http.response.status_code = self.status,
            http.request.body.bytes = self.counts.into.load(Ordering::Relaxed),
            http.response.body.bytes = self.counts.out.load(Ordering::Relaxed),
            url.original = self.to.as_ref().map(|it| &*it.url),
            destination.address = destination.as_ref().and_then(http::Uri::host),
            destination.port = destination.as_ref().map(port),
            labels.producerMs = producer_ms,
            error.code = self.came.code(),
            "{} -> {} {}: {} ({}, {} ms)", self.caller, shown(address), shown(short(contract)),
            self.outcome, self.status, time.as_millis()
        );
    }
}

/// What is left of `time` after the moment `at`.
fn time_since(begun: Timestamp, at: Timestamp, time: Duration) -> Duration {
    let before = Duration::try_from(at.duration_since(begun)).unwrap_or_default();
    time.saturating_sub(before)
}

/// A refused call may have said nothing yet.
fn shown(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The end of a contract's namespace, which tells a person which one it is.
fn short(contract: &str) -> &str {
    match contract.rmatch_indices(':').nth(1) {
        Some((at, _)) => contract.get(at + 1..).unwrap_or(contract),
        None => contract,
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        self.count(time);
        if let Some(spans) = &self.evidence.spans {
            self.export(spans, time);
        }
        if tracing::enabled!(tracing::Level::INFO) {
            self.write(time);
        }
    }
}
