//! Requests, limits and the end of a door, without TLS.

use super::*;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3);

fn settings() -> Settings {
    Settings::new("test")
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_follow_each_other_on_one_connection() {
    let open = Open::plain(settings()).await;
    let mut stream = open.tcp().await;
    for _ in 0..3 {
        let (head, body) = ask(&mut stream, "/").await.unwrap();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "plain");
    }
    assert_eq!(open.stopped().await, Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_at_once_and_its_place_comes_back() {
    let open = Open::plain(Settings { connections_max: 1, ..settings() }).await;
    let mut first = open.tcp().await;
    ask(&mut first, "/").await.unwrap();
    assert!(closes(&mut open.tcp().await, LONG).await);
    ask(&mut first, "/").await.unwrap();
    drop(first);
    let again = async {
        while ask(&mut open.tcp().await, "/").await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, again).await.unwrap();
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_must_end_in_its_time_and_a_quiet_connection_in_another() {
    let open = Open::plain(Settings { header_time: SHORT, ..settings() }).await;
    let mut never = open.tcp().await;
    assert!(closes(&mut never, LONG).await, "a connection that asks nothing");
    let mut slow = open.tcp().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
    assert!(closes(&mut slow, LONG).await, "a head that does not end");
    let mut kept = open.tcp().await;
    ask(&mut kept, "/").await.unwrap();
    assert!(!closes(&mut kept, SHORT * 3).await, "between requests the head's time does not count");
    kept.write_all(b"GET / HT").await.unwrap();
    assert!(closes(&mut kept, LONG).await, "the second head counts as the first");

    let open = Open::plain(Settings { idle_time: SHORT, ..settings() }).await;
    let mut idle = open.tcp().await;
    ask(&mut idle, "/").await.unwrap();
    assert!(closes(&mut idle, LONG).await, "an idle connection");
    let mut busy = open.tcp().await;
    send(&mut busy, "/wait").await.unwrap();
    assert!(!closes(&mut busy, SHORT * 3).await, "waiting for an answer is not idling");
    open.echo.go.notify_one();
    assert_eq!(receive(&mut busy).await.unwrap().1, "plain");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let open = Open::plain(settings()).await;
    for (head, expected) in [
        (format!("X: {}\r\n", "y".repeat(limits::HTTP_HEAD_BYTES_MAX - 100)), "http/1.1 200"),
        (format!("X: {}\r\n", "y".repeat(limits::HTTP_HEAD_BYTES_MAX)), "http/1.1 431"),
        ("X: y\r\n".repeat(limits::HTTP_HEADERS_MAX - 1), "http/1.1 200"),
        ("X: y\r\n".repeat(limits::HTTP_HEADERS_MAX), "http/1.1 431"),
    ] {
        let mut stream = open.tcp().await;
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{head}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (told, _) = receive(&mut stream).await.unwrap();
        assert!(told.starts_with(expected), "{} bytes: {told}", head.len());
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_take_its_answer_is_let_go() {
    let open = Open::plain(Settings { write_time: SHORT, ..settings() }).await;
    let mut stream = open.tcp().await;
    send(&mut stream, "/large").await.unwrap();
    tokio::time::sleep(SHORT * 4).await;
    let mut taken = Vec::new();
    // The end of a connection that was dropped with bytes in it: an end or a reset.
    let _end = tokio::time::timeout(LONG, stream.read_to_end(&mut taken)).await.unwrap();
    assert!(taken.len() < 8 * 1024 * 1024, "all of it came");
    let mut quick = open.tcp().await;
    assert_eq!(ask(&mut quick, "/large").await.unwrap().1.len(), 8 * 1024 * 1024);
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_in_bytes() {
    let open = Open::plain(settings()).await;
    for path in ["/body", "/pass"] {
        for (size, told) in [(1000, "1000 bytes"), (1001, "the body is larger than 1000 bytes")] {
            let mut stream = open.tcp().await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; size]).await.unwrap();
            assert_eq!(receive(&mut stream).await.unwrap().1, told, "{path}");
        }
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_stalls_in_a_body_is_told() {
    let open = Open::plain(settings()).await;
    for path in ["/pass", "/body"] {
        let mut stream = open.tcp().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..4 {
            // Slow, and alive: each part begins the wait anew.
            stream.write_all(&[b'x'; 100]).await.unwrap();
            tokio::time::sleep(SHORT / 2).await;
        }
        let (_, body) = receive(&mut stream).await.unwrap();
        assert!(body.starts_with("the sender gave nothing"), "{body}");
    }
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_request_and_nothing_else() {
    let open = Open::plain(settings()).await;
    let mut other = open.tcp().await;
    ask(&mut other, "/").await.unwrap();
    let mut stream = open.tcp().await;
    let (head, _) = ask(&mut stream, "/panic").await.unwrap();
    assert!(head.starts_with("http/1.1 500") && head.contains("connection: close"), "{head}");
    assert!(closes(&mut stream, LONG).await);
    assert_eq!(ask(&mut other, "/").await.unwrap().1, "plain");
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_finished_though_the_caller_hangs_up() {
    let open = Open::plain(settings()).await;
    let mut stream = open.tcp().await;
    send(&mut stream, "/finish").await.unwrap();
    open.waiting(1).await;
    drop(stream);
    tokio::time::sleep(SHORT).await;
    assert!(!open.echo.finished.load(Ordering::SeqCst));
    open.echo.go.notify_one();
    until(|| open.echo.finished.load(Ordering::SeqCst)).await;
    open.stopped().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_what_is_idle_and_lets_a_request_in_flight_finish() {
    let open = Open::plain(settings()).await;
    let (mut idle, mut busy, mut silent) = (open.tcp().await, open.tcp().await, open.tcp().await);
    ask(&mut idle, "/").await.unwrap();
    send(&mut busy, "/wait").await.unwrap();
    open.waiting(1).await;
    open.stop.cancel();
    assert!(closes(&mut idle, LONG).await);
    assert!(closes(&mut silent, LONG).await);
    assert!(TcpStream::connect(open.address).await.is_err(), "new callers are let in");
    tokio::time::sleep(SHORT).await;
    open.echo.go.notify_one();
    let (head, body) = receive(&mut busy).await.unwrap();
    assert_eq!(body, "plain");
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(open.stopped().await, Stopped { cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_does_not_wait_for_ever_and_counts_what_it_cut() {
    let open = Open::plain(Settings { stop_time: SHORT, ..settings() }).await;
    let (mut one, mut two) = (open.tcp().await, open.tcp().await);
    send(&mut one, "/wait").await.unwrap();
    send(&mut two, "/wait").await.unwrap();
    open.waiting(2).await;
    assert_eq!(open.stopped().await, Stopped { cut: 2 });
    assert!(closes(&mut one, LONG).await);
}
