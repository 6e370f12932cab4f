//! Checklist 9.1, end to end: doors, character sets, sizes, attachments, TLS, descriptions.
//!
//! | The platform's test | Shown by |
//! |---|---|
//! | `FullServiceTestIT` both ways between HTTP and HTTPS | `each_door_reaches_producers_of_both_kinds` |
//! | the same, TAK address with `?wsdl` | `a_tak_address_is_called_with_its_query_and_without_the_callers` |
//! | the same, UTF-16 declared and real | `utf_16_reaches_the_producer_as_utf_8_and_comes_back_as_utf_16`, `what_says_utf_16_and_is_utf_8_passes_untouched` |
//! | the same, large payload both ways | `a_large_message_passes_both_ways_at_both_doors` |
//! | the same, X-Forwarded-* logged once | deviates: not logged; they count in WSDL addresses only |
//! | the same, `?wsdl` and `?xsd` over HTTP and HTTPS | `a_wsdl_and_its_schemas_are_served_at_both_doors`; deviates: to known callers, and 404 where there is none |
//! | `FullServiceDefaultVagvalIT`, `FullServiceStandardVagvalIT` | `platform/routing.rs` |
//! | `FullServiceRivVersionTransformationIT` (2) | `a_call_is_rewritten_to_its_producers_profile_wherever_the_namespace_is_declared` |
//! | `FullServiceMtomIT` (2) | `an_mtom_message_passes_whole_whatever_its_prefixes`; deviates: with its attachments |
//! | `FullServiceHostnameVerificationIT` | `a_producer_under_another_host_name_is_not_trusted`; deviates: always on |
//! | `FullServiceInvalidContentLengthIT` | `what_a_producer_does_instead_of_answering_is_told_in_the_detail`, `a_whole_envelope_with_too_large_a_length_passes` |
//! | `TLSConfigurationIT` TLS 1.3 and 1.2, stores of their own | `each_version_of_tls_in_use_reaches_its_producer`, `each_system_is_called_with_its_own_identity_and_trust`; deviates: old suites are not spoken |
//! | `LegacyLoggingStyleTestIT` | not of the wire |
//! | `VPRouterIT` (4) | `who_calls_comes_from_the_certificate_at_each_door_and_never_from_the_other_doors_headers` |
//! | `GetStatusIT`, `ActuatorAvailabilityIT`, `ActuatorManagementPortSeparationIT` | `status_and_health_are_at_the_admin_door_and_not_at_the_others`; deviates: other keys, no JVM |
//! | `CertificateReaderIT` | `who_calls_comes_from_the_certificate_at_each_door_and_never_from_the_other_doors_headers` |
//! | `SenderIpExtractorIT` (2) | `nobody_but_a_listed_proxy_is_answered_not_even_with_a_wsdl`, `internal_calls_and_loops_are_told_apart` |
//! | Netty buffer leaks | not of the wire; memory: `five_files_of_twenty_megabytes_pass_both_ways_in_little_memory` |

use super::ground::{
    by_proxy, by_tls, envelope, fault, good, message, permission, producers, route, route_to, start,
};
use crate::proxied;
use crate::support::{Act, Call, Peer, TLS12, TLS13, World, certs};

#[test]
fn each_door_reaches_producers_of_both_kinds() {
    let [(plain, http), (tls, https)] = producers(good);
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https);
    let world = start(&rows);
    for (address, producer) in [("SE-HTTP", &plain), ("SE-HTTPS", &tls)] {
        let body = message(address, "Åäö");
        for seen in [by_tls(&world, "", body.as_bytes()), by_proxy(&world, &[], &body)] {
            assert_eq!((seen.status, seen.text()), (200, envelope("<a>Åäö</a>")));
            assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-8"));
        }
        assert_eq!(producer.count(), 2);
        assert!(producer.calls().iter().all(|call| call.text() == body));
    }
}

