//! Messages that mean harm, on both paths: the complaint that is kept, and any contract that is passed
//! on. What comes after the head of a message that is passed on is its producer's to judge, as on the
//! national platform: it is neither read nor changed, and nothing in it costs the gateway anything.

use std::time::{Duration, Instant};

use super::{Besieged, MEMORY_GROWTH_MAX, XML, good, post, post_by, raw};
use crate::platform::ground;
use crate::support::{File, Peer, VC1, World, case_id, complaint};

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

/// Something to say of a message, and the message.
struct Attack {
    what: String,
    headers: &'static str,
    body: Vec<u8>,
}

fn attack(what: &str, body: impl Into<Vec<u8>>) -> Attack {
    Attack { what: what.to_owned(), headers: XML, body: body.into() }
}

/// `good` with `what` at the beginning of its header.
fn in_header(good: &str, what: &str) -> String {
    good.replacen("Header>", &format!("Header>{what}"), 1)
}

fn with_doctype(good: &str, doctype: &str) -> String {
    good.replacen("?>", &format!("?><!DOCTYPE x {doctype}>"), 1)
}

/// `trap` is where nobody may ever call.
fn documents(good: &str, address: &str, trap: &str) -> Vec<Attack> {
    let laughs: String = (1..10)
        .map(|at| format!("<!ENTITY l{at} \"{}\">", format!("&l{};", at - 1).repeat(10)))
        .collect();
    let laughing = good.replacen(address, "&l9;", 1);
    let blowup = format!("[<!ENTITY q \"{}\">]", "q".repeat(50_000));
    let external = format!("[<!ENTITY e SYSTEM \"{trap}\">]");
    let parameter = format!("[<!ENTITY % p SYSTEM \"{trap}\"> %p;]");
    let e = good.replacen(address, "&e;", 1);
    [
        ("a DOCTYPE", with_doctype(good, "")),
        ("an external DTD", with_doctype(good, &format!("SYSTEM \"{trap}\""))),
        ("a public DTD", with_doctype(good, &format!("PUBLIC \"-//X//Y\" \"{trap}\""))),
        ("an external entity", with_doctype(&e, &external)),
        ("a file as entity", with_doctype(&e, "[<!ENTITY e SYSTEM \"file:///etc/passwd\">]")),
        ("a parameter entity", with_doctype(good, &parameter)),
        ("laughs", with_doctype(&laughing, &format!("[<!ENTITY l0 \"ha\">{laughs}]"))),
        (
            "quadratic blowup",
            with_doctype(&good.replacen(address, &"&q;".repeat(2_000), 1), &blowup),
        ),
        ("an undeclared entity", good.replacen(address, "&lol;", 1)),
        ("a DOCTYPE in the header", in_header(good, "<!DOCTYPE x>")),
        ("an entity in the header", in_header(good, "<!ENTITY a \"b\">")),
    ]
    .map(|(what, body)| attack(what, body))
    .into()
}

fn sizes(good: &str) -> Vec<Attack> {
    let deep = |levels: usize| format!("{}{}", "<z>".repeat(levels), "</z>".repeat(levels));
    let attributes = |count: usize| -> String {
        let all: String = (0..count).map(|at| format!(" a{at}=\"\"")).collect();
        format!("<z{all}/>")
    };
    let declared = |count: usize| -> String {
        let all: String = (0..count).map(|at| format!(" xmlns:n{at}=\"urn:{at}\"")).collect();
        format!("<z{all}/>")
    };
    let long = "n".repeat(100_000);
    [
        ("65 levels", deep(65)),
        ("100 000 levels", deep(100_000)),
        ("100 000 levels without an end", "<z>".repeat(100_000)),
        ("65 attributes", attributes(65)),
        ("a million attributes", attributes(1_000_000)),
        ("33 namespaces", declared(33)),
        ("100 000 namespaces", declared(100_000)),
        ("a name of 257 bytes", format!("<{}/>", &long[..257])),
        ("a huge name", format!("<{long}/>")),
        ("a huge attribute name", format!("<z {long}=\"\"/>")),
        ("a huge prefix", format!("<{long}:z xmlns:{long}=\"urn:z\"/>")),
        ("a huge attribute", format!("<z a=\"{}\"/>", "x".repeat(5_000_000))),
        ("a comment without an end", format!("<!--{}", "x".repeat(2_000_000))),
        ("CDATA without an end", format!("<z><![CDATA[{}", "x".repeat(2_000_000))),
        ("an instruction without an end", format!("<?x {}", "x".repeat(2_000_000))),
        ("a tag without an end", format!("<z {}", " ".repeat(2_000_000))),
        ("40 MB of text", format!("<z>{}</z>", "x".repeat(40_000_000))),
        ("100 000 elements", "<z/>".repeat(100_000)),
    ]
    .map(|(what, inside)| attack(what, in_header(good, &inside)))
    .into()
}

