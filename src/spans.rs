//! Spans of calls, to a collector over OTLP/HTTP: never in a call's way, and bounded when nobody takes them.
//!
//! The library makes batches on a thread of its own and drops what its queue has no room for. A span
//! is handed to it whole when its call has ended, so there is no other state and nothing global.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _,
};
use tokio::runtime::Handle;

use crate::limits;
use crate::telemetry::Chain;
use crate::telemetry::trace::Trace;

/// Where collectors take traces, below the address in the settings.
const PATH: &str = "/v1/traces";

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum SpansError {
    /// The HTTP client.
    #[error("the client for the collector is not made")]
    Client(#[source] reqwest::Error),
    /// The exporter.
    #[error("the collector's address cannot be used")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// Takes spans of calls that have ended. Clones are the same.
#[derive(Clone)]
pub struct Spans(Arc<Exporter>);

struct Exporter {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans")
    }
}

/// Which side of a call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// We answered.
    Server,
    /// We called.
    Client,
}

/// A call that has ended.
#[derive(Debug)]
pub struct Span<'a> {
    /// Which one it is.
    pub trace: &'a Trace,
    /// Whether it was made or answered.
    pub side: Side,
    /// A name of few: the contract as configured.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// How long it took.
    pub time: Duration,
    /// Metadata: the names are those of the log.
    pub attributes: Vec<(&'static str, String)>,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub failed: Option<String>,
}

impl Spans {
    /// Spans to the collector at `url` (`http://host:4318`). To be called within a runtime: its
    /// tasks send the batches.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn to(url: &str, instance: &str) -> Result<Self, SpansError> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(limits::SPANS_TIME_MAX)
            .build()
            .map_err(SpansError::Client)?;
        let client = Client { client, runtime: Handle::current(), failing: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(format!("{}{PATH}", url.trim_end_matches('/')))
            .with_timeout(limits::SPANS_TIME_MAX)
            .build()
            .map_err(SpansError::Exporter)?;
        let bounds = BatchConfigBuilder::default()
            .with_max_queue_size(limits::SPANS_QUEUE_MAX)
            .with_max_export_batch_size(limits::SPANS_BATCH_MAX)
            .with_scheduled_delay(limits::SPANS_EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(bounds).build();
        let version = env!("CARGO_PKG_VERSION");
        processor.set_resource(
            &Resource::builder_empty()
                .with_attribute(KeyValue::new("service.name", "klagomal"))
                .with_attribute(KeyValue::new("service.version", version))
                .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
                .build(),
        );
        let scope = InstrumentationScope::builder("klagomal").with_version(version).build();
        Ok(Self(Arc::new(Exporter { processor, scope })))
    }

    /// Takes a span, at once; where the queue is full it is dropped.
    pub fn end(&self, span: Span<'_>) {
        if span.trace.is_sampled() {
            self.0.processor.on_end(self.0.data(span));
        }
    }

    /// Sends what is waiting, for at most [`limits::SPANS_STOP_TIME_MAX`]; blocks meanwhile.
    pub fn stop(&self) {
        if let Err(error) = self.0.processor.shutdown_with_timeout(limits::SPANS_STOP_TIME_MAX) {
            tracing::warn!("the last spans were not exported: {error}");
        }
    }
}

impl Exporter {
    fn data(&self, span: Span<'_>) -> SpanData {
        let Span { trace, side, name, start, time, attributes, status, failed } = span;
        let start = SystemTime::from(start);
        let state = trace.state().and_then(|it| it.to_str().ok()?.parse::<TraceState>().ok());
        let context = SpanContext::new(
            TraceId::from(trace.id()),
            SpanId::from(trace.span()),
            TraceFlags::new(trace.flags()),
            false,
            state.unwrap_or_default(),
        );
        let texts = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
        let code = status.map(|it| KeyValue::new("http.response.status_code", i64::from(it)));
        SpanData {
            span_context: context,
            parent_span_id: trace.parent().map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: side == Side::Server,
            span_kind: match side {
                Side::Server => SpanKind::Server,
                Side::Client => SpanKind::Client,
            },
            name: Cow::Owned(name),
            start_time: start,
            end_time: start + time,
            attributes: texts.chain(code).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: failed.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// Our HTTP client, for a library that calls it from a thread without a runtime.
#[derive(Debug)]
struct Client {
    client: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl HttpClient for Client {
    fn send_bytes<'s, 'a>(
        &'s self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(async move {
            let sent = self.runtime.spawn(exchange(self.client.clone(), request)).await;
            let answer = sent.map_err(HttpError::from).and_then(|answer| answer);
            self.tell(&answer);
            answer
        })
    }
}

impl Client {
    /// Says when the collector stops taking spans, and when it takes them again.
    fn tell(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let trouble = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers with status {}", answer.status())),
            Err(error) => Some(Chain(&**error).to_string()),
        };
        let failed = self.failing.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(why) if !failed => tracing::warn!("the collector takes no spans: {why}"),
            None if failed => tracing::info!("the collector takes spans again"),
            Some(_) | None => {}
        }
    }
}

/// One call to the collector; of its answer, which is a few bytes, no more than a bound is read.
async fn exchange(
    client: reqwest::Client,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, HttpError> {
    let mut answer = client.execute(request.try_into()?).await?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > limits::SPANS_ANSWER_BYTES_MAX {
            return Err("its answer is too large".into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response::builder().status(answer.status()).body(body.into())?)
}
