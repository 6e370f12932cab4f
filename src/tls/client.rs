//! The caller's side: our certificate shown, the server's verified by name, everything reloadable.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::sign::SingleCertAndKey;
use tokio::sync::watch;

use super::reload::{Kept, Part, Parts, Reload, Reloads};
use super::verify::Servers;
use super::{Expiry, Settings, Time, TlsError, provider};
use crate::clock::Clock;

/// TLS for calls to others: TLS 1.2 and 1.3, server name sent and verified, nothing resumed.
#[derive(Debug)]
pub struct ClientTls {
    kept: Kept<Arc<ClientConfig>>,
}

impl ClientTls {
    /// Reads the files of `settings`; handshakes take the time from `clock`.
    ///
    /// # Errors
    /// When any file is missing or wrong.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TlsError> {
        let make =
            Box::new(move |settings: &Settings, parts: &Parts| make(settings, parts, &clock));
        Ok(Arc::new(Self { kept: Kept::new(settings, make)? }))
    }

    /// The configuration in use now. Connections kept in a pool go on with the one they were opened
    /// with: let go of the pool when [`ClientTls::generation`] has grown.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.kept.current().made)
    }

    /// Grows by one at every swap.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.kept.generation()
    }

    /// Tells of every swap.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.kept.changes()
    }

    /// Own certificates, authorities and revocation lists, and when each runs out.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        self.kept.expiries()
    }

    /// What was wrong at the last reload, by part.
    #[must_use]
    pub fn faults(&self) -> Vec<(Part, String)> {
        self.kept.faults()
    }
}

impl Reloads for ClientTls {
    fn paths(&self) -> Vec<PathBuf> {
        self.kept.settings.paths()
    }

    fn reload(&self, now: Timestamp) -> Reload {
        self.kept.reload(now)
    }
}

fn make(
    settings: &Settings,
    parts: &Parts,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let servers = Servers::new(&parts.trust, &parts.lists, settings.list_grace)?;
    let time = Arc::new(Time(Arc::clone(clock)));
    let own = SingleCertAndKey::from(Arc::clone(&parts.identity.pair));
    let mut config = ClientConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(TlsError::Config)?
        // "Dangerous" is any verifier of one's own; ours asks the library's and then some.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(servers))
        .with_client_cert_resolver(Arc::new(own));
    config.resumption = Resumption::disabled();
    config.enable_sni = true;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
