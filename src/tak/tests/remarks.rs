//! What is used and yet remarked on, at its exact place (`¤`).

use super::faults::{found, unit};
use super::*;

use Severity::{Error, Warning};

#[test]
fn permissions_twice_run_out_or_useless_are_remarked() {
    let more = route(CARE, "A", "https://e.se/");
    let one = |rest: &str| format!("{}{rest}", permission("1177", CARE, "A"));
    found(
        &format!("{more}{}¤{}", one("to = 2026-06-30\n"), one("from = 2026-06-30\n")),
        &[(Warning, "the same permission twice: on 2026-06-30", "line 5")],
    );
    // A long row hides neither of two short ones.
    found(
        &format!(
            "{more}{}¤{}¤{}",
            one(""),
            one("from = 2026-06-01\nto = 2026-06-02\n"),
            one("from = 2026-07-01\n")
        ),
        &[
            (Warning, "twice: 2026-06-01 to 2026-06-02", "line 5"),
            (Warning, "twice: from 2026-07-01", "line 5"),
        ],
    );
    found(&format!("{more}{}{}", one("to = 2026-06-30\n"), one("from = 2026-07-01\n")), &[]);
    found(
        &format!(
            "{more}¤{}{}",
            one("to = 2026-04-30\n"),
            one("from = 2026-05-01\nto = 2026-05-01\n")
        ),
        &[(Warning, "the permission ended on 2026-04-30", "")],
    );
    found(
        &format!("{more}¤{}", permission("1177", CARE, "B")),
        &[(Warning, "no route of the contract is for B", "")],
    );
    found(
        &format!(
            "{more}¤{}",
            permission("1177", "urn:riv:example:case:SubmitCasesResponder:1", "A")
        ),
        &[(
            Warning,
            "no route is for",
            "did you mean \"urn:riv:example:case:SubmitCaseResponder:1\"",
        )],
    );
    found(
        &format!("{more}¤{}", permission("1178", CARE, "*")),
        &[(Warning, "no [[system]] is the consumer SE0000000000-1178", "SE0000000000-1177")],
    );
    found(
        &format!(
            "¤{}¤{}",
            permission("1177", PROCESS_COMPLAINT, "SE0000000000-VC2"),
            permission("REGION", PROCESS_COMPLAINT_HANDLING, "SE0000000000-VC1")
        ),
        &[
            (Warning, "there is no unit SE0000000000-VC2", "SE0000000000-VC1"),
            (Warning, "is not the portal", "SE0000000000-1177"),
        ],
    );
    found(
        &format!(
            "{}{}",
            permission("1177", PROCESS_COMPLAINT, "*"),
            permission("REGION", PROCESS_COMPLAINT_HANDLING, "se0000000000-1177")
        ),
        &[],
    );
}

#[test]
fn routes_run_out_unused_or_to_nowhere_are_remarked() {
    found(
        &format!("¤{}to = 2026-04-30\n", route(CARE, "A", "https://e.se/")),
        &[(Warning, "the route ended on 2026-04-30", "")],
    );
    found(
        &format!("¤{}", route(PROCESS_COMPLAINT, "*", "https://e.se/")),
        &[(Warning, "never used", "[[unit.handling]]")],
    );
    found(
        "[[route]]\ncontract = \"urn:a:BResponder:1\"\nlogical_address = \"*\"\nsystem = ¤\"mute\"\n\
         [[system]]\nid = \"mute\"\nhsa_id = \"SE0000000000-M\"\nname = \"M\"\n",
        &[(Warning, "has no url: calls get VP010", "line 5")],
    );
    found(
        &route(CARE, "*", "https://e.se/")
            .replace("\"urn:riv:example:case:SubmitCaseResponder:1\"", "¤\"urn:riv:example\""),
        &[(Warning, "does not end as a service contract", "Responder:")],
    );
}

#[test]
fn counties_that_are_not_live_say_what_is_missing() {
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    let county = "[[county]]\ncode = \"98\"\nname = \"N\"\n";
    found(&format!("¤{county}"), &[(Warning, "county 98 has no units", "add its units")]);
    found(
        &format!("¤{county}{}", unit("A1", "\"98\"", store)),
        &[(Warning, "no patient_advisory_committee; cases for SE0000000000-A1 are refused", "")],
    );
    let with = format!("¤{county}patient_advisory_committee = \"SE0000000000-P\"\n");
    let board = unit("P", "\"98\"", store);
    found(&format!("{with}{board}"), &[(Warning, "it has no care unit", "")]);
    found(
        &format!("{with}{board}{}", unit("A1", "\"98\"", &format!("from = 2026-06-01\n{store}"))),
        &[(Warning, "not live until 2026-06-01", "")],
    );
    found(&format!("{with}{board}{}", unit("A1", "\"98\"", store)).replace('¤', ""), &[]);
}

#[test]
fn units_without_mailbox_or_provider_and_units_that_ended_are_remarked() {
    let store = "[[unit.handling]]\nmethod = \"store\"\n";
    let bare = "¤¤[[unit]]\nhsa_id = \"SE0000000000-A1\"\nname = \"A\"\ncounty = \"99\"\n";
    found(
        &format!("{bare}{store}"),
        &[(Warning, "no care_provider", ""), (Warning, "no mailbox", "")],
    );
    found(
        &format!("¤{}", unit("A1", "\"99\"", &format!("to = 2026-04-30\n{store}"))),
        &[(Warning, "ended on 2026-04-30", "remove")],
    );
    found(
        &unit("A1", "\"99\"", store).replace("\"a@example.se\"", "¤\"not an address\""),
        &[(Error, "not one e-mail address", "bare")],
    );
}
