//! Settings, right and wrong.

use expect_test::{Expect, expect};

use super::*;

fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    Config::parse("klagomal.toml", text, Path::new("/etc/klagomal"))
}

fn check(text: &str, told: &Expect) {
    let faults = parse(text).unwrap_err();
    told.assert_eq(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>());
}

#[test]
fn the_example_holds_the_defaults() {
    assert_eq!(parse(example()), parse(""));
    let defaults = parse("").unwrap();
    assert_eq!(defaults.server.https.to_string(), "0.0.0.0:8443");
    assert_eq!(defaults.server.admin.to_string(), "127.0.0.1:9090");
    assert_eq!(defaults.tls.trust, [Path::new("/etc/klagomal/certs/ca.pem")]);
    assert_eq!(defaults.limits.message_bytes, limits::MESSAGE_BYTES_MAX);
    assert_eq!(defaults.public.base_url, None);
}

#[test]
fn the_example_has_every_key_and_a_comment_for_each_section() {
    let mut document = Document::parse("", "", Path::new(""));
    Config::ask(&mut document);
    let example: toml::Table = example().parse().unwrap();
    let mut written: Vec<_> = example
        .iter()
        .flat_map(|(section, keys)| {
            keys.as_table().unwrap().keys().map(move |key| (section.clone(), key.clone()))
        })
        .collect();
    let mut known: Vec<_> =
        document.known().iter().map(|(s, k)| ((*s).to_owned(), (*k).to_owned())).collect();
    known.sort();
    written.sort();
    assert_eq!(written, known);
}

fn store_as_set() -> Store {
    let master_key = Some(master::Source::File(Path::new("/etc/klagomal").join("f.key")));
    Store { dir: Path::new("/etc/klagomal").join("f"), min_free_bytes: 16, master_key }
}

/// What the text of the next test says.
fn as_set() -> Config {
    let at = |path: &str| Path::new("/etc/klagomal").join(path);
    Config {
        server: Server {
            https: "127.0.0.1:1".parse().unwrap(),
            admin: "[::1]:2".parse().unwrap(),
            proxied: Some("127.0.0.1:3".parse().unwrap()),
            staff: Some("127.0.0.1:4".parse().unwrap()),
        },
        proxied: Proxied {
            sources: vec!["10.0.0.0/8".parse().unwrap()],
            warnings: Vec::new(),
            certificate_header: "A".to_owned(),
            for_header: "b".to_owned(),
            proto_header: "c".to_owned(),
            host_header: "d".to_owned(),
            port_header: "e".to_owned(),
            instance_id: Some("f".to_owned()),
        },
        tls: Tls {
            certificate: at("a"),
            key: PathBuf::from("/b"),
            trust: vec![at("c"), at("d")],
            crl: vec![at("e")],
            hsa_id_attribute: HsaIdAttribute::OrganizationalUnit,
        },
        staff: Tls {
            certificate: at("a"),
            key: at("k"),
            trust: vec![at("l")],
            crl: vec![at("m")],
            hsa_id_attribute: HsaIdAttribute::SerialNumber,
        },
        oidc: Some(Oidc {
            service: oidc::Settings {
                issuer: "https://id.example.se/op".to_owned(),
                client_id: "n".to_owned(),
                client_secret_file: Some(at("o")),
                address: "https://klagomal.example.se:8444".to_owned(),
                scopes: vec!["p".to_owned()],
                hsa_id_claim: "q".to_owned(),
                levels: vec!["r".to_owned()],
            },
            trust: vec![at("s")],
        }),
        mail: Some(mail::Settings {
            host: "smtp.example.se".to_owned(),
            port: 465,
            security: mail::Security::Tls,
            from: "klagomal@example.se".to_owned(),
            user: Some("t".to_owned()),
            password_file: Some(at("u")),
            trust: vec![at("v")],
            page: "https://klagomal.example.se:8444".to_owned(),
        }),
        store: store_as_set(),
        tak: Tak { dir: at("../g") },
        outbound: Outbound { certificate: at("h"), key: at("i"), trust: vec![at("j")] },
        log: Log { level: telemetry::Level::Debug, format: telemetry::Format::Json },
        limits: Limits {
            message_bytes: 2_000_000,
            calls_in_flight: 2,
            connections: 3,
            consumer_rate: Rate::parse("30/min"),
        },
        public: Public {
            base_url: Some("https://klagomal.example.se/x".to_owned()),
            wsdl_folder: Some("/etc/klagomal/wsdl".into()),
        },
        telemetry: Telemetry { otlp: Some("http://127.0.0.1:4318".to_owned()) },
        alarms: Alarms {
            every: Duration::from_secs(1),
            oldest: Duration::from_secs(2 * 3600),
            paused: Duration::from_secs(3 * 24 * 3600),
            certificate_days: 4,
            silence: false,
        },
    }
}

