//! A case that began outside 1177: by phone, by letter, on somebody's behalf, anonymous.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use jiff::civil::Date;
use maud::{Markup, html};
use uuid::Uuid;

use super::Desk;
use super::access::{About, Action, authorise};
use super::files;
use super::form::Form;
use super::gate::Visit;
use super::inbox;
use super::page::{self, Fault, Field, Trouble, page, page_with, to};
use super::search::identity;
use super::step::text_fault;
use crate::cases::NotAccepted;
use crate::clock;
use crate::complaint::command::{Reception, Refusal};
use crate::complaint::event::Destination;
use crate::complaint::message::{
    Complainant, Complaint, Ii, OrgUnit, Origin, Patient, Place, Recipient, RecipientKind,
    Registration, Relation, ReplyChannel, ReplyWish,
};
use crate::complaint::words;
use crate::export::told::origin_text;
use crate::limits;
use crate::rivta::person::{PERSONNUMMER, SAMORDNINGSNUMMER, Verdict, check};
use crate::tak::{Method, Unit};

/// The field that tells one form from another, so that one sent twice makes one case.
pub(super) const FORM: &str = "blankett";

const ORIGINS: [(&str, Origin); 7] = [
    ("phone", Origin::Phone),
    ("letter", Origin::Letter),
    ("email", Origin::Email),
    ("visit", Origin::Visit),
    ("web", Origin::WebForm),
    ("ivo", Origin::Ivo),
    ("other", Origin::Other),
];

const RELATIONS: [(&str, &str, Relation); 4] = [
    ("patient", "patienten själv", Relation::Patient),
    ("relative", "närstående", Relation::CloseRelative),
    ("guardian", "vårdnadshavare", Relation::Guardian),
    ("representative", "ombud", Relation::Representative),
];

const CHANNELS: [(&str, &str, Option<ReplyChannel>); 5] = [
    ("inbox", "ja, i 1177 Inkorg", Some(ReplyChannel::Inbox)),
    ("phone", "ja, per telefon", Some(ReplyChannel::Phone)),
    ("letter", "ja, per brev", Some(ReplyChannel::Letter)),
    ("email", "ja, per e-post", Some(ReplyChannel::Email)),
    ("none", "nej", None),
];

pub(super) async fn show(Extension(visit): Extension<Arc<Visit>>) -> Result<Response, Trouble> {
    let unit = visit.unit()?;
    handled_here(unit, visit.now)?;
    let mut form = Form::default();
    form.set("mottaget", clock::swedish_day(visit.now).to_string());
    form.set(FORM, Uuid::new_v4().to_string());
    Ok(page(&visit, &title(unit), fields(&visit, unit, &form, &[])))
}

