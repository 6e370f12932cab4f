//! The request path: one list of steps from a call to its answer.
//!
//! Reading, deciding and committing are other parts' work; nothing here knows how a case is stored
//! or sent.

mod callers;
mod forward;
mod intake;
mod line;
mod opening;
mod proxied;
mod refusal;
mod reply;
mod served;

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::cases::{Accepted, Cases, Envelope, Grounds, NotAccepted};
use crate::complaint::command::{self, Parties, Reception};
use crate::complaint::event::Destination as Goes;
use crate::complaint::message::{
    FromComplainant, FromHandler, ProcessComplaint, ProcessComplaintHandling, RecipientKind,
};
use crate::id::HsaId;
use crate::limits;
use crate::listen::{Body, Connection, PeerState, Service};
use crate::rivta::{self, FileSeen, Interaction, Reading, Rejection, Request};
use crate::routing::{Current, Routing};
use crate::soap::{Head, MessageReader, Original, Skeleton};
use crate::tak::{self, Denial, Destination, Handling, Platform, Question, Unit};
use crate::telemetry::Chain;
use callers::CallHeaders;
pub use forward::Pools;
use forward::{Passing, Route};
use intake::{FileError, Files};
use line::Line;
use opening::{Opening, Rest};
pub use proxied::Proxy;
use proxied::Sender;
pub use refusal::Refusal;
pub use reply::Reply;

/// The gateway's door. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    cases: Cases,
    routing: Current,
    pools: Arc<dyn Pools>,
    calls: Arc<Semaphore>,
    /// What addresses in our WSDLs begin with, when not the address that the caller used.
    base_url: Option<String>,
    message_bytes_max: u64,
    started: Timestamp,
    /// What tells who calls through a door without TLS.
    proxy: Option<Arc<Proxy>>,
}

impl Service for Gateway {
    async fn answer(
        &self,
        connection: Arc<Connection>,
        request: http::Request<Incoming>,
    ) -> http::Response<Body> {
        self.handle(&connection, request).await
    }

    fn after_panic(&self) -> http::Response<Body> {
        let refusal = Refusal::Unavailable("the call ran into a bug of ours".to_owned());
        reply::fault(&refusal, &self.instance(), &Uuid::new_v4().to_string())
    }
}

/// What is done with a message, as its head says.
enum Decided {
    Forward(Route),
    Keep(Way),
    /// A question to the gateway itself.
    Answer,
}

/// What a call that was not refused came to.
enum Outcome {
    Answer(String),
    Passed(Box<forward::Ready>),
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
    /// A door to these cases, routed by the configuration in force; what is passed on goes through
    /// `pools`.
    #[must_use]
    pub fn new(
        cases: Cases,
        routing: Current,
        pools: Arc<dyn Pools>,
        base_url: Option<String>,
        limits: &crate::config::Limits,
    ) -> Self {
        Self {
            started: cases.now(),
            cases,
            routing,
            pools,
            calls: Arc::new(Semaphore::new(limits.calls_in_flight)),
            base_url,
            message_bytes_max: limits.message_bytes,
            proxy: None,
        }
    }

    /// The same gateway for a door without TLS, whose callers `proxy` tells. Both share their bounds.
    #[must_use]
    pub fn behind(&self, proxy: Proxy) -> Self {
        Self { proxy: Some(Arc::new(proxy)), ..self.clone() }
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        connection: &Connection,
        mut request: http::Request<Incoming>,
    ) -> Reply {
        let headers = CallHeaders::of(request.headers());
        let correlation = headers.correlation_id.clone();
        let caller = match self.sender(connection, &mut request) {
            Ok(caller) => caller,
            Err(refusal) => {
                return self.turn_away(&refusal, connection, request, &correlation).await;
            }
        };
        if request.method() == Method::GET {
            return self.describe(&request, &correlation);
        }
        let mut line = Line::new(&caller.hsa_id, &correlation);
        let reply = match self.call(&caller, request, headers, &mut line).await {
            Ok(Outcome::Answer(answer)) => reply::xml(StatusCode::OK, answer, &correlation),
            Ok(Outcome::Passed(ready)) => {
                return forward::reply(*ready, &correlation, self.message_bytes_max, line);
            }
            Err(refusal) => self.refuse(&refusal, &correlation, &mut line),
        };
        line.status = reply.status().as_u16();
        reply
    }