#[test]
fn a_tak_address_is_called_with_its_query_and_without_the_callers() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &format!("{http}?wsdl"))));
    let body = message("SE-A", "");
    let mut stream = World::caller("region").connect(world.https).unwrap();
    let head = format!(
        "POST /VP/any/thing/1/rivtabp21?own=1 HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.send((head + &body).as_bytes()).unwrap();
    assert_eq!(stream.answer().unwrap().status, 200);
    let got = &plain.calls()[0];
    assert_eq!(got.first, "POST /thing?wsdl HTTP/1.1");
    assert!(got.header("own").is_none());
}

fn utf16(text: &str, little: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    let units = mark.encode_utf16().chain(text.encode_utf16());
    units.flat_map(|it| if little { it.to_le_bytes() } else { it.to_be_bytes() }).collect()
}

#[test]
fn utf_16_reaches_the_producer_as_utf_8_and_comes_back_as_utf_16() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &http)));
    let text = message("SE-A", "Åäö €").replace("\"UTF-8\"", "\"UTF-16\"");
    for little in [true, false] {
        for headers in ["Content-Type: text/xml\r\n", "Content-Type: text/xml; charset=UTF-16\r\n"]
        {
            let seen = by_tls(&world, headers, &utf16(&text, little, true));
            assert_eq!(seen.status, 200, "{}", seen.text());
            assert_eq!(seen.header("content-type"), Some("text/xml; charset=UTF-16"));
            assert_eq!(seen.body, utf16(&envelope("<a>Åäö</a>"), little, true));
            let got = plain.calls().pop().unwrap();
            assert_eq!(got.text(), message("SE-A", "Åäö €"));
            assert_eq!(got.header("content-type"), Some("text/xml;charset=UTF-8"));
        }
    }
    let latin: Vec<u8> = message("SE-A", "Åäö")
        .replace("\"UTF-8\"", "\"ISO-8859-1\"")
        .chars()
        .map(|it| u8::try_from(u32::from(it)).unwrap())
        .collect();
    let seen = by_tls(&world, "Content-Type: text/xml\r\n", &latin);
    assert_eq!(seen.header("content-type"), Some("text/xml; charset=ISO-8859-1"));
    assert!(seen.body.windows(3).any(|it| it == b"\xc5\xe4\xf6"), "{}", seen.text());
    assert_eq!(plain.calls().pop().unwrap().text(), message("SE-A", "Åäö"));
}

#[test]
fn what_says_utf_16_and_is_utf_8_passes_untouched() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &http)));
    let text = message("SE-A", "Åäö").replace("\"UTF-8\"", "\"UTF-16\"");
    for headers in ["Content-Type: text/xml\r\n", "Content-Type: text/xml; charset=UTF-16\r\n", ""]
    {
        for mark in ["", "\u{feff}"] {
            let sent = format!("{mark}{text}");
            let seen = by_tls(&world, headers, sent.as_bytes());
            assert_eq!((seen.status, seen.text()), (200, envelope("<a>Åäö</a>")), "{headers}");
            assert_eq!(plain.calls().pop().unwrap().text(), sent);
        }
    }
}

#[test]
fn a_large_message_passes_both_ways_at_both_doors() {
    let content = "0123456789åäö ".repeat(700_000);
    let answer = envelope(&content);
    let sent = answer.clone();
    let [(plain, http), (tls, https)] = producers(move |_: &Call| Act::Answer(200, sent.clone()));
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https);
    let world = start(&rows);
    for (address, producer) in [("SE-HTTP", &plain), ("SE-HTTPS", &tls)] {
        let body = message(address, &content);
        for seen in [by_tls(&world, "", body.as_bytes()), by_proxy(&world, &[], &body)] {
            assert!(seen.status == 200 && seen.body == answer.as_bytes());
        }
        assert!(producer.calls().iter().all(|call| call.body == body.as_bytes()));
    }
}

