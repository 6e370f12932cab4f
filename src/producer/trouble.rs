//! How a call failed, read from the errors of the libraries, in words for those who mend it.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::Loss;

/// A failure of TLS.
pub(super) struct Told {
    /// One sentence: whose side refused what, and where to look.
    pub text: String,
    /// Whether the producer refused us. Its server had then not read the request.
    pub refused_by_peer: bool,
}

/// What a producer's alert says of us.
const REFUSALS: [(AlertDescription, &str); 14] = [
    (AlertDescription::CertificateRequired, "it requires a client certificate and got none"),
    (AlertDescription::NoCertificate, "it requires a client certificate and got none"),
    (AlertDescription::UnknownCA, "it does not trust the issuer of our certificate"),
    (AlertDescription::CertificateRevoked, "our certificate is revoked"),
    (AlertDescription::CertificateExpired, "our certificate has expired"),
    (AlertDescription::CertificateUnknown, "it does not accept our certificate"),
    (AlertDescription::BadCertificate, "it finds a fault in our certificate"),
    (AlertDescription::UnsupportedCertificate, "our certificate is not of a kind it accepts"),
    (AlertDescription::AccessDenied, "our certificate is valid but has no access"),
    (
        AlertDescription::DecryptError,
        "our certificate is not signed by the issuer it trusts under that name, or not with our key",
    ),
    (
        AlertDescription::HandshakeFailure,
        "no common cipher, or our certificate is missing or wrong",
    ),
    (AlertDescription::ProtocolVersion, "no common version of TLS"),
    (AlertDescription::InsufficientSecurity, "our ciphers are too weak for it"),
    (AlertDescription::UnrecognisedName, "it does not serve the host name of the address"),
];

/// What we found wrong with a producer's certificate.
fn finding(fault: &CertificateError) -> String {
    use CertificateError as E;
    let text = if *fault == E::UnknownIssuer {
        "its issuer is not among those we trust (unknown issuer)"
    } else if matches!(fault, E::Expired | E::ExpiredContext { .. }) {
        "it has expired"
    } else if matches!(fault, E::NotValidYet | E::NotValidYetContext { .. }) {
        "it is not valid yet"
    } else if *fault == E::Revoked {
        "it is revoked"
    } else if *fault == E::UnknownRevocationStatus {
        "no revocation list says whether it is revoked"
    } else if *fault == E::BadSignature {
        "it is not signed by the issuer we trust under that name"
    } else if matches!(fault, E::InvalidPurpose | E::InvalidPurposeContext { .. }) {
        "it is not for servers"
    } else {
        // Among these is the wrong host name, with both names.
        return lowered(&fault.to_string());
    };
    text.to_owned()
}

/// What to look for when a connection over TLS is reset while we send.
pub(super) const RESET_OVER_TLS: &str =
    "; if every call ends so, see in the producer's log whether it refuses our certificate";

/// The failure of TLS behind `error`, if it was one.
pub(super) fn tls(error: &reqwest::Error) -> Option<Told> {
    if let Some(found) = find::<rustls::Error>(error) {
        return Some(tell(found));
    }
    // A connection that ends while it is being made was accepted first: it ended in the handshake.
    let cut = find::<io::Error>(error).filter(|e| error.is_connect() && is_cut(e))?;
    let text = format!("the producer ended the connection during the TLS handshake: {cut}");
    Some(Told { text, refused_by_peer: true })
}

/// The failure of TLS behind any error, in one sentence; `None` if it was none.
pub fn tls_trouble(error: &(dyn Error + 'static)) -> Option<String> {
    find::<rustls::Error>(error).map(|found| tell(found).text)
}

fn tell(error: &rustls::Error) -> Told {
    if let rustls::Error::AlertReceived(alert) = error {
        let refusal = REFUSALS.iter().find(|(known, _)| known == alert);
        return match refusal {
            Some((_, text)) => Told {
                text: format!("the producer refused us in TLS: {text} (alert {alert:?})"),
                refused_by_peer: true,
            },
            None => Told {
                text: format!("the producer ended TLS with the alert {alert:?}"),
                refused_by_peer: false,
            },
        };
    }
    let text = if let rustls::Error::InvalidCertificate(fault) = error {
        format!("we refused the producer's certificate: {}", finding(fault))
    } else if let rustls::Error::InvalidMessage(_) = error {
        "what the producer sent is not TLS; is it an http address?".to_owned()
    } else {
        format!("TLS with the producer failed: {}", lowered(&error.to_string()))
    };
    Told { text, refused_by_peer: false }
}

/// The kind of loss behind `error`, for a call of which something had left.
pub(super) fn loss(error: &reqwest::Error) -> Loss {
    if error.is_timeout() {
        return Loss::Timeout;
    }
    if let Some(found) = find::<hyper::Error>(error) {
        if found.is_incomplete_message() || found.is_canceled() || found.is_closed() {
            return Loss::Closed;
        }
        if found.is_parse() {
            return Loss::NotHttp;
        }
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::UnexpectedEof) => Loss::Closed,
        Some(kind) if RESETS.contains(&kind) => Loss::Reset,
        _ => Loss::Other,
    }
}

const RESETS: [io::ErrorKind; 4] = [
    io::ErrorKind::ConnectionReset,
    io::ErrorKind::ConnectionAborted,
    io::ErrorKind::BrokenPipe,
    io::ErrorKind::NotConnected,
];

fn is_cut(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || RESETS.contains(&error.kind())
}

/// The first cause of the type `E`, also inside an I/O error, which hides what it wraps.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<E>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn lowered(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
