//! Input that nobody sends in good faith: each is answered or cut off in bounded time, and the
//! gateway is as well afterwards as before.

use std::io;
use std::time::{Duration, Instant};

use crate::support::{Answer, File, VC1, World, case_id, complaint};

/// More than any of the gateway's own bounds for what is tried here.
const PATIENCE: Duration = Duration::from_secs(35);
const MEMORY_GROWTH_MAX: u64 = 96 * 1024 * 1024;

fn good(of: u32) -> String {
    let id = format!("77aa3a52-61f2-4a44-8f07-{of:012}");
    complaint(VC1, &id, &case_id(&format!("h-{of}")), "Vanligt.", &[])
}

/// Sends raw bytes; the first answer, or none when the connection is closed without one.
fn raw(world: &World, bytes: &[u8]) -> Option<Answer> {
    let start = Instant::now();
    let mut connection = World::caller("1177").connect_within(world.https, PATIENCE).unwrap();
    // Who refuses early may close while we still write.
    let sent = connection.send(bytes);
    let answer = match connection.answer() {
        Ok(answer) => Some(answer),
        Err(error) => {
            let waited =
                [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
            assert!(!waited, "neither answer nor end within {PATIENCE:?} ({sent:?})");
            None
        }
    };
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    answer
}

fn post(world: &World, headers: &str, body: &[u8]) -> Option<Answer> {
    let mut bytes = format!(
        "POST /vp HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    raw(world, &bytes)
}

const XML: &str = "Content-Type: text/xml; charset=utf-8\r\n";

fn utf16(text: &str) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xfe];
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

#[test]
fn hostile_messages_are_refused_in_words_and_the_gateway_lives_on() {
    let mut world = World::plan().start();
    assert_eq!(
        World::caller("1177").post(world.https, good(1).as_bytes()).unwrap().outcome(),
        "OK"
    );
    let before = world.resident();
    let in_description = |what: &str| good(2).replace("Vanligt.", what);
    let mebibyte = "x".repeat(1024 * 1024);
    let laughs = format!(
        "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"{}\">]>{}",
        "&a;".repeat(1000),
        good(2)
    );
    let deep = |levels: usize| format!("{}{}", "<z>".repeat(levels), "</z>".repeat(levels));
    let many = "<c:z xmlns:c=\"urn:z\"/>".repeat(20_000);
    let attributes: String = (0..2_000).map(|at| format!(" a{at}=\"1\"")).collect();
    let doctype = good(2).replacen("?>", "?><!DOCTYPE e:Envelope>", 1);
    for (what, body) in [
        ("a DOCTYPE", doctype),
        ("entities", laughs),
        ("an external entity", format!("<!DOCTYPE a SYSTEM \"file:///etc/passwd\">{}", good(2))),
        ("65 levels", in_description(&deep(65))),
        ("100 000 levels", in_description(&deep(100_000))),
        ("100 000 levels without an end", in_description(&"<z>".repeat(100_000))),
        ("a skeleton over 1 MB", in_description(&mebibyte)),
        ("40 MB of text", in_description(&mebibyte.repeat(40))),
        ("20 000 elements", in_description(&many)),
        ("2 000 attributes", good(2).replace("<r:sentTime", &format!("<r:sentTime{attributes}"))),
        ("a head without an end", format!("<e:Envelope {}", "a".repeat(200_000))),
        ("nothing", String::new()),
        ("blanks", " ".repeat(300_000)),
        ("zeros", "\0".repeat(300_000)),
        ("a comment without an end", format!("<!-- {}", "x".repeat(2_000_000))),
    ] {
        let answer =
            post(&world, XML, body.as_bytes()).unwrap_or_else(|| panic!("{what}: no answer"));
        assert!(
            answer.outcome().starts_with("FAULT SOAP-ENV:Client VP0"),
            "{what}: {}",
            answer.text()
        );
        assert!(answer.body.len() < 4_000, "{what}: {}", answer.text());
        assert!(!answer.text().contains("xxxx"), "{what}: the message is quoted back");
    }
    unusual_encodings(&world);
    unusual_http(&world);
    assert!(world.lives());
    let outcome = World::caller("1177").post(world.https, good(9).as_bytes()).unwrap().outcome();
    assert_eq!(outcome, "OK");
    assert_eq!(world.admin("/readyz").0, 200);
    let grown = world.resident().saturating_sub(before);
    assert!(grown < MEMORY_GROWTH_MAX, "{} MB more than before", grown >> 20);
    assert!(!world.log().contains("panic"), "{}", world.log());
}

fn half_a_character(text: &str) -> Vec<u8> {
    let at = text.find('Å').unwrap();
    text.as_bytes()[..=at].to_vec()
}

/// What is right in another encoding is taken; what is wrong in any is refused.
fn unusual_encodings(world: &World) {
    let declared = |of, name: &str| good(of).replacen("UTF-8", name, 1);
    for (what, headers, body, expected) in [
        ("UTF-16", "Content-Type: text/xml\r\n", utf16(&declared(3, "UTF-16")), "OK"),
        ("ISO-8859-1", "Content-Type: text/xml\r\n", latin1(&declared(4, "ISO-8859-1")), "OK"),
        ("Latin-1 bytes called UTF-8", XML, latin1(&good(5)), "VP015"),
        ("UTF-7", "Content-Type: text/xml; charset=utf-7\r\n", good(5).into_bytes(), "VP015"),
        ("half a character", XML, half_a_character(&good(5)), "VP015"),
    ] {
        let answer = post(world, headers, &body).unwrap_or_else(|| panic!("{what}: no answer"));
        assert!(answer.outcome().contains(expected), "{what}: {}", answer.text());
    }
}

/// HTTP that is not a SOAP call, or that two readers would take for different things.
fn unusual_http(world: &World) {
    let text = good(6);
    let gzip = format!("{XML}Content-Encoding: gzip\r\n");
    let answer = post(world, &gzip, &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]).unwrap();
    assert!(answer.status == 415 || answer.outcome().contains("VP015"), "{}", answer.text());
    let answer = raw(world, b"GET /vp HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("?wsdl"), "{}", answer.text());
    // Whatever the answer, nothing that came after the message is taken for a second one.
    let length = text.len();
    for (what, head) in [
        ("two lengths", format!("Content-Length: {length}\r\nContent-Length: 4\r\n")),
        (
            "a length and chunks",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        ),
        ("chunks spelled otherwise", "Transfer-Encoding: xchunked\r\n".to_owned()),
        ("a length with a sign", format!("Content-Length: +{length}\r\n")),
        ("a length that is none", "Content-Length: 1e3\r\n".to_owned()),
        ("a header with a blank", "Content-Length : 5\r\n".to_owned()),
        ("a folded header", "X: a\r\n b\r\nContent-Length: 5\r\n".to_owned()),
    ] {
        let bytes = format!("POST /vp HTTP/1.1\r\nHost: localhost\r\n{XML}{head}\r\n{text}");
        if let Some(answer) = raw(world, bytes.as_bytes()) {
            assert!(answer.status >= 400, "{what}: {} {}", answer.status, answer.text());
        }
    }
    let headers: String = (0..300).map(|at| format!("X-{at}: 1\r\n")).collect();
    for head in [headers, format!("X: {}\r\n", "a".repeat(200_000))] {
        if let Some(answer) =
            raw(world, format!("GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n").as_bytes())
        {
            assert_eq!(answer.status, 431, "{}", answer.text());
        }
    }
}

#[test]
fn a_message_over_the_bound_is_refused_however_its_length_is_told() {
    let world = World::plan().set("limits", "message_bytes = 2_000_000").start();
    let files = [File::pdf("stor.pdf", 3_000_000, 3)];
    let large =
        complaint(VC1, "77aa3a52-61f2-4a44-8f07-000000000777", &case_id("l"), "Stort.", &files);
    let answer = post(&world, XML, large.as_bytes()).unwrap();
    assert!(answer.outcome().contains("VP015"), "{}", answer.text());
    let mut chunked =
        format!("POST /vp HTTP/1.1\r\nHost: localhost\r\n{XML}Transfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in large.as_bytes().chunks(60_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = raw(&world, &chunked).unwrap();
    assert!(answer.outcome().contains("VP015"), "{}", answer.text());
}

#[test]
fn who_is_refused_in_the_middle_of_a_large_message_hears_why() {
    let world = World::plan().start();
    let files: Vec<File> = (0..3).map(|at| File::pdf("stor.pdf", 8_000_000, at)).collect();
    let large =
        complaint(VC1, "77aa3a52-61f2-4a44-8f07-000000000778", &case_id("n"), "Stort.", &files);
    for _ in 0..3 {
        let answer = World::caller("obehorig").post(world.https, large.as_bytes()).unwrap();
        assert!(answer.outcome().contains("VP007"), "{}", answer.text());
    }
}

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

#[test]
fn plain_http_and_other_noise_at_the_tls_door_are_told_in_the_log() {
    use std::io::{Read as _, Write as _};
    let world = World::plan().start();
    let from = world.log().len();
    let mut plain = std::net::TcpStream::connect(world.https).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut told = String::new();
    plain.read_to_string(&mut told).unwrap();
    assert!(told.contains("HTTPS only"), "{told}");
    world.wait_log(from, "plain HTTP came to the TLS port");
    let mut noise = std::net::TcpStream::connect(world.https).unwrap();
    noise.write_all(b"\x00\x01\x02noise").unwrap();
    world.wait_log(from, "what came is not TLS");
}
