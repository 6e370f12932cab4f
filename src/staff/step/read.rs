//! From the fields of a form to a message of the handling, or what is wrong with each field.

use jiff::civil::Date;

use super::super::files;
use super::super::form::Form;
use super::super::gate::Visit;
use super::super::page::Fault;
use super::{Kind, text_fault};
use crate::complaint::case::Case;
use crate::complaint::codes::{CodeLists, OPERATIONAL_AREAS, PROBLEMS, STANDARD_REPLIES};
use crate::complaint::message::{
    Acknowledgement, Attachment, Classification, Closure, ClosureReason, FromHandler, OrgUnit,
    PartialReply, PlaceCorrection, Question, Reply,
};
use crate::complaint::words;
use crate::id::HsaId;
use crate::limits;
use crate::tak::Table;

/// The reasons for an end without a written reply: value, text, and the reason.
pub(super) const REASONS: [(&str, &str, ClosureReason); 5] = [
    (
        "otherwise",
        "Besvarat på annat sätt, till exempel per telefon",
        ClosureReason::AnsweredOtherwise,
    ),
    ("referred", "Hänvisat till rätt mottagare", ClosureReason::Referred),
    ("no_reply", "Anmälaren vill inte ha något svar", ClosureReason::NoReplyWanted),
    ("secrecy", "Sekretess hindrar ett svar", ClosureReason::Secrecy),
    ("withdrawn", "Anmälaren har tagit tillbaka ärendet", ClosureReason::Withdrawn),
];

/// The message, or everything that is wrong at once.
pub(super) fn content(kind: Kind, visit: &Visit, case: &Case) -> Result<FromHandler, Vec<Fault>> {
    let mut fields = Fields { form: &visit.form, faults: Vec::new(), files: Vec::new() };
    if kind.takes_files() {
        let attached = files::attached(visit, &kind.address(case), limits::HANDLER_ATTACHMENTS_MAX);
        match attached {
            Ok(files) => fields.files = files,
            Err(faults) => fields.faults = faults,
        }
    }
    let codes = &visit.routing.codes;
    let content = match kind {
        Kind::Acknowledge => Some(FromHandler::Acknowledgement(Acknowledgement {
            received: case.opened,
            expected_reply: fields.date("senast", "Datumet för svar"),
            text: fields.some("text", "Texten"),
        })),
        Kind::PartialReply => fields.partial_reply(codes),
        Kind::Question => fields.given("text", "Frågan").map(|text| {
            FromHandler::Question(Question {
                question_id: format!("{}/{}", case.number, case.events),
                text,
                attachments_allowed: fields.form.one("filer") == "ja",
                answer_before: fields.date("senast", "Datumet"),
            })
        }),
        Kind::Reply => fields.reply(codes),
        Kind::CorrectPlace => fields.place(&visit.routing.table),
        Kind::Close => fields.closure(codes),
    };
    match content {
        Some(content) if fields.faults.is_empty() => Ok(content),
        Some(_) | None => Err(fields.faults),
    }
}

struct Fields<'f> {
    form: &'f Form,
    faults: Vec<Fault>,
    files: Vec<Attachment>,
}

