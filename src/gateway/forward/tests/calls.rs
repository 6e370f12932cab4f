//! Headers, permissions, connections: what a producer gets, and when it gets nothing.

use super::*;

#[tokio::test]
async fn a_call_reaches_its_producer_byte_for_byte_and_the_answer_comes_back() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    // Nothing after the first element of the body is looked at.
    let sent = message("SE1", "Åäö <broken & not XML \u{1}");
    let headers = "SOAPAction: \"urn:c:1:Do\"\r\nContent-Type: text/xml\r\nMyHeader: 1\r\n\
                   X-Rivta-Any: Mixed Case\r\nx-vp-sender-id: SE9\r\nUser-Agent: x\r\n";
    let seen = world.call(headers, sent.as_bytes()).await;
    assert_eq!(seen.status(), "200");
    assert_eq!(seen.body, ok().split_once("\r\n\r\n").unwrap().1.as_bytes());
    assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-8"));
    assert!(seen.header("x-skltp-prt").unwrap().parse::<u64>().unwrap() < 1000);
    let correlation = seen.header("x-skltp-correlation-id").unwrap();
    let got = producer.last();
    assert_eq!(got.body, sent.as_bytes());
    assert!(got.head.starts_with("POST /p?x=1 HTTP/1.1\r\n"), "{}", got.head);
    for (name, value) in [
        ("host", producer.url.split('/').nth(2).unwrap()),
        ("content-type", "text/xml;charset=UTF-8"),
        ("content-length", sent.len().to_string().as_str()),
        ("soapaction", "\"urn:c:1:Do\""),
        ("myheader", "1"),
        ("x-rivta-any", "Mixed Case"),
        ("x-vp-sender-id", "SE0000000000-REGION"),
        ("x-vp-instance-id", "klagomal-test"),
        ("x-rivta-original-serviceconsumer-hsaid", "SE0000000000-REGION"),
        ("x-skltp-correlation-id", correlation),
    ] {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    assert!(got.header("user-agent").unwrap().starts_with("klagomal/"));
}

#[tokio::test]
async fn the_address_may_stand_in_any_version_of_the_registry_and_a_double_one_has_two_parts() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let (one, two) =
        ("urn:riv:itintegration:registry:1", "urn:riv:infrastructure:itintegration:registry:2");
    for body in [message("SE1", "").replace(one, two), message("SE9#SE1", "")] {
        let seen = world.call("", body.as_bytes()).await;
        assert_eq!(seen.status(), "200", "{}", seen.text());
        assert_eq!(producer.last().text(), body);
    }
    // More than two are routed, and nobody may.
    let three = message("SE1#SE8#SE9", "");
    assert_eq!(world.call("", three.as_bytes()).await.fault().0, "VP007");
}

#[tokio::test]
async fn a_correlation_id_is_kept_and_query_parameters_go_nowhere() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let mut stream = world.connect("region").await;
    let body = message("SE1", "");
    let head = format!(
        "POST /vp?leak=1 HTTP/1.1\r\nHost: a\r\nx-skltp-correlation-id: abc-1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let seen = answer(&mut stream).await.unwrap();
    assert_eq!(seen.header("x-skltp-correlation-id"), Some("abc-1"));
    let got = producer.last();
    assert_eq!(got.header("x-skltp-correlation-id"), Some("abc-1"));
    assert!(!got.head.contains("leak"), "{}", got.head);
}

async fn tls_producer(made: &Certificates, host: &str) -> Producer {
    let (listener, port) = listener().await;
    let mut settings = made.settings();
    settings.certificate = made.path("region.crt");
    settings.key = made.path("region.key");
    let server = ServerTls::new(settings, Arc::new(made.clock.clone())).unwrap();
    let tls = TlsAcceptor::from(server.accepting().config);
    producer_on(listener, format!("https://{host}:{port}/p"), Some(tls), ok().into())
}

#[tokio::test]
async fn a_producer_over_mutual_tls_is_called_and_is_never_told_x_vp_headers() {
    let made = Certificates::make();
    let producer = tls_producer(&made, "localhost").await;
    let world = World::with(made, &tak(&producer.url, false), bounds()).await;
    let seen = world.call("x-vp-sender-id: SE9\r\n", message("SE1", "").as_bytes()).await;
    assert_eq!(seen.status(), "200", "{}", seen.text());
    let got = producer.last();
    assert!(!got.head.contains("x-vp"), "{}", got.head);
    assert_eq!(got.header("x-skltp-correlation-id"), seen.header("x-skltp-correlation-id"));
}

