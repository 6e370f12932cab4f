//! From an outgoing message as the case knows it to a call, and from an answer to what it says.

use std::io::{self, Read as _};
use std::iter::Peekable;

use bytes::Bytes;
use futures_util::stream;

use crate::cases::Cases;
use crate::cases::query::QueryError;
use crate::cases::record::{Item, Record};
use crate::complaint::case::Case;
use crate::complaint::command::inbox_person;
use crate::complaint::event::{Debt, Event, Opened, Source, Step};
use crate::complaint::letter::letter;
use crate::complaint::message::{
    Complaint, FromComplainant, FromHandler, Ii, ProcessComplaint, ProcessComplaintHandling,
    Registration,
};
use crate::id::HsaId;
use crate::limits;
use crate::producer::{Answer, Body, Call, ErrorCode, Side, SoapReading};
use crate::rivta::patient_portal_v1::{self as portal, InboxMessage, SendingUnit};
use crate::rivta::{
    self, Interaction, NotAnswer, ResultCode, process_complaint_handling_v1, process_complaint_v1,
};
use crate::soap::{FaultCode, FaultSeen, Outline, Piece};
use crate::store::blobs::{Blobs, Content};
use crate::store::journal::ReadError;
use crate::store::keys::SealedFile;
use crate::tak::{System, Table};
use crate::telemetry::trace::{TRACEPARENT, Trace};

/// Bytes of a file that are read at once: a multiple of three, so that base64 needs no padding
/// inside.
const FILE_BLOCK_BYTES: usize = 48 * 1024;

/// What SOAP 1.1 is sent as.
const XML: &str = "text/xml; charset=utf-8";

/// Why a message cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The receiver is not told of this event.
    #[error("there is nothing to tell")]
    NotTold,
    #[error("the case cannot be read")]
    Case(#[from] QueryError),
    #[error("the case is not there")]
    NoCase,
    #[error("the record is not of a kind that is sent there")]
    Kind,
    #[error("the person has no identity that the inbox takes")]
    NoPerson,
    #[error("the message cannot be written as XML")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no mail server is configured ([mail])")]
    NoMail,
    #[error("the thread that reads the case is gone")]
    Thread,
}

impl ComposeError {
    /// Whether it may pass by itself: the store or its disk did not answer.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Thread
            | Self::Case(
                QueryError::Views(_) | QueryError::Record { source: ReadError::Disk { .. }, .. },
            ) => true,
            Self::Case(
                QueryError::Record { source: ReadError::Damaged(_), .. }
                | QueryError::NotOfCase(_)
                | QueryError::Unknown { .. }
                | QueryError::Form(_),
            )
            | Self::NotTold
            | Self::NoCase
            | Self::Kind
            | Self::NoPerson
            | Self::NoMail
            | Self::Write(_) => false,
        }
    }
}

/// A message that is ready to be sent.
#[derive(Debug)]
pub struct Composed {
    action: String,
    headers: Vec<(String, String)>,
    trace: Trace,
    outline: Outline,
    /// Where the outline's files lie, those that are sealed.
    sealed_files: Vec<SealedFile>,
    reader: Reader,
    before: Option<Question>,
}

/// IsActiveUser, which comes before a letter.
#[derive(Debug, Clone)]
pub struct Question {
    text: String,
}

/// How to read the answer.
#[derive(Debug, Clone, Copy)]
pub enum Reader {
    Complaint(Interaction),
    Inbox,
}

/// What an answer says.
#[derive(Debug, Clone)]
pub struct Read {
    pub soap: SoapReading,
    /// The inbox says, definitely, that the person cannot be reached.
    pub unreachable: Option<String>,
}

impl Read {
    /// An answer that says no more than this.
    #[must_use]
    pub const fn of(soap: SoapReading) -> Self {
        Self { soap, unreachable: None }
    }
}

/// Writes what `item` owes to `system`.
pub fn compose(
    cases: &Cases,
    item: &Item,
    table: &Table,
    system: &System,
) -> Result<Composed, ComposeError> {
    let record = cases.record(&item.case, item.id.seq)?;
    match &item.what {
        Debt::Relay { seq, receiver } => {
            let source = match seq {
                Some(seq) => cases.record(&item.case, *seq)?,
                None => record,
            };
            relay(cases, item, &source, receiver)
        }
        Debt::Letter => letter_to(cases, item, &record, system),
        Debt::Onward => onward(cases, item, &record, &table.platform().portal),
        Debt::Notice { .. } => Err(ComposeError::NoMail),
    }
}

