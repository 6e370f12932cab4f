//! The request path: one list of steps from a call to its answer.
//!
//! Reading, deciding and committing are other parts' work; nothing here knows how a case is stored
//! or sent.

mod callers;
mod forward;
mod intake;
mod kept;
mod line;
mod opening;
mod proxied;
mod rate;
mod refusal;
mod reply;
mod served;
mod trail;
mod whole;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, Method, StatusCode, header};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::cases::{Cases, Grounds};
use crate::complaint::command::Parties;
use crate::id::HsaId;
use crate::listen::{Body, Connection, PeerState, Service};
use crate::rivta::wsdl::Library;
use crate::routing::{Current, Routing};
use crate::soap::Head;
use crate::tak::{self, Denial, Destination, Handling, Platform, Question, Unit};
use crate::telemetry::Chain;
use crate::telemetry::metrics::{Call, OTHER};
use crate::telemetry::trace::Trace;
use callers::CallHeaders;
pub use forward::Pools;
use forward::{Passing, Route};
use kept::known_case;
pub use line::Evidence;
use line::{Came, Line};
use opening::{Opening, Rest, let_finish};
pub use proxied::Proxy;
use proxied::Sender;
use rate::Rates;
pub use refusal::Refusal;
pub use reply::Reply;

/// The gateway's door. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    cases: Cases,
    routing: Current,
    pools: Arc<dyn Pools>,
    calls: Arc<Semaphore>,
    /// Of these, what is left to connections that are open.
    calls_kept: usize,
    rates: Arc<Rates>,
    evidence: Evidence,
    /// What addresses in our WSDLs begin with, when not the address that the caller used.
    base_url: Option<String>,
    library: Arc<ArcSwap<Library>>,
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

    fn has_room(&self) -> bool {
        self.calls.available_permits() > self.calls_kept
    }

    fn after_panic(&self) -> http::Response<Body> {
        let refusal = Refusal::Unavailable("the call ran into a bug of ours".to_owned());
        reply::fault(&refusal, &self.instance(), &Uuid::new_v4().to_string())
    }
}