    /// Who calls: by the connection's own certificate, or by what the proxy tells of the caller's.
    fn sender(
        &self,
        connection: &Connection,
        request: &mut http::Request<Incoming>,
    ) -> Result<Sender, Refusal> {
        match (connection.peer(), &self.proxy) {
            (PeerState::Known(peer), _) => Ok(Sender::outside(peer.hsa_id.clone())),
            (PeerState::Refused(error), _) => Err(Refusal::Peer(Chain(&error).to_string())),
            (PeerState::Plain, None) => {
                Err(Refusal::Peer("the door is open without TLS".to_owned()))
            }
            (PeerState::Plain, Some(proxy)) => {
                let from = connection.remote.ip();
                proxy.sender(from, request.headers_mut(), &self.instance(), self.cases.now())
            }
        }
    }

    /// Answers one who is not known. A proxy goes on: its next call is somebody else's.
    async fn turn_away(
        &self,
        refusal: &Refusal,
        connection: &Connection,
        request: http::Request<Incoming>,
        correlation: &str,
    ) -> Reply {
        tracing::warn!(call.id = %correlation, call.from = %connection.remote, "{refusal}");
        let reply = reply::fault(refusal, &self.instance(), correlation);
        if self.proxy.is_none() || matches!(refusal, Refusal::NotListed { .. }) {
            return reply::closing(reply);
        }
        let_finish(refusal, Rest::new(request.into_body(), self.message_bytes_max).0).await;
        reply
    }

    fn refuse(&self, refusal: &Refusal, correlation: &str, line: &mut Line) -> Reply {
        line.outcome = format!("refused: {}", Chain(refusal));
        reply::fault(refusal, &self.instance(), correlation)
    }

    async fn call(
        &self,
        caller: &Sender,
        request: http::Request<Incoming>,
        headers: CallHeaders,
        line: &mut Line,
    ) -> Result<Outcome, Refusal> {
        let place = self.calls.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let (request, body) = request.into_parts();
        let (rest, mut left_over) = Rest::new(body, self.message_bytes_max);
        let outcome = self.answer(caller, &request.headers, rest, headers, place, line).await;
        if let Err(refusal) = &outcome
            && let Ok(rest) = left_over.try_recv()
        {
            let_finish(refusal, rest).await;
        }
        outcome
    }

    async fn answer(
        &self,
        caller: &Sender,
        request: &HeaderMap,
        rest: Rest,
        headers: CallHeaders,
        place: SemaphorePermit<'_>,
        line: &mut Line,
    ) -> Result<Outcome, Refusal> {
        let routing = self.routing.get();
        let opening = Opening::read(request, rest).await?;
        let Sender { hsa_id: caller, internal } = caller;
        match self.decide(caller, &opening.head, &routing, line)? {
            Decided::Forward(route) => {
                let (headers, correlation) = (request, &*headers.correlation_id);
                let internal = *internal;
                let passing = Passing { caller, internal, headers, correlation, routing: &routing };
                let passed = passing.pass(&*self.pools, place, route, opening, line).await;
                passed.map(|ready| Outcome::Passed(Box::new(ready)))
            }
            Decided::Answer => {
                opening.head.check_understood()?;
                let asked = served::receive(opening).await?;
                let answer = served::answer(&asked, &self.cases, &routing, self.started)?;
                "answered".clone_into(&mut line.outcome);
                Ok(Outcome::Answer(answer))
            }
            Decided::Keep(way) => {
                opening.head.check_understood()?;
                let message = self.receive(opening, way).await?;
                self.read(caller, &routing, message, headers, line).await.map(Outcome::Answer)
            }
        }
    }