#[tokio::test]
async fn a_producer_under_another_host_name_is_not_trusted() {
    let made = Certificates::make();
    // The certificate names localhost and 127.0.0.1; 127.0.0.2 reaches the same port on Linux.
    let (listener, port) = {
        let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    };
    let server = made.server(made.settings());
    let tls = TlsAcceptor::from(server.accepting().config);
    let url = format!("https://127.0.0.2:{port}/p");
    let producer = producer_on(listener, url, Some(tls), ok().into());
    let world = World::with(made, &tak(&producer.url, false), bounds()).await;
    let seen = world.call("", message("SE1", "").as_bytes()).await;
    let (code, detail) = seen.fault();
    assert_eq!(code, "VP009");
    assert!(detail.contains("we refused the producer's certificate"), "{detail}");
    assert_eq!(producer.calls(), 0);
}

#[tokio::test]
async fn a_producer_that_refuses_our_certificate_is_told_in_one_sentence() {
    let made = Certificates::make();
    let (listener, port) = listener().await;
    let mut settings = made.settings();
    settings.trust = vec![made.path("wrong-ca.crt")];
    settings.lists = Vec::new();
    let server = made.server(settings);
    let tls = TlsAcceptor::from(server.accepting().config);
    let producer =
        producer_on(listener, format!("https://localhost:{port}/p"), Some(tls), ok().into());
    let world = World::with(made, &tak(&producer.url, false), bounds()).await;
    let (code, detail) = world.call("", message("SE1", "").as_bytes()).await.fault();
    assert_eq!(code, "VP009");
    assert!(detail.contains("does not trust the issuer of our certificate"), "{detail}");
}

#[tokio::test]
async fn refusals_come_before_anything_is_sent() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    for (body, code) in [
        (message("SE1", "").replace("SE1", " "), "VP003"),
        (message("SE2", ""), "VP004"),
        (message(" SE1", ""), "VP004"),
        ("<Soap".to_owned(), "VP015"),
        (String::new(), "VP015"),
    ] {
        assert_eq!(world.call("", body.as_bytes()).await.fault().0, code, "{body}");
    }
    let (code, detail) = world.call_by("obehorig", "", message("SE1", "").as_bytes()).await.fault();
    assert_eq!(code, "VP007");
    assert!(detail.contains("senderId: SE0000000000-OBEHORIG"), "{detail}");
    let history = "x-rivta-routing-history: SE9#klagomal-test\r\n";
    assert_eq!(world.call(history, message("SE1", "").as_bytes()).await.fault().0, "VP014");
    assert_eq!(producer.calls(), 0);
}

#[tokio::test]
async fn the_original_consumer_is_for_those_who_may_as_soon_as_anybody_is_named() {
    let producer = producer(ok()).await;
    let header = "x-rivta-original-serviceconsumer-hsaid: SE9\r\n";
    let body = message("SE1", "");
    let open = World::new(&producer.url).await;
    assert_eq!(open.call(header, body.as_bytes()).await.status(), "200");
    let named = World::with(Certificates::make(), &tak(&producer.url, true), bounds()).await;
    let (code, detail) = named.call(header, body.as_bytes()).await.fault();
    assert_eq!(code, "VP013");
    assert!(detail.starts_with("Sender is not approved"), "{detail}");
    // One's own instance id opens nothing.
    let trick = format!("{header}x-vp-instance-id: klagomal-test\r\n");
    assert_eq!(named.call(&trick, body.as_bytes()).await.fault().0, "VP013");
    assert_eq!(named.call_by("1177", header, body.as_bytes()).await.status(), "200");
    let original = "x-rivta-original-serviceconsumer-hsaid";
    assert_eq!(producer.last().header(original), Some("SE9"));
    assert_eq!(producer.calls(), 2);
}

#[tokio::test]
async fn connections_to_a_producer_are_kept_and_used_again() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    for _ in 0..5 {
        assert_eq!(world.call("", message("SE1", "").as_bytes()).await.status(), "200");
        // The connection is kept when the answer has been read; that can be after it was passed on.
        tokio::time::sleep(20 * MS).await;
    }
    assert_eq!((producer.calls(), producer.connections.load(Ordering::SeqCst)), (5, 1));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_or_reset_is_not_noticed_by_a_caller() {
    let (listener, port) = listener().await;
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let got = answer(&mut stream).await.unwrap();
            assert!(!got.body.is_empty());
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(ok().as_bytes()).await.unwrap();
            tokio::time::sleep(50 * MS).await;
            stream.set_zero_linger().unwrap();
        }
    });
    let world = World::new(&format!("http://localhost:{port}/")).await;
    for round in 1..=3 {
        let seen = world.call("", message("SE1", "").as_bytes()).await;
        assert_eq!(seen.status(), "200", "{}", seen.text());
        assert_eq!(served.load(Ordering::SeqCst), round);
        tokio::time::sleep(100 * MS).await;
    }
}

