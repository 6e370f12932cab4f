//! One call to one producer: what was sent, what was seen, and what that means for sending again.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Request, Response, Url};
use tokio::time::Instant;

use crate::limits;
use crate::telemetry::Chain;
use count::Count;

mod count;
mod judge;
mod trouble;

pub use judge::{ErrorCode, Judgement, Side, SoapReading, judge};
pub use trouble::tls_trouble;

/// Headers of an answer that are kept as evidence. A cookie or a server's own header is not.
const ANSWER_HEADERS: [&str; 7] = [
    "content-type",
    "date",
    "location",
    "retry-after",
    "server",
    "x-skltp-correlation-id",
    "x-skltp-prt",
];

const USER_AGENT: &str = concat!("klagomal/", env!("CARGO_PKG_VERSION"));

/// The connections to one system under one identity. Calls share them; drop it to close them.
///
/// HTTP/1.1 only, no proxy, no redirect followed, and nothing is ever sent twice: a call that finds
/// its kept connection closed is moved to a new one only while none of it has been taken.
#[derive(Clone)]
pub struct Producer {
    client: Client,
    tls: bool,
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("tls", &self.tls).finish_non_exhaustive()
    }
}

/// What makes a call: a [`Producer`] over HTTP, or a network that is simulated.
pub trait Caller: Send + Sync + fmt::Debug {
    /// Makes the call, once, for an answer of at most `answer_bytes_max`. Ends within the call's
    /// timeout, whatever the other side does.
    fn call_for(&self, call: Call, answer_bytes_max: usize) -> BoxFuture<'_, Seen>;

    /// As [`Self::call_for`], for an answer of the usual size.
    fn call(&self, call: Call) -> BoxFuture<'_, Seen> {
        self.call_for(call, limits::ANSWER_BYTES_MAX)
    }
}

impl Caller for Producer {
    fn call_for(&self, call: Call, answer_bytes_max: usize) -> BoxFuture<'_, Seen> {
        Box::pin(Self::call_for(self, call, answer_bytes_max))
    }
}

/// A [`Producer`] cannot be made from these TLS settings.
#[derive(Debug, thiserror::Error)]
#[error("the client for calls to a producer is not made")]
pub struct ProducerError(#[source] reqwest::Error);

/// One call, as a POST.
#[derive(Debug)]
pub struct Call {
    /// Where to: `https://`, or `http://` where the operator has chosen so.
    pub url: String,
    /// The value of `SOAPAction`, without the quotes that it is sent in.
    pub soap_action: String,
    /// `Content-Type` of the body; SOAP 1.1 says `text/xml; charset=utf-8`.
    pub content_type: String,
    /// Further headers: `x-rivta-*`, `x-skltp-correlation-id`.
    pub headers: Vec<(String, String)>,
    /// The message.
    pub body: Body,
    /// From the start of the call to the last byte of the answer.
    pub timeout: Duration,
}

/// Chunks of a message, in order.
pub type Chunks = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The message of a call.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// A part at a time, for what is too large to hold.
    Stream {
        /// How many bytes the chunks have together. Fewer or more fails the call.
        bytes: u64,
        /// The chunks.
        chunks: Chunks,
    },
}

impl Body {
    /// A body that is read while it is sent.
    pub fn stream(
        bytes: u64,
        chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        Self::Stream { bytes, chunks: Box::pin(chunks) }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Whole(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Stream { bytes, .. } => *bytes,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes())
    }
}

/// What was observed of a call. Nothing is judged here; see [`judge()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The producer has not got the message: it is safe to send again.
    NotSent {
        /// How far the call came.
        stage: Stage,
        /// What stopped it, for the log.
        why: String,
        /// How long it took, milliseconds.
        ms: u64,
    },
    /// A whole answer.
    Answered(Answer),
    /// Something of the message may have come to the producer, and no whole answer came back.
    Unknown {
        /// Bytes of the body that were taken for sending: the producer has at most these.
        bytes_sent: u64,
        /// Bytes of the whole body.
        bytes: u64,
        /// What was read of an answer before it broke off.
        read: Option<Answer>,
        /// How the call ended.
        loss: Loss,
        /// The same in words, for the log.
        why: String,
        /// How long it took, milliseconds.
        ms: u64,
    },
}

impl Seen {
    /// Whether the call broke off before the last byte of the message was taken for sending. The
    /// producer then has fewer bytes than the request's head announced, which HTTP calls incomplete
    /// and no XML reader takes for a document. Evidence for whoever decides about an unknown outcome;
    /// [`judge()`] does not act on it.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        match self {
            Self::Unknown { bytes_sent, bytes, .. } => bytes_sent < bytes,
            Self::NotSent { .. } | Self::Answered(_) => false,
        }
    }
}

