//! Signing: authorities, leaves and revocation lists.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevocationReason, RevokedCertParams, SerialNumber, SigningKey as _,
};
use time::OffsetDateTime;

use super::PkiError;
use super::kinds::{Id, Key, Kind, Signer, Span};

/// serialNumber, where Swedish function certificates carry the HSA-id (SITHS; VP's pattern).
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];
/// pseudonym: stands in for the second serialNumber until the certificate is signed again.
const STAND_IN: [u64; 4] = [2, 5, 4, 65];
const STAND_IN_DER: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x41];
const SERIAL_NUMBER_DER: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x05];

const YEARS_VALID: i32 = 10;

/// A certificate authority and its key.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

/// A certificate with its key, as PEM.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) certificate: String,
    pub(super) key: String,
    pub(super) serial: Vec<u8>,
}

impl Authority {
    pub(super) fn root(name: &str, now: Timestamp) -> Result<Self, PkiError> {
        let key = new_key(Key::P256, name)?;
        let params = authority_params(name, BasicConstraints::Unconstrained, now)?;
        let made = params.self_signed(&key).map_err(|source| sign(name, source))?;
        Ok(Self { der: made.der().to_vec(), issuer: Issuer::new(params, key) })
    }

    pub(super) fn intermediate(name: &str, under: &Self, now: Timestamp) -> Result<Self, PkiError> {
        let key = new_key(Key::P256, name)?;
        let params = authority_params(name, BasicConstraints::Constrained(0), now)?;
        let made = params.signed_by(&key, &under.issuer).map_err(|source| sign(name, source))?;
        Ok(Self { der: made.der().to_vec(), issuer: Issuer::new(params, key) })
    }

    /// The authority `name` as it was kept on disk: certificate (DER) and key (PEM). Its name and
    /// key are all that goes into a revocation list.
    pub(super) fn kept(
        name: &str,
        certificate: &[u8],
        key: &str,
        now: Timestamp,
    ) -> Result<Self, PkiError> {
        let key = KeyPair::from_pem(key).map_err(|source| sign("with the kept key", source))?;
        let params = authority_params(name, BasicConstraints::Constrained(0), now)?;
        Ok(Self { issuer: Issuer::new(params, key), der: certificate.to_vec() })
    }

    pub(super) fn certificate(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    pub(super) fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(super) fn issue(&self, kind: &Kind, now: Timestamp) -> Result<Leaf, PkiError> {
        let key = new_key(kind.key, kind.name)?;
        let params = leaf_params(kind, now)?;
        let made =
            params.signed_by(&key, &self.issuer).map_err(|source| sign(kind.name, source))?;
        let der = match kind.id {
            Id::Two(..) => sign_again(made.der(), self.issuer.key(), kind.name)?,
            Id::None | Id::Printable(_) | Id::Utf8(_) => made.der().to_vec(),
        };
        leaf(&der, &key, kind)
    }

    /// The list of what this authority has taken back: `serials` as they stand in the certificates.
    pub(super) fn revocation_list(
        &self,
        serials: &[Vec<u8>],
        number: u64,
        now: Timestamp,
    ) -> Result<String, PkiError> {
        let revoked = |serial: &Vec<u8>| {
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(serial),
                revocation_time: moment(now)?,
                reason_code: Some(RevocationReason::KeyCompromise),
                invalidity_date: None,
            })
        };
        let params = CertificateRevocationListParams {
            this_update: moment(now)?,
            next_update: moment(years_after(now))?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect::<Result<_, PkiError>>()?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).map_err(|source| sign("a CRL", source))?;
        Ok(pem("X509 CRL", list.der()))
    }
}

pub(super) fn self_signed(kind: &Kind, now: Timestamp) -> Result<Leaf, PkiError> {
    let key = new_key(kind.key, kind.name)?;
    let made =
        leaf_params(kind, now)?.self_signed(&key).map_err(|source| sign(kind.name, source))?;
    leaf(made.der(), &key, kind)
}

fn leaf(der: &[u8], key: &KeyPair, kind: &Kind) -> Result<Leaf, PkiError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| super::unreadable(kind.name, &error))?;
    Ok(Leaf {
        certificate: pem("CERTIFICATE", der),
        key: key.serialize_pem(),
        serial: parsed.raw_serial().to_vec(),
    })
}

