//! Every fault, at its exact place: `¤` stands right before the place where it is to be found.

use super::*;

/// Checks that a file beside [`BASE`] gives exactly these findings, one for each `¤`.
pub(super) fn found(marked: &str, expected: &[(Severity, &str, &str)]) {
    found_in(&[("base.toml", BASE)], marked, expected);
}

fn found_in(base: &[(&str, &str)], marked: &str, expected: &[(Severity, &str, &str)]) {
    let mut places = Vec::new();
    let (mut line, mut column) = (1, 1);
    for c in marked.chars() {
        match c {
            '¤' => places.push((line, column)),
            '\n' => (line, column) = (line + 1, 1),
            _ => column += 1,
        }
    }
    let mut sources: Vec<Source> = base.iter().map(|(name, text)| source(name, text)).collect();
    sources.push(source("x.toml", &marked.replace('¤', "")));
    let loaded = Table::parse(&sources, noon());
    let all = &loaded.findings;
    assert!(all.iter().all(|it| it.file == "x.toml"), "{all:#?}");
    let seen: Vec<_> = all.iter().map(|it| (it.line, it.column)).collect();
    assert_eq!(seen, places, "{all:#?}");
    assert_eq!(all.len(), expected.len(), "{all:#?}");
    for (finding, (severity, message, hint)) in all.iter().zip(expected) {
        assert_eq!(finding.severity, *severity, "{finding:#?}");
        assert!(finding.message.contains(message), "{finding:#?}");
        assert!(finding.hint.as_deref().unwrap_or_default().contains(hint), "{finding:#?}");
    }
    assert_eq!(loaded.table.is_none(), loaded.has_errors());
}

use Severity::{Error, Warning};

#[test]
fn about_the_base_there_is_nothing_to_say() {
    found("", &[]);
}

#[test]
fn what_is_not_toml_is_found_by_line_and_does_not_hide_the_rest() {
    found(
        "[[route]]\ncontract = ¤\nlogical_address = \"*\"\n[[system]]\n¤nmae = \"x\"\n",
        &[(Error, "not TOML", "write a value"), (Error, "no key \"nmae\"", "\"name\"")],
    );
}

#[test]
fn what_a_syntax_error_leads_to_is_not_told_beside_it() {
    found(
        "[[route]¤\ncontract = \"urn:a:BResponder:1\"\n",
        &[(Error, "unclosed array table", "not closed")],
    );
    found(
        "[[route]]\ncontract = ¤urn:a:B\nlogical_address = \"*\"\nsystem = \"region\"\n\
         from = ¤2026-02-30\n",
        &[(Error, "must be quoted", "in quotes"), (Error, "invalid date", "a day that exists")],
    );
    found(
        "[[route]]\ncontract = \"urn:a:BResponder:1\"\n¤contract = \"x\"\n",
        &[(Error, "duplicate key", "twice")],
    );
    // Lines may end as on Windows.
    found(
        "\r\n[[route]]\r\n¤kontract = \"x\"\r\nsystem = [¤\r\n",
        &[(Error, "kontract", "contract"), (Error, "not TOML", "")],
    );
}

#[test]
fn unknown_keys_and_tables_name_the_nearest() {
    found(
        "¤colour = 1\n[[¤rout]]\nx = 1\n",
        &[(Error, "no key \"colour\"", "known here: platform"), (Error, "\"rout\"", "\"route\"")],
    );
    found(
        "[[unit]]\nhsa_id = \"SE0000000000-A1\"\nname = \"A\"\ncounty = \"99\"\n\
         care_provider = \"SE0000000000-VG1\"\n¤mailboxx = \"a@example.se\"\nmailbox = \"a@b.se\"\n\
         [[unit.handling]]\nmethod = \"store\"\n¤metod = \"store\"\n",
        &[(Error, "\"mailboxx\"", "\"mailbox\""), (Error, "\"metod\"", "\"method\"")],
    );
}

#[test]
fn one_bracket_where_two_belong_and_the_other_way() {
    found("¤[route]\ncontract = \"x\"\n", &[(Error, "is a TOML table", "[[route]], with two")]);
    found(
        "¤[[hierarchy]]\nroutes = true\n",
        &[(Error, "is a TOML array", "[hierarchy], with one")],
    );
}

