//! HTTP/1.1 over mutual TLS with nothing between the test and the bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::tree::Node;

/// No answer of the gateway takes longer, other than where a test waits for its own bound.
const PATIENCE: Duration = Duration::from_secs(40);

pub const BOTH: &[&SupportedProtocolVersion] = rustls::DEFAULT_VERSIONS;
pub const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// Somebody who calls: a certificate, and whom it trusts.
#[derive(Debug, Clone)]
pub struct Caller {
    pub config: Arc<ClientConfig>,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: StreamOwned<ClientConnection, TcpStream>,
    unread: Vec<u8>,
}

/// An HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub fn chain(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

pub fn key(path: &Path) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(path).unwrap()
}

pub fn roots(path: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in chain(path) {
        roots.add(root).unwrap();
    }
    roots
}

impl Caller {
    /// Shows the certificate `name` of the folder `certs`, or none.
    pub fn new(certs: &Path, name: Option<&str>) -> Self {
        Self::with(certs, name, BOTH)
    }

    pub fn with(
        certs: &Path,
        name: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let builder = ClientConfig::builder_with_provider(klagomal::tls::provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots(&certs.join("ca.crt")));
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => builder
                .with_client_auth_cert(
                    chain(&certs.join(format!("{name}.crt"))),
                    key(&certs.join(format!("{name}.key"))),
                )
                .unwrap(),
        };
        Self { config: Arc::new(config) }
    }

    pub fn connect(&self, to: SocketAddr) -> io::Result<Connection> {
        self.connect_within(to, PATIENCE)
    }

    /// As `connect`; nothing read or written waits longer than `patience`.
    pub fn connect_within(&self, to: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let tcp = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(patience))?;
        tcp.set_write_timeout(Some(patience))?;
        let name = ServerName::try_from("localhost").unwrap();
        let tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        Ok(Connection { stream: StreamOwned::new(tls, tcp), unread: Vec::new() })
    }

    /// One message on a connection of its own.
    pub fn post(&self, to: SocketAddr, message: &[u8]) -> io::Result<Answer> {
        self.connect(to)?.post(message)
    }
}

impl Connection {
    /// A SOAP call as consumers make it.
    pub fn post(&mut self, message: &[u8]) -> io::Result<Answer> {
        self.post_as("text/xml; charset=utf-8", message)
    }

    pub fn post_as(&mut self, content_type: &str, message: &[u8]) -> io::Result<Answer> {
        self.post_with(&format!("Content-Type: {content_type}\r\nSOAPAction: \"\"\r\n"), message)
    }

    /// A call with these header lines and no others.
    pub fn post_with(&mut self, headers: &str, message: &[u8]) -> io::Result<Answer> {
        let head = format!(
            "POST /vp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
            message.len()
        );
        self.send(head.as_bytes())?;
        // Who refuses a message early need not read it to its end: the answer is still to be read.
        let sent = self.send(message);
        match self.answer() {
            Ok(answer) => Ok(answer),
            Err(error) => Err(sent.err().unwrap_or(error)),
        }
    }

    /// A GET, as for a WSDL.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())?;
        self.answer()
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Completes the handshake, and hears what comes of it.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        while self.stream.conn.is_handshaking() {
            self.stream.conn.complete_io(&mut self.stream.sock)?;
        }
        Ok(())
    }

    /// What the server showed of itself; after the handshake.
    pub fn server_certificate(&self) -> Vec<u8> {
        self.stream.conn.peer_certificates().unwrap()[0].to_vec()
    }

    /// Whether the other side closes (or breaks off) without a word within `time`.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        self.stream.sock.set_read_timeout(Some(time)).unwrap();
        let mut one = [0; 1];
        let closed = match self.stream.read(&mut one) {
            Ok(read) => read == 0,
            Err(error) => {
                !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
            }
        };
        self.stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        closed
    }

    pub fn answer(&mut self) -> io::Result<Answer> {
        let broken = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at;
            }
            if self.more()? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "closed without an answer",
                ));
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..end]).into_owned();
        self.unread.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status.split(' ').nth(1).and_then(|it| it.parse().ok());
        let status = status.ok_or_else(|| broken("no status line"))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new() };
        if answer.header("transfer-encoding").is_some() {
            return Err(broken("the gateway's answers have a length"));
        }
        let length = answer.header("content-length").and_then(|it| it.parse().ok());
        let length: usize = length.ok_or_else(|| broken("no length"))?;
        while self.unread.len() < length {
            if self.more()? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer is cut off"));
            }
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    fn more(&mut self) -> io::Result<usize> {
        let mut some = [0; 16 * 1024];
        let read = self.stream.read(&mut some)?;
        self.unread.extend_from_slice(&some[..read]);
        Ok(read)
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The envelope.
    pub fn tree(&self) -> Node {
        Node::parse(&self.body)
    }

    /// resultCode, errorCode and subcode, or FAULT and the beginning of the faultstring; ANSWER for an
    /// answer without a resultCode.
    pub fn outcome(&self) -> String {
        let tree = self.tree();
        if let Some(fault) = tree.find("Fault") {
            assert_eq!(self.status, 500, "{}", self.text());
            let code = fault.value("faultcode").unwrap_or_default();
            return format!("FAULT {} {}", code, fault.value("faultstring").unwrap_or_default());
        }
        assert_eq!(self.status, 200, "{}", self.text());
        let parts = ["resultCode", "errorCode", "subcode"];
        let parts: Vec<&str> = parts.iter().filter_map(|name| tree.value(name)).collect();
        if parts.is_empty() { "ANSWER".to_owned() } else { parts.join(" ") }
    }

    pub fn value(&self, name: &str) -> Option<String> {
        self.tree().value(name).map(str::to_owned)
    }
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
