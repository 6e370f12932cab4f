//! The opening of a message: what is read of it before it is known where it goes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::line::Counts;
use super::refusal::Refusal;
use crate::limits;
use crate::listen::{BodyError, Pace, next_chunk_within};
use crate::soap::{Encoding, Head, MessageReader, ReadError};
use crate::telemetry::Chain;

/// A message of which the head has come.
#[derive(Debug)]
pub(super) struct Opening {
    pub head: Head,
    /// What the envelope came in.
    pub encoding: Encoding,
    pub content_type: Option<String>,
    /// What has been read, as it came.
    pub read: VecDeque<Bytes>,
    /// Bytes before the envelope: the first boundary of a multipart message and its part's headers.
    pub before: usize,
    /// `Content-Length`, where the sender gave one.
    pub length: Option<u64>,
    pub rest: Rest,
}

/// What has not been read yet.
#[derive(Debug)]
pub(super) struct Rest {
    body: Option<Incoming>,
    /// What may still come.
    left: u64,
    counts: Arc<Counts>,
    pace: Pace,
    left_over: LeftOver,
}

/// Where a body goes when it is dropped unread: to the one who refuses the message.
#[derive(Debug)]
pub(super) struct LeftOver {
    to: Option<oneshot::Sender<Rest>>,
    /// The body is on its way, or has been asked for: to ask for it again invites nobody to send it.
    coming: bool,
}

impl LeftOver {
    /// Hands over what was not read, once.
    pub(super) fn give(&mut self, body: Option<Incoming>) {
        let (Some(body), Some(to)) = (body, self.to.take()) else { return };
        if !self.coming {
            return;
        }
        // Nothing of it is kept, so the bound is another message's, not what this one had left.
        let left = limits::MESSAGE_BYTES_MAX;
        let (counts, pace) = (Arc::default(), Pace::default());
        let left_over = Self { to: None, coming: true };
        // Nobody waits for it where the call was cut off.
        to.send(Rest { body: Some(body), left, counts, pace, left_over }).unwrap_or_default();
    }
}

impl Rest {
    /// All of the body of a request, at most `most` bytes of it; and where what was not read is found
    /// afterwards.
    pub(super) fn of(
        request: http::Request<Incoming>,
        most: u64,
        counts: Arc<Counts>,
    ) -> (HeaderMap, Self, oneshot::Receiver<Self>) {
        let (sender, receiver) = oneshot::channel();
        let (head, body) = request.into_parts();
        // Who waits to be told to go on has sent nothing.
        let coming = !head.headers.contains_key(header::EXPECT);
        let left_over = LeftOver { to: Some(sender), coming };
        let pace = Pace::default();
        let rest = Self { body: Some(body), left: most, counts, pace, left_over };
        (head.headers, rest, receiver)
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Some(body) = &mut self.body else { return Ok(None) };
        self.left_over.coming = true;
        let began = Instant::now();
        let chunk = next_chunk_within(body, &mut self.left, self.pace.patience()).await;
        let chunk = chunk.map_err(|error| match error {
            BodyError::Stalled(_) => self.pace.late(),
            other @ (BodyError::Slow { .. } | BodyError::TooLarge(_) | BodyError::Broken(_)) => {
                other
            }
        });
        let chunk = chunk.map_err(body_refusal)?;
        self.pace.came(chunk.as_ref().map_or(0, Bytes::len), began.elapsed());
        match &chunk {
            Some(chunk) => Counts::add(&self.counts.into, chunk.len()),
            None => self.body = None,
        }
        Ok(chunk)
    }

    /// How many bytes it has, where the sender said so.
    fn length(&self) -> Option<u64> {
        self.body.as_ref().and_then(|body| hyper::body::Body::size_hint(body).exact())
    }

    /// The body itself, how many bytes may still come, how fast they came until now, and to whom the
    /// body goes if it is not read.
    pub(super) fn into_parts(mut self) -> (Option<Incoming>, u64, Pace, LeftOver) {
        let nobody = LeftOver { to: None, coming: false };
        let left_over = std::mem::replace(&mut self.left_over, nobody);
        (self.body.take(), self.left, std::mem::take(&mut self.pace), left_over)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.left_over.give(self.body.take());
    }
}

impl Opening {
    /// Reads up to the start tag of the first element in Body, and what came with it.
    pub(super) async fn read(headers: &HeaderMap, mut rest: Rest) -> Result<Self, Refusal> {
        let content_type = headers.get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let length = rest.length();
        if length.is_some_and(|length| length > rest.left) {
            return Err(ReadError::Size.into());
        }
        let mut envelope = Envelope::new(content_type.as_deref())?;
        let mut read = VecDeque::new();
        while let Some(chunk) = rest.next().await? {
            let known = envelope.push(&chunk)?;
            read.push_back(chunk);
            if known {
                break;
            }
        }
        let (head, encoding, before) = envelope.finish()?;
        Ok(Self { head, encoding, content_type, read, before, length, rest })
    }

    /// The root part of a multipart message (MTOM, SOAP with attachments).
    pub(super) fn is_multipart(&self) -> bool {
        self.before > 0
    }
}

/// The envelope, looked for in the body as it comes.
enum Envelope {
    Whole(MessageReader),
    /// Of a multipart message, whose first part it is; the bytes until that begins.
    Part(Vec<u8>, String),
    Begun(MessageReader, usize),
}

