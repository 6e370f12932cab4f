//! Checklist 9.2, errors: codes, faults, and what is made of a producer's failures.
//!
//! | The platform's test | Shown by |
//! |---|---|
//! | VP002, VP003, VP004 (three), VP007, VP009, VP010, VP011, VP013 with faultcode, text and one log | `each_code_has_its_faultcode_its_detail_and_one_log_line` |
//! | VP012, VP014, VP015 | the same |
//! | VP005 unknown profile, VP006 two routes | `what_the_platform_finds_at_a_call_is_found_before_it_is_taken_into_use`; deviates: such routing is refused when it is read, and of two profiles the call's own is chosen |
//! | VP008 no TAK and no local file | the same; deviates: the gateway does not start without routing |
//! | one error log and one resp-out log | deviates: one line for each call (`a_call_leaves_one_log_line_with_the_producer_and_nothing_of_the_message`) |
//! | `soapFaultPropagatedToConsumerTestIT` | `a_producers_fault_passes_to_the_byte_and_anything_else_with_500_does_not` |
//! | `ProducerErrorsIT` TLS handshake, other I/O | `a_producer_under_another_host_name_is_not_trusted`, `a_producer_that_refuses_our_certificate_is_told_in_one_sentence`, `an_answer_that_never_comes_whole_is_vp009` |
//! | `ReSendIT` one failure, then success | `connecting_is_tried_twice`; deviates: what may have been received is not sent again (`a_call_that_may_have_been_received_is_never_sent_again`) |
//! | `ConnectionResetByPeerProblemIT` idle connection | `a_kept_connection_that_was_closed_or_reset_is_not_noticed_by_a_caller` |
//! | the same, every attempt reset | `a_producer_that_hangs_up_on_every_call_is_vp009_and_is_called_once_for_each` |
//! | `SoapFaultIT` unexpected exception | `a_panic_ends_one_request_and_nothing_else`; deviates: VP012, and nothing of the fault's inside |
//! | fault with 200; non-SOAP with 200 | `success_passes_whatever_it_holds` |
//! | no producer; time-out; empty answer; 404 | `what_a_producer_does_instead_of_answering_is_told_in_the_detail` |
//! | 500 with a fault | `a_fault_in_soap_1_1_passes_unchanged_and_any_other_500_does_not` |
//! | `<Soap` | `each_code_has_its_faultcode_its_detail_and_one_log_line` (VP015) |
//! | `SoapFaultHelperTest`, `ExtractSoapFaultImplTest`, `VpCodeMessagesTest` | of Java classes; faults that come are read in `soap::fault` |

use std::time::{Duration, Instant};

use super::ground::{
    CONTRACT, Fault, by_proxy, by_tls, bytes, envelope, fault, good, inside, message, message_20,
    permission, route, route_to, start,
};
use crate::support::{Act, Answer, Peer, World};

/// A call to each address that goes wrong in its own way.
fn rows(producer: &str) -> String {
    let mut rows = permission("*");
    for (address, url) in
        [("SE-GOOD", producer), ("SE-NOBODY", "http://localhost:1/"), ("SE-EMPTY", "")]
    {
        rows.push_str(&route_to(address, url));
    }
    let old = format!("address = \"{producer}\"\nprofile = \"rivtabp20\"");
    rows + &route("SE-OLD", &old)
}

/// Says what came of it, under the id that the call was made with.
fn check(world: &World, id: &str, answer: &Answer, expected: (&str, &str, &str)) -> Fault {
    let (code, who, detail) = expected;
    let told = fault(answer);
    assert_eq!(told.code, format!("SOAP-ENV:{who}"), "{told:?}");
    assert!(told.string.starts_with(&format!("{code} [klagomal-test] ")), "{told:?}");
    assert!(told.string.len() > "VP000 [klagomal-test] ".len() + 20, "a sentence: {told:?}");
    match detail.strip_suffix('…') {
        Some(begins) => assert!(told.detail.starts_with(begins), "{told:?}"),
        None => assert_eq!(told.detail, detail),
    }
    assert_eq!(answer.header("x-skltp-correlation-id"), Some(id));
    world.wait_log(0, id);
    let log = world.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(id)).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    told
}

