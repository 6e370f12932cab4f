//! 1177 Inkorg: the citizens' inboxes.
//!
//! The contract has no idempotency key. A message that comes twice is in the inbox twice, and
//! [`InboxItem::times`] says so: what the gateway must avoid.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::behaviour::Behaviours;
use super::control::{Control, Controlled};
use super::door::{Contracts, Open, Received, Reply};
use super::files::Folder;
use super::{Behaviour, Course, Place, StartError};
use crate::limits;
use crate::rivta::patient_portal_v1::{
    ADD_MESSAGE, IS_ACTIVE_USER, InboxMessage, InboxResult, NOT_ACTIVE, Notification, UserStatus,
    WriteError, read_is_active_user, read_message, write_result, write_user_status,
};
use crate::rivta::{ErrorCode, Rejection, ResultCode};
use crate::soap::{Fault, FaultCode, Head};

/// What an inbox simulator is started with.
#[derive(Debug, Clone)]
pub struct InkorgSettings {
    /// Where it stands.
    pub place: Place,
    /// Persons who are not active users; everybody else is.
    pub inactive: BTreeSet<String>,
    /// For `AddMessageToPatientPortalInbox`.
    pub course: Course,
    /// For `IsActiveUser`, which comes before it: a course of its own.
    pub course_of_is_active_user: Course,
}

impl InkorgSettings {
    /// Everybody active, all going well.
    #[must_use]
    pub fn new(place: Place) -> Self {
        let (course, other) = (Course::default(), Course::default());
        Self { place, inactive: BTreeSet::new(), course, course_of_is_active_user: other }
    }
}

/// A message in a citizen's inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InboxItem {
    /// Whose inbox: a test number.
    pub person: String,
    /// HSA-id of the unit that sent it.
    pub unit: String,
    pub unit_name: String,
    pub thread_id: Option<String>,
    pub heading: Option<String>,
    pub text: String,
    /// Whether a notice was asked for.
    pub notify: bool,
    pub source_system: Option<String>,
    /// `x-skltp-correlation-id` of the first call.
    pub correlation_id: Option<String>,
    /// When it first came.
    pub received: Timestamp,
    /// How many times the citizen sees it.
    pub times: u32,
}

/// A running inbox. Dropped, it stops.
#[derive(Debug)]
pub struct Inkorg {
    inner: Arc<Inner>,
    open: Open,
    _folder: Folder,
}

#[derive(Debug)]
struct Inner {
    course: Behaviours,
    course_of_is_active_user: Behaviours,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    inactive: BTreeSet<String>,
    items: Vec<InboxItem>,
    /// By what makes two messages the same to the one who reads them.
    places: BTreeMap<String, usize>,
    /// How often each person was asked about.
    asked: BTreeMap<String, u32>,
}

impl Inkorg {
    /// Opens its doors.
    ///
    /// # Errors
    /// When a certificate cannot be used, or an address is taken.
    pub async fn start(settings: InkorgSettings) -> Result<Self, StartError> {
        let folder = Folder::open(None)?;
        let inner = Arc::new(Inner {
            course: Behaviours::new(settings.course),
            course_of_is_active_user: Behaviours::new(settings.course_of_is_active_user),
            state: Mutex::new(State { inactive: settings.inactive, ..State::default() }),
        });
        let open = Open::open(
            &settings.place,
            Arc::clone(&inner),
            &folder.blobs,
            Control(Arc::clone(&inner)),
            (CancellationToken::new(), TaskTracker::new()),
        )
        .await?;
        Ok(Self { inner, open, _folder: folder })
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

    /// Every message, in order of first arrival.
    #[must_use]
    pub fn messages(&self) -> Vec<InboxItem> {
        self.inner.state().items.clone()
    }

    /// The messages in one person's inbox.
    #[must_use]
    pub fn messages_of(&self, person: &str) -> Vec<InboxItem> {
        self.messages().into_iter().filter(|item| item.person == person).collect()
    }

    /// How often it was asked whether `person` is an active user.
    #[must_use]
    pub fn asked(&self, person: &str) -> u32 {
        self.inner.state().asked.get(person).copied().unwrap_or_default()
    }

    /// Makes a person an active user, or no longer one.
    pub fn set_active(&self, person: &str, active: bool) {
        let mut state = self.inner.state();
        if active {
            state.inactive.remove(person);
        } else {
            state.inactive.insert(person.to_owned());
        }
    }

    /// Replaces the behaviours for `AddMessageToPatientPortalInbox`.
    pub fn behave(&self, course: Course) {
        self.inner.course.set(course);
    }

    /// Replaces the behaviours for `IsActiveUser`.
    pub fn behave_when_asked(&self, course: Course) {
        self.inner.course_of_is_active_user.set(course);
    }

    /// Closes its doors and lets what is under way come to an end.
    pub async fn stop(self) {
        self.open.stop().await;
    }
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_active_user(&self, call: &Received) -> Result<Reply, Fault> {
        let person = read_is_active_user(&call.skeleton.text).map_err(|error| malformed(&error))?;
        let mut state = self.state();
        let active = !state.inactive.contains(&person);
        if state.asked.len() < limits::SIMULATOR_MESSAGES_MAX || state.asked.contains_key(&person) {
            let count = state.asked.entry(person).or_default();
            *count = count.saturating_add(1);
        }
        drop(state);
        let methods = if active { vec![Notification::Email] } else { Vec::new() };
        let outcome = if active { "active" } else { "not active" }.to_owned();
        let envelope = write_user_status(&UserStatus { active, methods });
        let envelope = envelope.map_err(|error| unwritten(&error))?;
        Ok(Reply { envelope, outcome })
    }

    fn add_message(&self, call: &Received) -> Result<Reply, Fault> {
        let message = read_message(&call.skeleton.text).map_err(|error| malformed(&error))?;
        let mut state = self.state();
        let mut result = InboxResult {
            thread_id: message.thread_id.clone(),
            notified: Vec::new(),
            result_code: ResultCode::Ok,
            result_text: None,
        };
        if state.inactive.contains(&message.person) {
            result.result_code = ResultCode::Error;
            result.result_text = Some(NOT_ACTIVE.to_owned());
        } else {
            if message.notify == Some(true) && message.source_system.is_some() {
                result.notified.push(Notification::Email);
            }
            state.put(message, call)?;
        }
        drop(state);
        let outcome = result.result_code.as_str().to_owned();
        let envelope = write_result(&result).map_err(|error| unwritten(&error))?;
        Ok(Reply { envelope, outcome })
    }
}

impl State {
    fn put(&mut self, message: InboxMessage, call: &Received) -> Result<(), Fault> {
        let key = super::register::content_digest(&(
            &message.person,
            &message.unit.id,
            &message.thread_id,
            &message.heading,
            &message.text,
        ));
        if let Some(item) = self.places.get(&key).and_then(|place| self.items.get_mut(*place)) {
            item.times = item.times.saturating_add(1);
            return Ok(());
        }
        if self.items.len() >= limits::SIMULATOR_INBOX_MAX {
            return Err(full());
        }
        self.places.insert(key, self.items.len());
        self.items.push(InboxItem {
            person: message.person,
            unit: message.unit.id.to_string(),
            unit_name: message.unit.name,
            thread_id: message.thread_id,
            heading: message.heading,
            text: message.text,
            notify: message.notify == Some(true),
            source_system: message.source_system,
            correlation_id: call.correlation_id.clone(),
            received: call.at,
            times: 1,
        });
        Ok(())
    }
}

impl Contracts for Inner {
    const NAME: &'static str = "inkorg";
    const HOLDS_WHEN_TWICE: bool = true;

