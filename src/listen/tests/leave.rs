//! Leaving a door to another process, and what one address may take of it.

use rustls::version::TLS13;

use super::*;

const QUIET: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(3);

fn settings() -> Settings {
    Settings { quiet_time: QUIET, ..Settings::new("test") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_left_answers_everybody_once_more() {
    let open = Open::plain(settings()).await;
    let (mut kept, mut idle) = (open.tcp().await, open.tcp().await);
    let (head, _) = ask(&mut kept, "/").await.unwrap();
    assert!(!head.contains("connection: close"), "{head}");
    ask(&mut idle, "/").await.unwrap();
    open.leave.begin();
    tokio::time::sleep(QUIET / 3).await;
    for stream in [&mut kept, &mut open.tcp().await] {
        let (head, body) = ask(stream, "/").await.unwrap();
        assert_eq!(body, "plain");
        assert!(head.contains("connection: close"), "{head}");
        assert!(closes(stream, LONG).await);
    }
    assert!(closes(&mut idle, LONG).await, "one who is quiet is not waited for");
    let mut silent = open.tcp().await;
    assert!(closes(&mut silent, LONG).await, "nor one who never said a word");
    open.leave.shut().await;
    assert_eq!(open.done.await.unwrap(), Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_has_begun_is_waited_for() {
    let open = Open::plain(settings()).await;
    let mut slow = open.tcp().await;
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    open.leave.begin();
    tokio::time::sleep(QUIET * 2).await;
    let leave = open.leave.clone();
    let shut = tokio::spawn(async move { leave.shut().await });
    tokio::time::sleep(QUIET).await;
    assert!(!shut.is_finished());
    slow.write_all(b"Host: x\r\n\r\n").await.unwrap();
    assert_eq!(receive(&mut slow).await.unwrap().1, "plain");
    tokio::time::timeout(LONG, shut).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_nothing_more_ends_after_the_door_is_shut_and_the_rest_before() {
    let open = Open::plain(settings()).await;
    let (mut passed, mut kept) = (open.tcp().await, open.tcp().await);
    send(&mut passed, "/pass-on").await.unwrap();
    open.waiting(1).await;
    send(&mut kept, "/wait").await.unwrap();
    open.waiting(2).await;
    let leave = open.leave.clone();
    let shut = tokio::spawn(async move { leave.shut().await });
    tokio::time::sleep(QUIET * 2).await;
    assert!(!shut.is_finished(), "somebody still needs what is given up");
    open.echo.go.notify_one();
    let (head, _) = receive(&mut kept).await.unwrap();
    assert!(head.contains("connection: close"), "{head}");
    tokio::time::timeout(LONG, shut).await.unwrap().unwrap();
    assert!(!open.done.is_finished());
    open.echo.passed.notify_one();
    let (head, body) = receive(&mut passed).await.unwrap();
    assert_eq!(body, "plain");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(open.done.await.unwrap(), Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_the_door_is_shut_waits_for_the_next_process() {
    let (listener, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listener = listener.into_std().unwrap();
    let next = listener.try_clone().unwrap();
    let serve_on = |listener: std::net::TcpListener, leave: &Leave| {
        let listener = TcpListener::from_std(listener).unwrap();
        let (service, stop) = (Shared(Arc::<Echo>::default()), CancellationToken::new());
        tokio::spawn(serve_until_left(listener, None, settings(), service, stop, leave.clone()))
    };
    let leave = Leave::default();
    let first = serve_on(listener, &leave);
    leave.shut().await;
    assert_eq!(first.await.unwrap(), Stopped { cut: 0 });
    let mut early = TcpStream::connect(address).await.unwrap();
    send(&mut early, "/").await.unwrap();
    // The first door's leave is over; the next one begins with its own.
    let leave = Leave::default();
    let second = serve_on(next, &leave);
    assert_eq!(receive(&mut early).await.unwrap().1, "plain");
    drop(early);
    leave.shut().await;
    assert_eq!(second.await.unwrap(), Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_handshake_too_many_is_closed_at_once_and_open_connections_go_on() {
    let made = Certificates::make();
    let open = Open::secure(&made, Settings { handshakes_max: 1, ..settings() }).await;
    let mut known = connect(&open, made.caller("1177", &TLS13)).await.unwrap();
    ask(&mut known, "/").await.unwrap();
    let mut silent = open.tcp().await;
    // Not from one who says nothing, but from one who has begun.
    let mut other = connect(&open, made.caller("1177", &TLS13)).await.unwrap();
    ask(&mut other, "/").await.unwrap();
    silent.write_all(&[22]).await.unwrap();
    tokio::time::sleep(QUIET).await;
    assert!(closes(&mut open.tcp().await, QUIET).await, "before the handshake");
    ask(&mut known, "/").await.unwrap();
    silent.shutdown().await.unwrap();
    let again = async {
        while connect(&open, made.caller("1177", &TLS13)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_new_waits_for_room_for_a_moment_and_is_let_in_to_be_told() {
    let made = Certificates::make();
    let open = Open::secure(&made, settings()).await;
    let mut known = connect(&open, made.caller("1177", &TLS13)).await.unwrap();
    open.echo.full.store(true, Ordering::SeqCst);
    let start = tokio::time::Instant::now();
    let mut new = connect(&open, made.caller("1177", &TLS13)).await.unwrap();
    assert!(start.elapsed() >= limits::HANDSHAKE_ROOM_WAIT, "{:?}", start.elapsed());
    ask(&mut new, "/").await.unwrap();
    ask(&mut known, "/").await.unwrap();
}