#[test]
fn each_code_has_its_faultcode_its_detail_and_one_log_line() {
    let producer = Peer::plain(good);
    let world = start(&rows(&format!("http://localhost:{}/", producer.address.port())));
    let no_route = |address: &str| {
        format!(
            "No receiverId (logical address) found for serviceNamespace: {CONTRACT}, receiverId: \
             {address}"
        )
    };
    let spaced = |address: &str| no_route(address) + ". Whitespace detected in incoming request!";
    let no_url = format!(
        "Physical Address field is empty in Service Producer for serviceNamespace: {CONTRACT}, \
         receiverId: SE-EMPTY"
    );
    let round = "x-rivta-routing-history: SE1#klagomal-test\r\n";
    let original = "x-rivta-original-serviceconsumer-hsaid: SE0000000000-BO\r\n";
    for (id, headers, body, expected) in [
        (
            "w-003",
            "",
            message("", ""),
            ("VP003", "Client", "No receiverId (logical address) found in message header. "),
        ),
        ("w-004", "", message("SE-NONE", ""), ("VP004", "Client", no_route("SE-NONE").as_str())),
        ("w-04a", "", message(" SE-GOOD", ""), ("VP004", "Client", &spaced(" SE-GOOD"))),
        ("w-04b", "", message("SE-GOOD ", ""), ("VP004", "Client", &spaced("SE-GOOD "))),
        (
            "w-009",
            "",
            message("SE-NOBODY", ""),
            (
                "VP009",
                "Server",
                "Error connecting to service producer at address http://localhost:1/. …",
            ),
        ),
        ("w-010", "", message("SE-EMPTY", ""), ("VP010", "Server", &no_url)),
        ("w-012", "", message("SE-OLD", "<a b></a>"), ("VP012", "Server", "…")),
        (
            "w-013",
            original,
            message("SE-GOOD", ""),
            (
                "VP013",
                "Client",
                "Sender is not approved to set header x-rivta-original-serviceconsumer-hsaid.",
            ),
        ),
        ("w-014", round, message("SE-GOOD", ""), ("VP014", "Server", "")),
        ("w-015", "", "<Soap".to_owned(), ("VP015", "Client", "…")),
        ("w-15a", "", "  <?xml version=\"1.0\"?><a/>".to_owned(), ("VP015", "Client", "…")),
        ("w-15b", "", String::new(), ("VP015", "Client", "…")),
    ] {
        let headers =
            format!("x-skltp-correlation-id: {id}\r\nContent-Type: text/xml\r\n{headers}");
        let told = check(&world, id, &by_tls(&world, &headers, body.as_bytes()), expected);
        assert!(!told.detail.is_empty() || id == "w-014", "{told:?}");
    }
    let stranger = "x-skltp-correlation-id: w-007\r\n";
    let mut stream = World::caller("obehorig").connect(world.https).unwrap();
    let answer = stream.post_with(stranger, message("SE-GOOD", "").as_bytes()).unwrap();
    let detail = format!(
        "Authorization missing for serviceNamespace: {CONTRACT}, receiverId: SE-GOOD, senderId: \
         SE0000000000-OBEHORIG"
    );
    check(&world, "w-007", &answer, ("VP007", "Server", &detail));

    refusals_at_the_proxied_door(&world);
    assert_eq!(producer.count(), 0, "none of them was passed on");
    assert_eq!(by_proxy(&world, &[], &message("SE-GOOD", "")).status, 200);
}

fn refusals_at_the_proxied_door(world: &World) {
    let body = message("SE-GOOD", "");
    let answer = inside(world, &[("x-skltp-correlation-id", "w-002")], &body);
    let detail = "No certificate found in httpheader x-vp-auth-cert";
    check(world, "w-002", &answer, ("VP002", "Client", detail));
    let from_outside = [
        ("x-skltp-correlation-id", "w-011"),
        ("x-vp-sender-id", "SE0000000000-REGION"),
        ("x-vp-instance-id", "klagomal-test"),
        ("X-Forwarded-For", "192.0.2.1"),
    ];
    let detail = "Caller was not on the white list of accepted IP-addresses.  IP-address: \
                  192.0.2.1. HTTP header that caused checking: X-Forwarded-For";
    let answer = inside(world, &from_outside, &body);
    check(world, "w-011", &answer, ("VP011", "Client", detail));
}

#[test]
fn what_the_platform_finds_at_a_call_is_found_before_it_is_taken_into_use() {
    let url = "address = \"https://localhost:1/\"";
    let twice = route("SE-TWO", url) + &route("SE-TWO", "address = \"https://localhost:2/\"");
    let old = route("SE-OLD", &format!("{url}\nprofile = \"rivtabp22\""));
    for (rows, told) in [(twice, "SE-TWO"), (old, "rivtabp22")] {
        let mut world = World::plan().routing(&rows).write();
        assert!(!world.try_start().expect_err("it starts").success());
        assert!(world.log().contains(told), "{}", world.log());
    }
    let mut world = World::plan().write();
    std::fs::remove_dir_all(world.dir.join("tak-config")).unwrap();
    assert!(!world.try_start().expect_err("it starts").success());
    assert!(world.log().contains("tak-config"), "{}", world.log());

    // One route of each profile is no fault: the call's own is taken.
    let (new, old) = (Peer::plain(good), Peer::plain(good));
    let url = |peer: &Peer, profile: &str| {
        let port = peer.address.port();
        route(
            "SE-BOTH",
            &format!("address = \"http://localhost:{port}/\"\nprofile = \"{profile}\""),
        )
    };
    let world = start(&(permission("*") + &url(&new, "rivtabp21") + &url(&old, "rivtabp20")));
    assert_eq!(by_tls(&world, "", message("SE-BOTH", "").as_bytes()).status, 200);
    assert_eq!((new.count(), old.count()), (1, 0));
    assert_eq!(by_tls(&world, "", message_20("SE-BOTH", "").as_bytes()).status, 200);
    assert_eq!((new.count(), old.count()), (1, 1));
    assert_eq!(old.calls()[0].text(), message_20("SE-BOTH", ""));
}

