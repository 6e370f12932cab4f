//! A message that is kept: read to its end, understood, committed; and what routing says of it.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::callers::CallHeaders;
use super::intake::Files;
use super::line::{Came, Line};
use super::opening::Opening;
use super::refusal::Refusal;
use super::{Gateway, Way, grounds, reply};
use crate::cases::{Accepted, Envelope, Grounds, NotAccepted};
use crate::complaint::command::{self, Reception};
use crate::complaint::event::Destination as Goes;
use crate::complaint::message::{
    FromComplainant, FromHandler, ProcessComplaint, ProcessComplaintHandling, RecipientKind, Remark,
};
use crate::id::HsaId;
use crate::rivta::{self, FileSeen, Interaction, Reading, Rejection, Request};
use crate::routing::Routing;
use crate::soap::{Head, MessageReader, Original, Skeleton};
use crate::tak::{self, Denial, Handling, Question, Unit};
use crate::telemetry::Chain;

/// A message that is off the wire. The last of its files may not be on disk yet.
pub(super) struct Message {
    pub head: Head,
    pub skeleton: Skeleton,
    pub files: Files,
    pub way: Way,
}

/// Whose message it is, and what is known of the call besides.
pub(super) struct Call {
    pub caller: HsaId,
    pub routing: Arc<Routing>,
    pub headers: CallHeaders,
    /// Our span of its trace, as a `traceparent`.
    pub trace: String,
    /// Its place among the calls, held until it is done with.
    pub place: OwnedSemaphorePermit,
}

/// What became of a message, before it is put into words.
pub(super) enum Kept {
    /// It breaks a rule of the contract.
    Invalid { interaction: Interaction, field: String, rule: String },
    /// The store has answered.
    Done(Interaction, Result<Accepted, NotAccepted>),
}

impl Kept {
    /// The answer, noted in the call's line.
    pub(super) fn told(self, line: &mut Line) -> Result<String, Refusal> {
        match self {
            Self::Invalid { interaction, field, rule } => {
                line.came(Came::Rejected, format!("not valid: {field}"));
                Ok(reply::invalid(interaction, &line.log_id, &field, &rule))
            }
            Self::Done(interaction, outcome) => answer(interaction, outcome, line),
        }
    }
}

impl Gateway {
    /// Reads the rest of a message that is kept.
    pub(super) async fn receive(&self, opening: Opening, way: Way) -> Result<Message, Refusal> {
        let reader = MessageReader::new(opening.content_type.as_deref())?;
        let mut reader = reader.knowing(opening.head);
        let mut files = Files::new(self.cases.blobs().clone());
        for chunk in opening.read {
            files = files.take(reader.push(&chunk)?).await?;
        }
        let mut rest = opening.rest;
        while let Some(chunk) = rest.next().await? {
            files = files.take(reader.push(&chunk)?).await?;
        }
        let (head, skeleton, parts) = reader.finish()?;
        files.gather(parts);
        Ok(Message { head, skeleton, files, way })
    }

    /// Keeps a message that has come in full, though the caller may hang up: its files are brought to
    /// disk apart from the connection. Text alone is the store's before anything is waited for.
    pub(super) async fn keep(&self, call: Call, message: Message) -> Result<Kept, Refusal> {
        if !message.files.waits() {
            return self.read(call, message).await;
        }
        let gateway = self.clone();
        match tokio::spawn(async move { gateway.read(call, message).await }).await {
            Ok(kept) => kept,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Refusal::Unavailable("the process is ending".to_owned())),
            },
        }
    }

    /// What a message of a kept contract says, and what comes of it.
    async fn read(&self, call: Call, message: Message) -> Result<Kept, Refusal> {
        let Message { head, skeleton, files, way } = message;
        let files = files.finish().await?;
        let reading = match rivta::read(&skeleton, &files) {
            Ok(reading) => reading,
            Err(Rejection::Malformed { path, what }) => {
                return Err(Refusal::Malformed { path, what });
            }
            Err(Rejection::Invalid { field, rule }) => {
                return Ok(Kept::Invalid { interaction: interaction(&head)?, field, rule });
            }
        };
        let interaction = interaction(&head)?;
        let original = Some(original(skeleton, &head, &files)?);
        let Reading { request, remarks } = reading;
        let outcome = self.commit(call, &head, way, request, (original, remarks)).await?;
        Ok(Kept::Done(interaction, outcome))
    }

    async fn commit(
        &self,
        call: Call,
        head: &Head,
        way: Way,
        request: Request,
        (original, remarks): (Option<Original>, Vec<Remark>),
    ) -> Result<Result<Accepted, NotAccepted>, Refusal> {
        let Call { caller, routing, headers, trace, place: _place } = call;
        let envelope = Envelope {
            sender: caller,
            original_consumer: headers.original_consumer,
            on_behalf_of: headers.on_behalf_of,
            correlation_id: headers.correlation_id,
            trace,
            original,
            remarks,
        };
        let mut grounds = grounds(&routing);
        Ok(match request {
            Request::Complaint(complaint) => match way {
                Way::Unit(unit, handling) => {
                    grounds.reception = Some(reception(&routing.table, &unit, &handling));
                    let addressed = unit.hsa_id.clone();
                    self.cases.accept_complaint(complaint, addressed, envelope, grounds).await
                }
                Way::KnownCase(addressed, denial) => {
                    self.keep_known(complaint, addressed, denial, envelope, grounds).await?
                }
                Way::Handling => return Err(Refusal::NotKept(head.contract.to_string())),
            },
            Request::Handling(handling) => {
                grounds.reception = self.reception_of(&routing, &handling);
                self.cases.accept_handling(*handling, envelope, grounds).await
            }
        })
    }

    /// A supplement or withdrawal of a case that is here, or a message that has come before; anything
    /// else is answered as routing says.
    async fn keep_known(
        &self,
        complaint: ProcessComplaint,
        addressed: HsaId,
        denial: Denial,
        envelope: Envelope,
        grounds: Grounds,
    ) -> Result<Result<Accepted, NotAccepted>, Refusal> {
        if matches!(complaint.content, FromComplainant::Complaint(_)) {
            // The same message again gets the first answer, wherever its unit has gone since.
            let received = self.cases.has_received(&envelope.sender, &complaint.message_id);
            if !received.map_err(|error| Refusal::Unavailable(Chain(&error).to_string()))? {
                return Err(Refusal::Routing(denial));
            }
        }
        let outcome = self.cases.accept_complaint(complaint, addressed, envelope, grounds).await;
        match outcome {
            Err(NotAccepted::Refused(command::Refusal::NotFound | command::Refusal::Denied(_))) => {
                Err(Refusal::Routing(denial))
            }
            other => Ok(other),
        }
    }

    /// What the configuration says of the unit that a case is registered for or transferred to.
    fn reception_of(
        &self,
        routing: &Routing,
        message: &ProcessComplaintHandling,
    ) -> Option<Reception> {
        let at = crate::clock::swedish_day(self.cases.now());
        let unit = match &message.content {
            FromHandler::Registration(it) => &it.complaint.recipient.unit.hsa_id,
            FromHandler::Transfer(it) => &it.to_unit.hsa_id,
            FromHandler::Acknowledgement(_)
            | FromHandler::PartialReply(_)
            | FromHandler::Question(_)
            | FromHandler::Reply(_)
            | FromHandler::PlaceCorrection(_)
            | FromHandler::Closure(_) => return None,
        };
        let unit = routing.table.unit(unit)?;
        let handling = unit.handling_on(at).map(|it| handling_of(&unit, &it.method))?;
        Some(reception(&routing.table, &unit, &handling))
    }
}

