//! Who works in the built-in store: faults at their places, and what a table knows of a person.

use super::faults::found;
use super::*;

const HEAD: &str = "[[person]]\nhsa_id = \"SE0000000000-P1\"\nname = \"Anna Påhittad\"\n";

use Severity::{Error, Warning};

#[test]
fn a_person_without_name_id_or_role_is_found() {
    found(
        "¤¤[[person]]\nhsa_id = ¤\"P1\"\n",
        &[
            (Error, "[[person]] has no \"name\"", "add name"),
            (Error, "[[person]] has no \"role\"", "add role"),
            (Error, "not a well-formed HSA-id", "SE"),
        ],
    );
}

#[test]
fn a_role_at_a_unit_that_is_not_there_is_found_with_the_nearest() {
    found(
        &format!("{HEAD}[[person.role]]\nunit = ¤\"SE0000000000-VCI\"\nroles = [\"granskare\"]\n"),
        &[(Error, "there is no such unit", "did you mean SE0000000000-VC1?")],
    );
}

#[test]
fn a_role_that_nobody_knows_is_found_with_the_nearest() {
    found(
        &format!(
            "{HEAD}[[person.role]]\nunit = \"SE0000000000-VC1\"\nroles = [¤\"arendemottagare\", \
             \"granskare\", ¤\"Granskare\", ¤\"chef\"]\n"
        ),
        &[
            (Error, "no role \"arendemottagare\"", "did you mean \"ärendemottagare\"?"),
            (Warning, "there twice", "keep one"),
            (Error, "no role \"chef\"", "one of: ärendemottagare, "),
        ],
    );
}

#[test]
fn nobody_is_there_twice_nor_twice_at_a_unit_and_an_empty_list_is_no_role() {
    let role = "unit = \"SE0000000000-VC1\"\nroles = [\"granskare\"]\n";
    found(
        &format!(
            "{HEAD}[[person.role]]\n{role}[[person.role]]\n{}[[person]]\nhsa_id = \
             ¤\"SE0000000000-p1\"\nname = \"Bo\"\n[[person.role]]\nunit = \"SE0000000000-VC1\"\n¤roles = []\n",
            role.replace("unit = ", "unit = ¤")
        ),
        &[
            (Error, "two [[person.role]]", "line 4"),
            (Error, "HSA-id of a person", "line 2"),
            (Error, "empty list", "granskare"),
        ],
    );
}

#[test]
fn nobody_works_both_for_a_committee_and_in_care() {
    found(
        &format!(
            "{HEAD}[[person.role]]\nunit = \"SE0000000000-VC1\"\nroles = [\"granskare\"]\n\
             [[person.role]]\nunit = ¤\"SE0000000000-PAN99\"\nroles = [\"ärendemottagare\"]\n"
        ),
        &[(Error, "both at a patient advisory committee", "line 5")],
    );
}

#[test]
fn a_role_at_a_unit_that_never_uses_the_store_is_warned_of() {
    found(
        &format!(
            "[[unit]]\nhsa_id = \"SE0000000000-VC2\"\nname = \"A\"\ncounty = \"99\"\ncare_provider \
             = \"SE0000000000-VG1\"\nmailbox = \"a@example.se\"\n[[unit.handling]]\nmethod = \
             \"system\"\nsystem = \"region\"\n{HEAD}[[person.role]]\nunit = ¤\"SE0000000000-VC2\"\n\
             roles = [\"granskare\"]\n"
        ),
        &[(Warning, "never in the built-in store", "remove the role")],
    );
}

#[test]
fn a_term_that_is_no_time_is_found() {
    let unit = "[[unit]]\nhsa_id = \"SE0000000000-VC2\"\nname = \"A\"\ncounty = \"99\"\n\
                care_provider = \"SE0000000000-VG1\"\nmailbox = \"a@example.se\"\n";
    let handling = "[[unit.handling]]\nmethod = \"store\"\n";
    found(
        &format!("{unit}first_contact = ¤\"two days\"\nreply_within = ¤\"0 days\"\n{handling}"),
        &[(Error, "is not a time", "48 working hours"), (Error, "is not a time", "4 weeks")],
    );
    let table = table(&format!("{unit}reply_within = \"10 working days\"\n{handling}"));
    let terms = table.unit(&id("SE0000000000-VC2")).unwrap().terms;
    let standard = crate::complaint::deadline::Terms::STANDARD;
    assert_eq!(terms.first_contact, standard.first_contact);
    assert_ne!(terms.reply, standard.reply);
}

#[test]
fn a_person_has_the_roles_of_each_unit_and_none_elsewhere() {
    let table = table(&format!(
        "{HEAD}[[person.role]]\nunit = \"SE0000000000-VC1\"\nroles = [\"ärendehanterare\", \
         \"Ärendemottagare\"]\n"
    ));
    let person = table.person(&id("se0000000000-p1")).unwrap();
    let roles = person.roles_at(&id("SE0000000000-VC1"));
    assert_eq!(roles.into_iter().collect::<Vec<_>>(), [Role::CaseReceiver, Role::CaseHandler]);
    assert!(person.roles_at(&id("SE0000000000-PAN99")).is_empty());
    assert!(table.person(&id("SE0000000000-P2")).is_none());
}

#[test]
fn a_substitute_is_somebody_else_who_handles_cases_at_the_same_units() {
    let role = "[[person.role]]\nunit = \"SE0000000000-VC1\"\nroles = [\"ärendehanterare\"]\n";
    let absence = |who: &str| {
        format!("[[person.absence]]\nfrom = 2026-12-01\nto = 2026-12-31\nsubstitute = ¤\"{who}\"\n")
    };
    found(
        &format!("{HEAD}{role}{}", absence("SE0000000000-P1")),
        &[(Error, "SE0000000000-P1 cannot be the substitute", "name another")],
    );
    let other = "[[person]]\nhsa_id = \"SE0000000000-P2\"\nname = \"Bo Påhittad\"\n\
                 [[person.role]]\nunit = \"SE0000000000-VC1\"\nroles = [\"granskare\"]\n";
    found(
        &format!("{HEAD}{role}{}{other}", absence("SE0000000000-P2")),
        &[(Warning, "handles no cases at unit SE0000000000-VC1", "give SE0000000000-P2")],
    );
    found(
        &format!("{HEAD}{role}¤¤[[person.absence]]\nsubstitute = ¤\"SE0000000000-P2\"\n{other}"),
        &[
            (Error, "no \"from\"", "from"),
            (Error, "no \"to\"", "to"),
            (Warning, "handles no cases", "give"),
        ],
    );
}
