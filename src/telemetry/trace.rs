//! W3C trace context: which trace a call belongs to, and its own place in it.

use std::fmt;

use http::{HeaderMap, HeaderValue};
use uuid::Uuid;

use crate::limits;

/// The header that names the trace, the caller's span and its flags.
pub const TRACEPARENT: &str = "traceparent";
/// The header in which tracing systems keep what is theirs.
pub const TRACESTATE: &str = "tracestate";

/// The flags that are passed on: recorded by the caller, and a random trace id.
const FLAGS: u8 = 0b11;
/// A trace that begins here: each system of it decides by itself what it records.
const NEW: u8 = 0b11;
/// The caller records this trace.
const SAMPLED: u8 = 0b01;

/// One span of a trace: ours, for a call that came or one that we make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    span: u64,
    parent: Option<u64>,
    flags: u8,
    state: Option<HeaderValue>,
}

impl Trace {
    /// A trace that begins here.
    #[must_use]
    pub fn new() -> Self {
        let id = Uuid::new_v4().as_u128();
        Self { id, span: new_span(), parent: None, flags: NEW, state: None }
    }

    /// The trace that a call says it belongs to, with a span of our own in it; a new one where it
    /// says nothing, nothing that can be read, or two things.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut said = headers.get_all(TRACEPARENT).iter();
        let (Some(one), None) = (said.next(), said.next()) else { return Self::new() };
        let Some(caller) = one.to_str().ok().and_then(Self::read) else { return Self::new() };
        Self { state: state(headers), ..caller.child() }
    }

    /// The span that a `traceparent` names.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, id) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let version = hex(version, 2)?;
        // A later version may say more behind; what is known stands where it stood.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let id = hex(id, 32).filter(|it| *it != 0)?;
        let span = u64::try_from(hex(span, 16)?).ok().filter(|it| *it != 0)?;
        let flags = u8::try_from(hex(flags, 2)?).ok()? & FLAGS;
        Some(Self { id, span, parent: None, flags, state: None })
    }

    /// A span below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span: new_span(), parent: Some(self.span), ..self.clone() }
    }

    /// The trace's id.
    #[must_use]
    pub const fn id(&self) -> u128 {
        self.id
    }

    /// Our span.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.span
    }

    /// The span that ours is below.
    #[must_use]
    pub const fn parent(&self) -> Option<u64> {
        self.parent
    }

    /// Whether spans of this trace are to be exported.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The flags, as in a `traceparent`.
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// What other tracing systems keep, unchanged.
    #[must_use]
    pub const fn state(&self) -> Option<&HeaderValue> {
        self.state.as_ref()
    }

    /// Our span as a `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.id, self.span, self.flags)
    }

    /// Sets the headers of a call that is this span.
    pub fn set(&self, headers: &mut HeaderMap) {
        headers.remove(TRACESTATE);
        if let Ok(value) = HeaderValue::from_str(&self.traceparent()) {
            headers.insert(TRACEPARENT, value);
        }
        if let Some(state) = &self.state {
            headers.insert(TRACESTATE, state.clone());
        }
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

/// The trace's id, as it stands in the log.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.id)
    }
}

/// A random number that is never zero: the variant of a UUID has a bit that is always set.
fn new_span() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

/// Lower-case hexadecimal of exactly this many digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let plain = text.bytes().all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    (text.len() == digits && plain).then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// All `tracestate` headers as one, unless it is too long to be passed on.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut whole = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        if !whole.is_empty() {
            whole.push(b',');
        }
        whole.extend_from_slice(value.as_bytes());
        if whole.len() > limits::TRACE_STATE_BYTES_MAX {
            return None;
        }
    }
    HeaderValue::from_bytes(&whole).ok().filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn a_trace_that_came_is_continued_below_the_caller_s_span() {
        let trace =
            Trace::of(&map(&[(TRACEPARENT, CALLER), (TRACESTATE, "a=1"), (TRACESTATE, "b=2")]));
        assert_eq!(trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(trace.parent(), Some(0x00f0_67aa_0ba9_02b7));
        assert!(trace.is_sampled());
        assert_ne!(trace.span(), 0x00f0_67aa_0ba9_02b7);
        let call = trace.child();
        assert_eq!(call.parent(), Some(trace.span()));
        let mut to = map(&[(TRACEPARENT, CALLER), (TRACESTATE, "old=1")]);
        call.set(&mut to);
        let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01", call.span());
        assert_eq!(to.get(TRACEPARENT).unwrap(), expected.as_str());
        assert_eq!(to.get(TRACESTATE).unwrap(), "a=1,b=2");
        assert_eq!(Trace::read(&expected).map(|it| it.span()), Some(call.span()));
    }

    #[test]
    fn what_is_no_trace_begins_a_new_one() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let bad = [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47361-0f067aa0ba902b7-01",
            zero,
        ];
        for text in bad {
            let trace = Trace::of(&map(&[(TRACEPARENT, text), (TRACESTATE, "a=1")]));
            assert_eq!((trace.parent(), trace.state()), (None, None), "{text}");
        }
        let twice = Trace::of(&map(&[(TRACEPARENT, CALLER), (TRACEPARENT, CALLER)]));
        assert_eq!(twice.parent(), None);
        assert_ne!(Trace::new().id(), Trace::new().id());
    }

    #[test]
    fn a_later_version_and_an_unrecorded_trace_are_followed_and_a_long_state_is_not() {
        let later = CALLER.replacen("00-", "01-", 1) + "-more";
        assert!(Trace::of(&map(&[(TRACEPARENT, &later)])).parent().is_some());
        let off = CALLER.replace("-01", "-00");
        assert!(!Trace::of(&map(&[(TRACEPARENT, &off)])).is_sampled());
        let long = "a=1".repeat(limits::TRACE_STATE_BYTES_MAX);
        let trace = Trace::of(&map(&[(TRACEPARENT, CALLER), (TRACESTATE, &long)]));
        assert!(trace.parent().is_some() && trace.state().is_none());
    }
}