    /// Answers a message that is whole in memory and has no files, from a caller that is known: the
    /// way in of a simulation, which has no wire. Behind the wire everything is the same.
    ///
    /// # Errors
    /// What the caller would be sent as a fault.
    pub async fn answer_whole(
        &self,
        caller: &HsaId,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<String, Refusal> {
        let _place = self.calls.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let headers = CallHeaders::of(headers);
        let mut line = Line::new(caller, &headers.correlation_id);
        let mut reader = MessageReader::new(None)?;
        reader.push(body)?;
        let (head, skeleton, _) = reader.finish()?;
        let routing = self.routing.get();
        match self.decide(caller, &head, &routing, &mut line)? {
            Decided::Keep(way) => {
                head.check_understood()?;
                let message = Message { head, skeleton, files: Vec::new(), way };
                self.read(caller, &routing, message, headers, &mut line).await
            }
            Decided::Forward(_) | Decided::Answer => {
                Err(Refusal::NotKept(head.contract.to_string()))
            }
        }
    }

    /// Reads the rest of a message that is kept.
    async fn receive(&self, opening: Opening, way: Way) -> Result<Message, Refusal> {
        let mut reader = MessageReader::new(opening.content_type.as_deref())?;
        let mut files = Files::new(self.cases.blobs().clone());
        for chunk in opening.read {
            files = files.take(reader.push(&chunk)?).await.map_err(unavailable)?;
        }
        let mut rest = opening.rest;
        while let Some(chunk) = rest.next().await? {
            files = files.take(reader.push(&chunk)?).await.map_err(unavailable)?;
        }
        let (head, skeleton, parts) = reader.finish()?;
        let files = files.take(parts).await.map_err(unavailable)?;
        let files = files.finish().await.map_err(unavailable)?;
        Ok(Message { head, skeleton, files, way })
    }

    fn decide(
        &self,
        caller: &HsaId,
        head: &Head,
        routing: &Routing,
        line: &mut Line,
    ) -> Result<Decided, Refusal> {
        line.contract = head.contract.to_string();
        line.address = reply::visible(&head.address);
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
        Ok(match decision.outcome {
            Ok(Destination::Forward { system, url, profile, timeout }) => {
                Decided::Forward(Route { system, url, profile, timeout })
            }
            Ok(Destination::Keep { unit, handling }) => Decided::Keep(Way::Unit(unit, handling)),
            Ok(Destination::Handling) => Decided::Keep(Way::Handling),
            Ok(Destination::Answer) => Decided::Answer,
            Err(denial) => Decided::Keep(known_case(denial, &question, &routing.table)?),
        })
    }

    /// What a message of a kept contract says, and what comes of it.
    async fn read(
        &self,
        caller: &HsaId,
        routing: &Routing,
        message: Message,
        headers: CallHeaders,
        line: &mut Line,
    ) -> Result<String, Refusal> {
        let reading = match rivta::read(&message.skeleton, &message.files) {
            Ok(reading) => reading,
            Err(Rejection::Malformed { path, what }) => {
                return Err(Refusal::Malformed { path, what });
            }
            Err(Rejection::Invalid { field, rule }) => {
                line.outcome = format!("not valid: {field}");
                let interaction = interaction(&message.head)?;
                return Ok(reply::invalid(interaction, &line.log_id, &field, &rule));
            }
        };
        self.keep(caller, routing, message, reading, headers, line).await
    }

    async fn keep(
        &self,
        caller: &HsaId,
        routing: &Routing,
        message: Message,
        reading: Reading,
        headers: CallHeaders,
        line: &mut Line,
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
                grounds.reception = self.reception_of(routing, &handling);
                self.cases.accept_handling(*handling, envelope, grounds).await
            }
        };
        answer(interaction, outcome, line)
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

    fn describe(&self, request: &http::Request<Incoming>, correlation: &str) -> Reply {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let headers = request.headers();
        let told = || match &self.proxy {
            Some(proxy) => proxy.base_url(headers),
            None => base_url("https", headers),
        };
        let base = self.base_url.clone().unwrap_or_else(told);
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

/// Lets the sender of a refused message finish, for a bounded time: an answer to somebody who is
/// still writing is lost when the connection closes over what was not read.
async fn let_finish(refusal: &Refusal, mut rest: Rest) {
    if let Refusal::Body(_) = refusal {
        return;
    }
    let rest = async { while let Ok(Some(_)) = rest.next().await {} };
    if tokio::time::timeout(limits::REFUSED_BODY_TIME_MAX, rest).await.is_err() {
        tracing::info!("a refused message was still being sent when its time was up");
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
    line: &mut Line,
) -> Result<String, Refusal> {
    match outcome {
        Ok(accepted) => {
            let word = if accepted.repeated { "already received" } else { "accepted" };
            line.outcome = format!("{word}: {}", accepted.receipt.number);
            Ok(reply::accepted(interaction, &line.log_id, &accepted))
        }
        Err(NotAccepted::Refused(refusal)) => {
            line.outcome = reply::refused_name(&refusal).to_owned();
            Ok(reply::refused(interaction, &line.log_id, &refusal))
        }
        Err(NotAccepted::Reused) => {
            line.outcome = "message id reused".to_owned();
            Ok(reply::reused(interaction, &line.log_id))
        }
        Err(error @ NotAccepted::Unavailable(_)) => {
            Err(Refusal::Unavailable(Chain(&error).to_string()))
        }
    }
}

fn unavailable(error: FileError) -> Refusal {
    Refusal::Unavailable(Chain(&error).to_string())
}

/// The address that the caller used, from `Host`.
fn base_url(scheme: &str, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}
