//! Calls that are passed on while their caller waits: kept connections, and bodies that stream.
//!
//! What is promised of a call:
//!
//! * **Sent once.** A call that finds its kept connection closed is moved to another only while the
//!   HTTP library still has the whole of it: nothing of it has been written.
//! * **Connecting is tried twice**, with [`Settings::retry_wait`] between, as nothing is sent yet.
//! * **A hung producer costs its own callers only**: at most [`Settings::calls_max`] calls to one
//!   host and port, beyond which the answer is [`Trouble::Full`] at once.
//! * **Time is the producer's own** ([`Patience`]): it does not run while the caller sends or reads.

mod address;
mod answer;
mod kept;
mod patience;
mod trouble;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::limits;
use crate::listen::Body;
use crate::tls::ReadAhead;

pub use address::{Address, AddressError};
pub use answer::Answer;
pub use patience::Patience;
pub use trouble::Trouble;

use address::Origin;
use kept::Kept;

/// The bounds of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Calls in progress to one producer.
    pub calls_max: usize,
    /// Finding the host and connecting to it.
    pub connect_time: Duration,
    /// The TLS handshake.
    pub handshake_time: Duration,
    /// The wait before connecting once more.
    pub retry_wait: Duration,
    /// How long a connection is kept unused.
    pub idle_time: Duration,
}

impl Default for Settings {
    /// The bounds of [`limits`].
    fn default() -> Self {
        Self {
            calls_max: limits::PRODUCER_CALLS_MAX,
            connect_time: limits::PRODUCER_CONNECT_TIME_MAX,
            handshake_time: limits::PRODUCER_HANDSHAKE_TIME_MAX,
            retry_wait: limits::PRODUCER_RETRY_WAIT,
            idle_time: limits::PRODUCER_IDLE_TIME_MAX,
        }
    }
}

/// The connections that are made under one identity. Drop it to close those that are unused.
pub struct Pool {
    tls: Option<TlsConnector>,
    settings: Settings,
    producers: Mutex<BTreeMap<Origin, Arc<Kept>>>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Pool {
    /// Connects over mutual TLS as `tls` says, and to `http` addresses in the clear. Without `tls`,
    /// an `https` address is refused.
    #[must_use]
    pub fn new(tls: Option<Arc<ClientConfig>>, settings: Settings) -> Self {
        Self { tls: tls.map(TlsConnector::from), settings, producers: Mutex::default() }
    }

    /// Makes one call. Ends when the head of an answer is here; the body then streams.
    ///
    /// # Errors
    /// When there was no answer, or not within `patience`.
    pub async fn call(
        &self,
        address: &Address,
        request: Request<Body>,
        patience: &Arc<Patience>,
    ) -> Result<Response<Answer>, Trouble> {
        let kept = self.producer(address);
        let place = kept.enter().ok_or(Trouble::Full)?;
        let exchange = self.exchange(address, &kept, request);
        let (response, sender) = tokio::select! {
            biased;
            done = exchange => done?,
            () = patience.out() => return Err(Trouble::Timeout),
        };
        kept.take_back(sender);
        let patience = Arc::clone(patience);
        Ok(response.map(|body| Answer::new(body, patience, place)))
    }

    fn producer(&self, address: &Address) -> Arc<Kept> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = producers.get(&address.origin) {
            return Arc::clone(found);
        }
        let made = Kept::new(&self.settings);
        producers.insert(address.origin.clone(), Arc::clone(&made));
        made
    }

    async fn exchange(
        &self,
        address: &Address,
        kept: &Kept,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, SendRequest<Body>), Trouble> {
        while let Some(mut sender) = kept.take() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut error) => match error.take_message() {
                    // Closed while it was unused: nothing of the call has been written.
                    Some(unsent) => request = unsent,
                    None => return Err(Trouble::lost(error.into_error())),
                },
            }
        }
        let mut sender = self.connect(&address.origin).await?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(error) => Err(Trouble::lost(error.into_error())),
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<SendRequest<Body>, Trouble> {
        let stream = match self.reach(origin).await {
            Ok(stream) => stream,
            Err(Trouble::Connect(_)) => {
                sleep(self.settings.retry_wait).await;
                self.reach(origin).await?
            }
            Err(other) => return Err(other),
        };
        // Small messages go out at once; where the socket cannot, they go out later.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        if !origin.https {
            return speak(stream).await;
        }
        let tls = self.tls.as_ref().ok_or(Trouble::NoTls)?;
        let name = ServerName::try_from(origin.host.clone())
            .map_err(|_| Trouble::Tls("the address has no host name that TLS can verify".into()))?;
        let stream = ReadAhead::new(stream);
        match timeout(self.settings.handshake_time, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => speak(stream).await,
            Ok(Err(error)) => Err(Trouble::handshake(&error)),
            Err(_) => Err(Trouble::Tls(format!(
                "the producer did not finish the TLS handshake in {} s",
                self.settings.handshake_time.as_secs()
            ))),
        }
    }

    async fn reach(&self, origin: &Origin) -> Result<TcpStream, Trouble> {
        let reaching = TcpStream::connect((origin.host.as_str(), origin.port));
        match timeout(self.settings.connect_time, reaching).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Trouble::Connect(error)),
            Err(_) => Err(Trouble::Connect(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

/// HTTP/1.1 on a new connection, which is driven by a task of its own until it ends.
async fn speak<S>(stream: S) -> Result<SendRequest<Body>, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_headers(limits::HTTP_HEADERS_MAX)
        .max_header_size(limits::HTTP_HEAD_BYTES_MAX)
        .max_buf_size(limits::HTTP_BUFFER_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Trouble::lost)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a producer broke off");
        }
    });
    Ok(sender)
}
