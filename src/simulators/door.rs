//! The server of a simulator: reads a call, looks up the behaviour, processes and answers, or not.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::behaviour::Behaviour;
use super::files::Files;
use super::{Place, StartError};
use crate::clock::Clock;
use crate::id::HsaId;
use crate::limits;
use crate::listen::{self, Body, BoxError, Connection, PeerState, Service};
use crate::rivta::{Answer, ErrorCode, FileSeen, Interaction};
use crate::soap::{Fault, FaultCode, Head, MessageReader, ReadError, Skeleton};
use crate::store::blobs::Blobs;
use crate::telemetry::Chain;
use crate::tls::{ClientTls, ServerTls};

const XML: &str = "text/xml; charset=utf-8";

/// One call, read to its end.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) sender: Option<HsaId>,
    pub(super) original_consumer: Option<String>,
    pub(super) correlation_id: Option<String>,
    pub(super) head: Head,
    pub(super) skeleton: Skeleton,
    pub(super) files: Vec<FileSeen>,
    pub(super) at: Timestamp,
}

/// An answer of a contract.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) envelope: String,
    /// For the log: the result in a few words.
    pub(super) outcome: String,
}

impl Reply {
    pub(super) fn of(answer: &Answer, interaction: Interaction) -> Self {
        Self { envelope: answer.write(interaction), outcome: in_words(answer) }
    }
}

/// As `INFO ALREADY_RECEIVED`: nothing of the message.
pub(super) fn in_words(answer: &Answer) -> String {
    let code = answer.error_code.map_or("", ErrorCode::as_str);
    let subcode = answer.subcode.as_deref().unwrap_or_default();
    let words = [answer.result_code.as_str(), code, subcode];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// What a simulator is behind its door.
pub(super) trait Contracts: Send + Sync + 'static {
    /// What it is called in the log.
    const NAME: &'static str;
    /// Whether [`Behaviour::Twice`] means to hold the answer.
    const HOLDS_WHEN_TWICE: bool;

    /// For a call of this kind.
    fn behaviour(&self, head: &Head) -> Behaviour;

    /// Processes a message.
    fn process(&self, call: Received, behaviour: Behaviour) -> Result<Reply, Fault>;

    /// The contract's own answer that says `ERROR`, where it has one.
    fn error(&self, head: &Head, code: ErrorCode) -> Option<String>;
}

/// A door that stands open until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) address: SocketAddr,
    pub(super) control: Option<SocketAddr>,
    pub(super) tls: bool,
    pub(super) tasks: TaskTracker,
    stop: CancellationToken,
    _guard: DropGuard,
}

impl Open {
    /// Opens the doors of `place`: the contracts', and the control door where there is one.
    pub(super) async fn open<C: Contracts, S: Service>(
        place: &Place,
        contracts: Arc<C>,
        blobs: &Blobs,
        control: S,
        (stop, tasks): (CancellationToken, TaskTracker),
    ) -> Result<Self, StartError> {
        let tls = match &place.tls {
            Some(files) => Some(ServerTls::new(files.clone(), Arc::clone(&place.clock))?),
            None => None,
        };
        let is_tls = tls.is_some();
        let (listener, address) = listen::bind(place.listen).await?;
        let controlled = match place.control {
            Some(at) if !at.ip().is_loopback() => return Err(StartError::Control(at)),
            Some(at) => Some(listen::bind(at).await?),
            None => None,
        };
        let (blobs, clock) = (blobs.clone(), Arc::clone(&place.clock));
        let door = Door { contracts, blobs, clock, stop: stop.clone() };
        tasks.spawn(listen::serve(listener, tls, settings(C::NAME), door, stop.clone()));
        let control = controlled.map(|(listener, at)| {
            tasks.spawn(listen::serve(listener, None, settings("control"), control, stop.clone()));
            at
        });
        let guard = stop.clone().drop_guard();
        Ok(Self { address, control, tls: is_tls, tasks, stop, _guard: guard })
    }

