//! Facts about importing and exporting: what real files come to, and that nothing is lost on the way.

mod orders;
mod round;

use super::*;
use crate::tak::{Severity, Table};

const CARE: &str = "urn:riv:example:case:SubmitCaseResponder:1";

const ROUTES_XML: &str = r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
  <hamtaAllaVirtualiseringarResponse xmlns="urn:skl:tp:vagvalsinfo:v2"><virtualiseringsInfo>
    <virtualiseringsInfoId>17</virtualiseringsInfoId><receiverId>SE0000000000-AB12</receiverId>
    <rivProfil>RIVTABP21</rivProfil><tjansteKontrakt>urn:riv:example:case:SubmitCaseResponder:1</tjansteKontrakt>
    <fromTidpunkt>2024-02-01T00:00:00.000</fromTidpunkt><tomTidpunkt>2124-02-01T00:00:00.000</tomTidpunkt>
    <adress>https://producer.example.se:8443/case/submit</adress>
  </virtualiseringsInfo></hamtaAllaVirtualiseringarResponse>
</soap:Body></soap:Envelope>"#;

const PERMISSIONS_XML: &str = r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
  <hamtaAllaAnropsBehorigheterResponse xmlns="urn:skl:tp:vagvalsinfo:v2"><anropsBehorighetsInfo>
    <anropsBehorighetsInfoId>5</anropsBehorighetsInfoId><receiverId>SE0000000000-AB12</receiverId>
    <senderId>SE0000000000-B001</senderId><tjansteKontrakt>urn:riv:example:case:SubmitCaseResponder:1</tjansteKontrakt>
    <fromTidpunkt>2024-02-01T00:00:00.000</fromTidpunkt><tomTidpunkt>2124-02-01T00:00:00.000</tomTidpunkt>
    <filterInfo><serviceDomain>riv:example:case</serviceDomain><categorization>b</categorization><categorization>a</categorization></filterInfo>
  </anropsBehorighetsInfo></hamtaAllaAnropsBehorigheterResponse>
</soap:Body></soap:Envelope>"#;

const COMPONENTS_XML: &str = r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
  <hamtaAllaTjanstekomponenterResponse xmlns="urn:skl:tp:vagvalsinfo:v2"><tjanstekomponentInfo>
    <hsaId>SE0000000000-B001</hsaId><beskrivning>Portal
      "ett" \ två</beskrivning>
  </tjanstekomponentInfo></hamtaAllaTjanstekomponenterResponse>
</soap:Body></soap:Envelope>"#;

const CONTRACTS_XML: &str = r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>
  <hamtaAllaTjanstekontraktResponse xmlns="urn:skl:tp:vagvalsinfo:v2"><tjanstekontraktInfo>
    <namnrymd>urn:riv:example:case:SubmitCaseResponder:1</namnrymd><majorVersion>1</majorVersion><minorVersion>0</minorVersion>
    <beskrivning>Submit case</beskrivning>
  </tjanstekontraktInfo></hamtaAllaTjanstekontraktResponse>
</soap:Body></soap:Envelope>"#;

const CACHE_XML: &str = r#"<persistentCache xmlns:ns2="urn:skl:tp:vagvalsinfo:v2">
  <virtualiseringsInfo><ns2:virtualiseringsInfoId>1</ns2:virtualiseringsInfoId><ns2:receiverId>R</ns2:receiverId><ns2:rivProfil>RIVTABP20</ns2:rivProfil>
    <ns2:tjansteKontrakt>urn:riv:x:YResponder:1</ns2:tjansteKontrakt><ns2:fromTidpunkt>2020-01-01T00:00:00.000+01:00</ns2:fromTidpunkt>
    <ns2:tomTidpunkt>2120-01-01T00:00:00.000+01:00</ns2:tomTidpunkt><ns2:adress>http://localhost:19000/p</ns2:adress></virtualiseringsInfo>
  <anropsBehorighetsInfo><ns2:anropsBehorighetsInfoId>1</ns2:anropsBehorighetsInfoId><ns2:receiverId>R</ns2:receiverId><ns2:senderId>S</ns2:senderId>
    <ns2:tjansteKontrakt>urn:riv:x:YResponder:1</ns2:tjansteKontrakt><ns2:fromTidpunkt>2020-01-01T00:00:00.000+01:00</ns2:fromTidpunkt>
    <ns2:tomTidpunkt>2120-01-01T00:00:00.000+01:00</ns2:tomTidpunkt></anropsBehorighetsInfo>
