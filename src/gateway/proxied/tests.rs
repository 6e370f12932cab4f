//! Who is believed, and what is read of what a proxy tells.

use super::*;
use crate::config::Config;
use crate::tls::tests::Certificates;

const OWN: &str = "klagomal-test";
const HEADER: &str = "x-vp-auth-cert";

fn proxy(settings: &str) -> Proxy {
    let text = format!("[proxied]\n{settings}\n");
    let config = Config::parse("klagomal.toml", &text, std::path::Path::new("")).unwrap();
    Proxy::new(config.proxied, Attribute::default())
}

fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

/// HSA-id of the sender, or the code and the detail of the refusal.
fn told(outcome: Result<Sender, Refusal>) -> String {
    match outcome {
        Ok(it) if it.internal => format!("internal {}", it.hsa_id),
        Ok(it) => it.hsa_id.to_string(),
        Err(refusal) => {
            format!("{} {}", refusal.code().unwrap(), refusal.fault(OWN).detail.unwrap())
        }
    }
}

struct Case {
    made: Certificates,
}

impl Case {
    fn new() -> Self {
        Self { made: Certificates::make() }
    }

    fn base64(&self, name: &str) -> String {
        STANDARD.encode(&self.made.chain(name)[0])
    }

    fn ask(&self, proxy: &Proxy, from: &str, pairs: &[(&'static str, &str)]) -> String {
        told(proxy.sender(at(from), &mut map(pairs), OWN, self.made.now()))
    }

    fn with_certificate(&self, value: &str) -> String {
        self.ask(&proxy(""), "127.0.0.1", &[(HEADER, value)])
    }
}

const REGION: &str = "SE0000000000-REGION";

#[test]
fn a_certificate_is_read_in_every_form_that_proxies_send() {
    let case = Case::new();
    let plain = case.base64("region");
    let lines = |between: &str| {
        let parts: Vec<&str> =
            plain.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).unwrap()).collect();
        parts.join(between)
    };
    for form in [
        plain.clone(),
        format!("{plain},{}", case.base64("1177")),
        format!("{BEGIN} {} {END}", lines(" ")),
        format!("{BEGIN}\t{}\t{END}", lines("\t")),
        format!("{BEGIN}{}{END}", lines("  ")),
        format!("{BEGIN} {} {END} {BEGIN} {} {END}", lines(" "), case.base64("1177")),
    ] {
        assert_eq!(case.with_certificate(&form), REGION, "{form}");
    }
}

#[test]
fn a_certificate_that_says_nothing_is_told_in_the_platforms_words() {
    let case = Case::new();
    let plain = case.base64("region");
    for (value, expected) in [
        ("", "No certificate found in httpheader x-vp-auth-cert"),
        ("Q049YQ==", "Exception, unkown certificate type found in httpheader x-vp-auth-cert"),
        (BEGIN, "Exception, unkown certificate type found in httpheader x-vp-auth-cert"),
        ("MII", "Exception occured parsing certificate in httpheader x-vp-auth-cert"),
        ("MII%2B", "Exception occured parsing certificate in httpheader x-vp-auth-cert"),
        (
            plain.get(..400).unwrap(),
            "Exception occured parsing certificate in httpheader x-vp-auth-cert",
        ),
        (&case.base64("no-hsa-id"), "No senderId found in Certificate"),
    ] {
        assert_eq!(case.with_certificate(value), format!("VP002 {expected}"), "{value}");
    }
    assert!(case.with_certificate(&case.base64("two-hsa-ids")).contains("more than once"));
    let none = case.ask(&proxy(""), "127.0.0.1", &[]);
    assert_eq!(none, "VP002 No certificate found in httpheader x-vp-auth-cert");
    let two = case.ask(&proxy(""), "127.0.0.1", &[(HEADER, &plain), (HEADER, &plain)]);
    assert_eq!(two, "VP002 httpheader x-vp-auth-cert was sent more than once");
}

