//! Every way to refuse a call, and the fault for each: one match, two texts.
//!
//! The caller gets a code and a sentence about what it sent; `Display` and the source chain are for
//! the log.

use std::sync::Arc;
use std::time::Duration;

use crate::limits;
use crate::soap::{Fault, FaultCode, ReadError};
use crate::tak::{Denial, Rate};

/// Why a call is answered with a SOAP fault.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// VP002: the connection's certificate does not (any longer) say who calls.
    #[error("the caller's certificate does not hold: {0}")]
    Peer(String),
    /// VP011: behind the proxied door is somebody who is no proxy of ours.
    #[error("{address} is not in [proxied] sources (told by {header})")]
    NotListed {
        address: String,
        /// What told the address: a header, or the connection itself.
        header: String,
    },
    /// VP003, VP015, or SOAP's own codes.
    #[error("the message cannot be read")]
    Unreadable(#[from] ReadError),
    /// VP004, VP006, VP007, VP008, VP010: what the routing configuration says.
    #[error("routing: {0}")]
    Routing(Denial),
    /// VP015: well-formed, but not a message of the contract. The place goes to the sender only: the
    /// names of unknown elements are the sender's own, and the log takes nothing from a message.
    #[error("not a message of the contract; the fault that was sent names the place")]
    Malformed { path: String, what: String },
    /// A question to the gateway itself without what it must have. No code: the text is the
    /// contract's.
    #[error("an argument is empty: {0}")]
    Argument(&'static str),
    /// VP015: the body broke off, or came too slowly.
    #[error("the body did not come whole: {0}")]
    Body(String),
    /// VP012: the store cannot take it now; nothing was accepted.
    #[error("nothing can be accepted now: {0}")]
    Unavailable(String),
    /// VP012: more calls at once than the limit.
    #[error("too many calls at once")]
    Overloaded,
    /// VP012: this consumer has called more often than it may.
    #[error("more calls than {most} from this consumer")]
    TooOften {
        most: Rate,
        /// Until it may call again.
        wait: Duration,
    },
    /// VP009: the producer could not be reached, or gave no answer that can be passed on.
    #[error("the producer {url}: {what}")]
    Producer {
        url: Arc<str>,
        what: String,
        /// What it answered with.
        status: Option<u16>,
    },
    /// VP012: the message could not be rewritten to the profile that the producer wants.
    #[error("the message cannot be rewritten to the producer's profile")]
    Translation(#[source] ReadError),
    /// VP013: the caller may not say whom it calls for.
    #[error("the caller may not set x-rivta-original-serviceconsumer-hsaid")]
    OriginalConsumer,
    /// VP014: the call has been here before.
    #[error("the call goes round: this gateway is in its routing history")]
    Loop,
    /// VP005: the contract is routed to a producer, which this door does not do.
    #[error("the contract {0} is routed to a producer; it is not kept here")]
    NotKept(String),
}

impl Refusal {
    /// The platform's code, where the fault has one.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(match self {
            Self::Peer(_) => "VP002",
            Self::NotListed { .. } => "VP011",
            Self::Unreadable(error) => match error.vp() {
                Some(3) => "VP003",
                Some(_) => "VP015",
                None => return None,
            },
            Self::Routing(denial) => denial.code(),
            Self::Argument(_) => return None,
            Self::Malformed { .. } | Self::Body(_) => "VP015",
            Self::Producer { .. } => "VP009",
            Self::Unavailable(_)
            | Self::Overloaded
            | Self::TooOften { .. }
            | Self::Translation(_) => "VP012",
            Self::OriginalConsumer => "VP013",
            Self::Loop => "VP014",
            Self::NotKept(_) => "VP005",
        })
    }

    /// The limit that was reached, where it was one.
    #[must_use]
    pub fn limit(&self) -> Option<&'static str> {
        match self {
            Self::Overloaded => Some("calls_in_flight"),
            Self::TooOften { .. } => Some("consumer_rate"),
            Self::Unreadable(ReadError::Size) => Some("message_bytes"),
            Self::Peer(_)
            | Self::NotListed { .. }
            | Self::Unreadable(_)
            | Self::Routing(_)
            | Self::Malformed { .. }
            | Self::Argument(_)
            | Self::Body(_)
            | Self::Unavailable(_)
            | Self::Producer { .. }
            | Self::Translation(_)
            | Self::OriginalConsumer
            | Self::Loop
            | Self::NotKept(_) => None,
        }
    }

    /// How long the caller should wait before it sends the same again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::TooOften { wait, .. } = self {
            return Some(*wait);
        }
        matches!(self, Self::Overloaded | Self::Unavailable(_)).then_some(limits::RETRY_AFTER)
    }

    /// What the caller gets. `instance` names this gateway.
    #[must_use]
    pub fn fault(&self, instance: &str) -> Fault {
        let (text, detail) = self.texts();
        let string = match self.code() {
            Some(code) => format!("{code} [{instance}] {text}"),
            None => text,
        };
        Fault { code: self.fault_code(), string, detail: Some(detail) }
    }

    fn fault_code(&self) -> FaultCode {
        match self {
            Self::Unreadable(error) => error.fault_code(),
            // The platform says `Server` also where the caller lacks permission (VP007).
            Self::Routing(denial) => match denial {
                Denial::NoAddress | Denial::NoRoute { .. } | Denial::CountyNotLive { .. } => {
                    FaultCode::Client
                }
                Denial::MoreThanOne { .. }
                | Denial::NotPermitted { .. }
                | Denial::NoUrl { .. }
                | Denial::NoTable => FaultCode::Server,
            },
            Self::Peer(_)
            | Self::NotListed { .. }
            | Self::Malformed { .. }
            | Self::Argument(_)
            | Self::Body(_)
            | Self::NotKept(_)
            | Self::OriginalConsumer => FaultCode::Client,
            Self::Unavailable(_)
            | Self::Overloaded
            | Self::TooOften { .. }
            | Self::Producer { .. }
            | Self::Translation(_)
            | Self::Loop => FaultCode::Server,
        }
    }

    /// The sentence in Swedish, and the detail.
    fn texts(&self) -> (String, String) {
        match self {
            Self::Peer(why) => (
                "Anroparens certifikat godtas inte. Kontrollera klientcertifikatet.".to_owned(),
                why.clone(),
            ),
            Self::NotListed { address, header } => (
                "Anropet kom inte genom en tillåten proxy. Anrop utanför TLS är inte tillåtna."
                    .to_owned(),
                format!(
                    "Caller was not on the white list of accepted IP-addresses.  IP-address: \
                     {address}. HTTP header that caused checking: {header}"
                ),
            ),
            Self::Unreadable(ReadError::NoAddress) => (
                "Logisk adress saknas i meddelandets huvud.".to_owned(),
                "No receiverId (logical address) found in message header. ".to_owned(),
            ),
            Self::Unreadable(error) => (
                "Anropet är inte korrekt utformat och kan inte behandlas.".to_owned(),
                error.detail(),
            ),
            Self::Routing(denial) => (denial.text(), denial.detail()),
            Self::Malformed { path, what } => {
                ("Meddelandet följer inte tjänstekontraktet.".to_owned(), format!("{path}: {what}"))
            }
            Self::Argument(text) => ((*text).to_owned(), (*text).to_owned()),
            Self::Body(_) => (
                "Anropet är inte korrekt utformat och kan inte behandlas.".to_owned(),
                "Meddelandet kom inte fram helt.".to_owned(),
            ),
            Self::Unavailable(_) => (
                "Meddelandet kunde inte sparas och är inte mottaget. Skicka det igen senare."
                    .to_owned(),
                "Nothing was accepted.".to_owned(),
            ),
            Self::Overloaded => (
                "För många samtidiga anrop. Meddelandet är inte mottaget. Skicka det igen senare."
                    .to_owned(),
                "Nothing was accepted.".to_owned(),
            ),
            Self::TooOften { most, .. } => (
                "För många anrop på kort tid. Meddelandet är inte mottaget. Skicka det igen senare."
                    .to_owned(),
                format!("At most {most}. Nothing was accepted."),
            ),
            Self::Producer { url, what, status } => (
                "Fel i kontakten med tjänsteproducenten.".to_owned(),
                producer_detail(url, what, *status),
            ),
            Self::Translation(error) => (
                "Meddelandet kunde inte skrivas om till tjänsteproducentens RIV TA-profil."
                    .to_owned(),
                error.detail(),
            ),
            Self::OriginalConsumer => (
                "Anroparen får inte sätta http-headern x-rivta-original-serviceconsumer-hsaid."
                    .to_owned(),
                "Sender is not approved to set header x-rivta-original-serviceconsumer-hsaid."
                    .to_owned(),
            ),
            Self::Loop => (
                "Anropet går runt mellan tjänsteplattformar. Kontakta tjänsteplattformens förvaltning."
                    .to_owned(),
                String::new(),
            ),
            Self::NotKept(contract) => (
                "Tjänstekontraktet tas inte emot här.".to_owned(),
                format!("The contract {contract} is not served by this gateway."),
            ),
        }
    }
}

/// The last line is what callers look for.
fn producer_detail(url: &str, what: &str, status: Option<u16>) -> String {
    let mut detail = format!("Error connecting to service producer at address {url}. {what}");
    if let Some(status) = status {
        detail.push_str(&format!("\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={status}"));
    }
    detail
}
