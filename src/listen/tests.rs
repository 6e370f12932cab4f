//! The door over real sockets: who gets in, what is refused, and how it ends.

mod http;
mod leave;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::tls::ServerTls;
use crate::tls::tests::Certificates;

const PATIENCE: Duration = Duration::from_millis(200);

/// Answers by path; tells who called.
#[derive(Debug, Default)]
struct Echo {
    /// `/wait` answers when this is told.
    go: Notify,
    /// `/pass-on` answers when this is told.
    passed: Notify,
    waiting: AtomicUsize,
    finished: AtomicBool,
    full: AtomicBool,
    work: TaskTracker,
}

struct Shared(Arc<Echo>);

impl Service for Shared {
    fn has_room(&self) -> bool {
        !self.0.full.load(Ordering::SeqCst)
    }

    async fn answer(
        &self,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let echo = Arc::clone(&self.0);
        match request.uri().path() {
            "/wait" => {
                echo.waiting.fetch_add(1, Ordering::SeqCst);
                echo.go.notified().await;
            }
            "/pass-on" => {
                connection.needs_nothing_more();
                echo.waiting.fetch_add(1, Ordering::SeqCst);
                echo.passed.notified().await;
            }
            "/finish" => {
                let inner = Arc::clone(&echo);
                let work = async move {
                    inner.waiting.fetch_add(1, Ordering::SeqCst);
                    inner.go.notified().await;
                    inner.finished.store(true, Ordering::SeqCst);
                };
                finish(&echo.work, work).await.unwrap();
            }
            "/panic" => panic!("on purpose"),
            "/large" => return Response::new(full(vec![b'x'; 8 * 1024 * 1024])),
            "/body" => return Response::new(full(read(request.into_body()).await)),
            "/pass" => {
                let body =
                    TimedBody::with_patience(request.into_body(), 1000, Duration::from_millis(200));
                return Response::new(full(match body.collect().await {
                    Ok(body) => format!("{} bytes", body.to_bytes().len()),
                    Err(error) => error.to_string(),
                }));
            }
            _ => {}
        }
        Response::new(full(match connection.peer() {
            PeerState::Plain => "plain".to_owned(),
            PeerState::Anonymous => "anonymous".to_owned(),
            PeerState::Known(peer) => format!("known {}", peer.hsa_id),
            PeerState::Refused(error) => format!("refused: {error}"),
        }))
    }
}

async fn read(mut body: Incoming) -> String {
    let mut left = 1000;
    let mut size = 0;
    loop {
        match next_chunk_within(&mut body, &mut left, PATIENCE).await {
            Ok(Some(chunk)) => size += chunk.len(),
            Ok(None) => return format!("{size} bytes"),
            Err(error) => return error.to_string(),
        }
    }
}

/// A door that is open.
struct Open {
    address: SocketAddr,
    echo: Arc<Echo>,
    tls: Option<Arc<ServerTls>>,
    stop: CancellationToken,
    leave: Leave,
    done: JoinHandle<Stopped>,
}

impl Open {
    async fn new(tls: Option<Arc<ServerTls>>, settings: Settings) -> Self {
        let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (echo, stop) = (Arc::<Echo>::default(), CancellationToken::new());
        let (service, leave) = (Shared(Arc::clone(&echo)), Leave::default());
        let end = (stop.clone(), leave.clone());
        let serving = serve_until_left(listener, tls.clone(), settings, service, end.0, end.1);
        let done = tokio::spawn(serving);
        Self { address, echo, tls, stop, leave, done }
    }

    async fn plain(settings: Settings) -> Self {
        Self::new(None, settings).await
    }

    async fn secure(made: &Certificates, settings: Settings) -> Self {
        Self::new(Some(made.server(made.settings())), settings).await
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn waiting(&self, count: usize) {
        until(|| self.echo.waiting.load(Ordering::SeqCst) == count).await;
    }

    async fn stopped(self) -> Stopped {
        self.stop.cancel();
        self.done.await.unwrap()
    }
}

async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
}

/// Connects as `name`; an error is what the caller saw of a refusal in the handshake.
async fn connect(
    open: &Open,
    config: rustls::ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_kept(open, &Arc::new(config)).await
}

async fn connect_kept(
    open: &Open,
    config: &Arc<rustls::ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
    connector.connect("localhost".try_into().unwrap(), open.tcp().await).await
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

async fn send(stream: &mut impl Stream, path: &str) -> std::io::Result<()> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await
}

/// One answer: its head in lower case, and its body.
async fn receive(stream: &mut impl Stream) -> std::io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let size = head
        .split("content-length: ")
        .nth(1)
        .map_or(0, |rest| rest.lines().next().unwrap().parse::<usize>().unwrap());
    let mut body = vec![0; size];
    stream.read_exact(&mut body).await?;
    Ok((head, String::from_utf8(body).unwrap()))
}

async fn ask(stream: &mut impl Stream, path: &str) -> std::io::Result<(String, String)> {
    send(stream, path).await?;
    receive(stream).await
}

/// Whether the other side closes within `most`, saying nothing more.
async fn closes(stream: &mut impl Stream, most: Duration) -> bool {
    let mut rest = [0; 64];
    match tokio::time::timeout(most, stream.read(&mut rest)).await {
        Ok(Ok(read)) => read == 0,
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}
