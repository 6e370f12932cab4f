//! A region's own system: takes cases, and sends its handling of them back to the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::behaviour::Behaviours;
use super::control::{Control, Controlled};
use super::door::{Contracts, Open, Received, Reply, client};
use super::files::{self, Folder};
use super::inkorg::{full, malformed, not_here};
use super::portal::{again, error, invalid, reused, taken};
use super::post::{self, Post};
use super::register::{Known, Message, Register, content_digest, text_digest};
use super::{Behaviour, Course, Outcome, Place, StartError, sample};
use crate::clock::Clock;
use crate::complaint::message::{
    Attachment, FromComplainant, Ii, ProcessComplaint, ProcessComplaintHandling,
};
use crate::id::HsaId;
use crate::rivta::{
    self, ErrorCode, Interaction, Rejection, Request, process_complaint_handling_v1,
};
use crate::soap::{Fault, Head};

mod play;
mod script;

use play::Cases;
pub use play::SentHandling;
pub use script::{Script, ScriptError, Step};

/// What an own system is started with.
#[derive(Debug, Clone)]
pub struct RegionSettings {
    /// Where it stands.
    pub place: Place,
    /// The gateway's address for its handling; without, it only receives.
    pub gateway: Option<String>,
    /// The logical address of its handling: the 1177 platform's HSA-id.
    pub platform: HsaId,
    /// Who handles.
    pub handler: HsaId,
    /// What it does with each new case.
    pub script: Script,
    /// For one call.
    pub timeout: Duration,
    /// Between two tries to send one message, times the number of tries so far.
    pub retry_pause: Duration,
    /// Where attachments go; without, a temporary folder.
    pub folder: Option<PathBuf>,
    /// For `ProcessComplaint`.
    pub course: Course,
}

impl RegionSettings {
    /// Acknowledges and replies to each case where there is a `gateway`; all going well.
    #[must_use]
    pub fn new(place: Place, gateway: Option<String>, platform: HsaId, handler: HsaId) -> Self {
        Self {
            place,
            gateway,
            platform,
            handler,
            script: Script::default(),
            timeout: post::TIMEOUT,
            retry_pause: Duration::from_millis(250),
            folder: None,
            course: Course::default(),
        }
    }
}

/// Why a simulator sent nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It was started without an address.
    #[error("it was started without an address to send to")]
    Nowhere,
    /// No such case.
    #[error("no such case has come; name the extension of its caseId, or `latest`")]
    NoCase,
    /// A file to be attached.
    #[error("a file to be attached cannot be kept: {0}")]
    File(String),
    /// A step that sends nothing.
    #[error("a wait sends nothing")]
    Wait,
}

impl SendError {
    pub(super) fn file(error: &files::FilesError) -> Self {
        Self::File(crate::telemetry::Chain(error).to_string())
    }
}

/// A running own system. Dropped, it stops.
#[derive(Debug)]
pub struct Region {
    inner: Arc<Inner>,
    open: Open,
}

#[derive(Debug)]
struct Inner {
    course: Behaviours,
    script: Mutex<Script>,
    state: Mutex<State>,
    post: Option<Post>,
    platform: HsaId,
    handler: HsaId,
    retry_pause: Duration,
    folder: Folder,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Itself, for the tasks that play a script.
    own: std::sync::Weak<Self>,
}

#[derive(Debug, Default)]
struct State {
    received: Register,
    cases: Cases,
    sent: Vec<SentHandling>,
}

