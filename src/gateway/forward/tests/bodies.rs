//! Large messages, other character sets, the other profile, attachments.

use super::*;

const MB: usize = 1024 * 1024;

/// Sends a message of `size` that is made as it goes, and reads the answer as it comes.
async fn large(world: &World, size: usize) -> (String, usize) {
    let mut stream = world.connect("region").await;
    let whole = message("SE1", "\u{1}");
    let (before, after) = whole.split_once('\u{1}').unwrap();
    let length = before.len() + size + after.len();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{before}");
    let (mut read, mut write) = tokio::io::split(&mut stream);
    let sending = async {
        write.write_all(head.as_bytes()).await.unwrap();
        let block = vec![b'x'; MB];
        for _ in 0..size / MB {
            write.write_all(&block).await.unwrap();
        }
        write.write_all(after.as_bytes()).await.unwrap();
        write.flush().await.unwrap();
    };
    let reading = async { answer(&mut read).await.unwrap() };
    let ((), seen) = tokio::join!(sending, reading);
    (seen.status().to_owned(), seen.body.len())
}

#[tokio::test]
async fn fifty_megabytes_pass_both_ways() {
    let body = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\">{}</e:Envelope>", "y".repeat(50 * MB));
    let length = body.len();
    let producer = producer(http("200 OK", "", &body)).await;
    let world = World::patient(&producer.url).await;
    assert_eq!(large(&world, 50 * MB).await, ("200".to_owned(), length));
    assert!(producer.last().body.len() > 50 * MB);
}

#[tokio::test]
async fn a_producer_that_takes_nothing_slows_its_caller_down_and_nothing_piles_up() {
    let (hung, port) = listener().await;
    let world = World::patient(&format!("http://127.0.0.1:{port}/")).await;
    let mut stream = world.connect("region").await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}",
        90 * MB,
        message("SE1", "").split_once("</c:Do").unwrap().0
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (_at_producer, _) = hung.accept().await.unwrap();
    let block = vec![b'x'; MB];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(300 * MS, stream.write(&block)).await {
        sent += written.unwrap();
        assert!(sent < 60 * MB, "nobody reads, and still it is taken");
    }
    // What was taken lies in the buffers of sockets.
    assert!(sent < 40 * MB, "{sent}");
}

#[tokio::test]
async fn a_message_without_length_gets_one_when_it_is_small_and_chunks_when_it_is_large() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    for (size, known) in [(10, true), (200_000, false)] {
        let body = message("SE1", &"x".repeat(size));
        let mut stream = world.connect("region").await;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.unwrap().status(), "200");
        let got = producer.last();
        assert_eq!(got.body, body.as_bytes());
        assert_eq!(got.header("content-length").is_some(), known);
        assert_eq!(got.header("transfer-encoding").is_some(), !known);
    }
}

#[tokio::test]
async fn a_message_that_is_cut_off_never_looks_whole_to_its_producer() {
    let (listener, port) = listener().await;
    let world = World::new(&format!("http://127.0.0.1:{port}/")).await;
    let body = message("SE1", &"x".repeat(200_000));
    for framing in [format!("Content-Length: {}", body.len()), "Transfer-Encoding: chunked".into()]
    {
        let mut stream = world.connect("region").await;
        let chunk = if framing.contains("chunked") { "40000\r\n" } else { "" };
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{chunk}");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes().get(..150_000).unwrap()).await.unwrap();
        stream.flush().await.unwrap();
        let (mut at_producer, _) = listener.accept().await.unwrap();
        let hung_up = async {
            tokio::time::sleep(50 * MS).await;
            drop(stream);
        };
        let (seen, ()) = tokio::join!(answer(&mut at_producer), hung_up);
        assert!(seen.is_none());
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let mut stream = world.connect("region").await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 101 * MB);
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().fault().0, "VP015");
    assert_eq!(producer.calls(), 0);
}