/// An envelope and one file, as a caller's library writes them.
fn mtom(boundary: &str, root_headers: &str, envelope: &str) -> Vec<u8> {
    let mut all =
        format!("\r\n--{boundary}\r\n{root_headers}\r\n\r\n{envelope}\r\n--{boundary}\r\n")
            .into_bytes();
    all.extend_from_slice(b"Content-Type: application/octet-stream\r\nContent-ID: <fil@a>\r\n\r\n");
    all.extend((0..=255).cycle().take(70_000));
    all.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    all
}

#[test]
fn an_mtom_message_passes_whole_whatever_its_prefixes() {
    let [(plain, http), (tls, https)] = producers(good);
    let old = route("SE-OLD", &format!("address = \"{http}\"\nprofile = \"rivtabp20\""));
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https) + &old;
    let world = start(&rows);
    let include =
        "<x:Include xmlns:x=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:fil@a\"/>";
    let kind = "multipart/related; start-info=\"text/xml\"; type=\"application/xop+xml\"; \
                boundary=\"uuid:1=2'3\"; start=\"<root@a>\"";
    let root = "Content-ID: <root@a>\r\nContent-Transfer-Encoding: binary\r\n\
                Content-Type: application/xop+xml;charset=utf-8;type=\"text/xml\"";
    let headers = format!("Content-Type: {kind}\r\n");
    for (address, producer) in [("SE-HTTP", &plain), ("SE-HTTPS", &tls), ("SE-OLD", &plain)] {
        let prefixed = message(address, include);
        // Without a prefix, the platform answers VP015.
        let bare = prefixed.replace("<s:", "<").replace("</s:", "</").replace("xmlns:s=", "xmlns=");
        for text in [prefixed, bare] {
            let seen = by_tls(&world, &headers, &mtom("uuid:1=2'3", root, &text));
            assert_eq!((seen.status, seen.text()), (200, envelope("<a>Åäö</a>")));
            let wanted = match address {
                "SE-OLD" => text
                    .replace(
                        "urn:riv:itintegration:registry:1",
                        "http://www.w3.org/2005/08/addressing",
                    )
                    .replace("a:LogicalAddress", "a:To"),
                _ => text,
            };
            let got = producer.calls().pop().unwrap();
            assert!(got.body == mtom("uuid:1=2'3", root, &wanted), "{}", got.text());
            assert_eq!(got.header("content-type"), Some(kind));
        }
    }
    let seen = by_tls(&world, &headers, &mtom("uuid:1=2'3", root, "no envelope"));
    assert!(fault(&seen).string.starts_with("VP015 "));
}

#[test]
fn each_version_of_tls_in_use_reaches_its_producer() {
    let (old, new) =
        (Peer::with(certs(), "region", TLS12, good), Peer::with(certs(), "region", TLS13, good));
    let url = |peer: &Peer| format!("https://localhost:{}/", peer.address.port());
    let rows = permission("*") + &route_to("SE-12", &url(&old)) + &route_to("SE-13", &url(&new));
    let world = start(&rows);
    // One after the other in one process, and again.
    for round in 1..=2 {
        for (address, peer) in [("SE-12", &old), ("SE-13", &new)] {
            assert_eq!(by_tls(&world, "", message(address, "").as_bytes()).status, 200);
            assert_eq!(peer.count(), round);
        }
    }
}