</persistentCache>"#;

/// A snapshot of the database: relations are ids. The other dialects are made from it.
const PUBLICATION: &str = r#"{ "formatVersion": "1", "version": "1", "tidpunkt": "2009-03-10T00:00:00+0100",
  "utforare": "Kalle", "kommentar": "kommentar", "data": {
  "rivtaprofil": [ { "id": 4, "namn": "rivtabp20", "beskrivning": "2.0" }, { "id": 5, "namn": "rivtabp21" } ],
  "tjanstekontrakt": [ { "id": 1, "namnrymd": "urn:riv:x:YResponder:1", "beskrivning": "Y", "majorVersion": 1, "minorVersion": 0 } ],
  "logiskadress": [ { "id": 3, "hsaId": "1", "beskrivning": "nr 1" }, { "id": 1, "hsaId": "TEST", "beskrivning": "Adress TEST" } ],
  "tjanstekomponent": [ { "id": 2, "hsaId": "SE0000000000-C2", "beskrivning": "Komponent 2" }, { "id": 7, "hsaId": "hsa7", "beskrivning": "" } ],
  "anropsadress": [ { "id": 1, "adress": "http://localhost/20", "pubversion": 1, "relationships": { "rivtaprofil": 4, "tjanstekomponent": 7 } } ],
  "anropsbehorighet": [
    { "id": 21, "integrationsavtal": "i", "fromTidpunkt": "2009-03-10T00:00:00+0100", "tomTidpunkt": "2110-12-24T00:00:00+0100",
      "relationships": { "logiskAdress": 1, "tjanstekomponent": 2, "tjanstekontrakt": 1 } } ],
  "vagval": [
    { "id": 11, "fromTidpunkt": "2009-03-10T00:00:00+0100", "tomTidpunkt": "2010-12-24T00:00:00+0100",
      "relationships": { "anropsadress": 1, "logiskadress": 1, "tjanstekontrakt": 1 } },
    { "id": 12, "fromTidpunkt": "2010-12-24T00:00:00+0100", "tomTidpunkt": "2111-12-24T00:00:00+0100",
      "relationships": { "anropsadress": 1, "logiskadress": 1, "tjanstekontrakt": 1 } } ],
  "filter": [ { "id": 1, "servicedomain": "Scheduling", "relationships": { "anropsbehorighet": 21 } } ],
  "filtercategorization": [ { "id": 1, "category": "Booking", "relationships": { "filter": 1 } } ] } }"#;

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn imported(texts: &[&str]) -> Imported {
    let files: Vec<Source> = texts.iter().map(|it| source("in", it)).collect();
    import(&files, &[], now()).unwrap()
}

fn refused(text: &str) -> String {
    let error = import(&[source("in", text)], &[], now()).unwrap_err();
    format!("{}", crate::telemetry::Chain(&error))
}

/// The text of a file without its heading.
fn body<'i>(imported: &'i Imported, name: &str) -> &'i str {
    let file = imported.files.iter().find(|it| it.name == name).expect(name);
    file.text.split_once("\n\n").map_or("", |(_, rest)| rest)
}

/// A route as an answer tells it.
fn route(address: &str, url: &str, from: &str, to: &str) -> String {
    format!(
        "<virtualiseringsInfo><receiverId>{address}</receiverId><rivProfil>RIVTABP21</rivProfil>\
         <tjansteKontrakt>{CARE}</tjansteKontrakt><fromTidpunkt>{from}</fromTidpunkt>\
         <tomTidpunkt>{to}</tomTidpunkt><adress>{url}</adress></virtualiseringsInfo>"
    )
}

fn routes(rows: &[String]) -> String {
    let rows = rows.concat();
    format!("<a><hamtaAllaVirtualiseringarResponse>{rows}</hamtaAllaVirtualiseringarResponse></a>")
}

#[test]
fn the_four_answers_become_three_files() {
    let all = imported(&[ROUTES_XML, PERMISSIONS_XML, COMPONENTS_XML, CONTRACTS_XML]);
    assert_eq!(all.report.left, []);
    assert_eq!(
        body(&all, ROUTES),
        "# Submit case\n[[route]]\ncontract = \"urn:riv:example:case:SubmitCaseResponder:1\"\n\
         logical_address = \"SE0000000000-AB12\"\n\
         address = \"https://producer.example.se:8443/case/submit\"\n\
         from = 2024-02-01\nto = 2124-02-01\n"
    );
    assert_eq!(
        body(&all, PERMISSIONS),
        "# Submit case\n[[permission]]\nconsumer = \"SE0000000000-B001\"\n\
         contract = \"urn:riv:example:case:SubmitCaseResponder:1\"\n\
         logical_address = \"SE0000000000-AB12\"\nfrom = 2024-02-01\nto = 2124-02-01\n\
         filter = [{ domain = \"riv:example:case\", categorizations = [\"b\", \"a\"] }]\n"
    );
    assert_eq!(
        body(&all, SYSTEMS),
        "[[system]]\nhsa_id = \"SE0000000000-B001\"\nname = \"Portal \\\"ett\\\" \\\\ två\"\n"
    );
}

