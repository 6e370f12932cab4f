//! Fields of a text line: those that a person looks for. The rest are for machines, in JSON.

use std::fmt::{self, Write as _};

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

/// Writes on one line: what is logged may quote what came from outside, and must not look like
/// another line, or give orders to a terminal.
struct OneLine<'t, 'w>(&'t mut Writer<'w>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split_inclusive(breaks) {
            let mut rest = part.chars();
            match rest.next_back().filter(|&last| breaks(last)) {
                Some(last) => write!(self.0, "{}{}", rest.as_str(), last.escape_default())?,
                None => self.0.write_str(part)?,
            }
        }
        Ok(())
    }
}

fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
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
        let named = match name {
            "message" => self.to.write_str(space),
            _ if self.to.has_ansi_escapes() => {
                write!(self.to, "{space}\u{1b}[2m{name}=\u{1b}[0m")
            }
            _ => write!(self.to, "{space}{name}="),
        };
        self.outcome = named.and_then(|()| write!(OneLine(&mut self.to), "{value:?}"));
    }
}