#[tokio::test]
async fn a_call_that_may_have_been_received_is_never_sent_again() {
    let (listener, port) = listener().await;
    let got = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                while answer(&mut stream).await.is_some() {
                    // The first is answered, so that the connection is kept; the others are lost.
                    if count.fetch_add(1, Ordering::SeqCst) > 0 {
                        stream.set_zero_linger().unwrap();
                        return;
                    }
                    stream.write_all(ok().as_bytes()).await.unwrap();
                }
            });
        }
    });
    let world = World::new(&format!("http://localhost:{port}/")).await;
    assert_eq!(world.call("", message("SE1", "").as_bytes()).await.status(), "200");
    tokio::time::sleep(50 * MS).await;
    for sent in 2..=3 {
        let (code, detail) = world.call("", message("SE1", "").as_bytes()).await.fault();
        assert_eq!((code.as_str(), got.load(Ordering::SeqCst)), ("VP009", sent), "{detail}");
    }
}

#[tokio::test]
async fn connecting_is_tried_twice() {
    let (closed, port) = listener().await;
    drop(closed);
    let world = World::new(&format!("http://127.0.0.1:{port}/")).await;
    let (code, detail) = world.call("", message("SE1", "").as_bytes()).await.fault();
    assert_eq!(code, "VP009");
    let begins =
        format!("Error connecting to service producer at address http://127.0.0.1:{port}/. ");
    assert!(detail.starts_with(&begins) && detail.contains("refused"), "{detail}");
    let late = async {
        tokio::time::sleep(100 * MS).await;
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        answer(&mut stream).await.unwrap();
        stream.write_all(ok().as_bytes()).await.unwrap();
    };
    let body = message("SE1", "");
    let (seen, ()) = tokio::join!(world.call("", body.as_bytes()), late);
    assert_eq!(seen.status(), "200");
}

#[tokio::test]
async fn a_hung_producer_holds_its_own_callers_and_no_more() {
    let (hung, port) = listener().await;
    let mut tak = tak(&format!("http://127.0.0.1:{port}/"), false).replace("\"1s\"", "\"4s\"");
    let good = producer(ok()).await;
    tak.push_str(&format!(
        "[[route]]\ncontract = \"urn:c:1\"\nlogical_address = \"SE7\"\naddress = \"{}\"\n",
        good.url
    ));
    let world = World::with(Certificates::make(), &tak, bounds()).await;
    let body = message("SE1", "");
    let begun = Instant::now();
    let third = async {
        tokio::time::sleep(300 * MS).await;
        let (code, detail) = world.call("", body.as_bytes()).await.fault();
        assert_eq!(code, "VP009");
        assert!(detail.contains("too many calls"), "{detail}");
        for _ in 0..10 {
            assert_eq!(world.call("", message("SE7", "").as_bytes()).await.status(), "200");
        }
        assert!(begun.elapsed() < 3500 * MS, "{:?}", begun.elapsed());
    };
    let (one, two) = (world.call("", body.as_bytes()), world.call("", body.as_bytes()));
    let (one, two, ()) = tokio::join!(one, two, third);
    for seen in [one, two] {
        let (code, detail) = seen.fault();
        assert_eq!(code, "VP009");
        assert!(detail.contains("Timeout when waiting on response from producer."), "{detail}");
    }
    drop(hung);
    // And the places are free again.
    tokio::time::sleep(100 * MS).await;
    let (_, detail) = world.call("", body.as_bytes()).await.fault();
    assert!(!detail.contains("too many calls"), "{detail}");
}

#[tokio::test]
async fn a_caller_that_hangs_up_frees_its_place() {
    let (hung, port) = listener().await;
    let world = World::patient(&format!("http://127.0.0.1:{port}/")).await;
    for _ in 0..5 {
        let mut stream = world.connect("region").await;
        let body = message("SE1", "");
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (mut at_producer, _) = hung.accept().await.unwrap();
        answer(&mut at_producer).await.unwrap();
        drop(stream);
        // The call to the producer ends too.
        let ended = tokio::time::timeout(5000 * MS, at_producer.read_u8()).await.unwrap();
        assert!(ended.is_err());
    }
}

#[tokio::test]
async fn a_new_pool_opens_new_connections() {
    let made = Certificates::make();
    let producer = tls_producer(&made, "localhost").await;
    let client = ClientTls::new(made.settings(), Arc::new(made.clock.clone())).unwrap();
    let world = World::with(made, &tak(&producer.url, false), bounds()).await;
    assert_eq!(world.call("", message("SE1", "").as_bytes()).await.status(), "200");
    tokio::time::sleep(20 * MS).await;
    let another = Single(Arc::new(Pool::new(Some(client.config()), bounds())));
    let address = Address::parse(&producer.url).unwrap();
    for (pools, connections) in [(&*world.pool, 1), (&another, 2)] {
        let pool = pools.pool(None).unwrap();
        let mut request = Request::new(listen::full("x"));
        *request.method_mut() = http::Method::POST;
        request.headers_mut().insert("host", "a".parse().unwrap());
        let patience = Arc::new(Patience::new(1000 * MS));
        let answer = pool.call(&address, request, &patience).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(producer.connections.load(Ordering::SeqCst), connections);
    }
}

