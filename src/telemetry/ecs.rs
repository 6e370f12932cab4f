//! One log line as one JSON object with the field names of Elastic Common Schema.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, SystemClock};

/// The names that are the line's own. A field of the same name is left out.
const OWN: [&str; 3] = ["@timestamp", "log.level", "log.logger"];

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
        let mut fields = Fields(BTreeMap::new());
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(written) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            let parsed = serde_json::from_str::<BTreeMap<String, Value>>(&written.fields);
            fields.0.extend(parsed.unwrap_or_default());
        }
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_else(|| Value::from(""));
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        write!(to, "{{\"@timestamp\":\"{:.3}\"", SystemClock.now())?;
        pair(&mut to, "log.level", &Value::from(level))?;
        pair(&mut to, "message", &message)?;
        pair(&mut to, "log.logger", &Value::from(event.metadata().target()))?;
        for (name, value) in fields.0.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            pair(&mut to, name, value)?;
        }
        to.write_str("}\n")
    }
}

fn pair(to: &mut Writer<'_>, name: &str, value: &Value) -> fmt::Result {
    write!(to, ",{}:{value}", Value::from(name))
}

struct Fields(BTreeMap<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, Value::from(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::from(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::from(value));
    }
}
