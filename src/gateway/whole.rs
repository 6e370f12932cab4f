//! The way in for a message that is whole in memory: what a simulation calls in place of the wire.

use std::sync::Arc;

use http::HeaderMap;

use super::callers::CallHeaders;
use super::intake::Files;
use super::kept::{Call, Message};
use super::line::Line;
use super::{Decided, Gateway, Refusal};
use crate::id::HsaId;
use crate::soap::MessageReader;
use crate::telemetry::trace::Trace;

impl Gateway {
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
        let place = Arc::clone(&self.calls).try_acquire_owned();
        let place = place.map_err(|_| Refusal::Overloaded)?;
        let (trace, now) = (Trace::of(headers), self.cases.now());
        let headers = CallHeaders::of(headers);
        let mut line = Line::new(&self.evidence, caller, &headers.correlation_id, trace, now);
        let mut reader = MessageReader::new(None)?;
        reader.push(body)?;
        let (head, skeleton, _) = reader.finish()?;
        let routing = self.routing.get();
        match self.decide(caller, &head, &routing, &mut line)? {
            Decided::Keep(way) => {
                head.check_understood()?;
                let files = Files::new(self.cases.blobs().clone());
                let message = Message { head, skeleton, files, way };
                let (caller, trace) = (caller.clone(), line.trace.traceparent());
                let call = Call { caller, routing, headers, trace, place };
                self.keep(call, message).await?.told(&mut line)
            }
            Decided::Forward(_) | Decided::Answer => {
                Err(Refusal::NotKept(head.contract.to_string()))
            }
        }
    }
}
