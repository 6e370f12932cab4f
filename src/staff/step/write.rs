//! The fields of each step's form.

use maud::{Markup, html};

use super::super::files;
use super::super::form::Form;
use super::super::gate::Visit;
use super::super::page::{Fault, Field};
use super::Kind;
use super::read::REASONS;
use crate::clock;
use crate::complaint::case::Case;
use crate::complaint::codes::{
    CodeList, ListedCode, OPERATIONAL_AREAS, PROBLEMS, STANDARD_REPLIES,
};

/// A form as it is shown first: what is known already is filled in.
pub(super) fn blank(kind: Kind, visit: &Visit, case: &Case) -> Form {
    let mut form = Form::default();
    let unit = visit.routing.table.unit(&case.receiver);
    match kind {
        Kind::Acknowledge => {
            let due = unit.and_then(|unit| unit.terms.of(case).reply.due);
            // The end of a term is the first moment that is too late.
            let last = due.and_then(|due| clock::swedish_day(due).yesterday().ok());
            let today = clock::swedish_day(visit.now);
            if let Some(last) = last.filter(|last| *last >= today) {
                form.set("senast", last.to_string());
            }
        }
        Kind::Reply | Kind::Close => {
            let area = unit.and_then(|unit| unit.operational_area.clone());
            form.set("omrade", area.unwrap_or_default());
            if kind == Kind::Close && case.withdrawn.is_some() {
                form.set("skal", "withdrawn");
            } else if kind == Kind::Close && !case.reply_wanted {
                form.set("skal", "no_reply");
            }
        }
        Kind::CorrectPlace => {
            form.set("enhet", case.place.as_ref().map(ToString::to_string).unwrap_or_default());
        }
        Kind::PartialReply | Kind::Question => {}
    }
    form
}

/// Where a fault is shown that is of no single field.
pub(super) const fn first_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Acknowledge | Kind::PartialReply | Kind::Question => "text",
        Kind::Reply => "forklaring",
        Kind::CorrectPlace => "enhet",
        Kind::Close => "skal",
    }
}

pub(super) fn fields(kind: Kind, visit: &Visit, form: &Form, faults: &[Fault]) -> Markup {
    let field = |name, label, hint| Field { name, label, hint, form, faults };
    match kind {
        Kind::Acknowledge => html! {
            (field("senast", "Svar senast", "Anmälaren läser datumet. Lämna tomt om du inte vet.").line("date"))
            (field("text", "Egen text (valfritt)", "").area(4))
        },
        Kind::PartialReply => html! {
            (standard_replies(visit, form, faults))
            (field("text", "Egen text", "Står efter standardsvaret, eller ensam.").area(8))
            (attached(kind, visit, form, faults))
        },
        Kind::Question => html! {
            (field("text", "Fråga", "").area(8))
            (field("senast", "Svara gärna senast (valfritt)", "").line("date"))
            p.check {
                input type="checkbox" id="filer" name="filer" value="ja" checked[form.one("filer") == "ja"];
                label for="filer" { "Anmälaren får bifoga filer" }
            }
        },
        Kind::Reply => html! {
            (field("forklaring", "Det här har hänt", "Förklara vad som har hänt (PSL 3 kap. 8 b §).").area(10))
            (field("atgarder", "Det här gör vi för att det inte ska hända igen",
                "Om det är aktuellt: vilka åtgärder ni tänker vidta (PSL 3 kap. 8 b §).").area(6))
            (field("text", "Övrigt (valfritt)", "").area(3))
            (classification(visit, form, faults))
            (attached(kind, visit, form, faults))
        },
        Kind::CorrectPlace => html! {
            (field("enhet", "Enhetens HSA-id", "").line("text"))
            (field("namn", "Enhetens namn (valfritt)", "Behövs inte för enheter som är anslutna här.").line("text"))
            (known_units(visit))
        },
        Kind::Close => html! {
            (radios("skal", "Varför avslutas ärendet?", form, faults,
                REASONS.iter().map(|(value, text, _)| (*value, *text))))
            (classification(visit, form, faults))
        },
    }
}

