//! The cases of this gateway: messages in, each committed once with all that follows from it.
//!
//! One job on the store's writer decides and appends; the answer waits for the disk. Reads come
//! from the views and, for content, from the journal.

pub mod desk;
pub mod fold;
pub mod key;
pub mod outbox;
pub mod pause;
pub mod query;
pub mod record;
pub mod remove;
pub mod sealed;
pub mod select;

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::complaint::case::Case;
use crate::complaint::codes::CodeLists;
use crate::complaint::command::{self, Decided, Handling, Parties, Reception, Refusal};
use crate::complaint::event::{Event, Incoming, ItemId, Via};
use crate::complaint::message::{
    Complaint, FromComplainant, FromHandler, Ii, ProcessComplaint, ProcessComplaintHandling,
    Registration, Remark,
};
use crate::complaint::notice;
use crate::complaint::registration::RegistrationNumber;
use crate::id::HsaId;
use crate::limits;
use crate::soap::Original;
use crate::store::blobs::Blobs;
use crate::store::engine::{Engine, SubmitError, Transaction};
use crate::store::hex;
use crate::store::keys::Keys;
use query::JobError;
use record::{RECORD_VERSION, Receipt, Record, StoreEvent, StoreRecord};

/// The store, and what the domain makes of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cases {
    engine: Engine,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    /// This gateway's HSA-id: the name space of the case ids that it gives.
    own: HsaId,
    /// This run of this process: a lease of another run is one that nobody holds.
    instance: String,
    /// Rung when something is owed to a system, for those who wait for it.
    bells: Arc<Mutex<BTreeMap<String, Arc<Notify>>>>,
    /// The oldest message to each system that was not done with when it was last asked for.
    oldest: Arc<Mutex<BTreeMap<String, ItemId>>>,
    /// Whether staff are told by mail.
    notify: bool,
    /// What records are sealed by; `None`: they are not.
    keys: Option<Arc<Keys>>,
}

/// A message that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub receipt: Receipt,
    /// The first answer's data: the same message had come before, and nothing was done now.
    pub repeated: bool,
}

/// Why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// The message breaks a rule. It changed nothing.
    #[error("the message is refused")]
    Refused(#[source] Refusal),
    /// The same sender has used the message id for something else.
    #[error("the message id stands for another content")]
    Reused,
    /// It could not be committed: the caller must send it again.
    #[error("the store could not commit it")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What comes with a message besides what it says.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub sender: HsaId,
    pub original_consumer: Option<String>,
    pub on_behalf_of: Option<String>,
    pub correlation_id: String,
    /// Our span of the trace that it came in, as a `traceparent`.
    pub trace: String,
    /// The message as received.
    pub original: Option<Original>,
    /// What was not as it should be in optional fields.
    pub remarks: Vec<Remark>,
}

/// What the configuration says at the time of a message.
#[derive(Debug, Clone)]
pub struct Grounds {
    pub parties: Parties,
    pub generation: String,
    /// The unit that is addressed, registered for or transferred to.
    pub reception: Option<Reception>,
    pub codes: Arc<CodeLists>,
}

impl Cases {
    /// Puts the domain on an open engine. `instance` names this run of the process.
    #[must_use]
    pub fn new(
        engine: Engine,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        own: HsaId,
        instance: String,
    ) -> Self {
        let (bells, oldest) = (Arc::default(), Arc::default());
        Self { engine, blobs, clock, own, instance, bells, oldest, notify: false, keys: None }
    }

    /// The same, reading what is sealed by `keys`: those of the engine's fold.
    #[must_use]
    pub fn sealed_by(self, keys: Option<Arc<Keys>>) -> Self {
        Self { keys, ..self }
    }

