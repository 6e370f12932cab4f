//! A decision told step by step, for the person who asks why.

use std::fmt::{self, Write as _};

use serde::Serialize;
use serde::ser::SerializeStruct as _;

use super::decide::{Decision, Destination, Handling, Question, Stage, Step, Verdict, Via};
use super::denial::Denial;
use super::rows::Target;
use super::values::nearest;
use super::{PROCESS_COMPLAINT, Table};
use crate::clock;
use crate::id::HsaId;

/// A decision with every step in words. `Display` gives the whole text.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What [`Table::decide`] answers to the same question.
    pub decision: Decision,
    /// The question.
    pub question: String,
    /// One line for each step: what was tried, what came of it, and `file:line`.
    pub steps: Vec<String>,
    /// The answer.
    pub answer: Vec<String>,
}

impl Table {
    /// Decides, and tells how it came about.
    #[must_use]
    pub fn explain(&self, question: &Question<'_>) -> Explanation {
        let decision = self.decide(question);
        let answer = self.answer(question, &decision);
        let asked = format!(
            "{}{} calls {}\nat \"{}\" on {} with {}",
            question.caller,
            self.caller(question.caller).map_or_else(String::new, |it| format!(" ({})", it.name)),
            question.contract,
            question.address,
            clock::swedish_day(question.at),
            question.profile,
        );
        let steps = decision.trail.iter().map(|it| self.tell(question, it)).collect();
        Explanation { decision, question: asked, steps, answer }
    }

    fn tell(&self, question: &Question<'_>, step: &Step) -> String {
        let mut line = format!("{:<10} {}", stage(step.stage), self.tried(question, step));
        if let Some(row) = step.row {
            let content = self.content(step.stage, row.place);
            let days = if row.days == super::Days::ALL {
                String::new()
            } else {
                format!(" [{}]", row.days)
            };
            let colon = if content.is_empty() { "" } else { ": " };
            push(&mut line, format_args!("{colon}{content}{days}"));
        }
        push(&mut line, format_args!(": {}", verdict(step)));
        if let Some(row) = step.row {
            push(&mut line, format_args!(" ({}:{})", self.file(row.place), row.place.line()));
        }
        line
    }

    fn tried(&self, question: &Question<'_>, step: &Step) -> String {
        let address = step.address.as_deref().unwrap_or(match step.via {
            Via::Standard => "*",
            Via::Asked | Via::Token | Via::Parent => question.address,
        });
        match step.via {
            Via::Asked if step.stage == Stage::County => self
                .unit_of(address)
                .and_then(|it| self.county(&it.county))
                .map_or_else(|| "?".to_owned(), |it| format!("{} {}", it.code, it.name)),
            Via::Asked => format!("\"{address}\""),
            Via::Token => format!("\"{address}\" (part of the address)"),
            Via::Parent => format!("\"{address}\" (above it in the organisation)"),
            Via::Standard => "\"*\" (standard)".to_owned(),
        }
    }

    /// What the row at a place says.
    fn content(&self, stage: Stage, place: super::Place) -> String {
        match stage {
            Stage::Own => "this gateway".to_owned(),
            Stage::Portal => "the 1177 platform".to_owned(),
            Stage::Unit => {
                let unit = self.units.values().find(|it| it.place == place);
                unit.map_or_else(String::new, |it| it.name.clone())
            }
            Stage::Handling => {
                let periods = self.units.values().flat_map(|it| &it.handling);
                let found = periods.into_iter().find(|it| it.place == place);
                found.map_or_else(String::new, |it| it.method.told())
            }
            Stage::Route => {
                let found = self.routes.iter().find(|it| it.place == place);
                found.map_or_else(String::new, |it| match &it.target {
                    Target::System(system) => format!(
                        "route to system {} ({})",
                        system.id.as_deref().unwrap_or("?"),
                        it.profile
                    ),
                    Target::Url(url) => format!("route to {url} ({})", it.profile),
                })
            }
            Stage::County | Stage::Permission => String::new(),
        }
    }

    fn unit_of(&self, address: &str) -> Option<std::sync::Arc<super::Unit>> {
        HsaId::parse(address).ok().and_then(|it| self.unit(&it))
    }

    fn answer(&self, question: &Question<'_>, decision: &Decision) -> Vec<String> {
        match &decision.outcome {
            Err(denial) => {
                let mut lines = vec![
                    format!("REFUSED, {}", denial.code()),
                    format!("to the caller: {}", denial.text()),
                    format!("detail: {}", denial.detail()),
                ];
                lines.extend(self.next_step(question, denial).map(|it| format!("next: {it}")));
                lines
            }
            Ok(Destination::Handling) => {
                vec!["ALLOWED: an event of the handling, kept and passed on".to_owned()]
            }
            Ok(Destination::Answer) => vec!["answer: allowed; answered by this gateway".to_owned()],
            Ok(Destination::Forward { system, url, profile, timeout }) => {
                let name = system.as_ref().map_or("", |it| it.name.as_str());
                let seconds = timeout.as_secs_f64();
                vec![
                    format!("ALLOWED: passed on to {url} ({profile})"),
                    format!("system: {name}; answer within {seconds} s"),
                ]
            }
            Ok(Destination::Keep { unit, handling }) => {
                let how = match handling {
                    Handling::Store => "the built-in store".to_owned(),
                    Handling::System { system, receiver } => format!(
                        "system {} as {receiver}",
                        system.id.as_deref().unwrap_or(&system.name)
                    ),
                };
                vec![format!("ALLOWED: kept for {} ({}) in {how}", unit.hsa_id, unit.name)]
            }
        }
    }

