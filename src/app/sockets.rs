//! The listening sockets of all doors: opened, taken over, handed on.

use std::net::{SocketAddr, TcpListener};

use super::StartError;
use crate::config::Server;
use crate::listen::{self, BindError};

/// A door's listening socket.
#[derive(Debug)]
pub(super) struct Socket {
    /// The door.
    pub(super) name: String,
    /// What the settings say; with port 0 it is not where it listens.
    pub(super) configured: SocketAddr,
    pub(super) listener: TcpListener,
}

/// The listening sockets of all doors. They are held beside the doors that take connections from
/// them, so that a door can close and what comes meanwhile waits.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) all: Vec<Socket>,
}

impl Sockets {
    /// A socket for each door that `server` names: one of `taken` where one is for the same address,
    /// otherwise a new one.
    pub(super) async fn open(server: &Server, mut taken: Vec<Socket>) -> Result<Self, BindError> {
        let doors = [
            ("https", Some(server.https)),
            ("admin", Some(server.admin)),
            ("proxied", server.proxied),
            ("staff", server.staff),
        ];
        let mut all = Vec::new();
        for (name, address) in doors {
            let Some(configured) = address else { continue };
            let known = taken.iter().position(|it| it.name == name && it.configured == configured);
            all.push(match known {
                Some(at) => taken.swap_remove(at),
                None => {
                    let failed = |source| BindError::new(configured, source);
                    let (listener, _) = listen::bind(configured).await?;
                    let listener = listener.into_std().map_err(failed)?;
                    Socket { name: name.to_owned(), configured, listener }
                }
            });
        }
        for unused in taken {
            tracing::warn!(
                door = unused.name, address = %unused.configured,
                "the settings name the door no more at this address: it is shut"
            );
        }
        Ok(Self { all })
    }

    /// The socket of a door that every gateway has.
    pub(super) fn named(
        &self,
        name: &str,
    ) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
        let none = || {
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            StartError::Bind(BindError::new(any, std::io::ErrorKind::NotFound.into()))
        };
        self.door(name).map_err(StartError::Bind)?.ok_or_else(none)
    }

    /// The socket of the door `name` for one who takes connections from it, and where it listens.
    pub(super) fn door(
        &self,
        name: &str,
    ) -> Result<Option<(tokio::net::TcpListener, SocketAddr)>, BindError> {
        let Some(socket) = self.all.iter().find(|socket| socket.name == name) else {
            return Ok(None);
        };
        let open = || {
            let listener = socket.listener.try_clone()?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((tokio::net::TcpListener::from_std(listener)?, address))
        };
        open().map(Some).map_err(|source| BindError::new(socket.configured, source))
    }
}
