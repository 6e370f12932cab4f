//! Which headers go on to a producer and which come back, as on the national platform.

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName,
    HeaderValue, PRAGMA, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT, VIA, WARNING,
};

use crate::gateway::refusal::Refusal;
use crate::telemetry::trace::{TRACEPARENT, TRACESTATE};

/// Whom a call is made for, when not for the caller itself.
pub(super) const ORIGINAL_CONSUMER: &str = "x-rivta-original-serviceconsumer-hsaid";
/// The platforms that a call has gone through.
pub(in crate::gateway) const HISTORY: &str = "x-rivta-routing-history";
const CORRELATION: &str = "x-skltp-correlation-id";
/// The producer's time, in milliseconds.
const PRODUCER_TIME: &str = "x-skltp-prt";
pub(in crate::gateway) const SENDER: &str = "x-vp-sender-id";
pub(in crate::gateway) const INSTANCE: &str = "x-vp-instance-id";

const OUR_NAME: &str = concat!("klagomal/", env!("CARGO_PKG_VERSION"));

/// Of one connection only, or ours to set. They go in neither direction.
const OF_ONE_HOP: [HeaderName; 16] = [
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    DATE,
    HOST,
    PRAGMA,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    WARNING,
    HeaderName::from_static("keep-alive"),
];

/// Beginnings of names that belong to the platforms' own insides, either way.
const INSIDE: [&str; 5] = ["camel", "org.apache.camel", "mule_", "x-mule_", "proxy-connection"];

/// Beginnings of names that a caller may not send on. `x-vp` is for trust between platforms.
const NOT_ONWARD: [&str; 9] = [
    // Ours are set when the call is made, as a span below the caller's.
    TRACEPARENT,
    TRACESTATE,
    "x-vp",
    "x-forwarded",
    "peer_certificates",
    "x-forwarded-tls-client-cert",
    "accept-encoding",
    "user-agent",
    "expect",
];

/// Names that a producer may not send back.
const NOT_BACK: [&str; 6] = [
    "soapaction",
    "local_certificate",
    "peer_certificates",
    "http.method",
    TRACEPARENT,
    TRACESTATE,
];

/// What is known of a call when its headers are made.
#[derive(Debug)]
pub(super) struct Onward<'a> {
    pub caller: &'a str,
    pub instance: &'a str,
    pub correlation: &'a str,
    pub https: bool,
    /// From inside this platform: the history is left as it is, for we stand in it already.
    pub internal: bool,
    /// Whether the caller may say whom it calls for.
    pub original_allowed: bool,
    pub content_type: &'a str,
    pub host: &'a str,
}

/// The headers of the call to the producer.
pub(super) fn onward(from: &HeaderMap, call: &Onward<'_>) -> Result<HeaderMap, Refusal> {
    let original = original(from, call)?;
    let history = if call.internal { None } else { Some(history(from, call)?) };
    let mut to = passed(from, |name| !NOT_ONWARD.iter().any(|it| name.starts_with(it)));
    set(&mut to, "content-type", call.content_type);
    set(&mut to, "host", call.host);
    to.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
    set(&mut to, ORIGINAL_CONSUMER, original);
    if let Some(history) = &history {
        set(&mut to, HISTORY, history);
    }
    set(&mut to, CORRELATION, call.correlation);
    if !call.https {
        set(&mut to, SENDER, call.caller);
        set(&mut to, INSTANCE, call.instance);
    }
    Ok(to)
}

/// The headers of the answer to the caller.
pub(super) fn back(from: &HeaderMap, content_type: &str, correlation: &str, ms: u64) -> HeaderMap {
    let mut to = passed(from, |name| !NOT_BACK.contains(&name));
    set(&mut to, "content-type", content_type);
    set(&mut to, CORRELATION, correlation);
    set(&mut to, PRODUCER_TIME, &ms.to_string());
    to
}