    /// What an operator can do about a refusal.
    fn next_step(&self, question: &Question<'_>, denial: &Denial) -> Option<String> {
        let address = question.address.trim();
        Some(match denial {
            Denial::NoRoute { .. } if self.unit_of(address).is_some() => {
                let unit = self.unit_of(address)?;
                let row = self.row(unit.place);
                format!("give the unit a [[unit.handling]] that holds that day ({row})")
            }
            Denial::NoRoute { .. } => {
                let contract = self.names.find(question.contract.as_str());
                let routed = self.routes.iter().filter(|it| Some(it.contract) == contract);
                let routed = routed.map(|it| self.names.text(it.address));
                let is_case = question.contract.as_str().eq_ignore_ascii_case(PROCESS_COMPLAINT);
                let units = self.units.keys().map(HsaId::as_str).filter(|_| is_case);
                let known = units.chain(routed).filter(|it| !it.eq_ignore_ascii_case(address));
                // All ids of an organisation look alike: two slips of the hand, no more.
                let near = nearest(address, known).filter(|near| slips(near, address) <= 2);
                match (near, is_case) {
                    (Some(near), _) => format!("did the caller mean {near}?"),
                    (None, true) => format!("add a [[unit]] with hsa_id = \"{address}\""),
                    (None, false) => {
                        format!("add a [[route]] with logical_address = \"{address}\"")
                    }
                }
            }
            Denial::CountyNotLive { county, missing, .. } => {
                let missing: Vec<_> = missing.iter().map(|it| it.english()).collect();
                let row = self.county(county).map(|it| self.row(it.place)).unwrap_or_default();
                format!("give county {county} {} ({row})", missing.join(" and "))
            }
            Denial::NotPermitted { .. } => format!(
                "if it should be let through, add a [[permission]] with consumer = \"{}\", \
                 contract = \"{}\", logical_address = \"{address}\"",
                question.caller, question.contract
            ),
            Denial::MoreThanOne { .. } => {
                "end all but one of the routes that fit, below, or give each its profile".to_owned()
            }
            Denial::NoUrl { .. } => "give the route's system a url".to_owned(),
            Denial::NoAddress | Denial::NoTable => return None,
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.question)?;
        for line in &self.answer {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "\nhow configuration {} came to it:", self.decision.generation)?;
        for (at, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>3}. {step}", at + 1)?;
        }
        Ok(())
    }
}

impl Serialize for Explanation {
    /// `allowed`, `code`, `question`, `answer`, `steps`, `generation`.
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut whole = to.serialize_struct("Explanation", 6)?;
        whole.serialize_field("allowed", &self.decision.outcome.is_ok())?;
        let code = self.decision.outcome.as_ref().err().map(Denial::code);
        whole.serialize_field("code", &code)?;
        whole.serialize_field("question", &self.question)?;
        whole.serialize_field("answer", &self.answer)?;
        whole.serialize_field("steps", &self.steps)?;
        whole.serialize_field("generation", self.decision.generation.full())?;
        whole.end()
    }
}

fn slips(one: &str, other: &str) -> usize {
    strsim::damerau_levenshtein(&one.to_ascii_lowercase(), &other.to_ascii_lowercase())
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Own => "gateway",
        Stage::Portal => "portal",
        Stage::Unit => "unit",
        Stage::County => "county",
        Stage::Handling => "handling",
        Stage::Route => "route",
        Stage::Permission => "permission",
    }
}

const fn verdict(step: &Step) -> &'static str {
    match step.verdict {
        Verdict::Won => match step.stage {
            Stage::Own | Stage::Portal | Stage::Unit => "found",
            Stage::County => "live",
            Stage::Handling | Stage::Route | Stage::Permission => "won",
        },
        Verdict::NoRow => match step.stage {
            Stage::Own => "not this gateway's address",
            Stage::Portal => "not the 1177 platform's address",
            Stage::Unit => "no such unit",
            Stage::County => "no such county",
            Stage::Handling | Stage::Route | Stage::Permission => "no row",
        },
        Verdict::NotYet => "lost, not yet in effect",
        Verdict::Over => "lost, no longer in effect",
        Verdict::OtherProfile => "lost, another route is of the call's profile",
        Verdict::OneOfSeveral => "lost, several routes fit and nothing tells them apart",
        Verdict::NotLive => "not live",
        Verdict::DelimiterNotAllowed => "an A#B address is not open to this caller and contract",
    }
}

fn push(line: &mut String, text: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    if line.write_fmt(text).is_err() {
        line.push('?');
    }
}