#[test]
fn a_certificate_holds_on_its_days_only() {
    let case = Case::new();
    for name in ["expired", "not-yet-valid"] {
        let told = case.with_certificate(&case.base64(name));
        assert!(told.starts_with("VP002 The certificate in httpheader"), "{name}: {told}");
    }
}

#[test]
fn the_name_of_the_header_is_configured_and_no_other_one_counts() {
    let case = Case::new();
    let traefik = proxy("certificate_header = \"X-Forwarded-Tls-Client-Cert\"");
    let plain = case.base64("region");
    let ask = |name: &'static str| case.ask(&traefik, "127.0.0.1", &[(name, plain.as_str())]);
    assert_eq!(ask("x-forwarded-tls-client-cert"), REGION);
    let missing = "VP002 No certificate found in httpheader X-Forwarded-Tls-Client-Cert";
    assert_eq!(ask(HEADER), missing);
    // What tells the caller is not passed on.
    let named = proxy("certificate_header = \"ssl-client\"");
    let mut headers = map(&[("ssl-client", &plain), ("x-other", "1")]);
    named.sender(at("127.0.0.1"), &mut headers, OWN, case.made.now()).unwrap();
    assert_eq!(headers, map(&[("x-other", "1")]));
}

#[test]
fn a_source_is_a_network_and_not_the_beginning_of_a_text() {
    let case = Case::new();
    let plain = case.base64("region");
    let from = |settings: &str, address: &str| {
        case.ask(&proxy(settings), address, &[(HEADER, plain.as_str())])
    };
    let refused = |address: &str| {
        format!(
            "VP011 Caller was not on the white list of accepted IP-addresses.  IP-address: \
             {address}. HTTP header that caused checking: CamelNettyRemoteAddress"
        )
    };
    let beginning = "sources = [\"10.1\"]";
    assert_eq!(from(beginning, "10.1.200.3"), REGION);
    assert_eq!(from(beginning, "::ffff:10.1.200.3"), REGION);
    assert_eq!(from(beginning, "10.100.0.1"), refused("10.100.0.1"));
    let network = "sources = [\"10.1.2.0/25\", \"2001:db8::/32\"]";
    assert_eq!(from(network, "10.1.2.127"), REGION);
    assert_eq!(from(network, "10.1.2.128"), refused("10.1.2.128"));
    assert_eq!(from(network, "2001:db8:1::1"), REGION);
    assert_eq!(from(network, "2001:db9::1"), refused("2001:db9::1"));
    assert_eq!(from("sources = []", "127.0.0.1"), refused("127.0.0.1"));
    assert_eq!(from("", "::1"), REGION);
    assert_eq!(from("", "127.0.0.2"), refused("127.0.0.2"));
}