fn interaction(head: &Head) -> Result<Interaction, Refusal> {
    Interaction::of(head.contract.as_str(), &head.operation).ok_or_else(|| Refusal::Malformed {
        path: head.operation.clone(),
        what: "elementet hör inte till tjänstekontraktet".to_owned(),
    })
}

/// The message as it came, with its files named: what a relay sends on byte for byte.
fn original(skeleton: Skeleton, head: &Head, files: &[FileSeen]) -> Result<Original, Refusal> {
    let files: Vec<(String, u64)> =
        files.iter().map(|file| (file.sha256.clone(), file.bytes)).collect();
    let original = Original::of(skeleton, head, &files);
    original.ok_or_else(|| Refusal::Body("files and their places differ".to_owned()))
}

fn answer(
    interaction: Interaction,
    outcome: Result<Accepted, NotAccepted>,
    line: &mut Line,
) -> Result<String, Refusal> {
    match outcome {
        Ok(accepted) => {
            let (came, word) = match accepted.repeated {
                true => (Came::Repeated, "already received"),
                false => (Came::Accepted, "accepted"),
            };
            line.came(came, format!("{word}: {}", accepted.receipt.number));
            Ok(reply::accepted(interaction, &line.log_id, &accepted))
        }
        Err(NotAccepted::Refused(refusal)) => {
            line.came(Came::Rejected, reply::refused_name(&refusal));
            Ok(reply::refused(interaction, &line.log_id, &refusal))
        }
        Err(NotAccepted::Reused) => {
            line.came(Came::Rejected, "message id reused");
            Ok(reply::reused(interaction, &line.log_id))
        }
        Err(error @ NotAccepted::Unavailable(_)) => {
            Err(Refusal::Unavailable(Chain(&error).to_string()))
        }
    }
}

/// Routing knows no receiver for new cases; a permitted caller may still add to one that is here.
pub(super) fn known_case(
    denial: Denial,
    question: &Question<'_>,
    table: &tak::Table,
) -> Result<Way, Refusal> {
    let ours = question.contract.as_str().eq_ignore_ascii_case(tak::PROCESS_COMPLAINT);
    let gone = matches!(denial, Denial::NoRoute { .. } | Denial::CountyNotLive { .. });
    match HsaId::parse(question.address) {
        Ok(addressed) if ours && gone && table.permits(question) => {
            Ok(Way::KnownCase(addressed, denial))
        }
        _ => Err(Refusal::Routing(denial)),
    }
}

pub(super) fn reception(table: &tak::Table, unit: &Unit, handling: &Handling) -> Reception {
    let destination = match handling {
        Handling::Store => Goes::Store,
        Handling::System { system, receiver } => Goes::System {
            id: system.id.clone().unwrap_or_default(),
            hsa_id: system.hsa_id.clone(),
            receiver: receiver.clone(),
        },
    };
    let kind = if table.is_patient_advisory_committee(&unit.hsa_id) {
        RecipientKind::PatientAdvisoryCommittee
    } else {
        RecipientKind::CareProvider
    };
    Reception {
        receiver: unit.hsa_id.clone(),
        receiver_name: unit.name.clone(),
        county: unit.county.clone(),
        kind,
        destination,
    }
}

pub(super) fn handling_of(unit: &Unit, method: &tak::Method) -> Handling {
    match method {
        tak::Method::Store => Handling::Store,
        tak::Method::System { system, receiver } => Handling::System {
            system: Arc::clone(system),
            receiver: receiver.clone().unwrap_or_else(|| unit.hsa_id.clone()),
        },
    }
}