#[test]
fn one_answer_alone_leaves_the_other_rows_as_they_are() {
    let names = |it: &Imported| it.files.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&imported(&[ROUTES_XML])), [ROUTES]);
    let first = imported(&[PERMISSIONS_XML]);
    assert_eq!(names(&first), [SYSTEMS, PERMISSIONS]);
    // A name that comes later finds the caller that an earlier import wrote.
    let files = [source("in", COMPONENTS_XML)];
    let then = import(&files, &first.files, now()).unwrap();
    assert_eq!(names(&then), [SYSTEMS]);
    assert!(body(&then, SYSTEMS).contains("Portal"));
    // And an import without names keeps it.
    let files = [source("in", PERMISSIONS_XML)];
    let again = import(&files, &then.files, now()).unwrap();
    assert!(body(&again, SYSTEMS).contains("Portal"));
}

#[test]
fn a_cache_file_tells_routes_and_permissions() {
    let all = imported(&[CACHE_XML]);
    assert_eq!(all.report.left, []);
    assert_eq!(
        body(&all, ROUTES),
        "[[route]]\ncontract = \"urn:riv:x:YResponder:1\"\nlogical_address = \"R\"\n\
         address = \"http://localhost:19000/p\"\nprofile = \"rivtabp20\"\n\
         from = 2020-01-01\nto = 2120-01-01\n"
    );
    assert!(body(&all, PERMISSIONS).starts_with("[[permission]]\nconsumer = \"S\"\n"));
    // "S" is no HSA-id that could be in a certificate, so it is no system.
    assert_eq!(all.report.systems, 0);
    assert!(all.report.notes.iter().any(|it| it.contains("not well-formed")));
}

#[test]
fn a_publication_reads_the_same_in_all_its_dialects() {
    let first = imported(&[PUBLICATION]);
    assert_eq!(first.report.left, []);
    assert_eq!(
        body(&first, ROUTES),
        "# Y\n[[route]]\ncontract = \"urn:riv:x:YResponder:1\"\n\
         logical_address = \"TEST\" # Adress TEST\naddress = \"http://localhost/20\"\n\
         profile = \"rivtabp20\"\nfrom = 2009-03-10\nto = 2111-12-24\n"
    );
    assert!(body(&first, PERMISSIONS).contains(
        "to = 2110-12-24\nfilter = [{ domain = \"Scheduling\", categorizations = [\"Booking\"] }]\n"
    ));
    assert!(body(&first, SYSTEMS).contains("name = \"Komponent 2\""));
    let keys = PUBLICATION
        .replace("\"logiskAdress\": 1", "\"logiskAdress\": \"TEST\"")
        .replace("\"logiskadress\": 1,", "\"logiskAdress\": \"TEST\",")
        .replace("\"anropsadress\": 1", "\"anropsadress\": \"http://localhost/20\"")
        .replace("\"tjanstekontrakt\": 1", "\"tjanstekontrakt\": \"urn:riv:x:YResponder:1\"")
        .replace("\"tjanstekomponent\": 2", "\"tjanstekonsument\": \"SE0000000000-C2\"")
        .replace("\"rivtaprofil\": 4", "\"rivtaprofil\": \"rivtabp20\"");
    let script = PUBLICATION
        .replace("\"tjanstekomponent\": 2", "\"tjanstekonsument\": 2")
        .replace("\"tidpunkt\"", "\"tidpunkt_version\": \"x\", \"tidpunkt\"");
    for other in [keys, script] {
        assert_ne!(other, PUBLICATION);
        assert_eq!(imported(&[&other]).files, first.files);
    }
}