/// Where a call stopped before the message had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The address, or a header, cannot be used as it is written.
    Address,
    /// The host's name has no address.
    Resolve,
    /// No connection: refused, unreachable, or no answer in time.
    Connect,
    /// Either side refused the other's certificate, or they share no way to talk. With TLS 1.3 our
    /// bytes can be on their way when the producer's refusal comes; it has then not read them.
    Tls,
    /// Connected, but the message was not begun before the time was out or the connection closed.
    Begin,
    /// Our own message could not be read.
    Body,
}

/// How a call was lost after something of it had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The time was out.
    Timeout,
    /// The connection was reset.
    Reset,
    /// The connection was closed before a whole answer.
    Closed,
    /// More than the bound of the call, usually [`limits::ANSWER_BYTES_MAX`].
    AnswerTooLarge,
    /// What came is not HTTP.
    NotHttp,
    /// Our own message broke off while it was being sent.
    Body,
    /// Something else; the words say what.
    Other,
}

/// What a producer answered. `Debug` shows how long the body is, never what it says.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Those headers that are evidence, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// At most the bound of the call, usually [`limits::ANSWER_BYTES_MAX`].
    pub body: Bytes,
    /// From the start of the call to here, milliseconds.
    pub ms: u64,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, body, ms } = self;
        let bytes = body.len();
        write!(f, "Answer({status}, {headers:?}, {bytes} bytes, {ms} ms)")
    }
}

impl Answer {
    /// The value of a kept header, by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

impl Producer {
    /// Calls over mutual TLS as `tls` says: its certificate, its trust, its host name check. Also
    /// calls `http://` addresses.
    ///
    /// # Errors
    /// When the TLS settings are not usable.
    pub fn new(mut tls: rustls::ClientConfig) -> Result<Self, ProducerError> {
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self::build(tls, true)
    }

    /// Calls `http://` addresses only; an `https://` address is refused before anything is sent.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn plain() -> Result<Self, ProducerError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map(|builder| builder.with_root_certificates(rustls::RootCertStore::empty()));
        match tls {
            Ok(tls) => Self::build(tls.with_no_client_auth(), false),
            Err(_) => Self::build_with(Client::builder(), false),
        }
    }

    fn build(tls: rustls::ClientConfig, https: bool) -> Result<Self, ProducerError> {
        Self::build_with(Client::builder().tls_backend_preconfigured(tls), https)
    }

