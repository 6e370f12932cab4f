//! Certificates, keys, trust lists and revocation lists: from files to checked values.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::peer::name;
use super::reload::Part;
use super::{Expiry, Settings, TlsError, provider};
use crate::limits;

/// SHA-256 over what a part was made of: equal means nothing changed.
pub(super) type Digest = [u8; 32];

/// Own certificate and key.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) pair: Arc<CertifiedKey>,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) expiries: Vec<Expiry>,
    pub(super) digest: Digest,
}

/// One trusted authority.
#[derive(Debug, Clone)]
pub(super) struct Anchor {
    pub(super) subject: Vec<u8>,
    pub(super) until: Timestamp,
}

/// Trusted authorities, and those known under them.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    pub(super) anchors: Vec<Anchor>,
    pub(super) known: Vec<CertificateDer<'static>>,
    /// Subject and public key of every one of them, for the signatures of their lists.
    keys: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) expiries: Vec<Expiry>,
    pub(super) digest: Digest,
}

/// One revocation list.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) der: CertificateRevocationListDer<'static>,
    pub(super) issuer: Vec<u8>,
    pub(super) next: Timestamp,
    this: i64,
    /// Its issuing distribution point: lists of one issuer with different ones stand side by side.
    scope: Vec<u8>,
    expiry: Expiry,
}

/// The newest revocation list of each issuer.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    pub(super) lists: Vec<List>,
    pub(super) digest: Digest,
}

impl Lists {
    pub(super) fn expiries(&self) -> impl Iterator<Item = &Expiry> {
        self.lists.iter().map(|list| &list.expiry)
    }
}

pub(super) fn identity(settings: &Settings) -> Result<Identity, TlsError> {
    let path = &settings.certificate;
    let chain = certificates(path, &read(path)?)?;
    let key_file = read(&settings.key)?;
    let key = private_key(&settings.key, &key_file)?;
    let mut expiries = Vec::new();
    let mut validity = None;
    let mut digest = Sha256::new();
    for der in &chain {
        let (_, parsed) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| broken(path, "certificate", &error))?;
        let from = moment(path, parsed.validity().not_before)?;
        let until = moment(path, parsed.validity().not_after)?;
        validity = validity.or(Some((from, until)));
        expiries.push(Expiry {
            file: path.clone(),
            part: Part::Identity,
            subject: name(parsed.subject()),
            at: until,
        });
        digest.update(der);
    }
    digest.update(&key_file);
    let Some((from, until)) = validity else {
        return Err(TlsError::Lacks { path: path.clone(), expected: "certificate", hint: "" });
    };
    let pair = CertifiedKey::from_der(chain, key, &provider()).map_err(|source| {
        TlsError::Pair { certificate: path.clone(), key: settings.key.clone(), source }
    })?;
    Ok(Identity { pair: Arc::new(pair), from, until, expiries, digest: digest.finalize().into() })
}

/// Subject and last moment of every certificate in a file.
///
/// # Errors
/// When the file cannot be read or holds no certificates.
pub fn expiries_in(path: &Path) -> Result<Vec<(String, Timestamp)>, TlsError> {
    let expiry = |der: &CertificateDer<'_>| {
        let (_, parsed) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| broken(path, "certificate", &error))?;
        Ok((name(parsed.subject()), moment(path, parsed.validity().not_after)?))
    };
    certificates(path, &read(path)?)?.iter().map(expiry).collect()
}

struct Authority {
    der: CertificateDer<'static>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    key: Vec<u8>,
    expiry: Expiry,
}

pub(super) fn trust(settings: &Settings) -> Result<Trust, TlsError> {
    let mut authorities: Vec<Authority> = Vec::new();
    for path in &settings.trust {
        for der in certificates(path, &read(path)?)? {
            if !authorities.iter().any(|one| one.der == der) {
                authorities.push(authority(path, der)?);
            }
        }
    }
    let mut trust = Trust {
        roots: Arc::new(RootCertStore::empty()),
        anchors: Vec::new(),
        known: Vec::new(),
        keys: Vec::new(),
        expiries: Vec::new(),
        digest: [0; 32],
    };
    let mut roots = RootCertStore::empty();
    let mut digest = Sha256::new();
    for one in &authorities {
        digest.update(&one.der);
        trust.expiries.push(one.expiry.clone());
        trust.keys.push((one.subject.clone(), one.key.clone()));
        let under_another =
            authorities.iter().any(|other| other.subject == one.issuer && other.der != one.der);
        if under_another && one.issuer != one.subject {
            trust.known.push(one.der.clone());
            continue;
        }
        roots
            .add(one.der.clone())
            .map_err(|error| broken(&one.expiry.file, "certificate", &error))?;
        trust.anchors.push(Anchor { subject: one.subject.clone(), until: one.expiry.at });
    }
    if roots.is_empty() && !settings.optional {
        return Err(TlsError::NoTrust);
    }
    trust.roots = Arc::new(roots);
    trust.digest = digest.finalize().into();
    Ok(trust)
}

fn authority(path: &Path, der: CertificateDer<'static>) -> Result<Authority, TlsError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&der)
        .map_err(|error| broken(path, "certificate", &error))?;
    if !parsed.is_ca() {
        let subject = name(parsed.subject());
        return Err(TlsError::NotAuthority { path: path.to_owned(), subject });
    }
    Ok(Authority {
        subject: parsed.subject().as_raw().to_vec(),
        issuer: parsed.issuer().as_raw().to_vec(),
        key: parsed.public_key().subject_public_key.data.to_vec(),
        expiry: Expiry {
            file: path.to_owned(),
            part: Part::Trust,
            subject: name(parsed.subject()),
            at: moment(path, parsed.validity().not_after)?,
        },
        der: der.clone(),
    })
}

