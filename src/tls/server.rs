//! The server's side: client certificates required, nothing resumed, everything reloadable.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::ClientCertVerifier as _;
use rustls::sign::SingleCertAndKey;
use tokio::sync::watch;

use super::fault::Reason;
use super::peer::{Peer, PeerError};
use super::reload::{Kept, Part, Parts, Reload, Reloads};
use super::verify::{Callers, depth, unix};
use super::{Expiry, Revocation, Settings, Time, TlsError, provider};
use crate::clock::Clock;

/// TLS of a door: TLS 1.2 and 1.3, HTTP/1.1, a verified client certificate, which
/// [`Settings::optional`] lets a caller leave out.
#[derive(Debug)]
pub struct ServerTls {
    kept: Kept<Made>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Made {
    config: Arc<ServerConfig>,
    /// None where no certificate is asked for.
    callers: Option<Arc<Callers>>,
}

/// The configuration for one new connection, and which generation it is of.
#[derive(Debug, Clone)]
pub struct Accepting {
    /// For the handshake.
    pub config: Arc<ServerConfig>,
    /// To compare with [`ServerTls::generation`] later.
    pub generation: u64,
}

impl ServerTls {
    /// Reads the files of `settings`; handshakes take the time from `clock`.
    ///
    /// An own certificate that has run out is taken all the same (the other doors of the process
    /// must open); [`ServerTls::expiries`] tells of it.
    ///
    /// # Errors
    /// When any file is missing or wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let time = Arc::clone(&clock);
        let make = Box::new(move |settings: &Settings, parts: &Parts| make(settings, parts, &time));
        Ok(Arc::new(Self { kept: Kept::new(settings, make)?, clock }))
    }

    /// What a new connection is to be accepted with.
    #[must_use]
    pub fn accepting(&self) -> Accepting {
        let current = self.kept.current();
        Accepting { config: Arc::clone(&current.made.config), generation: current.generation }
    }

    /// Grows by one at every swap. Cheap: asked before each request.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.kept.generation()
    }

    /// Tells of every swap.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.kept.changes()
    }

    /// The clock that handshakes go by.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Who is behind a chain that a handshake has verified.
    ///
    /// # Errors
    /// When its certificate names no HSA-id, several, or what is not one.
    pub fn peer(&self, chain: &[CertificateDer<'_>]) -> Result<Peer, PeerError> {
        let leaf = chain.first().ok_or(PeerError::NoCertificate)?;
        Peer::read(leaf, &self.kept.settings.attribute)
    }

    /// Verifies a chain against what is in use now: for connections that were opened before.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with the reason when it no longer holds.
    pub fn recheck(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), PeerError> {
        let (leaf, others) = chain.split_first().ok_or(PeerError::NoCertificate)?;
        let current = self.kept.current();
        let callers = current.made.callers.as_ref().ok_or(PeerError::NoCertificate)?;
        let verified = callers.verify_client_cert(leaf, others, unix(now));
        verified.map(|_| ()).map_err(|error| PeerError::Refused(Reason::of(&error)))
    }

    /// Until when a verified chain goes on holding while nothing is swapped: the first end among
    /// its certificates and the revocation lists over them.
    #[must_use]
    pub fn good_until(&self, chain: &[CertificateDer<'_>]) -> Timestamp {
        let current = self.kept.current();
        let until = current.made.callers.as_ref().and_then(|it| it.until(chain).ok());
        until.unwrap_or(Timestamp::MIN)
    }

    /// Whether a caller may show no certificate.
    #[must_use]
    pub fn optional(&self) -> bool {
        self.kept.settings.optional
    }

    /// Own certificates, authorities and revocation lists, and when each runs out.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.kept.expiries()
    }

    /// What was wrong at the last reload, by part; empty when all was well.
    #[must_use]
    pub fn faults(&self) -> Vec<(Part, String)> {
        self.kept.faults()
    }

    /// Which certificates are looked up on revocation lists.
    #[must_use]
    pub fn revocation(&self) -> Revocation {
        let current = self.kept.current();
        depth(&current.parts.trust, &current.parts.lists)
    }
}

impl Reloads for ServerTls {
    fn paths(&self) -> Vec<PathBuf> {
        self.kept.settings.paths()
    }

    fn reload(&self, now: Timestamp) -> Reload {
        self.kept.reload(now)
    }
}

fn make(settings: &Settings, parts: &Parts, clock: &Arc<dyn Clock>) -> Result<Made, TlsError> {
    let asks = !parts.trust.roots.is_empty();
    let callers = asks.then(|| {
        let (trust, lists) = (&parts.trust, &parts.lists);
        Callers::new(trust, lists, settings.list_grace, settings.optional).map(Arc::new)
    });
    let callers = callers.transpose()?;
    let time = Arc::new(Time(Arc::clone(clock)));
    let own = SingleCertAndKey::from(Arc::clone(&parts.identity.pair));
    let builder = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Config)?;
    // Without a trust list, which only an optional certificate allows, none is asked for.
    let mut config = match &callers {
        Some(callers) => builder.with_client_cert_verifier(Arc::<Callers>::clone(callers)),
        None => builder.with_no_client_auth(),
    }
    .with_cert_resolver(Arc::new(own));
    // A resumed session is not verified again: a revoked caller would go on resuming.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Made { config: Arc::new(config), callers })
}