fn characters(good: &str, address: &str) -> Vec<Attack> {
    let (before, after) = good.split_once(address).unwrap();
    let bytes = |what: &str, bytes: &[u8]| {
        attack(what, [before.as_bytes(), address.as_bytes(), bytes, after.as_bytes()].concat())
    };
    let mut all = vec![
        bytes("a NUL", b"\0"),
        bytes("a control character", b"\x01"),
        bytes("U+FFFE", b"\xef\xbf\xbe"),
        bytes("an overlong NUL", b"\xc0\x80"),
        bytes("an overlong slash", b"\xe0\x80\xaf"),
        bytes("an overlong slash of four", b"\xf0\x80\x80\xaf"),
        bytes("a high surrogate in UTF-8", b"\xed\xa0\x80"),
        bytes("a pair of surrogates in UTF-8", b"\xed\xa0\xbd\xed\xb8\x80"),
        bytes("beyond Unicode", b"\xf4\x90\x80\x80"),
        bytes("a lone continuation", b"\x80"),
        bytes("half a character", b"\xc3"),
        bytes("a byte that UTF-8 has not", b"\xff"),
    ];
    for reference in [
        "&#0;",
        "&#x1;",
        "&#xD800;",
        "&#xFFFE;",
        "&#x110000;",
        "&#99999999999999999999;",
        "&#;",
        "&#x;",
        "&",
    ] {
        let body = format!("{before}{address}{reference}{after}");
        all.push(attack(&format!("the reference {reference}"), body));
    }
    let declared = good.replacen("UTF-8", "UTF-16", 1);
    let wide = |what: &str, units: &[u16]| {
        let (before, after) = declared.split_once(address).unwrap();
        let text: Vec<u16> = before.encode_utf16().chain(units.iter().copied()).collect();
        let text = text.into_iter().chain(after.encode_utf16());
        let bytes = [0xff, 0xfe].into_iter().chain(text.flat_map(u16::to_le_bytes));
        Attack { what: what.to_owned(), headers: "", body: bytes.collect() }
    };
    all.push(wide("a lone high surrogate", &[0xd800, 0x41]));
    all.push(wide("a lone low surrogate", &[0xdc00]));
    all.push(wide("surrogates the wrong way round", &[0xdc00, 0xd800]));
    let mut odd = wide("an odd number of bytes", &[0x41]);
    odd.body.truncate(declared.find(address).unwrap() * 2 + 3);
    all.push(odd);
    let utf32 = [0xff, 0xfe, 0, 0].into_iter();
    let utf32 = utf32.chain(good.chars().flat_map(|it| u32::from(it).to_le_bytes())).collect();
    all.push(Attack { what: "UTF-32".to_owned(), headers: "", body: utf32 });
    for charset in ["utf-7", "utf-32", "ebcdic-cp-us", "x-user-defined"] {
        let body = good.replacen("UTF-8", charset, 1).into_bytes();
        all.push(Attack { what: charset.to_owned(), headers: "Content-Type: text/xml\r\n", body });
    }
    all
}

