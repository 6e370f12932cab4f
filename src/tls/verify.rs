//! Verification of peers: the library's, with chains completed and dates of lists and roots watched.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::files::{Anchor, Lists, Trust};
use super::{Revocation, TlsError, provider};
use crate::{clock, limits};

/// What the library's verifier does not look at.
#[derive(Debug)]
struct Dates {
    known: Vec<CertificateDer<'static>>,
    anchors: Vec<Anchor>,
    /// Issuer, and until when its list may be used.
    lists: Vec<(Vec<u8>, Timestamp)>,
    depth: Revocation,
}

/// Verifies callers.
#[derive(Debug)]
pub(super) struct Callers {
    inner: Arc<dyn ClientCertVerifier>,
    dates: Dates,
    optional: bool,
}

/// Verifies servers that we call.
#[derive(Debug)]
pub(super) struct Servers {
    inner: Arc<WebPkiServerVerifier>,
    dates: Dates,
}

/// Which certificates are looked up: all of them only where every trusted authority has a list.
pub(super) fn depth(trust: &Trust, lists: &Lists) -> Revocation {
    let has_list = |anchor: &Anchor| lists.lists.iter().any(|list| list.issuer == anchor.subject);
    if lists.lists.is_empty() {
        Revocation::Off
    } else if trust.anchors.iter().all(has_list) {
        Revocation::Chain
    } else {
        Revocation::Leaf
    }
}

impl Dates {
    fn new(trust: &Trust, lists: &Lists, grace: Duration) -> Self {
        let until =
            lists.lists.iter().map(|list| (list.issuer.clone(), clock::after(list.next, grace)));
        Self {
            known: trust.known.clone(),
            anchors: trust.anchors.clone(),
            lists: until.collect(),
            depth: depth(trust, lists),
        }
    }

    fn complete<'a>(&'a self, given: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
        given.iter().chain(&self.known).cloned().collect()
    }

    /// Until when what was verified goes on holding: the first end among the certificates of the
    /// chain and its trusted authority, and among the lists that cover it. Of authorities renewed
    /// under the same name the one that lasts longest counts; the library has found one that holds.
    fn limits(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
    ) -> Result<Limits, Error> {
        let leaf = Link::read(leaf)?;
        let others: Vec<Link> = others.iter().filter_map(|one| Link::read(one).ok()).collect();
        let mut limits =
            Limits { certificates: leaf.until, roots: Timestamp::MAX, lists: Timestamp::MAX };
        let mut issuer = &leaf.issuer;
        for step in 0..limits::CHAIN_LENGTH_MAX {
            if self.depth == Revocation::Chain || (self.depth == Revocation::Leaf && step == 0) {
                let of_issuer = self.lists.iter().filter(|(name, _)| name == issuer);
                limits.lists = of_issuer.map(|(_, end)| *end).fold(limits.lists, Timestamp::min);
            }
            let anchors = self.anchors.iter().filter(|anchor| anchor.subject == *issuer);
            if let Some(end) = anchors.map(|anchor| anchor.until).max() {
                limits.roots = end;
                break;
            }
            let above = others.iter().filter(|one| one.subject == *issuer);
            let Some(above) = above.max_by_key(|one| one.until) else { break };
            limits.certificates = limits.certificates.min(above.until);
            issuer = &above.issuer;
        }
        Ok(limits)
    }

    /// What the library leaves out: it takes a trusted authority to last for ever, and a list past
    /// its date either at once or never for expired.
    fn hold(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let limits = self.limits(leaf, others)?;
        if is_past(limits.lists, now) {
            return Err(CertificateError::ExpiredRevocationList.into());
        }
        if is_past(limits.roots, now) {
            return Err(CertificateError::Expired.into());
        }
        Ok(())
    }
}

/// One certificate of a chain.
struct Link {
    subject: Vec<u8>,
    issuer: Vec<u8>,
    until: Timestamp,
}

impl Link {
    fn read(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let until = Timestamp::from_second(parsed.validity().not_after.timestamp());
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            until: until.unwrap_or(Timestamp::MAX),
        })
    }
}

struct Limits {
    certificates: Timestamp,
    roots: Timestamp,
    lists: Timestamp,
}

impl Callers {
    /// Of those who show a certificate; `optional`: nobody must.
    pub(super) fn new(
        trust: &Trust,
        lists: &Lists,
        grace: Duration,
        optional: bool,
    ) -> Result<Self, TlsError> {
        let roots = Arc::clone(&trust.roots);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .with_crls(lists.lists.iter().map(|list| list.der.clone()));
        let dates = Dates::new(trust, lists, grace);
        if dates.depth == Revocation::Leaf {
            builder = builder.only_check_end_entity_revocation();
        }
        // Callers choose their certificate by the issuers that we name: name the intermediates too.
        let known = trust.known.iter().filter_map(subject);
        let inner = builder.add_root_hint_subjects(known).build().map_err(TlsError::Verifier)?;
        Ok(Self { inner, dates, optional })
    }

    /// Until when the verdict on this chain holds unless a file changes.
    pub(super) fn until(&self, chain: &[CertificateDer<'_>]) -> Result<Timestamp, Error> {
        let Some((leaf, others)) = chain.split_first() else {
            return Err(Error::NoCertificatesPresented);
        };
        let limits = self.dates.limits(leaf, &self.dates.complete(others))?;
        Ok(limits.certificates.min(limits.roots).min(limits.lists))
    }
}

impl ClientCertVerifier for Callers {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        !self.optional
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let others = self.dates.complete(others);
        let verified = self.inner.verify_client_cert(leaf, &others, now)?;
        self.dates.hold(leaf, &others, now)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl Servers {
    pub(super) fn new(trust: &Trust, lists: &Lists, grace: Duration) -> Result<Self, TlsError> {
        let roots = Arc::clone(&trust.roots);
        let mut builder = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(lists.lists.iter().map(|list| list.der.clone()));
        let dates = Dates::new(trust, lists, grace);
        if dates.depth == Revocation::Leaf {
            builder = builder.only_check_end_entity_revocation();
        }
        Ok(Self { inner: builder.build().map_err(TlsError::Verifier)?, dates })
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let others = self.dates.complete(others);
        let verified = self.inner.verify_server_cert(leaf, &others, name, ocsp, now)?;
        self.dates.hold(leaf, &others, now)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn subject(certificate: &CertificateDer<'static>) -> Option<DistinguishedName> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(DistinguishedName::from(parsed.subject().as_raw().to_vec()))
}

/// `at` as the library's time; before 1970 there is none.
pub(super) fn unix(at: Timestamp) -> UnixTime {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

fn is_past(end: Timestamp, now: UnixTime) -> bool {
    u64::try_from(end.as_second()).unwrap_or(0) < now.as_secs()
}