#[test]
fn wrong_types_say_what_to_write() {
    found(
        "[[system]]\nid = ¤7\nhsa_id = \"SE0000000000-X\"\nname = \"X\"\n\
         original_consumer = ¤\"yes\"\nretry = ¤\"4s\"\n",
        &[
            (Error, "\"id\" of [[system]] is a TOML integer", "in quotes"),
            (Error, "TOML string", "true or false"),
            (Error, "TOML string", "a list"),
        ],
    );
    found(
        "[[county]]\ncode = ¤98\nname = ¤\"\"\n",
        &[(Error, "TOML integer", "in quotes"), (Error, "is empty", "one line")],
    );
}

#[test]
fn what_is_missing_is_named() {
    found(
        "¤¤[[system]]\nid = \"x\"\n",
        &[(Error, "no \"hsa_id\"", "add hsa_id"), (Error, "no \"name\"", "add name")],
    );
    found(
        "¤¤¤[[route]]\n¤¤¤[[permission]]\n",
        &[
            (Error, "[[route]] has no \"contract\"", ""),
            (Error, "[[route]] has no \"logical_address\"", ""),
            (Error, "[[route]] has no \"system\"", ""),
            (Error, "[[permission]] has no \"consumer\"", ""),
            (Error, "[[permission]] has no \"contract\"", ""),
            (Error, "[[permission]] has no \"logical_address\"", ""),
        ],
    );
    found(
        "¤¤¤¤[[unit]]\ncare_provider = \"SE0000000000-VG1\"\nmailbox = \"a@b.se\"\n",
        &[
            (Error, "no \"county\"", ""),
            (Error, "no \"handling\"", ""),
            (Error, "no \"hsa_id\"", ""),
            (Error, "no \"name\"", ""),
        ],
    );
}

#[test]
fn bad_hsa_ids_and_the_right_check_digit() {
    found(
        "[[system]]\nhsa_id = ¤\"SE0000000001-X\"\nname = \"X\"\n\
         [[system]]\nhsa_id = ¤\"SE00-X\"\nname = \"X\"\n\
         [[system]]\nhsa_id = ¤\"SE0000000000-å\"\nname = \"X\"\n",
        &[
            (Error, "not a well-formed HSA-id", "would be SE0000000000-X"),
            (Error, "not a well-formed HSA-id", "ten digits"),
            (Error, "visible ASCII", "ten digits"),
        ],
    );
    found(
        "[[permission]]\nconsumer = ¤\"SE 1\"\n\
         contract = \"urn:klagomal:supportprocess:patientsafety:complaint:ProcessComplaintResponder:1\"\n\
         logical_address = ¤\"VC 1\"\n",
        &[(Error, "not an HSA-id", "certificate"), (Error, "not an address", "\"*\"")],
    );
}

#[test]
fn days_that_do_not_exist_or_end_before_they_begin() {
    let head = route(CARE, "*", "https://localhost/");
    found(
        &format!(
            "{head}from = ¤\"2026-02-30\"\n{head}from = 2026-02-01\nto = ¤2026-01-31\n\
             {head}from = ¤2026-01-01T00:00:00\n{head}from = ¤7\nto = ¤\"20260101\"\n"
        ),
        &[
            (Error, "not a day: 2026-02-30", "exists"),
            (Error, "ends (2026-01-31) before it begins (2026-02-01)", "itself included"),
            (Error, "not a day: 2026-01-01T00:00:00", "date alone"),
            (Error, "TOML integer", "2026-01-31"),
            (Error, "not a day: 20260101", "exists"),
        ],
    );
    found(&format!("{head}from = 2027-01-31\nto = 2027-01-31\n"), &[]);
}

#[test]
fn urls_have_a_scheme_and_a_host_and_plain_http_stays_on_the_machine() {
    let one = |url: &str| route(CARE, "*", "U").replace("\"U\"", &format!("¤\"{url}\""));
    for (url, message) in [
        ("ftp://example.se/", "neither http nor https"),
        ("example.se", "not a URL"),
        ("https:///x", "not a URL"),
        ("https://user@example.se/", "user name"),
        ("https://example.se/#x", "\"#\""),
        ("https://example.se:99999/", "not a URL"),
        ("https://exa mple.se/", "not a URL"),
    ] {
        found(&one(url), &[(Error, message, "")]);
    }
    found(&one("http://example.se/"), &[(Warning, "plain http", "https")]);
    found(&one("http://10.0.0.1/"), &[(Warning, "plain http", "https")]);
    found(&one("   "), &[(Warning, "VP010", "")]);
    for url in ["http://localhost:1/", "http://127.0.0.1/x?y=z", "http://[::1]:8/", "https://e.se"]
    {
        found(&one(url).replace('¤', ""), &[]);
    }
}

