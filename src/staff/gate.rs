//! What every request passes before its page: person, session, origin, token, right, access log.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use super::Desk;
use super::access::{About, Action, Needs, authorise};
use super::files;
use super::form::Form;
use super::login;
use super::page::{Fault, Trouble};
use super::session::{self, Session};
use crate::clock;
use crate::complaint::case::Case;
use crate::complaint::event::Destination;
use crate::complaint::message::{Actor, OrgUnit};
use crate::id::HsaId;
use crate::limits;
use crate::routing::Routing;
use crate::tak::{Person, Unit};
use crate::tls::Peer;

/// What stands before one route.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) desk: Desk,
    pub(super) needs: Needs,
}

/// A request that has passed.
pub(super) struct Visit {
    pub(super) person: Arc<Person>,
    /// The certificate that the browser shows, as a session is bound to it. Where it shows none the
    /// person is whom the login service told of.
    pub(super) fingerprint: Option<String>,
    /// Whether people can also log in at a login service.
    pub(super) other_login: bool,
    pub(super) session: Option<Session>,
    /// The routing in force when the request began.
    pub(super) routing: Arc<Routing>,
    pub(super) params: BTreeMap<String, String>,
    pub(super) query: Form,
    /// What was posted; empty for a GET.
    pub(super) form: Form,
    /// What is wrong with files that were posted.
    pub(super) file_faults: Vec<Fault>,
    about: Place,
    pub(super) now: Timestamp,
}

/// What the path names, if anything.
enum Place {
    Nothing,
    Unit(Arc<Unit>),
    Case(Box<Case>),
}

impl Visit {
    /// The unit in the path.
    pub(super) fn unit(&self) -> Result<&Arc<Unit>, Trouble> {
        match &self.about {
            Place::Unit(unit) => Ok(unit),
            Place::Nothing | Place::Case(_) => Err(Trouble::NotFound),
        }
    }

    /// The case in the path, as it stood when the request began.
    pub(super) fn case(&self) -> Result<&Case, Trouble> {
        match &self.about {
            Place::Case(case) => Ok(case),
            Place::Nothing | Place::Unit(_) => Err(Trouble::NotFound),
        }
    }

    /// Whether the person may do something with a case.
    pub(super) fn may(&self, action: Action, case: &Case) -> bool {
        authorise(&self.person, action, About::case(case)).is_ok()
    }

    /// The token of a form that is posted to `path`.
    pub(super) fn token(&self, path: &str) -> String {
        self.session.as_ref().map(|session| session.token(path)).unwrap_or_default()
    }

    /// Who did it, as it is kept with the case.
    pub(super) fn actor(&self, unit: &HsaId) -> Actor {
        let at = self.routing.table.unit(unit);
        Actor {
            hsa_id: self.person.hsa_id.clone(),
            name: Some(self.person.name.clone()),
            title: self.person.title.clone(),
            unit: at.map(|unit| OrgUnit {
                hsa_id: unit.hsa_id.clone(),
                name: Some(unit.name.clone()),
                telecom: None,
                email: None,
                address: None,
                location: None,
            }),
        }
    }
}

