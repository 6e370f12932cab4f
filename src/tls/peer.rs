//! A verified certificate to the peer behind it: which system or person, until when.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::oid::Oid;

use super::fault::Reason;
use crate::id::{HsaId, HsaIdError};

/// Which subject attribute holds the HSA-id: serialNumber (2.5.4.5) unless configured otherwise,
/// OU in some older installations.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    oid: Oid<'static>,
}

/// Why a text names no attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no attribute: write serialNumber, OU, CN, or an OID such as 2.5.4.5")]
pub struct AttributeError {
    found: String,
}

impl Default for Attribute {
    fn default() -> Self {
        Self { oid: x509_parser::oid_registry::OID_X509_SERIALNUMBER }
    }
}

impl FromStr for Attribute {
    type Err = AttributeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let dotted = match text.trim().to_ascii_lowercase().as_str() {
            "serialnumber" => "2.5.4.5".to_owned(),
            "ou" => "2.5.4.11".to_owned(),
            "cn" => "2.5.4.3".to_owned(),
            other => other.to_owned(),
        };
        match Oid::from_str(&dotted) {
            Ok(oid) => Ok(Self { oid }),
            Err(_) => Err(AttributeError { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.oid, f)
    }
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.oid, f)
    }
}

/// Who is at the other end, by a certificate that has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The HSA-id of its subject, trimmed; compared without case.
    pub hsa_id: HsaId,
    /// When the certificate begins to hold.
    pub not_before: Timestamp,
    /// When the certificate runs out.
    pub not_after: Timestamp,
    /// The certificate's own number, lower-case hex without separators.
    pub serial: String,
    /// Common name of who signed it (its whole name where it has none).
    pub issuer: String,
    /// SHA-256 over the certificate, lower-case hex.
    pub fingerprint: String,
}

/// Why a certificate gives no peer, or no longer does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No certificate at all.
    #[error("the peer gave no certificate")]
    NoCertificate,
    /// Not a certificate.
    #[error("the peer's certificate cannot be read")]
    Unreadable,
    /// The attribute is not there, or empty.
    #[error("the subject of the peer's certificate has no attribute {0} with an HSA-id")]
    NoHsaId(Attribute),
    /// Several of them: which one is meant cannot be known.
    #[error("the subject of the peer's certificate has the attribute {0} more than once")]
    SeveralHsaIds(Attribute),
    /// It is there and is no HSA-id.
    #[error("the HSA-id in the peer's certificate cannot be used: {0}")]
    BadHsaId(HsaIdError),
    /// The certificate does not, or no longer, hold against the trust list.
    #[error("{0}")]
    Refused(Reason),
}

impl Peer {
    /// The peer behind `certificate`, which must have been verified already.
    ///
    /// # Errors
    /// When the HSA-id is missing, doubled or not one.
    pub fn read(
        certificate: &CertificateDer<'_>,
        attribute: &Attribute,
    ) -> Result<Self, PeerError> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| PeerError::Unreadable)?;
        Ok(Self {
            hsa_id: hsa_id(&parsed, attribute)?,
            not_before: timestamp(parsed.validity().not_before)?,
            not_after: timestamp(parsed.validity().not_after)?,
            serial: hex(parsed.raw_serial()),
            issuer: name(parsed.issuer()),
            fingerprint: hex(&Sha256::digest(certificate)),
        })
    }
}

fn hsa_id(parsed: &X509Certificate<'_>, attribute: &Attribute) -> Result<HsaId, PeerError> {
    let mut found = parsed.subject().iter_by_oid(&attribute.oid);
    let first = found.next().ok_or_else(|| PeerError::NoHsaId(attribute.clone()))?;
    if found.next().is_some() {
        return Err(PeerError::SeveralHsaIds(attribute.clone()));
    }
    let text = first.as_str().map_err(|_| PeerError::Unreadable)?;
    HsaId::parse(text).map_err(|error| match error {
        HsaIdError::Empty => PeerError::NoHsaId(attribute.clone()),
        HsaIdError::TooLong | HsaIdError::NotVisible(_) => PeerError::BadHsaId(error),
    })
}

fn timestamp(at: x509_parser::time::ASN1Time) -> Result<Timestamp, PeerError> {
    Timestamp::from_second(at.timestamp()).map_err(|_| PeerError::Unreadable)
}

/// Common name, or all of it.
pub(super) fn name(of: &x509_parser::x509::X509Name<'_>) -> String {
    let common = of.iter_common_name().next().and_then(|common| common.as_str().ok());
    common.map_or_else(|| of.to_string(), str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(half), 16));
        }
    }
    out
}