#[test]
fn small_notations_are_checked() {
    found(
        "[[system]]\nid = ¤\"a b\"\nhsa_id = \"SE0000000000-X\"\nname = \"X\"\n\
         timeout = ¤\"29\"\nrate = ¤\"10\"\ndelivery = ¤\"qeued\"\nretry = [\"4s\", ¤\"0s\"]\n\
         give_up_after = ¤\"for ever\"\n¤key = \"k.pem\"\n",
        &[
            (Error, "other characters", "a-z"),
            (Error, "not a time: \"29\"", "29s"),
            (Error, "not a rate", "10/s"),
            (Error, "cannot be \"qeued\"", "\"queued\""),
            (Error, "not a time: \"0s\"", "whole number"),
            (Error, "not a time: \"for ever\"", ""),
            (Error, "\"key\" and no \"certificate\"", "both"),
        ],
    );
    found(
        &route(CARE, "*", "https://e.se/")
            .replace("[[route]]", "[[route]]\nprofile = ¤\"rivtabp12\""),
        &[(Error, "cannot be \"rivtabp12\"", "did you mean \"rivtabp21\"")],
    );
    found(
        &format!(
            "{}¤address = \"https://e.se\"\n",
            "[[route]]\ncontract = \"urn:a:BResponder:1\"\nlogical_address = \"*\"\nsystem = \"region\"\n"
        ),
        &[(Error, "both \"system\" and \"address\"", "keep one")],
    );
}

#[test]
fn references_to_nothing_name_the_nearest() {
    found(
        "[[route]]\ncontract = \"urn:a:BResponder:1\"\nlogical_address = \"*\"\nsystem = ¤\"regoin\"\n\
         ¤[[county]]\ncode = \"98\"\nname = \"N\"\npatient_advisory_committee = ¤\"SE0000000000-PAN9\"\n",
        &[
            (Error, "\"regoin\", which is not there", "\"region\""),
            (Warning, "county 98 has no units", ""),
            (Error, "no such unit", "SE0000000000-PAN99"),
        ],
    );
}

pub(super) fn unit(id: &str, county: &str, rest: &str) -> String {
    format!(
        "[[unit]]\nhsa_id = \"SE0000000000-{id}\"\nname = \"{id}\"\ncounty = {county}\n\
         care_provider = \"SE0000000000-VG1\"\nmailbox = \"a@example.se\"\n{rest}"
    )
}

#[test]
fn a_unit_belongs_to_a_county_that_is_there() {
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    found(
        &unit("A1", "¤\"98\"", store),
        &[(Error, "county \"98\", which is not there", "[[county]]")],
    );
    found(&unit("A1", "¤\"9\"", store), &[(Error, "not a county code", "two digits")]);
    found(&unit("A1", "\"99\"", store), &[]);
}

#[test]
fn a_system_that_handles_is_queued_and_can_be_called() {
    let row = "[[unit.handling]]\nmethod = \"system\"\nsystem = ";
    let quick = "[[system]]\nid = \"quick\"\nhsa_id = \"SE0000000000-Q\"\nname = \"Q\"\n";
    found(
        &format!("{}{quick}", unit("A1", "\"99\"", &format!("{row}¤¤\"quick\"\n"))),
        &[(Error, "has no \"url\"", "add url"), (Error, "is not queued", "line 10")],
    );
    found(&unit("A1", "\"99\"", &format!("{row}¤\"regio\"\n")), &[(Error, "regio", "\"region\"")]);
    found(&unit("A1", "\"99\"", &format!("{row}\"region\"\n")), &[]);
}

#[test]
fn a_receiver_goes_only_with_a_system() {
    found(
        &unit(
            "A1",
            "\"99\"",
            "[[unit.handling]]\nmethod = \"store\"\n¤receiver = \"SE0000000000-R\"\n",
        ),
        &[(Error, "\"receiver\" goes only with method = \"system\"", "one to one")],
    );
    found(
        &unit("A1", "\"99\"", "¤[[unit.handling]]\nmethod = \"system\"\n"),
        &[(Error, "no \"system\"", "add system")],
    );
}

