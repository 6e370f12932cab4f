//! The network between the gateway and those it calls: what is lost, late, cut, doubled or garbled.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use klagomal::delivery::Callers;
use klagomal::limits;
use klagomal::producer::{Answer, Body, Call, Caller, Loss, Seen, Stage};
use klagomal::tak::System;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::bugs::Bug;
use crate::fault::Fault;
use crate::peers::{self, Reply};
use crate::world::World;

/// Makes the calls of one world.
#[derive(Debug)]
pub struct Network(pub Weak<World>);

impl Callers for Network {
    fn producer(&self, system: &System) -> Result<Box<dyn Caller>, String> {
        let world = self.0.upgrade().ok_or("the world has ended")?;
        let mut to = system.id.clone().unwrap_or_default();
        if world.has_bug(Bug::RoutesAtSend)
            && to == "region-a"
            && world.config().vc2 == Some("region-b")
        {
            "region-b".clone_into(&mut to);
        }
        Ok(Box::new(Line { world, to }))
    }
}

/// The connections to one system.
#[derive(Debug)]
struct Line {
    world: Arc<World>,
    to: String,
}

impl Caller for Line {
    fn call_for(&self, call: Call, _: usize) -> BoxFuture<'_, Seen> {
        Box::pin(async {
            let _one = match self.world.has_bug(Bug::OneCallAtATime) {
                true => Some(self.world.one_call.lock().await),
                false => None,
            };
            let start = Instant::now();
            let seen = self.exchange(call, start).await;
            self.world.note(&format!("call {} {}", self.to, told(&seen)));
            self.world.crash_point(Fault::KilledBeforeOutcome).await;
            seen
        })
    }
}

fn told(seen: &Seen) -> String {
    match seen {
        Seen::NotSent { stage, .. } => format!("not sent: {stage:?}"),
        Seen::Answered(answer) => format!("answered {} {}", answer.status, answer.body.len()),
        Seen::Unknown { bytes_sent, bytes, loss, .. } => {
            format!("unknown: {loss:?} {bytes_sent}/{bytes}")
        }
    }
}

impl Line {
    async fn exchange(&self, call: Call, start: Instant) -> Seen {
        let world = &self.world;
        let body = whole(call.body).await;
        world.crash_point(Fault::KilledBeforeCall).await;
        sleep(Duration::from_millis(1 + world.below(20))).await;
        let not_sent = |stage| Seen::NotSent { stage, why: format!("{stage:?}"), ms: ms(start) };
        for (fault, stage) in [
            (Fault::NameNotResolved, Stage::Resolve),
            (Fault::ConnectionRefused, Stage::Connect),
            (Fault::TlsRefused, Stage::Tls),
            (Fault::ClosedBeforeBegun, Stage::Begin),
        ] {
            if world.strikes(fault) {
                return not_sent(stage);
            }
        }
        let bytes = u64::try_from(body.len()).unwrap();
        let unknown = |bytes_sent, loss, read| Seen::Unknown {
            bytes_sent,
            bytes,
            read,
            loss,
            why: format!("{loss:?}"),
            ms: ms(start),
        };
        let away = world.peers().away.get(&self.to).copied().filter(|it| it.until > Instant::now());
        match away {
            Some(away) if away.hangs => {
                sleep(call.timeout).await;
                return unknown(bytes, Loss::Timeout, None);
            }
            Some(_) => return not_sent(Stage::Connect),
            None => {}
        }
        if world.strikes(Fault::RequestCutShort) {
            return unknown(world.below(bytes), Loss::Reset, None);
        }
        if world.strikes(Fault::RequestLost) {
            sleep(call.timeout).await;
            return unknown(bytes, Loss::Timeout, None);
        }
        if world.strikes(Fault::ResetUnread) {
            return unknown(bytes, Loss::Reset, None);
        }
        let answer = self.on_its_way(&call.soap_action, body, call.timeout);
        world.crash_point(Fault::KilledDuringCall).await;
        let reply = match tokio::time::timeout(call.timeout, answer).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => return unknown(bytes, Loss::Closed, None),
            Err(_) => return unknown(bytes, Loss::Timeout, None),
        };
        self.back(reply, call.timeout, start, unknown, bytes).await
    }

    /// The message comes to its peer, whatever becomes of the caller meanwhile.
    fn on_its_way(&self, action: &str, body: Bytes, timeout: Duration) -> oneshot::Receiver<Reply> {
        let world = Arc::clone(&self.world);
        let (to, action) = (self.to.clone(), action.to_owned());
        let (sender, receiver) = oneshot::channel();
        let mut way = Duration::from_millis(1 + world.below(50));
        let late = world.strikes(Fault::RequestLate);
        if late {
            way += timeout + Duration::from_secs(world.below(600));
        }
        let twice = world.strikes(Fault::RequestTwice);
        tokio::spawn(async move {
            sleep(way).await;
            let text = String::from_utf8(body.to_vec()).unwrap();
            let reply = peers::take(&world, &to, &action, &text, late);
            world.note(&format!("{to} takes {} {}", peers::words_of(&text), reply.status));
            // Its caller may have given up.
            sender.send(reply).unwrap_or_default();
            if twice {
                sleep(Duration::from_millis(world.below(5_000))).await;
                drop(peers::take(&world, &to, &action, &text, true));
            }
        });
        receiver
    }

    async fn back(
        &self,
        reply: Reply,
        timeout: Duration,
        start: Instant,
        unknown: impl Fn(u64, Loss, Option<Answer>) -> Seen,
        bytes: u64,
    ) -> Seen {
        let world = &self.world;
        if world.strikes(Fault::AnswerLost) {
            return unknown(bytes, Loss::Closed, None);
        }
        if world.strikes(Fault::AnswerNeverEnds) {
            sleep(timeout.saturating_sub(start.elapsed())).await;
            return unknown(bytes, Loss::Timeout, None);
        }
        let answer = |body: Bytes| Answer {
            status: reply.status,
            headers: vec![("content-type".to_owned(), reply.kind.to_owned())],
            body,
            ms: ms(start),
        };
        if world.strikes(Fault::AnswerCutShort) {
            let half = reply.body.slice(..reply.body.len() / 2);
            return unknown(bytes, Loss::Closed, Some(answer(half)));
        }
        if world.strikes(Fault::AnswerTooLarge) {
            return unknown(bytes, Loss::AnswerTooLarge, Some(answer(reply.body.clone())));
        }
        if world.strikes(Fault::AnswerNotHttp) {
            return unknown(bytes, Loss::NotHttp, None);
        }
        if world.strikes(Fault::AnswerSlow) {
            let left = timeout.saturating_sub(start.elapsed());
            sleep(left.mul_f64(0.9)).await;
        }
        Seen::Answered(answer(reply.body.clone()))
    }
}

fn ms(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap()
}

async fn whole(body: Body) -> Bytes {
    match body {
        Body::Whole(bytes) => bytes,
        Body::Stream { bytes, mut chunks } => {
            let mut all = Vec::with_capacity(usize::try_from(bytes).unwrap());
            while let Some(chunk) = chunks.next().await {
                all.extend_from_slice(&chunk.unwrap());
            }
            assert_eq!(bytes, u64::try_from(all.len()).unwrap());
            assert!(all.len() <= limits::ANSWER_BYTES_MAX, "messages are small here");
            Bytes::from(all)
        }
    }
}
