//! A door: TLS (or not), HTTP/1.1, bounds on everything, and an end that cuts nobody short.
//!
//! A door takes connections, finds out who is at the other end, and hands each request with its
//! [`Connection`] to a [`Service`]. What the service needs to know of it:
//!
//! * **The caller may hang up.** The future that answers a request is then dropped where it stands.
//!   Work that must be finished once begun runs in [`finish`].
//! * **The peer may have become unwelcome** on a kept-alive connection: [`Connection::peer`] tells
//!   by [`PeerState::Refused`], and the connection ends after the answer. The service refuses the
//!   call; the door does not, as the refusal has a form of its own (VP002).
//! * **A panic** in the service is caught and logged, and [`Service::after_panic`] answers.
//! * **A body** is read with [`next_chunk`] or [`TimedBody`]; both end on a sender that stalls and
//!   on more bytes than agreed.

mod body;
mod connection;
mod io;
mod leave;
mod serve;
mod shares;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::task::TaskTracker;

use crate::limits;
use crate::telemetry::metrics::DoorMetrics;

pub use body::{BodyError, Pace, TimedBody, next_chunk, next_chunk_within};
pub use connection::{Connection, PeerState};
pub use leave::Leave;
pub use serve::{Stopped, serve, serve_until_left};

/// What can go wrong while a body is being sent.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, BoxError>;

/// A body that is at hand.
#[must_use]
pub fn full(content: impl Into<Bytes>) -> Body {
    let body = http_body_util::Full::new(content.into());
    UnsyncBoxBody::new(body.map_err(|never| match never {}))
}

/// No body.
#[must_use]
pub fn empty() -> Body {
    full(Bytes::new())
}

/// What answers the requests of a door.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. Dropped where it stands if the caller hangs up; see [`finish`].
    fn answer(
        &self,
        connection: std::sync::Arc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Whether somebody new would be served. While not, few are let in: a handshake is the dearest
    /// part of a call, and those who are in go first.
    fn has_room(&self) -> bool {
        true
    }

    /// What a caller is told when [`Service::answer`] panicked. The connection ends after it.
    fn after_panic(&self) -> Response<Body> {
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

impl<F, A> Service for F
where
    F: Fn(std::sync::Arc<Connection>, Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send,
{
    fn answer(
        &self,
        connection: std::sync::Arc<Connection>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
        self(connection, request)
    }
}

/// The bounds of a door.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What it is called in the log.
    pub name: &'static str,
    /// Open connections; one more is closed at once.
    pub connections_max: usize,
    /// Connections in their TLS handshake; one more is closed at once.
    pub handshakes_max: usize,
    /// For the TLS handshake.
    pub handshake_time: Duration,
    /// From the first byte of a request to the end of its head.
    pub header_time: Duration,
    /// How long a connection is kept without a request.
    pub idle_time: Duration,
    /// How long a peer may take nothing of what is written to it.
    pub write_time: Duration,
    /// How long a stop waits for requests in flight.
    pub stop_time: Duration,
    /// Where its connections are counted.
    pub metrics: DoorMetrics,
    /// How quiet a connection must be before it is closed when the door is left to another process.
    pub quiet_time: Duration,
}

impl Settings {
    /// The bounds of [`limits`].
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            connections_max: limits::CONNECTIONS_MAX,
            handshakes_max: limits::HANDSHAKES_MAX,
            handshake_time: limits::HANDSHAKE_TIME_MAX,
            header_time: limits::HEADER_TIME_MAX,
            idle_time: limits::KEEP_ALIVE_TIME_MAX,
            write_time: limits::WRITE_IDLE_TIME_MAX,
            stop_time: limits::STOP_TIME_MAX,
            metrics: DoorMetrics::default(),
            quiet_time: limits::LEAVE_QUIET_TIME,
        }
    }
}

/// Why a door could not open.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: is another program there, or is the port below 1024?")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: std::io::Error,
}

impl BindError {
    /// The address at which a door could not open, and what the system said.
    #[must_use]
    pub const fn new(address: SocketAddr, source: std::io::Error) -> Self {
        Self { address, source }
    }
}

/// Opens a listening socket; port 0 takes a free one, and the address that came of it is returned.
///
/// # Errors
/// When the address is taken or not allowed.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::new(address, source);
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port whose last connections are still ending is no other program's.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(limits::LISTEN_BACKLOG)
    };
    let listener = open().map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}

/// Runs `work` to its end as a task of its own, even if the one who waits for it is dropped (the
/// caller hung up), and gives its outcome to the one who still waits. `tracker` is what a stop
/// waits for.
///
/// # Errors
/// When `work` panicked, or the runtime is shutting down.
pub async fn finish<F>(tracker: &TaskTracker, work: F) -> Result<F::Output, tokio::task::JoinError>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Dropping the handle of a task leaves the task running.
    tracker.spawn(work).await
}