#[test]
fn ids_are_there_once() {
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    found(
        &format!(
            "{}{}",
            unit("A1", "\"99\"", store),
            unit("A1", "\"99\"", store).replace("\"SE0000000000-A1\"", "¤\"se0000000000-a1\"")
        ),
        &[(Error, "HSA-id of a unit se0000000000-a1 is there twice", "line 2")],
    );
    found(
        "[[system]]\nid = ¤\"region\"\nhsa_id = ¤\"SE0000000000-REGION\"\nname = \"R\"\n\
         [[county]]\ncode = ¤\"99\"\nname = \"T\"\npatient_advisory_committee = \"SE0000000000-PAN99\"\n",
        &[
            (Error, "system id region is there twice", "base.toml:"),
            (Error, "HSA-id of a system SE0000000000-REGION", "base.toml:"),
            (Error, "county code 99", "base.toml:"),
        ],
    );
}

#[test]
fn a_committee_is_of_its_own_county() {
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    let more = unit("A1", "\"98\"", store);
    found(
        &format!(
            "¤[[county]]\ncode = \"98\"\nname = \"N\"\npatient_advisory_committee = ¤\"SE0000000000-PAN99\"\n{more}"
        ),
        &[(Warning, "is not live", ""), (Error, "a unit of county 99", "of its own")],
    );
}

#[test]
fn gaps_from_today_on_are_named_by_day() {
    let rows = |rows: &[(&str, &str)]| -> String {
        rows.iter()
            .map(|(from, to)| {
                let line = |key: &str, day: &str| {
                    if day.is_empty() { String::new() } else { format!("{key} = {day}\n") }
                };
                format!(
                    "[[unit.handling]]\n{}{}method = \"store\"\n",
                    line("from", from),
                    line("to", to)
                )
            })
            .collect()
    };
    let one = |list: &[(&str, &str)]| unit("A1", "\"99\"", &rows(list));
    let gap = |list: &[(&str, &str)], message: &str| {
        found(&format!("¤{}", one(list)), &[(Error, message, "")]);
    };
    gap(
        &[("", "2026-06-30"), ("2026-07-03", "")],
        "no handling method on the days 2026-07-01 to 2026-07-02",
    );
    gap(&[("", "2026-06-30")], "no handling method from 2026-07-01 on");
    gap(&[("2026-05-02", "")], "no handling method on the days 2026-05-01 to 2026-05-01");
    gap(&[("", "2026-04-30")], "no handling method from 2026-05-01 on");
    // Days that have passed are history.
    found(&one(&[("2026-05-01", "")]), &[]);
    found(&one(&[("2026-01-01", "2026-02-01"), ("2026-03-01", "")]), &[]);
    found(&one(&[("", "2026-06-30"), ("2026-07-01", "")]), &[]);
    // A unit that opens and closes is asked about its own days only.
    found(
        &unit(
            "A1",
            "\"99\"",
            &format!(
                "from = 2026-06-01\nto = 2026-08-31\n{}",
                rows(&[("2026-06-01", "2026-08-31")])
            ),
        ),
        &[],
    );
}

#[test]
fn overlaps_are_named_by_day() {
    let rows = |to: &str, from: &str, mark: &str| {
        unit(
            "A1",
            "\"99\"",
            &format!(
                "[[unit.handling]]\nto = {to}\nmethod = \"store\"\n\
                 {mark}[[unit.handling]]\nfrom = {from}\nmethod = \"store\"\n"
            ),
        )
    };
    found(
        &rows("2026-07-02", "2026-07-01", "¤"),
        &[(Error, "two handling methods on the days 2026-07-01 to 2026-07-02", "line 7")],
    );
    found(
        &rows("2026-07-01", "2026-07-01", "¤"),
        &[(Error, "on the days 2026-07-01 to 2026-07-01", "the day before")],
    );
    found(&rows("2026-06-30", "2026-07-01", ""), &[]);
    // A long row hides neither of two short ones.
    found(
        &unit(
            "A1",
            "\"99\"",
            "[[unit.handling]]\nmethod = \"store\"\n\
             ¤[[unit.handling]]\nfrom = 2026-06-01\nto = 2026-06-02\nmethod = \"store\"\n\
             ¤[[unit.handling]]\nfrom = 2026-07-01\nmethod = \"store\"\n",
        ),
        &[
            (Error, "on the days 2026-06-01 to 2026-06-02", "line 7"),
            (Error, "two handling methods from 2026-07-01 on", "line 7"),
        ],
    );
    // An overlap that has passed changes nothing.
    found(&rows("2026-03-02", "2026-03-01", ""), &[]);
}

