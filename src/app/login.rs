//! The login service of the staff page, and the certificates that it is called with.

use std::sync::Arc;

use super::StartError;
use crate::clock::Clock;
use crate::config::Config;
use crate::oidc::LoginService;
use crate::tls::{self, ClientTls};

/// A login service that is configured.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) service: LoginService,
    pub(super) tls: Arc<ClientTls>,
}

/// The one of the settings, if any. It is not asked anything yet.
pub(super) fn of(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Login>, StartError> {
    let Some(oidc) = config.oidc.as_ref().filter(|_| config.server.staff.is_some()) else {
        return Ok(None);
    };
    let own = &config.outbound;
    let files = tls::Settings::new(&own.certificate, &own.key, &oidc.trust);
    let tls = ClientTls::new(files, Arc::clone(clock)).map_err(StartError::LoginTls)?;
    let service = LoginService::new(oidc.service.clone(), Arc::clone(&tls), Arc::clone(clock))
        .map_err(StartError::Login)?;
    Ok(Some(Login { service, tls }))
}
