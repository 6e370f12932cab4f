//! Fields of a text line: those that a person looks for. The rest are for machines, in JSON.

use std::fmt;

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// What a text line leaves out: the message says it already, or no person asks for it.
const LEFT_OUT: [&str; 5] = ["event.", "http.", "span.", "url.", "destination."];
/// Of those, what a person does look for: `logId` in an answer.
const KEPT: &str = "event.id";
/// Labels that are in the message.
const LABELS: &str = "labels.";
/// The one that is not.
const CORRELATION: &str = "labels.correlationId";

/// Writes the message, then `name=value` for each field that is not left out.
#[derive(Debug)]
pub(super) struct Short;

impl<'w> FormatFields<'w> for Short {
    fn format_fields<R: RecordFields>(&self, to: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { to, empty: true, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

struct Line<'w> {
    to: Writer<'w>,
    empty: bool,
    outcome: fmt::Result,
}

fn is_shown(name: &str) -> bool {
    let hidden = LEFT_OUT.iter().any(|it| name.starts_with(it)) || name.starts_with(LABELS);
    !hidden || name == KEPT || name == CORRELATION
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let name = field.name();
        if self.outcome.is_err() || !is_shown(name) {
            return;
        }
        let space = if self.empty { "" } else { " " };
        self.empty = false;
        self.outcome = match name {
            "message" => write!(self.to, "{space}{value:?}"),
            _ if self.to.has_ansi_escapes() => {
                write!(self.to, "{space}\u{1b}[2m{name}=\u{1b}[0m{value:?}")
            }
            _ => write!(self.to, "{space}{name}={value:?}"),
        };
    }
}