#[test]
fn redirects_do_not_go_round() {
    let to = |unit_id: &str, receiver: &str| {
        unit(
            unit_id,
            "\"99\"",
            &format!(
                "[[unit.handling]]\nmethod = \"system\"\nsystem = \"region\"\nreceiver = {receiver}\n"
            ),
        )
    };
    found(
        &format!("{}{}", to("A1", "¤\"SE0000000000-A2\""), to("A2", "\"se0000000000-a1\"")),
        &[(Error, "SE0000000000-A1 to SE0000000000-A2 to se0000000000-a1", "take away")],
    );
    found(&to("A1", "¤\"SE0000000000-A1\""), &[(Error, "go round", "")]);
    found(&format!("{}{}", to("A1", "\"SE0000000000-A2\""), to("A2", "\"SE0000000000-A3\"")), &[]);
}

#[test]
fn routes_for_the_same_days_and_profile_are_refused() {
    let one = |rest: &str| format!("{}{rest}", route(CARE, "A", "https://e.se/"));
    found(
        &format!("{}¤{}", one("to = 2026-06-30\n"), one("from = 2026-06-30\n")),
        &[(
            Error,
            "two routes for urn:riv:example:case:SubmitCaseResponder:1 at A, both rivtabp21: on 2026-06-30",
            "line 1",
        )],
    );
    found(&format!("{}{}", one("to = 2026-06-30\n"), one("from = 2026-07-01\n")), &[]);
    found(&format!("{}{}", one("profile = \"rivtabp20\"\n"), one("")), &[]);
    // Upper and lower case are the same address.
    found(
        &format!("{}¤{}", one(""), one("").replace("\"A\"", "\"a\"")),
        &[(Error, "two routes", "line 1")],
    );
    // A long row hides neither of two short ones.
    found(
        &format!(
            "{}¤{}¤{}",
            one(""),
            one("from = 2026-06-01\nto = 2026-06-02\n"),
            one("from = 2026-07-01\n")
        ),
        &[(Error, "2026-06-01 to 2026-06-02", ""), (Error, "from 2026-07-01", "")],
    );
}

#[test]
fn the_platform_is_there_once_and_names_what_is_there() {
    let rest = BASE.split_once("[[system]]").unwrap().1;
    let rest = format!("[[system]]{rest}");
    let base = [("base.toml", rest.as_str())];
    let found_with = |text: &str, expected: &[(Severity, &str, &str)]| {
        found_in(&base, text, expected);
    };
    let head = "[platform]\nhsa_id = \"SE0000000000-GATEWAY\"\ninstance = \"i\"\n";
    found_with(
        &format!(
            "{head}inkorg = ¤\"inkrog\"\nportal = ¤\"SE0000000000-1178\"\nonward = ¤\"nobody\"\n"
        ),
        &[
            (Error, "inkorg names system \"inkrog\"", "\"inkorg\""),
            (Error, "portal names", "SE0000000000-1177"),
            (Error, "onward names", "add a [[system]]"),
        ],
    );
    found_with(&format!("¤¤{head}"), &[(Error, "no \"inkorg\"", ""), (Error, "no \"portal\"", "")]);
    found_with(
        &format!(
            "{head}inkorg = \"inkorg\"\nportal = \"SE0000000000-1177\"\nonward = ¤\"mute\"\n[[system]]\nid = \"mute\"\nhsa_id = \"SE0000000000-M\"\nname = \"M\"\n"
        ),
        &[(Error, "onward calls system \"mute\", which has no \"url\"", "line 7")],
    );
    found(
        "¤[platform]\nhsa_id = \"SE0000000000-G\"\ninstance = \"i\"\ninkorg = \"inkorg\"\nportal = \"SE0000000000-1177\"\n",
        &[(Error, "[platform] is there twice", "")],
    );
    let none = Table::parse(&[source("a.toml", &rest)], noon());
    assert!(none.findings.iter().any(|it| it.message.contains("no [platform]") && it.line == 1));
    let nothing = Table::parse(&[], noon());
    assert!(nothing.table.is_none() && nothing.has_errors());
}

