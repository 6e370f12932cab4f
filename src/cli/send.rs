//! `klagomal send`: one envelope from a file to one address, and what is answered, for people.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Failed, Outcome, block_on};
use crate::clock::SystemClock;
use crate::limits;
use crate::producer::{Answer, Body, Call, Producer, Seen};
use crate::rivta::patient_portal_v1::{self as inbox, ADD_MESSAGE, IS_ACTIVE_USER};
use crate::rivta::{self, Interaction, NotAnswer, ResultCode};
use crate::simulators::envelope;
use crate::soap::{FaultCode, FaultSeen, Head, read_fault};
use crate::telemetry::Chain;
use crate::tls::{self, ClientTls};

/// Twice the largest message, so that one can see a too large one refused.
const FILE_BYTES_MAX: u64 = 2 * limits::MESSAGE_BYTES_MAX;

/// Exit 0: OK or INFO. 1: an error, a fault, or an answer that is none. 2: no answer.
#[derive(Debug, clap::Args)]
pub(super) struct Send {
    /// The envelope: any file, or - for standard input. It is sent as it is.
    #[arg(value_name = "FIXTURE")]
    fixture: PathBuf,
    /// Where to: an https address, or http where no certificate is given.
    #[arg(long, value_name = "URL")]
    to: String,
    /// Own certificate with its intermediates, PEM.
    #[arg(long, value_name = "FILE", requires = "key", requires = "ca")]
    cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Who may have issued the other side's certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    ca: Vec<PathBuf>,
    /// A further header, as 'x-rivta-original-serviceconsumer-hsaid: SE0000000000-1177'.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Put a new messageId and a new caseId in the place of the file's, and show them.
    #[arg(long)]
    new_ids: bool,
    /// With --new-ids: this caseId instead of a new one, to go on with a case.
    #[arg(long, value_name = "EXTENSION", requires = "new_ids")]
    case_id: Option<String>,
    /// Show the body of the answer as it came.
    #[arg(long)]
    raw: bool,
    /// How many seconds to wait for the whole answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u32,
}

/// How it went, for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Refused,
    NoAnswer,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::SUCCESS,
            End::Refused => Self::FAILURE,
            End::NoAnswer => Self::from(2),
        }
    }
}

impl Send {
    pub(super) fn run(self, out: &mut dyn Write) -> Outcome {
        Ok(self.send(out)?.into())
    }

    fn send(self, out: &mut dyn Write) -> Result<End, Failed> {
        let mut content = read(&self.fixture)?;
        if self.new_ids {
            let new = envelope::with_new_ids(&content, self.case_id.as_deref())
                .map_err(|error| Failed(Chain(&error).to_string()))?;
            writeln!(out, "messageId: {}", new.message_id)?;
            if let Some(case_id) = &new.case_id {
                writeln!(out, "caseId: {case_id}")?;
            }
            content = new.envelope.into_bytes();
        }
        let head = envelope::head(&content);
        let producer = self.producer()?;
        let call = self.call(content, head.as_ref())?;
        let seen = block_on(producer.call(call))?;
        Ok(show(&seen, head.as_ref(), self.raw, out)?)
    }

    fn producer(&self) -> Result<Producer, Failed> {
        let (Some(certificate), Some(key)) = (&self.cert, &self.key) else {
            return Producer::plain().map_err(|error| Failed(Chain(&error).to_string()));
        };
        let files = tls::Settings::new(certificate, key, &self.ca);
        let client = ClientTls::new(files, Arc::new(SystemClock))
            .map_err(|error| Failed(Chain(&error).to_string()))?;
        Producer::new(client.config().as_ref().clone())
            .map_err(|error| Failed(Chain(&error).to_string()))
    }

    fn call(&self, content: Vec<u8>, head: Option<&Head>) -> Result<Call, Failed> {
        let action = head.map(|head| format!("{}:{}", head.contract, head.operation));
        let headers = self.headers.iter().map(|line| header(line)).collect::<Result<_, _>>()?;
        Ok(Call {
            url: self.to.clone(),
            soap_action: action.unwrap_or_default(),
            content_type: "text/xml; charset=utf-8".to_owned(),
            headers,
            body: Body::Whole(Bytes::from(content)),
            timeout: Duration::from_secs(u64::from(self.timeout)),
        })
    }
}

fn read(fixture: &Path) -> Result<Vec<u8>, Failed> {
    let failed = |error| Failed(format!("{} cannot be read: {error}", fixture.display()));
    let mut content = Vec::new();
    if fixture.as_os_str() == "-" {
        let input = io::stdin().lock();
        input.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    } else {
        let file = File::open(fixture).map_err(failed)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).map_err(failed)?;
    }
    if u64::try_from(content.len()).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        return Ok(content);
    }
    Err(Failed(format!("{} is larger than {FILE_BYTES_MAX} bytes", fixture.display())))
}

