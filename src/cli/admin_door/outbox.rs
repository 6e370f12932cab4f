//! `klagomal outbox …`: what is owed to others, and decisions about one message or many.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{At, Failed, Outcome, confirmed, of_json, path_part, show};
use crate::admin::outbox::{DecideManyRequest, PauseRequest, SelectRequest};
use crate::cases::record::Item;
use crate::cases::select::{Acted, Seen, Selected, Selection, Standing};
use crate::clock::{Clock as _, SystemClock};
use crate::complaint::event::Decision;
use crate::limits;

/// The states that `--state` knows.
const STATES: [&str; 6] = ["waiting", "due", "leased", "unknown", "parked", "held"];

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OutboxCommand {
    /// What stands still and needs a person, or what is chosen; and which receivers are paused.
    List {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// One outgoing message.
    Show {
        /// As `outbox list` names it.
        id: String,
        #[command(flatten)]
        at: At,
    },
    /// Send again now: one, or what is unknown or parked of what is chosen.
    Retry(Decide),
    /// Leave it until it is released: one, or what is chosen.
    Hold(Decide),
    /// Give free what is held: one, or what is chosen. It is sent in its turn.
    Release(Decide),
    /// It was found to have arrived.
    MarkDelivered(DecideOne),
    /// Never send it: one, or what is unknown, parked or held of what is chosen.
    Discard(Decide),
    /// Send nothing more to a receiver until it is resumed; what is owed to it gathers.
    Pause {
        /// The receiver's id in the routing configuration.
        system: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        why: Why,
    },
    /// Send to a paused receiver again.
    Resume {
        /// The receiver's id in the routing configuration.
        system: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        why: Why,
    },
}

/// Why; it stays in the journal.
#[derive(Debug, Args)]
pub(in crate::cli) struct Why {
    /// Why; it stays in the journal. Name nobody.
    #[arg(long = "why", visible_alias = "reason", value_name = "TEXT")]
    why: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecideOne {
    /// As `outbox list` names it.
    id: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    why: Why,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Decide {
    /// As `outbox list` names it; without it, say which are meant.
    #[arg(conflicts_with_all = ["to", "state", "case", "older_than", "all"])]
    id: Option<String>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    chosen: Chosen,
    /// All that can be decided about so.
    #[arg(long)]
    all: bool,
    /// Do it; without it, only what would be done is shown, and at a terminal asked about.
    #[arg(long)]
    yes: bool,
}

/// Which messages are meant; several of these narrow each other.
#[derive(Debug, Args)]
pub(in crate::cli) struct Chosen {
    /// To this receiver.
    #[arg(long, value_name = "SYSTEM")]
    to: Option<String>,
    /// In this state; can be given several times.
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    state: Vec<String>,
    /// Of this case, by its registration number.
    #[arg(long, value_name = "NUMBER")]
    case: Option<String>,
    /// Owed for longer than this: 30min, 2h, 7d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
}

fn time(text: &str) -> Result<Duration, String> {
    crate::tak::duration(text).ok_or_else(|| "expected 30min, 2h or 7d".to_owned())
}

impl Chosen {
    const fn is_given(&self) -> bool {
        self.to.is_some()
            || !self.state.is_empty()
            || self.case.is_some()
            || self.older_than.is_some()
    }

    fn request(&self, at: &At, decision: Option<Decision>) -> Result<Selected, Failed> {
        let states: Vec<Standing> = of_json(json!(self.state))?;
        let now = SystemClock.now();
        let before = |age: Duration| now.checked_sub(age).unwrap_or(jiff::Timestamp::MIN);
        let selection = Selection {
            to: self.to.clone(),
            states,
            case: self.case.clone().map(|number| of_json(json!(number))).transpose()?,
            owed_before: self.older_than.map(before),
        };
        of_json(at.post("/outbox/select", &SelectRequest { decision, selection })?)
    }
}

impl OutboxCommand {
    pub(in crate::cli) fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::List { at, chosen } => list(&at, &chosen, out),
            Self::Show { id, at } => {
                let item = at.get(&format!("/outbox/{}", path_part(&id)))?;
                at.write(&item, show::item, out)
            }
            Self::Retry(decide) => decide.run(Decision::Retry, out),
            Self::Hold(decide) => decide.run(Decision::Hold, out),
            Self::Release(decide) => decide.run(Decision::Release, out),
            Self::Discard(decide) => decide.run(Decision::Discard, out),
            Self::MarkDelivered(it) => {
                one(&it.at, &it.id, Decision::MarkDelivered, &it.why.why, out)
            }
            Self::Pause { system, at, why } => turn(&at, "/outbox/pause", system, why, out),
            Self::Resume { system, at, why } => turn(&at, "/outbox/resume", system, why, out),
        }
    }
}

fn turn(at: &At, path: &str, system: String, why: Why, out: &mut dyn Write) -> Outcome {
    let done = at.post(path, &PauseRequest { system, reason: why.why })?;
    let people = if path.ends_with("pause") { show::paused } else { show::resumed };
    at.write(&done, people, out)
}

fn list(at: &At, chosen: &Chosen, out: &mut dyn Write) -> Outcome {
    if !chosen.is_given() {
        let items = at.get("/outbox?limit=10000")?;
        if !at.json {
            show::pauses(&at.get("/outbox/pauses")?, out)?;
        }
        return at.write(&items, show::items, out);
    }
    let selected = chosen.request(at, None)?;
    let items = serde_json::to_value(&selected.items)
        .map_err(|error| Failed(format!("the messages cannot be written: {error}")))?;
    at.write(&items, show::items, out)?;
    if selected.more && !at.json {
        writeln!(out, "and more than these {}", limits::OUTBOX_SELECTION_MAX)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn one(at: &At, id: &str, decision: Decision, why: &str, out: &mut dyn Write) -> Outcome {
    let body = json!({ "decision": decision, "reason": why });
    let item = at.post(&format!("/outbox/{}", path_part(id)), &body)?;
    at.write(&item, show::item, out)
}

impl Decide {
    fn run(self, decision: Decision, out: &mut dyn Write) -> Outcome {
        match &self.id {
            Some(id) => one(&self.at, id, decision, &self.why.why, out),
            None if self.all || self.chosen.is_given() => self.many(decision, out),
            None => Err(Failed(
                "name one message, or say which are meant: --to, --state, --case, --older-than or \
                 --all"
                    .to_owned(),
            )),
        }
    }

    fn many(&self, decision: Decision, out: &mut dyn Write) -> Outcome {
        let Selected { items, more } = self.chosen.request(&self.at, Some(decision))?;
        let scope = Scope::of(decision, &items, more);
        if !self.at.json {
            write!(out, "{scope}")?;
            out.flush()?;
        }
        if items.is_empty() {
            if self.at.json {
                show::pretty(&json!({ "scope": scope.to_json(), "acted": [] }), out)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if !self.yes && !confirmed("messages", items.len())? {
            if self.at.json {
                show::pretty(&json!({ "scope": scope.to_json(), "acted": [] }), out)?;
            }
            return Err(Failed("nothing was done; add --yes to do it".to_owned()));
        }
        let acted = self.act(decision, &items)?;
        let moved = acted.iter().filter(|it| !it.done).count();
        if self.at.json {
            show::pretty(&json!({ "scope": scope.to_json(), "acted": acted }), out)?;
        } else {
            writeln!(out, "done with {} messages", acted.len() - moved)?;
            for it in acted.iter().filter(|it| !it.done) {
                writeln!(out, "  {} had moved meanwhile and is left alone: {}", it.id, it.state)?;
            }
        }
        Ok(if moved == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// In bounded steps, each of them whole; what was shown is what is sent back.
    fn act(&self, decision: Decision, items: &[Item]) -> Result<Vec<Acted>, Failed> {
        let mut acted: Vec<Acted> = Vec::new();
        for batch in items.chunks(limits::OUTBOX_BATCH_MAX) {
            let seen = batch.iter().map(Seen::from).collect();
            let reason = self.why.why.clone();
            let done = self
                .at
                .post("/outbox/decide", &DecideManyRequest { decision, reason, seen })
                .and_then(of_json::<Vec<Acted>>)
                .map_err(|Failed(why)| {
                    let before = acted.iter().filter(|it| it.done).count();
                    Failed(format!("stopped after {before} messages: {why}; run it again"))
                })?;
            acted.extend(done);
        }
        Ok(acted)
    }
}

/// What a decision about many would do.
struct Scope {
    decision: Decision,
    count: usize,
    cases: usize,
    /// By receiver and state.
    parts: BTreeMap<(String, &'static str), usize>,
    more: bool,
}

impl Scope {
    fn of(decision: Decision, items: &[Item], more: bool) -> Self {
        let cases: BTreeSet<&str> = items.iter().map(|it| it.number.as_str()).collect();
        let mut parts = BTreeMap::new();
        for item in items {
            *parts.entry((item.to.clone(), item.state.name())).or_default() += 1;
        }
        Self { decision, count: items.len(), cases: cases.len(), parts, more }
    }

    fn receivers(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.parts.keys().map(|(to, _)| to.as_str()).collect();
        all.dedup();
        all
    }

    fn to_json(&self) -> Value {
        let part = |((to, state), count): (&(String, &str), &usize)| json!({ "to": to, "state": state, "count": count });
        let parts: Vec<Value> = self.parts.iter().map(part).collect();
        json!({ "messages": self.count, "cases": self.cases, "parts": parts, "more": self.more })
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.count == 0 {
            return writeln!(f, "there are no such messages: nothing to do");
        }
        let does = match self.decision {
            Decision::Retry => "resend",
            Decision::Hold => "hold",
            Decision::Release => "release",
            Decision::MarkDelivered => "mark as delivered",
            Decision::Discard => "discard, and never send,",
        };
        let many = |count: usize, one: &str| {
            if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
        };
        let (messages, cases) = (many(self.count, "message"), many(self.cases, "case"));
        writeln!(f, "this will {does} {messages} of {cases} to {}", self.receivers().join(", "))?;
        for ((to, state), count) in &self.parts {
            writeln!(f, "  {count} {state}, to {to}")?;
        }
        if self.decision == Decision::Retry && self.parts.keys().any(|(_, it)| *it == "unknown") {
            writeln!(f, "what is unknown may have arrived: the receiver may get it twice")?;
        }
        if self.more {
            writeln!(f, "there are more: run it again for the rest")?;
        }
        Ok(())
    }
}
