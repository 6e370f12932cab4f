//! What a producer answers, and what its caller gets.

use super::*;

async fn got(answer: impl Into<Vec<u8>>) -> Seen {
    let producer = producer(answer).await;
    World::new(&producer.url).await.call("", message("SE1", "").as_bytes()).await
}

#[tokio::test]
async fn success_passes_whatever_it_holds() {
    for (status, body) in [("200 OK", "not SOAP at all"), ("202 Accepted", "<a/>")] {
        let seen =
            got(http(status, "X-Own: 1\r\nSOAPAction: x\r\nContent-Type: a/b\r\n", body)).await;
        assert_eq!((seen.status(), seen.text().as_str()), (status.get(..3).unwrap(), body));
        assert_eq!(seen.header("x-own"), Some("1"));
        assert_eq!(seen.header("soapaction"), None);
        assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-8"));
    }
    let fault = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Fault/></e:Envelope>");
    assert_eq!(got(http("200 OK", "", &fault)).await.status(), "200");
}

#[tokio::test]
async fn a_fault_in_soap_1_1_passes_unchanged_and_any_other_500_does_not() {
    let fault = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Fault/></e:Envelope>");
    let seen = got(http("500 Oops", "", &fault)).await;
    assert_eq!((seen.status(), seen.text()), ("500", fault));
    assert!(seen.header("x-skltp-prt").is_some());
    let soap_12 = "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"/>";
    for body in ["", "<html/>", soap_12] {
        let seen = got(http("500 Oops", "", body)).await;
        let (code, detail) = seen.fault();
        assert_eq!(code, "VP009");
        assert!(detail.ends_with("\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=500"), "{detail}");
        assert_eq!(seen.header("x-skltp-prt"), None);
    }
}

#[tokio::test]
async fn every_other_status_is_vp009_and_no_redirect_is_followed() {
    let soap = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"/>");
    for status in ["404 Not Found", "302 Found", "503 Busy", "401 No"] {
        let answer = http(status, "Location: /other\r\n", &soap);
        let producer = producer(answer).await;
        let world = World::new(&producer.url).await;
        let (code, detail) = world.call("", message("SE1", "").as_bytes()).await.fault();
        let told = format!("\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={}", status.get(..3).unwrap());
        assert!(code == "VP009" && detail.ends_with(&told), "{detail}");
        assert_eq!(producer.calls(), 1);
    }
}

#[tokio::test]
async fn an_empty_success_is_vp009() {
    for answer in [http("200 OK", "", ""), "HTTP/1.1 204 No Content\r\n\r\n".to_owned()] {
        let (code, detail) = got(answer).await.fault();
        assert_eq!(code, "VP009");
        assert!(detail.contains("Empty message when server responded with status code: 20"));
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_whole_is_vp009() {
    for (answer, told) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a>".to_owned(), "Timeout when waiting"),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\n<a>".to_owned(),
            "closed",
        ),
        ("HTTP/1.1 2".to_owned(), "Timeout when waiting"),
        ("SSH-2.0-x\r\n\r\n".to_owned(), "broke off"),
    ] {
        let (code, detail) = got(answer).await.fault();
        assert!(code == "VP009" && detail.contains(told), "{detail}");
    }
}

#[tokio::test]
async fn a_whole_envelope_with_too_large_a_length_passes() {
    let body = format!("<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Body/></e:Envelope>\n");
    let answer =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n{body}");
    let seen = got(answer).await;
    assert_eq!((seen.status(), seen.text()), ("200", body));
}

#[tokio::test]
async fn an_unasked_100_continue_is_passed_over() {
    let seen = got(format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok())).await;
    assert_eq!(seen.status(), "200");
}

#[tokio::test]
async fn an_answer_that_breaks_off_late_does_not_reach_its_caller_whole() {
    let body = "x".repeat(300_000);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n{body}\r\n"
    );
    let producer = producer(answer).await;
    let world = World::new(&producer.url).await;
    let mut stream = world.connect("region").await;
    let body = message("SE1", "");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    assert!(answer_of(&mut stream).await.is_none());
}

async fn answer_of(stream: &mut TlsStream<TcpStream>) -> Option<Seen> {
    answer(stream).await
}
