//! Fetching routes and permissions from a live TAK: when it is due, and when an operator asks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Parts, follow};
use crate::clock;
use crate::delivery::Callers as _;
use crate::limits;
use crate::producer::{Answer, Body, Call, Caller, Seen};
use crate::routing::live::{By, FailureKind, NotFetched, Taken};
use crate::soap;
use crate::tak::{Source, System};

const ROUTES: &str = "hamtaAllaVirtualiseringar";
const PERMISSIONS: &str = "hamtaAllaAnropsBehorigheter";

/// An operator waits for a fetch.
pub(super) struct Ask {
    accept_fewer: bool,
    outcome: oneshot::Sender<Result<Taken, NotFetched>>,
}

impl Ask {
    fn by(ask: Option<&Self>) -> By {
        ask.map_or(By::Due, |it| By::Operator { accept_fewer: it.accept_fewer })
    }
}

/// When the next fetch is due, and from where.
struct Due {
    system: Arc<System>,
    every: Duration,
    at: Instant,
}

/// Fetches until `stop`, one at a time.
pub(super) async fn follow_tak(
    parts: Parts,
    mut asked: mpsc::Receiver<Ask>,
    stop: CancellationToken,
) {
    let mut due: Option<Due> = None;
    loop {
        let ask = tokio::select! {
            () = stop.cancelled() => return,
            ask = asked.recv() => ask,
            () = sleep(limits::TAK_FETCH_LOOK) => None,
        };
        let routing = parts.routing.get();
        let Some(system) = routing.table.live_tak() else {
            due = None;
            parts.routing.fetch_due(None);
            if let Some(ask) = ask {
                let outcome = fetch(&parts, Ask::by(Some(&ask))).await;
                answer(ask, outcome);
            }
            continue;
        };
        let every = routing.table.platform().tak_every;
        drop(routing);
        if ask.is_none() && !is_due(due.as_ref(), &system, every) {
            continue;
        }
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = fetch(&parts, Ask::by(ask.as_ref())) => outcome,
        };
        if let Some(ask) = ask {
            answer(ask, outcome);
        }
        let wait = about(every);
        due = Some(Due { system, every, at: Instant::now() + wait });
        parts.routing.fetch_due(Some(clock::after(parts.clock.now(), wait)));
    }
}

fn is_due(due: Option<&Due>, system: &System, every: Duration) -> bool {
    // Another source, or another rhythm, is asked at once.
    due.is_none_or(|it| {
        it.system.id != system.id
            || it.system.url != system.url
            || it.every != every
            || it.at <= Instant::now()
    })
}

fn answer(ask: Ask, outcome: Result<Taken, NotFetched>) {
    if ask.outcome.send(outcome).is_err() {
        tracing::debug!("nobody waits any more for the fetch that was asked for");
    }
}

/// A tenth more or less, so that gateways started together do not ask together.
fn about(every: Duration) -> Duration {
    let random = u32::try_from(Uuid::new_v4().as_u128() % 2001).unwrap_or(1000);
    every.saturating_mul(9000 + random) / 10_000
}

/// Asks the loop for a fetch and waits for it, on a thread that may wait.
pub(super) fn ask(parts: &Parts, accept_fewer: bool) -> Result<Taken, NotFetched> {
    let busy = |why: &str| NotFetched::new(FailureKind::NoAnswer, why);
    let (sender, outcome) = oneshot::channel();
    let ask = Ask { accept_fewer, outcome: sender };
    parts.fetches.try_send(ask).map_err(|_| busy("others have asked for a fetch already"))?;
    let wait = timeout(limits::TAK_FETCH_ASKED_WAIT, outcome);
    match tokio::runtime::Handle::current().block_on(wait) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(busy("the gateway is stopping")),
        Err(_) => {
            Err(busy("it takes long and goes on; `klagomal tak status` shows what came of it"))
        }
    }
}