#[test]
fn a_url_of_two_profiles_does_not_tell_which() {
    let two = PUBLICATION
        .replace("\"anropsadress\": 1", "\"anropsadress\": \"http://localhost/20\"")
        .replace(
            "\"anropsadress\": [",
            "\"anropsadress\": [ { \"adress\": \"http://localhost/20\", \"relationships\": \
             { \"rivtaprofil\": 5 } },",
        );
    let all = imported(&[&two]);
    assert_eq!(all.report.routes, 0);
    assert_eq!(all.report.left.len(), 2);
    assert_eq!(all.report.left[0].place, "in: vagval 11");
    assert!(all.report.left[0].why.contains("which profile"), "{:?}", all.report.left);
}

#[test]
fn what_is_no_answer_is_refused_with_its_place() {
    for (text, why) in [
        ("", "none of the formats"),
        ("[1]", "none of the formats"),
        ("{}", "none of the formats"),
        ("<html><body/></html>", "it begins as <html/body>"),
        ("{\"data\": ", "line 1 column"),
        ("{\"Status\": \"ERROR\", \"message\": \"Unknown version\"}", "Unknown version"),
        ("<a><persistentCache>", "rotelementet"),
        ("<!DOCTYPE a><a/>", "DOCTYPE"),
        (&routes(&[]), "no virtualiseringsInfo at all"),
        (&CACHE_XML.replace("virtualiseringsInfo>", "v>"), "no virtualiseringsInfo at all"),
        (&PUBLICATION.replace("\"vagval\"", "\"v\""), "no vagval at all"),
        (
            "<e><b><Fault><faultcode>a</faultcode><faultstring>trasig</faultstring></Fault></b></e>",
            "a fault instead of an answer: trasig",
        ),
    ] {
        let told = refused(text);
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn every_row_that_cannot_stand_is_named_with_its_line_and_reason() {
    let (from, to) = ("2024-01-01T00:00:00", "2124-01-01T00:00:00");
    let good = route("A", "https://e.se/", from, to);
    let cases = [
        (route("A b", "https://e.se/", from, to), "white space"),
        (route("A#B", "https://e.se/", from, to), "a row of its own"),
        (route("", "https://e.se/", from, to), "is empty"),
        (route("B", "ftp://e.se/", from, to), "neither http nor https"),
        (route("B", "https://u@e.se/", from, to), "user name"),
        (route("B", "https://e.se/", to, from), "never holds"),
        (route("B", "https://e.se/", "när som helst", to), "fromTidpunkt is no time"),
        (
            route("B", "https://e.se/", "4610-07-01T00:00:00", "4700-01-01T00:00:00"),
            "not in the years",
        ),
        (
            route("B", "https://e.se/", "1000-01-01T00:00:00", "1850-01-01T00:00:00"),
            "not in the years",
        ),
        (good.replace("RIVTABP21", "RIVTABP30"), "is not one that is spoken"),
        (good.replace("<rivProfil>RIVTABP21</rivProfil>", ""), "which profile"),
        (good.replace(CARE, "fel kontrakt"), "not the namespace"),
        (good.replace(CARE, crate::tak::PROCESS_COMPLAINT), "go by unit"),
    ];
    for (row, why) in cases {
        let all = imported(&[&format!("\n{}", routes(&["\n".to_owned(), row.clone()]))]);
        assert_eq!(all.report.routes, 0, "{row}");
        let [left] = all.report.left.as_slice() else { panic!("{:?}", all.report.left) };
        assert!(left.why.contains(why), "{row}: {left:?}");
        assert_eq!(left.place, "in:3", "{row}");
    }
    for sender in ["10.1.", "10.1.2.3", "SE 1", "å"] {
        let text = PERMISSIONS_XML.replace("SE0000000000-B001", sender);
        assert_eq!(imported(&[&text]).report.left.len(), 1, "{sender}");
    }
    let text = PERMISSIONS_XML.replace("riv:example:case</s", "riv: x</s");
    assert_eq!(imported(&[&text]).report.left.len(), 1);
}

#[test]
fn a_planned_change_of_route_is_told_where_the_platform_would_have_two() {
    let row = |url: &str, from: &str, to: &str| route("A", url, from, to);
    let old = row("https://old.se/", "2020-01-01T00:00:00", "2026-06-30T00:00:00");
    let new = row("https://new.se/", "2026-07-01T00:00:00", "2126-07-01T00:00:00");
    let all = imported(&[&routes(&[old.clone(), new.clone()])]);
    assert_eq!(all.report.routes, 2);
    let [window] = all.report.windows.as_slice() else { panic!("{:?}", all.report) };
    // 11 to 15 in winter is 12 to 16 in summer.
    assert!(window.contains("from 2026-06-30 12:00 to 2026-06-30 16:00"), "{window}");
    // With offsets there is nothing to tell, nor with a day between.
    let zone = |it: &str| it.replace("T00:00:00<", "T00:00:00+02:00<");
    assert_eq!(imported(&[&routes(&[zone(&old), zone(&new)])]).report.windows, [""; 0]);
    let later = row("https://new.se/", "2026-07-02T00:00:00", "2126-07-01T00:00:00");
    assert_eq!(imported(&[&routes(&[old, later])]).report.windows, [""; 0]);
    // What is past is counted.
    let past = |it: String| it.replace("2026-", "2021-");
    let old = past(row("https://old.se/", "2020-01-01T00:00:00", "2026-06-30T00:00:00"));
    let all = imported(&[&routes(&[old, past(new)])]);
    assert_eq!(all.report.windows, [""; 0]);
    assert!(all.report.notes.iter().any(|it| it.starts_with("1 more change")));
}

#[test]
fn routes_for_the_same_day_are_settled_and_told() {
    let row = |url: &str, from: &str, to: &str| route("A", url, from, to);
    let days = |rows: &[String]| {
        let all = imported(&[&routes(rows)]);
        let told: Vec<String> = body(&all, ROUTES)
            .lines()
            .filter(|it| it.starts_with("from") || it.starts_with("to") || it.starts_with("addr"))
            .map(|it| it.rsplit(['=', '/']).find(|it| it.len() > 1).unwrap().trim().to_owned())
            .collect();
        (told.join(" "), all.report.left.len())
    };
    let old = row("https://e.se/old", "2026-01-01", "2026-06-30");
    let meets = row("https://e.se/new", "2026-06-30", "2026-12-31");
    assert_eq!(
        days(&[meets, old.clone()]),
        ("old\" 2026-01-01 2026-06-29 new\" 2026-06-30 2026-12-31".to_owned(), 0)
    );
    let overlaps = row("https://e.se/new", "2026-06-29", "2026-12-31");
    assert_eq!(days(&[overlaps, old.clone()]), ("old\" 2026-01-01 2026-06-30".to_owned(), 1));
    let longer = row("https://e.se/new", "2026-01-01", "2026-12-31");
    assert_eq!(days(&[longer, old.clone()]), ("new\" 2026-01-01 2026-12-31".to_owned(), 1));
    let same = row("https://e.se/old", "2026-06-01", "2026-12-31");
    assert_eq!(days(&[same, old]), ("old\" 2026-01-01 2026-12-31".to_owned(), 0));
}

#[test]
fn what_an_import_writes_is_read_without_fault() {
    let base = source("base.toml", crate::tak::tests::BASE);
    let all = imported(&[PUBLICATION, ROUTES_XML, PERMISSIONS_XML, COMPONENTS_XML]);
    let mut folder = all.files;
    folder.push(base);
    let loaded = Table::parse(&folder, now());
    let errors: Vec<_> =
        loaded.findings.iter().filter(|it| it.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // And importing again from what is there changes no byte.
    let files = [PUBLICATION, ROUTES_XML, PERMISSIONS_XML, COMPONENTS_XML];
    let files: Vec<Source> = files.iter().map(|it| source("in", it)).collect();
    let again = import(&files, &folder, now()).unwrap();
    assert!(again.files.iter().all(|it| folder.contains(it)));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 300, failure_persistence: None, ..Default::default()
    })]

    /// Whatever a file has become on the way, reading it comes to an end, and what is written from
    /// it can be read.
    #[test]
    fn a_damaged_file_is_refused_or_read(
        which in 0..5usize,
        at in 0..3000usize,
        gone in 0..20usize,
        put in "[ -~åÅ\\n\u{85}]{0,6}",
    ) {
        let files = [ROUTES_XML, PERMISSIONS_XML, COMPONENTS_XML, CACHE_XML, PUBLICATION];
        let whole: Vec<char> = files[which].chars().collect();
        let at = at % whole.len();
        let rest = whole.iter().skip(at + gone);
        let text: String = whole.iter().take(at).copied().chain(put.chars()).chain(rest.copied()).collect();
        if let Ok(done) = import(&[source("in", &text)], &[], now()) {
            let mut folder = done.files;
            folder.push(source("base.toml", crate::tak::tests::BASE));
            let found = Table::parse(&folder, now()).findings;
            let errors: Vec<_> = found.iter().filter(|it| it.severity == Severity::Error).collect();
            proptest::prop_assert!(errors.is_empty(), "{:#?} {:#?}", errors, folder);
        }
    }
}
