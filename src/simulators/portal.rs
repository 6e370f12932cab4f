//! The 1177 platform: sends complaints, and is told of every event of their handling.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::behaviour::Behaviours;
use super::control::{Control, Controlled};
use super::door::{Contracts, Open, Received, Reply, client};
use super::files::{self, Folder};
use super::inkorg::{full, malformed, not_here};
use super::post::{self, Post};
use super::region::SendError;
use super::register::{Known, Message, Register, content_digest};
use super::{Behaviour, Course, Outcome, Place, StartError, sample};
use crate::clock::Clock;
use crate::complaint::message::{
    Attachment, FromComplainant, FromHandler, ProcessComplaint, ProcessComplaintHandling,
};
use crate::id::HsaId;
use crate::rivta::{
    self, Answer, ErrorCode, Interaction, Rejection, Request, ResultCode, process_complaint_v1,
};
use crate::soap::{Fault, Head};

/// What a platform simulator is started with.
#[derive(Debug, Clone)]
pub struct PortalSettings {
    /// Where it stands.
    pub place: Place,
    /// Where it sends complaints: the gateway, or a region directly.
    pub to: Option<String>,
    /// For one call.
    pub timeout: Duration,
    /// Where attachments go; without, a temporary folder.
    pub folder: Option<PathBuf>,
    /// For `ProcessComplaintHandling`.
    pub course: Course,
}

impl PortalSettings {
    /// All going well.
    #[must_use]
    pub fn new(place: Place, to: Option<String>) -> Self {
        Self { place, to, timeout: post::TIMEOUT, folder: None, course: Course::default() }
    }
}

/// A running platform. Dropped, it stops.
#[derive(Debug)]
pub struct Portal {
    inner: Arc<Inner>,
    open: Open,
}

#[derive(Debug)]
struct Inner {
    course: Behaviours,
    events: Mutex<Register>,
    post: Option<Post>,
    folder: Folder,
    clock: Arc<dyn Clock>,
}

impl Portal {
    /// Opens its doors.
    ///
    /// # Errors
    /// When a certificate or folder cannot be used, or an address is taken.
    pub async fn start(settings: PortalSettings) -> Result<Self, StartError> {
        let post = match settings.to {
            Some(url) => {
                let producer = client(&settings.place)?;
                Some(Post { producer, url, timeout: settings.timeout })
            }
            None => None,
        };
        let inner = Arc::new(Inner {
            course: Behaviours::new(settings.course),
            events: Mutex::default(),
            post,
            folder: Folder::open(settings.folder.as_deref())?,
            clock: Arc::clone(&settings.place.clock),
        });
        let open = Open::open(
            &settings.place,
            Arc::clone(&inner),
            &inner.folder.blobs,
            Control(Arc::clone(&inner)),
            (CancellationToken::new(), TaskTracker::new()),
        )
        .await?;
        Ok(Self { inner, open })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.open.address
    }

    /// Where to call it.
    #[must_use]
    pub fn url(&self) -> String {
        self.open.url()
    }

    /// Its control door.
    #[must_use]
    pub fn control(&self) -> Option<SocketAddr> {
        self.open.control
    }

    /// Every event of handling that it was told of, in order of first arrival.
    #[must_use]
    pub fn events(&self) -> Vec<Message> {
        self.inner.events.lock().unwrap_or_else(PoisonError::into_inner).messages()
    }

    /// Replaces its behaviours.
    pub fn behave(&self, course: Course) {
        self.inner.course.set(course);
    }

    /// Keeps a made-up PDF of `bytes` bytes, to be named in a message.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn attachment(&self, number: usize, bytes: usize) -> Result<Attachment, SendError> {
        self.inner.attachment(number, bytes).await
    }

    /// Sends a message, once, to the unit `address`.
    ///
    /// # Errors
    /// When it does not know where to send.
    pub async fn send(
        &self,
        message: &ProcessComplaint,
        address: &HsaId,
    ) -> Result<Outcome, SendError> {
        self.inner.send(message, address).await
    }

    /// Posts an envelope of `ProcessComplaint` as it is.
    ///
    /// # Errors
    /// When it does not know where to send.
    pub async fn post(
        &self,
        envelope: impl Into<Bytes> + Send,
        headers: &[(String, String)],
    ) -> Result<Outcome, SendError> {
        let post = self.inner.post.as_ref().ok_or(SendError::Nowhere)?;
        Ok(post.envelope(Interaction::ProcessComplaint, envelope.into(), headers).await)
    }

    /// Closes its doors and lets what is under way come to an end.
    pub async fn stop(self) {
        self.open.stop().await;
    }
}

impl Inner {
    async fn attachment(&self, number: usize, bytes: usize) -> Result<Attachment, SendError> {
        let seed = u64::try_from(number).unwrap_or_default();
        let kept = files::keep(&self.folder.blobs, sample::pdf(bytes, seed)).await;
        let (sha256, bytes) = kept.map_err(|error| SendError::file(&error))?;
        Ok(sample::attachment(number, &sha256, bytes))
    }

    async fn send(
        &self,
        message: &ProcessComplaint,
        address: &HsaId,
    ) -> Result<Outcome, SendError> {
        let post = self.post.as_ref().ok_or(SendError::Nowhere)?;
        let outline = process_complaint_v1::write(message, address);
        let blobs = &self.folder.blobs;
        Ok(post.outline(Interaction::ProcessComplaint, outline, blobs, &[]).await)
    }