impl Region {
    /// Opens its doors.
    ///
    /// # Errors
    /// When a certificate or folder cannot be used, or an address is taken.
    pub async fn start(settings: RegionSettings) -> Result<Self, StartError> {
        let post = match settings.gateway {
            Some(url) => {
                let producer = client(&settings.place)?;
                Some(Post { producer, url, timeout: settings.timeout })
            }
            None => None,
        };
        let folder = Folder::open(settings.folder.as_deref())?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let inner = Arc::new_cyclic(|own| Inner {
            course: Behaviours::new(settings.course),
            script: Mutex::new(settings.script),
            state: Mutex::default(),
            post,
            platform: settings.platform,
            handler: settings.handler,
            retry_pause: settings.retry_pause,
            folder,
            clock: Arc::clone(&settings.place.clock),
            stop: stop.clone(),
            tasks: tasks.clone(),
            own: own.clone(),
        });
        let control = Control(Arc::clone(&inner));
        let (contracts, blobs) = (Arc::clone(&inner), &inner.folder.blobs);
        let open = Open::open(&settings.place, contracts, blobs, control, (stop, tasks)).await?;
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

    /// Every message that it took, in order of first arrival.
    #[must_use]
    pub fn received(&self) -> Vec<Message> {
        self.inner.state().received.messages()
    }

    /// Every message of handling that its script sent, with what came of it, oldest first.
    #[must_use]
    pub fn sent(&self) -> Vec<SentHandling> {
        self.inner.state().sent.clone()
    }

    /// Replaces its behaviours.
    pub fn behave(&self, course: Course) {
        self.inner.course.set(course);
    }

    /// Replaces the script, for cases that come from now on.
    pub fn play(&self, script: Script) {
        *self.inner.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Keeps a made-up PDF of `bytes` bytes, to be named in a message.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub async fn attachment(&self, number: usize, bytes: usize) -> Result<Attachment, SendError> {
        self.inner.attachment(number, bytes).await
    }

    /// Makes the message of a step by hand: of the case `case_id`, whether it has come or not.
    ///
    /// # Errors
    /// When a file cannot be kept, or the step is a wait.
    pub async fn message(
        &self,
        case_id: &Ii,
        step: &Step,
    ) -> Result<ProcessComplaintHandling, SendError> {
        self.inner.message(case_id, step).await?.ok_or(SendError::Wait)
    }

    /// Sends a message of handling, once.
    ///
    /// # Errors
    /// When it was started without a gateway.
    pub async fn send(&self, message: &ProcessComplaintHandling) -> Result<Outcome, SendError> {
        self.inner.send(message).await
    }

    /// Closes its doors and lets what is under way come to an end.
    pub async fn stop(self) {
        self.open.stop().await;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn attachment(&self, number: usize, bytes: usize) -> Result<Attachment, SendError> {
        let seed = u64::try_from(number).unwrap_or_default();
        let kept = files::keep(&self.folder.blobs, sample::pdf(bytes, seed)).await;
        let (sha256, bytes) = kept.map_err(|error| SendError::file(&error))?;
        Ok(sample::attachment(number, &sha256, bytes))
    }

    async fn message(
        &self,
        case_id: &Ii,
        step: &Step,
    ) -> Result<Option<ProcessComplaintHandling>, SendError> {
        let mut attachments = Vec::new();
        for (place, bytes) in step.files().iter().enumerate() {
            attachments.push(self.attachment(place + 1, *bytes).await?);
        }
        let mut question = String::new();
        if *step == Step::Question {
            question = self.state().cases.question(case_id);
        }
        let content = step.content(attachments, &question, self.clock.now());
        let now = self.clock.now();
        Ok(content.map(|content| sample::handling(case_id, &self.handler, content, now)))
    }

    async fn send(&self, message: &ProcessComplaintHandling) -> Result<Outcome, SendError> {
        let post = self.post.as_ref().ok_or(SendError::Nowhere)?;
        let outline = process_complaint_handling_v1::write(message, &self.platform);
        let interaction = Interaction::ProcessComplaintHandling;
        Ok(post.outline(interaction, outline, &self.folder.blobs, &[]).await)
    }

    /// Takes a message that has been read; the answer.
    fn take(
        &self,
        message: Message,
        content: &FromComplainant,
        twice: bool,
    ) -> Result<Reply, Fault> {
        let interaction = Interaction::ProcessComplaint;
        let Some(case_id) = message.case_id.clone() else { return Err(full()) };
        let mut message = message;
        let mut state = self.state();
        match state.received.known(&message) {
            Known::Again(first) => return Ok(Reply::of(&again(&first), interaction)),
            Known::Reused => return Ok(Reply::of(&reused(), interaction)),
            Known::New if state.received.is_full() => return Err(full()),
            Known::New => {}
        }
        let number = match content {
            FromComplainant::Complaint(_) => {
                let script = self.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let steps = if self.post.is_some() { script.steps } else { Vec::new() };
                state.cases.begin(&case_id, steps, script.pause, twice)
            }
            FromComplainant::Supplement(_) | FromComplainant::Withdrawal(_) => {
                let Some(number) = state.cases.number(&case_id) else {
                    return Ok(Reply::of(&error(ErrorCode::NotFound), interaction));
                };
                let withdrawn = matches!(content, FromComplainant::Withdrawal(_));
                state.cases.go_on(&case_id, withdrawn && self.post.is_some());
                number
            }
        };
        message.registration_number = Some(number);
        let reply = Reply::of(&taken(&message), interaction);
        state.received.add(message);
        let starts = state.cases.starts(&case_id);
        drop(state);
        if starts && let Some(own) = self.own.upgrade() {
            self.tasks.spawn(own.play(case_id));
        }
        Ok(reply)
    }

    async fn control_step(&self, body: &str) -> Result<Value, String> {
        let words: Vec<&str> = body.split_whitespace().collect();
        let [case, step] = words.as_slice() else {
            let form = "CASE STEP, as \"latest reply:1000\"; CASE is the extension of a caseId";
            return Err(format!("a step is {form}"));
        };
        let step: Step = step.parse().map_err(|error: ScriptError| error.to_string())?;
        let case_id = self.state().cases.find(case);
        let case_id = case_id.ok_or_else(|| SendError::NoCase.to_string())?;
        let message = self.message(&case_id, &step).await.map_err(|error| error.to_string())?;
        let message = message.ok_or_else(|| SendError::Wait.to_string())?;
        let outcome = self.send(&message).await.map_err(|error| error.to_string())?;
        Ok(json!({ "case": case_id, "sent": step.to_string(), "outcome": outcome.summary() }))
    }
}

impl Contracts for Inner {
    const NAME: &'static str = "region";
    const HOLDS_WHEN_TWICE: bool = false;

    fn behaviour(&self, _: &Head) -> Behaviour {
        self.course.take()
    }

    fn process(&self, call: Received, behaviour: Behaviour) -> Result<Reply, Fault> {
        let reading = match rivta::read(&call.skeleton, &call.files) {
            Ok(reading) => reading,
            Err(error @ Rejection::Malformed { .. }) => return Err(malformed(&error)),
            Err(Rejection::Invalid { field, rule }) => {
                let answer = invalid(&format!("{field}: {rule}"));
                return Ok(Reply::of(&answer, Interaction::ProcessComplaint));
            }
        };
        let Request::Complaint(complaint) = reading.request else {
            return Err(not_here("ProcessComplaint 1"));
        };
        let message = of_complaint(&call, &complaint);
        self.take(message, &complaint.content, behaviour == Behaviour::Twice)
    }

    fn error(&self, _: &Head, code: ErrorCode) -> Option<String> {
        Some(error(code).write(Interaction::ProcessComplaint))
    }
}

impl Controlled for Inner {
    const LISTS: &'static [&'static str] = &["/received", "/sent"];

    fn get(&self, path: &str) -> Option<Value> {
        let state = self.state();
        match path {
            "/received" => Some(json!(state.received.messages())),
            "/sent" => Some(json!(state.sent)),
            _ => None,
        }
    }

    fn behave(&self, _: &str, course: &str) -> Result<(), String> {
        self.course.set(course.parse().map_err(|error: super::BehaviourError| error.to_string())?);
        Ok(())
    }

    fn step<'s>(&'s self, body: &'s str) -> BoxFuture<'s, Result<Value, String>> {
        Box::pin(self.control_step(body))
    }
}

/// What is remembered of a complaint, supplement or withdrawal.
fn of_complaint(call: &Received, complaint: &ProcessComplaint) -> Message {
    let digest = content_digest(&(&complaint.case_id, &complaint.content));
    let (kind, text, attachments) = match &complaint.content {
        FromComplainant::Complaint(it) => {
            ("complaint", Some(&it.description), it.attachments.as_slice())
        }
        FromComplainant::Supplement(it) => {
            ("supplement", Some(&it.text), it.attachments.as_slice())
        }
        FromComplainant::Withdrawal(it) => ("withdrawal", it.reason.as_ref(), [].as_slice()),
    };
    let mut message = Message::of(call, &complaint.message_id, kind, digest);
    message.case_id = Some(complaint.case_id.clone());
    message.text_sha256 = text.map(|text| text_digest(text));
    message.attachments = attachments.iter().map(Into::into).collect();
    if let FromComplainant::Supplement(supplement) = &complaint.content {
        message.question = supplement.in_reply_to.clone();
    }
    message
}
