//! Mail to staff, paid as everything else that is owed.

use std::sync::Arc;

use jiff::civil::Date;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::pace::Went;
use crate::cases::record::Item;
use crate::clock;
use crate::complaint::case::Case;
use crate::complaint::event::Outcome;
use crate::complaint::notice::{self, About, MAIL, Whom};
use crate::id::HsaId;
use crate::limits;
use crate::mail::{self, Mailer};
use crate::producer::Judgement;
use crate::tak::{self, Retry, Role, System, Table, WhenUnknown};
use crate::telemetry::Chain;

/// The mail server, and how it is called.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    mailer: Arc<Mailer>,
    /// Where browsers reach the staff page.
    page: String,
    pub(super) system: Arc<System>,
}

impl Mail {
    /// `own` is the gateway, which stands where a system has its certificate.
    pub(super) fn new(mailer: Mailer, page: String, own: HsaId) -> Self {
        let system = Arc::new(System {
            id: Some(MAIL.to_owned()),
            hsa_id: own,
            name: "e-post".to_owned(),
            url: None,
            timeout: limits::MAIL_TIME_MAX,
            delivery: tak::Delivery::Queued,
            rate: None,
            rate_in: None,
            original_consumer: false,
            certificate: None,
            key: None,
            trust: None,
            // Two notices are better than none.
            when_unknown: WhenUnknown::Resend,
            retry: Retry::default(),
            notify: false,
            source_system: None,
            place: tak::Place::default(),
        });
        Self { mailer: Arc::new(mailer), page, system }
    }
}

impl Delivery {
    /// One attempt to send a notice.
    pub(super) async fn notify(
        &self,
        item: &Item,
        mail: &Mail,
        (about, whom): (About, Whom),
        stop: &CancellationToken,
    ) -> Went {
        let case = match self.case_of(item).await {
            Ok(Some(case)) => case,
            Ok(None) => {
                let why = "the case is not there".to_owned();
                return self.record(item, Outcome::Parked { why }).await;
            }
            Err(why) => {
                return self.judged(item, &mail.system, Judgement::RetryLater { why }).await;
            }
        };
        let today = clock::swedish_day(self.cases.now());
        let to = addresses(&self.routing.get().table, &case, &whom, today);
        if to.is_empty() {
            // Whoever has no address is not told by mail.
            return self.record(item, Outcome::Delivered).await;
        }
        if stop.is_cancelled() {
            return Went::Well;
        }
        let item = match self.leased(item, &mail.system).await {
            Ok(item) => item,
            Err(went) => return went,
        };
        let notice::Words { subject, text } = notice::words(about, &case.number, &mail.page);
        let id = format!("{}.{}", case.number, item.id);
        let sent = mail.mailer.send(mail::Mail { id, to, subject, text, at: item.owed }).await;
        self.judged(&item, &mail.system, sent).await
    }

    /// The case; an error says why it cannot be read now.
    async fn case_of(&self, item: &Item) -> Result<Option<Case>, String> {
        let (cases, id) = (self.cases.clone(), item.case.clone());
        match self.cases.engine().blocking(move || cases.case(&id)).await {
            Some(read) => read.map_err(|it| format!("the case cannot be read: {}", Chain(&it))),
            None => Err("the thread that reads the case is gone".to_owned()),
        }
    }
}

/// Where a notice about a case goes, as the configuration says now.
fn addresses(table: &Table, case: &Case, whom: &Whom, today: Date) -> Vec<String> {
    let on_duty = |id: &HsaId| {
        let person = table.person(id)?;
        let substitute = person.substitute_on(today).and_then(|it| table.person(it));
        Some(substitute.unwrap_or(person))
    };
    let person = |id: &HsaId| on_duty(id).and_then(|it| it.email.clone());
    let mailbox = || table.unit(&case.receiver).and_then(|it| it.mailbox.clone());
    match whom {
        Whom::Mailbox => mailbox().into_iter().collect(),
        // Who has no address of their own is told by way of the unit's.
        Whom::Person(id) => person(id).or_else(mailbox).into_iter().collect(),
        Whom::Overseers => {
            let at_unit =
                |it: &&Arc<tak::Person>| it.roles_at(&case.receiver).contains(&Role::QualityLead);
            table.people().filter(at_unit).filter_map(|it| it.email.clone()).collect()
        }
    }
}
