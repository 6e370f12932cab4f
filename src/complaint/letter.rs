//! The words that reach the complainant's 1177 Inkorg, in plain Swedish.
//!
//! One function from an event to a letter, so that a preview and what is sent cannot differ.

use jiff::civil::Date;

use super::case::Case;
use super::event::{Event, Opened, Source, Step};
use super::message::{Attachment, ClosureReason, RecipientKind, Reply};
use crate::clock;

/// A message in the inbox: plain text, as the receiver's formatting is not specified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub heading: String,
    pub text: String,
}

/// The letter that `event` of `case` is told in; `None` for what the complainant is not told.
#[must_use]
pub fn letter(case: &Case, event: &Event) -> Option<Letter> {
    let (heading, body) = match event {
        Event::Opened(opened) => ("Vi har tagit emot ditt ärende", confirmation(opened)),
        Event::Handled { step, .. } => step_letter(case, step)?,
        Event::Supplemented { .. }
        | Event::Withdrawn { .. }
        | Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Staff { .. }
        | Event::Reminded { .. } => return None,
    };
    Some(Letter {
        heading: heading.to_owned(),
        text: format!("{body}\n\nÄrendenummer: {}\n{}", case.number, case.receiver_name),
    })
}

fn confirmation(opened: &Opened) -> String {
    let day = day_text(clock::swedish_day(opened.complaint.submitted));
    let sent = match opened.source {
        Source::Portal => format!("Du skickade det den {day}."),
        // What came by phone or letter was written down by somebody else.
        Source::Registered { .. } => format!("Det togs emot den {day}."),
    };
    let wish = if opened.complaint.reply_wish.wanted {
        "Du får svar så snart som möjligt, oftast inom fyra veckor. Dröjer det längre får du veta det."
    } else {
        "Du har angett att du inte vill ha något svar. Dina synpunkter läses och tas om hand ändå."
    };
    format!(
        "Ditt ärende till {} har kommit in. {sent}\n\n{wish}\n\nAnge \
         ärendenumret om du kontaktar oss.",
        opened.receiver_name
    )
}

fn step_letter(case: &Case, step: &Step) -> Option<(&'static str, String)> {
    Some(match step {
        Step::Acknowledgement(it) => {
            let mut text = format!("{} har börjat handlägga ditt ärende.", case.receiver_name);
            if let Some(day) = it.expected_reply {
                text.push_str(&format!(" Du kan räkna med svar senast den {}.", day_text(day)));
            }
            add(&mut text, it.text.as_deref());
            ("Ditt ärende handläggs", text)
        }
        Step::PartialReply(it) => {
            let mut text = it.text.clone();
            add_files(&mut text, &it.attachments);
            ("Du har fått ett delsvar", text)
        }
        Step::Question(it) => {
            let mut text = format!("Vi behöver veta mer för att kunna svara dig:\n\n{}", it.text);
            if let Some(day) = it.answer_before {
                text.push_str(&format!("\n\nSvara gärna senast den {}.", day_text(day)));
            }
            text.push_str("\n\nDu svarar genom att komplettera ditt ärende på 1177.se.");
            if it.attachments_allowed {
                text.push_str(" Du kan bifoga filer.");
            }
            ("Vi har en fråga om ditt ärende", text)
        }
        Step::Reply(it, _) => ("Du har fått svar på ditt ärende", reply_text(case.kind, it)),
        Step::Transfer(it) => (
            "Ditt ärende har lämnats över",
            format!(
                "Ditt ärende handläggs nu av {}. Du behöver inte göra något.",
                it.receiver_name
            ),
        ),
        Step::PlaceCorrection(_) => return None,
        Step::Closure(it, _) => ("Ditt ärende är avslutat", closure_text(it.reason).to_owned()),
    })
}

/// PSL 3:8 b: an explanation of what happened, and where applicable the measures.
fn reply_text(kind: RecipientKind, reply: &Reply) -> String {
    let mut text = format!("Det här har hänt\n{}", reply.explanation);
    if let Some(measures) = &reply.measures {
        text.push_str(&format!("\n\nDet här gör vi för att det inte ska hända igen\n{measures}"));
    }
    add(&mut text, reply.text.as_deref());
    add_files(&mut text, &reply.attachments);
    text.push_str("\n\nÄrendet är nu avslutat. Är du inte nöjd med svaret kan du vända dig till ");
    text.push_str(match kind {
        RecipientKind::CareProvider => {
            "patientnämnden eller till Inspektionen för vård och omsorg (IVO)."
        }
        RecipientKind::PatientAdvisoryCommittee => "Inspektionen för vård och omsorg (IVO).",
    });
    text
}

const fn closure_text(reason: ClosureReason) -> &'static str {
    match reason {
        ClosureReason::AnsweredOtherwise => {
            "Ärendet är avslutat. Du har fått svar på annat sätt än i inkorgen."
        }
        ClosureReason::Referred => {
            "Ärendet är avslutat här. Du har hänvisats till den som kan hjälpa dig vidare."
        }
        ClosureReason::NoReplyWanted => {
            "Ärendet är avslutat. Du har angett att du inte vill ha något svar. Tack för att du hörde \
             av dig."
        }
        ClosureReason::Secrecy => {
            "Ärendet är avslutat. Sekretess hindrar oss från att svara på innehållet."
        }
        ClosureReason::Withdrawn => "Ärendet är avslutat eftersom du har tagit tillbaka det.",
    }
}

/// 1177 Inkorg 1.0 carries no files: the letter says that there are some, and what they are called.
fn add_files(text: &mut String, files: &[Attachment]) {
    let names: Vec<&str> = files.iter().map(|file| file.file_name.as_str()).collect();
    match names.as_slice() {
        [] => {}
        [one] => text.push_str(&format!(
            "\n\nTill svaret hör en fil: {one}. Den lämnas till dig på annat sätt än i inkorgen."
        )),
        more => text.push_str(&format!(
            "\n\nTill svaret hör {} filer: {}. De lämnas till dig på annat sätt än i inkorgen.",
            more.len(),
            more.join(", ")
        )),
    }
}

fn add(text: &mut String, more: Option<&str>) {
    if let Some(more) = more.filter(|more| !more.trim().is_empty()) {
        text.push_str("\n\n");
        text.push_str(more);
    }
}

fn day_text(day: Date) -> String {
    day.strftime("%Y-%m-%d").to_string()
}
