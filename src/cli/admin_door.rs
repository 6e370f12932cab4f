//! `klagomal cases|outbox|gateway …`: talks to the admin door of a running gateway.
//!
//! The command line never opens a store: a running gateway holds its lock.

mod outbox;
mod removal;
mod show;

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Failed, Outcome, block_on};
use crate::admin::client;
use crate::admin::steps::{StepRequest, StepWords};
use crate::complaint::message::ClosureReason;
use crate::id::HsaId;
use crate::telemetry::Chain;
pub(super) use outbox::OutboxCommand;

/// Where the gateway is.
#[derive(Debug, Args)]
pub(super) struct At {
    /// The admin door of the gateway.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090", global = true)]
    admin: String,
    /// For machines.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

/// Who handles.
#[derive(Debug, Args)]
pub(super) struct By {
    /// HSA-id of the one who handles.
    #[arg(long = "by", value_name = "HSA-ID", value_parser = HsaId::parse)]
    hsa_id: HsaId,
    /// Name, as the complainant may see it.
    #[arg(long)]
    name: Option<String>,
    /// Title.
    #[arg(long)]
    title: Option<String>,
}

/// How a case is classified, by the code lists in force.
#[derive(Debug, Args)]
pub(super) struct Coded {
    /// Huvudproblem and delproblem, as 1 or 1.1; at least one huvudproblem.
    #[arg(long = "problem", value_name = "CODE", required = true)]
    problems: Vec<String>,
    /// Verksamhetsområde, as 3.
    #[arg(long, value_name = "CODE")]
    area: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum CasesCommand {
    /// The cases, oldest first.
    List {
        #[command(flatten)]
        at: At,
        /// Only this unit's; the open ones first.
        #[arg(long, value_name = "HSA-ID")]
        unit: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// One case: who, what happened, what was sent.
    Show {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
    },
    /// Take a case out for diarieföring: PDF/A, XML, every file, and what each is, in one archive. Who
    /// does it stands in the access log.
    Export {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        /// The archive, as a new file.
        #[arg(long, value_name = "FILE.zip")]
        to: PathBuf,
    },
    /// Gallring: remove the cases of a unit that were closed before a day, for ever. What remains is
    /// that each was, and on which decision.
    Remove(removal::Remove),
    /// Gallringsprotokoll: the cases that were removed, when, and on which decision.
    Removed {
        #[command(flatten)]
        at: At,
    },
    /// Tell the complainant that the case is being handled.
    Acknowledge {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        /// When a reply can be expected.
        #[arg(long, value_name = "YYYY-MM-DD")]
        expected: Option<Date>,
        /// More to the complainant.
        #[arg(long)]
        text: Option<String>,
    },
    /// Delsvar.
    PartialReply {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        #[arg(long)]
        text: String,
    },
    /// Motfråga.
    Question {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        #[arg(long)]
        text: String,
        /// The last day for an answer.
        #[arg(long, value_name = "YYYY-MM-DD")]
        before: Option<Date>,
        /// The complainant may attach files.
        #[arg(long)]
        attachments: bool,
    },
    /// Slutsvar: what happened, and what is done so that it does not happen again. Closes the case.
    Answer {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        coded: Coded,
        /// What happened.
        #[arg(long)]
        explanation: String,
        /// What is done so that it does not happen again.
        #[arg(long)]
        measures: Option<String>,
        /// More to the complainant.
        #[arg(long)]
        text: Option<String>,
    },
    /// Close without a written reply.
    Close {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        coded: Coded,
        /// Why.
        #[arg(long, value_enum)]
        reason: Reason,
    },
    /// Set the unit where it happened: for a patientnämnd.
    CorrectPlace {
        /// The registration number.
        number: String,
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        /// HSA-id of the unit.
        #[arg(long, value_parser = HsaId::parse)]
        unit: HsaId,
        /// Its name.
        #[arg(long)]
        unit_name: Option<String>,
    },
}

/// Why a case is closed without a written reply.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Reason {
    AnsweredOtherwise,
    Referred,
    NoReplyWanted,
    Secrecy,
    Withdrawn,
}

#[derive(Debug, Subcommand)]
pub(super) enum GatewayCommand {
    /// The whole picture.
    Status {
        #[command(flatten)]
        at: At,
    },
    /// Read certificates, revocation lists and routing again.
    Reload {
        #[command(flatten)]
        at: At,
    },
}

impl CasesCommand {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        let (at, number, by, words) = match self {
            Self::List { at, unit, limit } => return list(&at, unit.as_deref(), limit, out),
            Self::Show { number, at } => {
                let case = at.get(&format!("/cases/{}", path_part(&number)))?;
                return at.write(&case, show::case, out);
            }
            Self::Export { number, at, by, to } => return export(&at, &number, by, &to, out),
            Self::Remove(remove) => return remove.run(out),
            Self::Removed { at } => {
                let cases = at.get("/removal")?;
                return at.write(&cases, show::removed, out);
            }
            Self::Acknowledge { number, at, by, expected, text } => {
                (at, number, by, StepWords::Acknowledge { text, expected_reply: expected })
            }
            Self::PartialReply { number, at, by, text } => {
                (at, number, by, StepWords::PartialReply { text })
            }
            Self::Question { number, at, by, text, before, attachments } => {
                let words = StepWords::Question {
                    text,
                    answer_before: before,
                    attachments_allowed: attachments,
                };
                (at, number, by, words)
            }
            Self::Answer { number, at, by, coded, explanation, measures, text } => {
                let Coded { problems, area } = coded;
                let words = StepWords::Answer { explanation, measures, text, problems, area };
                (at, number, by, words)
            }
            Self::Close { number, at, by, coded, reason } => {
                let Coded { problems, area } = coded;
                (at, number, by, StepWords::Close { reason: reason.into(), problems, area })
            }
            Self::CorrectPlace { number, at, by, unit, unit_name } => {
                (at, number, by, StepWords::CorrectPlace { unit, name: unit_name })
            }
        };
        let request = StepRequest { by: by.hsa_id, name: by.name, title: by.title, step: words };
        let done = at.post(&format!("/cases/{}/steps", path_part(&number)), &request)?;
        at.write(&done, show::step, out)
    }
}

impl From<Reason> for ClosureReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::AnsweredOtherwise => Self::AnsweredOtherwise,
            Reason::Referred => Self::Referred,
            Reason::NoReplyWanted => Self::NoReplyWanted,
            Reason::Secrecy => Self::Secrecy,
            Reason::Withdrawn => Self::Withdrawn,
        }
    }
}