#[tokio::test]
async fn a_call_is_rewritten_to_the_profile_that_its_producer_wants() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    for (sent, want) in [
        (message("SE0", "Åä"), message_20("SE0", "Åä")),
        (message_20("SE1", "Åä"), message("SE1", "Åä")),
        (message_20("SE0", "Åä"), message_20("SE0", "Åä")),
    ] {
        assert_eq!(world.call("", sent.as_bytes()).await.status(), "200");
        let got = producer.last();
        assert_eq!(got.text(), want);
        assert_eq!(got.header("content-length"), Some(want.len().to_string().as_str()));
    }
    // A large one streams.
    let body = "x".repeat(5 * MB);
    assert_eq!(world.call("", message("SE0", &body).as_bytes()).await.status(), "200");
    assert!(producer.last().text() == message_20("SE0", &body));
    // What cannot be rewritten is VP012.
    let (code, _) = world.call("", message("SE0", "<a b></a>").as_bytes()).await.fault();
    assert_eq!(code, "VP012");
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[tokio::test]
async fn a_call_in_utf_16_reaches_its_producer_in_utf_8_and_gets_its_answer_in_utf_16() {
    let answer = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\">Åäö€</e:Envelope>");
    let producer = producer(http("200 OK", "", &answer)).await;
    let world = World::new(&producer.url).await;
    let sent = message("SE1", "Åäö€").replace("\"UTF-8\"", "\"UTF-16\"");
    for content_type in ["", "Content-Type: text/xml; charset=utf-16\r\n"] {
        let bytes = utf16(&format!("\u{feff}{sent}"));
        let seen = world.call(content_type, &bytes).await;
        assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-16"));
        assert_eq!(seen.body, utf16(&format!("\u{feff}{answer}")));
        let got = producer.last();
        assert_eq!(got.text(), message("SE1", "Åäö€"));
        assert_eq!(got.header("content-type"), Some("text/xml;charset=UTF-8"));
    }
    // What says UTF-16 and is UTF-8 is left alone.
    world.call("Content-Type: text/xml; charset=utf-16\r\n", sent.as_bytes()).await;
    assert_eq!(producer.last().text(), sent);
    let latin: Vec<u8> =
        message("SE1", "\u{c5}").chars().map(|c| u8::try_from(c).unwrap()).collect();
    let seen = world.call("Content-Type: text/xml; charset=ISO-8859-1\r\n", &latin).await;
    assert_eq!(seen.header("content-type"), Some("text/xml; charset=ISO-8859-1"));
    assert!(seen.body.ends_with(b">\xc5\xe4\xf6&#8364;</e:Envelope>"), "{}", seen.text());
    assert_eq!(producer.last().text(), message("SE1", "\u{c5}"));
}

#[tokio::test]
async fn an_answer_in_another_character_set_is_converted_for_its_caller() {
    let answer = utf16(&format!("\u{feff}<e:Envelope xmlns:e=\"{ENVELOPE}\">Å</e:Envelope>"));
    let mut raw =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len()).into_bytes();
    raw.extend(answer);
    let producer = producer(raw).await;
    let seen = World::new(&producer.url).await.call("", message("SE1", "").as_bytes()).await;
    assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-8"));
    assert!(seen.text().ends_with(">Å</e:Envelope>"), "{}", seen.text());
}

fn multipart(envelope: &str) -> Vec<u8> {
    let mut all = format!(
        "--b=1\r\nContent-Type: application/xop+xml; charset=UTF-8; type=\"text/xml\"\r\n\
         Content-Transfer-Encoding: 8bit\r\nContent-ID: <root>\r\n\r\n{envelope}\r\n\
         --b=1\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\
         Content-ID: <file>\r\n\r\n"
    )
    .into_bytes();
    all.extend((0..100_000_u32).map(|n| n.to_le_bytes()[0].wrapping_mul(7)));
    all.extend(b"\r\n--b=1--\r\n");
    all
}

