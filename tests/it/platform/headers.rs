//! Checklist 9.3, headers, sender and certificates.
//!
//! | The platform's test | Shown by |
//! |---|---|
//! | `HttpRequestHeadersIT` SOAPAction, Content-Type, x-vp-*, x-rivta-* | `a_producer_gets_these_headers_and_no_others` |
//! | the same, correlation id and acting-on-behalf-of | the same, and `a_correlation_id_is_kept_or_made_and_comes_back_on_answers_and_faults` |
//! | the same, original consumer forwarded or defaulted; VP013 | `the_original_consumer_goes_on_from_those_who_may_say_it`, `the_original_consumer_is_for_those_who_may_as_soon_as_anybody_is_named` |
//! | `HttpsRequestHeadersIT` User-Agent; x-vp-* never over https | `a_producer_gets_these_headers_and_no_others` |
//! | the same, correlation id by a flag | deviates: it always goes on, as in the platform's production chart |
//! | `HttpResponseHeadersIT` removed, kept, Content-Type also on errors | `a_caller_gets_these_headers_and_no_others` |
//! | the same, internal call | `an_internal_call_leaves_the_routing_history_as_it_is_and_any_other_adds_to_it` |
//! | `HttpSenderIdExtractorProcessorImplTest` | `internal_calls_and_loops_are_told_apart`, `an_internal_call_says_its_caller_and_comes_from_listed_addresses_all_the_way`, `without_our_instance_the_certificate_decides_whatever_sender_is_said` |
//! | `IPWhitelistHandlerTest` | `nobody_but_a_listed_proxy_is_answered_not_even_with_a_wsdl`, `a_source_is_a_network_and_not_the_beginning_of_a_text`; deviates: networks, with the platform's prefixes read as such |
//! | `OriginalConsumerIdProcessorTest` | `the_original_consumer_goes_on_from_those_who_may_say_it`, `only_one_who_may_says_whom_it_calls_for`; deviates: an internal instance id opens nothing |
//! | `X_skltp_prt_headerTest`, `XSkltpPrtHeaderSslBundlesTest` | `a_caller_gets_these_headers_and_no_others` |
//! | `HttpHeaderFilterPropertiesTest` | `what_a_producer_over_https_gets`, `what_a_caller_gets_back`; deviates: the lists are fixed |
//! | `certificate/*Test` | `a_certificate_is_read_in_every_form_that_proxies_send`, `a_certificate_that_says_nothing_is_told_in_the_platforms_words`, `each_kind_of_certificate_gets_in_or_is_refused_with_its_reason_in_the_log` |
//! | `requestreader/*Test` namespaces, addresses, MTOM | `a_namespace_may_be_declared_on_any_element_above_its_use`, `an_mtom_message_passes_whole_whatever_its_prefixes` |

use std::collections::BTreeMap;

use super::ground::{
    CONTRACT, by_proxy, by_tls, bytes, envelope, fault, good, inside, message, permission,
    producers, route_to, start,
};
use crate::proxied;
use crate::support::{Call, World};

/// Everything but what carries the message.
fn headers(call: &Call) -> BTreeMap<&str, &str> {
    let all = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    all.filter(|(name, _)| !["host", "content-length"].contains(name)).collect()
}

#[test]
fn a_producer_gets_these_headers_and_no_others() {
    let [(plain, http), (tls, https)] = producers(good);
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https);
    let world = start(&rows);
    let sent = "Content-Type: text/xml; charset=\"utf-8\"\r\nSOAPAction: \"urn:x:GetThing\"\r\n\
                User-Agent: konsument/1\r\nx-rivta-acting-on-behalf-of-hsaid: SE0000000000-VC1\r\n\
                X-Rivta-Any: Blandat Innehåll\r\nMyRandomHeader: Ett\r\nAuthorization: Basic eDp5\r\n\
                x-skltp-correlation-id: w-100\r\n\
                traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
                x-vp-sender-id: SE0000000000-BO\r\nx-vp-instance-id: other\r\nx-vp-any: 1\r\n\
                X-VP-Forwarded-Host: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Tls-Client-Cert: MII\r\nx-vp-auth-cert: MII\r\nPEER_CERTIFICATES: 1\r\n\
                MULE_A: 1\r\nX-MULE_B: 1\r\nAccept-Encoding: gzip\r\nConnection: keep-alive, X-Hop\r\n\
                X-Hop: 1\r\nCookie: a=b\r\nDate: x\r\nVia: x\r\nPragma: x\r\nCache-Control: x\r\n\
                Upgrade: x\r\nTE: trailers\r\nCamelHttpUri: x\r\n";
    let mut expected: BTreeMap<&str, &str> = [
        ("authorization", "Basic eDp5"),
        ("content-type", "text/xml;charset=UTF-8"),
        ("cookie", "a=b"),
        ("myrandomheader", "Ett"),
        ("soapaction", "\"urn:x:GetThing\""),
        ("x-rivta-acting-on-behalf-of-hsaid", "SE0000000000-VC1"),
        ("x-rivta-any", "Blandat Innehåll"),
        ("x-rivta-original-serviceconsumer-hsaid", "SE0000000000-REGION"),
        ("x-rivta-routing-history", "SE0000000000-REGION#klagomal-test"),
        ("x-skltp-correlation-id", "w-100"),
    ]
    .into();
    let agent = format!("klagomal/{}", env!("CARGO_PKG_VERSION"));
    expected.insert("user-agent", &agent);
    for (address, producer) in [("SE-HTTPS", &tls), ("SE-HTTP", &plain)] {
        if address == "SE-HTTP" {
            expected.insert("x-vp-sender-id", "SE0000000000-REGION");
            expected.insert("x-vp-instance-id", "klagomal-test");
        }
        let seen = by_tls(&world, sent, message(address, "").as_bytes());
        assert_eq!(seen.status, 200, "{}", seen.text());
        let calls = producer.calls();
        let mut met = headers(&calls[0]);
        // The caller's trace, and a step of our own in it.
        let trace = met.remove("traceparent").unwrap();
        assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
        assert!(!trace.contains("00f067aa0ba902b7"), "{trace}");
        assert_eq!(met, expected, "{address}");
        assert_eq!(producer.calls()[0].first, "POST /thing HTTP/1.1");
    }
}