    fn build_with(builder: reqwest::ClientBuilder, tls: bool) -> Result<Self, ProducerError> {
        let client = builder
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .user_agent(USER_AGENT)
            .connect_timeout(limits::PRODUCER_CONNECT_TIME_MAX)
            .pool_idle_timeout(limits::PRODUCER_IDLE_TIME_MAX)
            .pool_max_idle_per_host(limits::PRODUCER_IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .build()
            .map_err(ProducerError)?;
        Ok(Self { client, tls })
    }

    /// Makes the call, once. Ends within the call's timeout, whatever the producer does.
    pub async fn call(&self, call: Call) -> Seen {
        self.call_for(call, limits::ANSWER_BYTES_MAX).await
    }

    /// As [`Self::call`], for an answer of at most `answer_bytes_max`, which is read as it comes: no
    /// room is taken before there is something to put there.
    pub async fn call_for(&self, call: Call, answer_bytes_max: usize) -> Seen {
        let start = Instant::now();
        let timeout = call.timeout;
        let bytes = call.body.bytes();
        let https = call.url.starts_with("https:");
        let (request, count) = match self.request(call) {
            Ok(made) => made,
            Err(why) => return Seen::NotSent { stage: Stage::Address, why, ms: ms(start) },
        };
        let watch = Watch { start, bytes, count, https, answer_bytes_max };
        let mut read = None;
        let end = tokio::time::timeout(timeout, watch.exchange(&self.client, request, &mut read));
        match end.await {
            Ok(seen) => seen,
            Err(_) => watch.lost(
                read.map(Part::into_answer),
                Loss::Timeout,
                format!("no whole answer in {} ms", timeout.as_millis()),
            ),
        }
    }

    fn request(&self, call: Call) -> Result<(Request, Count), String> {
        let url = Url::parse(&call.url).map_err(|e| format!("the address cannot be read: {e}"))?;
        match url.scheme() {
            "https" if !self.tls => {
                return Err("an https address, but no certificate is configured for calls".into());
            }
            "http" | "https" if url.has_host() => {}
            scheme => return Err(format!("an address of the kind {scheme} cannot be called")),
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            headers.append(header_name(name)?, header_value(name, value)?);
        }
        let action = format!("\"{}\"", call.soap_action);
        headers.insert("soapaction", header_value("SOAPAction", &action)?);
        headers.insert(CONTENT_TYPE, header_value("Content-Type", &call.content_type)?);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(call.body.bytes()));
        let (count, counted) = Count::over(call.body);
        let mut request = Request::new(reqwest::Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(reqwest::Body::wrap_stream(counted));
        Ok((request, count))
    }
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| "the name of a header is not one HTTP allows".to_owned())
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, String> {
    value.parse().map_err(|_| format!("the value of {name} is not one HTTP allows"))
}

fn ms(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// What has been read of an answer so far.
struct Part {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    start: Instant,
}

impl Part {
    fn of(response: &Response, start: Instant) -> Self {
        let headers = ANSWER_HEADERS.iter().filter_map(|name| {
            let value = response.headers().get(*name)?;
            Some(((*name).to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        });
        let headers = headers.collect();
        Self { status: response.status().as_u16(), headers, body: Vec::new(), start }
    }

    fn into_answer(self) -> Answer {
        let Self { status, headers, body, start } = self;
        Answer { status, headers, body: Bytes::from(body), ms: ms(start) }
    }
}

/// One call under way.
struct Watch {
    start: Instant,
    bytes: u64,
    count: Count,
    https: bool,
    answer_bytes_max: usize,
}

impl Watch {
    async fn exchange(&self, client: &Client, request: Request, read: &mut Option<Part>) -> Seen {
        let mut response = match client.execute(request).await {
            Ok(response) => response,
            Err(error) => return self.failed(&error.without_url()),
        };
        let part = read.insert(Part::of(&response, self.start));
        loop {
            let error = match response.chunk().await {
                Ok(Some(chunk)) => {
                    let room = self.answer_bytes_max.saturating_sub(part.body.len());
                    part.body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
                    if chunk.len() <= room {
                        continue;
                    }
                    let why = format!("an answer of more than {} bytes", self.answer_bytes_max);
                    return self.lost(
                        read.take().map(Part::into_answer),
                        Loss::AnswerTooLarge,
                        why,
                    );
                }
                Ok(None) => break,
                Err(error) => error.without_url(),
            };
            let (loss, why) = (trouble::loss(&error), Chain(&error).to_string());
            return self.lost(read.take().map(Part::into_answer), loss, why);
        }
        match read.take() {
            Some(part) => Seen::Answered(part.into_answer()),
            None => self.lost(None, Loss::Other, "no answer".to_owned()),
        }
    }

    /// What a call that ended without the head of an answer proves.
    fn failed(&self, error: &reqwest::Error) -> Seen {
        let ms = ms(self.start);
        let tls = trouble::tls(error);
        if let Some(told) = &tls
            && (error.is_connect() || told.refused_by_peer)
        {
            return Seen::NotSent { stage: Stage::Tls, why: told.text.clone(), ms };
        }
        let why = tls.map_or_else(|| Chain(error).to_string(), |told| told.text);
        if error.is_dns() {
            return Seen::NotSent { stage: Stage::Resolve, why, ms };
        }
        if error.is_connect() {
            return Seen::NotSent { stage: Stage::Connect, why, ms };
        }
        let loss = if self.count.own_failure() { Loss::Body } else { trouble::loss(error) };
        // TLS 1.3 lets us send before the producer has looked at our certificate. When it refuses
        // and closes while we are sending, its alert is lost and only this is seen.
        let hint = if self.https && loss == Loss::Reset { trouble::RESET_OVER_TLS } else { "" };
        self.lost(None, loss, why + hint)
    }

    /// A call without a whole answer. The gate is shut first: if the connection had not begun to
    /// take the message, it now never will, and that it was not sent is certain.
    fn lost(&self, read: Option<Answer>, loss: Loss, why: String) -> Seen {
        let ms = ms(self.start);
        if self.count.shut() && read.is_none() {
            let stage = match loss {
                Loss::Body => Stage::Body,
                Loss::Timeout
                | Loss::Reset
                | Loss::Closed
                | Loss::AnswerTooLarge
                | Loss::NotHttp
                | Loss::Other => Stage::Begin,
            };
            return Seen::NotSent { stage, why, ms };
        }
        Seen::Unknown { bytes_sent: self.count.taken(), bytes: self.bytes, read, loss, why, ms }
    }
}

#[cfg(test)]
mod tests;