fn list(at: &At, unit: Option<&str>, limit: usize, out: &mut dyn Write) -> Outcome {
    let unit = unit.map(|unit| format!("&unit={}", path_part(unit))).unwrap_or_default();
    let cases = at.get(&format!("/cases?limit={limit}{unit}"))?;
    at.write(&cases, show::cases, out)
}

fn export(at: &At, number: &str, by: By, to: &Path, out: &mut dyn Write) -> Outcome {
    let cannot = |error: io::Error| {
        Failed(format!("{} cannot be written: {error}; name a new file", to.display()))
    };
    let mut open = OpenOptions::new();
    open.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let mut file = open.open(to).map_err(cannot)?;
    let path = format!("/cases/{}/export", path_part(number));
    let body = json!({ "by": by.hsa_id, "name": by.name });
    let url = at.url();
    let got = block_on(client::download(&url, &path, &body, &mut file))?;
    match got {
        Ok(bytes) => {
            file.sync_all().map_err(cannot)?;
            writeln!(out, "{}: {bytes} bytes", to.display())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            // Half an archive looks like one.
            drop(std::fs::remove_file(to));
            Err(Failed(Chain(&error).to_string()))
        }
    }
}

impl GatewayCommand {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        match self {
            Self::Status { at } => {
                let status = at.get("/status")?;
                at.write(&status, show::pretty, out)
            }
            Self::Reload { at } => {
                let lines = at.post("/reload", &json!({}))?;
                at.write(&lines, show::reload, out)
            }
        }
    }
}

impl At {
    pub(super) fn get(&self, path: &str) -> Result<Value, Failed> {
        self.call(path, None)
    }

    pub(super) fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failed> {
        let body = serde_json::to_value(body)
            .map_err(|error| Failed(format!("the request cannot be written: {error}")))?;
        self.call(path, Some(&body))
    }

    fn url(&self) -> String {
        let scheme = if self.admin.contains("://") { "" } else { "http://" };
        format!("{scheme}{}", self.admin.trim_end_matches('/'))
    }

    fn call(&self, path: &str, body: Option<&Value>) -> Result<Value, Failed> {
        block_on(client::call(&self.url(), path, body))?
            .map_err(|error| Failed(Chain(&error).to_string()))
    }

    fn write(
        &self,
        value: &Value,
        people: fn(&Value, &mut dyn Write) -> io::Result<()>,
        out: &mut dyn Write,
    ) -> Outcome {
        if self.json {
            show::pretty(value, out)?;
        } else {
            people(value, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A value inside a path or query: everything but letters, digits and a few marks is escaped.
fn path_part(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn of_json<T: DeserializeOwned>(value: Value) -> Result<T, Failed> {
    serde_json::from_value(value)
        .map_err(|error| Failed(format!("the gateway's answer cannot be read: {error}")))
}

/// At a terminal the number of what is decided about is typed; elsewhere nobody can be asked.
fn confirmed(what: &str, count: usize) -> Result<bool, Failed> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut asked = io::stderr();
    write!(asked, "type the number of {what} to go on: ")?;
    asked.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == count.to_string())
}
