//! One log line as one JSON object with the field names of Elastic Common Schema.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

/// The names that are the line's own. A field of the same name is left out.
const OWN: [&str; 3] = ["@timestamp", "log.level", "log.logger"];
/// The field of what an event says in words.
const MESSAGE: &str = "message";

/// Writes `@timestamp`, `log.level`, `message`, `log.logger`, then every field of the event and of
/// the spans around it under its own dotted name, the innermost winning.
#[derive(Debug)]
pub(super) struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(written) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            let parsed = serde_json::from_str::<BTreeMap<String, Value>>(&written.fields);
            fields.around.extend(parsed.unwrap_or_default());
        }
        event.record(&mut fields);
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(to, "{{\"@timestamp\":\"{:.3}\",\"log.level\":\"{level}\"", SystemClock.now())?;
        let message = text(&fields.message).unwrap_or("\"\"");
        let target = Value::from(event.metadata().target());
        write!(to, ",\"message\":{message},\"log.logger\":{target}")?;
        for (name, value) in fields.around.iter().filter(|(name, _)| !is_own(name)) {
            write!(to, ",{}:{value}", Value::from(name.as_str()))?;
        }
        to.write_str(text(&fields.json).unwrap_or_default())?;
        to.write_str("}\n")
    }
}

fn is_own(name: &str) -> bool {
    name == MESSAGE || OWN.contains(&name)
}

/// What JSON was written, if any.
fn text(json: &[u8]) -> Option<&str> {
    std::str::from_utf8(json).ok().filter(|text| !text.is_empty())
}

/// The fields of an event as JSON, written once: a line for each call adds up.
#[derive(Default)]
struct Fields {
    /// Those of the spans around the event that it does not have itself.
    around: BTreeMap<String, Value>,
    message: Vec<u8>,
    /// A comma before each.
    json: Vec<u8>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let name = field.name();
        self.around.remove(name);
        let to = match name {
            MESSAGE => &mut self.message,
            name if is_own(name) => return,
            _ => &mut self.json,
        };
        let before = to.len();
        let mut written = Ok(());
        if name != MESSAGE {
            to.push(b',');
            written = serde_json::to_writer(&mut *to, name);
            to.push(b':');
        }
        // A value that cannot be shown is left out, and the line is JSON all the same.
        if written.and_then(|()| serde_json::to_writer(&mut *to, value)).is_err() {
            to.truncate(before);
        }
    }
}

/// A value as it shows itself, without a text of it being made first.
struct Shown<'a>(&'a dyn fmt::Debug);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &Shown(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }
}
