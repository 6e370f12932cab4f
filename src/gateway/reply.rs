//! Answers as they go on the wire.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::refusal::Refusal;
use crate::cases::Accepted;
use crate::complaint::command;
use crate::limits;
use crate::listen::{Body, full};
use crate::rivta::wsdl::Library;
use crate::rivta::{Answer, ErrorCode, Interaction, ResultCode};

/// An answer.
pub type Reply = Response<Body>;

/// The exact form that consumers of the national platform are used to.
const XML: &str = "text/xml; charset=UTF-8";

const PLAIN: &str = "text/plain; charset=utf-8";

/// Characters of a value from outside that a log line shows.
const VISIBLE_CHARS_MAX: usize = 80;

pub(super) fn xml(status: StatusCode, text: String, correlation: &str) -> Reply {
    with(status, XML, text, correlation)
}

/// HTTP 500 for every fault: nothing else reaches a consumer through the national platform.
pub(super) fn fault(refusal: &Refusal, instance: &str, correlation: &str) -> Reply {
    let text = refusal.fault(instance).write();
    let mut reply = xml(StatusCode::INTERNAL_SERVER_ERROR, text, correlation);
    if let Some(wait) = refusal.retry_after() {
        let started = u64::from(wait.subsec_nanos() > 0);
        let seconds = wait.as_secs().saturating_add(started).max(1);
        reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

pub(super) fn closing(mut reply: Reply) -> Reply {
    reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// `?wsdl` and `?xsd=…`; anything else asked with GET is told what there is.
pub(super) fn description(
    library: &Library,
    path: &str,
    query: &str,
    base: &str,
    correlation: &str,
) -> Reply {
    let asked = query.split('&').find_map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.to_ascii_lowercase().as_str() {
            "wsdl" => library.wsdl(path, base),
            "xsd" => library.xsd(path, value, base),
            _ => None,
        }
    });
    match asked {
        Some(text) => xml(StatusCode::OK, text, correlation),
        None => {
            let mut text = "Det finns ingen WSDL på den här adressen. Det finns:\n".to_owned();
            for path in library.paths() {
                text.push_str(&format!("{base}{path}?wsdl\n"));
            }
            with(StatusCode::NOT_FOUND, PLAIN, text, correlation)
        }
    }
}

/// The address that the caller used, from `Host`.
pub(super) fn base_url(scheme: &str, headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// To a request that could be read in two ways.
pub(super) fn not_plain(correlation: &str) -> Reply {
    let text = "Anropet måste ha ett Host-huvud och ingen annan Transfer-Encoding än chunked.\n";
    with(StatusCode::BAD_REQUEST, PLAIN, text.to_owned(), correlation)
}

fn with(status: StatusCode, kind: &'static str, text: String, correlation: &str) -> Reply {
    let mut reply = Response::new(full(text));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_str(correlation) {
        headers.insert("x-skltp-correlation-id", value);
    }
    reply
}

pub(super) fn accepted(interaction: Interaction, log_id: &str, accepted: &Accepted) -> String {
    let receipt = &accepted.receipt;
    let mut answer = empty(ResultCode::Ok, log_id);
    if accepted.repeated {
        answer.result_code = ResultCode::Info;
        answer.subcode = Some("ALREADY_RECEIVED".to_owned());
        answer.message = Some("Meddelandet är redan mottaget.".to_owned());
    }
    answer.case_id = Some(receipt.case.clone());
    answer.registration_number = Some(receipt.number.to_string());
    answer.received = Some(receipt.received);
    answer.write(interaction)
}

pub(super) fn reused(interaction: Interaction, log_id: &str) -> String {
    let mut answer = error(ErrorCode::ValidationError, log_id);
    answer.subcode = Some("MESSAGE_ID_REUSED".to_owned());
    answer.message =
        Some("messageId: har redan använts för ett meddelande med annat innehåll".to_owned());
    answer.write(interaction)
}

pub(super) fn invalid(interaction: Interaction, log_id: &str, field: &str, rule: &str) -> String {
    let mut answer = error(ErrorCode::ValidationError, log_id);
    answer.message = Some(format!("{field}: {rule}"));
    answer.write(interaction)
}

pub(super) fn refused(
    interaction: Interaction,
    log_id: &str,
    refusal: &command::Refusal,
) -> String {
    let code = match refusal {
        command::Refusal::Invalid { .. } => ErrorCode::ValidationError,
        command::Refusal::NotFound => ErrorCode::NotFound,
        command::Refusal::State(_) | command::Refusal::Changed => ErrorCode::InvalidState,
        command::Refusal::Denied(_) => ErrorCode::AccessDenied,
    };
    let mut answer = error(code, log_id);
    answer.message = Some(refusal.to_string());
    answer.write(interaction)
}

/// What a refusal is called in the log: never its text, which can name fields of a person.
pub(super) fn refused_name(refusal: &command::Refusal) -> &'static str {
    match refusal {
        command::Refusal::Invalid { .. } => "not valid",
        command::Refusal::NotFound => "case not found",
        command::Refusal::State(_) | command::Refusal::Changed => "not in this state",
        command::Refusal::Denied(_) => "access denied",
    }
}

fn error(code: ErrorCode, log_id: &str) -> Answer {
    Answer { error_code: Some(code), ..empty(ResultCode::Error, log_id) }
}

fn empty(result_code: ResultCode, log_id: &str) -> Answer {
    Answer {
        result_code,
        error_code: None,
        subcode: None,
        log_id: log_id.to_owned(),
        message: None,
        case_id: None,
        registration_number: None,
        received: None,
    }
}

/// A value from outside that a log line can show: bounded, and with nothing that breaks a line.
pub(super) fn visible(text: &str) -> String {
    visible_within(text, VISIBLE_CHARS_MAX)
}

/// The same of at most `most` characters.
pub(super) fn visible_within(text: &str, most: usize) -> String {
    text.trim().chars().take(most).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// A sentence of ours that may quote what came from outside: bounded, and on one line.
pub(super) fn sentence(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = text.chars().take(limits::OUTCOME_CHARS_SHOWN_MAX);
    text.map(|c| if breaks(c) { '?' } else { c }).collect()
}