#[tokio::test]
async fn a_caller_that_waits_for_100_continue_is_told_to_go_on() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let mut stream = world.connect("region").await;
    let body = message("SE1", "");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().status(), "100");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().status(), "200");
    assert_eq!(producer.last().header("expect"), None);
}

#[tokio::test]
async fn a_caller_that_is_refused_before_it_is_told_to_go_on_is_not_waited_for() {
    let world = World::new("http://127.0.0.1:1/").await;
    let mut stream = world.connect("region").await;
    let length = crate::limits::MESSAGE_BYTES_MAX + 1;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().status(), "500");
    let time = crate::limits::REFUSED_BODY_TIME_MAX / 2;
    let more = tokio::time::timeout(time, answer(&mut stream)).await;
    assert!(more.expect("the connection ends at once").is_none());
}

#[tokio::test]
async fn a_caller_of_a_dead_producer_may_finish_and_gets_the_fault() {
    let world = World::new("http://127.0.0.1:1/").await;
    // The second is rewritten on its way, and has no length that is known.
    for address in ["SE1", "SE0"] {
        let large = message(address, &"x".repeat(5_000_000));
        let seen = world.call("", large.as_bytes()).await;
        assert_eq!(seen.status(), "500");
        let text = String::from_utf8(seen.body).unwrap();
        assert!(text.contains("VP009 "), "{text}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_leaves_one_log_line_with_the_producer_and_nothing_of_the_message() {
    let producer = producer(ok()).await;
    let world = World::new(&producer.url).await;
    let lines = Lines::default();
    let to = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(move || to.clone())
        .finish();
    // The test's runtime has one thread, this one.
    let _heard = crate::telemetry::listen(subscriber);
    let body = message("SE1", "SECRET");
    world.call("x-skltp-correlation-id: abc-1\r\n", body.as_bytes()).await;
    world.call("x-skltp-correlation-id: abc-2\r\n", message("SE2", "").as_bytes()).await;
    let forged = message("SE2&#10;forged", "").replace("urn:c:1", &"urn:c:1".repeat(1000));
    world.call("x-skltp-correlation-id: abc-3\r\n", forged.as_bytes()).await;
    // A line is written when its answer has left, which a busy machine lets wait.
    let written = || String::from_utf8_lossy(&lines.0.lock().unwrap()).matches("abc-").count() >= 3;
    for _ in 0..200 {
        if written() {
            break;
        }
        tokio::time::sleep(50 * MS).await;
    }
    let all = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let of = |id: &str| -> String {
        let found: Vec<&str> = all.lines().filter(|line| line.contains(id)).collect();
        assert_eq!(found.len(), 1, "{all}");
        found.concat()
    };
    let (passed, refused) = (of("abc-1"), of("abc-2"));
    let forged = of("abc-3");
    assert!(forged.contains("SE2?forged") && forged.len() < 2000, "{forged}");
    assert!(!all.lines().any(|line| line.starts_with("forged")), "{all}");
    assert!(refused.contains("no unit or route for the address and contract"), "{refused}");
    for part in [
        "passed on".to_owned(),
        "http.response.status_code=200".to_owned(),
        "labels.servicecontract_namespace=urn:c:1".to_owned(),
        "labels.receiverid=SE1".to_owned(),
        "labels.senderid=SE0000000000-REGION".to_owned(),
        "labels.routerVagvalTrace=\"SE1\"".to_owned(),
        "labels.routerBehorighetTrace=\"SE1\"".to_owned(),
        format!("url.original=\"{}\"", producer.url),
        "destination.address=\"localhost\"".to_owned(),
        "labels.producerMs=".to_owned(),
        "event.outcome=\"success\"".to_owned(),
        format!("http.request.body.bytes={}", body.len()),
        format!("http.response.body.bytes={}", ok().split_once("\r\n\r\n").unwrap().1.len()),
    ] {
        assert!(passed.contains(&part), "{part}: {passed}");
    }
    assert!(refused.contains("http.response.status_code=500"), "{refused}");
    assert!(refused.contains("error.code=\"VP004\""), "{refused}");
    assert!(!refused.contains("url.original"), "{refused}");
    assert!(!all.contains("SECRET"));
}