/// One fetch; what came of it is noted and told.
pub(super) async fn fetch(parts: &Parts, by: By) -> Result<Taken, NotFetched> {
    let outcome = attempt(parts, by).await;
    match &outcome {
        Ok(taken) => {
            if let Some(outcome) = &taken.outcome {
                let report = &taken.report;
                tracing::info!(
                    routes = report.routes,
                    permissions = report.permissions,
                    left = report.left.len(),
                    "the live TAK has other rows: {}",
                    taken.wrote.join(", ")
                );
                follow::tell(parts, outcome);
            }
        }
        // Standing still is no failure; that it does was told when it began.
        Err(NotFetched { kind: FailureKind::Paused, .. }) => {}
        Err(why) => {
            if parts.routing.fetch_failed(why, parts.clock.now()) {
                tracing::error!(
                    kind = ?why.kind,
                    "the live TAK gave nothing to use, and routing stays as it is: {why}"
                );
            }
        }
    }
    outcome
}

async fn attempt(parts: &Parts, by: By) -> Result<Taken, NotFetched> {
    let begun = {
        let (routing, now) = (parts.routing.clone(), parts.clock.now());
        blocking(move || routing.begin_fetch(by, now)).await?
    };
    let system = &begun.system;
    let producer = parts
        .connections
        .producer(system)
        .map_err(|why| NotFetched::new(FailureKind::Identity, why))?;
    let answers = [
        question(producer.as_ref(), system, ROUTES).await?,
        question(producer.as_ref(), system, PERMISSIONS).await?,
    ];
    let (routing, now) = (parts.routing.clone(), parts.clock.now());
    blocking(move || routing.take_over(&answers, &begun, now)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotFetched> + Send + 'static,
) -> Result<T, NotFetched> {
    let cut = |_| NotFetched::new(FailureKind::Folder, "the work was cut off");
    tokio::task::spawn_blocking(work).await.map_err(cut)?
}

/// Asks one question, and gives the answer as it came.
async fn question(
    producer: &dyn Caller,
    system: &System,
    operation: &str,
) -> Result<Source, NotFetched> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"{}\"><soap:Body>\
         <{operation} xmlns=\"urn:skl:tp:vagvalsinfo:v2\"/></soap:Body></soap:Envelope>",
        soap::SOAP_11
    );
    let call = Call {
        url: system.url.as_deref().unwrap_or_default().to_owned(),
        soap_action: String::new(),
        content_type: "text/xml; charset=utf-8".to_owned(),
        headers: Vec::new(),
        body: Body::Whole(Bytes::from(body)),
        timeout: limits::TAK_FETCH_TIME_MAX,
    };
    match producer.call_for(call, limits::TAK_ANSWER_BYTES_MAX).await {
        Seen::Answered(answer) => text(answer, operation),
        Seen::NotSent { why, .. } => {
            Err(NotFetched::new(FailureKind::Unreachable, format!("{operation}: {why}")))
        }
        Seen::Unknown { why, .. } => {
            Err(NotFetched::new(FailureKind::NoAnswer, format!("{operation}: {why}")))
        }
    }
}

/// The text of an answer that says 200.
fn text(answer: Answer, operation: &str) -> Result<Source, NotFetched> {
    let failed = |kind, what: &str| {
        let plain = what.chars().map(|c| if c.is_control() { ' ' } else { c });
        let what: String = plain.take(limits::LINE_CHARS_MAX).collect();
        NotFetched::new(kind, format!("{operation}: {what}"))
    };
    if answer.status != 200 {
        return Err(match soap::read_fault(&answer.body) {
            Some(fault) => {
                let what = format!("the TAK answered with a fault: {}", fault.string);
                failed(FailureKind::Fault, &what)
            }
            None => failed(FailureKind::Http, &format!("the TAK answered HTTP {}", answer.status)),
        });
    }
    let text = String::from_utf8(Vec::from(answer.body))
        .map_err(|_| failed(FailureKind::Unreadable, "the answer is not UTF-8"))?;
    Ok(Source { name: format!("{operation}Response"), text })
}

#[cfg(test)]
mod tests;