impl Envelope {
    fn new(content_type: Option<&str>) -> Result<Self, ReadError> {
        Ok(match content_type.and_then(boundary) {
            Some(boundary) => Self::Part(Vec::new(), boundary),
            None => Self::Whole(MessageReader::head_only(content_type)?),
        })
    }

    /// Whether the head is here now.
    fn push(&mut self, chunk: &[u8]) -> Result<bool, ReadError> {
        match self {
            Self::Whole(reader) | Self::Begun(reader, _) => {
                reader.push(chunk)?;
                Ok(reader.head().is_some())
            }
            Self::Part(held, boundary) => {
                held.extend_from_slice(chunk);
                let Some((at, content_type)) = first_part(held, boundary)? else {
                    return Ok(false);
                };
                let mut reader = MessageReader::head_only(content_type.as_deref())?;
                reader.push(held.get(at..).unwrap_or_default())?;
                let known = reader.head().is_some();
                *self = Self::Begun(reader, at);
                Ok(known)
            }
        }
    }

    fn finish(self) -> Result<(Head, Encoding, usize), ReadError> {
        let (reader, before) = match self {
            Self::Whole(reader) => (reader, 0),
            Self::Begun(reader, before) => (reader, before),
            Self::Part(..) => return Err(ReadError::Truncated),
        };
        let encoding = reader.encoding().unwrap_or(Encoding::Utf8);
        if before > 0 && encoding != Encoding::Utf8 {
            return Err(ReadError::Charset);
        }
        if let Some(head) = reader.head() {
            return Ok((head.clone(), encoding, before));
        }
        let (head, _, _) = reader.finish()?;
        Ok((head, encoding, before))
    }
}

/// The boundary of a multipart message; `None` for any other.
fn boundary(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if !kind.get(..10).is_some_and(|it| it.eq_ignore_ascii_case("multipart/")) {
        return None;
    }
    let value = content_type.split(';').skip(1).find_map(|it| {
        let (name, value) = it.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim())
    })?;
    Some(value.trim_matches('"').to_owned())
}

/// Where the content of the first part begins, and its own Content-Type; `None` if not yet come.
fn first_part(held: &[u8], boundary: &str) -> Result<Option<(usize, Option<String>)>, ReadError> {
    let broken = |what| Err(ReadError::Envelope(what));
    let delimiter = format!("--{boundary}");
    let begin = memmem(held, delimiter.as_bytes());
    let headers = begin.map(|at| at + delimiter.len());
    let end = headers.and_then(|at| {
        memmem(held.get(at..).unwrap_or_default(), b"\r\n\r\n").map(|end| (at, at + end))
    });
    let Some((start, end)) = end else {
        let too_long = held.len() > limits::PART_HEADERS_BYTES_MAX;
        return if too_long { broken("rotdelen i multipart saknas") } else { Ok(None) };
    };
    let headers = String::from_utf8_lossy(held.get(start..end).unwrap_or_default()).into_owned();
    let value = |wanted: &str| {
        headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    match value("content-transfer-encoding").map(|it| it.to_ascii_lowercase()).as_deref() {
        None | Some("8bit" | "7bit" | "binary") => Ok(Some((end + 4, value("content-type")))),
        Some(_) => broken("rotdelen i multipart har en kodning som inte läses"),
    }
}

fn memmem(held: &[u8], wanted: &[u8]) -> Option<usize> {
    held.windows(wanted.len().max(1)).position(|it| it == wanted)
}

/// Lets the sender of a refused message finish, for a bounded time, while the answer is on its way:
/// to somebody who is still writing it is lost when the connection closes over what was not read.
/// What was not read may come a while after the refusal: a connection to a producer gives it up on a
/// task of its own.
pub(super) fn let_finish(refusal: &Refusal, left_over: oneshot::Receiver<Rest>) {
    if let Refusal::Body(_) = refusal {
        return;
    }
    tokio::spawn(async move {
        let rest = async {
            // There is none where all was read.
            let Ok(mut rest) = left_over.await else { return };
            while let Ok(Some(_)) = rest.next().await {}
        };
        if tokio::time::timeout(limits::REFUSED_BODY_TIME_MAX, rest).await.is_err() {
            tracing::info!("a refused message was still being sent when its time was up");
        }
    });
}

pub(super) fn body_refusal(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLarge(_) => ReadError::Size.into(),
        BodyError::Stalled(_) | BodyError::Slow { .. } | BodyError::Broken(_) => {
            Refusal::Body(Chain(&error).to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_a_multipart_message_is_found() {
        let of = |text: &str| boundary(text);
        assert_eq!(of("Multipart/Related; type=\"a/b\"; boundary=\"u=1\"").as_deref(), Some("u=1"));
        assert_eq!(of("multipart/related;boundary=x").as_deref(), Some("x"));
        assert_eq!(of("text/xml; boundary=x"), None);
        let text = "pre\r\n--x\r\nContent-Type: application/xop+xml; charset=UTF-8\r\n\r\n<a/>";
        let (at, kind) = first_part(text.as_bytes(), "x").unwrap().unwrap();
        assert_eq!(text.get(at..), Some("<a/>"));
        assert_eq!(kind.as_deref(), Some("application/xop+xml; charset=UTF-8"));
        let cut = text.get(..text.len() - 6).unwrap();
        assert_eq!(first_part(cut.as_bytes(), "x").unwrap(), None);
        assert!(first_part(&[b'x'; 20_000], "y").is_err());
        let coded = "--x\r\nContent-Transfer-Encoding: base64\r\n\r\nPGE+";
        assert!(first_part(coded.as_bytes(), "x").is_err());
    }
}