#[test]
fn the_keys_of_the_inbox_are_for_the_inbox() {
    let inbox = BASE.replace(
        "url = \"https://localhost:9444/inkorg\"",
        "url = \"https://localhost:9444/inkorg\"\nnotify = true",
    );
    let loaded = Table::parse(&[source("a.toml", &inbox)], noon());
    assert_eq!(loaded.findings.len(), 1, "{:#?}", loaded.findings);
    assert!(loaded.findings[0].message.contains("notify needs source_system"));
    assert_eq!((loaded.findings[0].line, loaded.findings[0].column), (16, 10));
    let with = inbox.replace("notify = true", "notify = true\nsource_system = \"s\"");
    let loaded = Table::parse(&[source("a.toml", &with)], noon());
    assert_eq!(loaded.findings, []);
    assert!(loaded.table.unwrap().inkorg().unwrap().notify);
    let twice = BASE.replace("name = \"Inkorg\"", "name = \"Inkorg\"\nwhen_unknown = \"resend\"");
    let loaded = Table::parse(&[source("a.toml", &twice)], noon());
    assert!(loaded.findings[0].message.contains("may get it twice"));
    found(
        "[[system]]\nhsa_id = \"SE0000000000-X\"\nname = \"X\"\nnotify = ¤true\nsource_system = ¤\"s\"\nwhen_unknown = ¤\"hold\"\n",
        &[
            (Warning, "notify has no effect", ""),
            (Warning, "source_system has no effect", ""),
            (Warning, "no effect with delivery = \"direct\"", "queued"),
        ],
    );
}

#[test]
fn a_flood_of_faults_is_cut_and_counted() {
    let many = "[[route]]\n".repeat(crate::limits::TAK_FINDINGS_MAX);
    let loaded = load(&many);
    assert_eq!(loaded.findings.len(), crate::limits::TAK_FINDINGS_MAX + 1);
    assert!(loaded.findings.last().unwrap().message.contains("20000 more findings"));
}

#[test]
fn findings_are_written_for_a_person_and_for_a_program() {
    let loaded = load("[[rout]]\n");
    let mut text = Vec::new();
    report::write_text(&loaded.findings, &mut text).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "x.toml:1:3: error: the file has no key \"rout\"\n    did you mean \"route\"?\n\
         1 error, 0 warnings\n"
    );
    let mut json = Vec::new();
    report::write_json(&loaded.findings, &mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["errors"], 1);
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!(json["findings"][0]["line"], 1);
    assert_eq!(report::summary(&[]), "nothing found");
}

#[test]
fn a_filter_is_a_service_domain_and_its_categories() {
    let with = |filter: &str| {
        let row = permission("1177", PROCESS_COMPLAINT, "*");
        format!("{row}filter = {filter}\n")
    };
    found(
        &with("[{ domain = \"riv:a\" }, { domain = \"riv:b\", categorizations = [\"x y\"] }]"),
        &[],
    );
    found(
        &with("[{ domain = ¤\"a b\" }]"),
        &[(Error, "not a service domain", "without white space")],
    );
    found(
        &with("[{ domain = \"a\", categorizations = [\"b\", ¤\" c\"] }]"),
        &[(Error, "a categorization", "no white space around")],
    );
    found(&with("[¤{ categorizations = [] }]"), &[(Error, "has no \"domain\"", "add domain")]);
    found(
        &with("[{ ¤domian = \"a\", domain = \"a\" }]"),
        &[(Error, "no key \"domian\"", "\"domain\"")],
    );
}

#[test]
fn unit_files_are_named_inside_the_folder() {
    found("[hierarchy]\nfiles = [\"units.xml\", \"hsa/units.xml\"]\n", &[]);
    found(
        "[hierarchy]\nfiles = [¤\"../units.xml\", ¤\"/units.xml\"]\n",
        &[(Error, "cannot name \"../", "in this folder"), (Error, "cannot name \"/u", "")],
    );
}
