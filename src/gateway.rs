//! The request path: one list of steps from a call to its answer.
//!
//! Reading, deciding and committing are other parts' work; nothing here knows how a case is stored
//! or sent.

mod callers;
mod intake;
mod refusal;
mod reply;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::cases::{Accepted, Cases, Envelope, Grounds, NotAccepted};
use crate::complaint::command::{self, Parties, Reception};
use crate::complaint::event::Destination as Goes;
use crate::complaint::message::{
    FromComplainant, FromHandler, ProcessComplaint, ProcessComplaintHandling, RecipientKind,
};
use crate::id::HsaId;
use crate::listen::{Body, BodyError, Connection, PeerState, Service, next_chunk};
use crate::rivta::{self, FileSeen, Interaction, Reading, Rejection, Request};
use crate::routing::{Current, Routing};
use crate::soap::{Head, MessageReader, Original, ReadError, Skeleton};
use crate::tak::{self, Denial, Destination, Handling, Platform, Question, Unit};
use crate::telemetry::Chain;
use callers::CallHeaders;
use intake::{FileError, Files};
pub use refusal::Refusal;
pub use reply::{Reply, ReplyBody};

/// The gateway's door. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    cases: Cases,
    routing: Current,
    calls: Arc<Semaphore>,
    /// What addresses in our WSDLs begin with, when not the address that the caller used.
    base_url: Option<String>,
    message_bytes_max: u64,
}

impl Service for Gateway {
    async fn answer(
        &self,
        connection: Arc<Connection>,
        request: http::Request<Incoming>,
    ) -> http::Response<Body> {
        let reply = self.handle(&connection, request).await;
        reply.map(|body| Body::new(body.map_err(|never| match never {})))
    }

    fn after_panic(&self) -> http::Response<Body> {
        let refusal = Refusal::Unavailable("the call ran into a bug of ours".to_owned());
        let reply = reply::fault(&refusal, &self.instance(), &Uuid::new_v4().to_string());
        reply.map(|body| Body::new(body.map_err(|never| match never {})))
    }
}

/// What a call came to, beside its answer: for the log line.
struct Told {
    /// Quoted in the answer and found in the log: a UUID.
    log_id: String,
    contract: String,
    address: String,
    outcome: String,
}

/// A message that is off the wire.
struct Message {
    head: Head,
    skeleton: Skeleton,
    files: Vec<FileSeen>,
    way: Way,
}

/// Where a message for us goes.
enum Way {
    /// To the unit that it is addressed to.
    Unit(Arc<Unit>, Handling),
    /// Back to the complainant.
    Handling,
    /// The unit takes no new cases, or is no more. What belongs to a case that is here is taken all
    /// the same: a case stays with the destination that accepted it.
    KnownCase(HsaId, Denial),
}

impl Gateway {
    /// A door to these cases, routed by the configuration in force.
    #[must_use]
    pub fn new(
        cases: Cases,
        routing: Current,
        base_url: Option<String>,
        limits: &crate::config::Limits,
    ) -> Self {
        Self {
            cases,
            routing,
            calls: Arc::new(Semaphore::new(limits.calls_in_flight)),
            base_url,
            message_bytes_max: limits.message_bytes,
        }
    }

    /// Answers one request.
    pub async fn handle(&self, connection: &Connection, request: http::Request<Incoming>) -> Reply {
        let headers = CallHeaders::of(request.headers());
        let correlation = headers.correlation_id.clone();
        let caller = match connection.peer() {
            PeerState::Known(peer) => peer.hsa_id.clone(),
            PeerState::Refused(error) => {
                let refusal = Refusal::Peer(Chain(&error).to_string());
                tracing::warn!(call.id = %correlation, call.from = %connection.remote, "{refusal}");
                return reply::closing(reply::fault(&refusal, &self.instance(), &correlation));
            }
            PeerState::Plain => {
                let refusal = Refusal::Peer("the door is open without TLS".to_owned());
                tracing::error!(call.id = %correlation, "{refusal}");
                return reply::closing(reply::fault(&refusal, &self.instance(), &correlation));
            }
        };
        if request.method() == Method::GET {
            return self.describe(&request, &correlation);
        }
        let started = self.cases.now();
        let mut told = Told {
            log_id: Uuid::new_v4().to_string(),
            contract: String::new(),
            address: String::new(),
            outcome: String::new(),
        };
        let reply = match self.call(&caller, request, headers, &mut told).await {
            Ok(answer) => reply::xml(StatusCode::OK, answer, &correlation),
            Err(refusal) => {
                told.outcome = format!("refused: {}", Chain(&refusal));
                reply::fault(&refusal, &self.instance(), &correlation)
            }
        };
        let ms = self.cases.now().duration_since(started).as_millis();
        tracing::info!(
            call.id = %correlation, call.log = %told.log_id, call.caller = %caller, call.contract = %told.contract,
            call.address = %told.address, call.status = reply.status().as_u16(), call.ms = ms,
            "{}", told.outcome
        );
        reply
    }