#[test]
fn an_internal_call_says_its_caller_and_comes_from_listed_addresses_all_the_way() {
    let case = Case::new();
    let it = proxy("sources = [\"127.0.0.1\", \"10.0.0.0/8\"]");
    let plain = case.base64("region");
    let inside = [(SENDER, "SE0000000000-INNER"), (INSTANCE, OWN)];
    let ask = |more: &[(&'static str, &str)]| {
        let all: Vec<_> = inside.iter().copied().chain(more.iter().copied()).collect();
        case.ask(&it, "127.0.0.1", &all)
    };
    let internal = "internal SE0000000000-INNER";
    assert_eq!(ask(&[]), internal);
    assert_eq!(ask(&[("x-forwarded-for", "10.1.2.3")]), internal);
    assert_eq!(ask(&[(HEADER, &plain)]), internal);
    // It stands in the history that it has made, and that is no loop.
    assert_eq!(ask(&[("x-rivta-routing-history", OWN)]), internal);
    for (said, named) in [
        ("192.0.2.1", "192.0.2.1"),
        ("10.1.2.3, 192.0.2.1", "192.0.2.1"),
        ("10.1.2.3.example.se", "10.1.2.3.example.se"),
        ("", ""),
    ] {
        let expected = format!(
            "VP011 Caller was not on the white list of accepted IP-addresses.  IP-address: \
             {named}. HTTP header that caused checking: X-Forwarded-For"
        );
        assert_eq!(ask(&[("x-forwarded-for", said)]), expected, "{said}");
    }
    let stranger = case.ask(&it, "192.0.2.1", &inside);
    assert!(stranger.starts_with("VP011 "), "{stranger}");
    let bad = [(SENDER, "SE 1"), (INSTANCE, OWN)];
    assert!(case.ask(&it, "127.0.0.1", &bad).starts_with("VP002 httpheader x-vp-sender-id"));
}

#[test]
fn without_our_instance_the_certificate_decides_whatever_sender_is_said() {
    let case = Case::new();
    let plain = case.base64("region");
    let said = (SENDER, "SE0000000000-INNER");
    let cert = (HEADER, plain.as_str());
    let ask = |it: &Proxy, pairs: &[(&'static str, &str)]| case.ask(it, "127.0.0.1", pairs);
    let it = proxy("");
    for pairs in [
        &[cert, said][..],
        &[cert, said, (INSTANCE, "other")],
        &[cert, said, (INSTANCE, "KLAGOMAL-TEST")],
        &[cert, (SENDER, " "), (INSTANCE, OWN)],
        &[cert, (INSTANCE, OWN)],
        // Where it comes from matters to internal calls only.
        &[cert, ("x-forwarded-for", "192.0.2.1")],
    ] {
        assert_eq!(ask(&it, pairs), REGION, "{pairs:?}");
    }
    assert!(ask(&it, &[said]).starts_with("VP002 No certificate"));
    let named = proxy("instance_id = \"inner\"");
    assert_eq!(ask(&named, &[cert, said, (INSTANCE, OWN)]), REGION);
    assert_eq!(ask(&named, &[said, (INSTANCE, "inner")]), "internal SE0000000000-INNER");
    let twice = [said, (SENDER, "SE1"), (INSTANCE, OWN)];
    assert!(ask(&it, &twice).ends_with("x-vp-sender-id was sent more than once"));
}

#[test]
fn a_call_that_has_been_here_is_refused() {
    let case = Case::new();
    let plain = case.base64("region");
    let ask = |histories: &[&str]| {
        let mut pairs = vec![(HEADER, plain.as_str())];
        pairs.extend(histories.iter().map(|it| ("x-rivta-routing-history", *it)));
        case.ask(&proxy(""), "127.0.0.1", &pairs)
    };
    for free in [&[""][..], &["SE1#other"], &["SE1#klagomal-test-2"]] {
        assert_eq!(ask(free), REGION, "{free:?}");
    }
    for round in [&["SE1#klagomal-test"][..], &["a # klagomal-test # b"], &["SE1", "klagomal-test"]]
    {
        assert_eq!(ask(round), "VP014 ", "{round:?}");
    }
}

#[test]
fn the_address_in_a_wsdl_is_what_the_caller_used() {
    let it = proxy("");
    let (proto, host, port) =
        ("x-vp-forwarded-proto", "x-vp-forwarded-host", "x-vp-forwarded-port");
    for (pairs, expected) in [
        (&[("host", "inside:8080")][..], "http://inside:8080"),
        (
            &[("host", "inside"), (proto, "HTTPS"), (host, "a.se"), (port, "443")],
            "https://a.se:443",
        ),
        (&[("host", "inside"), (proto, "https"), (host, "a.se:8443")], "https://a.se:8443"),
        (&[(proto, "https"), (host, "a.se:8443"), (port, "443")], "https://a.se:443"),
        (&[(host, "[::1]"), (port, "99")], "http://[::1]:99"),
        (
            &[("host", "inside:1"), (proto, "javascript"), (host, "a/\"b"), (port, "x")],
            "http://inside:1",
        ),
        (&[], "http://localhost"),
    ] {
        assert_eq!(it.base_url(&map(pairs)), expected, "{pairs:?}");
    }
}
