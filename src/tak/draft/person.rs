//! Reads `[[person]]`: who works in the built-in store, and in which role at which unit.

use super::super::finding::{Findings, Place};
use super::super::model::Role;
use super::super::period::Days;
use super::super::read::{Fields, Told};
use super::super::values::nearest;
use super::owned;
use crate::id::HsaId;

#[derive(Debug)]
pub(in crate::tak) struct PersonDraft {
    pub(in crate::tak) place: Place,
    pub(in crate::tak) hsa_id: Option<Told<HsaId>>,
    pub(in crate::tak) name: Option<String>,
    pub(in crate::tak) title: Option<String>,
    pub(in crate::tak) email: Option<String>,
    pub(in crate::tak) posts: Vec<PostDraft>,
    pub(in crate::tak) absences: Vec<AbsenceDraft>,
}

#[derive(Debug)]
pub(in crate::tak) struct AbsenceDraft {
    /// Absent when they could not be read.
    pub(in crate::tak) days: Option<Days>,
    pub(in crate::tak) substitute: Option<Told<HsaId>>,
}

#[derive(Debug)]
pub(in crate::tak) struct PostDraft {
    pub(in crate::tak) place: Place,
    pub(in crate::tak) unit: Option<Told<HsaId>>,
    pub(in crate::tak) roles: Vec<Role>,
}

/// Every person of a file.
pub(super) fn all(top: &Fields<'_>, f: &mut Findings) -> Vec<PersonDraft> {
    top.tables("person", "[[person]]", f).iter().map(|fields| person(fields, f)).collect()
}

fn person(fields: &Fields<'_>, f: &mut Findings) -> PersonDraft {
    fields.only(&["hsa_id", "name", "title", "email", "role", "absence"], f);
    if !fields.has("role") {
        fields.require("role", f);
    }
    let posts = fields.tables("role", "[[person.role]]", f);
    PersonDraft {
        place: fields.place,
        hsa_id: fields.required_hsa_id("hsa_id", f),
        name: owned(fields.required_text("name", f)).map(|it| it.value),
        title: owned(fields.text("title", f)).map(|it| it.value),
        email: super::unit::email("email", fields, f),
        posts: posts.iter().map(|it| post(it, f)).collect(),
        absences: fields
            .tables("absence", "[[person.absence]]", f)
            .iter()
            .map(|it| absence(it, f))
            .collect(),
    }
}

fn absence(fields: &Fields<'_>, f: &mut Findings) -> AbsenceDraft {
    fields.only(&["from", "to", "substitute"], f);
    // Whoever is away for good is taken out of the file; an absence has an end.
    fields.require("from", f);
    fields.require("to", f);
    let substitute = fields.required_hsa_id("substitute", f);
    AbsenceDraft { days: fields.days(f), substitute }
}

fn post(fields: &Fields<'_>, f: &mut Findings) -> PostDraft {
    fields.only(&["unit", "roles"], f);
    fields.require("roles", f);
    let told = fields.texts("roles", f);
    if told.as_ref().is_some_and(Vec::is_empty) {
        let hint = format!("one or more of: {}", all_roles());
        f.error(fields.key_place("roles"), "\"roles\" is an empty list".to_owned(), hint);
    }
    let mut roles = Vec::new();
    for it in told.unwrap_or_default() {
        match Role::parse(it.value) {
            Some(role) if roles.contains(&role) => {
                let hint = "keep one of them".to_owned();
                f.warn(it.place, format!("\"{}\" is there twice", it.value), hint);
            }
            Some(role) => roles.push(role),
            None => {
                let known = Role::ALL.iter().map(|it| it.swedish());
                let hint = match nearest(it.value, known) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("one of: {}", all_roles()),
                };
                f.error(it.place, format!("there is no role \"{}\"", it.value), hint);
            }
        }
    }
    PostDraft { place: fields.place, unit: fields.required_hsa_id("unit", f), roles }
}

fn all_roles() -> String {
    Role::ALL.map(Role::swedish).join(", ")
}