    async fn call(
        &self,
        caller: &HsaId,
        request: http::Request<Incoming>,
        headers: CallHeaders,
        told: &mut Told,
    ) -> Result<String, Refusal> {
        let _place = self.calls.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let routing = self.routing.get();
        let message = self.receive(caller, request, &routing, told).await?;
        let reading = match rivta::read(&message.skeleton, &message.files) {
            Ok(reading) => reading,
            Err(Rejection::Malformed { path, what }) => {
                return Err(Refusal::Malformed { path, what });
            }
            Err(Rejection::Invalid { field, rule }) => {
                told.outcome = format!("not valid: {field}");
                return Ok(reply::invalid(
                    interaction(&message.head)?,
                    &told.log_id,
                    &field,
                    &rule,
                ));
            }
        };
        self.keep(caller, &routing, message, reading, headers, told).await
    }

    /// Reads a message while it arrives. The decision is made as soon as its head is there, so that
    /// what is refused is not read to its end.
    async fn receive(
        &self,
        caller: &HsaId,
        request: http::Request<Incoming>,
        routing: &Routing,
        told: &mut Told,
    ) -> Result<Message, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut reader = MessageReader::new(content_type.as_deref())?;
        let mut files = Files::new(self.cases.blobs().clone());
        let mut body = request.into_body();
        let mut decided = None;
        let mut left = self.message_bytes_max;
        while let Some(chunk) = next_chunk(&mut body, &mut left).await.map_err(body_refusal)? {
            let parts = reader.push(&chunk)?;
            if decided.is_none()
                && let Some(head) = reader.head()
            {
                decided = Some(self.decide(caller, head, routing, told)?);
            }
            files = files.take(parts).await.map_err(unavailable)?;
        }
        let (head, skeleton, parts) = reader.finish()?;
        let way = match decided {
            Some(way) => way,
            None => self.decide(caller, &head, routing, told)?,
        };
        let files = files.take(parts).await.map_err(unavailable)?;
        let files = files.finish().await.map_err(unavailable)?;
        Ok(Message { head, skeleton, files, way })
    }

    fn decide(
        &self,
        caller: &HsaId,
        head: &Head,
        routing: &Routing,
        told: &mut Told,
    ) -> Result<Way, Refusal> {
        told.contract = head.contract.to_string();
        told.address = reply::visible(&head.address);
        let question = Question {
            caller,
            contract: &head.contract,
            address: &head.address,
            profile: match head.profile {
                crate::soap::Profile::Rivtabp20 => tak::Profile::Rivtabp20,
                crate::soap::Profile::Rivtabp21 => tak::Profile::Rivtabp21,
            },
            at: self.cases.now(),
        };
        let decision = routing.table.decide(&question);
        self.routing.count(&question, &decision, routing);
        let way = match decision.outcome {
            Ok(Destination::Forward { .. }) => {
                return Err(Refusal::NotKept(head.contract.to_string()));
            }
            Ok(Destination::Keep { unit, handling }) => Way::Unit(unit, handling),
            Ok(Destination::Handling) => Way::Handling,
            Err(denial) => known_case(denial, &question, &routing.table)?,
        };
        head.check_understood()?;
        Ok(way)
    }

    async fn keep(
        &self,
        caller: &HsaId,
        routing: &Routing,
        message: Message,
        reading: Reading,
        headers: CallHeaders,
        told: &mut Told,
    ) -> Result<String, Refusal> {
        let interaction = interaction(&message.head)?;
        let original = original(&message)?;
        let envelope = Envelope {
            sender: caller.clone(),
            original_consumer: headers.original_consumer,
            on_behalf_of: headers.on_behalf_of,
            correlation_id: headers.correlation_id,
            original,
            remarks: reading.remarks,
        };
        let mut grounds = grounds(routing);
        let outcome = match reading.request {
            Request::Complaint(complaint) => match message.way {
                Way::Unit(unit, handling) => {
                    grounds.reception = Some(reception(&routing.table, &unit, &handling));
                    let addressed = unit.hsa_id.clone();
                    self.cases.accept_complaint(complaint, addressed, envelope, grounds).await
                }
                Way::KnownCase(addressed, denial) => {
                    self.keep_known(complaint, addressed, denial, envelope, grounds).await?
                }
                Way::Handling => return Err(Refusal::NotKept(message.head.contract.to_string())),
            },
            Request::Handling(handling) => {
                grounds.reception = self.reception_of(routing, &handling, &envelope.sender)?;
                self.cases.accept_handling(*handling, envelope, grounds).await
            }
        };
        answer(interaction, outcome, told)
    }

    /// A supplement or withdrawal of a case that is here; anything else is answered as routing says.
    async fn keep_known(
        &self,
        complaint: ProcessComplaint,
        addressed: HsaId,
        denial: Denial,
        envelope: Envelope,
        grounds: Grounds,
    ) -> Result<Result<Accepted, NotAccepted>, Refusal> {
        if matches!(complaint.content, FromComplainant::Complaint(_)) {
            return Err(Refusal::Routing(denial));
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
        sender: &HsaId,
    ) -> Result<Option<Reception>, Refusal> {
        let at = crate::clock::swedish_day(self.cases.now());
        let unit = match &message.content {
            FromHandler::Registration(it) => &it.complaint.recipient.unit.hsa_id,
            FromHandler::Transfer(it) => &it.to_unit.hsa_id,
            FromHandler::Acknowledgement(_)
            | FromHandler::PartialReply(_)
            | FromHandler::Question(_)
            | FromHandler::Reply(_)
            | FromHandler::PlaceCorrection(_)
            | FromHandler::Closure(_) => return Ok(None),
        };
        let Some(unit) = routing.table.unit(unit) else { return Ok(None) };
        let Some(handling) = unit.handling_on(at).map(|it| handling_of(&unit, &it.method)) else {
            return Ok(None);
        };
        let reception = reception(&routing.table, &unit, &handling);
        let registers = matches!(message.content, FromHandler::Registration(_));
        let own = matches!(&reception.destination, Goes::System { hsa_id, .. } if hsa_id == sender);
        // A system registers cases only for the units that it handles.
        Ok((!registers || own).then_some(reception))
    }

    fn describe(&self, request: &http::Request<Incoming>, correlation: &str) -> Reply {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let base = self.base_url.clone().unwrap_or_else(|| base_url(request.headers()));
        reply::description(path, query, &base, correlation)
    }

    fn instance(&self) -> String {
        self.routing.get().table.platform().instance.clone()
    }
}