pub(super) async fn pass(
    State(gate): State<Gate>,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Response {
    let params = params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    match gate.check(params, request).await {
        Ok(request) => next.run(request).await,
        Err(trouble) => trouble.into_response(),
    }
}

impl Gate {
    async fn check(
        self,
        params: BTreeMap<String, String>,
        request: Request,
    ) -> Result<Request, Trouble> {
        if self.needs == Needs::Connection {
            return Ok(request);
        }
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.get::<Arc<Peer>>().cloned();
        let fingerprint = peer.as_ref().map(|peer| peer.fingerprint.clone());
        let routing = self.desk.routing.get();
        let now = self.desk.cases.now();
        let path = parts.uri.path().to_owned();
        let cookies = one(&parts.headers, header::COOKIE).unwrap_or_default();
        let session = session::cookie(session::COOKIE, cookies)
            .and_then(|cookie| self.desk.sessions.get(cookie, fingerprint.as_deref(), now));
        // The login service's word counts in its session, whatever certificate a browser shows.
        let login = session.as_ref().and_then(|session| session.login.as_ref());
        let who = login.or(peer.as_ref().map(|peer| &peer.hsa_id));
        let today = clock::swedish_day(now);
        let person =
            who.map(|who| routing.table.on_duty(who, today).ok_or(Trouble::Nobody)).transpose()?;
        let posts = parts.method == Method::POST;
        if posts && !is_own(&parts.headers) {
            return Err(Trouble::Elsewhere);
        }
        if session.is_none() && self.needs == Needs::Person && person.is_none() {
            let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
            return Err(Trouble::SignIn(login::own_path(query.one("till")).to_owned()));
        }
        if session.is_none() && self.needs != Needs::Person {
            let back = if posts { None } else { parts.uri.path_and_query() };
            return Err(back.map_or(Trouble::Ended, |it| Trouble::Login(it.as_str().to_owned())));
        }
        let person = person.ok_or(Trouble::Card)?;
        let (form, file_faults) = match (posts, &session) {
            (false, _) => Default::default(),
            (true, Some(session)) if has_files(&parts.headers) => {
                self.read_files(&parts.headers, body, (session, &path)).await?
            }
            (true, _) => (read(&parts.headers, body).await?, Vec::new()),
        };
        if let Some(session) = session.as_ref().filter(|_| posts && self.needs != Needs::Person)
            && !session.is_token(&path, form.one("intyg"))
        {
            return Err(Trouble::Ended);
        }
        let query = Form::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let mut visit = Visit {
            person,
            fingerprint,
            other_login: self.desk.login.is_some(),
            session,
            routing,
            params,
            query,
            form,
            file_faults,
            about: Place::Nothing,
            now,
        };
        visit.about = self.place(&visit).await?;
        parts.extensions.insert(Arc::new(visit));
        Ok(Request::from_parts(parts, Body::empty()))
    }

    async fn read_files(
        &self,
        headers: &HeaderMap,
        body: Body,
        whose: (&Session, &str),
    ) -> Result<(Form, Vec<Fault>), Trouble> {
        let takes_files = match self.needs {
            Needs::Case { action, .. } => matches!(action, Action::Reply | Action::PartialReply),
            Needs::Unit(action) => action == Action::Register,
            Needs::Connection | Needs::Person | Needs::Session => false,
        };
        if !takes_files {
            return Err(Trouble::Kind);
        }
        let place = self.desk.uploads.acquire();
        let place = tokio::time::timeout(limits::STAFF_CALL_TIME_MAX, place).await;
        let place = place.map_err(|_| Trouble::Slow)?.map_err(|_| Trouble::Internal)?;
        let kind = one(headers, header::CONTENT_TYPE).unwrap_or_default();
        let sent = files::read(kind, body, self.desk.cases.blobs(), whose).await?;
        drop(place);
        Ok((sent.form, sent.faults))
    }

    /// What the path names, if the person may do this there. A reading is on disk when it returns.
    async fn place(&self, visit: &Visit) -> Result<Place, Trouble> {
        match self.needs {
            Needs::Connection | Needs::Person | Needs::Session => Ok(Place::Nothing),
            Needs::Unit(action) => {
                let named = visit.params.get("unit").and_then(|it| HsaId::parse(it).ok());
                let unit = named.and_then(|it| visit.routing.table.unit(&it));
                let unit = unit.ok_or(Trouble::NotFound)?;
                authorise(&visit.person, action, About::unit(&unit.hsa_id))?;
                Ok(Place::Unit(unit))
            }
            Needs::Case { action, shows } => {
                let number = visit.params.get("number").cloned().unwrap_or_default();
                let case = self.desk.read(move |cases| cases.by_number(&number)).await?;
                // What an own system handles is not here, whoever it belongs to.
                let case = case.filter(|case| case.destination == Destination::Store);
                let case = case.ok_or(Trouble::NotFound)?;
                let why = authorise(&visit.person, action, About::case(&case))?;
                if shows {
                    let by = visit.actor(&case.receiver);
                    let generation = visit.routing.table.generation().to_string();
                    self.desk.cases.note_reading(&case.id, by, why, generation).await?;
                }
                Ok(Place::Case(Box::new(case)))
            }
        }
    }
}

/// The one value of a header; `None` where it is missing, there twice, or no text.
pub(super) fn one(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a form was sent from a page of our own.
fn is_own(headers: &HeaderMap) -> bool {
    let (origin, host) = (one(headers, header::ORIGIN), one(headers, header::HOST));
    match (origin.and_then(|it| it.strip_prefix("https://")), host) {
        (Some(origin), Some(host)) => !host.is_empty() && origin.eq_ignore_ascii_case(host),
        _ => false,
    }
}

/// Whether a form comes with files.
pub(super) fn has_files(headers: &HeaderMap) -> bool {
    let kind = one(headers, header::CONTENT_TYPE).unwrap_or_default();
    kind.starts_with("multipart/form-data")
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Form, Trouble> {
    let kind = one(headers, header::CONTENT_TYPE).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Trouble::Kind);
    }
    let bytes = axum::body::to_bytes(body, limits::STAFF_FORM_BYTES_MAX).await;
    Ok(Form::parse(&bytes.map_err(|_| Trouble::TooLarge)?))
}
