//! Why a handshake failed or a certificate does not hold, in one sentence for the log.

use std::error::Error as _;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// What was the matter, for counting and for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No client certificate.
    NoCertificate,
    /// It chains to nobody on the trust list.
    UnknownIssuer,
    /// It, or one above it, has run out.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It is on a revocation list.
    Revoked,
    /// No revocation list covers it.
    RevocationUnknown,
    /// The revocation list that covers it is too old.
    ListExpired,
    /// Its usage does not allow this.
    WrongUsage,
    /// The server's certificate is for another host.
    WrongName,
    /// It is damaged, wrongly signed, or of a kind that is not supported.
    BadCertificate,
    /// No TLS version in common.
    NoCommonVersion,
    /// No cipher suite, key exchange or signature in common.
    NoCommonCipher,
    /// The peer refused us by an alert.
    PeerRefused,
    /// Plain HTTP came where TLS should.
    PlainHttp,
    /// Something that is not TLS came.
    NotTls,
    /// The peer hung up before the end.
    PeerClosed,
    /// The peer took too long.
    TimedOut,
    /// Anything else; the detail says what.
    Other,
}

impl Reason {
    /// The word used in metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UnknownIssuer => "unknown_issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::ListExpired => "list_expired",
            Self::WrongUsage => "wrong_usage",
            Self::WrongName => "wrong_name",
            Self::BadCertificate => "bad_certificate",
            Self::NoCommonVersion => "no_common_version",
            Self::NoCommonCipher => "no_common_cipher",
            Self::PeerRefused => "peer_refused",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::PeerClosed => "peer_closed",
            Self::TimedOut => "timed_out",
            Self::Other => "other",
        }
    }

    /// What a failed verification means.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's own list, which grows")]
    pub fn of(error: &Error) -> Self {
        if let Error::InvalidCertificate(certificate) = error {
            return of_certificate(certificate);
        }
        if let Error::PeerIncompatible(what) = error {
            return of_incompatible(what);
        }
        match error {
            Error::NoCertificatesPresented => Self::NoCertificate,
            Error::InvalidCertRevocationList(_) => Self::RevocationUnknown,
            Error::AlertReceived(AlertDescription::ProtocolVersion) => Self::NoCommonVersion,
            Error::AlertReceived(_) => Self::PeerRefused,
            Error::InvalidMessage(_) => Self::NotTls,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "the peer gave no certificate",
            Self::UnknownIssuer => "the peer's certificate was not issued by a trusted authority",
            Self::Expired => "the peer's certificate, or one above it, has expired",
            Self::NotYetValid => "the peer's certificate is not valid yet",
            Self::Revoked => "the peer's certificate is revoked",
            Self::RevocationUnknown => {
                "no usable revocation list covers the peer's certificate, so it is refused"
            }
            Self::ListExpired => {
                "the revocation list that covers the peer's certificate has expired: fetch a new one"
            }
            Self::WrongUsage => "the peer's certificate may not be used for this (key usage)",
            Self::WrongName => "the peer's certificate is for another host name",
            Self::BadCertificate => "the peer's certificate is damaged or of an unsupported kind",
            Self::NoCommonVersion => "no TLS version in common (here: 1.2 and 1.3)",
            Self::NoCommonCipher => "no cipher suite, key exchange or signature in common",
            Self::PeerRefused => "the peer refused the connection",
            Self::PlainHttp => "plain HTTP came to the TLS port",
            Self::NotTls => "what came is not TLS",
            Self::PeerClosed => "the peer hung up during the handshake",
            Self::TimedOut => "the handshake took too long",
            Self::Other => "the handshake failed",
        })
    }
}

/// A handshake that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{detail}")]
pub struct HandshakeFault {
    /// What was the matter.
    pub reason: Reason,
    detail: String,
}

impl HandshakeFault {
    /// A fault that the reason says all of.
    #[must_use]
    pub fn plain(reason: Reason) -> Self {
        Self { reason, detail: String::new() }
    }

    /// What `error`, as returned by an attempt at a handshake, means.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the standard library's list, which grows")]
    pub fn read(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        if let Some(inner) = inner.or_else(|| error.source()?.downcast_ref::<Error>()) {
            let reason = Reason::of(inner);
            let detail = match reason {
                Reason::PeerRefused
                | Reason::Other
                | Reason::NotTls
                | Reason::BadCertificate
                | Reason::RevocationUnknown
                | Reason::NoCommonCipher => format!(" ({inner})"),
                Reason::NoCertificate
                | Reason::UnknownIssuer
                | Reason::Expired
                | Reason::NotYetValid
                | Reason::Revoked
                | Reason::ListExpired
                | Reason::WrongUsage
                | Reason::WrongName
                | Reason::NoCommonVersion
                | Reason::PlainHttp
                | Reason::PeerClosed
                | Reason::TimedOut => String::new(),
            };
            return Self { reason, detail };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::plain(Reason::PeerClosed),
            io::ErrorKind::TimedOut => Self::plain(Reason::TimedOut),
            _ => Self { reason: Reason::Other, detail: format!(" ({error})") },
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's own list, which grows")]
fn of_certificate(error: &CertificateError) -> Reason {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Reason::NotYetValid
        }
        CertificateError::Revoked => Reason::Revoked,
        CertificateError::UnknownIssuer => Reason::UnknownIssuer,
        CertificateError::UnknownRevocationStatus => Reason::RevocationUnknown,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => Reason::ListExpired,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Reason::WrongUsage
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Reason::WrongName
        }
        _ => Reason::BadCertificate,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's own list, which grows")]
fn of_incompatible(what: &rustls::PeerIncompatible) -> Reason {
    use rustls::PeerIncompatible as P;
    match what {
        // What a caller without TLS 1.2 lacks first of all.
        P::SignatureAlgorithmsExtensionRequired
        | P::ServerDoesNotSupportTls12Or13
        | P::ServerTlsVersionIsDisabledByOurConfig
        | P::SupportedVersionsExtensionRequired
        | P::Tls12NotOffered
        | P::Tls12NotOfferedOrEnabled
        | P::Tls13RequiredForQuic => Reason::NoCommonVersion,
        _ => Reason::NoCommonCipher,
    }
}