#[test]
fn every_key_is_heard() {
    let config = parse(
        r#"
        server = { https = "127.0.0.1:1", admin = "[::1]:2", proxied = "127.0.0.1:3", staff = "127.0.0.1:4" }
        oidc = { issuer = "https://id.example.se/op", client_id = "n", client_secret_file = "o", address = "https://klagomal.example.se:8444/", scopes = ["p"], hsa_id_claim = "q", levels = ["r"], trust = ["s"] }
        mail = { server = "smtp.example.se:465", security = "tls", from = "klagomal@example.se", user = "t", password_file = "u", trust = ["v"], address = "https://klagomal.example.se:8444/" }
        staff = { key = "k", trust = ["l"], crl = ["m"] }
        proxied = { sources = ["10.0.0.0/8"], certificate_header = "A", for_header = "b", proto_header = "c", host_header = "d", port_header = "e", instance_id = "f" }
        tls = { certificate = "a", key = "/b", trust = ["c", "d"], crl = ["e"], hsa_id_attribute = "OU" }
        store = { dir = "f", min_free_bytes = 0x10, master_key_file = "f.key" }
        tak = { dir = "../g" }
        outbound = { certificate = "h", key = "i", trust = ["j"] }
        log = { level = "debug", format = "json" }
        limits = { message_bytes = 2_000_000, calls_in_flight = 2, connections = 3, consumer_rate = "30/min" }
        public = { base_url = "https://klagomal.example.se/x/", wsdl_folder = "wsdl" }
        telemetry = { otlp = "http://127.0.0.1:4318/" }
        alarms = { every = "1s", oldest = "2h", paused = "3d", certificate_days = 4, silence = "off" }
        "#,
    );
    assert_eq!(config.unwrap(), as_set());
}

#[test]
fn calls_to_producers_use_the_files_of_the_door_unless_told_otherwise() {
    let config = parse("[tls]\ncertificate = \"a\"\ntrust = [\"b\"]\n[outbound]\nkey = \"c\"\n");
    let Config { tls, outbound, .. } = config.unwrap();
    assert_eq!((outbound.certificate, outbound.trust), (tls.certificate, tls.trust));
    assert_eq!(outbound.key, Path::new("/etc/klagomal/c"));
}