/// What two readers could take for two things is refused: no host or two (RFC 9112, 3.2), and any
/// transfer coding but `chunked`, once (6.1, 7).
fn is_plain(request: &http::Request<Incoming>) -> bool {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let old = request.version() < http::Version::HTTP_11;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next().is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(b"chunked"));
    (hosts.next().is_some() || old) && hosts.next().is_none() && coding && codings.next().is_none()
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
            calls_kept: limits.calls_in_flight / crate::limits::CALLS_KEPT_PART,
            rates: Arc::new(Rates::new(limits.consumer_rate)),
            evidence: Evidence::default(),
            base_url,
            library: Arc::new(ArcSwap::from_pointee(Library::own())),
            message_bytes_max: limits.message_bytes,
            proxy: None,
        }
    }

    /// The same gateway, whose evidence goes here.
    #[must_use]
    pub fn told_to(self, evidence: Evidence) -> Self {
        Self { evidence, ..self }
    }

    /// The same gateway, whose `?wsdl` is answered from here.
    #[must_use]
    pub fn describing(self, library: Arc<ArcSwap<Library>>) -> Self {
        Self { library, ..self }
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
        if !is_plain(&request) {
            return reply::closing(reply::not_plain(&correlation));
        }
        let caller = match self.sender(connection, &mut request) {
            Ok(caller) => caller,
            Err(refusal) => {
                return self.turn_away(&refusal, connection, request, &correlation);
            }
        };
        let admitted = self.admit(&caller);
        if request.method() == Method::GET && admitted.is_ok() {
            return self.describe(&request, &correlation);
        }
        let (trace, now) = (Trace::of(request.headers()), self.cases.now());
        let mut line = Line::new(&self.evidence, &caller.hsa_id, &correlation, trace, now);
        line.caller_in(&self.routing.get().table);
        let called = match admitted {
            Ok(place) => {
                let held = (place, connection);
                self.call(&caller, held, request, headers, &mut line).await
            }
            Err(refusal) => {
                self.leave(&refusal, request);
                Err(refusal)
            }
        };
        let reply = match called {
            Ok(Outcome::Answer(answer)) => reply::xml(StatusCode::OK, answer, &correlation),
            Ok(Outcome::Passed(ready)) => {
                return forward::reply(*ready, &correlation, self.message_bytes_max, line);
            }
            Err(refusal) => self.refuse(&refusal, &correlation, &mut line),
        };
        line.answered_with(&reply);
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
            (PeerState::Anonymous, _) => Err(Refusal::Peer("it showed no certificate".to_owned())),
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
    fn turn_away(
        &self,
        refusal: &Refusal,
        connection: &Connection,
        request: http::Request<Incoming>,
        correlation: &str,
    ) -> Reply {
        tracing::warn!(
            labels.correlationId = %correlation, source.address = %connection.remote,
            error.code = refusal.code(), "{refusal}"
        );
        self.evidence.metrics.call(&Call::refused(refusal.code().unwrap_or(OTHER)));
        let reply = reply::fault(refusal, &self.instance(), correlation);
        self.leave(refusal, request);
        if self.proxy.is_none() || matches!(refusal, Refusal::NotListed { .. }) {
            return reply::closing(reply);
        }
        reply
    }

    /// Leaves a message unread.
    fn leave(&self, refusal: &Refusal, request: http::Request<Incoming>) {
        let (_, rest, left_over) = Rest::of(request, self.message_bytes_max, Arc::default());
        drop(rest);
        let_finish(refusal, left_over);
    }

    fn refuse(&self, refusal: &Refusal, correlation: &str, line: &mut Line) -> Reply {
        let came = refusal.code().map_or(Came::Fault, Came::Refused);
        line.came(came, format!("refused: {}", Chain(refusal)));
        if let Some(limit) = refusal.limit() {
            self.evidence.metrics.refused(limit);
        }
        reply::fault(refusal, &self.instance(), correlation)
    }

    async fn call(
        &self,
        caller: &Sender,
        held: (OwnedSemaphorePermit, &Connection),
        request: http::Request<Incoming>,
        headers: CallHeaders,
        line: &mut Line,
    ) -> Result<Outcome, Refusal> {
        let (request, rest, left_over) =
            Rest::of(request, self.message_bytes_max, Arc::clone(&line.counts));
        let outcome = self.answer(caller, &request, rest, headers, held, line).await;
        if let Err(refusal) = &outcome {
            let_finish(refusal, left_over);
        }
        outcome
    }

    /// A place to answer a call of `caller`, if it does not call too often and there is one.
    fn admit(&self, caller: &Sender) -> Result<OwnedSemaphorePermit, Refusal> {
        let routing = self.routing.get();
        let own = routing.table.caller(&caller.hsa_id).and_then(|it| it.rate_in);
        self.rates
            .take(&caller.hsa_id, own)
            .map_err(|(most, wait)| Refusal::TooOften { most, wait })?;
        Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::Overloaded)
    }

    async fn answer(
        &self,
        caller: &Sender,
        request: &HeaderMap,
        rest: Rest,
        headers: CallHeaders,
        (place, connection): (OwnedSemaphorePermit, &Connection),
        line: &mut Line,
    ) -> Result<Outcome, Refusal> {
        let routing = self.routing.get();
        let opening = Opening::read(request, rest).await?;
        let Sender { hsa_id: caller, internal } = caller;
        match self.decide(caller, &opening.head, &routing, line)? {
            Decided::Forward(route) => {
                // Another process may have the store before the producer has answered.
                connection.needs_nothing_more();
                let (headers, correlation) = (request, &*headers.correlation_id);
                let internal = *internal;
                let now = self.cases.now();
                let passing =
                    Passing { caller, internal, headers, correlation, routing: &routing, now };
                let passed = passing.pass(&*self.pools, place, route, opening, line).await;
                passed.map(|ready| Outcome::Passed(Box::new(ready)))
            }
            Decided::Answer => {
                opening.head.check_understood()?;
                let asked = served::receive(opening).await?;
                let answer = served::answer(&asked, &self.cases, &routing, self.started)?;
                line.came(Came::Answered, "answered");
                Ok(Outcome::Answer(answer))
            }
            Decided::Keep(way) => {
                opening.head.check_understood()?;
                let message = self.receive(opening, way).await?;
                let (caller, trace) = (caller.clone(), line.trace.traceparent());
                let call = kept::Call { caller, routing, headers, trace, place };
                self.keep(call, message).await?.told(line).map(Outcome::Answer)
            }
        }
    }

    fn decide(
        &self,
        caller: &HsaId,
        head: &Head,
        routing: &Routing,
        line: &mut Line,
    ) -> Result<Decided, Refusal> {
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
        line.asked(head, question.profile, &routing.table);
        let decision = routing.table.decide(&question);
        self.routing.count(&question, &decision, routing);
        line.decided(decision.trail, &decision.outcome);
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

    fn describe(&self, request: &http::Request<Incoming>, correlation: &str) -> Reply {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let headers = request.headers();
        let told = || match &self.proxy {
            Some(proxy) => proxy.base_url(headers),
            None => reply::base_url("https", headers),
        };
        let base = self.base_url.clone().unwrap_or_else(told);
        reply::description(&self.library.load(), path, query, &base, correlation)
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