impl Composed {
    /// What must be asked first.
    #[must_use]
    pub fn before(&self) -> Option<Question> {
        self.before.clone()
    }

    /// The span of the call: below that of the message that it comes from, where one is known.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// How to read the answer.
    #[must_use]
    pub const fn reader(&self) -> Reader {
        self.reader
    }

    /// The call; attachments are read from disk while it is sent.
    #[must_use]
    pub fn into_call(self, system: &System, blobs: &Blobs) -> Call {
        let bytes = self.outline.content_length();
        let rest = self.outline.parts.into_iter().peekable();
        let pieces = Pieces { rest, blobs: blobs.clone(), sealed: self.sealed_files, file: None };
        let chunks = stream::unfold(pieces, |mut pieces| async move {
            if let Some(text) = pieces.text() {
                return Some((Ok(text), pieces));
            }
            if pieces.is_done() {
                return None;
            }
            // Files are read by a thread that may wait for the disk.
            tokio::task::spawn_blocking(move || pieces.next()).await.unwrap_or_default()
        });
        Call {
            url: system.url.as_deref().unwrap_or_default().to_owned(),
            soap_action: self.action,
            content_type: XML.to_owned(),
            headers: self.headers.into_iter().chain([traceparent(&self.trace)]).collect(),
            body: Body::stream(bytes, chunks),
            timeout: system.timeout,
        }
    }
}

impl Question {
    /// The call.
    #[must_use]
    pub fn into_call(self, system: &System, trace: &Trace) -> Call {
        Call {
            url: system.url.as_deref().unwrap_or_default().to_owned(),
            soap_action: portal::IS_ACTIVE_USER_ACTION.to_owned(),
            content_type: XML.to_owned(),
            headers: vec![traceparent(trace)],
            body: Body::Whole(Bytes::from(self.text)),
            timeout: system.timeout,
        }
    }
}

/// The pieces of an outline, as chunks of a body.
struct Pieces {
    rest: Peekable<std::vec::IntoIter<Piece>>,
    blobs: Blobs,
    sealed: Vec<SealedFile>,
    file: Option<Content>,
}

impl Pieces {
    fn is_done(&mut self) -> bool {
        self.file.is_none() && self.rest.peek().is_none()
    }

    /// The next piece where it is text, which waits for nothing.
    fn text(&mut self) -> Option<Bytes> {
        if self.file.is_some() {
            return None;
        }
        match self.rest.next_if(|piece| matches!(piece, Piece::Text(_)))? {
            Piece::Text(text) => Some(Bytes::from(text)),
            Piece::File { .. } => None,
        }
    }

    fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            if let Some(file) = &mut self.file {
                match block(file) {
                    Ok(Some(bytes)) => return Some((Ok(bytes), self)),
                    Ok(None) => self.file = None,
                    Err(error) => return Some((Err(error), self)),
                }
                continue;
            }
            match self.rest.next()? {
                Piece::Text(text) => return Some((Ok(Bytes::from(text)), self)),
                Piece::File { sha256, .. } => {
                    let sealed = self.sealed.iter().find(|it| it.sha256 == sha256);
                    match self.blobs.content(&sha256, sealed) {
                        Ok((file, _)) => self.file = Some(file),
                        Err(error) => return Some((Err(io::Error::other(error)), self)),
                    }
                }
            }
        }
    }
}

/// The next block of a file as base64; `None` at its end.
fn block(file: &mut Content) -> io::Result<Option<Bytes>> {
    use base64::Engine as _;
    let mut bytes = Vec::with_capacity(FILE_BLOCK_BYTES);
    let limit = u64::try_from(FILE_BLOCK_BYTES).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Bytes::from(base64::engine::general_purpose::STANDARD.encode(&bytes))))
}