#[test]
fn a_login_service_is_told_whole_or_not_at_all() {
    assert_eq!(parse("[oidc]\nlevels = [\"x\"]\n").unwrap().oidc, None);
    check(
        "[oidc]\nissuer = \"http://id.example.se\"\n",
        &expect![[r#"
            klagomal.toml:1: `address`: is needed to log in by a login service
            klagomal.toml:1: `client_id`: is needed to log in by a login service
            klagomal.toml:2: `issuer`: expected an https address, found "http://id.example.se"
        "#]],
    );
    let both = "[server]\nstaff = \"127.0.0.1:4\"\n[oidc]\nissuer = \"https://id.example.se\"\n\
                client_id = \"a\"\naddress = \"https://b.example.se\"\n";
    assert!(parse(both).is_ok(), "nobody needs a card then");
}

#[test]
fn everything_wrong_is_told_at_once_with_its_line() {
    check(
        r#"
https = "0.0.0.0:1"
colour = 1
[sever]
[gateway]
[server]
https = "localhost"
admin = 9090
[tls]
certifcate = "x"
trust = []
crl = ["a", 1, ""]
hsa_id_attribute = "CN"
level = "info"
[store]
dir = ""
min_free_bytes = -1
[log]
format = "xml"
[limits]
message_bytes = 1
calls_in_flight = 99999999999999999999
connections = 1.5
[public]
base_url = "klagomal.example.se"
"#,
        &expect![[r#"
            klagomal.toml:2: `https` belongs in the section [server]
            klagomal.toml:3: unknown key `colour` outside every section
            klagomal.toml:4: unknown section [sever]; did you mean [server]?
            klagomal.toml:5: unknown section [gateway]; the sections are [alarms], [limits], [log], [mail], [oidc], [outbound], [proxied], [public], [server], [staff], [store], [tak], [telemetry], [tls]
            klagomal.toml:7: `https`: expected an address and a port, such as "0.0.0.0:8443", found "localhost"
            klagomal.toml:8: `admin`: expected a text in quotes, found integer
            klagomal.toml:10: unknown key `certifcate` in [tls]; did you mean `certificate`?
            klagomal.toml:11: `trust`: expected at least one path, found none
            klagomal.toml:12: `crl`: expected paths only, found something else in the list
            klagomal.toml:13: `hsa_id_attribute`: expected one of "serialNumber", "OU", found "CN"
            klagomal.toml:14: unknown key `level` in [tls]; it belongs in [log]
            klagomal.toml:16: `dir`: expected a path, found nothing
            klagomal.toml:17: `min_free_bytes`: expected 0 to 1099511627776, found -1
            klagomal.toml:19: `format`: expected one of "text", "json", found "xml"
            klagomal.toml:21: `message_bytes`: expected 1048576 to 1073741824, found 1
            klagomal.toml:22: `calls_in_flight`: expected 1 to 4096, found 99999999999999999999
            klagomal.toml:23: `connections`: expected a whole number, found float
            klagomal.toml:25: `base_url`: expected the beginning of an address, such as "https://klagomal.example.se", found "klagomal.example.se"
        "#]],
    );
}

#[test]
fn a_section_that_is_a_value_and_a_document_that_is_no_toml_are_told() {
    check(
        "tls = 1\n[log]\nlevel = \n= 3\n[log]\n",
        &expect![[r#"
            klagomal.toml:1: `tls` is a section, found integer
            klagomal.toml:3: string values must be quoted, expected literal string
            klagomal.toml:4: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
            klagomal.toml:5: duplicate key
        "#]],
    );
}

#[test]
fn the_admin_door_stands_apart() {
    check(
        "[server]\nadmin = \"0.0.0.0:9090\"",
        &expect![[r#"
        klagomal.toml:2: `admin`: an admin door on every address lets the whole network command the gateway; name one address, such as 127.0.0.1:9090
    "#]],
    );
    check(
        "[server]\n\nadmin = \"127.0.0.1:8443\"",
        &expect![[r#"
        klagomal.toml:3: `admin`: port 8443 is already that of `https`
    "#]],
    );
    assert!(parse("[server]\nhttps = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"").is_ok());
    assert!(parse("[server]\nhttps = \"127.0.0.2:9090\"").is_ok());
}

#[test]
fn a_base_url_is_the_beginning_of_an_address_and_nothing_more() {
    for (text, right) in [
        ("http://localhost:8443", true),
        ("https://a.example/x", true),
        ("https://", false),
        ("/x", false),
        ("ftp://a.example", false),
        ("https://a.example/?x", false),
        ("https://a.example/#x", false),
        ("https://user@a.example", false),
        ("https://a b.example", false),
    ] {
        assert_eq!(parse(&format!("[public]\nbase_url = {text:?}")).is_ok(), right, "{text}");
    }
}

#[test]
fn bounds_are_held_on_both_sides() {
    for (value, right) in [(0, false), (1, true), (65_536, true), (65_537, false)] {
        assert_eq!(parse(&format!("[limits]\nconnections = {value}")).is_ok(), right, "{value}");
    }
}

#[test]
fn a_file_is_read_and_its_paths_are_taken_from_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("klagomal.toml");
    let faults = read(&path).unwrap_err();
    assert!(faults[0].to_string().contains("cannot be read"), "{faults:?}");
    std::fs::write(&path, "[tak]\ndir = \"routing\"\n").unwrap();
    assert_eq!(read(&path).unwrap().tak.dir, dir.path().join("routing"));
    std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
    assert!(read(&path).unwrap_err()[0].text.contains("no settings file"));
}

#[test]
fn a_source_is_a_network_or_an_address_and_a_beginning_is_read_as_one_with_a_warning() {
    let sources = |list: &str| {
        let proxied = parse(&format!("[proxied]\nsources = [{list}]\n")).map(|it| it.proxied);
        let shown = |it: Proxied| {
            let all: Vec<String> = it.sources.iter().map(ToString::to_string).collect();
            (all.join(" "), it.warnings.len())
        };
        proxied.map(shown).ok()
    };
    for (written, read, warnings) in [
        ("\"10.1.2.3/16\", \"::1\"", "10.1.0.0/16 ::1/128", 0),
        ("\"10.1.2.3\"", "10.1.2.3/32", 0),
        ("\"::ffff:10.1.2.3\"", "10.1.2.3/32", 0),
        ("\"10.\", \" 10.1\", \"192.168.1.\"", "10.0.0.0/8 10.1.0.0/16 192.168.1.0/24", 3),
        ("", "", 0),
    ] {
        assert_eq!(sources(written), Some((read.to_owned(), warnings)), "{written}");
    }
    for bad in ["", ".", "10..1", "10.1.2.3.", "256.", "+1.", "10.x", "*", "10.0.0.0/33", "fe80:"] {
        assert_eq!(sources(&format!("{bad:?}")), None, "{bad}");
    }
}

#[test]
fn the_proxied_door_is_shut_unless_it_has_an_address_of_its_own() {
    assert_eq!(parse("").unwrap().server.proxied, None);
    let told = |at: &str| parse(&format!("[server]\nproxied = \"{at}\"\n"));
    assert_eq!(told("127.0.0.1:8080").unwrap().server.proxied.unwrap().port(), 8080);
    for bad in ["127.0.0.1:8443", "127.0.0.1:9090", "0.0.0.0:9090", "8080", "localhost:8080"] {
        assert!(told(bad).is_err(), "{bad}");
    }
    assert!(parse("[proxied]\ncertificate_header = \"a b\"\n").is_err());
}

#[test]
fn a_rate_and_a_collector_are_told_when_they_cannot_be_meant() {
    let faults = parse(
        "[limits]\nconsumer_rate = \"often\"\n[telemetry]\notlp = \"https://collector.example.se\"\n",
    )
    .unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(":2:") && told[0].contains("100/s"), "{told:?}");
    assert!(told[1].contains(":4:") && told[1].contains("http only"), "{told:?}");
}