#[test]
fn each_system_is_called_with_its_own_identity_and_trust() {
    let (own, shared) =
        (Peer::start(certs(), "region", good), Peer::start(certs(), "region", good));
    let system = |id: &str, peer: &Peer, more: &str| {
        format!(
            "[[system]]\nid = \"{id}\"\nhsa_id = \"SE0000000000-{}\"\nname = \"{id}\"\n\
             url = \"https://localhost:{}/\"\n{more}",
            id.to_ascii_uppercase(),
            peer.address.port()
        )
    };
    let file = |name: &str| certs().join(name).display().to_string();
    let identity = format!("certificate = {:?}\nkey = {:?}\n", file("bo.crt"), file("bo.key"));
    let rows = [
        system("own", &own, &identity),
        system("shared", &shared, ""),
        system("wary", &shared, &format!("trust = {:?}\n", file("wrong-ca.crt"))),
        route("SE-OWN", "system = \"own\""),
        route("SE-SHARED", "system = \"shared\""),
        route("SE-WARY", "system = \"wary\""),
        permission("*"),
    ];
    let world = start(&rows.concat());
    let shown = |peer: &Peer| peer.calls().pop().unwrap().caller.unwrap();
    let der = |name: &str| {
        let text = std::fs::read(certs().join(name)).unwrap();
        use rustls::pki_types::{CertificateDer, pem::PemObject as _};
        CertificateDer::from_pem_slice(&text).unwrap().to_vec()
    };
    assert_eq!(by_tls(&world, "", message("SE-OWN", "").as_bytes()).status, 200);
    assert_eq!(shown(&own), der("bo.crt"));
    assert_eq!(by_tls(&world, "", message("SE-SHARED", "").as_bytes()).status, 200);
    assert_eq!(shown(&shared), der("gateway.crt"));
    let told = fault(&by_tls(&world, "", message("SE-WARY", "").as_bytes()));
    assert!(told.string.starts_with("VP009 "), "{told:?}");
    assert!(told.detail.contains("we refused the producer's certificate"), "{told:?}");
    assert_eq!(shared.count(), 1);
}

#[test]
fn a_wsdl_and_its_schemas_are_served_at_both_doors() {
    let world = start("");
    let path = "/vp/supportprocess/patientsafety/complaint/ProcessComplaint/1/rivtabp21";
    let certificate = proxied::certificate("region");
    let ask = |tls: bool, target: &str| {
        if tls {
            let mut stream = World::caller("region").connect(world.https).unwrap();
            stream.send(format!("GET {target} HTTP/1.1\r\nHost: gw\r\n\r\n").as_bytes()).unwrap();
            return stream.answer().unwrap();
        }
        let mut stream = proxied::connect(proxied::door(&world));
        let headers = [("x-vp-auth-cert", certificate.as_str())];
        proxied::call(&mut stream, &format!("GET {target}"), &headers, "")
    };
    for (tls, base) in [(true, "https://gw"), (false, "http://inside")] {
        let wsdl = ask(tls, &format!("{path}?wsdl"));
        assert_eq!(wsdl.status, 200);
        let text = wsdl.text();
        assert!(text.contains(&format!("location=\"{base}{path}\"")), "{text}");
        let schemas: Vec<&str> = text
            .split("schemaLocation=\"")
            .skip(1)
            .map(|it| it.split('"').next().unwrap())
            .collect();
        assert!(!schemas.is_empty());
        for schema in schemas {
            let target = schema.strip_prefix(base).unwrap_or_else(|| panic!("{schema}"));
            assert!(target.contains("?xsd="), "{schema}");
            let xsd = ask(tls, target);
            assert_eq!(xsd.status, 200, "{schema}");
            assert!(xsd.text().contains("schema"), "{schema}");
        }
        let none = ask(tls, "/vp/no/such/1/rivtabp21?wsdl");
        assert_eq!(none.status, 404, "the platform says 500");
        assert!(none.text().contains(&format!("{base}{path}?wsdl\n")), "{}", none.text());
    }
}

#[test]
fn status_and_health_are_at_the_admin_door_and_not_at_the_others() {
    let world = start("");
    for path in ["/status", "/healthz", "/readyz"] {
        assert_eq!(world.admin(path).0, 200, "{path}");
        let mut stream = World::caller("region").connect(world.https).unwrap();
        stream.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(stream.answer().unwrap().status, 404, "{path}");
        let mut stream = proxied::connect(proxied::door(&world));
        let nobody = proxied::call(&mut stream, &format!("GET {path}"), &[], "");
        assert!(fault(&nobody).string.starts_with("VP002 "));
    }
}
