//! A producer's answer on its way back: judged by its beginning, then passed on while it arrives.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};

use super::change::Change;
use crate::gateway::line::{Came, Counts, Line};
use crate::gateway::refusal::Refusal;
use crate::limits;
use crate::listen::BoxError;
use crate::outbound::{Answer, Trouble};
use crate::soap::encoding::ToUtf8;
use crate::soap::{Encoding, Recoder, SOAP_11};

/// An answer whose beginning is here and good.
#[derive(Debug)]
pub(super) struct Begun {
    status: StatusCode,
    headers: HeaderMap,
    held: VecDeque<Bytes>,
    /// `None` where all of it is held.
    rest: Option<Answer>,
}

/// Why an answer does not reach its caller.
#[derive(Debug)]
pub(super) enum Unfit {
    /// A status that no SOAP answer has, or 500 without a fault.
    Status(StatusCode),
    /// Success, and nothing.
    Empty(StatusCode),
    /// It broke off.
    Broken(Trouble),
}

impl Begun {
    /// Reads the beginning: all of most answers.
    pub(super) async fn read(response: Response<Answer>) -> Result<Self, Unfit> {
        let (head, mut body) = response.into_parts();
        let status = head.status;
        if !status.is_success() && status != StatusCode::INTERNAL_SERVER_ERROR {
            return Err(Unfit::Status(status));
        }
        let (mut held, mut bytes, mut ended) = (VecDeque::new(), 0, false);
        while bytes < limits::HELD_BYTES_MAX {
            let Some(frame) = body.frame().await else {
                ended = true;
                break;
            };
            match frame {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        bytes += data.len();
                        held.push_back(data);
                    }
                }
                // Some producers state a length that is too large and close: what came is whole.
                Err(Trouble::Closed(_)) if is_whole(&held) => {
                    ended = true;
                    break;
                }
                Err(trouble) => return Err(Unfit::Broken(trouble)),
            }
        }
        if !status.is_success() && !holds(&held, SOAP_11) {
            return Err(Unfit::Status(status));
        }
        if bytes == 0 {
            return Err(Unfit::Empty(status));
        }
        let rest = (!ended).then_some(body);
        Ok(Self { status, headers: head.headers, held, rest })
    }

    /// Makes it ready for the caller, who wrote in `wanted`.
    pub(super) fn ready(self, wanted: Encoding) -> Result<Ready, Refusal> {
        let (content_type, mut change) = self.for_caller(wanted);
        let Self { status, headers, mut held, rest } = self;
        let bytes = |held: &VecDeque<Bytes>| held.iter().map(Bytes::len).sum::<usize>();
        let mut length = None;
        match &rest {
            // All of it is here: nothing can go wrong any more.
            None => {
                held = changed(held, &mut change)?;
                length = Some(bytes(&held));
            }
            Some(rest) if change.is_nothing() => {
                let more = rest.size_hint().exact().and_then(|it| usize::try_from(it).ok());
                length = more.map(|more| more.saturating_add(bytes(&held)));
            }
            Some(_) => {}
        }
        let length = length.and_then(|it| u64::try_from(it).ok());
        Ok(Ready { status, headers, content_type, held, rest, change, length })
    }

    /// The Content-Type for the caller, who wrote in `wanted`, and what makes the answer so.
    fn for_caller(&self, wanted: Encoding) -> (String, Change) {
        let came = self.headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let multipart =
            came.filter(|it| it.get(..10).is_some_and(|it| it.eq_ignore_ascii_case("multipart/")));
        // Only its own Content-Type tells where its parts are.
        if let Some(multipart) = multipart {
            return (multipart.to_owned(), Change::default());
        }
        let label = format!("text/xml; charset={}", wanted.label());
        if self.encoding(came) == Encoding::Utf8 && wanted == Encoding::Utf8 {
            return (label, Change::default());
        }
        // A character set that is not read here is taken for UTF-8, as everything else is.
        let recoder = Recoder::new(came, wanted).or_else(|_| Recoder::new(None, wanted)).ok();
        (label, Change { recoder, ..Change::default() })
    }

    fn encoding(&self, content_type: Option<&str>) -> Encoding {
        let Ok(mut reader) = ToUtf8::new(content_type) else { return Encoding::Utf8 };
        for chunk in &self.held {
            // What it is shows before what is wrong with it.
            if reader.push(chunk, &mut |_| Ok(())).is_err() || reader.encoding().is_some() {
                break;
            }
        }
        reader.encoding().unwrap_or(Encoding::Utf8)
    }
}