#[test]
fn a_caller_gets_these_headers_and_no_others() {
    let [(_plain, http), (_tls, https)] = producers(|call: &Call| {
        let status = if call.says("fault") { "500 Oj" } else { "200 OK" };
        let headers = "SOAPAction: x\r\nMULE_A: 1\r\nX-MULE_B: 1\r\nLOCAL_CERTIFICATE: x\r\n\
                       PEER_CERTIFICATES: x\r\nhttp.method: POST\r\nX-Own: Ett\r\nSet-Cookie: a=b\r\n\
                       Content-Type: application/soap+xml\r\nx-skltp-prt: 99999\r\n\
                       x-skltp-correlation-id: other\r\nServer: s\r\nVia: x\r\nDate: x\r\n";
        bytes(status, headers, envelope("<s:Fault/>").as_bytes())
    });
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https);
    let world = start(&rows);
    for address in ["SE-HTTP", "SE-HTTPS"] {
        for content in ["", "fault"] {
            let sent = "x-skltp-correlation-id: w-200\r\n";
            let seen = by_tls(&world, sent, message(address, content).as_bytes());
            assert_eq!(seen.status, if content.is_empty() { 200 } else { 500 });
            let all = seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let mut all: BTreeMap<&str, &str> = all.collect();
            let time: u64 = all.remove("x-skltp-prt").unwrap().parse().unwrap();
            assert!(time < 20_000, "{time}");
            // When the answer was made is of this connection.
            assert_ne!(all.remove("date"), Some("x"));
            let length = envelope("<s:Fault/>").len().to_string();
            let expected = BTreeMap::from([
                ("content-length", length.as_str()),
                ("content-type", "text/xml; charset=UTF-8"),
                ("server", "s"),
                ("set-cookie", "a=b"),
                ("x-own", "Ett"),
                ("x-skltp-correlation-id", "w-200"),
            ]);
            assert_eq!(all, expected);
        }
    }
}

#[test]
fn a_correlation_id_is_kept_or_made_and_comes_back_on_answers_and_faults() {
    let [(plain, http), (tls, https)] = producers(good);
    let rows = permission("*") + &route_to("SE-HTTP", &http) + &route_to("SE-HTTPS", &https);
    let world = start(&rows);
    for (address, producer) in [("SE-HTTP", &plain), ("SE-HTTPS", &tls)] {
        for sent in ["x-skltp-correlation-id: w-300\r\n", "x-skltp-correlation-id: \r\n", ""] {
            let seen = by_tls(&world, sent, message(address, "").as_bytes());
            let id = seen.header("x-skltp-correlation-id").unwrap();
            assert_eq!(producer.calls().last().unwrap().header("x-skltp-correlation-id"), Some(id));
            assert!(if sent.contains("w-300") { id == "w-300" } else { id.len() > 20 }, "{id}");
            world.wait_log(0, id);
        }
    }
    let refused = by_tls(&world, "", message("SE-NONE", "").as_bytes());
    assert!(fault(&refused).string.starts_with("VP004"));
    world.wait_log(0, refused.header("x-skltp-correlation-id").unwrap());
}

