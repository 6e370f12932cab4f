//! Stand-ins for those whom the gateway calls: each message is kept, each answer is the test's own.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::http::{BOTH, chain, key, roots};
use super::tree::Node;

/// A call that came.
#[derive(Debug, Clone)]
pub struct Call {
    /// Method and target.
    pub first: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Of the certificate that was shown.
    pub caller: Option<Vec<u8>>,
}

/// What a stand-in does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    Answer(u16, String),
    /// These very bytes; then the connection is kept, or ended.
    Bytes {
        bytes: Vec<u8>,
        keep: bool,
    },
    /// Hangs up without a word, the message read.
    HangUp,
}

/// A server that shows the certificate `name` and asks for one of the same authority.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Arc<AtomicBool>,
    line: Arc<Line>,
}

/// The connections to a stand-in.
#[derive(Debug, Default)]
struct Line {
    down: AtomicBool,
    open: Mutex<BTreeMap<usize, TcpStream>>,
    count: AtomicUsize,
}

impl Line {
    fn hold(&self, stream: &TcpStream) -> usize {
        let number = self.count.fetch_add(1, Ordering::SeqCst);
        self.open.lock().unwrap().extend(stream.try_clone().map(|it| (number, it)));
        number
    }

    /// Also for the caller: what is held here would keep it open.
    fn ends(&self, number: usize) {
        if let Some(stream) = self.open.lock().unwrap().remove(&number) {
            // The caller may have ended it.
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

type Act1 = dyn Fn(&Call) -> Act + Send + Sync;

impl Peer {
    pub fn start(
        certs: &Path,
        name: &str,
        act: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::with(certs, name, BOTH, act)
    }

    /// One that speaks no other version of TLS.
    pub fn with(
        certs: &Path,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        act: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Self {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots(&certs.join("ca.crt"))),
            klagomal::tls::provider(),
        );
        let config = ServerConfig::builder_with_provider(klagomal::tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                chain(&certs.join(format!("{name}.crt"))),
                key(&certs.join(format!("{name}.key"))),
            )
            .unwrap();
        Self::listen(Some(Arc::new(config)), act)
    }

    /// A server in the clear.
    pub fn plain(act: impl Fn(&Call) -> Act + Send + Sync + 'static) -> Self {
        Self::listen(None, act)
    }

    fn listen(
        config: Option<Arc<ServerConfig>>,
        act: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, stop) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stopped) = (Arc::clone(&calls), Arc::clone(&stop));
        let line = Arc::<Line>::default();
        let held = Arc::clone(&line);
        let act: Arc<Act1> = Arc::new(act);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (config, kept, act) = (config.clone(), Arc::clone(&kept), Arc::clone(&act));
                if let Ok(stream) = stream {
                    if held.down.load(Ordering::SeqCst) {
                        continue;
                    }
                    let number = held.hold(&stream);
                    let held = Arc::clone(&held);
                    // A caller that breaks off is an event like another.
                    std::thread::spawn(move || {
                        let ended = open(stream, config, &kept, &*act);
                        held.ends(number);
                        ended
                    });
                }
            }
        });
        Self { address, calls, stop, line }
    }

    /// Breaks every connection off, wherever it is, and takes none until [`Peer::rises`].
    pub fn falls(&self) {
        self.line.down.store(true, Ordering::SeqCst);
        for stream in self.line.open.lock().unwrap().values() {
            // One that has ended is down already.
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }

    pub fn rises(&self) {
        self.line.down.store(false, Ordering::SeqCst);
    }

    /// Every call until now.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// How many calls there have been.
    pub fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Waits until `enough`, at most `time`.
    pub fn wait(&self, time: Duration, what: &str, enough: impl Fn(&[Call]) -> bool) {
        let start = std::time::Instant::now();
        while !enough(&self.calls.lock().unwrap()) {
            assert!(start.elapsed() < time, "{what}: not within {time:?}; {} calls", self.count());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The last accept returns.
        drop(TcpStream::connect(self.address));
    }
}

impl Call {
    /// The element in the body.
    pub fn payload(&self) -> Node {
        Node::parse(&self.body).payload().clone()
    }

    /// A header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the body names this.
    pub fn says(&self, what: &str) -> bool {
        super::http::find(&self.body, what.as_bytes()).is_some()
    }
}

fn open(
    stream: TcpStream,
    config: Option<Arc<ServerConfig>>,
    kept: &Mutex<Vec<Call>>,
    act: &Act1,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let Some(config) = config else { return serve(stream, |_| None, kept, act) };
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let caller = |it: &StreamOwned<ServerConnection, TcpStream>| {
        it.conn.peer_certificates().and_then(<[_]>::first).map(|it| it.to_vec())
    };
    serve(StreamOwned::new(tls, stream), caller, kept, act)
}

fn serve<S: Read + Write>(
    stream: S,
    caller: impl Fn(&S) -> Option<Vec<u8>>,
    kept: &Mutex<Vec<Call>>,
    act: &Act1,
) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    while let Some(mut call) = read_call(&mut reader)? {
        call.caller = caller(reader.get_ref());
        let what = act(&call);
        kept.lock().unwrap().push(call);
        let (bytes, keep) = match what {
            Act::HangUp => return Ok(()),
            Act::Bytes { bytes, keep } => (bytes, keep),
            Act::Answer(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: text/xml; charset=utf-8\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                ((head + &body).into_bytes(), true)
            }
        };
        let out = reader.get_mut();
        out.write_all(&bytes)?;
        out.flush()?;
        if !keep {
            return Ok(());
        }
    }
    Ok(())
}

fn read_call(reader: &mut impl BufRead) -> io::Result<Option<Call>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str());
    let body = if header("transfer-encoding").is_some() {
        read_chunks(reader)?
    } else {
        let length = header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        body
    };
    Ok(Some(Call { first: first.trim_end().to_owned(), headers, body, caller: None }))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// What a region's own system answers: `OK`.
pub fn region_answer(call: &Call) -> Act {
    let handling = call.says("ProcessComplaintHandlingResponder");
    let contract = if handling { "ProcessComplaintHandling" } else { "ProcessComplaint" };
    Act::Answer(
        200,
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <r:{contract}Response \
             xmlns:r=\"urn:klagomal:supportprocess:patientsafety:complaint:{contract}Responder:1\" \
             xmlns:c=\"urn:klagomal:supportprocess:patientsafety:complaint:1\"><r:result>\
             <c:resultCode>OK</c:resultCode><c:logId>1</c:logId></r:result></r:{contract}Response>\
             </e:Body></e:Envelope>"
        ),
    )
}

/// What 1177 Inkorg answers: active, and `OK`.
pub fn inbox_answer(call: &Call) -> Act {
    const PORTAL: &str = "urn:riv:infrastructure:eservicesupply:patientportal:";
    let (name, inner) = if call.says("IsActiveUserResponder") {
        ("IsActiveUser", "<r:status>true</r:status>")
    } else {
        ("AddMessageToPatientPortalInbox", "<r:resultCode>OK</r:resultCode>")
    };
    Act::Answer(
        200,
        format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <r:{name}Response xmlns:r=\"{PORTAL}{name}Responder:1\">{inner}</r:{name}Response>\
             </e:Body></e:Envelope>"
        ),
    )
}