#[tokio::test]
async fn an_mtom_message_passes_whole_both_ways_and_its_envelope_is_rewritten_where_it_must_be() {
    let kind =
        "multipart/related; type=\"application/xop+xml\"; start=\"<root>\"; boundary=\"b=1\"";
    let back = multipart(&format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"/>"));
    let mut raw = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        back.len()
    )
    .into_bytes();
    raw.extend(&back);
    let producer = producer(raw).await;
    let world = World::new(&producer.url).await;
    let header = format!("Content-Type: {kind}\r\n");
    for (sent, want) in [
        (message("SE1", "<x:Include/>"), message("SE1", "<x:Include/>")),
        (message("SE0", "<x:Include/>"), message_20("SE0", "<x:Include/>")),
    ] {
        let seen = world.call(&header, &multipart(&sent)).await;
        assert_eq!((seen.status(), seen.header("content-type")), ("200", Some(kind)));
        assert_eq!(seen.body, back);
        let got = producer.last();
        assert_eq!(got.header("content-type"), Some(kind));
        assert_eq!(got.body, multipart(&want));
    }
    let seen = world.call(&header, b"--b=1\r\nContent-Type: text/xml\r\n\r\n<a/>\r\n--b=1--").await;
    assert_eq!(seen.fault().0, "VP015");
}

#[tokio::test]
async fn a_caller_that_reads_nothing_slows_its_producer_down_and_nothing_piles_up() {
    let (listener, port) = listener().await;
    let world = World::new(&format!("http://127.0.0.1:{port}/")).await;
    let mut stream = world.connect("region").await;
    let body = message("SE1", "");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let (mut at_producer, _) = listener.accept().await.unwrap();
    answer(&mut at_producer).await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 90 * MB);
    at_producer.write_all(head.as_bytes()).await.unwrap();
    let block = vec![b'x'; MB];
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(300 * MS, at_producer.write(&block)).await {
        sent += written.unwrap();
        assert!(sent < 60 * MB, "nobody reads, and still it is taken");
    }
    assert!(sent < 40 * MB, "{sent}");
    // The producer has waited longer than its own time, and the call goes on when it is read again.
    tokio::time::sleep(1000 * MS).await;
    let finishing = async {
        while sent < 90 * MB {
            let left = block.get(..MB.min(90 * MB - sent)).unwrap();
            sent += at_producer.write(left).await.unwrap();
        }
    };
    let (seen, ()) = tokio::join!(answer(&mut stream), finishing);
    assert_eq!(seen.unwrap().body.len(), 90 * MB);
}

#[tokio::test]
async fn a_slow_caller_does_not_use_up_the_time_of_its_producer() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let body = message("SE1", &"x".repeat(100_000));
    let mut stream = world.connect("region").await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // Two seconds and more, where the producer has one.
    for chunk in body.as_bytes().chunks(17_000) {
        stream.write_all(chunk).await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(350 * MS).await;
    }
    assert_eq!(answer(&mut stream).await.unwrap().status(), "200");
    assert_eq!(producer.last().body, body.as_bytes());
}

#[tokio::test]
async fn an_answer_that_comes_before_the_message_has_ended_reaches_the_caller() {
    let (listener, port) = listener().await;
    let world = World::patient(&format!("http://127.0.0.1:{port}/")).await;
    let mut stream = world.connect("region").await;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 5 * MB);
    let begun = message("SE1", &"x".repeat(100_000));
    stream.write_all((head + &begun).as_bytes()).await.unwrap();
    let (mut at_producer, _) = listener.accept().await.unwrap();
    at_producer.read_u8().await.unwrap();
    let fault = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Fault/></e:Envelope>");
    at_producer.write_all(http("500 No", "", &fault).as_bytes()).await.unwrap();
    let seen = tokio::time::timeout(5000 * MS, answer(&mut stream)).await.unwrap().unwrap();
    assert_eq!((seen.status(), seen.text()), ("500", fault));
}

#[tokio::test]
async fn a_message_in_utf_16_is_rewritten_too() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let sent = utf16(&format!("\u{feff}{}", message("SE0", "Åäö€")));
    assert_eq!(world.call("", &sent).await.status(), "200");
    assert_eq!(producer.last().text(), message_20("SE0", "Åäö€"));
}
