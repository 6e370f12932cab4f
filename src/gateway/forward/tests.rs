//! The forward path whole: callers over mutual TLS, the gateway's door, producers of every kind.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::cases::Cases;
use crate::cases::fold::CaseFold;
use crate::gateway::Gateway;
use crate::listen;
use crate::outbound;
use crate::routing::Current;
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, Settings as StoreSettings};
use crate::tls::tests::Certificates;
use crate::tls::{ClientTls, ServerTls};

mod answers;
mod bodies;
mod calls;

const MS: Duration = Duration::from_millis(1);

/// A gateway with routes to producers of a test's own.
struct World {
    made: Certificates,
    door: std::net::SocketAddr,
    stop: CancellationToken,
    pool: Arc<Single>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// One pool for everybody.
#[derive(Debug)]
struct Single(Arc<Pool>);

impl Pools for Single {
    fn pool(&self, _: Option<&System>) -> Result<Arc<Pool>, String> {
        Ok(Arc::clone(&self.0))
    }
}

fn bounds() -> outbound::Settings {
    outbound::Settings {
        calls_max: 2,
        connect_time: 2000 * MS,
        retry_wait: 200 * MS,
        ..outbound::Settings::default()
    }
}

/// What stands in the routing folder: the contract `urn:c:1` at SE1 in 2.1, SE0 in 2.0.
fn tak(url: &str, original: bool) -> String {
    let mut text = format!(
        "[platform]\nhsa_id = \"SE0000000000-GATEWAY\"\ninstance = \"klagomal-test\"\n\
         inkorg = \"inkorg\"\nportal = \"SE0000000000-1177\"\n\
         [[system]]\nid = \"inkorg\"\nhsa_id = \"SE0000000000-INKORG\"\nname = \"1177 Inkorg\"\n\
         url = \"https://localhost:1/\"\ndelivery = \"queued\"\n\
         [[system]]\nid = \"producer\"\nhsa_id = \"SE0000000000-PRODUCER\"\nname = \"P\"\n\
         url = \"{url}\"\ntimeout = \"1s\"\n\
         [[system]]\nhsa_id = \"SE0000000000-1177\"\nname = \"1177\"\noriginal_consumer = {original}\n"
    );
    for (address, profile) in [("SE1", "rivtabp21"), ("SE0", "rivtabp20")] {
        text.push_str(&format!(
            "[[route]]\ncontract = \"urn:c:1\"\nlogical_address = \"{address}\"\n\
             system = \"producer\"\nprofile = \"{profile}\"\n"
        ));
    }
    // Addresses of two parts are not permitted by `*`.
    for (consumer, address) in
        [("SE0000000000-REGION", "*"), ("SE0000000000-REGION", "SE1"), ("SE0000000000-1177", "*")]
    {
        text.push_str(&format!(
            "[[permission]]\nconsumer = \"{consumer}\"\ncontract = \"urn:c:1\"\n\
             logical_address = \"{address}\"\n"
        ));
    }
    text
}

fn patient(tak: &str) -> String {
    tak.replace("timeout = \"1s\"", "timeout = \"30s\"")
}

impl World {
    async fn new(url: &str) -> Self {
        Self::with(Certificates::make(), &tak(url, false), bounds()).await
    }

    /// The same with producers that have half a minute, where it is not their time that is tested.
    async fn patient(url: &str) -> Self {
        Self::with(Certificates::make(), &patient(&tak(url, false)), bounds()).await
    }

