//! The `x-rivta` and `x-skltp` headers of a call: kept with the event, never a caller's identity.

use http::HeaderMap;
use uuid::Uuid;

/// Longest header value that is kept; a UUID has 36 characters and an HSA-id at most 64.
const VALUE_CHARS_MAX: usize = 128;

/// What the headers say about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallHeaders {
    pub original_consumer: Option<String>,
    pub on_behalf_of: Option<String>,
    /// The caller's, or a new one.
    pub correlation_id: String,
}

impl CallHeaders {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            original_consumer: value(headers, "x-rivta-original-serviceconsumer-hsaid"),
            on_behalf_of: value(headers, "x-rivta-acting-on-behalf-of-hsaid"),
            correlation_id: value(headers, "x-skltp-correlation-id")
                .unwrap_or_else(|| Uuid::new_v4().to_string()),
        }
    }
}

/// A value that can stand in a log line: visible ASCII, bounded. Anything else is as if absent.
fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    let fits = !text.is_empty() && text.len() <= VALUE_CHARS_MAX;
    (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_is_kept_and_one_that_cannot_stand_in_a_log_is_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert("x-skltp-correlation-id", "abc-1".parse().unwrap());
        assert_eq!(CallHeaders::of(&headers).correlation_id, "abc-1");
        for bad in ["", "a b", &"x".repeat(129)] {
            headers.insert("x-skltp-correlation-id", bad.parse().unwrap());
            let made = CallHeaders::of(&headers).correlation_id;
            assert_eq!(made.len(), 36, "{bad}");
        }
    }
}
