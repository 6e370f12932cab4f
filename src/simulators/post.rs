//! Sending one message and reading what is answered.

use std::io::{self, Read as _};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use uuid::Uuid;

use super::door::in_words;
use crate::limits;
use crate::producer::{
    self, Body, Call, ErrorCode as Told, Judgement, Producer, Seen, Side, SoapReading, judge,
};
use crate::rivta::{Answer, ErrorCode, Interaction, NotAnswer, ResultCode, read_answer};
use crate::soap::{FaultCode, FaultSeen, Outline, Piece};
use crate::store::blobs::Blobs;

/// Decoded bytes of a file that are written at a time: a multiple of three.
const BLOCK_BYTES: u64 = 192 * 1024;

/// What came of sending a message of the complaint contracts.
#[derive(Debug)]
pub struct Outcome {
    /// What was seen of the call.
    pub seen: Seen,
    /// The answer's body, where a whole answer came.
    pub answer: Option<Result<Answer, NotAnswer>>,
}

impl Outcome {
    /// The answer, where it is one of the contract.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref().and_then(|it| it.as_ref().ok())
    }

    /// The SOAP fault, where the answer is one.
    #[must_use]
    pub fn fault(&self) -> Option<&FaultSeen> {
        match self.answer.as_ref() {
            Some(Err(NotAnswer::Fault(fault))) => Some(fault),
            Some(Ok(_) | Err(NotAnswer::Unreadable(_) | NotAnswer::Other(_))) | None => None,
        }
    }

    /// What it means for sending again.
    #[must_use]
    pub fn judgement(&self) -> Judgement {
        judge(&self.seen, self.reading())
    }

    fn reading(&self) -> SoapReading {
        match &self.answer {
            Some(Ok(answer)) => match answer.result_code {
                ResultCode::Ok => SoapReading::Ok,
                ResultCode::Info => SoapReading::Info,
                ResultCode::Error => SoapReading::Error(told(answer.error_code)),
            },
            Some(Err(NotAnswer::Fault(fault))) => SoapReading::Fault {
                side: match fault.code {
                    Some(FaultCode::Client | FaultCode::MustUnderstand) => Side::Client,
                    Some(FaultCode::Server | FaultCode::VersionMismatch) | None => Side::Server,
                },
                vp: fault.vp.map(u16::from),
            },
            Some(Err(NotAnswer::Unreadable(_) | NotAnswer::Other(_))) | None => {
                SoapReading::NotSoap
            }
        }
    }

    /// In a few words, for a log: no text of the message.
    #[must_use]
    pub fn summary(&self) -> String {
        match (&self.seen, &self.answer) {
            (_, Some(Ok(answer))) => in_words(answer),
            (_, Some(Err(NotAnswer::Fault(fault)))) => format!("fault: {}", fault.string),
            (Seen::Answered(answer), _) => format!("HTTP {} without an answer", answer.status),
            (Seen::NotSent { why, .. }, _) => format!("not sent: {why}"),
            (Seen::Unknown { why, .. }, _) => format!("no answer: {why}"),
        }
    }
}

const fn told(code: Option<ErrorCode>) -> Told {
    match code {
        Some(ErrorCode::ValidationError) => Told::Validation,
        Some(ErrorCode::AccessDenied) => Told::AccessDenied,
        Some(ErrorCode::NotFound) => Told::NotFound,
        Some(ErrorCode::InvalidState) => Told::InvalidState,
        Some(ErrorCode::ApplicationError) => Told::Application,
        Some(ErrorCode::TechnicalError) => Told::Technical,
        None => Told::Other,
    }
}

/// Sends messages of the complaint contracts under one identity.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) producer: Producer,
    pub(super) url: String,
    pub(super) timeout: Duration,
}

impl Post {
    /// Sends a message whose files lie in `blobs`.
    pub(super) async fn outline(
        &self,
        interaction: Interaction,
        outline: Outline,
        blobs: &Blobs,
        headers: &[(String, String)],
    ) -> Outcome {
        let body = Body::stream(outline.content_length(), chunks(outline, blobs.clone()));
        self.send(interaction, body, headers).await
    }

    /// Sends an envelope as it is.
    pub(super) async fn envelope(
        &self,
        interaction: Interaction,
        envelope: Bytes,
        headers: &[(String, String)],
    ) -> Outcome {
        self.send(interaction, Body::Whole(envelope), headers).await
    }

    async fn send(
        &self,
        interaction: Interaction,
        body: Body,
        headers: &[(String, String)],
    ) -> Outcome {
        let mut headers = headers.to_vec();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("x-skltp-correlation-id")) {
            headers.push(("x-skltp-correlation-id".to_owned(), Uuid::new_v4().to_string()));
        }
        let seen = self
            .producer
            .call(Call {
                url: self.url.clone(),
                soap_action: interaction.soap_action(),
                content_type: "text/xml; charset=utf-8".to_owned(),
                headers,
                body,
                timeout: self.timeout,
            })
            .await;
        let answer = match &seen {
            Seen::Answered(answer) => Some(read(interaction, answer)),
            Seen::NotSent { .. } | Seen::Unknown { .. } => None,
        };
        Outcome { seen, answer }
    }
}

fn read(interaction: Interaction, answer: &producer::Answer) -> Result<Answer, NotAnswer> {
    read_answer(interaction, &answer.body, answer.header("content-type"))
}

/// The bytes of a message: text as it is, files read and encoded as they are asked for.
fn chunks(outline: Outline, blobs: Blobs) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::iter(outline.parts).flat_map(move |piece| match piece {
        Piece::Text(text) => stream::once(async move { Ok(Bytes::from(text)) }).left_stream(),
        Piece::File { sha256, .. } => encoded(sha256, blobs.clone()).right_stream(),
    })
}

fn encoded(sha256: String, blobs: Blobs) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(None, move |open: Option<std::fs::File>| {
        let (sha256, blobs) = (sha256.clone(), blobs.clone());
        async move {
            let work = tokio::task::spawn_blocking(move || {
                let mut file = match open {
                    Some(file) => file,
                    None => blobs.open(&sha256).map_err(io::Error::other)?.0,
                };
                let mut block = Vec::new();
                io::Read::by_ref(&mut file).take(BLOCK_BYTES).read_to_end(&mut block)?;
                let text = (!block.is_empty()).then(|| Bytes::from(STANDARD.encode(&block)));
                Ok(text.map(|text| (text, Some(file))))
            });
            work.await.map_err(io::Error::other)?
        }
    })
}

/// The time for one call of a simulator.
pub(super) const TIMEOUT: Duration = limits::PRODUCER_TIME_DEFAULT;
