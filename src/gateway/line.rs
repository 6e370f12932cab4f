//! The one log line of a message: written when the last of its answer has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use uuid::Uuid;

use crate::id::HsaId;

/// What a call came to. The line is written when this is dropped, so there is one whatever happens.
#[derive(Debug)]
pub(super) struct Line {
    started: Instant,
    correlation: String,
    caller: HsaId,
    /// Quoted in the answer and found in the log: a UUID.
    pub log_id: String,
    pub contract: String,
    pub address: String,
    pub outcome: String,
    /// Of the answer; 0 where there was none.
    pub status: u16,
    /// Where the message was passed on to.
    pub producer: Option<Arc<str>>,
    /// From the start of the producer's call to the head of its answer, or to its failure.
    pub producer_ms: u64,
    pub counts: Arc<Counts>,
}

/// The bytes of bodies, as they pass.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub into: AtomicU64,
    pub out: AtomicU64,
}

impl Counts {
    pub(super) fn add(count: &AtomicU64, bytes: usize) {
        count.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Line {
    /// The outcome is what it is if nothing more is heard: the one who is answered is gone.
    pub(super) fn new(caller: &HsaId, correlation: &str) -> Self {
        Self {
            started: Instant::now(),
            correlation: correlation.to_owned(),
            caller: caller.clone(),
            log_id: Uuid::new_v4().to_string(),
            contract: String::new(),
            address: String::new(),
            outcome: "the caller hung up before the answer".to_owned(),
            status: 0,
            producer: None,
            producer_ms: 0,
            counts: Arc::default(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &self.producer {
            None => tracing::info!(
                call.id = %self.correlation, call.log = %self.log_id, call.caller = %self.caller,
                call.contract = %self.contract, call.address = %self.address,
                call.status = self.status, call.ms = ms, "{}", self.outcome
            ),
            Some(producer) => tracing::info!(
                call.id = %self.correlation, call.log = %self.log_id, call.caller = %self.caller,
                call.contract = %self.contract, call.address = %self.address,
                call.status = self.status, call.ms = ms, call.producer = %producer,
                call.producer_ms = self.producer_ms,
                call.bytes_in = self.counts.into.load(Ordering::Relaxed),
                call.bytes_out = self.counts.out.load(Ordering::Relaxed), "{}", self.outcome
            ),
        }
    }
}