fn namespaces(good: &str) -> Vec<Attack> {
    let soap = "http://schemas.xmlsoap.org/soap/envelope/";
    [
        ("a prefix of nothing", "<q:z/>"),
        ("an attribute's prefix of nothing", "<z q:a=\"\"/>"),
        ("tags that name the same namespace differently", "<p:z xmlns:p=\"urn:z\" xmlns:q=\"urn:z\"></q:z>"),
        ("tags that cross", "<a><b></a></b>"),
        ("a prefix declared away", "<z xmlns:p=\"\"/>"),
        ("a namespace declared twice", "<z xmlns:p=\"urn:a\" xmlns:p=\"urn:b\"/>"),
        ("a default namespace declared twice", "<z xmlns=\"urn:a\" xmlns=\"urn:b\"/>"),
        ("one attribute by two prefixes", "<z xmlns:p=\"urn:a\" xmlns:q=\"urn:a\" p:b=\"\" q:b=\"\"/>"),
        ("an attribute twice", "<z a=\"\" a=\"\"/>"),
        ("xml as another namespace", "<z xmlns:xml=\"urn:a\"/>"),
        ("xmlns as a prefix", "<z xmlns:xmlns=\"urn:a\"/>"),
        ("two colons", "<a:b:c xmlns:a=\"urn:a\"/>"),
        ("a name that begins with a digit", "<1z/>"),
        ("a second declaration", "<?xml version=\"1.0\"?>"),
        ("an attribute without quotes", "<z a=b/>"),
        ("an attribute without a value", "<z a/>"),
        ("< in an attribute", "<z a=\"<\"/>"),
        ("two hyphens in a comment", "<!-- a -- b -->"),
        ("]]> in text", "<z>]]></z>"),
    ]
    .map(|(what, inside)| attack(what, in_header(good, inside)))
    .into_iter()
    .chain([
        attack("an envelope of no namespace", good.replacen(soap, "", 1)),
        attack("an envelope of another namespace", good.replacen(soap, "urn:other", 1)),
        attack("blanks before the declaration", format!(" {good}")),
        attack("two addresses", good.replacen("<l:LogicalAddress", "<a:LogicalAddress", 1).replacen(
            "Header>",
            "Header><LogicalAddress xmlns=\"urn:riv:itintegration:registry:1\">SE-A</LogicalAddress>",
            1,
        )),
        attack("nothing", ""),
        attack("zeros", vec![0; 300_000]),
        attack("a mark and nothing", "\u{feff}"),
    ])
    .collect()
}

#[test]
fn the_attacks_on_xml_are_refused_on_both_paths_and_reach_nobody() {
    let mut besieged = Besieged::start();
    let trap = Peer::plain(ground::good);
    let url = format!("http://localhost:{}/evil.dtd", trap.address.port());
    let kept = good(2);
    let forwarded = Besieged::forwarded();
    let rewritten = forwarded.replace("SE-A", "SE-OLD");
    for (caller, message, address) in [
        ("1177", &kept, "SE0000000000-VC1"),
        ("region", &forwarded, "SE-A"),
        ("region", &rewritten, "SE-OLD"),
    ] {
        let all = [
            documents(message, address, &url),
            sizes(message),
            characters(message, address),
            namespaces(message),
        ];
        for attack in all.into_iter().flatten() {
            let what = format!("{} to {address}", attack.what);
            let began = Instant::now();
            let seen = post_by(caller, &besieged.world, attack.headers, &attack.body)
                .unwrap_or_else(|| panic!("{what}: no answer"));
            let outcome = seen.outcome();
            assert!(
                outcome.starts_with("FAULT SOAP-ENV:Client VP0")
                    || outcome.starts_with("FAULT SOAP-ENV:VersionMismatch"),
                "{what}: {}",
                seen.text()
            );
            assert!(seen.body.len() < 4_000, "{what}: {}", seen.text());
            assert!(began.elapsed() < Duration::from_secs(12), "{what}: {:?}", began.elapsed());
        }
        besieged.is_well(0);
    }
    assert_eq!(trap.count(), 0, "something was fetched");
    besieged.has_withstood(9);
}

#[test]
fn what_follows_the_head_of_a_message_that_passes_is_neither_read_nor_changed() {
    let mut besieged = Besieged::start();
    let deep = "<z>".repeat(200_000);
    let attributes: String = (0..200_000).map(|at| format!(" a{at}=\"\"")).collect();
    for inside in [
        deep.as_str(),
        "<!DOCTYPE x [<!ENTITY a \"b\">]>&a;",
        &format!("<z{attributes}/>"),
        "\0\u{1}<<<&&&",
    ] {
        let body = ground::message("SE-A", inside);
        let seen = post_by("region", &besieged.world, XML, body.as_bytes()).unwrap();
        assert_eq!(seen.status, 200, "{}", seen.text());
        besieged.calls += 1;
        assert!(besieged.producer.calls().pop().unwrap().body == body.as_bytes());
    }
    // Where it must be rewritten it is read, in bounds.
    for inside in
        ["<!DOCTYPE x>", "<z a=b>", &deep[..90_000], &format!("<z {}", "x".repeat(70_000))]
    {
        let body = ground::message("SE-OLD", inside);
        let seen = post_by("region", &besieged.world, XML, body.as_bytes()).unwrap();
        assert!(seen.outcome().contains(" VP012 "), "{}", seen.text());
    }
    besieged.has_withstood(9);
}