/// The complainant's message, as it came; only the header is new.
fn relay(
    cases: &Cases,
    item: &Item,
    record: &Record,
    receiver: &HsaId,
) -> Result<Composed, ComposeError> {
    let from_portal = match &record.event {
        Event::Opened(opened) => matches!(opened.source, Source::Portal),
        Event::Supplemented { .. } | Event::Withdrawn { .. } => true,
        Event::Handled { .. }
        | Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Staff { .. }
        | Event::Reminded { .. } => {
            return Err(ComposeError::Kind);
        }
    };
    let outline = match &record.original {
        Some(original) if from_portal => original.relay(receiver),
        Some(_) | None => {
            process_complaint_v1::write(&as_complaint(cases, item, record)?, receiver)
        }
    };
    Ok(complaint_call(Interaction::ProcessComplaint, outline, record))
}

/// A case that was registered by one system and transferred to another goes as a new complaint.
fn as_complaint(
    cases: &Cases,
    item: &Item,
    record: &Record,
) -> Result<ProcessComplaint, ComposeError> {
    let (Event::Opened(opened), Some(incoming)) = (&record.event, &record.incoming) else {
        return Err(ComposeError::Kind);
    };
    Ok(ProcessComplaint {
        message_id: own_message_id(cases, item, record),
        sent: incoming.sent,
        case_id: record.case.clone(),
        content: FromComplainant::Complaint(Box::new(opened.complaint.clone())),
    })
}

fn letter_to(
    cases: &Cases,
    item: &Item,
    record: &Record,
    system: &System,
) -> Result<Composed, ComposeError> {
    // As it stood then: a letter that has waited must not speak for whoever has the case now.
    let case = cases.case_as_of(&item.case, item.id.seq)?.ok_or(ComposeError::NoCase)?;
    let letter = letter(&case, &record.event).ok_or(ComposeError::NotTold)?;
    let complaint = complaint_of(cases, &case, record)?;
    let person = inbox_person(&complaint).ok_or(ComposeError::NoPerson)?.to_owned();
    let question = portal::write_is_active_user(&person, &system.hsa_id)
        .map_err(|error| ComposeError::Write(Box::new(error)))?;
    let message = InboxMessage {
        person,
        unit: SendingUnit {
            id: case.receiver.clone(),
            name: case.receiver_name.clone(),
            address: None,
            postal_code: None,
            postal_city: None,
            telephone: None,
        },
        thread_id: Some(thread(&case.id)),
        heading: Some(letter.heading),
        text: letter.text,
        notify: system.notify.then_some(true),
        source_system: system.source_system.clone(),
    };
    let text = portal::write_message(&message, &system.hsa_id)
        .map_err(|error| ComposeError::Write(Box::new(error)))?;
    let mut outline = Outline::default();
    outline.push_text(&text);
    Ok(Composed {
        action: portal::ADD_MESSAGE_ACTION.to_owned(),
        headers: rivta_headers(record),
        trace: trace(record),
        outline,
        sealed_files: Vec::new(),
        reader: Reader::Inbox,
        before: Some(Question { text: question }),
    })
}

/// One conversation for each case: 1177's own id of it.
fn thread(id: &Ii) -> String {
    match &id.extension {
        Some(extension) => format!("{}:{extension}", id.root),
        None => id.root.clone(),
    }
}

/// The complaint that began the case; it stands in the first record.
fn complaint_of(cases: &Cases, case: &Case, record: &Record) -> Result<Complaint, ComposeError> {
    if let Event::Opened(opened) = &record.event {
        return Ok(opened.complaint.clone());
    }
    let first = case.complainant_seqs.first().ok_or(ComposeError::NoCase)?;
    match cases.record(&case.id, *first)?.event {
        Event::Opened(opened) => Ok(opened.complaint),
        Event::Supplemented { .. }
        | Event::Withdrawn { .. }
        | Event::Handled { .. }
        | Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Staff { .. }
        | Event::Reminded { .. } => Err(ComposeError::NoCase),
    }
}

/// The handling event in the form that own systems send it in, whoever handles.
fn onward(
    cases: &Cases,
    item: &Item,
    record: &Record,
    portal: &HsaId,
) -> Result<Composed, ComposeError> {
    let (handler, content) = match &record.event {
        Event::Handled { by, step, .. } => (by.clone(), content_of(step)),
        Event::Opened(opened) => registration(opened)?,
        Event::Supplemented { .. }
        | Event::Withdrawn { .. }
        | Event::Leased { .. }
        | Event::Tried { .. }
        | Event::Decided { .. }
        | Event::Staff { .. }
        | Event::Reminded { .. } => return Err(ComposeError::Kind),
    };
    let message = ProcessComplaintHandling {
        message_id: own_message_id(cases, item, record),
        sent: record.incoming.as_ref().map_or(record.at, |incoming| incoming.sent),
        case_id: Some(record.case.clone()),
        handler,
        content,
    };
    let outline = process_complaint_handling_v1::write(&message, portal);
    Ok(complaint_call(Interaction::ProcessComplaintHandling, outline, record))
}

