//! Stand-ins for those whom the gateway calls: each message is kept, each answer is the test's own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http::{chain, key, roots};
use super::tree::Node;

/// A call that came.
#[derive(Debug, Clone)]
pub struct Call {
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What a stand-in does with a call.
#[derive(Debug, Clone)]
pub enum Act {
    Answer(u16, String),
    /// Hangs up without a word, the message read.
    HangUp,
}

/// A server that shows the certificate `name` and asks for one of the same authority.
#[derive(Debug)]
pub struct Peer {
    pub address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    stop: Arc<AtomicBool>,
}

type Act1 = dyn Fn(&Call) -> Act + Send + Sync;

impl Peer {
    pub fn start(
        certs: &Path,
        name: &str,
        act: impl Fn(&Call) -> Act + Send + Sync + 'static,
    ) -> Self {
        let verifier = WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots(&certs.join("ca.crt"))),
            klagomal::tls::provider(),
        );
        let config = ServerConfig::builder_with_provider(klagomal::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                chain(&certs.join(format!("{name}.crt"))),
                key(&certs.join(format!("{name}.key"))),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, stop) = (Arc::<Mutex<Vec<Call>>>::default(), Arc::<AtomicBool>::default());
        let (kept, stopped) = (Arc::clone(&calls), Arc::clone(&stop));
        let act: Arc<Act1> = Arc::new(act);
        let config = Arc::new(config);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (config, kept, act) =
                    (Arc::clone(&config), Arc::clone(&kept), Arc::clone(&act));
                if let Ok(stream) = stream {
                    // A caller that breaks off is an event like another.
                    std::thread::spawn(move || serve(stream, config, &kept, &*act));
                }
            }
        });
        Self { address, calls, stop }
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

    /// Whether the body names this.
    pub fn says(&self, what: &str) -> bool {
        super::http::find(&self.body, what.as_bytes()).is_some()
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    kept: &Mutex<Vec<Call>>,
    act: &Act1,
) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.set_nodelay(true)?;
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut reader = BufReader::with_capacity(64 * 1024, StreamOwned::new(tls, stream));
    while let Some(call) = read_call(&mut reader)? {
        let what = act(&call);
        kept.lock().unwrap().push(call);
        match what {
            Act::HangUp => return Ok(()),
            Act::Answer(status, body) => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: text/xml; charset=utf-8\r\n\
                     Content-Length: {}\r\n\r\n",
                    body.len()
                );
                let out = reader.get_mut();
                out.write_all(head.as_bytes())?;
                out.write_all(body.as_bytes())?;
                out.flush()?;
            }
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
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Call { headers, body }))
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
