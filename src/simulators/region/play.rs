//! Plays the script of each case: sends every step until the gateway has it, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::{Inner, Step};
use crate::complaint::message::{ClosureReason, Ii, ProcessComplaintHandling};
use crate::limits;
use crate::producer::Judgement;

/// A message of handling that a script sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SentHandling {
    pub case_id: Ii,
    pub message_id: Ii,
    /// As `acknowledgement` or `reply`.
    pub kind: String,
    /// When the last answer came.
    pub at: Timestamp,
    /// How many times it was sent.
    pub attempts: u32,
    /// Whether the gateway took it.
    pub done: bool,
    /// The last answer, in a few words.
    pub outcome: String,
}

/// The cases that have come, and how far the script of each has got.
#[derive(Debug, Default)]
pub(super) struct Cases {
    cases: BTreeMap<Ii, Case>,
    latest: Option<Ii>,
}

#[derive(Debug)]
struct Case {
    number: String,
    steps: VecDeque<Step>,
    pause: Duration,
    /// A question has been asked.
    waiting: bool,
    /// A task is at it.
    playing: bool,
    twice: bool,
    questions: u32,
}

impl Cases {
    /// A case begins; its registration number. A case that is there already goes on as it was.
    pub(super) fn begin(
        &mut self,
        id: &Ii,
        steps: Vec<Step>,
        pause: Duration,
        twice: bool,
    ) -> String {
        let next = self.cases.len() + 1;
        self.latest = Some(id.clone());
        let case = self.cases.entry(id.clone()).or_insert_with(|| Case {
            number: format!("REGION-{next:06}"),
            steps: steps.into(),
            pause,
            waiting: false,
            playing: false,
            twice,
            questions: 0,
        });
        case.number.clone()
    }

    /// The registration number of a case.
    pub(super) fn number(&self, id: &Ii) -> Option<String> {
        self.cases.get(id).map(|case| case.number.clone())
    }

    /// The complainant has sent more. A withdrawn case is closed instead of what was to come.
    pub(super) fn go_on(&mut self, id: &Ii, withdrawn: bool) {
        let Some(case) = self.cases.get_mut(id) else { return };
        case.waiting = false;
        if withdrawn {
            case.steps = VecDeque::from([Step::Closure(ClosureReason::Withdrawn)]);
        }
    }

    /// Whether a task must now be started for the case; if so, it counts as started.
    pub(super) fn starts(&mut self, id: &Ii) -> bool {
        let Some(case) = self.cases.get_mut(id) else { return false };
        let starts = !case.playing && !case.waiting && !case.steps.is_empty();
        case.playing |= starts;
        starts
    }

    /// The id of the next question in a case.
    pub(super) fn question(&mut self, id: &Ii) -> String {
        let number = self.cases.get_mut(id).map_or(1, |case| {
            case.questions = case.questions.saturating_add(1);
            case.questions
        });
        format!("fraga-{number}")
    }

    /// A case by the extension (or root) of its id, or `latest`.
    pub(super) fn find(&self, name: &str) -> Option<Ii> {
        if name == "latest" {
            return self.latest.clone();
        }
        let is = |id: &&Ii| id.extension.as_deref().unwrap_or(&id.root) == name;
        self.cases.keys().find(is).cloned()
    }

    /// The next step; `None` ends the task.
    fn next(&mut self, id: &Ii) -> Option<(Step, Duration, bool)> {
        let case = self.cases.get_mut(id)?;
        let step = if case.waiting { None } else { case.steps.pop_front() };
        let Some(step) = step else {
            case.playing = false;
            return None;
        };
        case.waiting = step == Step::Question;
        Some((step, case.pause, case.twice))
    }

    /// A message was refused: what comes after it would be, too.
    fn give_up(&mut self, id: &Ii) {
        if let Some(case) = self.cases.get_mut(id) {
            case.steps.clear();
            case.playing = false;
        }
    }
}

impl Inner {
    /// Plays what there is to play of a case.
    pub(super) async fn play(self: Arc<Self>, id: Ii) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.steps(&id) => {}
        }
    }

    async fn steps(&self, id: &Ii) {
        loop {
            let next = self.state().cases.next(id);
            let Some((step, pause, twice)) = next else { return };
            tokio::time::sleep(pause).await;
            if let Step::Wait(wait) = step {
                tokio::time::sleep(wait).await;
                continue;
            }
            let message = match self.message(id, &step).await {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(simulator = "region", %error, "a step cannot be made");
                    return self.state().cases.give_up(id);
                }
            };
            let mut done = self.deliver(id, &step, &message).await;
            if done && twice {
                done = self.deliver(id, &step, &message).await;
            }
            if !done {
                return self.state().cases.give_up(id);
            }
        }
    }

    /// Sends one message until the gateway has taken or refused it. The id stays the same.
    async fn deliver(&self, id: &Ii, step: &Step, message: &ProcessComplaintHandling) -> bool {
        let (mut attempts, mut outcome, mut done) = (0, String::new(), false);
        while attempts < limits::SIMULATOR_ATTEMPTS_MAX {
            attempts += 1;
            let Ok(sent) = self.send(message).await else { return false };
            outcome = sent.summary();
            tracing::info!(simulator = "region", kind = %step, attempts, outcome, "handling sent");
            match sent.judgement() {
                Judgement::Done => {
                    done = true;
                    break;
                }
                Judgement::Refused { resend_helps: false, .. } => break,
                Judgement::Refused { resend_helps: true, .. }
                | Judgement::Unknown { .. }
                | Judgement::RetryLater { .. } => {
                    tokio::time::sleep(self.retry_pause.saturating_mul(attempts)).await;
                }
            }
        }
        let mut state = self.state();
        if state.sent.len() < limits::SIMULATOR_MESSAGES_MAX {
            state.sent.push(SentHandling {
                case_id: id.clone(),
                message_id: message.message_id.clone(),
                kind: step.to_string(),
                at: self.clock.now(),
                attempts,
                done,
                outcome,
            });
        }
        done
    }
}
