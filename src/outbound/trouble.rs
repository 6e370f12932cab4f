//! Why a call that is passed on has no answer, in words for the caller and for those who mend it.

use std::error::Error as _;

use crate::producer::tls_trouble;
use crate::telemetry::Chain;

/// Why there is no (whole) answer.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// As many calls as the producer may have are waiting for it already.
    #[error("too many calls are waiting for the producer")]
    Full,
    /// No connection; nothing was sent.
    #[error("no connection to the producer")]
    Connect(#[source] std::io::Error),
    /// TLS did not come about, or the producer refused our certificate.
    #[error("{0}")]
    Tls(String),
    /// An `https` address, and no certificate to call it with.
    #[error("an https address, but no certificate is configured for calls")]
    NoTls,
    /// The producer's time is out.
    #[error("Timeout when waiting on response from producer.")]
    Timeout,
    /// The producer's answer broke off before its end.
    #[error("the producer closed the connection before its answer was whole")]
    Closed(#[source] hyper::Error),
    /// The connection was lost, or what came is not HTTP.
    #[error("the call to the producer broke off")]
    Lost(#[source] hyper::Error),
}

impl Trouble {
    pub(super) fn lost(error: hyper::Error) -> Self {
        match tls_trouble(&error) {
            Some(text) => Self::Tls(text),
            None if error.is_incomplete_message() => Self::Closed(error),
            // hyper tells a body that is shorter than its Content-Length as an I/O error in it.
            None if ended_early(&error) => Self::Closed(error),
            None => Self::Lost(error),
        }
    }

    pub(super) fn handshake(error: &std::io::Error) -> Self {
        Self::Tls(tls_trouble(error).unwrap_or_else(|| {
            format!("the producer ended the connection during the TLS handshake: {error}")
        }))
    }

    /// One sentence.
    #[must_use]
    pub fn told(&self) -> String {
        Chain(self).to_string()
    }
}

fn ended_early(error: &hyper::Error) -> bool {
    let io = error.source().and_then(|it| it.downcast_ref::<std::io::Error>());
    io.is_some_and(|it| it.kind() == std::io::ErrorKind::UnexpectedEof)
}