#[test]
fn the_original_consumer_goes_on_from_those_who_may_say_it() {
    let [(plain, http), _tls] = producers(good);
    let portal = permission("*").replace("REGION", "1177");
    let world = start(&(portal + &permission("*") + &route_to("SE-A", &http)));
    let name = "x-rivta-original-serviceconsumer-hsaid";
    let ask = |caller: &str, value: &str| {
        let mut stream = World::caller(caller).connect(world.https).unwrap();
        let headers = format!("{name}: {value}\r\nx-vp-instance-id: klagomal-test\r\n");
        stream.post_with(&headers, message("SE-A", "").as_bytes()).unwrap()
    };
    // In the example, 1177 may, so others may not.
    for (caller, said, told) in [
        ("1177", "SE0000000000-BO", "SE0000000000-BO"),
        ("1177", "", "SE0000000000-1177"),
        ("region", "SE0000000000-REGION", "SE0000000000-REGION"),
    ] {
        assert_eq!(ask(caller, said).status, 200);
        assert_eq!(plain.calls().last().unwrap().header(name), Some(told));
    }
    let called = plain.count();
    for said in ["SE0000000000-BO", ""] {
        let told = fault(&ask("region", said));
        assert!(told.string.starts_with("VP013 "), "{said}: {told:?}");
    }
    assert_eq!(plain.count(), called);
}

#[test]
fn an_internal_call_leaves_the_routing_history_as_it_is_and_any_other_adds_to_it() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &http)));
    let name = "x-rivta-routing-history";
    let history = || plain.calls().last().unwrap().header(name).map(str::to_owned);
    let own = [("x-vp-sender-id", "SE0000000000-REGION"), ("x-vp-instance-id", "klagomal-test")];
    let body = message("SE-A", "");
    let mut with = own.to_vec();
    with.push((name, "SE9#klagomal-test"));
    assert_eq!(inside(&world, &with, &body).status, 200);
    assert_eq!(history().as_deref(), Some("SE9#klagomal-test"));
    assert_eq!(inside(&world, &own, &body).status, 200);
    assert_eq!(history(), None);
    assert_eq!(by_proxy(&world, &[], &body).status, 200);
    assert_eq!(history().as_deref(), Some("SE0000000000-REGION#klagomal-test"));
    assert_eq!(by_proxy(&world, &[(name, "SE9#other")], &body).status, 200);
    assert_eq!(history().as_deref(), Some("SE9#other#klagomal-test"));
    // Another instance's calls go by certificate, whatever sender they say.
    let other = [("x-vp-sender-id", "SE0000000000-1177"), ("x-vp-instance-id", "other")];
    assert_eq!(by_proxy(&world, &other, &body).status, 200);
    let last = plain.calls().pop().unwrap();
    assert_eq!(last.header("x-vp-sender-id"), Some("SE0000000000-REGION"));
    assert_eq!(last.header("x-vp-instance-id"), Some("klagomal-test"));
    assert!(last.header("x-vp-auth-cert").is_none(), "the certificate is not passed on");
    let told = fault(&by_proxy(&world, &[(name, "SE9# klagomal-test")], &body));
    assert!(told.string.starts_with("VP014 "), "{told:?}");
    let unknown = [("x-vp-auth-cert", "something else")];
    let told = fault(&inside(&world, &unknown, &body));
    assert!(told.string.starts_with("VP002 "), "{told:?}");
    assert!(told.detail.contains("unkown certificate type"), "{told:?}");
}

#[test]
fn a_namespace_may_be_declared_on_any_element_above_its_use() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &http)));
    let contract = format!(" xmlns:t=\"{CONTRACT}\"");
    let bare = message("SE-A", "").replace(&contract, "");
    for element in ["<s:Envelope", "<s:Body", "<t:GetThing"] {
        let body = bare.replacen(element, &format!("{element}{contract}"), 1);
        assert_eq!(by_tls(&world, "", body.as_bytes()).status, 200, "{element}");
        assert_eq!(plain.calls().last().unwrap().text(), body);
    }
    let default = bare
        .replace("t:GetThing", "GetThing")
        .replace("<GetThing", &format!("<GetThing xmlns=\"{CONTRACT}\""));
    assert_eq!(by_tls(&world, "", default.as_bytes()).status, 200);
    // Where it is declared nowhere, it is no XML with namespaces.
    assert!(fault(&by_tls(&world, "", bare.as_bytes())).string.starts_with("VP015 "));
    for blank in ["", " ", "\n\t"] {
        let body = message(blank, "");
        assert!(fault(&by_tls(&world, "", body.as_bytes())).string.starts_with("VP003 "));
    }
}

#[test]
fn who_calls_comes_from_the_certificate_at_each_door_and_never_from_the_other_doors_headers() {
    let [(plain, http), _tls] = producers(good);
    let world = start(&(permission("*") + &route_to("SE-A", &http)));
    let body = message("SE-A", "");
    let portal = proxied::certificate("1177");
    // At the TLS door the proxy's header is somebody's text.
    let sent = format!("x-vp-auth-cert: {portal}\r\n");
    assert_eq!(by_tls(&world, &sent, body.as_bytes()).status, 200);
    let sender = |call: &Call| call.header("x-vp-sender-id").map(str::to_owned);
    assert_eq!(sender(&plain.calls()[0]).as_deref(), Some("SE0000000000-REGION"));
    let told = fault(&inside(&world, &[("x-vp-auth-cert", &portal)], &body));
    assert!(told.detail.contains("senderId: SE0000000000-1177"), "{told:?}");
}
