//! Calls over real sockets, to servers that answer, lie, hang and break off.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

mod tls;

const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nSet-Cookie: a=b\r\nContent-Length: 4\r\n\r\n<ok>";

/// Accepts connections on a port of its own and hands each to `act`. Gives the address.
async fn serve<F, R>(act: F) -> String
where
    F: Fn(TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(stream));
        }
    });
    format!("http://{address}/")
}

/// Answers every request of every connection with `answer`.
async fn answering(answer: &'static str) -> String {
    serve(move |mut stream| async move {
        while request(&mut stream).await.is_some() {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Reads one request whole: its head, and how many bytes its body had.
async fn request(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<(String, u64)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.to_lowercase().split_once("content-length: ").unwrap().1.to_owned();
    let length = length.split_once("\r\n").unwrap().0.parse().unwrap();
    let read = tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await.ok()?;
    (read == length).then_some((head, length))
}

fn call(url: &str) -> Call {
    Call {
        url: url.to_owned(),
        soap_action: "urn:klagomal:test".to_owned(),
        content_type: "text/xml; charset=utf-8".to_owned(),
        headers: vec![(
            "x-rivta-original-serviceconsumer-hsaid".into(),
            "SE0000000000-1177".into(),
        )],
        body: Body::Whole(Bytes::from_static(b"<message/>")),
        timeout: Duration::from_secs(10),
    }
}

fn not_sent(seen: Seen) -> (Stage, String) {
    match seen {
        Seen::NotSent { stage, why, .. } => (stage, why),
        other @ (Seen::Answered(_) | Seen::Unknown { .. }) => panic!("{other:?}"),
    }
}

fn unknown(seen: Seen) -> (u64, Loss, Option<Answer>) {
    match seen {
        Seen::Unknown { bytes_sent, loss, read, .. } => (bytes_sent, loss, read),
        other @ (Seen::NotSent { .. } | Seen::Answered(_)) => panic!("{other:?}"),
    }
}

fn answered(seen: Seen) -> Answer {
    match seen {
        Seen::Answered(answer) => answer,
        other @ (Seen::NotSent { .. } | Seen::Unknown { .. }) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_is_given_whole_whatever_its_status() {
    let answer = answered(Producer::plain().unwrap().call(call(&answering(OK).await)).await);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"<ok>"[..]));
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    assert_eq!(answer.header("set-cookie"), None);
    let fault = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 7\r\n\r\n<fault>";
    let answer = answered(Producer::plain().unwrap().call(call(&answering(fault).await)).await);
    assert_eq!((answer.status, &answer.body[..]), (500, &b"<fault>"[..]));
}

#[tokio::test]
async fn the_request_says_what_it_is() {
    let heads = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&heads);
    let url = serve(move |mut stream| {
        let kept = Arc::clone(&kept);
        async move {
            let (head, _) = request(&mut stream).await.unwrap();
            kept.lock().unwrap().push_str(&head.to_lowercase());
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    answered(Producer::plain().unwrap().call(call(&url)).await);
    let head = heads.lock().unwrap().clone();
    for line in [
        "post / http/1.1\r\n",
        "\r\nsoapaction: \"urn:klagomal:test\"\r\n",
        "\r\ncontent-type: text/xml; charset=utf-8\r\n",
        "\r\ncontent-length: 10\r\n",
        "\r\nx-rivta-original-serviceconsumer-hsaid: se0000000000-1177\r\n",
        &format!("\r\nuser-agent: klagomal/{}\r\n", env!("CARGO_PKG_VERSION")),
    ] {
        assert!(head.contains(line), "{line:?} in {head:?}");
    }
    assert!(!head.contains("transfer-encoding") && !head.contains("accept-encoding"), "{head}");
}

#[tokio::test]
async fn an_address_that_cannot_be_called_is_told_before_anything_is_sent() {
    let plain = Producer::plain().unwrap();
    for url in ["", "localhost:8443/x", "ftp://localhost/", "https://localhost:1/"] {
        assert_eq!(not_sent(plain.call(call(url)).await).0, Stage::Address, "{url}");
    }
    let mut bad = call("http://127.0.0.1:1/");
    bad.headers.push(("x-a".to_owned(), "one\r\nx-b: two".to_owned()));
    assert_eq!(not_sent(plain.call(bad).await).0, Stage::Address);
}

#[tokio::test]
async fn a_refused_port_and_an_unknown_name_are_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let plain = Producer::plain().unwrap();
    let (stage, why) = not_sent(plain.call(call(&url)).await);
    assert_eq!(stage, Stage::Connect);
    assert!(why.contains("refused"), "{why}");
    let (stage, _) = not_sent(plain.call(call("http://no-such-host.invalid/")).await);
    assert_eq!(stage, Stage::Resolve);
}

#[tokio::test]
async fn what_an_answer_says_is_not_shown_where_it_is_printed_for_a_person() {
    let seen = Producer::plain().unwrap().call(call(&answering(OK).await)).await;
    let printed = format!("{seen:?}");
    assert!(printed.contains("4 bytes") && !printed.contains("<ok>"), "{printed}");
}

#[tokio::test]
async fn a_producer_that_says_nothing_leaves_it_unknown_when_the_time_is_out() {
    let url = serve(|mut stream| async move {
        request(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let mut slow = call(&url);
    slow.timeout = Duration::from_millis(200);
    let start = std::time::Instant::now();
    let seen = Producer::plain().unwrap().call(slow).await;
    assert!(!seen.is_cut_short());
    let (sent, loss, read) = unknown(seen);
    assert_eq!((sent, loss, read), (10, Loss::Timeout, None));
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn what_had_been_read_when_the_time_was_out_is_kept() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half";
    let mut slow = call(&answering(half).await);
    slow.timeout = Duration::from_millis(300);
    let (_, loss, read) = unknown(Producer::plain().unwrap().call(slow).await);
    assert_eq!(loss, Loss::Timeout);
    let read = read.unwrap();
    assert_eq!((read.status, &read.body[..]), (200, &b"<half"[..]));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unknown() {
    let url = serve(|mut stream| async move {
        request(&mut stream).await;
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half";
        stream.write_all(half.as_bytes()).await.unwrap();
    })
    .await;
    let (sent, loss, read) = unknown(Producer::plain().unwrap().call(call(&url)).await);
    assert_eq!((sent, loss), (10, Loss::Closed));
    assert_eq!(&read.unwrap().body[..], b"<half");
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_unknown() {
    let url = serve(|mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    let (sent, loss, read) = unknown(Producer::plain().unwrap().call(call(&url)).await);
    assert_eq!((sent, loss, read), (10, Loss::Closed, None));
}

#[tokio::test]
async fn a_connection_closed_before_it_is_read_is_never_taken_for_answered_or_resent() {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    let url = serve(move |stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { drop(stream) }
    })
    .await;
    let seen = Producer::plain().unwrap().call(call(&url)).await;
    assert!(
        matches!(
            seen,
            Seen::NotSent { stage: Stage::Begin, .. }
                | Seen::Unknown { loss: Loss::Closed | Loss::Reset, .. }
        ),
        "{seen:?}"
    );
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_message_is_unknown_and_not_resent() {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    let url = serve(move |mut stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut some = vec![0; 100_000];
            stream.read_exact(&mut some).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
    })
    .await;
    let mut long = call(&url);
    long.body = megabytes(50);
    let seen = Producer::plain().unwrap().call(long).await;
    assert!(seen.is_cut_short());
    let (sent, loss, read) = unknown(seen);
    assert!((90_000..50_000_000).contains(&sent), "{sent}");
    assert!(matches!(loss, Loss::Reset | Loss::Closed), "{loss:?}");
    assert_eq!((read, connections.load(Ordering::SeqCst)), (None, 1));
}

#[tokio::test]
async fn a_message_that_breaks_off_on_our_side_is_told_as_ours() {
    let plain = Producer::plain().unwrap();
    let url = answering(OK).await;
    let lost = || Err(io::Error::other("the file is gone"));
    let mut none = call(&url);
    none.body = Body::stream(9, stream::iter([lost()]));
    assert_eq!(not_sent(plain.call(none).await).0, Stage::Body);
    let mut half = call(&url);
    half.body = Body::stream(9, stream::iter([Ok(Bytes::from_static(b"half")), lost()]));
    let (sent, loss, _) = unknown(plain.call(half).await);
    assert_eq!((sent, loss), (4, Loss::Body));
    for stated in [3, 5] {
        let mut wrong = call(&url);
        wrong.body = Body::stream(stated, stream::iter([Ok(Bytes::from_static(b"half"))]));
        assert_eq!(unknown(plain.call(wrong).await).1, Loss::Body, "{stated}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_producer_closed_does_not_make_the_next_call_unknown() {
    let url = serve(|mut stream| async move {
        request(&mut stream).await;
        stream.write_all(OK.as_bytes()).await.unwrap();
    })
    .await;
    let plain = Producer::plain().unwrap();
    for _ in 0..20 {
        assert_eq!(answered(plain.call(call(&url)).await).status, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    let url = serve(move |mut stream| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move {
            while request(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let plain = Producer::plain().unwrap();
    for _ in 0..5 {
        answered(plain.call(call(&url)).await);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&target);
    let elsewhere = serve(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        async {}
    })
    .await;
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
    let url = answering(moved.leak()).await;
    let answer = answered(Producer::plain().unwrap().call(call(&url)).await);
    assert_eq!((answer.status, answer.header("location")), (302, Some(elsewhere.as_str())));
    assert_eq!(target.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_answer_is_read_to_the_bound_and_not_further() {
    let of = |bytes: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "a".repeat(bytes))
    };
    let plain = Producer::plain().unwrap();
    let url = answering(of(limits::ANSWER_BYTES_MAX).leak()).await;
    assert_eq!(answered(plain.call(call(&url)).await).body.len(), limits::ANSWER_BYTES_MAX);
    // A call that says so reads more, and no further than it says.
    let larger = limits::ANSWER_BYTES_MAX * 2;
    let url = answering(of(larger).leak()).await;
    assert_eq!(answered(plain.call_for(call(&url), larger).await).body.len(), larger);
    let (_, loss, read) = unknown(plain.call_for(call(&url), larger - 1).await);
    assert_eq!((loss, read.unwrap().body.len()), (Loss::AnswerTooLarge, larger - 1));
    let url = serve(|mut stream| async move {
        request(&mut stream).await;
        let endless = [b'a'; 65536];
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&endless).await.is_ok() {}
    })
    .await;
    let (_, loss, read) = unknown(plain.call(call(&url)).await);
    assert_eq!((loss, read.unwrap().body.len()), (Loss::AnswerTooLarge, limits::ANSWER_BYTES_MAX));
}

#[tokio::test]
async fn what_is_not_http_is_unknown() {
    let url = answering("SSH-2.0-test\r\n\r\n").await;
    assert_eq!(unknown(Producer::plain().unwrap().call(call(&url)).await).1, Loss::NotHttp);
}

/// `count` megabytes, made while they are sent.
fn megabytes(count: u64) -> Body {
    let chunk = Bytes::from(vec![b'a'; 1_000_000]);
    Body::stream(count * 1_000_000, stream::iter((0..count).map(move |_| Ok(chunk.clone()))))
}

#[tokio::test]
async fn a_message_is_taken_only_as_fast_as_the_producer_reads() {
    let received = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&received);
    let url = serve(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let (_, bytes) = request(&mut stream).await.unwrap();
            seen.store(usize::try_from(bytes).unwrap(), Ordering::SeqCst);
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    })
    .await;
    let plain = Producer::plain().unwrap();
    let mut large = call(&url);
    large.body = megabytes(137);
    answered(plain.call(large).await);
    assert_eq!(received.load(Ordering::SeqCst), 137_000_000);

    // A producer that stops reading stops us: what is taken is what sockets and buffers hold.
    let url = serve(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await;
    let mut stuck = call(&url);
    stuck.body = megabytes(137);
    stuck.timeout = Duration::from_millis(500);
    let (sent, loss, _) = unknown(plain.call(stuck).await);
    assert_eq!(loss, Loss::Timeout);
    assert!(sent < 20_000_000, "{sent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_producer_does_no_message_comes_twice_and_the_unsent_never() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&received);
    let turns = Arc::new(AtomicUsize::new(0));
    let url = serve(move |mut stream| {
        let (kept, turns) = (Arc::clone(&kept), Arc::clone(&turns));
        async move {
            loop {
                let turn = turns.fetch_add(1, Ordering::SeqCst) % 7;
                if turn == 0 {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                if turn == 1 {
                    return;
                }
                let Some((head, _)) = request(&mut stream).await else { return };
                let id = head.split_once("x-test: ").unwrap().1.split_once("\r\n").unwrap().0;
                kept.lock().unwrap().push(id.parse::<u32>().unwrap());
                if turn == 2 || stream.write_all(OK.as_bytes()).await.is_err() {
                    return;
                }
                // Closing right after an answer races with the next call on this connection.
                if turn == 3 {
                    return;
                }
            }
        }
    })
    .await;
    let plain = Producer::plain().unwrap();
    let (mut answered, mut not_sent, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..600u32 {
        let mut call = call(&url);
        call.headers.push(("x-test".to_owned(), id.to_string()));
        match plain.call(call).await {
            Seen::Answered(_) => answered.push(id),
            Seen::NotSent { .. } => not_sent.push(id),
            Seen::Unknown { .. } => unknown.push(id),
        }
    }
    let received = received.lock().unwrap().clone();
    let times = |id: &u32| received.iter().filter(|it| *it == id).count();
    assert!(answered.iter().all(|id| times(id) == 1));
    assert!(not_sent.iter().all(|id| times(id) == 0));
    assert!(unknown.iter().all(|id| times(id) <= 1));
    assert!(answered.len() > 200 && unknown.len() > 20, "{} {}", answered.len(), unknown.len());
}
