//! Accepting, the handshake, the requests of a connection, and the end of them all.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::connection::{Connection, Ending, Overdue, PeerState};
use super::io::{Answered, Told};
use super::leave::Leave;
use super::shares::{Full, Place, Shares};
use super::{Service, Settings};
use crate::limits;
use crate::tls::{HandshakeFault, ReadAhead, Reason, ServerTls};

/// How a door closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Requests that were still being answered when patience ran out.
    pub cut: usize,
}

/// What all connections of a door share.
struct Door<S> {
    service: S,
    tls: Option<Arc<ServerTls>>,
    settings: Settings,
    /// Taken from a peer's first byte on: one who says nothing keeps nobody else from it.
    handshakes: Arc<Shares>,
    /// Answering a hello; see [`secure`].
    turns: Semaphore,
    /// Tells that there are no places.
    full: Mutex<Seldom>,
    /// No new requests; those in flight go on.
    stop: CancellationToken,
    /// New requests until nobody has any, for another process takes over.
    leave: Leave,
    /// Everything ends now.
    cut: CancellationToken,
    cut_count: AtomicUsize,
}

/// Serves `listener` until `stop`: with TLS where `tls` is given, else in the clear.
///
/// After `stop` nothing is accepted, idle connections are closed, requests in flight are answered
/// within [`Settings::stop_time`], and what is left then is cut off and counted.
pub async fn serve<S: Service>(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    settings: Settings,
    service: S,
    stop: CancellationToken,
) -> Stopped {
    serve_until_left(listener, tls, settings, service, stop, Leave::default()).await
}

/// [`serve`] that can also be left to another process, by `leave`. What is under way then ends
/// within [`limits::LEAVE_TIME_MAX`].
pub async fn serve_until_left<S: Service>(
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    settings: Settings,
    service: S,
    stop: CancellationToken,
    leave: Leave,
) -> Stopped {
    // Behind a proxy there is one address; only the proxy can share places out.
    let eighths = tls.as_ref().map(|_| limits::ADDRESS_SHARE_EIGHTHS);
    let places = Shares::new(settings.connections_max, eighths);
    let handshakes = Shares::new(settings.handshakes_max, eighths);
    let (cut, cut_count) = (CancellationToken::new(), AtomicUsize::new(0));
    let (full, turns) = (Mutex::default(), Semaphore::new(limits::HANDSHAKE_TURNS));
    let door =
        Door { service, tls, settings, handshakes, turns, full, stop, leave, cut, cut_count };
    let door = Arc::new(door);
    let connections = TaskTracker::new();
    // As long as connections are taken, somebody may come.
    let taking = door.leave.bind();
    door.take(&listener, &places, &connections).await;
    drop((listener, taking));
    connections.close();
    let patience = match door.stop.is_cancelled() {
        true => door.settings.stop_time,
        false => limits::LEAVE_TIME_MAX,
    };
    if timeout(patience, connections.wait()).await.is_err() {
        door.cut.cancel();
        connections.wait().await;
    }
    Stopped { cut: door.cut_count.load(Ordering::SeqCst) }
}

