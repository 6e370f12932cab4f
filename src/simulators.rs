//! The other side, for integrators and tests: the 1177 platform, a region's own system, 1177 Inkorg.
//!
//! Each runs over real sockets with mutual TLS, keeps what it received in memory (bounded), and
//! misbehaves when told to ([`Behaviour`]). All of it is made up: never run one where real cases are.

mod behaviour;
mod control;
mod door;
pub mod envelope;
mod files;
mod inkorg;
mod portal;
mod post;
mod region;
mod register;
pub mod sample;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::listen::BindError;
use crate::producer::ProducerError;
use crate::store::blobs::BlobError;
use crate::tls::{self, TlsError};

pub use behaviour::{Behaviour, BehaviourError, Course};
pub use inkorg::{InboxItem, Inkorg, InkorgSettings};
pub use portal::{Portal, PortalSettings};
pub use post::Outcome;
pub use region::{Region, RegionSettings, Script, ScriptError, SendError, SentHandling, Step};
pub use register::{AttachmentSeen, Message, text_digest};

/// Where a simulator stands, and under which identity.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it serves its contracts; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Its certificate and whom it trusts, as server and as caller. Without: plain HTTP.
    pub tls: Option<tls::Settings>,
    /// Its control door, plain HTTP, on loopback.
    pub control: Option<SocketAddr>,
    /// Where it takes the time from.
    pub clock: Arc<dyn Clock>,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Certificate, key or trust.
    #[error("the certificates cannot be used")]
    Tls(#[from] TlsError),
    /// A door.
    #[error("a door cannot be opened")]
    Bind(#[from] BindError),
    /// The control door has no login.
    #[error(
        "the control door has no login and stands only on loopback, as 127.0.0.1:9500; found {0}"
    )]
    Control(SocketAddr),
    /// The folder for attachments.
    #[error("the folder for attachments, {}, cannot be used", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: BlobError,
    },
    /// The client for its own calls.
    #[error("the client for its own calls cannot be made")]
    Producer(#[from] ProducerError),
}