    /// Where to call; with the name that the test certificates are for.
    pub(super) fn url(&self) -> String {
        let (scheme, port) = (if self.tls { "https" } else { "http" }, self.address.port());
        match self.address.ip() {
            ip if ip.is_loopback() || ip.is_unspecified() => {
                format!("{scheme}://localhost:{port}/")
            }
            _ => format!("{scheme}://{}/", self.address),
        }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

fn settings(name: &'static str) -> listen::Settings {
    // A simulator that is told to stop keeps nobody waiting.
    listen::Settings { stop_time: Duration::from_secs(2), ..listen::Settings::new(name) }
}

/// Client TLS under the identity of `place`.
pub(super) fn client(place: &Place) -> Result<crate::producer::Producer, StartError> {
    let Some(files) = &place.tls else { return Ok(crate::producer::Producer::plain()?) };
    let tls = ClientTls::new(files.clone(), Arc::clone(&place.clock))?;
    Ok(crate::producer::Producer::new(tls.config().as_ref().clone())?)
}

struct Door<C> {
    contracts: Arc<C>,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

/// Why a call did not become a [`Received`].
#[derive(Debug, thiserror::Error)]
enum NotReceived {
    #[error("the message cannot be read")]
    Unreadable(#[from] ReadError),
    #[error("the caller's certificate names nobody: {0}")]
    Peer(crate::tls::PeerError),
    #[error("the message broke off")]
    Body(#[from] listen::BodyError),
    #[error("an attachment cannot be kept")]
    Files(#[from] super::files::FilesError),
}

impl<C: Contracts> Service for Door<C> {
    async fn answer(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let start = Instant::now();
        if request.method() != Method::POST {
            let text = "A simulator of klagomal: POST a SOAP message here.\n";
            return with(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", text);
        }
        match self.receive(&connection, request).await {
            Ok(call) => {
                let (operation, address) =
                    (call.head.operation.clone(), visible(&call.head.address));
                let caller = call.sender.as_ref().map(ToString::to_string).unwrap_or_default();
                let behaviour = self.contracts.behaviour(&call.head);
                let response = self.act(behaviour, call).await;
                let ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
                let outcome = outcome(&response);
                tracing::info!(
                    simulator = C::NAME, caller, operation = visible(&operation), address,
                    %behaviour, outcome, ms, "call"
                );
                response
            }
            Err(error) => {
                tracing::info!(simulator = C::NAME, error = %Chain(&error), "call not read");
                refused(&error)
            }
        }
    }
}

impl<C: Contracts> Door<C> {
    async fn receive(
        &self,
        connection: &Connection,
        request: Request<Incoming>,
    ) -> Result<Received, NotReceived> {
        let original_consumer = text(request.headers(), "x-rivta-original-serviceconsumer-hsaid");
        let sender = match connection.peer() {
            PeerState::Known(peer) => Some(peer.hsa_id.clone()),
            PeerState::Refused(error) => return Err(NotReceived::Peer(error)),
            PeerState::Anonymous => None,
            PeerState::Plain => original_consumer.as_deref().and_then(|id| HsaId::parse(id).ok()),
        };
        let correlation_id = text(request.headers(), "x-skltp-correlation-id");
        let content_type = text(request.headers(), header::CONTENT_TYPE.as_str());
        let mut reader = MessageReader::new(content_type.as_deref())?;
        let mut files = Files::new(&self.blobs);
        let (mut body, mut left) = (request.into_body(), limits::MESSAGE_BYTES_MAX);
        while let Some(chunk) = listen::next_chunk(&mut body, &mut left).await? {
            files = files.take(reader.push(&chunk)?).await?;
        }
        let (head, skeleton, parts) = reader.finish()?;
        head.check_understood()?;
        let files = files.take(parts).await?.seen();
        let at = self.clock.now();
        Ok(Received { sender, original_consumer, correlation_id, head, skeleton, files, at })
    }

    async fn act(&self, behaviour: Behaviour, call: Received) -> Response<Body> {
        let head = call.head.clone();
        match behaviour {
            Behaviour::Normal => self.process(call, behaviour),
            Behaviour::Late(wait) => {
                let response = self.process(call, behaviour);
                self.hold(wait).await;
                response
            }
            Behaviour::LostAnswer => {
                drop(self.process(call, behaviour));
                closed()
            }
            Behaviour::Twice => {
                let response = self.process(call, behaviour);
                if C::HOLDS_WHEN_TWICE {
                    self.hold(limits::SIMULATOR_HOLD_TIME_MAX).await;
                }
                response
            }
            Behaviour::Error(code) => match self.contracts.error(&head, code) {
                Some(answer) => with(StatusCode::OK, XML, answer),
                None => fault(&told_to(None)),
            },
            Behaviour::Fault(number) => fault(&told_to(number)),
            Behaviour::Http(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                let page = format!("<html><body><h1>{status}</h1></body></html>\n");
                with(status, "text/html; charset=utf-8", page)
            }
            Behaviour::Silent => {
                self.hold(limits::SIMULATOR_HOLD_TIME_MAX).await;
                closed()
            }
            Behaviour::Close => closed(),
            Behaviour::Garbage => {
                with(StatusCode::OK, XML, "<soapenv:Envelope><soapenv:Body><resultCode>OK")
            }
        }
    }

    fn process(&self, call: Received, behaviour: Behaviour) -> Response<Body> {
        match self.contracts.process(call, behaviour) {
            Ok(reply) => {
                let mut response = with(StatusCode::OK, XML, reply.envelope);
                response.extensions_mut().insert(Told(reply.outcome));
                response
            }
            Err(wrong) => fault(&wrong),
        }
    }

    /// Waits, but not past the simulator's end.
    async fn hold(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn refused(error: &NotReceived) -> Response<Body> {
    let (code, number, detail) = match error {
        NotReceived::Unreadable(error) => (error.fault_code(), error.vp(), error.to_string()),
        NotReceived::Peer(error) => (FaultCode::Client, Some(2), error.to_string()),
        // Nobody is left to answer, or what is left of the message would be read as the next.
        NotReceived::Body(_) => return closed(),
        NotReceived::Files(error) => (FaultCode::Server, Some(12), error.to_string()),
    };
    let string = match number {
        Some(number) => format!("VP{number:03} [simulator] Meddelandet kan inte tas emot."),
        None => "Meddelandet kan inte tas emot.".to_owned(),
    };
    fault(&Fault { code, string, detail: Some(detail) })
}

/// A fault that the simulator was told to give, of the side that the platform's number has.
fn told_to(number: Option<u16>) -> Fault {
    let detail = Some("The simulator was told to answer so; nothing was processed.".to_owned());
    let Some(number) = number else {
        let string = "Internt fel i simulatorn.".to_owned();
        return Fault { code: FaultCode::Server, string, detail };
    };
    let code = match number {
        1..=5 | 11 | 13 | 15 => FaultCode::Client,
        _ => FaultCode::Server,
    };
    Fault { code, string: format!("VP{number:03} [simulator] Fel på begäran."), detail }
}

fn fault(fault: &Fault) -> Response<Body> {
    let mut response = with(StatusCode::INTERNAL_SERVER_ERROR, XML, fault.write());
    response.extensions_mut().insert(Told(format!("fault: {}", fault.string)));
    response
}

pub(super) fn with(
    status: StatusCode,
    kind: &'static str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(listen::full(content));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A response whose body fails at once: the connection ends before a byte of it is written.
fn closed() -> Response<Body> {
    let mut response = Response::new(UnsyncBoxBody::new(Cut));
    response.extensions_mut().insert(Told("closed".to_owned()));
    response
}

/// What a response says, for the log.
#[derive(Debug, Clone)]
struct Told(String);

fn outcome(response: &Response<Body>) -> String {
    let told: Option<&Told> = response.extensions().get();
    told.map_or_else(|| format!("HTTP {}", response.status().as_u16()), |told| told.0.clone())
}

#[derive(Debug)]
struct Cut;

impl hyper::body::Body for Cut {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Err("the simulator was told to close the connection".into())))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A value from outside, for a log line.
fn visible(text: &str) -> String {
    text.trim().chars().take(80).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}
