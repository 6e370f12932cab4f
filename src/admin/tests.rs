//! The admin door over a real socket: who may, how much, how long, and what an operator is told.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::cases::fold::CaseFold;
use crate::clock::SystemClock;
use crate::complaint::command::Parties;
use crate::routing::decisions::Recorded;
use crate::routing::picture::{Change, Desk, Fetched, Files, NoAnswer, OpenCases, Picture};
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, Settings};
use crate::store::journal::memory::MemoryDisk;
use crate::store::views::MemoryTable;

/// Routing is asked about elsewhere.
struct NoDesk;

impl Desk for NoDesk {
    fn picture(&self) -> Picture {
        panic!("nobody asks")
    }

    fn reload(&self) -> Change {
        panic!("nobody asks")
    }

    fn fetch(&self, _: bool) -> Result<Fetched, NoAnswer> {
        panic!("nobody asks")
    }

    fn roll_back(&self, _: &str) -> Result<Change, NoAnswer> {
        panic!("nobody asks")
    }

    fn files(&self) -> Result<Files, NoAnswer> {
        panic!("nobody asks")
    }

    fn decisions(&self, _: usize) -> Result<Recorded, NoAnswer> {
        panic!("nobody asks")
    }

    fn open_cases(&self) -> Result<Vec<OpenCases>, NoAnswer> {
        panic!("nobody asks")
    }
}

struct Open {
    at: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    _dir: tempfile::TempDir,
}

/// The bounds on calls and on the stop, here.
const SHORT: Duration = Duration::from_millis(300);

async fn open() -> Open {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let (disk, table) = (Arc::new(MemoryDisk::default()), Arc::new(MemoryTable::default()));
    let settings = Settings { free_bytes_min: 1, ..Settings::new("") };
    let opened =
        Engine::open_on(&settings, disk, table, "boot", CaseFold::default(), clock.clone());
    let blobs = Blobs::new(&dir.path().join("attachments")).unwrap();
    let own = HsaId::parse("SE0000000000-GATEWAY").unwrap();
    let portal = HsaId::parse("SE0000000000-1177").unwrap();
    let cases = Cases::new(opened.unwrap().0, blobs, clock, own, "run".to_owned());
    let controls = Controls {
        not_ready: Arc::new(Vec::new),
        status: Arc::new(|| json!({ "name": "klagomal" })),
        reload: Arc::new(Vec::new),
        grounds: Arc::new(move || Grounds {
            parties: Parties { portal: portal.clone(), inkorg: "inkorg".to_owned(), onward: None },
            generation: String::new(),
            reception: None,
            codes: Arc::default(),
        }),
        routing: SharedDesk(Arc::new(NoDesk)),
        backup: Arc::new(|_| panic!("nobody asks")),
        receivers: Arc::new(BTreeSet::new),
        metrics: Arc::new(|| Ok("# EOF\n".to_owned())),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (at, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let router = routes(cases, controls, SHORT);
    let served = tokio::spawn(serve_within(listener, router, stop.clone(), SHORT));
    Open { at, stop, served, _dir: dir }
}

/// Status and body of one call; `more` are further header lines.
async fn call(open: &Open, line: &str, host: &str, more: &str, body: &str) -> (u16, String) {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(open.at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn only_this_machine_s_own_names_are_answered_and_never_a_page_of_somebody_else_s() {
    let open = open().await;
    let own = ["localhost", "LOCALHOST:9090", "127.0.0.1:9090", "127.0.0.1", "[::1]:9090", "[::1]"];
    for host in own {
        assert_eq!(call(&open, "GET /status", host, "", "").await.0, 200, "{host}");
    }
    for host in ["example.se", "localhost.example.se:9090", "127.0.0.1.example.se", "", ":9090"] {
        assert_eq!(call(&open, "GET /status", host, "", "").await.0, 403, "{host}");
    }
    for origin in ["https://example.se", "null", "http://localhost:9090"] {
        let origin = format!("Origin: {origin}\r\n");
        let asked = call(&open, "POST /reload", "localhost", &origin, "").await;
        assert_eq!(asked.0, 403, "{origin}");
    }
}

#[tokio::test]
async fn what_an_operator_gets_wrong_is_told() {
    let open = open().await;
    let table = [
        ("GET /cases/XXX-XXX-X", "", 404),
        ("GET /cases?limt=3", "", 400),
        ("GET /cases?unit=%20", "", 400),
        ("GET /outbox/12", "", 400),
        ("GET /outbox/12.0", "", 404),
        ("POST /outbox/12.0", r#"{"decision":"retry","reason":" "}"#, 422),
        ("POST /outbox/12.0", r#"{"decision":"burn","reason":"x"}"#, 422),
        ("POST /outbox/12.0", r#"{"decision":"retry","reason":"x","more":1}"#, 422),
        ("POST /outbox/12.0", r#"{"decision":"retry","reason":"x"}"#, 404),
    ];
    for (line, body, status) in table {
        let answered = call(&open, line, "localhost", JSON, body).await;
        assert_eq!(answered.0, status, "{line} {body}: {}", answered.1);
    }
    let reason = "x".repeat(limits::WHY_CHARS_MAX + 1);
    let body = json!({ "decision": "retry", "reason": reason }).to_string();
    let (status, told) = call(&open, "POST /outbox/12.0", "localhost", JSON, &body).await;
    assert_eq!(status, 422);
    assert!(told.contains(&limits::WHY_CHARS_MAX.to_string()), "{told}");
}

#[tokio::test]
async fn a_call_larger_than_the_largest_step_is_refused() {
    let open = open().await;
    let body = "x".repeat(limits::ADMIN_BODY_BYTES_MAX + 1);
    let answered = call(&open, "POST /outbox/12.0", "localhost", JSON, &body).await;
    assert_eq!(answered.0, 413);
}

#[tokio::test]
async fn a_caller_who_never_sends_its_body_holds_up_neither_the_door_nor_a_stop() {
    let open = open().await;
    let head = "POST /outbox/12.0 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 9\r\n\r\n";
    let mut slow = TcpStream::connect(open.at).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    let mut slow = TcpStream::connect(open.at).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    open.stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), open.served)
        .await
        .expect("it stops")
        .unwrap()
        .unwrap();
}