fn new_key(key: Key, what: &str) -> Result<KeyPair, PkiError> {
    match key {
        Key::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        Key::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        Key::Rsa2048 => {
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
        }
    }
    .map_err(|source| sign(what, source))
}

fn subject(common: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CountryName, "SE");
    subject.push(DnType::OrganizationName, "Region Exempel (test)");
    subject.push(DnType::CommonName, common);
    subject
}

fn authority_params(
    name: &str,
    depth: BasicConstraints,
    now: Timestamp,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(name);
    params.is_ca = IsCa::Ca(depth);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = span(Span::Valid, now)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn leaf_params(kind: &Kind, now: Timestamp) -> Result<CertificateParams, PkiError> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let names = if kind.signer == Signer::Person { Vec::new() } else { names };
    let mut params = CertificateParams::new(names).map_err(|source| sign(kind.name, source))?;
    params.distinguished_name = subject(kind.name);
    let number = DnType::CustomDnType(SERIAL_NUMBER.to_vec());
    match kind.id {
        Id::None => {}
        Id::Printable(id) => params.distinguished_name.push(number, printable(id, kind.name)?),
        Id::Utf8(id) => params.distinguished_name.push(number, DnValue::Utf8String(id.to_owned())),
        Id::Two(one, two) => {
            params.distinguished_name.push(number, printable(one, kind.name)?);
            let stand_in = DnType::CustomDnType(STAND_IN.to_vec());
            params.distinguished_name.push(stand_in, printable(two, kind.name)?);
        }
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if kind.key == Key::Rsa2048 {
        params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
    }
    // A card is nobody's server.
    if kind.signer != Signer::Person {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if kind.client {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    (params.not_before, params.not_after) = span(kind.span, now)?;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn printable(text: &str, what: &str) -> Result<DnValue, PkiError> {
    text.try_into().map(DnValue::PrintableString).map_err(|source| sign(what, source))
}

fn span(span: Span, now: Timestamp) -> Result<(OffsetDateTime, OffsetDateTime), PkiError> {
    Ok(match span {
        Span::Valid => {
            let yesterday = now.checked_sub(24.hours()).unwrap_or(now);
            (moment(yesterday)?, moment(years_after(now))?)
        }
        Span::Past => (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2020, 12, 31)),
        Span::Future => (rcgen::date_time_ymd(2090, 1, 1), rcgen::date_time_ymd(2090, 12, 31)),
    })
}

fn years_after(now: Timestamp) -> Timestamp {
    let later = now.to_zoned(jiff::tz::TimeZone::UTC).checked_add(YEARS_VALID.years());
    later.map_or(now, |later| later.timestamp())
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.as_second())
        .map_err(|error| super::unreadable("the time", &error))
}

/// Turns the stand-in attribute into a second serialNumber and signs the outcome, which the
/// certificate library cannot express: it keeps one value for each attribute.
fn sign_again(der: &[u8], key: &KeyPair, what: &str) -> Result<Vec<u8>, PkiError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|error| super::unreadable(what, &error))?;
    let mut signed: Vec<u8> = parsed.tbs_certificate.as_ref().to_vec();
    let at = signed.windows(STAND_IN_DER.len()).position(|part| part == STAND_IN_DER);
    if let Some(place) = at.and_then(|at| signed.get_mut(at..at + STAND_IN_DER.len())) {
        place.copy_from_slice(&SERIAL_NUMBER_DER);
    }
    let signature = key.sign(&signed).map_err(|source| sign(what, source))?;
    // ecdsa-with-SHA256: the authorities' keys are P-256.
    let algorithm = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let mut bits = vec![0];
    bits.extend(signature);
    let mut content = signed;
    content.extend(algorithm);
    content.extend(element(0x03, &bits));
    Ok(element(0x30, &content))
}

/// A DER element of less than 64 KiB.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut out = vec![tag];
    match content.len() {
        0..=127 => out.push(low),
        128..=255 => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    out.extend(content);
    out
}

/// `der` as a PEM block.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while let Some((line, tail)) = rest.split_at_checked(64) {
        out.push_str(line);
        out.push('\n');
        rest = tail;
    }
    if !rest.is_empty() {
        out.push_str(rest);
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

fn sign(what: &str, source: rcgen::Error) -> PkiError {
    PkiError::Sign { what: what.to_owned(), source }
}