    async fn with(made: Certificates, tak: &str, bounds: outbound::Settings) -> Self {
        let folder = made.path("tak");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("all.toml"), tak).unwrap();
        let lists = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tak-config/code-lists");
        std::fs::create_dir(folder.join("code-lists")).unwrap();
        for list in std::fs::read_dir(lists).unwrap() {
            let list = list.unwrap();
            std::fs::copy(list.path(), folder.join("code-lists").join(list.file_name())).unwrap();
        }
        let (routing, ..) = Current::open(&folder, made.now()).unwrap();
        let clock: Arc<dyn crate::clock::Clock> = Arc::new(made.clock.clone());
        let store = made.path("store");
        let settings = StoreSettings::new(&store);
        let (engine, _) = Engine::open(&settings, CaseFold::default(), Arc::clone(&clock)).unwrap();
        let blobs = Blobs::new(&store.join("attachments")).unwrap();
        let own = routing.get().table.platform().hsa_id.clone();
        let cases = Cases::new(engine, blobs, Arc::clone(&clock), own, "test".to_owned());
        let client = ClientTls::new(made.settings(), clock).unwrap();
        let pool = Arc::new(Single(Arc::new(Pool::new(Some(client.config()), bounds))));
        let limits = crate::config::Limits {
            message_bytes: 100 * 1024 * 1024,
            calls_in_flight: 4,
            connections: 100,
            consumer_rate: None,
        };
        let gateway = Gateway::new(cases, routing, Arc::clone(&pool) as _, None, &limits);
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, door) = listen::bind(any).await.unwrap();
        let tls = made.server(made.settings());
        let stop = CancellationToken::new();
        let settings = listen::Settings::new("https");
        tokio::spawn(listen::serve(listener, Some(tls), settings, gateway, stop.clone()));
        Self { made, door, stop, pool }
    }

    async fn connect(&self, caller: &str) -> TlsStream<TcpStream> {
        let config = self.made.caller(caller, &rustls::version::TLS13);
        let stream = TcpStream::connect(self.door).await.unwrap();
        let name = "localhost".try_into().unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// One call by `region`, with these header lines, on a connection of its own.
    async fn call(&self, headers: &str, body: &[u8]) -> Seen {
        self.call_by("region", headers, body).await
    }

    async fn call_by(&self, caller: &str, headers: &str, body: &[u8]) -> Seen {
        let mut stream = self.connect(caller).await;
        let head = format!(
            "POST /vp/any HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        answer(&mut stream).await.expect("an answer")
    }
}

/// One message as it was seen on the wire.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// The head in lower case, but for values.
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The platform's code, and the detail.
    fn fault(&self) -> (String, String) {
        assert_eq!(self.status(), "500", "{}", self.head);
        assert_eq!(self.header("content-type"), Some("text/xml; charset=UTF-8"));
        let text = self.text();
        let between = |a: &str, b: &str| {
            text.split_once(a).and_then(|(_, it)| it.split_once(b)).unwrap_or_default().0.to_owned()
        };
        let code: String = between("<faultstring>", " ");
        (code, between("<detailString>", "</detailString>"))
    }
}

/// Reads one message, request or answer; `None` where it does not come whole.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let mut seen = Seen { head: String::from_utf8(head).unwrap(), body: Vec::new() };
    if let Some(length) = seen.header("content-length") {
        let length: usize = length.parse().unwrap();
        seen.body = vec![0; length];
        stream.read_exact(&mut seen.body).await.ok()?;
    } else if seen.header("transfer-encoding").is_some() {
        loop {
            let mut size = Vec::new();
            while !size.ends_with(b"\r\n") {
                size.push(stream.read_u8().await.ok()?);
            }
            let size = std::str::from_utf8(&size).unwrap().trim();
            let size = usize::from_str_radix(size, 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            if size == 0 {
                break;
            }
            chunk.truncate(size);
            seen.body.extend(chunk);
        }
    }
    Some(seen)
}

/// A producer of the test's own on a free port, in the clear.
struct Producer {
    url: String,
    /// What came, in order.
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Producer {
    fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("a call")
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Answers every request with `answer`, on connections that it keeps.
async fn producer(answer: impl Into<Vec<u8>>) -> Producer {
    let (listener, port) = listener().await;
    producer_on(listener, format!("http://localhost:{port}/p?x=1"), None, answer.into())
}

fn producer_on(
    listener: TcpListener,
    url: String,
    tls: Option<TlsAcceptor>,
    answer: Vec<u8>,
) -> Producer {
    let (seen, connections) = (Arc::<Mutex<Vec<Seen>>>::default(), Arc::new(AtomicUsize::new(0)));
    let (kept, count) = (Arc::clone(&seen), Arc::clone(&connections));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let (kept, answer, tls) = (Arc::clone(&kept), answer.clone(), tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => respond(stream, &kept, &answer).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            respond(stream, &kept, &answer).await;
                        }
                    }
                }
            });
        }
    });
    Producer { url, seen, connections }
}

async fn respond<S>(mut stream: S, kept: &Mutex<Vec<Seen>>, with: &[u8])
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(seen) = answer(&mut stream).await {
        kept.lock().unwrap().push(seen);
        stream.write_all(with).await.unwrap();
        stream.flush().await.unwrap();
        // One whose answer says so closes.
        if with.windows(17).any(|it| it == b"Connection: close") {
            return stream.shutdown().await.unwrap_or_default();
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

fn ok() -> String {
    http("200 OK", "", &format!("<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body/></s:Envelope>"))
}

/// A message to `address` in 2.1.
fn message(address: &str, content: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{ENVELOPE}\" \
         xmlns:a=\"urn:riv:itintegration:registry:1\"><s:Header><a:LogicalAddress>{address}\
         </a:LogicalAddress></s:Header><s:Body><c:Do xmlns:c=\"urn:c:1\">{content}</c:Do></s:Body>\
         </s:Envelope>"
    )
}

/// The same in 2.0.
fn message_20(address: &str, content: &str) -> String {
    message(address, content)
        .replace("urn:riv:itintegration:registry:1", "http://www.w3.org/2005/08/addressing")
        .replace("a:LogicalAddress", "a:To")
}
