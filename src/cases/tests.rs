//! Cases over a store in memory: what is kept once, in what order it is owed, what a rebuild gives.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::date;
use tempfile::TempDir;

use super::outbox::OutboxError;
use super::record::{Item, ItemState};
use super::*;
use crate::cases::fold::CaseFold;
use crate::clock::HandClock;
use crate::complaint::event::{Decision, Destination, ItemId, Outcome};
use crate::complaint::message::{
    Acknowledgement, Actor, Complainant, OrgUnit, Recipient, RecipientKind, Relation, ReplyWish,
    Supplement, Transfer,
};
use crate::limits;
use crate::store::engine::{OpenReport, Settings, StoreError};
use crate::store::journal::memory::MemoryDisk;
use crate::store::views::{Entry, MemoryTable, Scan, Table as _};

mod deciding;
mod desk;
mod history;
mod keeping;
mod owing;

pub(super) const INKORG: &str = "inkorg";
pub(super) const REGION: &str = "region-exempel";
pub(super) const OTHER: &str = "region-annan";

pub(super) fn hsa(suffix: &str) -> HsaId {
    HsaId::parse(&format!("SE0000000000-{suffix}")).unwrap()
}

pub(super) fn ii(root: &str, extension: &str) -> Ii {
    Ii { root: root.to_owned(), extension: Some(extension.to_owned()) }
}

/// A store on one disk, opened as often as a test likes.
pub(super) struct Bench {
    pub(super) disk: MemoryDisk,
    pub(super) table: Arc<MemoryTable>,
    pub(super) clock: HandClock,
    dir: TempDir,
    runs: std::cell::Cell<u32>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let start: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
        Self {
            disk: MemoryDisk::default(),
            table: Arc::default(),
            clock: HandClock::at(start),
            dir: tempfile::tempdir().unwrap(),
            runs: std::cell::Cell::new(0),
        }
    }

    pub(super) fn open(&self) -> Cases {
        self.try_open(&self.table).unwrap().0
    }

    pub(super) fn try_open(
        &self,
        table: &Arc<MemoryTable>,
    ) -> Result<(Cases, OpenReport), StoreError> {
        let mut settings = Settings::new("");
        settings.free_bytes_min = 1;
        settings.probe_interval = Duration::from_millis(5);
        let (disk, clock) = (self.disk.clone(), Arc::new(self.clock.clone()));
        let table = Arc::clone(table) as Arc<_>;
        let (engine, report) = Engine::open_on(
            &settings,
            Arc::new(disk),
            table,
            "boot",
            CaseFold::default(),
            clock.clone(),
        )?;
        let blobs = Blobs::new(&self.dir.path().join("attachments")).unwrap();
        self.runs.set(self.runs.get() + 1);
        let instance = format!("run-{}", self.runs.get());
        Ok((Cases::new(engine, blobs, clock, hsa("GATEWAY"), instance), report))
    }
}

pub(super) fn store(unit: &str) -> Reception {
    Reception {
        receiver: hsa(unit),
        receiver_name: format!("Testenheten {unit}"),
        county: "99".to_owned(),
        kind: RecipientKind::CareProvider,
        destination: Destination::Store,
    }
}

pub(super) fn system(unit: &str, id: &str) -> Reception {
    let (hsa_id, receiver) = (hsa(&id.to_uppercase()), hsa(unit));
    let destination = Destination::System { id: id.to_owned(), hsa_id, receiver };
    Reception { destination, ..store(unit) }
}

pub(super) fn grounds(reception: Option<Reception>) -> Grounds {
    Grounds {
        parties: Parties { portal: hsa("1177"), inkorg: INKORG.to_owned(), onward: None },
        generation: "g1".to_owned(),
        reception,
        codes: Arc::default(),
    }
}

pub(super) fn envelope(sender: &str) -> Envelope {
    Envelope {
        sender: hsa(sender),
        original_consumer: None,
        on_behalf_of: None,
        correlation_id: "c-1".to_owned(),
        trace: String::new(),
        original: None,
        remarks: Vec::new(),
    }
}

