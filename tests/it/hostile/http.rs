//! HTTP that means harm: what two readers would take for different things, what never ends, what is
//! too much. Nothing of it reaches a producer, and every connection ends or is answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Besieged, PATIENCE, XML, answer, connect, good, post, raw_by};
use crate::proxied;
use crate::support::{Connection, World};

#[test]
fn slow_and_silent_senders_are_given_up_and_delay_nobody() {
    let world = World::plan().start();
    let silent: Vec<_> = [
        // No request; half a head; half a body.
        "",
        "POST /vp HTTP/1.1\r\nHost: loc",
        "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: 500\r\n\r\n<e:Env",
    ]
    .map(|bytes| {
        let mut connection = World::caller("1177").connect_within(world.https, PATIENCE).unwrap();
        connection.shake_hands().unwrap();
        connection.send(bytes.as_bytes()).unwrap();
        connection
    })
    .into();
    let start = Instant::now();
    for of in 20..30 {
        let answer = World::caller("1177").post(world.https, good(of).as_bytes()).unwrap();
        assert_eq!(answer.outcome(), "OK");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let mut silent = silent.into_iter();
    // A kept connection may be idle for long; what was begun may not.
    drop(silent.next());
    let mut half_head = silent.next().unwrap();
    assert!(half_head.is_closed_within(PATIENCE), "half a head is waited for");
    let answer = silent.next().unwrap().answer();
    assert!(answer.is_err() || answer.is_ok_and(|it| it.outcome().contains("VP015")));
    assert!(start.elapsed() < PATIENCE);
}

const HOST: &str = "POST /vp HTTP/1.1\r\nHost: localhost\r\n";

/// A whole request in good faith, such as follows where one is smuggled in.
fn whole() -> String {
    let body = Besieged::forwarded();
    format!("{HOST}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Heads that say two things, or nothing, of where their message ends.
fn framings(length: usize) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut add = |what: &str, head: String| all.push((what.to_owned(), head));
    add("two lengths", format!("Content-Length: {length}\r\nContent-Length: 4\r\n"));
    add("a shorter length first", format!("Content-Length: 4\r\nContent-Length: {length}\r\n"));
    add("a list of lengths", format!("Content-Length: {length}, {length}\r\n"));
    for value in [
        format!("+{length}"),
        format!("-{length}"),
        "1e3".to_owned(),
        format!("0x{length:x}"),
        format!("{length} 0"),
        format!("{length};"),
        "99999999999999999999999".to_owned(),
        "18446744073709551615".to_owned(),
        "\u{664}\u{664}".to_owned(),
        String::new(),
    ] {
        add(&format!("the length {value:?}"), format!("Content-Length: {value}\r\n"));
    }
    let told = format!("Content-Length: {length}\r\n");
    for coding in [
        "xchunked",
        "chunked, identity",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        "chunked, chunked",
        "gzip, chunked",
        "chunked\u{b}",
        "",
        ",",
    ] {
        add(&format!("the coding {coding:?}"), format!("Transfer-Encoding: {coding}\r\n"));
        add(&format!("a length, {coding:?}"), format!("{told}Transfer-Encoding: {coding}\r\n"));
        add(&format!("{coding:?}, a length"), format!("Transfer-Encoding: {coding}\r\n{told}"));
    }
    for (what, head) in [
        ("a length and chunks", format!("{told}Transfer-Encoding: chunked\r\n")),
        ("chunks and a length", format!("Transfer-Encoding: chunked\r\n{told}")),
        ("a blank before the colon", format!("Content-Length : {length}\r\n")),
        ("a blank before the name", format!(" Content-Length: {length}\r\n")),
        ("a coding with a blank", "Transfer-Encoding : chunked\r\n".to_owned()),
        ("a folded length", format!("Content-Length:\r\n {length}\r\n")),
        ("a folded coding", "Transfer-Encoding:\r\n chunked\r\n".to_owned()),
        ("a folded header", format!("X: a\r\n b\r\n{told}")),
        ("a NUL in a value", format!("X: a\0b\r\n{told}")),
        ("a NUL in a name", format!("X\0: a\r\n{told}")),
        ("a NUL in the length", format!("Content-Length: {length}\0\r\n")),
        ("a bare CR", format!("X: a\rTransfer-Encoding: chunked\r\n{told}")),
        ("a bare CR at the end", format!("X: a\r\r\n{told}")),
        ("a name without a colon", format!("Xa\r\n{told}")),
        ("a name of no characters", format!(": a\r\n{told}")),
        ("a name with a slash", format!("X/a: b\r\n{told}")),
        ("a second host", format!("Host: other\r\n{told}")),
    ] {
        add(what, head);
    }
    all
}

#[test]
fn what_two_readers_would_end_at_different_places_is_refused() {
    let besieged = Besieged::start();
    let body = Besieged::forwarded();
    for (what, head) in framings(body.len()) {
        // Read by a length, this is a message; read in chunks, it has ended, and another follows.
        for content in [body.clone(), format!("0\r\n\r\n{}", whole())] {
            let request = format!("{HOST}{head}\r\n{content}");
            let mut connection = connect(&besieged.world, "region");
            // Who refuses early may close while we still write.
            drop(connection.send(request.as_bytes()));
            if let Some(seen) = answer(&mut connection) {
                assert!(seen.status >= 400, "{what}: {} {}", seen.status, seen.text());
            }
            assert!(connection.is_closed_within(PATIENCE), "{what}: it goes on after it");
            assert_eq!(besieged.producer.count(), besieged.calls, "{what}");
        }
    }
    besieged.has_withstood(9);
}

#[test]
fn at_the_door_behind_a_proxy_nothing_is_smuggled_in_under_another_name() {
    let mut besieged = Besieged::start();
    let certificate = format!("x-vp-auth-cert: {}\r\n", proxied::certificate("region"));
    let own = Besieged::forwarded();
    let inner = whole().replacen("\r\n", &format!("\r\n{certificate}"), 1);
    for (what, head) in framings(own.len()) {
        for content in [own.clone(), format!("0\r\n\r\n{inner}")] {
            let mut stream = TcpStream::connect(proxied::door(&besieged.world)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            // As from one who is nobody: were it let in, it would be by the other's name.
            stream.write_all(format!("{HOST}{head}\r\n{content}").as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut seen = Vec::new();
            // The end of a connection with something unread in it is a reset.
            drop(stream.read_to_end(&mut seen));
            assert!(!String::from_utf8_lossy(&seen).contains("HTTP/1.1 200"), "{what}");
            assert_eq!(besieged.producer.count(), besieged.calls, "{what}");
        }
    }
    besieged.is_well(0);
    besieged.has_withstood(9);
}

#[test]
fn chunks_that_are_none_are_refused() {
    let mut besieged = Besieged::start();
    let body = Besieged::forwarded();
    let size = format!("{:x}", body.len());
    let flood: String = (0..2_000).map(|at| format!("X-{at}: 1\r\n")).collect();
    for (what, chunks) in [
        ("a size that is none", format!("g\r\n{body}\r\n0\r\n\r\n")),
        ("no size", format!("\r\n{body}\r\n0\r\n\r\n")),
        ("a sign", format!("+{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a negative size", format!("-1\r\n{body}\r\n0\r\n\r\n")),
        ("0x", format!("0x{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a size beyond all", format!("ffffffffffffffff{size}\r\n{body}\r\n0\r\n\r\n")),
        ("a size of 2^64", format!("10000000000000000\r\n{body}\r\n0\r\n\r\n")),
        ("too small a size", format!("4\r\n{body}\r\n0\r\n\r\n")),
        ("no line after the data", format!("{size}\r\n{body}0\r\n\r\n")),
        ("a long extension", format!("{size};a={}\r\n{body}\r\n0\r\n\r\n", "x".repeat(100_000))),
        ("a NUL in the size", format!("{size}\0\r\n{body}\r\n0\r\n\r\n")),
        ("a flood of trailers", format!("{size}\r\n{body}\r\n0\r\n{flood}\r\n")),
        ("a huge trailer", format!("{size}\r\n{body}\r\n0\r\nX: {}\r\n\r\n", "x".repeat(100_000))),
        ("a trailer that is none", format!("{size}\r\n{body}\r\n0\r\nX y\0\r\n\r\n")),
    ] {
        let request = format!("{HOST}{XML}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        if let Some(seen) = raw_by("region", &besieged.world, request.as_bytes()) {
            assert!(seen.status >= 400, "{what}: {} {}", seen.status, seen.text());
        }
        assert_eq!(besieged.producer.count(), besieged.calls, "{what}");
    }
    // Trailers and extensions as they should be say nothing, and do no harm.
    let extended = format!("{size};a=b\r\n{body}\r\n0\r\nContent-Length: 4\r\nHost: x\r\n\r\n");
    let request = format!("{HOST}Transfer-Encoding: chunked\r\n\r\n{extended}");
    let seen = raw_by("region", &besieged.world, request.as_bytes()).unwrap();
    assert_eq!(seen.status, 200, "{}", seen.text());
    besieged.calls += 1;
    let got = besieged.producer.calls().pop().unwrap();
    assert!(got.text() == body && got.header("content-length") != Some("4"));
    besieged.has_withstood(9);
}

#[test]
fn request_lines_that_are_none_and_floods_of_headers_are_refused() {
    let besieged = Besieged::start();
    let body = Besieged::forwarded();
    let rest = format!("Host: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for first in [
        "",
        "POST",
        "POST /vp",
        "POST  /vp HTTP/1.1",
        "POST /v p HTTP/1.1",
        "POST /vp HTTP/1.2.3",
        "POST /vp HTTP/3.0",
        "POST /vp http/1.1",
        "POST /vp\0 HTTP/1.1",
        "P\u{e5}ST /vp HTTP/1.1",
        "PRI * HTTP/2.0",
        "\u{16}\u{3}\u{1}",
    ] {
        if let Some(seen) =
            raw_by("region", &besieged.world, format!("{first}\r\n{rest}").as_bytes())
        {
            assert!(seen.status >= 400, "{first:?}: {} {}", seen.status, seen.text());
        }
        assert_eq!(besieged.producer.count(), besieged.calls, "{first:?}");
    }
    let nobody = format!("POST /vp HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let seen = raw_by("region", &besieged.world, nobody.as_bytes()).unwrap();
    assert_eq!(seen.status, 400, "no host: {}", seen.text());
    let old = format!("POST /vp HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    assert!(raw_by("region", &besieged.world, old.as_bytes()).is_none_or(|it| it.status >= 400));
    let many: String = (0..300).map(|at| format!("X-{at}: 1\r\n")).collect();
    let long = format!("X: {}\r\n", "a".repeat(200_000));
    let wide = format!("{}: 1\r\n", "x".repeat(200_000));
    for head in [many, long, wide] {
        let request = format!("POST /vp HTTP/1.1\r\n{head}{rest}");
        if let Some(seen) = raw_by("region", &besieged.world, request.as_bytes()) {
            assert!([400, 431].contains(&seen.status), "{}", seen.status);
        }
    }
    let target = format!("POST /{} HTTP/1.1\r\n{rest}", "a".repeat(200_000));
    let seen = raw_by("region", &besieged.world, target.as_bytes());
    assert!(seen.is_none_or(|it| [400, 414, 431].contains(&it.status)));
    besieged.has_withstood(9);
}

#[test]
fn a_whole_target_and_lone_line_feeds_are_one_message_and_no_more() {
    let mut besieged = Besieged::start();
    let body = Besieged::forwarded();
    let absolute = whole().replace("POST /vp", "POST http://elsewhere.example.se/vp");
    let feeds = format!("POST /vp HTTP/1.1\nHost: a\nContent-Length: {}\n\n{body}", body.len());
    for request in [absolute, feeds] {
        let seen = raw_by("region", &besieged.world, request.as_bytes()).unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
        besieged.calls += 1;
        let got = besieged.producer.calls().pop().unwrap();
        assert_eq!((got.text(), got.first.as_str()), (body.clone(), "POST / HTTP/1.1"));
    }
    besieged.has_withstood(9);
}

#[test]
fn rubbish_after_a_message_is_not_taken_for_another() {
    let mut besieged = Besieged::start();
    for rubbish in ["\0\0\0\0", "HTTP/1.1 200 OK\r\n\r\n", "GET\r\n\r\n", "</s:Envelope>\r\n\r\n"] {
        let mut connection = connect(&besieged.world, "region");
        connection.send((whole() + rubbish).as_bytes()).unwrap();
        assert_eq!(answer(&mut connection).unwrap().status, 200);
        besieged.calls += 1;
        if let Some(seen) = answer(&mut connection) {
            assert_eq!(seen.status, 400, "{rubbish:?}: {}", seen.text());
        }
        assert!(connection.is_closed_within(PATIENCE), "{rubbish:?}");
    }
    // What is well formed and follows is another message: that is what a kept connection is for.
    let mut connection = connect(&besieged.world, "region");
    connection.send((whole() + &whole()).as_bytes()).unwrap();
    for _ in 0..2 {
        assert_eq!(answer(&mut connection).unwrap().status, 200);
        besieged.calls += 1;
    }
    besieged.has_withstood(9);
}

#[test]
fn what_is_no_soap_call_is_answered() {
    let besieged = Besieged::start();
    let zipped = post(
        &besieged.world,
        &format!("{XML}Content-Encoding: gzip\r\n"),
        &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3],
    );
    assert!(zipped.unwrap().outcome().contains("VP015"));
    let get = raw_by("region", &besieged.world, b"GET /vp HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let get = get.unwrap();
    assert!(get.status == 404 && get.text().contains("?wsdl"), "{}", get.text());
    besieged.has_withstood(9);
}

/// Gives `bytes` one by one until the other side ends it; how long that took.
fn drip(connection: &mut Connection, bytes: &[u8], every: Duration) -> Duration {
    let began = Instant::now();
    for byte in bytes.iter().cycle() {
        if connection.send(&[*byte]).is_err() || connection.is_closed_within(every) {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE * 2, "still open");
    }
    began.elapsed()
}

#[test]
fn a_head_or_a_body_that_comes_by_the_byte_is_given_up_and_delays_nobody() {
    let mut besieged = Besieged::start();
    let body = Besieged::forwarded();
    let begun = format!("{HOST}Content-Length: 100000\r\n\r\n");
    let starts = [
        ("region", format!("{HOST}X: "), 16),
        ("region", begun.clone(), 25),
        // The head of the message is known: it is on its way to a producer.
        ("region", format!("{begun}{}", &body[..body.len() - 30]), 30),
        ("1177", begun, 25),
    ];
    let world = &besieged.world;
    std::thread::scope(|scope| {
        for (caller, start, seconds) in starts {
            scope.spawn(move || {
                let mut connection = connect(world, caller);
                connection.send(start.as_bytes()).unwrap();
                let took = drip(&mut connection, b"x", Duration::from_millis(500));
                assert!(took < Duration::from_secs(seconds), "{caller}: {took:?}");
            });
        }
        for of in 20..40 {
            let began = Instant::now();
            let seen = World::caller("1177").post(world.https, good(0).as_bytes()).unwrap();
            assert!(seen.outcome().starts_with("INFO"), "{of}: {}", seen.text());
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
    });
    besieged.is_well(0);
    besieged.has_withstood(9);
}