    async fn control_step(&self, body: &str) -> Result<Value, String> {
        let words: Vec<&str> = body.split_whitespace().collect();
        let ["complaint", unit, county, rest @ ..] = words.as_slice() else {
            return Err("a step is \"complaint HSA-ID COUNTY [BYTES of an attachment]\"".to_owned());
        };
        let unit = HsaId::parse(unit).map_err(|error| format!("the HSA-id: {error}"))?;
        let mut message = sample::complaint(&unit, county, self.clock.now());
        if let ([bytes], FromComplainant::Complaint(complaint)) = (rest, &mut message.content) {
            let bytes = bytes.parse().map_err(|_| "the bytes are no number".to_owned())?;
            let file = self.attachment(1, bytes).await.map_err(|error| error.to_string())?;
            complaint.attachments.push(file);
        }
        let outcome = self.send(&message, &unit).await.map_err(|error| error.to_string())?;
        let number = outcome.answer().and_then(|answer| answer.registration_number.clone());
        let case = &message.case_id;
        Ok(json!({ "case": case, "outcome": outcome.summary(), "registrationNumber": number }))
    }
}

impl Contracts for Inner {
    const NAME: &'static str = "1177";
    const HOLDS_WHEN_TWICE: bool = true;

    fn behaviour(&self, _: &Head) -> Behaviour {
        self.course.take()
    }

    fn process(&self, call: Received, _: Behaviour) -> Result<Reply, Fault> {
        let interaction = Interaction::ProcessComplaintHandling;
        let reading = match rivta::read(&call.skeleton, &call.files) {
            Ok(reading) => reading,
            Err(error @ Rejection::Malformed { .. }) => return Err(malformed(&error)),
            Err(Rejection::Invalid { field, rule }) => {
                return Ok(Reply::of(&invalid(&format!("{field}: {rule}")), interaction));
            }
        };
        let Request::Handling(handling) = reading.request else {
            return Err(not_here("ProcessComplaintHandling 1"));
        };
        let message = of_handling(&call, &handling);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = match events.known(&message) {
            Known::Again(first) => again(&first),
            Known::Reused => reused(),
            Known::New if events.is_full() => return Err(full()),
            Known::New => {
                let answer = taken(&message);
                events.add(message);
                answer
            }
        };
        Ok(Reply::of(&answer, interaction))
    }

    fn error(&self, _: &Head, code: ErrorCode) -> Option<String> {
        Some(error(code).write(Interaction::ProcessComplaintHandling))
    }
}

impl Controlled for Inner {
    const LISTS: &'static [&'static str] = &["/received"];

    fn get(&self, path: &str) -> Option<Value> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        (path == "/received").then(|| json!(events.messages()))
    }

    fn behave(&self, _: &str, course: &str) -> Result<(), String> {
        self.course.set(course.parse().map_err(|error: super::BehaviourError| error.to_string())?);
        Ok(())
    }

    fn step<'s>(&'s self, body: &'s str) -> BoxFuture<'s, Result<Value, String>> {
        Box::pin(self.control_step(body))
    }
}

/// What is remembered of an event of handling.
fn of_handling(call: &Received, handling: &ProcessComplaintHandling) -> Message {
    let digest = content_digest(&(&handling.case_id, &handling.handler, &handling.content));
    let (kind, text, attachments) = match &handling.content {
        FromHandler::Registration(it) => {
            ("registration", Some(&it.complaint.description), it.complaint.attachments.as_slice())
        }
        FromHandler::Acknowledgement(it) => ("acknowledgement", it.text.as_ref(), [].as_slice()),
        FromHandler::PartialReply(it) => {
            ("partialReply", Some(&it.text), it.attachments.as_slice())
        }
        FromHandler::Question(it) => ("question", Some(&it.text), [].as_slice()),
        FromHandler::Reply(it) => ("reply", Some(&it.explanation), it.attachments.as_slice()),
        FromHandler::Transfer(it) => ("transfer", Some(&it.reason), [].as_slice()),
        FromHandler::PlaceCorrection(_) => ("placeCorrection", None, [].as_slice()),
        FromHandler::Closure(_) => ("closure", None, [].as_slice()),
    };
    let mut message = Message::of(call, &handling.message_id, kind, digest);
    message.case_id = handling.case_id.clone();
    message.text_sha256 = text.map(|text| super::text_digest(text));
    message.attachments = attachments.iter().map(Into::into).collect();
    if let FromHandler::Question(question) = &handling.content {
        message.question = Some(question.question_id.clone());
    }
    message
}

/// The answer to a message that was taken now.
pub(super) fn taken(message: &Message) -> Answer {
    Answer {
        case_id: message.case_id.clone(),
        registration_number: message.registration_number.clone(),
        received: Some(message.received),
        ..bare(ResultCode::Ok)
    }
}

/// The answer to a message that was taken before.
pub(super) fn again(first: &Message) -> Answer {
    Answer {
        result_code: ResultCode::Info,
        subcode: Some("ALREADY_RECEIVED".to_owned()),
        message: Some("Meddelandet är redan mottaget.".to_owned()),
        ..taken(first)
    }
}

/// The answer to a message id that was used for something else.
pub(super) fn reused() -> Answer {
    Answer {
        subcode: Some("MESSAGE_ID_REUSED".to_owned()),
        message: Some("messageId: har redan använts för annat innehåll".to_owned()),
        ..error(ErrorCode::ValidationError)
    }
}

/// The answer to a message that breaks a rule.
pub(super) fn invalid(rule: &str) -> Answer {
    Answer { message: Some(rule.to_owned()), ..error(ErrorCode::ValidationError) }
}

/// The answer `ERROR`.
pub(super) fn error(code: ErrorCode) -> Answer {
    Answer { error_code: Some(code), ..bare(ResultCode::Error) }
}

fn bare(result_code: ResultCode) -> Answer {
    Answer {
        result_code,
        error_code: None,
        subcode: None,
        log_id: uuid::Uuid::new_v4().to_string(),
        message: None,
        case_id: None,
        registration_number: None,
        received: None,
    }
}
