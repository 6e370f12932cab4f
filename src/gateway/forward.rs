//! Passing a call on while its caller waits: any contract, as the national platform does it.
//!
//! The message streams to its producer and the answer back, byte for byte, with the caller and the
//! producer setting the pace for each other. Nothing is stored. Where we knowingly differ from the
//! national platform (SKLTP VP 4.9):
//!
//! | The platform | Here |
//! |---|---|
//! | takes the last `To` or `LogicalAddress`, whatever its namespace | namespaces count; exactly one address of a kind (`soap::envelope`) |
//! | drops the attachments of MTOM messages and sends the envelope | the whole multipart message passes with its own Content-Type, both ways |
//! | sends a call once more after a connection error, even when it may have arrived | connects once more; what may have been received is never sent again |
//! | VP006 when a route of each profile exists | the route of the call's own profile (`tak`) |
//! | does not verify host names | always verified |
//! | a caller who sends our instance id escapes VP013 | nobody does; a system without `original_consumer` gets VP013 as soon as any system has it |
//! | VP013 before routing | after routing and permission |
//! | loop protection on the HTTP door only | on both doors, VP014 when we are in the history; not for internal calls, as there |
//! | the correlation id goes to https producers if a switch says so | it always does, as in the platform's production chart |
//! | query parameters become headers and are added to the producer's address | neither |
//! | buffers both messages whole; `Content-Length` always | streams; `Content-Length` where known at 64 KB, else chunked |
//! | `x-skltp-prt` until the whole answer | until its head |
//! | an answer that breaks off gives VP009 | that too within its first 64 KB; later the connection to the caller is broken off |
//! | the answer's time-out runs from the last byte sent | from the first, without the time in which the caller is waited for |
//! | labels an answer in another character set UTF-8 | converts it |
//! | leaves the XML declaration of a converted answer | it says the character set that the answer has |
//! | calls one producer as often as asked | at most [`limits::PRODUCER_CALLS_MAX`] at once, then VP009 |
//!
//! [`limits::PRODUCER_CALLS_MAX`]: crate::limits::PRODUCER_CALLS_MAX

mod carried;
mod change;
pub(super) mod headers;
mod returned;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::line::Line;
use super::opening::Opening;
use super::refusal::Refusal;
use super::reply::Reply;
use crate::id::HsaId;
use crate::listen::Body;
use crate::outbound::{Address, Answer, Patience, Pool};
use crate::routing::Routing;
use crate::soap::{Encoding, Profile, Recoder, Translator};
use crate::tak::{self, System};
use carried::Carried;
use change::Change;
use headers::Onward;
pub(super) use returned::Ready;
use returned::{Begun, Returned, Unfit};

/// What producers of the national platform are used to.
const XML_ONWARD: &str = "text/xml;charset=UTF-8";

/// Gives the connections to call a system with: those of its identity.
pub trait Pools: fmt::Debug + Send + Sync {
    /// The connections for `system`, or the gateway's own where a route gives a bare URL.
    ///
    /// # Errors
    /// When its certificates cannot be read; the text is for the log.
    fn pool(&self, system: Option<&System>) -> Result<Arc<Pool>, String>;
}

/// Where a call goes, as the routing configuration says.
#[derive(Debug)]
pub(super) struct Route {
    pub system: Option<Arc<System>>,
    pub url: Arc<str>,
    pub profile: tak::Profile,
    pub timeout: Duration,
}

/// A call that is passed on.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    pub caller: &'a HsaId,
    /// From inside this platform.
    pub internal: bool,
    pub headers: &'a HeaderMap,
    pub correlation: &'a str,
    pub routing: &'a Routing,
    pub now: Timestamp,
}

