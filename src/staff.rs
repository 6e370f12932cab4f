//! The staff page: cases of the built-in store in a browser, for people with a card or a login.
//!
//! HTML without script; every form works with the keyboard alone. What each request passes, in this
//! order: the certificate (TLS) or the login service's word ([`crate::oidc`]), the person
//! ([`crate::tak::Person`]), the session, where it came from and its token, the right to do it ([`access::authorise`]), the access log ([`gate`]). Only then is
//! anything read or done.

pub mod access;
mod case;
mod files;
mod form;
mod gate;
mod inbox;
mod log;
mod login;
mod page;
mod paper;
mod register;
mod search;
mod session;
mod step;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tower_service::Service as _;

use crate::cases::query::QueryError;
use crate::cases::{Cases, Grounds};
use crate::limits;
use crate::listen::{self, Connection, PeerState};
use crate::oidc::{self, LoginService};
use crate::routing::{Current, Routing};
use access::{Action, Needs};
use gate::Visit;
use page::Trouble;
use session::Sessions;
use step::Kind;

/// What the configuration says to a step in the built-in store.
pub type GroundsOf = dyn Fn(&Routing) -> Grounds + Send + Sync;

/// The staff page of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct Staff {
    router: Router,
}

impl fmt::Debug for Staff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Staff")
    }
}

/// What every page stands on.
#[derive(Clone)]
struct Desk {
    cases: Cases,
    routing: Current,
    grounds: Arc<GroundsOf>,
    sessions: Arc<Sessions>,
    /// Where people without a card log in, if anywhere.
    login: Option<LoginService>,
    /// Forms with files, at most [`limits::STAFF_UPLOADS_MAX`] at once.
    uploads: Arc<Semaphore>,
    /// PDFs and archives, at most [`limits::EXPORTS_MAX`] at once.
    exports: Arc<Semaphore>,
}

/// One route: where, what it asks, and what answers.
struct Route {
    path: &'static str,
    needs: Needs,
    methods: MethodRouter<Desk>,
}

impl Staff {
    /// The page on these cases. People and their roles are those of the routing in force; `login`
    /// is where they can log in without a card.
    #[must_use]
    pub fn new(
        cases: Cases,
        routing: Current,
        grounds: Arc<GroundsOf>,
        login: Option<LoginService>,
    ) -> Self {
        let uploads = Arc::new(Semaphore::new(limits::STAFF_UPLOADS_MAX));
        let exports = Arc::new(Semaphore::new(limits::EXPORTS_MAX));
        let sessions = Arc::default();
        let desk = Desk { cases, routing, grounds, sessions, login, uploads, exports };
        let mut router = Router::new();
        for Route { path, needs, methods } in routes() {
            let gate = gate::Gate { desk: desk.clone(), needs };
            let gated = axum::middleware::from_fn_with_state(gate, gate::pass);
            router = router.route(path, methods.route_layer(gated));
        }
        let router = router
            .fallback(page::not_found)
            .method_not_allowed_fallback(page::not_found)
            .with_state(desk);
        Self { router }
    }
}

/// Every route there is.
fn routes() -> Vec<Route> {
    let route = |path, needs, methods| Route { path, needs, methods };
    let case = |action, shows| Needs::Case { action, shows };
    let step = |path, action, kind: Kind| {
        let show = move |State(desk): State<Desk>, Extension(visit): Extension<Arc<Visit>>| {
            step::show(kind, desk, visit)
        };
        let take = move |State(desk): State<Desk>, Extension(visit): Extension<Arc<Visit>>| {
            step::take(kind, desk, visit)
        };
        route(path, case(action, true), get(show).post(take))
    };
    vec![
        route("/stil.css", Needs::Connection, get(page::style)),
        route("/in", Needs::Person, get(login::show).post(login::enter)),
        route("/in/tjanst", Needs::Connection, get(login::service::begin)),
        route(oidc::CALLBACK, Needs::Connection, get(login::service::finish)),
        route("/ut", Needs::Session, post(login::leave)),
        route("/", Needs::Session, get(inbox::units)),
        route("/sok", Needs::Session, get(search::show).post(search::find)),
        route("/enhet/{unit}", Needs::Unit(Action::List), get(inbox::list)),
        route(
            "/enhet/{unit}/nytt",
            Needs::Unit(Action::Register),
            get(register::show).post(register::take),
        ),
        route("/enhet/{unit}/logg", Needs::Unit(Action::ReviewLog), get(log::of_unit)),
        route("/enhet/{unit}/utdrag", Needs::Unit(Action::ReviewLog), post(log::extract)),
        route("/arende/{number}", case(Action::Read, true), get(case::show)),
        route("/arende/{number}/fil/{record}/{n}", case(Action::Read, true), get(case::file)),
        route("/arende/{number}/pdf", case(Action::Read, true), get(paper::pdf)),
        route("/arende/{number}/export", case(Action::Read, true), get(paper::archive)),
        route("/arende/{number}/logg", case(Action::ReviewLog, true), get(log::of_case)),
        route("/arende/{number}/ta", case(Action::Take, false), post(case::take)),
        route(
            "/arende/{number}/fordela",
            case(Action::Assign, false),
            get(case::assign_form).post(case::assign),
        ),
        route("/arende/{number}/anteckna", case(Action::Note, false), post(case::note)),
        route("/arende/{number}/angra", case(Action::Undo, false), post(case::undo)),
        step("/arende/{number}/bekrafta", Action::Acknowledge, Kind::Acknowledge),
        step("/arende/{number}/delsvar", Action::PartialReply, Kind::PartialReply),
        step("/arende/{number}/fraga", Action::Question, Kind::Question),
        step("/arende/{number}/svar", Action::Reply, Kind::Reply),
        step("/arende/{number}/plats", Action::CorrectPlace, Kind::CorrectPlace),
        step("/arende/{number}/avsluta", Action::Close, Kind::Close),
    ]
}

/// No script, nothing from elsewhere, in no frame, sent nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

impl listen::Service for Staff {
    fn answer(
        &self,
        connection: Arc<Connection>,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Response<listen::Body>> + Send {
        let mut router = self.router.clone();
        async move {
            let mut response = match connection.peer() {
                // Whoever brings no card may log in at the login service, where there is one.
                state @ (PeerState::Known(_) | PeerState::Anonymous) => {
                    if let PeerState::Known(peer) = state {
                        request.extensions_mut().insert(peer);
                    }
                    let time = match gate::has_files(request.headers()) {
                        true => limits::STAFF_UPLOAD_TIME_MAX,
                        false => limits::STAFF_CALL_TIME_MAX,
                    };
                    let called = router.call(request);
                    match tokio::time::timeout(time, called).await {
                        Ok(Ok(response)) => response,
                        Ok(Err(never)) => match never {},
                        Err(_) => Trouble::Slow.into_response(),
                    }
                }
                PeerState::Plain | PeerState::Refused(_) => Trouble::Card.into_response(),
            };
            protect(response.headers_mut());
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        }
    }

    fn after_panic(&self) -> Response<listen::Body> {
        let mut response = Trouble::Internal.into_response();
        protect(response.headers_mut());
        response.map(|body| body.map_err(Into::into).boxed_unsync())
    }
}

fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let own = [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in own {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

impl Desk {
    /// Runs what waits for the disk on a thread that may.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cases) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, Trouble> {
        let cases = self.cases.clone();
        match tokio::task::spawn_blocking(move || work(&cases)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Trouble::store(&error)),
            Err(_) => Err(Trouble::Internal),
        }
    }
}