impl<S: Service> Door<S> {
    /// Takes connections until the door is stopped or shut. Whoever is too many is let go before
    /// the handshake, which is what costs.
    async fn take(
        self: &Arc<Self>,
        listener: &TcpListener,
        places: &Arc<Shares>,
        connections: &TaskTracker,
    ) {
        let mut failing = Seldom::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.leave.shutting() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.accept_failed(&error, &mut failing).await;
                    continue;
                }
            };
            match self.place(places, remote) {
                Ok(place) => {
                    let bound = self.leave.bind();
                    let door = Arc::clone(self);
                    connections.spawn(async move {
                        door.connection(stream, remote, bound).await;
                        drop(place);
                    });
                }
                Err(full) => self.is_full(remote, full),
            }
        }
    }

    /// A place for a connection from `remote`; none where it could not shake hands now.
    fn place(&self, places: &Arc<Shares>, remote: SocketAddr) -> Result<Place, Full> {
        if self.tls.is_some() {
            drop(self.handshakes.take(remote.ip())?);
        }
        places.take(remote.ip())
    }

    fn is_full(&self, remote: SocketAddr, full: Full) {
        self.settings.metrics.full();
        let unsaid = self.full.lock().unwrap_or_else(PoisonError::into_inner).say();
        if let Some(unsaid) = unsaid {
            let door = self.settings.name;
            tracing::warn!(door, %remote, ?full, unsaid, "door full: connection closed");
        }
    }

    async fn accept_failed(&self, error: &std::io::Error, failing: &mut Seldom) {
        // A caller that hung up while waiting to be accepted costs nothing; anything else (no file
        // descriptors, no memory) needs a pause, or the loop spins.
        if error.kind() == std::io::ErrorKind::ConnectionAborted {
            return;
        }
        if let Some(unsaid) = failing.say() {
            tracing::error!(door = self.settings.name, %error, unsaid, "cannot accept connections");
        }
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(limits::ACCEPT_BACKOFF) => {}
        }
    }

    async fn connection(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        bound: TaskTrackerToken,
    ) {
        let name = self.settings.name;
        let counted = self.settings.metrics.opened();
        let opened = AssertUnwindSafe(self.open(stream, remote, bound));
        if opened.catch_unwind().await.is_err() {
            tracing::error!(door = name, %remote, "a connection ended in a panic");
        }
        drop(counted);
    }

    async fn open(self: Arc<Self>, stream: TcpStream, remote: SocketAddr, bound: TaskTrackerToken) {
        let Ok(local) = stream.local_addr() else { return };
        // Answers go out at once; where the socket cannot, they go out later.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        let Some(tls) = self.tls.clone() else {
            let connection = Connection::plain(remote, local);
            connection.hold(bound);
            return self.requests(stream, connection, None).await;
        };
        // Taken before the handshake: a reload during it is then seen at the first request.
        let changes = tls.changes();
        let secured = tokio::select! {
            () = self.cut.cancelled() => return,
            () = self.stop.cancelled() => return,
            secured = self.secured(stream, remote, &tls) => secured,
        };
        match secured {
            Ok(None) => {}
            Ok(Some((stream, generation))) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
                let connection = Connection::secured(remote, local, tls, chain, generation);
                if let PeerState::Refused(error) = connection.peer() {
                    tracing::warn!(door = self.settings.name, %remote, %error, "peer not known");
                }
                connection.hold(bound);
                self.requests(stream, connection, Some(changes)).await;
            }
            Err(fault) => {
                let (door, reason) = (self.settings.name, fault.reason.code());
                self.settings.metrics.handshake_failed(reason);
                if fault.reason == Reason::PeerClosed {
                    // Load balancers look in like this every few seconds.
                    tracing::debug!(door, %remote, reason, "TLS handshake failed: {fault}");
                } else {
                    tracing::warn!(door, %remote, reason, "TLS handshake failed: {fault}");
                }
            }
        }
    }

    /// The handshake; none where there are too many. One who says nothing is not waited for when the
    /// door is shut.
    async fn secured(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
        tls: &ServerTls,
    ) -> Result<Option<(TlsStream<ReadAhead<TcpStream>>, u64)>, HandshakeFault> {
        let deadline = Instant::now() + self.settings.handshake_time;
        let quiet = async {
            self.leave.shutting().await;
            sleep(self.settings.quiet_time).await;
        };
        let mut first = [0; 1];
        let says = async {
            tokio::select! {
                biased;
                // Readiness may be told for nothing; a byte that is seen is there.
                said = stream.peek(&mut first) => said.map(drop).map_err(|_| Reason::PeerClosed),
                () = quiet => Err(Reason::TimedOut),
            }
        };
        match timeout_at(deadline, says).await {
            Ok(Ok(())) => match self.handshakes.take(remote.ip()) {
                Ok(place) => {
                    let time = deadline - Instant::now();
                    let secured = secure(stream, tls, time, self.turn()).await;
                    drop(place);
                    secured.map(Some)
                }
                Err(full) => {
                    self.is_full(remote, full);
                    Ok(None)
                }
            },
            Ok(Err(reason)) => Err(HandshakeFault::plain(reason)),
            Err(_) => Err(HandshakeFault::plain(Reason::TimedOut)),
        }
    }

    /// A turn to answer a hello, when there is room for another caller, or none for long.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = self.turns.acquire().await.ok();
        let until = Instant::now() + limits::HANDSHAKE_ROOM_WAIT;
        while !self.service.has_room() && Instant::now() < until {
            sleep(limits::HANDSHAKE_ROOM_LOOK).await;
        }
        turn
    }

    async fn requests<I>(
        self: Arc<Self>,
        stream: I,
        connection: Connection,
        changes: Option<watch::Receiver<u64>>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = Arc::new(connection);
        let io = TokioIo::new(Told { inner: stream, connection: Arc::clone(&connection) });
        let (door, of) = (Arc::clone(&self), Arc::clone(&connection));
        let service = service_fn(move |request| {
            let (door, of) = (Arc::clone(&door), Arc::clone(&of));
            // The library keeps room for this in every connection, also in those that wait.
            Box::pin(async move { Ok::<_, Infallible>(door.request(of, request).await) })
        });
        let settings = &self.settings;
        let http = http1::Builder::new()
            .timer(TokioTimer::new())
            // A second guard behind our own, which tells waiting for a head from its arrival.
            .header_read_timeout(settings.idle_time + settings.header_time)
            .max_headers(limits::HTTP_HEADERS_MAX)
            .max_header_size(limits::HTTP_HEAD_BYTES_MAX)
            .max_buf_size(limits::HTTP_BUFFER_BYTES_MAX)
            .serve_connection(io, service);
        self.drive(http, &connection, changes).await;
    }

    /// Runs a connection until it ends, overruns a limit, or is to end.
    async fn drive<H>(
        &self,
        http: H,
        connection: &Connection,
        changes: Option<watch::Receiver<u64>>,
    ) where
        H: Http,
    {
        let mut http = pin!(http);
        let mut changed = pin!(unwelcome(connection, changes));
        let mut overdue = pin!(sleep(Duration::ZERO));
        let mut leaving = pin!(self.leave.beginning());
        let mut end = Ending::Open;
        loop {
            let closing = matches!(end, Ending::Closing(_));
            let event = tokio::select! {
                biased;
                outcome = http.as_mut() => return self.ended(connection, outcome),
                () = self.cut.cancelled() => {
                    if connection.is_busy() {
                        self.cut_count.fetch_add(1, Ordering::SeqCst);
                    }
                    return;
                }
                () = self.stop.cancelled(), if !closing => None,
                () = &mut changed, if !closing => None,
                () = &mut leaving, if end == Ending::Open => {
                    end = Ending::Leaving(Instant::now());
                    continue;
                }
                late = poll_fn(|cx| {
                    let (at, what) = connection.deadline(&self.settings, end);
                    if overdue.deadline() != at {
                        overdue.as_mut().reset(at);
                    }
                    overdue.as_mut().poll(cx).map(|()| what)
                }) => Some(late),
            };
            match event {
                None | Some(Overdue::Idle) => {
                    end = Ending::Closing(Instant::now());
                    http.as_mut().wind_down();
                }
                Some(what @ (Overdue::Head | Overdue::Write)) => {
                    let (door, remote) = (self.settings.name, connection.remote);
                    tracing::info!(door, %remote, ?what, "slow peer: connection closed");
                    return;
                }
                Some(Overdue::Closing) => return,
            }
        }
    }

    fn ended(&self, connection: &Connection, outcome: hyper::Result<()>) {
        if let Err(error) = outcome {
            let (door, remote) = (self.settings.name, connection.remote);
            tracing::debug!(door, %remote, %error, "connection broke off");
        }
    }

    async fn request(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Answered> {
        connection.request_begins();
        let welcome = connection.recheck();
        if !welcome {
            let (door, remote) = (self.settings.name, connection.remote);
            if let PeerState::Refused(error) = connection.peer() {
                tracing::warn!(door, %remote, %error, "peer no longer welcome");
            }
        }
        let of = Arc::clone(&connection);
        let answer = AssertUnwindSafe(async { self.service.answer(of, request).await });
        let answer = answer.catch_unwind().await;
        // Taken before it is asked whether the door is left, so that nobody slips between.
        let bound = self.leave.bind();
        let (mut response, last) = match answer {
            // Asked again: files may have changed while the answer was being made.
            Ok(response) => (response, !welcome || !connection.recheck() || self.leave.has_begun()),
            Err(_) => {
                let (door, remote) = (self.settings.name, connection.remote);
                tracing::error!(door, %remote, "a request ended in a panic");
                (self.service.after_panic(), true)
            }
        };
        if last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            connection.needs_nothing_more();
        } else {
            connection.hold(bound);
        }
        response.map(|inner| Answered { inner, connection })
    }
}