fn org(unit: &str) -> OrgUnit {
    OrgUnit {
        hsa_id: hsa(unit),
        name: None,
        telecom: None,
        email: None,
        address: None,
        location: None,
    }
}

pub(super) fn complaint(message: &str, case: &Ii, unit: &str) -> ProcessComplaint {
    let person = ii("1.2.752.129.2.1.3.1", "199001012385");
    let complaint = Complaint {
        submitted: "2026-03-02T07:59:00Z".parse().unwrap(),
        recipient: Recipient {
            kind: RecipientKind::CareProvider,
            unit: org(unit),
            county: "99".to_owned(),
        },
        place: None,
        event_date: date(2026, 2, 20),
        description: "PÅHITTAT ÄRENDE.".to_owned(),
        desired_outcome: None,
        complainant: Complainant {
            person_id: Some(person),
            name: Some("Testa Testsson".to_owned()),
            relation: Relation::Patient,
            authorization: None,
            protected_identity: None,
            phone: None,
            email: None,
            address: None,
        },
        patient: None,
        reply_wish: ReplyWish { wanted: false, channel: None },
        experienced_problems: Vec::new(),
        consent_to_forward: None,
        attachments: Vec::new(),
        language: None,
        remarks: Vec::new(),
    };
    said(message, case, FromComplainant::Complaint(Box::new(complaint)))
}

fn said(message: &str, case: &Ii, content: FromComplainant) -> ProcessComplaint {
    ProcessComplaint {
        message_id: ii("m", message),
        sent: "2026-03-02T08:00:00Z".parse().unwrap(),
        case_id: case.clone(),
        content,
    }
}

pub(super) fn supplement(message: &str, case: &Ii) -> ProcessComplaint {
    let text = "PÅHITTAT TILLÄGG.".to_owned();
    let content = Supplement { in_reply_to: None, text, attachments: Vec::new() };
    said(message, case, FromComplainant::Supplement(content))
}

pub(super) fn step(message: &str, case: &Ii, content: FromHandler) -> ProcessComplaintHandling {
    ProcessComplaintHandling {
        message_id: ii("h", message),
        sent: "2026-03-02T08:00:00Z".parse().unwrap(),
        case_id: Some(case.clone()),
        handler: Actor { hsa_id: hsa("H1"), name: None, title: None, unit: None },
        content,
    }
}

pub(super) fn acknowledged() -> FromHandler {
    let received = "2026-03-02T08:00:00Z".parse().unwrap();
    FromHandler::Acknowledgement(Acknowledgement { received, expected_reply: None, text: None })
}

pub(super) fn transferred(to: &str) -> FromHandler {
    FromHandler::Transfer(Transfer { to_unit: org(to), reason: "PÅHITTAT SKÄL.".to_owned() })
}

/// Opens `case` at `unit`; `reception` says who handles it there.
pub(super) async fn begin(cases: &Cases, case: &Ii, reception: Reception) -> Accepted {
    let unit = reception.receiver.to_string().replace("SE0000000000-", "");
    let name = format!("open {}", case.extension.as_deref().unwrap_or_default());
    let message = complaint(&name, case, &unit);
    let grounds = grounds(Some(reception));
    cases.accept_complaint(message, hsa(&unit), envelope("1177"), grounds).await.unwrap()
}

pub(super) async fn add(cases: &Cases, case: &Ii, message: &str, to: &str) {
    let grounds = grounds(None);
    let message = supplement(message, case);
    cases.accept_complaint(message, hsa(to), envelope("1177"), grounds).await.unwrap();
}

pub(super) fn due(cases: &Cases, to: &str) -> Vec<Item> {
    cases.due(to, cases.now(), 100).unwrap()
}

/// Every entry of the views.
pub(super) fn entries(table: &MemoryTable) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let scan = Scan::prefix(Vec::new());
        let scan = match all.last() {
            Some((last, _)) => scan.after(last.clone()),
            None => scan,
        };
        let page = table.scan(&scan).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}
