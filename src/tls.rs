//! TLS: who may connect, who they are, and swapping certificates while calls go on.
//!
//! [`ServerTls`] lets nobody in without a client certificate that chains to the trust list and, where
//! revocation lists are given, is not on them; with [`Settings::optional`] also those who show none. There is no session resumption of any kind: a resumed
//! session would outlive a revocation. Everything is read again by `reload`, part by part (own
//! certificate, trust list, revocation lists): a part that is wrong keeps its last good content and
//! never blocks the others, so a half-copied certificate does not delay a revocation.
//!
//! # Revocation
//! * No list given: nothing is checked ([`Revocation::Off`]).
//! * A list for every trusted authority: every certificate of the chain is checked.
//! * Lists for some: the caller's own certificate is checked.
//! * A certificate whose issuer has no list is refused: unknown is not good.
//! * Of several lists by one issuer the newest counts.
//! * A list past its `nextUpdate` is an alarm at once ([`ServerTls::expiries`]) and stays in use for
//!   [`Settings::list_grace`]; after that every caller under it is refused. A missed fetch at night
//!   must not shut the door before anybody is at work; an older list says too little. Zero is strict.

mod ahead;
mod client;
mod fault;
mod files;
mod peer;
mod reload;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod verify;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::crypto::CryptoProvider;

use crate::clock::Clock;
use crate::limits;

pub use ahead::ReadAhead;
pub use client::ClientTls;
pub use fault::{HandshakeFault, Reason};
pub use files::expiries_in;
pub use peer::{Attribute, AttributeError, Peer, PeerError};
pub use reload::{Part, Reload, Reloads};
pub use server::{Accepting, ServerTls};
pub use watch::{Watch, watch};

/// A certificate as it goes over the wire.
pub use rustls::pki_types::CertificateDer;

/// Which files TLS is made of. Certificates and revocation lists may be PEM or DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Own certificate, then its intermediates.
    pub certificate: PathBuf,
    /// Its private key, PEM, not encrypted.
    pub key: PathBuf,
    /// Certificates of trusted authorities. One that is signed by another of them is used to
    /// complete chains and trusted through it; the others are trusted by themselves.
    pub trust: Vec<PathBuf>,
    /// Revocation lists; none turns checking off.
    pub lists: Vec<PathBuf>,
    /// How long a list is used past its `nextUpdate`.
    pub list_grace: Duration,
    /// Which subject attribute holds the HSA-id.
    pub attribute: Attribute,
    /// Callers without a certificate are let in, known to nobody; then `trust` may be empty.
    pub optional: bool,
}

impl Settings {
    /// Settings without revocation lists, HSA-id in serialNumber.
    #[must_use]
    pub fn new(certificate: &Path, key: &Path, trust: &[PathBuf]) -> Self {
        Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            trust: trust.to_vec(),
            lists: Vec::new(),
            list_grace: limits::LIST_GRACE_DEFAULT,
            attribute: Attribute::default(),
            optional: false,
        }
    }

    /// Every file that is read.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let own = [&self.certificate, &self.key];
        own.into_iter().chain(&self.trust).chain(&self.lists).cloned().collect()
    }
}

/// Which certificates are looked up on revocation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// None: no list is configured.
    Off,
    /// The peer's own: some trusted authority has no list.
    Leaf,
    /// Every certificate up to the trusted authority.
    Chain,
}

/// When something runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The file it stands in.
    pub file: PathBuf,
    /// What it is.
    pub part: Part,
    /// Subject of the certificate, or issuer of the list.
    pub subject: String,
    /// `notAfter` of the certificate, `nextUpdate` of the list.
    pub at: Timestamp,
}

/// Why TLS could not be set up, or a file was not taken into use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than any certificate or list should be.
    #[error("{} is larger than {} bytes", path.display(), limits::CERTIFICATE_FILE_BYTES_MAX)]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {expected}{hint}", path.display())]
    Lacks {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What it seems to hold instead, and what to do.
        hint: &'static str,
    },
    /// A certificate, key or list cannot be read.
    #[error("{} holds a {what} that cannot be read: {found}", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// What the reader said.
        found: String,
    },
    /// Certificate and key are not a pair, or of a kind that is not supported.
    #[error("{} and {} cannot be used together", certificate.display(), key.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library said.
        #[source]
        source: rustls::Error,
    },
    /// The new own certificate is not valid now, and the one in use is.
    #[error("the certificate in {} is valid from {from} to {until}, not now", path.display())]
    NotNow {
        /// Which file.
        path: PathBuf,
        /// `notBefore`.
        from: Timestamp,
        /// `notAfter`.
        until: Timestamp,
    },
    /// A certificate on the trust list is no authority's.
    #[error("{} holds {subject}, which is not an authority's certificate; put the issuer's there",
        path.display())]
    NotAuthority {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        subject: String,
    },
    /// The trust list is empty.
    #[error("no trusted authority: `trust` names no file with a certificate in it")]
    NoTrust,
    /// A list was not signed by the authority that it names.
    #[error("the revocation list in {} is not signed by {issuer}", path.display())]
    ListSignature {
        /// Which file.
        path: PathBuf,
        /// Whose it claims to be.
        issuer: String,
    },
    /// The library refused the trust list or the revocation lists.
    #[error("the trust list or a revocation list cannot be used")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// The library refused the configuration as a whole.
    #[error("the TLS configuration cannot be used")]
    Config(#[source] rustls::Error),
}

/// Makes the one crypto provider the process's default, for libraries that look for one.
pub fn install_provider() {
    // Another call was first: it installed the same one.
    provider().as_ref().clone().install_default().unwrap_or_default();
}

/// The one cryptographic provider of the program: aws-lc-rs.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Our clock, for rustls.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl rustls::time_provider::TimeProvider for Time {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(verify::unix(self.0.now()))
    }
}
