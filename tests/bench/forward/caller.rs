//! A consumer: mutual TLS, one SOAP call after the other, on kept or on new connections.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klagomal::clock::SystemClock;
use klagomal::tls::{ClientTls, Settings};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A call that takes longer than this has failed, and the measurement with it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message of one size, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Envelope {
    pub name: &'static str,
    path: &'static str,
    address: &'static str,
    bytes: usize,
}

/// What is done in one measurement.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub envelope: Envelope,
    /// One connection for all calls of one caller; otherwise a new one for each.
    pub kept: bool,
    pub time: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Driven {
    /// Of every call, in the order of their size.
    latencies: Vec<Duration>,
    pub took: Duration,
}

/// Shows a certificate, and verifies the other side's. Nothing is resumed: every handshake is whole.
pub(super) struct Caller {
    tls: TlsConnector,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TlsStream<TcpStream>,
    read: Vec<u8>,
}

impl Envelope {
    pub(super) fn small() -> Self {
        Self { name: "4 KB", path: "/4", address: "SE0000000000-LITEN", bytes: 4 * 1024 }
    }

    pub(super) fn large() -> Self {
        Self { name: "64 KB", path: "/64", address: "SE0000000000-STOR", bytes: 64 * 1024 }
    }

    /// The whole call as it goes over the wire.
    fn call(&self, kept: bool) -> Vec<u8> {
        let contract = "urn:riv:exempel:matning:GetDocumentsResponder:1";
        let before = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:add=\"urn:riv:itintegration:registry:1\" xmlns:m=\"{contract}\">\
             <soapenv:Header><add:LogicalAddress>{}</add:LogicalAddress></soapenv:Header>\
             <soapenv:Body><m:GetDocuments>",
            self.address
        );
        let after = "</m:GetDocuments></soapenv:Body></soapenv:Envelope>";
        let row = "<m:row code=\"1\">Påhittad text, en rad av många.</m:row>\n";
        let room = self.bytes - before.len() - after.len();
        let mut body = before + &row.repeat(room / row.len());
        body.push_str(&" ".repeat(self.bytes - body.len() - after.len()));
        body.push_str(after);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=utf-8\r\n\
             SOAPAction: \"{contract}:GetDocuments\"\r\n\
             x-skltp-correlation-id: 0d5cb0a4-3c58-4d36-9b0a-3a0d2f1b7c11\r\n\
             {}Content-Length: {}\r\n\r\n",
            self.path,
            if kept { "" } else { "Connection: close\r\n" },
            body.len()
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }
}

impl Caller {
    pub(super) fn new(certs: &Path) -> Self {
        klagomal::tls::install_provider();
        let file = |name: &str| certs.join(name);
        let settings = Settings::new(&file("region.crt"), &file("region.key"), &[file("ca.crt")]);
        let tls = ClientTls::new(settings, Arc::new(SystemClock)).expect("the certificates");
        Self { tls: TlsConnector::from(tls.config()) }
    }

    async fn connect(&self, to: SocketAddr) -> Connection {
        let stream = TcpStream::connect(to).await.expect("the proxy listens");
        stream.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.tls.connect(name, stream).await.expect("the handshake");
        Connection { stream, read: Vec::new() }
    }

    /// What the two sides agree on: the same for all, or nothing is compared.
    pub(super) async fn agreed(&self, to: SocketAddr) -> String {
        let connection = self.connect(to).await;
        let tls = connection.stream.get_ref().1;
        let key = tls.negotiated_key_exchange_group().map(|it| format!("{:?}", it.name()));
        format!(
            "{:?} {:?} {} handshake {:?}",
            tls.protocol_version().unwrap(),
            tls.negotiated_cipher_suite().unwrap().suite(),
            key.unwrap_or_default(),
            tls.handshake_kind().unwrap()
        )
    }

    /// `count` connections on each of which one call was made.
    pub(super) async fn open(
        &self,
        to: SocketAddr,
        count: usize,
        envelope: &Envelope,
    ) -> Vec<Connection> {
        let call = envelope.call(true);
        let mut opened = Vec::with_capacity(count);
        for _ in 0..count {
            let mut connection = self.connect(to).await;
            connection.exchange(&call, envelope.bytes).await;
            opened.push(connection);
        }
        opened
    }

    /// Calls on `connections` at once until the time is over.
    pub(super) async fn drive(
        &self,
        to: SocketAddr,
        connections: usize,
        course: &Course,
    ) -> Driven {
        let call: Rc<[u8]> = course.envelope.call(course.kept).into();
        let (kept, bytes) = (course.kept, course.envelope.bytes);
        let begun = Instant::now();
        let end = begun + course.time;
        let mut callers = JoinSet::new();
        let local = tokio::task::LocalSet::new();
        for _ in 0..connections {
            let (call, caller) = (Rc::clone(&call), Self { tls: self.tls.clone() });
            callers.spawn_local_on(
                async move {
                    let mut latencies = Vec::new();
                    let mut connection = None;
                    while Instant::now() < end {
                        let start = Instant::now();
                        let mut open = match connection.take() {
                            Some(open) => open,
                            None => caller.connect(to).await,
                        };
                        let done =
                            tokio::time::timeout(PATIENCE, open.exchange(&call, bytes)).await;
                        done.expect("an answer in time");
                        latencies.push(start.elapsed());
                        connection = kept.then_some(open);
                    }
                    latencies
                },
                &local,
            );
        }
        let each = local.run_until(callers.join_all()).await;
        let mut latencies: Vec<Duration> = each.into_iter().flatten().collect();
        latencies.sort();
        Driven { latencies, took: begun.elapsed() }
    }
}

impl Connection {
    /// One call; its answer must be 200 and have `bytes` bytes.
    async fn exchange(&mut self, call: &[u8], bytes: usize) {
        self.stream.write_all(call).await.expect("the call is taken");
        self.stream.flush().await.expect("the call is taken");
        self.read.clear();
        let mut whole = usize::MAX;
        while self.read.len() < whole {
            self.read.reserve(32 * 1024);
            let came = self.stream.read_buf(&mut self.read).await.expect("an answer");
            assert!(came > 0, "the proxy closed before the answer");
            if whole == usize::MAX
                && let Some(end) = self.read.windows(4).position(|it| it == b"\r\n\r\n")
            {
                let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
                assert!(head.starts_with("http/1.1 200"), "{head}");
                assert!(head.contains(&format!("content-length: {bytes}")), "{head}");
                whole = end + 4 + bytes;
            }
        }
    }
}

impl Driven {
    pub(super) fn calls(&self) -> usize {
        self.latencies.len()
    }

    /// Microseconds that so large a part of the calls took at most.
    pub(super) fn quantile(&self, part: f64) -> f64 {
        let at = (self.latencies.len() - 1) as f64 * part;
        self.latencies[at as usize].as_secs_f64() * 1e6
    }
}