fn header(line: &str) -> Result<(String, String), Failed> {
    let (name, value) = line.split_once(':').ok_or_else(|| {
        Failed(format!("--header {line:?} has no colon: write it as 'name: value'"))
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn show(seen: &Seen, head: Option<&Head>, raw: bool, out: &mut dyn Write) -> io::Result<End> {
    match seen {
        Seen::Answered(answer) => {
            show_head(answer, out)?;
            if raw {
                out.write_all(&answer.body)?;
                writeln!(out)?;
            }
            show_body(answer, head, raw, out)
        }
        Seen::NotSent { why, ms, .. } => {
            writeln!(out, "not sent ({ms} ms): {why}")?;
            Ok(End::NoAnswer)
        }
        Seen::Unknown { bytes_sent, bytes, read, why, ms, .. } => {
            if let Some(answer) = read {
                show_head(answer, out)?;
            }
            writeln!(out, "no whole answer ({ms} ms, {bytes_sent} of {bytes} bytes sent): {why}")?;
            writeln!(out, "whether the message was taken is not known")?;
            Ok(End::NoAnswer)
        }
    }
}

fn show_head(answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "HTTP {} ({} ms, {} bytes)", answer.status, answer.ms, answer.body.len())?;
    for (name, value) in &answer.headers {
        writeln!(out, "  {name}: {value}")?;
    }
    Ok(())
}

fn show_body(
    answer: &Answer,
    head: Option<&Head>,
    raw: bool,
    out: &mut dyn Write,
) -> io::Result<End> {
    if let Some(fault) = read_fault(&answer.body) {
        return show_fault(&fault, out);
    }
    let content_type = answer.header("content-type");
    let contract = head.map(|head| (head.contract.as_str(), head.operation.as_str()));
    if let Some(interaction) = contract.and_then(|(of, name)| Interaction::of(of, name)) {
        return match rivta::read_answer(interaction, &answer.body, content_type) {
            Ok(read) => show_answer(&read, out),
            Err(error) => show_unread(&error, answer, raw, out),
        };
    }
    match contract.map(|(of, _)| of) {
        Some(IS_ACTIVE_USER) => match inbox::read_user_status(&answer.body, content_type) {
            Ok(read) => {
                writeln!(out, "active user: {}", if read.active { "yes" } else { "no" })?;
                Ok(End::Done)
            }
            Err(error) => show_unread(&error, answer, raw, out),
        },
        Some(ADD_MESSAGE) => match inbox::read_result(&answer.body, content_type) {
            Ok(read) => show_result(read.result_code, read.result_text.as_deref(), out),
            Err(error) => show_unread(&error, answer, raw, out),
        },
        Some(_) | None => {
            let hint = if raw { "" } else { "; --raw shows it" };
            writeln!(out, "an answer of a contract that is not known here{hint}")?;
            Ok(if (200..300).contains(&answer.status) { End::Done } else { End::Refused })
        }
    }
}

fn show_unread(
    error: &NotAnswer,
    answer: &Answer,
    raw: bool,
    out: &mut dyn Write,
) -> io::Result<End> {
    writeln!(out, "not the contract's answer: {}", Chain(error))?;
    if !raw {
        let start: String = String::from_utf8_lossy(&answer.body).chars().take(400).collect();
        writeln!(out, "it begins: {}", start.trim())?;
    }
    Ok(End::Refused)
}

fn show_fault(fault: &FaultSeen, out: &mut dyn Write) -> io::Result<End> {
    writeln!(out, "fault: {}", fault.code.map_or("of another kind", FaultCode::as_str))?;
    writeln!(out, "text: {}", fault.string)?;
    if let Some(detail) = &fault.detail {
        writeln!(out, "detail: {detail}")?;
    }
    Ok(End::Refused)
}

fn show_answer(answer: &rivta::Answer, out: &mut dyn Write) -> io::Result<End> {
    let end = show_result(answer.result_code, answer.message.as_deref(), out)?;
    let line = |out: &mut dyn Write, name: &str, value: Option<&str>| match value {
        Some(value) => writeln!(out, "{name}: {value}"),
        None => Ok(()),
    };
    line(out, "error code", answer.error_code.map(rivta::ErrorCode::as_str))?;
    line(out, "subcode", answer.subcode.as_deref())?;
    line(out, "registration number", answer.registration_number.as_deref())?;
    let case_id = answer.case_id.as_ref();
    line(out, "caseId", case_id.map(|id| id.extension.as_deref().unwrap_or(&id.root)))?;
    line(out, "received", answer.received.map(|at| at.to_string()).as_deref())?;
    line(out, "log id", Some(&answer.log_id))?;
    Ok(end)
}

fn show_result(code: ResultCode, text: Option<&str>, out: &mut dyn Write) -> io::Result<End> {
    writeln!(out, "result: {}", code.as_str())?;
    if let Some(text) = text {
        writeln!(out, "message: {text}")?;
    }
    Ok(match code {
        ResultCode::Ok | ResultCode::Info => End::Done,
        ResultCode::Error => End::Refused,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use tokio::runtime::Runtime;

    use super::*;
    use crate::id::HsaId;
    use crate::simulators::{Course, Place, Region, RegionSettings};

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        send: Send,
    }

    const CASE: &str = "fixtures/ProcessComplaint/new-case-to-built-in-store.request.xml";

    /// A region on plain HTTP, and the runtime that it lives on.
    fn region() -> (Runtime, Region) {
        let runtime = Runtime::new().unwrap();
        let id = |text| HsaId::parse(text).unwrap();
        let place = Place {
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: None,
            control: None,
            clock: Arc::new(SystemClock),
        };
        let (platform, handler) = (id("SE0000000000-1177"), id("SE0000000000-H1"));
        let settings = RegionSettings::new(place, None, platform, handler);
        let region = runtime.block_on(Region::start(settings)).unwrap();
        (runtime, region)
    }

    fn run(to: &str, words: &[&str]) -> (Result<End, String>, String) {
        let line = [&["send", "--to", to], words].concat();
        let mut out = Vec::new();
        let end = Line::parse_from(line).send.send(&mut out).map_err(|Failed(why)| why);
        (end, String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_kind_of_answer_is_told_in_words_and_has_its_exit_code() {
        let (_runtime, region) = region();
        let to = region.url();
        let (end, text) = run(&to, &[CASE]);
        assert_eq!(end, Ok(End::Done));
        assert!(text.contains("HTTP 200 (") && text.contains("result: OK\n"), "{text}");
        assert!(text.contains("registration number: REGION-000001\n"), "{text}");
        let (end, text) = run(&to, &[CASE]);
        assert_eq!(end, Ok(End::Done));
        assert!(text.contains("result: INFO\n") && text.contains("ALREADY_RECEIVED"), "{text}");
        let (end, text) = run(&to, &["fixtures/ProcessComplaint/description-too-long.request.xml"]);
        assert_eq!(end, Ok(End::Refused));
        assert!(text.contains("error code: VALIDATION_ERROR\n"), "{text}");
        let (end, text) = run(&to, &["fixtures/hostile/doctype.request.xml"]);
        assert_eq!(end, Ok(End::Refused));
        assert!(text.contains("fault: Client\ntext: VP015"), "{text}");
        region.behave(Course::first(&["http:503".parse().unwrap(), "close".parse().unwrap()]));
        let (end, text) = run(&to, &[CASE]);
        assert_eq!(end, Ok(End::Refused));
        assert!(text.contains("HTTP 503") && text.contains("it begins: <html>"), "{text}");
        let (end, text) = run(&to, &[CASE]);
        assert_eq!(end, Ok(End::NoAnswer));
        assert!(text.contains("whether the message was taken is not known"), "{text}");
        let (end, text) = run("https://localhost:1/", &[CASE]);
        assert_eq!(end, Ok(End::NoAnswer));
        assert!(text.contains("not sent") && text.contains("no certificate"), "{text}");
    }

    #[test]
    fn new_ids_are_shown_and_a_case_is_gone_on_with() {
        let (_runtime, region) = region();
        let to = region.url();
        for _ in 0..2 {
            let (end, text) = run(&to, &[CASE, "--new-ids"]);
            assert_eq!(end, Ok(End::Done));
            assert!(text.starts_with("messageId: ") && text.contains("\nresult: OK\n"), "{text}");
        }
        assert_eq!(run(&to, &[CASE, "--new-ids", "--case-id", "ett"]).0, Ok(End::Done));
        let received = region.received();
        assert_eq!(received.len(), 3);
        let case = received.last().and_then(|it| it.case_id.clone()).unwrap();
        assert_eq!(case.extension.as_deref(), Some("ett"));
    }

    #[test]
    fn the_raw_answer_and_the_headers_of_the_call_are_passed_on_as_they_are() {
        let (_runtime, region) = region();
        let to = region.url();
        let header = "x-rivta-original-serviceconsumer-hsaid: SE0000000000-1177";
        let (_, text) = run(&to, &[CASE, "--raw", "--header", header]);
        assert!(text.contains("<c:resultCode>OK</c:resultCode>"), "{text}");
        assert_eq!(region.received()[0].original_consumer.as_deref(), Some("SE0000000000-1177"));
        let (end, _) = run(&to, &[CASE, "--header", "nothing"]);
        assert!(end.unwrap_err().contains("no colon"));
        let (end, _) = run(&to, &["no-such-file.xml"]);
        assert!(end.unwrap_err().starts_with("no-such-file.xml cannot be read"));
    }
}