    fn behaviour(&self, head: &Head) -> Behaviour {
        if head.contract.as_str() == IS_ACTIVE_USER {
            self.course_of_is_active_user.take()
        } else {
            self.course.take()
        }
    }

    fn process(&self, call: Received, _: Behaviour) -> Result<Reply, Fault> {
        match call.head.contract.as_str() {
            IS_ACTIVE_USER => self.is_active_user(&call),
            ADD_MESSAGE => self.add_message(&call),
            _ => Err(not_here("IsActiveUser 1 and AddMessageToPatientPortalInbox 1")),
        }
    }

    fn error(&self, head: &Head, code: ErrorCode) -> Option<String> {
        let result = InboxResult {
            thread_id: None,
            notified: Vec::new(),
            result_code: ResultCode::Error,
            result_text: Some(code.as_str().to_owned()),
        };
        // IsActiveUser has no result: its errors are faults.
        (head.contract.as_str() == ADD_MESSAGE).then(|| write_result(&result).ok()).flatten()
    }
}

impl Controlled for Inner {
    const LISTS: &'static [&'static str] = &["/messages"];

    fn get(&self, path: &str) -> Option<Value> {
        (path == "/messages").then(|| json!(self.state().items))
    }

    fn behave(&self, of: &str, course: &str) -> Result<(), String> {
        let course: Course =
            course.parse().map_err(|error: super::BehaviourError| error.to_string())?;
        match of {
            "" | "of=AddMessageToPatientPortalInbox" => self.course.set(course),
            "of=IsActiveUser" => self.course_of_is_active_user.set(course),
            _ => {
                let there = "?of=AddMessageToPatientPortalInbox (as without) and ?of=IsActiveUser";
                return Err(format!("there is {there}"));
            }
        }
        Ok(())
    }

    fn step<'s>(&'s self, body: &'s str) -> BoxFuture<'s, Result<Value, String>> {
        let words: Vec<&str> = body.split_whitespace().collect();
        let outcome = match words.as_slice() {
            ["inactive", person] => {
                self.state().inactive.insert((*person).to_owned());
                Ok(json!({ "active": false }))
            }
            ["active", person] => {
                self.state().inactive.remove(*person);
                Ok(json!({ "active": true }))
            }
            _ => Err("a step is \"inactive PERSON-ID\" or \"active PERSON-ID\"".to_owned()),
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// A message of another contract than those that are served.
pub(super) fn not_here(served: &str) -> Fault {
    Fault {
        code: FaultCode::Client,
        string: "Tjänstekontraktet finns inte här.".to_owned(),
        detail: Some(format!("The simulator serves {served}.")),
    }
}

/// A message that does not follow its contract.
pub(super) fn malformed(error: &Rejection) -> Fault {
    Fault {
        code: FaultCode::Client,
        string: "VP015 [simulator] Meddelandet följer inte tjänstekontraktet.".to_owned(),
        detail: Some(error.to_string()),
    }
}

/// No place for more.
pub(super) fn full() -> Fault {
    Fault {
        code: FaultCode::Server,
        string: "Simulatorn är full. Starta om den.".to_owned(),
        detail: None,
    }
}

fn unwritten(error: &WriteError) -> Fault {
    Fault {
        code: FaultCode::Server,
        string: "Simulatorns svar kan inte skrivas.".to_owned(),
        detail: Some(error.to_string()),
    }
}