fn passed(from: &HeaderMap, wanted: impl Fn(&str) -> bool) -> HeaderMap {
    // `Connection` also names headers that are of this connection only.
    let named: Vec<String> = from
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut to = HeaderMap::with_capacity(from.len() + 8);
    for (name, value) in from {
        let text = name.as_str();
        let inside = INSIDE.iter().any(|it| text.starts_with(it));
        let hop = OF_ONE_HOP.contains(name) || named.iter().any(|it| it == text);
        if !inside && !hop && wanted(text) {
            to.append(name, value.clone());
        }
    }
    to
}

/// Whom the call is made for: what the caller says where it may, else the caller.
fn original<'a>(from: &'a HeaderMap, call: &Onward<'a>) -> Result<&'a str, Refusal> {
    let Some(said) = from.get(ORIGINAL_CONSUMER) else { return Ok(call.caller) };
    let said = said.to_str().unwrap_or_default().trim();
    // To say that one calls for oneself is to say nothing.
    if !call.original_allowed && !said.eq_ignore_ascii_case(call.caller) {
        return Err(Refusal::OriginalConsumer);
    }
    Ok(if said.is_empty() { call.caller } else { said })
}

/// The history with us at its end; a call that has been here before goes round.
fn history(from: &HeaderMap, call: &Onward<'_>) -> Result<String, Refusal> {
    check_history(from, call.instance)?;
    let said = from.get(HISTORY).and_then(|it| it.to_str().ok()).unwrap_or_default().trim();
    let before = if said.is_empty() { call.caller } else { said };
    Ok(format!("{before}#{}", call.instance))
}

/// Refuses a call that has been here before.
pub(in crate::gateway) fn check_history(from: &HeaderMap, instance: &str) -> Result<(), Refusal> {
    let said = from.get_all(HISTORY).iter().filter_map(|it| it.to_str().ok());
    let round = said.flat_map(|it| it.split('#')).any(|it| it.trim() == instance);
    if round { Err(Refusal::Loop) } else { Ok(()) }
}