impl Passing<'_> {
    /// Sends the message on; ends when the answer has begun. `place` is held while the message is
    /// read: then the call takes a place at its producer, and a hung one keeps nobody else out.
    pub(super) async fn pass(
        &self,
        pools: &dyn Pools,
        place: OwnedSemaphorePermit,
        route: Route,
        opening: Opening,
        line: &mut Line,
    ) -> Result<Ready, Refusal> {
        let address = Address::parse(&route.url).map_err(|error| Refusal::Producer {
            url: Arc::clone(&route.url),
            what: error.to_string(),
            status: None,
        })?;
        let wanted = opening.encoding;
        let mut request_head = self.head(&address, &opening)?;
        let patience = Arc::new(Patience::new(route.timeout));
        let change = change(&opening, route.profile)?;
        let counts = Arc::clone(&line.counts);
        let mut body = Carried::new(opening, change, Arc::clone(&patience), counts);
        body.settle().await?;
        drop(place);
        let failure = body.failure();
        let mut request = Request::new(Body::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = address.target().clone().into();
        line.calls(&route.url, self.now).set(&mut request_head);
        *request.headers_mut() = request_head;
        let failed =
            |what: String, status| Refusal::Producer { url: Arc::clone(&route.url), what, status };
        let pool = pools.pool(route.system.as_deref()).map_err(|why| {
            tracing::error!(producer = %route.url, "no calls can be made: {why}");
            failed("the gateway has no usable certificate for this call".to_owned(), None)
        })?;
        let called = Instant::now();
        patience.resume();
        let answer = pool.call(&address, request, &patience).await;
        line.producer_came(called.elapsed());
        // If it was the caller's message that broke off, that is what the caller is told.
        if let Some(refusal) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(refusal);
        }
        let answer = answer.map_err(|trouble| failed(trouble.told(), None))?;
        let begun = begun(answer).await.map_err(|(what, status)| failed(what, status))?;
        begun
            .ready(wanted)
            .map_err(|error| failed(format!("its answer is unreadable: {error}"), None))
    }

    fn head(&self, address: &Address, opening: &Opening) -> Result<HeaderMap, Refusal> {
        let own = opening.content_type.as_deref().filter(|_| opening.is_multipart());
        let table = &self.routing.table;
        let may = table.caller(self.caller).is_some_and(|it| it.original_consumer);
        headers::onward(
            self.headers,
            &Onward {
                caller: self.caller.as_str(),
                instance: &table.platform().instance,
                correlation: self.correlation,
                https: address.is_https(),
                internal: self.internal,
                // With nobody named, everybody may, as with the platform's empty list.
                original_allowed: may || !table.systems().any(|it| it.original_consumer),
                content_type: own.unwrap_or(XML_ONWARD),
                host: &address.host(),
            },
        )
    }
}

/// The answer to the caller. `line` is written when the last of it has left.
pub(super) fn reply(ready: Ready, correlation: &str, bytes_max: u64, mut line: Line) -> Reply {
    line.status = ready.status.as_u16();
    let headers =
        headers::back(&ready.headers, &ready.content_type, correlation, line.producer_ms());
    let mut reply = Response::new(());
    *reply.status_mut() = ready.status;
    *reply.headers_mut() = headers;
    reply.map(|()| Body::new(Returned::new(ready, bytes_max, line)))
}

async fn begun(answer: Response<Answer>) -> Result<Begun, (String, Option<u16>)> {
    Begun::read(answer).await.map_err(|unfit| match unfit {
        Unfit::Status(status) => {
            (format!("the producer answered with HTTP status {status}"), Some(status.as_u16()))
        }
        Unfit::Empty(status) => {
            (format!("Empty message when server responded with status code: {status}"), None)
        }
        Unfit::Broken(trouble) => (trouble.told(), None),
    })
}

/// What must be done to the message for this producer.
fn change(opening: &Opening, profile: tak::Profile) -> Result<Change, Refusal> {
    let own = match opening.head.profile {
        Profile::Rivtabp20 => tak::Profile::Rivtabp20,
        Profile::Rivtabp21 => tak::Profile::Rivtabp21,
    };
    let translator = (own != profile).then(|| Translator::new(opening.head.profile));
    let recoder = match opening.encoding {
        Encoding::Utf8 => None,
        Encoding::Utf16Le | Encoding::Utf16Be | Encoding::Latin1 => {
            Some(Recoder::new(opening.content_type.as_deref(), Encoding::Utf8)?)
        }
    };
    Ok(Change { before: opening.before, recoder, translator })
}