/// What the configuration says now, for steps that are made without a message.
#[must_use]
pub fn grounds(routing: &Routing) -> Grounds {
    let platform: &Platform = routing.table.platform();
    Grounds {
        parties: Parties {
            portal: platform.portal.clone(),
            inkorg: platform.inkorg.clone(),
            onward: platform.onward.clone(),
        },
        generation: routing.table.generation().to_string(),
        reception: None,
        codes: Arc::clone(&routing.codes),
    }
}

/// Routing knows no receiver for new cases; a permitted caller may still add to one that is here.
fn known_case(denial: Denial, question: &Question<'_>, table: &tak::Table) -> Result<Way, Refusal> {
    let ours = question.contract.as_str().eq_ignore_ascii_case(tak::PROCESS_COMPLAINT);
    let gone = matches!(denial, Denial::NoRoute { .. } | Denial::CountyNotLive { .. });
    match HsaId::parse(question.address) {
        Ok(addressed) if ours && gone && table.permits(question) => {
            Ok(Way::KnownCase(addressed, denial))
        }
        _ => Err(Refusal::Routing(denial)),
    }
}

fn reception(table: &tak::Table, unit: &Unit, handling: &Handling) -> Reception {
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

fn handling_of(unit: &Unit, method: &tak::Method) -> Handling {
    match method {
        tak::Method::Store => Handling::Store,
        tak::Method::System { system, receiver } => Handling::System {
            system: Arc::clone(system),
            receiver: receiver.clone().unwrap_or_else(|| unit.hsa_id.clone()),
        },
    }
}

fn interaction(head: &Head) -> Result<Interaction, Refusal> {
    Interaction::of(head.contract.as_str(), &head.operation).ok_or_else(|| Refusal::Malformed {
        path: head.operation.clone(),
        what: "elementet hör inte till tjänstekontraktet".to_owned(),
    })
}

/// The message as it came, with its files named: what a relay sends on byte for byte.
fn original(message: &Message) -> Result<Option<Original>, Refusal> {
    let files: Vec<(String, u64)> =
        message.files.iter().map(|file| (file.sha256.clone(), file.bytes)).collect();
    let original = Original::of(message.skeleton.clone(), &message.head, &files);
    original.map(Some).ok_or_else(|| Refusal::Body("files and their places differ".to_owned()))
}

fn answer(
    interaction: Interaction,
    outcome: Result<Accepted, NotAccepted>,
    told: &mut Told,
) -> Result<String, Refusal> {
    match outcome {
        Ok(accepted) => {
            let word = if accepted.repeated { "already received" } else { "accepted" };
            told.outcome = format!("{word}: {}", accepted.receipt.number);
            Ok(reply::accepted(interaction, &told.log_id, &accepted))
        }
        Err(NotAccepted::Refused(refusal)) => {
            told.outcome = reply::refused_name(&refusal).to_owned();
            Ok(reply::refused(interaction, &told.log_id, &refusal))
        }
        Err(NotAccepted::Reused) => {
            told.outcome = "message id reused".to_owned();
            Ok(reply::reused(interaction, &told.log_id))
        }
        Err(error @ NotAccepted::Unavailable(_)) => {
            Err(Refusal::Unavailable(Chain(&error).to_string()))
        }
    }
}

fn body_refusal(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge(_) => ReadError::Size.into(),
        BodyError::Stalled(_) | BodyError::Broken(_) => Refusal::Body(Chain(&error).to_string()),
    }
}

fn unavailable(error: FileError) -> Refusal {
    Refusal::Unavailable(Chain(&error).to_string())
}

/// The address that the caller used, from `Host`; the door speaks HTTPS only.
fn base_url(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("https://{host}")
}

/// A body in one piece.
fn whole(text: impl Into<Bytes>) -> ReplyBody {
    http_body_util::Full::new(text.into())
}