#[test]
fn a_producers_fault_passes_to_the_byte_and_anything_else_with_500_does_not() {
    let own = "<faultcode>S:Server</faultcode><faultstring>eget fel åäö</faultstring>";
    let soap = envelope(&format!("<s:Fault>{own}<detail><x/></detail></s:Fault>"));
    let sent = soap.clone();
    let producer = Peer::plain(move |call| match call.says("html") {
        true => Act::Answer(500, "<html>fel</html>".to_owned()),
        false => bytes("500 Oj", "X-Own: 1\r\nContent-Type: application/xml\r\n", sent.as_bytes()),
    });
    let url = format!("http://localhost:{}/", producer.address.port());
    let world = start(&(permission("*") + &route_to("SE-A", &url)));
    let seen = by_tls(&world, "", message("SE-A", "").as_bytes());
    assert_eq!((seen.status, seen.text()), (500, soap));
    assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-8"));
    assert_eq!(seen.header("x-own"), Some("1"));
    assert!(seen.header("x-skltp-prt").unwrap().parse::<u64>().unwrap() < 20_000);
    assert!(seen.header("x-skltp-correlation-id").is_some());
    let told = fault(&by_tls(&world, "", message("SE-A", "html").as_bytes()));
    assert!(told.string.starts_with("VP009 "), "{told:?}");
    assert!(told.detail.ends_with("\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=500"), "{told:?}");
}

#[test]
fn a_producer_that_hangs_up_on_every_call_is_vp009_and_is_called_once_for_each() {
    let producer = Peer::plain(|_| Act::HangUp);
    let url = format!("http://localhost:{}/", producer.address.port());
    let world = start(&(permission("*") + &route_to("SE-A", &url)));
    for sent in 1..=3 {
        let told = fault(&by_tls(&world, "", message("SE-A", "").as_bytes()));
        assert!(told.string.starts_with("VP009 "), "{told:?}");
        assert_eq!(producer.count(), sent, "it may have been received: it is not sent again");
    }
}

#[test]
fn what_a_producer_does_instead_of_answering_is_told_in_the_detail() {
    let producer = Peer::plain(|call| match () {
        () if call.says("404") => bytes("404 Not Found", "", b"<html/>"),
        () if call.says("302") => bytes("302 Found", "Location: /other\r\n", b""),
        () if call.says("503") => bytes("503 Busy", "", envelope("").as_bytes()),
        () if call.says("empty") => bytes("200 OK", "", b""),
        () if call.says("longer") => {
            let body = envelope("<a/>");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len() + 500);
            Act::Bytes { bytes: (head + &body).into_bytes(), keep: false }
        }
        () => {
            std::thread::sleep(Duration::from_secs(3));
            Act::HangUp
        }
    });
    let system = format!(
        "[[system]]\nid = \"slow\"\nhsa_id = \"SE0000000000-SLOW\"\nname = \"Långsam\"\n\
         url = \"http://localhost:{}/\"\ntimeout = \"1s\"\n",
        producer.address.port()
    );
    let world = start(&(permission("*") + &system + &route("SE-A", "system = \"slow\"")));
    let told = |content: &str| fault(&by_tls(&world, "", message("SE-A", content).as_bytes()));
    for (content, detail) in [
        ("404", "\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=404"),
        ("302", "\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=302"),
        ("503", "\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=503"),
        ("empty", "Empty message when server responded with status code: 200 OK"),
        ("", "Timeout when waiting on response from producer."),
    ] {
        let began = Instant::now();
        let told = told(content);
        assert!(told.string.starts_with("VP009 ") && told.code == "SOAP-ENV:Server", "{told:?}");
        assert!(told.detail.contains(detail), "{content}: {told:?}");
        assert!(began.elapsed() < Duration::from_secs(3), "{content}: {:?}", began.elapsed());
    }
    assert_eq!(producer.count(), 4, "no redirect was followed, nothing was sent twice");
    // A length that was told too large is mended, where the whole envelope has come.
    let seen = by_tls(&world, "", message("SE-A", "longer").as_bytes());
    assert_eq!((seen.status, seen.text()), (200, envelope("<a/>")));
}