    /// What records are sealed by; `None` where they are not.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_deref()
    }

    /// The same, telling staff by mail of what concerns them.
    #[must_use]
    pub fn telling_staff(self) -> Self {
        Self { notify: true, ..self }
    }

    /// The engine, for health and shutdown.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The attachments.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// This gateway's HSA-id.
    #[must_use]
    pub fn own(&self) -> &HsaId {
        &self.own
    }

    /// The clock that records are stamped by.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Rings each time something has changed of what is owed to `system`. A ring that nobody hears
    /// is kept for the next who listens.
    #[must_use]
    pub fn bell(&self, system: &str) -> Arc<Notify> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(bells.entry(system.to_owned()).or_default())
    }

    fn ring(&self, system: &str) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(system) {
            bell.notify_one();
        }
    }

    /// Accepts a message from the complainant. `addressed` is its logical address.
    pub async fn accept_complaint(
        &self,
        mut message: ProcessComplaint,
        addressed: HsaId,
        envelope: Envelope,
        grounds: Grounds,
    ) -> Result<Accepted, NotAccepted> {
        let digest = digest_of_complaint(&mut message);
        let incoming = incoming(&envelope, &message.message_id, message.sent, digest);
        let notify = self.notify;
        self.commit(move |transaction| {
            if let Some(repeated) = repeated(transaction, &incoming)? {
                return Ok(repeated);
            }
            let existing = query::case_in(transaction, &message.case_id)?;
            let decided = match message.content {
                FromComplainant::Complaint(complaint) => {
                    let reception = reception(&grounds)?;
                    command::open_from_portal(
                        *complaint,
                        &incoming.sender,
                        existing.as_ref(),
                        reception,
                        next_number(transaction)?,
                        &grounds.parties,
                    )
                }
                content @ (FromComplainant::Supplement(_) | FromComplainant::Withdrawal(_)) => {
                    command::from_complainant(
                        &content,
                        existing.as_ref(),
                        &incoming.sender,
                        &addressed,
                        &grounds.parties,
                    )
                }
            }
            .map_err(Failure::Refused)?;
            let (case, generation) = (message.case_id, grounds.generation);
            let head = Head { case, existing, generation, notify };
            append(transaction, head, Some((incoming, envelope)), decided)
        })
        .await
    }

    /// Accepts a message from an own system that handles.
    pub async fn accept_handling(
        &self,
        message: ProcessComplaintHandling,
        envelope: Envelope,
        grounds: Grounds,
    ) -> Result<Accepted, NotAccepted> {
        let digest = digest_of_handling(&message);
        let incoming = incoming(&envelope, &message.message_id, message.sent, digest);
        let own = self.own.clone();
        let notify = self.notify;
        self.commit(move |transaction| {
            if let Some(repeated) = repeated(transaction, &incoming)? {
                return Ok(repeated);
            }
            let number = next_number(transaction)?;
            let id = message.case_id.clone();
            let id = id.unwrap_or_else(|| command::own_case_id(&own, &number));
            let existing = query::case_in(transaction, &id)?;
            let decided = match &message.content {
                FromHandler::Registration(it) => command::register(
                    (&it.origin, &it.complaint),
                    &message.handler,
                    &incoming.sender,
                    existing.as_ref(),
                    reception(&grounds)?,
                    number,
                    &grounds.parties,
                ),
                content @ (FromHandler::Acknowledgement(_)
                | FromHandler::PartialReply(_)
                | FromHandler::Question(_)
                | FromHandler::Reply(_)
                | FromHandler::Transfer(_)
                | FromHandler::PlaceCorrection(_)
                | FromHandler::Closure(_)) => command::handle(
                    content,
                    existing.as_ref(),
                    Handling { by: &message.handler, via: Via::System, system: &incoming.sender },
                    grounds.reception.as_ref(),
                    &grounds.codes,
                    &grounds.parties,
                ),
            }
            .map_err(Failure::Refused)?;
            let head = Head { case: id, existing, generation: grounds.generation, notify };
            append(transaction, head, Some((incoming, envelope)), decided)
        })
        .await
    }

    /// A step of the handling in the built-in store.
    pub async fn handle_here(
        &self,
        message: ProcessComplaintHandling,
        grounds: Grounds,
    ) -> Result<Accepted, NotAccepted> {
        let own = self.own.clone();
        let notify = self.notify;
        self.commit(move |transaction| {
            let id = message.case_id.clone().ok_or(Failure::Refused(Refusal::NotFound))?;
            let existing = query::case_in(transaction, &id)?;
            let decided = command::handle(
                &message.content,
                existing.as_ref(),
                Handling { by: &message.handler, via: Via::Store, system: &own },
                None,
                &grounds.codes,
                &grounds.parties,
            )
            .map_err(Failure::Refused)?;
            let head = Head { case: id, existing, generation: grounds.generation, notify };
            append(transaction, head, None, decided)
        })
        .await
    }

    /// Notes that the store was made of the backup of `backup`, and leaves out the registration
    /// numbers that the one backed up may have given since. Gives how many.
    ///
    /// # Errors
    /// When it could not be committed.
    pub async fn note_restored(&self, backup: Timestamp) -> Result<u64, SubmitError<JobError>> {
        self.engine
            .submit(move |transaction: &mut Transaction<'_>| {
                let at = transaction.now();
                let numbers_skipped = numbers_since(backup, at);
                let store = StoreEvent::Restored { backup, numbers_skipped };
                let record = StoreRecord { v: RECORD_VERSION, at, store };
                query::append_store_in(transaction, &record)?;
                Ok(numbers_skipped)
            })
            .await
    }

    async fn commit<F>(&self, job: F) -> Result<Accepted, NotAccepted>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<Committed, Failure> + Send + 'static,
    {
        match self.engine.submit(job).await {
            Ok(Committed { accepted, owed }) => {
                for system in owed {
                    self.ring(&system);
                }
                Ok(accepted)
            }
            Err(SubmitError::Refused(Failure::Refused(refusal))) => {
                Err(NotAccepted::Refused(refusal))
            }
            Err(SubmitError::Refused(Failure::Reused)) => Err(NotAccepted::Reused),
            Err(SubmitError::Refused(Failure::Job(error))) => {
                Err(NotAccepted::Unavailable(Box::new(error)))
            }
            Err(
                error @ (SubmitError::Overloaded
                | SubmitError::Unavailable(_)
                | SubmitError::Panicked(_)
                | SubmitError::Closed),
            ) => Err(NotAccepted::Unavailable(Box::new(error))),
        }
    }
}

