//! Notices (aviseringar) to staff by mail: when, to whom, and the few words that they hold.
//!
//! Pure. Never content, never a name or number of a person: the registration number and a link.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::deadline::{Deadline, Stand, Terms};
use super::event::{Act, Debt, Destination, Event, Outcome, Owed};
use super::registration::RegistrationNumber;
use crate::id::HsaId;

/// What mail is owed to, as other messages are owed to a system. No system of a routing
/// configuration may be called so.
pub const MAIL: &str = "mail";

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A new case.
    New,
    /// A case is somebody's from now on.
    Assigned,
    /// The complainant has added something, or takes the case back.
    FromComplainant,
    /// A deadline is near.
    Near,
    /// A deadline has passed.
    Overdue,
    /// Something that was sent about the case has not arrived, and will not by itself.
    Trouble,
}

/// Who gets a notice. Addresses are looked up when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// The functional mailbox of the unit that has the case.
    Mailbox,
    /// Those of the unit who are kvalitetsansvariga.
    Overseers,
    /// One of the staff.
    Person(HsaId),
}

/// A promise of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Promise {
    /// That the complainant hears from somebody.
    FirstContact,
    /// That the case is answered.
    Reply,
}

/// That staff were told of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reminder {
    pub promise: Promise,
    /// It has passed; else it is near.
    pub overdue: bool,
}

/// A mail, but for who gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    pub subject: String,
    pub text: String,
}

/// What `event` gives cause to tell of a case of the built-in store. `before` is the case before it.
#[must_use]
pub fn of_event(event: &Event, before: Option<&Case>) -> Vec<Owed> {
    match event {
        Event::Opened(opened) if opened.destination == Destination::Store => {
            vec![owed(About::New, Whom::Mailbox), owed(About::New, Whom::Overseers)]
        }
        Event::Supplemented { .. } | Event::Withdrawn { .. } => {
            let here = before.filter(|it| it.destination == Destination::Store);
            here.map(|it| owed(About::FromComplainant, in_charge(it))).into_iter().collect()
        }
        Event::Staff { by, act: Act::Assigned { to: Some(to) } } if to.hsa_id != by.hsa_id => {
            vec![owed(About::Assigned, Whom::Person(to.hsa_id.clone()))]
        }
        Event::Reminded { reminder } => before.map(|it| remind(*reminder, it)).unwrap_or_default(),
        Event::Opened(_)
        | Event::Handled { .. }
        | Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Staff { .. } => Vec::new(),
    }
}

fn remind(reminder: Reminder, case: &Case) -> Vec<Owed> {
    let about = if reminder.overdue { About::Overdue } else { About::Near };
    let mut all = vec![owed(about, in_charge(case))];
    if reminder.overdue {
        all.push(owed(about, Whom::Overseers));
    }
    all
}

/// What an attempt to send something of a case gives cause to tell; nothing of a notice, or a mail
/// server that is away would be written about by mail.
#[must_use]
pub fn of_attempt(what: &Debt, outcome: &Outcome, case: &Case) -> Option<Owed> {
    let of_notice = matches!(what, Debt::Notice { .. });
    let for_a_person = match outcome {
        Outcome::Parked { .. } | Outcome::Unknown { .. } | Outcome::Unreachable { .. } => true,
        Outcome::Delivered | Outcome::Again { .. } => false,
    };
    let here = case.destination == Destination::Store;
    (for_a_person && !of_notice && here).then(|| owed(About::Trouble, in_charge(case)))
}

/// The deadlines of an open case that are near or have passed and that nobody was told of.
#[must_use]
pub fn untold(case: &Case, terms: &Terms, now: Timestamp) -> Vec<Reminder> {
    if case.closed.is_some() || case.destination != Destination::Store {
        return Vec::new();
    }
    let deadlines = terms.of(case);
    let of = |promise, deadline: &Deadline| {
        let overdue = match deadline.stand(now) {
            Stand::Near => false,
            Stand::Overdue => true,
            Stand::Met | Stand::Rests | Stand::Ahead => return None,
        };
        let told = |it: &Reminder| it.promise == promise && (it.overdue || !overdue);
        (!case.reminded.iter().any(told)).then_some(Reminder { promise, overdue })
    };
    let contact = deadlines.first_contact.as_ref();
    let contact = contact.and_then(|it| of(Promise::FirstContact, it));
    contact.into_iter().chain(of(Promise::Reply, &deadlines.reply)).collect()
}

/// The handler of a case, or else the mailbox of its unit.
fn in_charge(case: &Case) -> Whom {
    let handler = case.assigned.as_ref().map(|it| Whom::Person(it.hsa_id.clone()));
    handler.unwrap_or(Whom::Mailbox)
}

fn owed(about: About, whom: Whom) -> Owed {
    Owed::now(MAIL.to_owned(), Debt::Notice { about, whom })
}

/// The words of a notice. `page` is where browsers reach the staff page.
#[must_use]
pub fn words(about: About, number: &RegistrationNumber, page: &str) -> Words {
    let (subject, what) = match about {
        About::New => ("Nytt ärende", "Ett nytt ärende har kommit in."),
        About::Assigned => ("Ett ärende är ditt", "Du har fått ett ärende att handlägga."),
        About::FromComplainant => {
            ("Nytt från anmälaren", "Anmälaren har skickat något nytt i ärendet.")
        }
        About::Near => ("Snart dags", "En tidsgräns i ärendet närmar sig."),
        About::Overdue => ("Försenat", "En tidsgräns i ärendet har passerats."),
        About::Trouble => (
            "Inte framme",
            "Ett meddelande i ärendet har inte kommit fram. I ärendet står vad du kan göra.",
        ),
    };
    let subject = format!("{subject}: {number}");
    let text = format!(
        "{what}\n\nÄrendenummer: {number}\nLogga in och läs: {page}/arende/{number}\n\n\
         Det här meddelandet är skickat av en dator. Svara inte på det.\n"
    );
    Words { subject, text }
}
