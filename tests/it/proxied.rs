//! The door behind a proxy: the real program, plain sockets, and who is believed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::{Answer, Node, VC1, World, case_id, certs, complaint, find};

/// What a call is made with: the certificate of the roster in the header, as Traefik sends it.
pub fn certificate(name: &str) -> String {
    let pem = std::fs::read_to_string(certs().join(format!("{name}.crt"))).unwrap();
    let first = pem.split("-----END").next().unwrap();
    first.lines().filter(|line| !line.contains("BEGIN")).collect()
}

pub fn door(world: &World) -> SocketAddr {
    let line = world.wait_log(0, "proxied 127.0.0.1:");
    line.trim_start_matches("proxied ").trim().parse().unwrap()
}

fn start(sources: &str) -> World {
    let plan = World::plan().set("server", "proxied = \"127.0.0.1:0\"");
    plan.set("proxied", &format!("sources = [{sources}]")).start()
}

fn message(of: u32) -> String {
    let id = format!("88aa3a52-61f2-4a44-8f07-{of:012}");
    complaint(VC1, &id, &case_id(&format!("p-{of}")), "Vanligt.", &[])
}

pub fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

pub fn call(stream: &mut TcpStream, first: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = format!("{first} HTTP/1.1\r\nHost: inside\r\nContent-Type: text/xml\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream)
}

fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut some = [0; 16 * 1024];
    loop {
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "closed: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&some[..read]);
        let Some(end) = find(&bytes, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let headers: Vec<(String, String)> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length").unwrap();
        if bytes.len() - end - 4 == length.1.parse::<usize>().unwrap() {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Answer { status, headers, body: bytes[end + 4..].to_vec() };
        }
    }
}

fn post(to: SocketAddr, headers: &[(&str, &str)], body: &str) -> Answer {
    call(&mut connect(to), "POST /vp", headers, body)
}

/// A GET on a connection of its own.
pub fn get(to: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    call(&mut connect(to), &format!("GET {path}"), headers, "")
}

fn detail(answer: &Answer) -> String {
    answer.tree().find("detailString").map(Node::all_text).unwrap_or_default()
}

const CERT: &str = "X-VP-Auth-Cert";

#[test]
fn a_proxy_tells_who_calls_and_each_call_of_its_connection_is_judged_by_itself() {
    let world = start("\"127.0.0.1\"");
    let door = door(&world);
    let (portal, stranger) = (certificate("1177"), certificate("obehorig"));
    let mut one = connect(door);
    let body = message(1);
    assert_eq!(call(&mut one, "POST /vp", &[(CERT, &portal)], &body).outcome(), "OK");
    let refused = call(&mut one, "POST /vp", &[(CERT, &stranger)], &message(2));
    assert!(refused.outcome().contains("VP007"), "{}", refused.text());
    let nobody = call(&mut one, "POST /vp", &[], &message(2));
    assert!(nobody.outcome().contains("SOAP-ENV:Client VP002"), "{}", nobody.text());
    assert_eq!(detail(&nobody), "No certificate found in httpheader x-vp-auth-cert");
    assert!(nobody.header("x-skltp-correlation-id").is_some());
    // The connection is the proxy's and lives on; the sender is the same as over TLS.
    let pem = format!("-----BEGIN CERTIFICATE----- {portal} -----END CERTIFICATE-----");
    let again = call(&mut one, "POST /vp", &[(CERT, &pem)], &body);
    assert_eq!(again.outcome(), "INFO ALREADY_RECEIVED");
    let direct = World::caller("1177").post(world.https, body.as_bytes()).unwrap();
    assert_eq!(direct.outcome(), "INFO ALREADY_RECEIVED");
    for (name, expected) in [
        ("expired", "is valid from"),
        ("no-hsa-id", "No senderId found in Certificate"),
        ("two-hsa-ids", "more than once"),
    ] {
        let told = post(door, &[(CERT, &certificate(name))], &message(3));
        assert!(told.outcome().contains("VP002"), "{name}: {}", told.text());
        assert!(detail(&told).contains(expected), "{name}: {}", told.text());
    }
}

#[test]
fn internal_calls_and_loops_are_told_apart() {
    let world = start("\"127.0.0.1\"");
    let door = door(&world);
    let portal = certificate("1177");
    let inside = [("x-vp-sender-id", "SE0000000000-1177"), ("x-vp-instance-id", "klagomal-test")];
    assert_eq!(post(door, &inside, &message(1)).outcome(), "OK");
    let mut outside = inside.to_vec();
    outside.push(("X-Forwarded-For", "192.0.2.7"));
    let refused = post(door, &outside, &message(2));
    assert!(refused.outcome().contains("VP011"), "{}", refused.text());
    assert!(
        detail(&refused)
            .ends_with("IP-address: 192.0.2.7. HTTP header that caused checking: X-Forwarded-For")
    );
    // Over TLS nobody becomes somebody else by these headers.
    let body = message(3);
    let mut tls = World::caller("obehorig").connect(world.https).unwrap();
    let head = format!(
        "POST /vp HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\n{CERT}: {portal}\r\n\
         x-vp-sender-id: SE0000000000-1177\r\nx-vp-instance-id: klagomal-test\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    tls.send(head.as_bytes()).unwrap();
    assert!(tls.answer().unwrap().outcome().contains("VP007"));
    let round = [(CERT, portal.as_str()), ("x-rivta-routing-history", "SE1#klagomal-test")];
    assert!(post(door, &round, &message(3)).outcome().contains("SOAP-ENV:Server VP014"));
}

#[test]
fn nobody_but_a_listed_proxy_is_answered_not_even_with_a_wsdl() {
    let world = start("\"10.\", \"127.0.0.2\"");
    let door = door(&world);
    world.wait_log(0, "is read as 10.0.0.0/8");
    let portal = certificate("1177");
    let inside = [("x-vp-sender-id", "SE0000000000-1177"), ("x-vp-instance-id", "klagomal-test")];
    for headers in [&[(CERT, portal.as_str())][..], &inside] {
        let refused = post(door, headers, &message(1));
        assert!(refused.outcome().contains("SOAP-ENV:Client VP011"), "{}", refused.text());
        let expected = "Caller was not on the white list of accepted IP-addresses.  IP-address: \
                        127.0.0.1. HTTP header that caused checking: CamelNettyRemoteAddress";
        assert_eq!(detail(&refused), expected);
        assert_eq!(refused.header("connection"), Some("close"));
    }
    let first = "GET /ProcessComplaint/1/rivtabp21?wsdl";
    let wsdl = call(&mut connect(door), first, &[(CERT, &portal)], "");
    assert!(wsdl.outcome().contains("VP011"), "{}", wsdl.text());
    assert_eq!(world.json("/status")["cases"], 0);
}

#[test]
fn a_wsdl_names_the_address_that_the_proxy_was_called_by_and_is_for_known_callers() {
    let world = start("\"127.0.0.0/8\"");
    let door = door(&world);
    let portal = certificate("1177");
    let path = "/vp/infrastructure/itintegration/registry/GetSupportedServiceContracts/2/rivtabp21";
    let headers = [
        (CERT, portal.as_str()),
        ("X-VP-Forwarded-Proto", "https"),
        ("X-VP-Forwarded-Host", "klagomal.example.se"),
        ("X-VP-Forwarded-Port", "443"),
    ];
    let ask = |headers: &[(&str, &str)]| {
        call(&mut connect(door), &format!("GET {path}?wsdl"), headers, "")
    };
    let wsdl = ask(&headers);
    assert_eq!(wsdl.status, 200, "{}", wsdl.text());
    let expected = format!("location=\"https://klagomal.example.se:443{path}\"");
    assert!(wsdl.text().contains(&expected), "{}", wsdl.text());
    assert!(ask(&headers[..1]).text().contains(&format!("location=\"http://inside{path}\"")));
    assert!(ask(&headers[1..]).outcome().contains("VP002"));
}

#[test]
fn the_door_is_shut_unless_it_is_asked_for() {
    let world = World::plan().start();
    assert!(!world.log().contains("proxied"), "{}", world.log());
}