pub(super) fn lists(settings: &Settings, trust: &Trust) -> Result<Lists, TlsError> {
    let mut newest: Vec<List> = Vec::new();
    for path in &settings.lists {
        for der in revocation_lists(path, &read(path)?)? {
            let list = list(path, der, trust)?;
            let same = newest
                .iter_mut()
                .find(|other| other.issuer == list.issuer && other.scope == list.scope);
            match same {
                Some(other) if other.this < list.this => *other = list,
                // The verifier would use whichever came first; the later of two issued in the same
                // second is the one with more on it.
                Some(other) if other.this == list.this && other.der.len() < list.der.len() => {
                    *other = list;
                }
                Some(_) => {}
                None => newest.push(list),
            }
        }
    }
    let mut digest = Sha256::new();
    for list in &newest {
        digest.update(&list.der);
    }
    Ok(Lists { lists: newest, digest: digest.finalize().into() })
}

fn list(
    path: &Path,
    der: CertificateRevocationListDer<'static>,
    trust: &Trust,
) -> Result<List, TlsError> {
    let (_, parsed) = CertificateRevocationList::from_der(&der)
        .map_err(|error| broken(path, "revocation list", &error))?;
    let issuer = parsed.issuer().as_raw().to_vec();
    let mut keys = trust.keys.iter().filter(|(subject, _)| *subject == issuer).peekable();
    // A list by somebody only seen in chains is checked when it is used.
    if keys.peek().is_some()
        && !keys.any(|(_, key)| {
            signed_by(key, parsed.tbs_cert_list.as_ref(), &parsed.signature_value.data)
        })
    {
        let issuer = name(parsed.issuer());
        return Err(TlsError::ListSignature { path: path.to_owned(), issuer });
    }
    let next = parsed.next_update().map_or(Ok(Timestamp::MAX), |next| moment(path, next))?;
    let scope = parsed
        .extensions()
        .iter()
        .find(|one| one.oid == x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT);
    Ok(List {
        this: parsed.last_update().timestamp(),
        scope: scope.map(|one| one.value.to_vec()).unwrap_or_default(),
        expiry: Expiry {
            file: path.to_owned(),
            part: Part::Lists,
            subject: name(parsed.issuer()),
            at: next,
        },
        next,
        issuer,
        der: der.clone(),
    })
}

/// Whether `signature` over `message` is by `key`, with any algorithm that the provider knows.
fn signed_by(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let provider = provider();
    let mut known = provider.signature_verification_algorithms.all.iter();
    known.any(|one| one.verify_signature(key, message, signature).is_ok())
}

fn certificates(path: &Path, file: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = if is_pem(file) {
        CertificateDer::pem_slice_iter(file)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| broken(path, "certificate", &error))?
    } else {
        vec![CertificateDer::from(file.to_vec())]
    };
    if found.is_empty() {
        let (path, expected) = (path.to_owned(), "certificate");
        return Err(TlsError::Lacks { path, expected, hint: "" });
    }
    Ok(found)
}

fn revocation_lists(
    path: &Path,
    file: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let found = if is_pem(file) {
        CertificateRevocationListDer::pem_slice_iter(file)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| broken(path, "revocation list", &error))?
    } else {
        vec![CertificateRevocationListDer::from(file.to_vec())]
    };
    if found.is_empty() {
        let (path, expected) = (path.to_owned(), "revocation list");
        return Err(TlsError::Lacks { path, expected, hint: "" });
    }
    Ok(found)
}

fn private_key(path: &Path, file: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    if let Some(key) = PrivateKeyDer::pem_slice_iter(file).next() {
        // What the reader says may quote the file; a key must not reach a log.
        return key.map_err(|_| broken(path, "private key", &"damaged PEM"));
    }
    let encrypted = b"ENCRYPTED PRIVATE KEY";
    let hint = if file.windows(encrypted.len()).any(|part| part == encrypted) {
        ": it is encrypted; decrypt it with `openssl pkey` and protect the file instead"
    } else if <(SectionKind, Vec<u8>)>::pem_slice_iter(file).next().is_none() {
        ": it is not PEM"
    } else {
        ""
    };
    Err(TlsError::Lacks { path: path.to_owned(), expected: "private key", hint })
}

fn is_pem(file: &[u8]) -> bool {
    let mark = b"-----BEGIN ";
    file.windows(mark.len()).any(|part| part == mark)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let mut out = Vec::new();
    let bound = limits::CERTIFICATE_FILE_BYTES_MAX + 1;
    let read = File::open(path).map_err(failed)?.take(bound).read_to_end(&mut out);
    if u64::try_from(read.map_err(failed)?).is_ok_and(|read| read == bound) {
        return Err(TlsError::TooLarge { path: PathBuf::from(path) });
    }
    Ok(out)
}

fn moment(path: &Path, at: x509_parser::time::ASN1Time) -> Result<Timestamp, TlsError> {
    Timestamp::from_second(at.timestamp()).map_err(|error| broken(path, "date", &error))
}

fn broken(path: &Path, what: &'static str, found: &dyn std::fmt::Display) -> TlsError {
    TlsError::Broken { path: path.to_owned(), what, found: found.to_string() }
}