/// Why a job on the writer came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("refused")]
    Refused(#[source] Refusal),
    #[error("the message id stands for another content")]
    Reused,
    #[error("the job failed")]
    Job(#[from] JobError),
}

/// What a job on the writer did.
struct Committed {
    accepted: Accepted,
    /// The systems that something is owed to because of it.
    owed: Vec<String>,
}

struct Head {
    case: Ii,
    /// As it stands before; `None` for one that begins.
    existing: Option<Case>,
    generation: String,
    /// Whether staff are told by mail.
    notify: bool,
}

fn incoming(envelope: &Envelope, id: &Ii, sent: Timestamp, digest: String) -> Incoming {
    Incoming {
        sender: envelope.sender.clone(),
        message_id: id.clone(),
        sent,
        digest,
        original_consumer: envelope.original_consumer.clone(),
        on_behalf_of: envelope.on_behalf_of.clone(),
        correlation_id: envelope.correlation_id.clone(),
        trace: envelope.trace.clone(),
    }
}

fn reception(grounds: &Grounds) -> Result<&Reception, Failure> {
    grounds.reception.as_ref().ok_or_else(|| {
        Failure::Refused(Refusal::Invalid {
            field: "registration/complaint/recipient/unit".to_owned(),
            rule: "enheten är inte ansluten".to_owned(),
        })
    })
}

fn repeated(
    transaction: &mut Transaction<'_>,
    incoming: &Incoming,
) -> Result<Option<Committed>, Failure> {
    let key = key::message(&incoming.sender, &incoming.message_id);
    let Some(receipt) = query::read_in::<Receipt>(transaction, &key)? else { return Ok(None) };
    // A message that came before the store had keys is known by the digest itself.
    let known = [incoming.digest.clone(), transaction.blind(&incoming.digest)];
    if !known.contains(&receipt.digest) {
        return Err(Failure::Reused);
    }
    let accepted = Accepted { receipt, repeated: true };
    Ok(Some(Committed { accepted, owed: Vec::new() }))
}

/// More registration numbers than any gateway gave between two moments. The time counts, so that two
/// stores made of one backup, one after the other, leave out different ones.
fn numbers_since(backup: Timestamp, now: Timestamp) -> u64 {
    let seconds = u64::try_from(now.duration_since(backup).as_secs()).unwrap_or(0);
    limits::RESTORE_NUMBERS_SKIPPED.saturating_add(seconds)
}

/// A number that no case has. The count is behind the ordinals where a record is damaged.
fn next_number(transaction: &mut Transaction<'_>) -> Result<RegistrationNumber, Failure> {
    let mut ordinal = query::numbers_in(transaction)?;
    loop {
        ordinal = ordinal.saturating_add(1);
        let number = RegistrationNumber::of_ordinal(ordinal);
        if query::read_in::<Ii>(transaction, &key::number(&number))?.is_none() {
            return Ok(number);
        }
    }
}

fn append(
    transaction: &mut Transaction<'_>,
    head: Head,
    came: Option<(Incoming, Envelope)>,
    decided: Decided,
) -> Result<Committed, Failure> {
    let (incoming, original, remarks) = match came {
        Some((incoming, envelope)) => (Some(incoming), envelope.original, envelope.remarks),
        None => (None, None, Vec::new()),
    };
    let digest = incoming.as_ref().map(|incoming| incoming.digest.clone()).unwrap_or_default();
    let mut owed = decided.owed;
    if head.notify {
        owed.extend(notice::of_event(&decided.event, head.existing.as_ref()));
    }
    let number = match (head.existing, &decided.event) {
        (Some(case), _) => case.number,
        (None, Event::Opened(opened)) => opened.number.clone(),
        (None, _) => return Err(Failure::Refused(Refusal::NotFound)),
    };
    let received = transaction.now();
    let receipt = Receipt { digest, case: head.case.clone(), number, received };
    let systems = owed.iter().map(|owed| owed.to.clone()).collect();
    let record = Record {
        v: RECORD_VERSION,
        at: received,
        case: head.case,
        generation: head.generation,
        incoming,
        event: decided.event,
        remarks,
        owed,
        original,
        sealed_files: Vec::new(),
    };
    query::append_in(transaction, record)?;
    Ok(Committed { accepted: Accepted { receipt, repeated: false }, owed: systems })
}

/// Remarks are ours and follow from the content: another version of this program may word them
/// otherwise, and the message is the same.
fn digest_of_complaint(message: &mut ProcessComplaint) -> String {
    let remarks = match &mut message.content {
        FromComplainant::Complaint(complaint) => mem::take(&mut complaint.remarks),
        FromComplainant::Supplement(_) | FromComplainant::Withdrawal(_) => Vec::new(),
    };
    let digest = digest(&(&message.case_id, &message.content));
    if let FromComplainant::Complaint(complaint) = &mut message.content {
        complaint.remarks = remarks;
    }
    digest
}

fn digest_of_handling(message: &ProcessComplaintHandling) -> String {
    let (case, handler) = (&message.case_id, &message.handler);
    match &message.content {
        FromHandler::Registration(it) => {
            let complaint = Complaint { remarks: Vec::new(), ..it.complaint.clone() };
            let registration = Registration { origin: it.origin, complaint };
            digest(&(case, handler, FromHandler::Registration(Box::new(registration))))
        }
        content @ (FromHandler::Acknowledgement(_)
        | FromHandler::PartialReply(_)
        | FromHandler::Question(_)
        | FromHandler::Reply(_)
        | FromHandler::Transfer(_)
        | FromHandler::PlaceCorrection(_)
        | FromHandler::Closure(_)) => digest(&(case, handler, content)),
    }
}

/// SHA-256 over the content as a value, so that prefixes and white space between elements are no
/// difference; nor is the time of sending, which a resend may set anew.
fn digest(content: &impl serde::Serialize) -> String {
    let bytes = serde_json::to_vec(content).unwrap_or_default();
    hex(&Sha256::digest(&bytes))
}

#[cfg(test)]
mod tests;