impl Fields<'_> {
    fn wrong(&mut self, field: &'static str, text: &str) {
        self.faults.push(Fault { field, text: text.to_owned() });
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

    fn some(&mut self, name: &'static str, label: &str) -> Option<String> {
        self.form.some(name)?;
        self.given(name, label)
    }

    fn date(&mut self, name: &'static str, label: &str) -> Option<Date> {
        let text = self.form.some(name)?;
        let date = text.parse::<Date>().ok().filter(|it| (1900..2100).contains(&it.year()));
        if date.is_none() {
            self.wrong(name, &format!("{label} ska skrivas som 2026-01-31."));
        }
        date
    }

    fn partial_reply(&mut self, codes: &CodeLists) -> Option<FromHandler> {
        let standard = match self.form.some("standard") {
            None => None,
            Some(code) => {
                let found = codes.coded(STANDARD_REPLIES, code);
                if found.is_none() {
                    self.wrong("standard", "Standardsvaret finns inte längre. Välj ett annat.");
                }
                found
            }
        };
        let own = self.some("text", "Texten");
        let wording = standard.as_ref().and_then(|(_, listed)| listed.wording.clone());
        let parts: Vec<String> = wording.into_iter().chain(own).collect();
        if parts.is_empty() && self.faults.is_empty() {
            self.wrong("text", "Välj ett standardsvar eller skriv en egen text.");
        }
        let text = parts.join("\n\n");
        if let Err(fault) = words::within(&text, limits::TEXT_CHARS_MAX) {
            self.faults.push(text_fault("text", "Texten", fault));
        }
        let standard_reply = standard.map(|(code, _)| code);
        Some(FromHandler::PartialReply(PartialReply {
            text,
            standard_reply,
            attachments: std::mem::take(&mut self.files),
        }))
    }

    fn reply(&mut self, codes: &CodeLists) -> Option<FromHandler> {
        let explanation = self.given("forklaring", "Vad som har hänt");
        let measures = self.some("atgarder", "Vad som görs");
        let text = self.some("text", "Övrigt");
        let classification = self.classification(codes);
        Some(FromHandler::Reply(Reply {
            explanation: explanation?,
            measures,
            text,
            attachments: std::mem::take(&mut self.files),
            classification: classification?,
        }))
    }

    fn closure(&mut self, codes: &CodeLists) -> Option<FromHandler> {
        let wanted = self.form.one("skal");
        let reason = REASONS.iter().find(|(value, ..)| *value == wanted).map(|(.., it)| *it);
        if reason.is_none() {
            self.wrong("skal", "Välj varför ärendet avslutas.");
        }
        let classification = self.classification(codes);
        Some(FromHandler::Closure(Closure { reason: reason?, classification: classification? }))
    }

    /// A sub problem brings its main problem with it.
    fn classification(&mut self, codes: &CodeLists) -> Option<Classification> {
        let (mut mains, mut subs) = (Vec::new(), Vec::new());
        for code in self.form.all("problem") {
            let Some((coded, listed)) = codes.coded(PROBLEMS, code) else { continue };
            let main = match &listed.parent {
                Some(parent) => {
                    subs.push(coded);
                    codes.coded(PROBLEMS, parent).map(|(coded, _)| coded)
                }
                None => Some(coded),
            };
            mains.extend(main.filter(|main| !mains.contains(main)));
        }
        if mains.is_empty() {
            self.wrong("problem", "Välj minst ett problem.");
        }
        let area = codes.coded(OPERATIONAL_AREAS, self.form.one("omrade"));
        if area.is_none() {
            self.wrong("omrade", "Välj verksamhetsområde.");
        }
        let (operational_area, _) = area?;
        Some(Classification { main_problems: mains, sub_problems: subs, operational_area })
    }

    fn place(&mut self, table: &Table) -> Option<FromHandler> {
        let id = HsaId::parse(self.form.one("enhet")).ok().filter(HsaId::is_well_formed);
        let Some(hsa_id) = id else {
            self.wrong("enhet", "Skriv enhetens HSA-id, som SE0000000000-VC1.");
            return None;
        };
        let name = match table.unit(&hsa_id) {
            Some(unit) => Some(unit.name.clone()),
            None => self.form.some("namn").map(str::to_owned),
        };
        if let Some(Err(fault)) =
            name.as_ref().map(|name| words::within(name, limits::LINE_CHARS_MAX))
        {
            self.faults.push(text_fault("namn", "Namnet", fault));
        }
        Some(FromHandler::PlaceCorrection(PlaceCorrection {
            unit: OrgUnit {
                hsa_id,
                name,
                telecom: None,
                email: None,
                address: None,
                location: None,
            },
        }))
    }
}