fn set(to: &mut HeaderMap, name: &'static str, value: &str) {
    // Every value comes from a header, a certificate or the configuration; one that no header can
    // hold is left out.
    if let Ok(value) = HeaderValue::from_str(value) {
        to.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn call(https: bool) -> Onward<'static> {
        Onward {
            caller: "SE0000000000-REGION",
            instance: "klagomal-test",
            correlation: "c-1",
            https,
            internal: false,
            original_allowed: false,
            content_type: "text/xml;charset=UTF-8",
            host: "a:9",
        }
    }

    fn shown(map: &HeaderMap) -> Vec<String> {
        let mut all: Vec<String> =
            map.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        all.sort();
        all
    }

    #[test]
    fn what_a_producer_over_https_gets() {
        let from = map(&[
            ("soapaction", "\"urn:x\""),
            ("x-rivta-acting-on-behalf-of-hsaid", "SE0000000000-VC1"),
            ("x-rivta-any", "Mixed Case"),
            ("traceparent", "00-1-2-01"),
            ("authorization", "Basic x"),
            ("myrandomheader", "1"),
            ("myrandomheader", "2"),
            ("x-vp-sender-id", "SE0000000000-OTHER"),
            ("x-vp-instance-id", "klagomal-test"),
            ("x-vp-auth-cert", "MII"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-tls-client-cert", "MII"),
            ("peer_certificates", "x"),
            ("mule_x", "x"),
            ("x-mule_x", "x"),
            ("camelhttpuri", "x"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "x"),
            ("accept-encoding", "gzip"),
            ("user-agent", "curl"),
            ("content-type", "text/xml"),
            ("content-length", "9"),
            ("expect", "100-continue"),
            ("host", "b"),
            ("transfer-encoding", "chunked"),
        ]);
        let to = onward(&from, &call(true)).unwrap();
        assert_eq!(
            shown(&to),
            [
                "authorization: Basic x",
                "content-type: text/xml;charset=UTF-8",
                "host: a:9",
                "myrandomheader: 1",
                "myrandomheader: 2",
                "soapaction: \"urn:x\"",
                &format!("user-agent: {OUR_NAME}"),
                "x-rivta-acting-on-behalf-of-hsaid: SE0000000000-VC1",
                "x-rivta-any: Mixed Case",
                "x-rivta-original-serviceconsumer-hsaid: SE0000000000-REGION",
                "x-rivta-routing-history: SE0000000000-REGION#klagomal-test",
                "x-skltp-correlation-id: c-1",
            ]
        );
    }

    #[test]
    fn only_a_producer_over_http_is_told_the_sender_and_the_instance() {
        let from = map(&[("x-vp-sender-id", "SE0000000000-OTHER"), ("x-vp-instance-id", "x")]);
        let to = onward(&from, &call(false)).unwrap();
        assert_eq!(to.get(SENDER).unwrap(), "SE0000000000-REGION");
        assert_eq!(to.get(INSTANCE).unwrap(), "klagomal-test");
        let to = onward(&from, &call(true)).unwrap();
        assert!(to.get(SENDER).is_none() && to.get(INSTANCE).is_none());
    }

    #[test]
    fn only_one_who_may_says_whom_it_calls_for() {
        let said = |value: &str| map(&[(ORIGINAL_CONSUMER, value)]);
        let allowed = Onward { original_allowed: true, ..call(true) };
        let sent = |from: &HeaderMap, call: &Onward<'_>| {
            onward(from, call)
                .map(|to| to.get(ORIGINAL_CONSUMER).unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(sent(&said("SE1"), &allowed).unwrap(), "SE1");
        assert_eq!(sent(&said(""), &allowed).unwrap(), "SE0000000000-REGION");
        assert_eq!(sent(&map(&[]), &call(true)).unwrap(), "SE0000000000-REGION");
        assert_eq!(sent(&said("SE0000000000-region"), &call(true)).unwrap(), "SE0000000000-region");
        for refused in ["SE1", ""] {
            let error = sent(&said(refused), &call(true)).unwrap_err();
            assert_eq!(error.code(), Some("VP013"), "{refused}");
        }
    }

    #[test]
    fn a_call_that_has_been_here_is_refused() {
        let said = |value: &str| map(&[(HISTORY, value)]);
        let to = onward(&said("SE9#other"), &call(true)).unwrap();
        assert_eq!(to.get(HISTORY).unwrap(), "SE9#other#klagomal-test");
        let error = onward(&said("SE9# klagomal-test #other"), &call(true)).unwrap_err();
        assert_eq!(error.code(), Some("VP014"));
    }

    #[test]
    fn an_internal_call_has_been_here_and_its_history_is_left_as_it_is() {
        let internal = Onward { internal: true, ..call(true) };
        let from = map(&[(HISTORY, "SE9#klagomal-test")]);
        let to = onward(&from, &internal).unwrap();
        assert_eq!(to.get(HISTORY).unwrap(), "SE9#klagomal-test");
        assert!(onward(&map(&[]), &internal).unwrap().get(HISTORY).is_none());
    }

    #[test]
    fn what_a_caller_gets_back() {
        let from = map(&[
            ("soapaction", "x"),
            ("mule_x", "x"),
            ("x-mule_y", "x"),
            ("local_certificate", "x"),
            ("http.method", "POST"),
            ("connection", "close"),
            ("date", "x"),
            ("content-type", "text/plain"),
            ("x-skltp-prt", "99"),
            ("x-skltp-correlation-id", "other"),
            ("set-cookie", "a=b"),
            ("x-rivta-routing-history", "SE9"),
        ]);
        assert_eq!(
            shown(&back(&from, "text/xml; charset=UTF-8", "c-1", 7)),
            [
                "content-type: text/xml; charset=UTF-8",
                "set-cookie: a=b",
                "x-rivta-routing-history: SE9",
                "x-skltp-correlation-id: c-1",
                "x-skltp-prt: 7",
            ]
        );
    }
}