/// Whether an envelope has come to its end.
fn is_whole(held: &VecDeque<Bytes>) -> bool {
    let all: Vec<u8> = held.iter().flatten().copied().collect();
    all.trim_ascii_end().ends_with(b"Envelope>") && holds(held, SOAP_11)
}

fn holds(held: &VecDeque<Bytes>, text: &str) -> bool {
    let all: Vec<u8> = held.iter().flatten().copied().collect();
    all.windows(text.len()).any(|it| it == text.as_bytes())
}

/// An answer as its caller is to have it.
#[derive(Debug)]
pub(in crate::gateway) struct Ready {
    pub status: StatusCode,
    /// The producer's.
    pub headers: HeaderMap,
    pub content_type: String,
    /// Where there is a rest, not yet changed.
    held: VecDeque<Bytes>,
    rest: Option<Answer>,
    change: Change,
    length: Option<u64>,
}

/// The body of the answer to the caller.
#[derive(Debug)]
pub(super) struct Returned {
    held: VecDeque<Bytes>,
    rest: Option<Answer>,
    change: Change,
    ended: bool,
    left: u64,
    length: Option<u64>,
    sent: u64,
    line: Line,
}

impl Returned {
    /// Passes on at most `bytes_max` bytes. The log line is written when the last has left.
    pub(super) fn new(ready: Ready, bytes_max: u64, mut line: Line) -> Self {
        let Ready { held, rest, change, length, .. } = ready;
        line.came(Came::HungUp, "the caller hung up during the answer");
        Self { held, ended: rest.is_none(), rest, change, left: bytes_max, length, sent: 0, line }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, String>>> {
        loop {
            if let Some(chunk) = self.held.pop_front() {
                if self.ended {
                    return Poll::Ready(Some(Ok(chunk)));
                }
                match self.change.push(chunk) {
                    Ok(chunk) if chunk.is_empty() => continue,
                    changed => return Poll::Ready(Some(changed.map_err(|it| it.to_string()))),
                }
            }
            let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
            match Pin::new(rest).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
                    let Some(left) = self.left.checked_sub(bytes) else {
                        return Poll::Ready(Some(Err("it is too large".to_owned())));
                    };
                    self.left = left;
                    self.held.push_back(data);
                }
                Poll::Ready(Some(Err(trouble))) => {
                    return Poll::Ready(Some(Err(trouble.told())));
                }
                Poll::Ready(None) => {
                    self.rest = None;
                    self.ended = true;
                    match self.change.finish() {
                        Ok(chunk) if chunk.is_empty() => {}
                        Ok(chunk) => self.held.push_back(chunk),
                        Err(refusal) => return Poll::Ready(Some(Err(refusal.to_string()))),
                    }
                }
            }
        }
    }
}

fn changed(held: VecDeque<Bytes>, change: &mut Change) -> Result<VecDeque<Bytes>, Refusal> {
    let mut all = VecDeque::with_capacity(held.len() + 1);
    for chunk in held {
        all.push_back(change.push(chunk)?);
    }
    all.push_back(change.finish()?);
    all.retain(|chunk| !chunk.is_empty());
    Ok(all)
}

impl Body for Returned {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Poll::Ready(next) = this.poll_next(cx) else { return Poll::Pending };
        Poll::Ready(match next {
            None => {
                this.line.passed();
                None
            }
            Some(Ok(chunk)) => {
                Counts::add(&this.line.counts.out, chunk.len());
                this.sent = this.sent.saturating_add(u64::try_from(chunk.len()).unwrap_or(0));
                // Where the length is known, nothing is asked for after the last byte.
                if this.length == Some(this.sent) {
                    this.line.passed();
                }
                Some(Ok(Frame::data(chunk)))
            }
            Some(Err(what)) => {
                let told = format!("the answer broke off on its way back: {what}");
                this.line.came(Came::Broken, told);
                Some(Err(what.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.length.map(|length| length.saturating_sub(self.sent));
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
