//! Reads `[[county]]` and `[[unit]]`: the receivers of cases.

use super::super::finding::Findings;
use super::super::model::Term;
use super::super::read::{Fields, Told};
use super::{CountyDraft, HandlingDraft, UnitDraft, owned};

pub(super) fn county(fields: &Fields<'_>, f: &mut Findings) -> CountyDraft {
    fields.only(&["code", "name", "patient_advisory_committee"], f);
    CountyDraft {
        place: fields.place,
        code: county_code(fields, "code", f),
        name: owned(fields.required_text("name", f)).map(|it| it.value),
        committee: fields.hsa_id("patient_advisory_committee", f),
    }
}

fn county_code(fields: &Fields<'_>, key: &str, f: &mut Findings) -> Option<Told<String>> {
    let code = fields.required_text(key, f)?;
    if code.value.len() == 2 && code.value.bytes().all(|it| it.is_ascii_digit()) {
        return owned(Some(code));
    }
    f.error(
        code.place,
        format!("\"{key}\" of {} is not a county code: \"{}\"", fields.what, code.value),
        "write the two digits of the county (länskod) in quotes: \"01\"".to_owned(),
    );
    None
}

pub(super) fn unit(fields: &Fields<'_>, f: &mut Findings) -> UnitDraft {
    fields.only(
        &[
            "hsa_id",
            "name",
            "county",
            "care_provider",
            "operational_area",
            "mailbox",
            "telephone",
            "address",
            "first_contact",
            "reply_within",
            "from",
            "to",
            "handling",
        ],
        f,
    );
    let rows = fields.tables("handling", "[[unit.handling]]", f);
    if !fields.has("handling") {
        fields.require("handling", f);
    }
    let handling: Vec<_> = rows.iter().map(|it| handling(it, f)).collect();
    UnitDraft {
        place: fields.place,
        hsa_id: fields.required_hsa_id("hsa_id", f),
        name: owned(fields.required_text("name", f)).map(|it| it.value),
        county: county_code(fields, "county", f),
        has_care_provider: fields.has("care_provider"),
        care_provider: fields.hsa_id("care_provider", f).map(|it| it.value),
        operational_area: owned(fields.text("operational_area", f)).map(|it| it.value),
        has_mailbox: fields.has("mailbox"),
        mailbox: email("mailbox", fields, f),
        telephone: owned(fields.text("telephone", f)).map(|it| it.value),
        address: owned(fields.text("address", f)).map(|it| it.value),
        first_contact: term(fields, "first_contact", f),
        reply_within: term(fields, "reply_within", f),
        days: fields.days(f),
        handling_whole: !handling.is_empty() && handling.iter().all(|it| it.days.is_some()),
        handling,
    }
}

/// How long something may take.
fn term(fields: &Fields<'_>, key: &str, f: &mut Findings) -> Option<Term> {
    let it = fields.text(key, f)?;
    let term = Term::parse(it.value);
    if term.is_none() {
        f.error(
            it.place,
            format!("\"{key}\" of {} is not a time: \"{}\"", fields.what, it.value),
            "write \"48 working hours\", \"10 working days\", \"28 days\" or \"4 weeks\", at most a year"
                .to_owned(),
        );
    }
    term
}

/// One bare e-mail address.
pub(super) fn email(key: &'static str, fields: &Fields<'_>, f: &mut Findings) -> Option<String> {
    let it = fields.text(key, f)?;
    let ok = it.value.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && !it.value.chars().any(|c| c.is_whitespace() || "<>,;\"".contains(c))
    });
    if ok {
        return Some(it.value.to_owned());
    }
    f.error(
        it.place,
        // Not what stands there: it may be somebody's.
        format!("\"{key}\" of {} is not one e-mail address", fields.what),
        "write it bare: \"vc1@example.se\"".to_owned(),
    );
    None
}

fn handling(fields: &Fields<'_>, f: &mut Findings) -> HandlingDraft {
    fields.only(&["from", "to", "method", "system", "receiver"], f);
    fields.require("method", f);
    let methods = [("store", false), ("system", true)];
    let method = fields.word("method", &methods, f).map(|it| it.value);
    if method == Some(true) {
        fields.require("system", f);
    }
    if method == Some(false) {
        for key in ["system", "receiver"].iter().filter(|it| fields.has(it)) {
            f.error(
                fields.key_place(key),
                format!("\"{key}\" goes only with method = \"system\""),
                "the built-in store is one to one: remove it, or change the method".to_owned(),
            );
        }
    }
    HandlingDraft {
        place: fields.place,
        days: fields.days(f),
        in_system: method,
        system: owned(fields.text("system", f)),
        receiver: fields.hsa_id("receiver", f),
    }
}