fn registration(
    opened: &Opened,
) -> Result<(crate::complaint::message::Actor, FromHandler), ComposeError> {
    let Source::Registered { origin, by } = &opened.source else { return Err(ComposeError::Kind) };
    let registration = Registration { origin: *origin, complaint: opened.complaint.clone() };
    Ok(((**by).clone(), FromHandler::Registration(Box::new(registration))))
}

fn content_of(step: &Step) -> FromHandler {
    match step {
        Step::Acknowledgement(it) => FromHandler::Acknowledgement(it.clone()),
        Step::PartialReply(it) => FromHandler::PartialReply(it.clone()),
        Step::Question(it) => FromHandler::Question(it.clone()),
        Step::Reply(it, _) => FromHandler::Reply(it.clone()),
        Step::Transfer(it) => FromHandler::Transfer(it.transfer.clone()),
        Step::PlaceCorrection(it) => FromHandler::PlaceCorrection(it.clone()),
        Step::Closure(it, _) => FromHandler::Closure(it.clone()),
    }
}

/// A message that is ours is known by its place in the journal and the time of its record: the place
/// comes again only in a store that was restored from a backup, and there at another time. Not by
/// the id it came in with: ids are the sender's own, and two systems may use the same.
fn own_message_id(cases: &Cases, item: &Item, record: &Record) -> Ii {
    let at = record.at.as_millisecond();
    Ii {
        root: "1.2.752.129.2.1.2.1".to_owned(),
        extension: Some(format!("{}:{}:{at}", cases.own(), item.id)),
    }
}

fn complaint_call(interaction: Interaction, outline: Outline, record: &Record) -> Composed {
    Composed {
        action: interaction.soap_action(),
        headers: rivta_headers(record),
        trace: trace(record),
        outline,
        sealed_files: record.sealed_files.clone(),
        reader: Reader::Complaint(interaction),
        before: None,
    }
}

/// A span in the trace that the message came in; a new trace for what began here.
fn trace(record: &Record) -> Trace {
    let came = record.incoming.as_ref().and_then(|it| Trace::read(&it.trace));
    came.map_or_else(Trace::new, |it| it.child())
}

fn traceparent(trace: &Trace) -> (String, String) {
    (TRACEPARENT.to_owned(), trace.traceparent())
}

/// The first consumer and the call's own id go with the message, as the platform does it.
fn rivta_headers(record: &Record) -> Vec<(String, String)> {
    let Some(incoming) = &record.incoming else { return Vec::new() };
    let sender = incoming.sender.to_string();
    let first = incoming.original_consumer.clone().unwrap_or(sender);
    let header = |name: &str, value: String| (name.to_owned(), value);
    let mut headers = vec![
        header("x-rivta-original-serviceconsumer-hsaid", first),
        header("x-skltp-correlation-id", incoming.correlation_id.clone()),
    ];
    if let Some(party) = &incoming.on_behalf_of {
        headers.push(header("x-rivta-acting-on-behalf-of-hsaid", party.clone()));
    }
    headers
}

impl Reader {
    /// What the answer says.
    #[must_use]
    pub fn read(self, answer: &Answer) -> Read {
        let kind = answer.header("content-type");
        match self {
            Self::Complaint(interaction) => {
                match rivta::read_answer(interaction, &answer.body, kind) {
                    Ok(read) => Read::of(result(read.result_code, read.error_code)),
                    Err(error) => Read::of(not_answer(&error)),
                }
            }
            Self::Inbox => match portal::read_result(&answer.body, kind) {
                // The contract knows one logical error; older inboxes told it with INFO.
                Ok(read)
                    if read.result_code != ResultCode::Ok
                        && is_not_active(read.result_text.as_deref()) =>
                {
                    Read {
                        soap: SoapReading::Info,
                        unreachable: Some(
                            "the person is not an active user of the inbox".to_owned(),
                        ),
                    }
                }
                Ok(read) => Read::of(result(read.result_code, None)),
                Err(error) => Read::of(not_answer(&error)),
            },
        }
    }
}