pub(super) async fn take(
    State(desk): State<Desk>,
    Extension(visit): Extension<Arc<Visit>>,
) -> Result<Response, Trouble> {
    let unit = visit.unit()?;
    handled_here(unit, visit.now)?;
    let registration = match Reader::read(&visit, unit) {
        Ok(registration) => registration,
        Err(faults) => return Ok(again(&visit, unit, &faults)),
    };
    let missing = files::missing(&desk, &registration.complaint.attachments).await?;
    if !missing.is_empty() {
        return Ok(again(&visit, unit, &missing));
    }
    let form = visit.form.one(FORM).parse::<Uuid>().map_err(|_| {
        let text = "Formuläret är inte helt. Öppna det på nytt.";
        Trouble::Refused(text.to_owned())
    })?;
    let mut grounds = (desk.grounds)(&visit.routing);
    grounds.reception = Some(Reception {
        receiver: unit.hsa_id.clone(),
        receiver_name: unit.name.clone(),
        county: unit.county.clone(),
        kind: kind(&visit, unit),
        destination: Destination::Store,
    });
    let by = visit.actor(&unit.hsa_id);
    match desk.cases.register_here(registration, by, form, grounds).await {
        Ok(accepted) => {
            let number = &accepted.receipt.number;
            let read = authorise(&visit.person, Action::Read, About::unit(&unit.hsa_id)).is_ok();
            Ok(to(&if read { format!("/arende/{number}") } else { inbox::address(&unit.hsa_id) }))
        }
        Err(NotAccepted::Refused(Refusal::Invalid { rule, .. })) => {
            Ok(again(&visit, unit, &[Fault { field: "beskrivning", text: rule }]))
        }
        Err(NotAccepted::Reused) => {
            let text = "Formuläret är redan registrerat, med en annan text. Se efter bland enhetens \
                        ärenden. Öppna ett nytt formulär om det är ett annat ärende.";
            Err(Trouble::Refused(text.to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

fn again(visit: &Visit, unit: &Unit, faults: &[Fault]) -> Response {
    let body = html! { (page::faults(faults)) (fields(visit, unit, &visit.form, faults)) };
    page_with(visit, StatusCode::UNPROCESSABLE_ENTITY, &title(unit), body)
}

fn title(unit: &Unit) -> String {
    format!("Registrera ett ärende – {}", unit.name)
}

/// New cases of a unit with an own system belong there.
fn handled_here(unit: &Unit, now: Timestamp) -> Result<(), Trouble> {
    let today = unit.handling_on(clock::swedish_day(now));
    match today.map(|it| &it.method) {
        Some(Method::Store) => Ok(()),
        Some(Method::System { .. }) | None => {
            let text = "Enheten tar inte emot nya ärenden här.";
            Err(Trouble::Refused(text.to_owned()))
        }
    }
}

fn kind(visit: &Visit, unit: &Unit) -> RecipientKind {
    if visit.routing.table.is_patient_advisory_committee(&unit.hsa_id) {
        RecipientKind::PatientAdvisoryCommittee
    } else {
        RecipientKind::CareProvider
    }
}

/// Where the form is posted to.
fn address(unit: &Unit) -> String {
    format!("{}/nytt", inbox::address(&unit.hsa_id))
}

fn fields(visit: &Visit, unit: &Unit, form: &Form, faults: &[Fault]) -> Markup {
    let path = address(unit);
    let field = |name, label, hint| Field { name, label, hint, form, faults };
    let owned = |(value, text): (&str, &str)| (value.to_owned(), text.to_owned());
    let origins: Vec<_> = ORIGINS.iter().map(|it| owned((it.0, origin_text(it.1)))).collect();
    let relations: Vec<_> = RELATIONS.iter().map(|it| owned((it.0, it.1))).collect();
    let channels: Vec<_> = CHANNELS.iter().map(|it| owned((it.0, it.1))).collect();
    let committee = kind(visit, unit) == RecipientKind::PatientAdvisoryCommittee;
    html! {
        form method="post" action=(path) enctype="multipart/form-data" {
            (page::token(visit, &path))
            input type="hidden" name=(FORM) value=(form.one(FORM));
            (field("satt", "Hur det kom in", "").choice(&origins))
            (field("mottaget", "Mottaget den", "").line("date"))
            (field("hande", "Hände den", "För ett längre förlopp: den dag då det började.").line("date"))
            @if committee { (field("plats", "Var det hände (valfritt)", "").line("text")) }
            (field("beskrivning", "Vad som har hänt", "Skriv ned det som anmälaren berättar.").area(10))
            (field("onskan", "Vad anmälaren vill (valfritt)", "").area(3))
            fieldset {
                legend { "Anmälaren" }
                p.hint { "Lämna namn och personnummer tomma för en anonym anmälan." }
                (field("namn", "Namn", "").line("text"))
                (field("person", "Personnummer eller samordningsnummer", "12 siffror. Behövs för svar i 1177 Inkorg.").line("text"))
                (field("relation", "Anmälaren är", "").choice(&relations))
                (field("telefon", "Telefon", "").line("tel"))
                (field("epost", "E-post", "").line("text"))
                (field("adress", "Adress", "").line("text"))
                p.check {
                    input type="checkbox" id="skyddad" name="skyddad" value="ja" checked[form.one("skyddad") == "ja"];
                    label for="skyddad" { "Skyddade personuppgifter" }
                }
            }
            fieldset {
                legend { "Patienten, om det är någon annan" }
                (field("patientnamn", "Namn", "").line("text"))
                (field("patient", "Personnummer eller samordningsnummer", "").line("text"))
            }
            (field("svar", "Vill ha svar", "").choice(&channels))
            (files::field(visit, &path, form, faults))
            p.buttons {
                button type="submit" { "Registrera" }
                a href=(inbox::address(&unit.hsa_id)) { "Avbryt" }
            }
        }
    }
}

struct Reader<'f> {
    form: &'f Form,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn read(visit: &Visit, unit: &Unit) -> Result<Registration, Vec<Fault>> {
        let mut it = Reader { form: &visit.form, faults: Vec::new() };
        let origin = ORIGINS.iter().find(|(value, _)| *value == it.form.one("satt"));
        let origin = origin.map_or(Origin::Other, |(_, origin)| *origin);
        let today = clock::swedish_day(visit.now);
        let received = it.date("mottaget", "Dagen då det kom in", today);
        let event_date = it.date("hande", "Dagen då det hände", today);
        let description = it.given("beskrivning", "Vad som har hänt");
        let desired_outcome = it.some("onskan", "Önskan", limits::TEXT_CHARS_MAX);
        let place = it.some("plats", "Platsen", limits::LINE_CHARS_MAX).map(Place::FreeText);
        let complainant = it.complainant();
        let patient = it.patient(complainant.relation);
        let reply_wish = it.reply_wish(&complainant);
        let kind = kind(visit, unit);
        let attached = files::attached(visit, &address(unit), limits::COMPLAINANT_ATTACHMENTS_MAX);
        let attachments = attached.unwrap_or_else(|faults| {
            it.faults.extend(faults);
            Vec::new()
        });
        match (received, event_date, description) {
            (Some(received), Some(event_date), Some(description)) if it.faults.is_empty() => {
                let submitted = if received == today { visit.now } else { noon(received) };
                let complaint = Complaint {
                    submitted,
                    recipient: Recipient { kind, unit: org(unit), county: unit.county.clone() },
                    place: place.filter(|_| kind == RecipientKind::PatientAdvisoryCommittee),
                    event_date,
                    description,
                    desired_outcome,
                    complainant,
                    patient,
                    reply_wish,
                    experienced_problems: Vec::new(),
                    consent_to_forward: None,
                    attachments,
                    language: None,
                    remarks: Vec::new(),
                };
                Ok(Registration { origin, complaint })
            }
            _ => Err(it.faults),
        }
    }

    fn wrong(&mut self, field: &'static str, text: impl Into<String>) {
        self.faults.push(Fault { field, text: text.into() });
    }

    fn date(&mut self, name: &'static str, label: &str, latest: Date) -> Option<Date> {
        let date = self.form.one(name).trim().parse::<Date>().ok();
        let date = date.filter(|it| it.year() >= 1900 && *it <= latest);
        if date.is_none() {
            self.wrong(name, format!("{label} ska skrivas som 2026-01-31 och har redan varit."));
        }
        date
    }

    fn given(&mut self, name: &'static str, label: &str) -> Option<String> {
        let text = self.form.one(name).trim();
        match words::given(text, limits::TEXT_CHARS_MAX) {
            Ok(()) => Some(text.to_owned()),
            Err(fault) => {
                self.faults.push(text_fault(name, label, fault));
                None
            }
        }
    }

    fn some(&mut self, name: &'static str, label: &str, most: usize) -> Option<String> {
        let text = self.form.some(name)?;
        match words::within(text, most) {
            Ok(()) => Some(text.to_owned()),
            Err(fault) => {
                self.faults.push(text_fault(name, label, fault));
                None
            }
        }
    }

    fn line(&mut self, name: &'static str, label: &str) -> Option<String> {
        self.some(name, label, limits::LINE_CHARS_MAX)
    }

    /// A personnummer or samordningsnummer with a right check digit.
    fn person(&mut self, name: &'static str) -> Option<Ii> {
        let number = identity(self.form.some(name)?);
        let found = [PERSONNUMMER, SAMORDNINGSNUMMER]
            .map(|root| Ii { root: root.to_owned(), extension: Some(number.clone()) })
            .into_iter()
            .find(|id| check(id) == Verdict::Good);
        if found.is_none() {
            self.wrong(name, "Numret ska ha 12 siffror och en riktig kontrollsiffra.");
        }
        found
    }

    fn complainant(&mut self) -> Complainant {
        let relation = RELATIONS.iter().find(|(value, ..)| *value == self.form.one("relation"));
        Complainant {
            person_id: self.person("person"),
            name: self.line("namn", "Namnet"),
            relation: relation.map_or(Relation::Patient, |(.., relation)| *relation),
            authorization: None,
            protected_identity: (self.form.one("skyddad") == "ja").then_some(true),
            phone: self.line("telefon", "Telefonnumret"),
            email: self.line("epost", "E-postadressen"),
            address: self.line("adress", "Adressen"),
        }
    }

    fn patient(&mut self, relation: Relation) -> Option<Patient> {
        let (person_id, name) = (self.person("patient"), self.line("patientnamn", "Namnet"));
        if person_id.is_none() && name.is_none() {
            return None;
        }
        if relation == Relation::Patient {
            let text = "Anmälaren är patienten själv: lämna patientens fält tomma, eller välj vem \
                        anmälaren är.";
            self.wrong("patientnamn", text);
        }
        Some(Patient { person_id, name, birth_year: None, sex: None })
    }

    fn reply_wish(&mut self, complainant: &Complainant) -> ReplyWish {
        let wanted = self.form.one("svar");
        let channel = CHANNELS.iter().find(|(value, ..)| *value == wanted);
        let channel = channel.and_then(|(.., channel)| *channel);
        let reachable = match channel {
            Some(ReplyChannel::Inbox) => complainant.person_id.is_some(),
            Some(ReplyChannel::Phone) => complainant.phone.is_some(),
            Some(ReplyChannel::Letter) => complainant.address.is_some(),
            Some(ReplyChannel::Email) => complainant.email.is_some(),
            None => true,
        };
        if !reachable {
            self.wrong("svar", "Det saknas en uppgift för att kunna svara på det sättet.");
        }
        ReplyWish { wanted: channel.is_some(), channel }
    }
}

/// A day that has passed, as a moment of it.
fn noon(day: Date) -> Timestamp {
    let noon = day.at(12, 0, 0, 0);
    clock::swedish().to_timestamp(noon).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn org(unit: &Unit) -> OrgUnit {
    OrgUnit {
        hsa_id: unit.hsa_id.clone(),
        name: Some(unit.name.clone()),
        telecom: None,
        email: None,
        address: None,
        location: None,
    }
}
