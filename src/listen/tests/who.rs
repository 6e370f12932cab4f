//! Who gets in: the certificate table, and what a reload does to connections that are open.

use std::fs;

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tokio::sync::Semaphore;

use super::*;
use crate::listen::serve::secure;
use crate::pki;
use crate::tls::tests::DAY;
use crate::tls::{Part, PeerError, Reason, Reloads as _};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const MOMENT: Duration = Duration::from_secs(3);

/// What the door makes of each certificate: the HSA-id, or why not.
const TABLE: [(&str, Result<&str, Reason>); 18] = [
    ("gateway", Ok("SE0000000000-GATEWAY")),
    ("1177", Ok("SE0000000000-1177")),
    ("inkorg", Ok("SE0000000000-INKORG")),
    ("region", Ok("SE0000000000-REGION")),
    ("obehorig", Ok("SE0000000000-OBEHORIG")),
    ("anna", Ok("SE0000000000-ANNA")),
    ("bo", Ok("SE0000000000-BO")),
    ("hsa-id-in-utf8string", Ok("SE0000000000-REGION")),
    ("lower-case-with-blanks", Ok("se0000000000-region")),
    ("p384", Ok("SE0000000000-REGION")),
    ("rsa", Ok("SE0000000000-REGION")),
    ("expired", Err(Reason::Expired)),
    ("not-yet-valid", Err(Reason::NotYetValid)),
    ("from-wrong-ca", Err(Reason::UnknownIssuer)),
    ("self-signed", Err(Reason::UnknownIssuer)),
    ("revoked", Err(Reason::Revoked)),
    ("wrong-key-usage", Err(Reason::WrongUsage)),
    ("", Err(Reason::NoCertificate)),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_is_let_in_or_refused_for_its_own_reason() {
    let made = Certificates::make();
    let tls = made.server(made.settings());
    let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    for version in VERSIONS {
        for (name, expected) in TABLE {
            let connector = tokio_rustls::TlsConnector::from(Arc::new(made.caller(name, version)));
            let caller = async {
                let tcp = TcpStream::connect(address).await?;
                let mut stream = connector.connect("localhost".try_into().unwrap(), tcp).await?;
                // TLS 1.3: the refusal comes after the caller's side of the handshake.
                stream.write_all(b"hello").await?;
                stream.read_u8().await
            };
            let door = async {
                let (stream, _) = listener.accept().await.unwrap();
                let (mut stream, _) = secure(stream, &tls, MOMENT, Semaphore::new(1).acquire())
                    .await
                    .map_err(|f| f.reason)?;
                stream.write_all(b"!").await.unwrap();
                stream.flush().await.unwrap();
                let chain = stream.get_ref().1.peer_certificates().unwrap().to_vec();
                Ok(tls.peer(&chain).unwrap().hsa_id.as_str().to_owned())
            };
            let (saw, found) = tokio::join!(caller, door);
            assert_eq!(found, expected.map(str::to_owned), "{name} {version:?}");
            assert_eq!(saw.is_ok(), expected.is_ok(), "{name} {version:?}: {saw:?}");
        }
    }
    let told: std::collections::BTreeSet<_> =
        TABLE.iter().filter_map(|(_, told)| told.err()).map(|one| one.to_string()).collect();
    assert_eq!(told.len(), 6, "each reason has a sentence of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_nobody_is_let_in_to_be_told_so() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    for (name, told) in [("no-hsa-id", "no attribute 2.5.4.5"), ("two-hsa-ids", "more than once")] {
        let mut stream = connect(&open, made.caller(name, &TLS13)).await.unwrap();
        for _ in 0..2 {
            let (_, body) = ask(&mut stream, "/").await.unwrap();
            assert!(body.starts_with("refused: ") && body.contains(told), "{body}");
        }
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_caller_ends_on_open_connections_and_new_ones_and_others_go_on() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    for version in VERSIONS {
        let name = if version.version == TLS12.version { "region" } else { "anna" };
        let caller = || made.caller(name, version);
        let mut idle = connect(&open, caller()).await.unwrap();
        let mut busy = connect(&open, caller()).await.unwrap();
        let mut other = connect(&open, made.caller("1177", version)).await.unwrap();
        assert!(ask(&mut idle, "/").await.unwrap().1.starts_with("known"));
        ask(&mut other, "/").await.unwrap();
        open.echo.waiting.store(0, Ordering::SeqCst);
        send(&mut busy, "/wait").await.unwrap();
        open.waiting(1).await;

        pki::revoke(made.dir.path(), name, made.now()).unwrap();
        assert_eq!(open.tls.as_ref().unwrap().reload(made.now()).changed, [Part::Lists]);
        assert!(closes(&mut idle, MOMENT).await, "the idle connection was left open");
        open.echo.go.notify_one();
        let (head, _) = receive(&mut busy).await.unwrap();
        assert!(head.contains("connection: close"), "{head}");
        assert!(closes(&mut busy, MOMENT).await);
        assert_eq!(ask(&mut other, "/").await.unwrap().1, "known SE0000000000-1177");

        let outcome = async { ask(&mut connect(&open, caller()).await?, "/").await };
        assert!(outcome.await.is_err(), "a new connection was let in");
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_runs_out_on_a_kept_connection_is_told_at_the_next_request() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    let mut stream = connect(&open, made.caller("region", &TLS13)).await.unwrap();
    assert_eq!(ask(&mut stream, "/").await.unwrap().1, "known SE0000000000-REGION");
    crate::clock::HandClock::advance(&made.clock, DAY * 3660);
    let (head, body) = ask(&mut stream, "/").await.unwrap();
    assert!(body.starts_with("refused: ") && body.contains("expired"), "{body}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(closes(&mut stream, MOMENT).await);
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trust_list_changes_under_open_connections() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    let tls = Arc::clone(open.tls.as_ref().unwrap());
    let mut stream = connect(&open, made.caller("region", &TLS13)).await.unwrap();
    ask(&mut stream, "/").await.unwrap();
    let good = fs::read(made.path("ca.crt")).unwrap();
    // Damaged: nothing happens.
    fs::write(made.path("ca.crt"), &good[..good.len() / 2]).unwrap();
    assert_eq!(tls.reload(made.now()).faults.len(), 1);
    assert_eq!(ask(&mut stream, "/").await.unwrap().1, "known SE0000000000-REGION");
    // Another root: those under the first are shut out.
    made.copy("wrong-ca.crt", "ca.crt");
    assert!(tls.reload(made.now()).changed.contains(&Part::Trust));
    assert!(closes(&mut stream, MOMENT).await);
    fs::write(made.path("ca.crt"), &good).unwrap();
    tls.reload(made.now());
    let mut stream = connect(&open, made.caller("region", &TLS13)).await.unwrap();
    assert_eq!(ask(&mut stream, "/").await.unwrap().1, "known SE0000000000-REGION");
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_own_certificate_is_shown_to_new_callers_while_old_ones_go_on() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    let shown =
        |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().unwrap()[0].clone();
    let mut old = connect(&open, made.caller("region", &TLS13)).await.unwrap();
    assert_eq!(shown(&old), made.chain("gateway")[0]);
    made.copy("p384.crt", "gateway.crt");
    made.copy("p384.key", "gateway.key");
    assert_eq!(open.tls.as_ref().unwrap().reload(made.now()).changed, [Part::Identity]);
    assert_eq!(ask(&mut old, "/").await.unwrap().1, "known SE0000000000-REGION");
    let new = connect(&open, made.caller("region", &TLS13)).await.unwrap();
    assert_eq!(shown(&new), made.chain("p384")[0]);
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_ever_resumed() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    for version in VERSIONS {
        // The library keeps sessions and tickets by default; there are none to keep.
        let config = Arc::new(made.caller("region", version));
        for _ in 0..3 {
            let mut stream = connect_kept(&open, &config).await.unwrap();
            ask(&mut stream, "/").await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_in_the_middle_of_a_handshake_holds_up_nobody() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    let config = Arc::new(made.caller("region", &TLS13));
    let mut stopped = Vec::new();
    for at in 0..4 * limits::HANDSHAKE_TURNS {
        let mut hello = Vec::new();
        let name = "localhost".try_into().unwrap();
        let mut caller = rustls::ClientConnection::new(Arc::clone(&config), name).unwrap();
        caller.write_tls(&mut hello).unwrap();
        hello.truncate(hello.len() / (1 + at % 2));
        let mut stream = open.tcp().await;
        stream.write_all(&hello).await.unwrap();
        stopped.push(stream);
    }
    let served = async {
        let mut stream = connect_kept(&open, &config).await?;
        ask(&mut stream, "/").await
    };
    // Those who stopped are let go much later.
    tokio::time::timeout(MOMENT, served).await.unwrap().unwrap();
    drop(stopped);
    open.stopped().await;
}

/// What the door makes of `sent` followed by hanging up (or by silence).
async fn first_bytes(sent: &[u8], hang_up: bool) -> (Option<Reason>, Vec<u8>) {
    let made = Certificates::make();
    let tls = made.server(made.settings());
    let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut caller = TcpStream::connect(address).await.unwrap();
    caller.write_all(sent).await.unwrap();
    if hang_up {
        caller.shutdown().await.unwrap();
    }
    let (stream, _) = listener.accept().await.unwrap();
    let secured =
        secure(stream, &tls, Duration::from_millis(300), Semaphore::new(1).acquire()).await;
    let reason = secured.err().map(|fault| fault.reason);
    let mut answer = Vec::new();
    // A reset is as good an end as any.
    let _end = caller.read_to_end(&mut answer).await;
    (reason, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_is_told_apart() {
    let (reason, answer) = first_bytes(b"POST /vp HTTP/1.1\r\nHost: x\r\n\r\n", false).await;
    assert_eq!(reason, Some(Reason::PlainHttp));
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("HTTPS"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(answer.contains(&format!("Content-Length: {}\r\n", body.len())));

    assert_eq!(first_bytes(b"\x00\x01garbage", false).await.0, Some(Reason::NotTls));
    assert_eq!(first_bytes(b"\x16\xff\xff\xff\xffgarbage", false).await.0, Some(Reason::NotTls));
    // A client's first message as of TLS 1.1, and one of TLS 1.2 with a suite that nobody has.
    assert_eq!(first_bytes(&hello(2), false).await.0, Some(Reason::NoCommonVersion));
    assert_eq!(first_bytes(&hello(3), false).await.0, Some(Reason::NoCommonCipher));
    assert_eq!(first_bytes(b"", true).await.0, Some(Reason::PeerClosed));
    assert_eq!(first_bytes(b"\x16\x03\x01\x02\x00\x01", true).await.0, Some(Reason::PeerClosed));
    assert_eq!(first_bytes(b"\x16\x03\x01\x02\x00\x01", false).await.0, Some(Reason::TimedOut));
    assert_eq!(first_bytes(b"", false).await.0, Some(Reason::TimedOut));
}

/// A ClientHello of version 3.`minor` with one old cipher suite; from TLS 1.2 on with the extension
/// that goes with it.
fn hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x00, 0x2f, 1, 0]);
    if minor == 3 {
        body.extend([0, 8, 0x00, 0x0d, 0, 4, 0, 2, 4, 3]);
    }
    let size = u8::try_from(body.len()).unwrap();
    let mut out = vec![0x16, 3, 1, 0, size + 4, 1, 0, 0, size];
    out.extend(body);
    out
}

/// What is logged, as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

// One thread: the log is caught for this thread only.
#[tokio::test]
async fn the_log_says_who_was_refused_and_why() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
    let _caught = crate::telemetry::listen(lines.finish());
    let made = Certificates::make();
    let open = Open::secure(&made, Settings::new("test")).await;
    for name in ["revoked", "", "no-hsa-id"] {
        let outcome =
            async { ask(&mut connect(&open, made.caller(name, &TLS13)).await?, "/").await };
        assert_eq!(outcome.await.is_ok(), name == "no-hsa-id");
    }
    open.stopped().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for told in [
        "TLS handshake failed: the peer's certificate is revoked",
        "TLS handshake failed: the peer gave no certificate",
        "peer not known",
        "has no attribute 2.5.4.5",
        "remote=127.0.0.1:",
        "reason=\"revoked\"",
    ] {
        assert!(log.contains(told), "{log} does not say {told:?}");
    }
}

#[test]
fn a_refusal_reads_as_one_sentence() {
    let refused = PeerError::Refused(Reason::Revoked).to_string();
    assert_eq!(refused, "the peer's certificate is revoked");
}