fn attached(kind: Kind, visit: &Visit, form: &Form, faults: &[Fault]) -> Markup {
    let Ok(case) = visit.case() else { return html! {} };
    files::field(visit, &kind.address(case), form, faults)
}

fn radios<'o>(
    name: &'static str,
    legend: &str,
    form: &Form,
    faults: &[Fault],
    options: impl Iterator<Item = (&'o str, &'o str)>,
) -> Markup {
    let fault = faults.iter().find(|fault| fault.field == name);
    let chosen = form.one(name);
    html! {
        fieldset id=(name) tabindex="-1" {
            legend { (legend) }
            @if let Some(fault) = fault { p.fault { (fault.text) } }
            @for (value, text) in options {
                p.check {
                    input type="radio" id={ (name) "-" (value) } name=(name) value=(value)
                        checked[value == chosen];
                    label for={ (name) "-" (value) } { (text) }
                }
            }
        }
    }
}

fn standard_replies(visit: &Visit, form: &Form, faults: &[Fault]) -> Markup {
    let Some(list) = visit.routing.codes.current(STANDARD_REPLIES) else { return html! {} };
    let chosen = form.one("standard");
    let fault = faults.iter().find(|fault| fault.field == "standard");
    let none = ("", "inget standardsvar", None);
    let listed = list.all().map(|it| (it.code.as_str(), it.text.as_str(), it.wording.as_deref()));
    html! {
        fieldset id="standard" tabindex="-1" {
            legend { "Standardsvar" }
            @if let Some(fault) = fault { p.fault { (fault.text) } }
            @for (value, text, wording) in std::iter::once(none).chain(listed) {
                p.check {
                    input type="radio" id={ "standard-" (value) } name="standard" value=(value)
                        checked[value == chosen];
                    label for={ "standard-" (value) } {
                        (text)
                        @if let Some(wording) = wording { span.hint.line { (wording) } }
                    }
                }
            }
        }
    }
}

/// Huvud- and delproblem, and verksamhetsområde.
fn classification(visit: &Visit, form: &Form, faults: &[Fault]) -> Markup {
    let codes = &visit.routing.codes;
    let chosen = form.all("problem");
    let fault = faults.iter().find(|fault| fault.field == "problem");
    let areas = codes.current(OPERATIONAL_AREAS);
    let areas = areas.iter().flat_map(|list| list.all());
    html! {
        fieldset id="problem" tabindex="-1" {
            legend { "Problem" }
            p.hint { "Välj minst ett. Ett delproblem tar med sitt huvudproblem." }
            @if let Some(fault) = fault { p.fault { (fault.text) } }
            @if let Some(list) = codes.current(PROBLEMS) { (problems(list, &chosen)) }
        }
        (radios("omrade", "Verksamhetsområde", form, faults,
            areas.map(|it| (it.code.as_str(), it.text.as_str()))))
    }
}

fn problems(list: &CodeList, chosen: &[&str]) -> Markup {
    let check = |it: &ListedCode| {
        html! {
            p.check {
                input type="checkbox" id={ "problem-" (it.code) } name="problem" value=(it.code)
                    checked[chosen.contains(&it.code.as_str())];
                label for={ "problem-" (it.code) } { (it.code) " " (it.text) }
            }
        }
    };
    html! {
        @for main in list.top_level() {
            (check(main))
            div.under { @for sub in list.children(&main.code) { (check(sub)) } }
        }
    }
}

/// The units of the county, to copy an HSA-id from.
fn known_units(visit: &Visit) -> Markup {
    let Ok(case) = visit.case() else { return html! {} };
    let table = &visit.routing.table;
    let units = table
        .units()
        .filter(|it| it.county == case.county && !table.is_patient_advisory_committee(&it.hsa_id));
    html! {
        details {
            summary { "Enheter i länet" }
            ul { @for unit in units { li { (unit.name) " – " (unit.hsa_id) } } }
        }
    }
}