/// The HTTP library's connection.
trait Http: Future<Output = hyper::Result<()>> {
    /// Ends after the request in flight, at once where there is none.
    fn wind_down(self: Pin<&mut Self>);
}

impl<I, S> Http for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Answered>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Returns when a change of files has made the peer unwelcome.
async fn unwelcome(connection: &Connection, changes: Option<watch::Receiver<u64>>) {
    if let Some(mut changes) = changes {
        while changes.changed().await.is_ok() {
            if !connection.recheck() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// The TLS handshake on a new connection, and the generation of files that it was made with.
///
/// The answer to a hello is most of what a handshake costs. It is made in turn, and the next turn
/// comes when everything else has had one: what was begun goes before what is not.
pub(super) async fn secure<T>(
    mut stream: TcpStream,
    tls: &ServerTls,
    time: Duration,
    turn: impl Future<Output = T>,
) -> Result<(TlsStream<ReadAhead<TcpStream>>, u64), HandshakeFault> {
    let accepting = tls.accepting();
    let handshake = async {
        if let Some(reason) = not_tls(&stream).await {
            if reason == Reason::PlainHttp {
                tell_plain_http(&mut stream).await;
            }
            return Err(HandshakeFault::plain(reason));
        }
        let acceptor = tokio_rustls::TlsAcceptor::from(accepting.config);
        let mut accept = acceptor.accept(ReadAhead::new(stream));
        let turn = turn.await;
        let begun = poll_fn(|cx| Poll::Ready(Pin::new(&mut accept).poll(cx))).await;
        yield_now().await;
        drop(turn);
        let secured = match begun {
            Poll::Ready(secured) => secured,
            Poll::Pending => accept.await,
        };
        secured.map_err(|error| HandshakeFault::read(&error))
    };
    match timeout(time, handshake).await {
        Ok(outcome) => outcome.map(|stream| (stream, accepting.generation)),
        Err(_) => Err(HandshakeFault::plain(Reason::TimedOut)),
    }
}

/// What the first bytes are, when they cannot be a TLS handshake (record type 22).
async fn not_tls(stream: &TcpStream) -> Option<Reason> {
    let mut first = [0; 8];
    let came = match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Some(Reason::PeerClosed),
        Ok(came) => first.get(..came)?,
    };
    let methods = ["GET ", "POST ", "PUT ", "HEAD ", "OPTIONS ", "DELETE ", "PATCH ", "TRACE "];
    match came.first() {
        Some(22) => None,
        _ if methods.iter().any(|method| {
            method.as_bytes().starts_with(came) || came.starts_with(method.as_bytes())
        }) =>
        {
            Some(Reason::PlainHttp)
        }
        _ => Some(Reason::NotTls),
    }
}

/// Tells a person with a plain client what is the matter.
async fn tell_plain_http(stream: &mut TcpStream) {
    const TEXT: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
        Content-Length: 38\r\nConnection: close\r\n\r\nThis port speaks HTTPS only (RIV TA).\n";
    // What was sent is taken out first: closing over unread bytes would throw the answer away.
    let mut sink = [0; 4096];
    let told = match stream.try_read(&mut sink) {
        Ok(_) => stream.write_all(TEXT.as_bytes()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "a plain HTTP caller was not told");
    }
}

/// One log line on the same thing each [`limits::LOG_EVERY`].
#[derive(Debug, Default)]
struct Seldom {
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// How many times it was not said since the last time; `None`: do not say it now either.
    fn say(&mut self) -> Option<u64> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now < last + limits::LOG_EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}
