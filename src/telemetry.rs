//! Evidence for people and machines: how log lines are written, and what never gets into one.

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

mod ecs;
pub mod metrics;
mod text;
pub mod trace;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal.
    Text,
    /// One JSON object a line, with the field names of Elastic Common Schema.
    Json,
}

/// The least grave kind of line that is written. The names are those of the settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something failed and somebody must act.
    Error,
    /// Something failed and the gateway mends it, or something soon needs a person.
    Warn,
    /// What was done.
    Info,
    /// Steps on the way, for those who look for a fault.
    Debug,
}

/// Starts writing log lines to standard error. The first call in a process decides; later ones
/// change nothing, so that tests can call it freely. Tells whether this call was the first.
pub fn start(format: Format, level: Level) -> bool {
    let layer = match format {
        Format::Text => text(level, stderr().is_terminal(), stderr),
        Format::Json => json(level, stderr),
    };
    layer.try_init().is_ok()
}

type Subscriber = Layered<Box<dyn Layer<Registry> + Send + Sync>, Registry>;

fn text<W>(level: Level, colour: bool, to: W) -> Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_target(false).with_ansi(colour);
    let lines = lines.fmt_fields(text::Short);
    tracing_subscriber::registry().with(lines.with_writer(to).with_filter(filter(level)).boxed())
}

fn json<W>(level: Level, to: W) -> Subscriber
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
        .event_format(ecs::Lines);
    tracing_subscriber::registry().with(lines.with_writer(to).with_filter(filter(level)).boxed())
}

/// What we write, at `level`. Libraries are held to warnings: their finer lines can hold headers
/// and bytes of messages.
fn filter(level: Level) -> tracing_subscriber::filter::Targets {
    let ours = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    tracing_subscriber::filter::Targets::new()
        .with_target("klagomal", ours)
        .with_default(ours.min(LevelFilter::WARN))
}

/// Shows an error and all its causes on one line, `: ` between them. A cause that the level above
/// has already said word for word is left out.
pub struct Chain<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value that no log line and no error text may show: a name, a person number, what somebody
/// wrote. `Debug` and `Display` print `[private]`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Hides `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for those whose work needs it.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Private<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

/// Lets `listener` hear what is logged on this thread, also where another test was the first to write
/// a line: with fewer than two listeners, that test's thread alone says whether anybody wants it, and
/// it is not asked again.
#[cfg(test)]
pub(crate) fn listen(listener: impl Into<tracing::Dispatch>) -> tracing::subscriber::DefaultGuard {
    static OTHERS: std::sync::OnceLock<[tracing::Dispatch; 2]> = std::sync::OnceLock::new();
    OTHERS.get_or_init(|| [(); 2].map(|()| tracing::Dispatch::new(Registry::default())));
    tracing::dispatcher::set_default(&listener.into())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file is not read")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("line 3")]
    struct Inner(#[source] io::Error);

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn written(subscriber: Subscriber, page: &Page, act: impl FnOnce()) -> String {
        let heard = listen(subscriber);
        act();
        drop(heard);
        page.text()
    }

    #[test]
    fn a_chain_says_every_level_once() {
        let error = Outer(Inner(io::Error::other("the disk is gone")));
        assert_eq!(Chain(&error).to_string(), "the file is not read: line 3: the disk is gone");
        let repeating = io::Error::other(Outer(Inner(io::Error::other("the disk is gone"))));
        assert_eq!(Chain(&repeating).to_string(), "the file is not read: line 3: the disk is gone");
    }

    #[test]
    fn what_is_private_is_not_shown_however_it_is_asked_for() {
        let name = Private::new("Tolvan".to_owned());
        assert_eq!(
            format!("{name} {name:?} {:#?}", Some(&name)),
            "[private] [private] Some(\n    [private],\n)"
        );
        assert_eq!(name.reveal(), "Tolvan");
    }

    #[test]
    fn a_json_line_has_the_names_of_the_common_schema_and_keeps_dotted_fields() {
        let page = Page::default();
        let to = page.clone();
        let line = written(json(Level::Info, move || to.clone()), &page, || {
            let span = tracing::info_span!("call", trace.id = "T1", http.version = "1.1");
            let _in = span.enter();
            tracing::info!(labels.senderid = "SE0000000000-1177", ms = 12u64, "passed \"on\"\n");
        });
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(value["@timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(value["log.level"], "info");
        assert_eq!(value["message"], "passed \"on\"\n");
        assert_eq!(value["labels.senderid"], "SE0000000000-1177");
        assert_eq!(value["ms"], 12);
        assert_eq!(value["trace.id"], "T1");
        assert_eq!(value["log.logger"], "klagomal::telemetry::tests");
    }

    #[test]
    fn a_field_cannot_write_over_the_line_s_own_names() {
        let page = Page::default();
        let to = page.clone();
        let line = written(json(Level::Info, move || to.clone()), &page, || {
            tracing::info!(log.level = "none", "real");
        });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["log.level"], "info");
        assert_eq!(line.matches("log.level").count(), 1, "{line}");
    }

    #[test]
    fn finer_lines_than_asked_for_are_not_written_and_libraries_say_only_warnings() {
        let page = Page::default();
        let to = page.clone();
        let text = written(text(Level::Info, false, move || to.clone()), &page, || {
            tracing::debug!("a step");
            tracing::info!("a deed");
            tracing::info!(target: "hyper", "bytes of a message");
            tracing::warn!(target: "hyper", "a warning");
        });
        assert!(text.contains("a deed") && text.contains("a warning"), "{text}");
        assert!(!text.contains("a step") && !text.contains("bytes"), "{text}");
    }

    #[test]
    fn what_is_quoted_in_a_text_line_cannot_begin_another() {
        let page = Page::default();
        let to = page.clone();
        let line = written(text(Level::Info, false, move || to.clone()), &page, || {
            let told = "Åsa\r\n2026 ERROR forged\u{1b}[2J\u{2028}end\n";
            tracing::info!(of = %told, "refused: {told}");
        });
        assert_eq!(line.lines().count(), 1, "{line}");
        let told = "Åsa\\r\\n2026 ERROR forged\\u{1b}[2J\\u{2028}end\\n";
        assert!(line.contains(&format!("refused: {told} of={told}")), "{line}");
    }

    #[test]
    fn a_text_line_leaves_out_what_is_for_machines() {
        let page = Page::default();
        let to = page.clone();
        let line = written(text(Level::Info, false, move || to.clone()), &page, || {
            tracing::info!(
                labels.senderid = "SE0000000000-1177", labels.correlationId = "c-1",
                event.duration = 12_u64, event.id = %"e-1", trace.id = %"t-1", why = "x y",
                "a {}", "deed"
            );
        });
        let end =
            " INFO a deed labels.correlationId=\"c-1\" event.id=e-1 trace.id=t-1 why=\"x y\"\n";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn only_the_first_start_counts_and_the_second_does_no_harm() {
        start(Format::Text, Level::Error);
        assert!(!start(Format::Json, Level::Debug));
    }
}