/// Whether the person has an inbox; what the answer was, when it does not say.
pub fn is_active(answer: &Answer) -> Result<bool, SoapReading> {
    if !(200..300).contains(&answer.status) {
        // A result under a status that denies it tells nothing; a fault tells what it is.
        return Err(match portal::read_user_status(&answer.body, answer.header("content-type")) {
            Ok(_) => SoapReading::NotSoap,
            Err(error) => not_answer(&error),
        });
    }
    portal::read_user_status(&answer.body, answer.header("content-type"))
        .map(|status| status.active)
        .map_err(|error| not_answer(&error))
}

fn is_not_active(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.to_ascii_lowercase().contains("not active"))
}

fn result(code: ResultCode, error: Option<rivta::ErrorCode>) -> SoapReading {
    match code {
        ResultCode::Ok => SoapReading::Ok,
        ResultCode::Info => SoapReading::Info,
        ResultCode::Error => SoapReading::Error(match error {
            Some(rivta::ErrorCode::ValidationError) => ErrorCode::Validation,
            Some(rivta::ErrorCode::AccessDenied) => ErrorCode::AccessDenied,
            Some(rivta::ErrorCode::NotFound) => ErrorCode::NotFound,
            Some(rivta::ErrorCode::InvalidState) => ErrorCode::InvalidState,
            Some(rivta::ErrorCode::ApplicationError) => ErrorCode::Application,
            Some(rivta::ErrorCode::TechnicalError) => ErrorCode::Technical,
            None => ErrorCode::Other,
        }),
    }
}

fn not_answer(error: &NotAnswer) -> SoapReading {
    match error {
        NotAnswer::Fault(fault) => fault_reading(fault),
        NotAnswer::Unreadable(_) | NotAnswer::Other(_) => SoapReading::NotSoap,
    }
}

fn fault_reading(fault: &FaultSeen) -> SoapReading {
    let side = match fault.code {
        Some(FaultCode::Client | FaultCode::VersionMismatch | FaultCode::MustUnderstand) => {
            Side::Client
        }
        Some(FaultCode::Server) | None => Side::Server,
    };
    SoapReading::Fault { side, vp: fault.vp.map(u16::from) }
}

const _: () = assert!(FILE_BLOCK_BYTES.is_multiple_of(3));
const _: () = assert!(FILE_BLOCK_BYTES < limits::SKELETON_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rivta::patient_portal_v1::{
        InboxResult, UserStatus, write_result, write_user_status,
    };

    fn answer(status: u16, body: String) -> Answer {
        let headers = vec![("content-type".to_owned(), XML.to_owned())];
        Answer { status, headers, body: Bytes::from(body), ms: 1 }
    }

    fn result_of(code: ResultCode, text: &str) -> Read {
        let result = InboxResult {
            thread_id: None,
            notified: Vec::new(),
            result_code: code,
            result_text: Some(text.to_owned()),
        };
        Reader::Inbox.read(&answer(200, write_result(&result).unwrap()))
    }

    #[test]
    fn a_person_is_unreachable_only_where_the_inbox_says_that_it_took_nothing() {
        let inactive = "Target person is not active user";
        assert!(result_of(ResultCode::Error, inactive).unreachable.is_some());
        assert!(result_of(ResultCode::Info, inactive).unreachable.is_some());
        let taken = result_of(ResultCode::Ok, "Taken; notification is not active");
        assert_eq!((taken.soap, taken.unreachable), (SoapReading::Ok, None));
        let refused = result_of(ResultCode::Error, "something else");
        assert_eq!(refused.unreachable, None);
        assert_eq!(refused.soap, SoapReading::Error(ErrorCode::Other));
    }

    #[test]
    fn a_status_of_a_person_counts_only_in_an_answer_that_went_well() {
        for active in [true, false] {
            let status = UserStatus { active, methods: Vec::new() };
            let body = write_user_status(&status).unwrap();
            assert_eq!(is_active(&answer(200, body.clone())), Ok(active));
            assert_eq!(is_active(&answer(503, body)), Err(SoapReading::NotSoap));
        }
        assert_eq!(is_active(&answer(200, "<html>".to_owned())), Err(SoapReading::NotSoap));
    }
}
