//! The hand-over of a running gateway to a new process: its listening sockets, then its store.
//!
//! ```text
//! new                       old
//! take-over 1        ──▶
//!                    ◀──    the doors, and their listening sockets (SCM_RIGHTS)
//! go                 ──▶    from here on each answer ends its connection; then nobody is taken,
//!                           and who comes waits in the backlog of the sockets
//!                    ◀──    free: the store is closed
//! ready              ──▶    its doors are open; the old one ends when what it passes on has ended
//! ```
//!
//! Until `go` nothing has happened. After it, whatever becomes of the new process, the old one opens
//! its store and its doors again unless it hears `ready`; which of two has the store, the store's own
//! lock decides.

use std::fs::{self, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::sockets::{Socket, Sockets};
use crate::limits;

/// The name of the socket in the store's folder. Who has the store has this too.
const NAME: &str = "hand-over";

/// The number is that of this conversation: another one is refused.
const TAKE_OVER: &str = "take-over 1";
const GO: &str = "go";
const FREE: &str = "free";
const READY: &str = "ready";

/// The longest of these, with the end of its line.
const WORD_BYTES_MAX: usize = 16;

/// Sockets in one message: three doors, and room to tell that there are too many.
const SOCKETS_MAX: usize = 8;

/// Why nothing was taken over. Unless it is said otherwise the running gateway goes on.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    #[error("talking to the running gateway at {}", path.display())]
    Talk {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the running gateway at {} is another user's ({found}, we are {own}): start the new one as \
         that user",
        path.display()
    )]
    User { path: PathBuf, found: u32, own: u32 },
    #[error(
        "the running gateway did not close its store in {} s; it goes on",
        limits::HAND_OVER_FREE_TIME_MAX.as_secs()
    )]
    NotFree,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    doors: Vec<Door>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Door {
    name: String,
    configured: SocketAddr,
}

// -- The one who leaves.

/// Where a new process asks for the doors.
#[derive(Debug)]
pub(super) struct Waiting {
    listener: UnixListener,
    path: PathBuf,
}

impl Waiting {
    /// Begins to listen in the store's folder, which must be ours: what lies there is left over.
    pub(super) fn open(store: &Path) -> io::Result<Self> {
        let path = store.join(NAME);
        remove(&path)?;
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Waits until a new process has the sockets and wants to go on.
    pub(super) async fn asked(&self, sockets: &Sockets) -> Successor {
        loop {
            let spoken = async {
                let (mut stream, _) = self.listener.accept().await?;
                same_user(&stream, &self.path).map_err(io::Error::other)?;
                let offered = timeout(limits::HAND_OVER_WORD_TIME_MAX, offer(&mut stream, sockets));
                offered.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok::<_, io::Error>(Successor { stream })
            };
            match spoken.await {
                Ok(successor) => return successor,
                Err(error) => {
                    tracing::warn!(%error, "a hand-over came to nothing; this process goes on");
                    tokio::time::sleep(limits::ACCEPT_BACKOFF).await;
                }
            }
        }
    }

    /// Ends it; before the store's lock is let go, as the path is the next one's then.
    pub(super) fn close(self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "not removed");
        }
    }
}

async fn offer(stream: &mut UnixStream, sockets: &Sockets) -> io::Result<()> {
    expect(stream, TAKE_OVER).await?;
    let door = |it: &Socket| Door { name: it.name.clone(), configured: it.configured };
    let told = Told { doors: sockets.all.iter().map(door).collect() };
    let mut line = serde_json::to_vec(&told).map_err(io::Error::other)?;
    line.push(b'\n');
    let sent = stream.async_io(Interest::WRITABLE, || {
        let fds: Vec<_> = sockets.all.iter().map(|it| it.listener.as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::Error::other("too many doors for one message"));
        }
        Ok(sendmsg(&*stream, &[IoSlice::new(&line)], &mut control, SendFlags::NOSIGNAL)?)
    });
    if sent.await? != line.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    expect(stream, GO).await
}

/// The process that takes over, on its way.
#[derive(Debug)]
pub struct Successor {
    stream: UnixStream,
}

impl Successor {
    /// Tells it that the store is closed, and waits until its doors are open. An error: it will
    /// not be, and whoever was to leave goes on.
    pub(super) async fn follow(mut self) -> io::Result<()> {
        say(&mut self.stream, FREE).await?;
        let ready = timeout(limits::HAND_OVER_READY_TIME_MAX, expect(&mut self.stream, READY));
        ready.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

// -- The one who takes over.

/// A gateway that is to leave, and what it has given.
#[derive(Debug)]
pub(super) struct Predecessor {
    stream: UnixStream,
    path: PathBuf,
}

/// Asks the gateway that has the store for its sockets; `None` where no gateway runs.
pub(super) async fn ask(store: &Path) -> Result<Option<(Predecessor, Vec<Socket>)>, HandOverError> {
    let path = store.join(NAME);
    let stream = match UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        // No gateway can have opened it either.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            tracing::warn!(
                path = %path.display(), %error,
                "the store's path is too long for a hand-over: where a gateway runs with this store, \
                 stop it first, or name a shorter [store] dir"
            );
            return Ok(None);
        }
        Err(source) => return Err(HandOverError::Talk { path, source }),
    };
    same_user(&stream, &path)?;
    let mut predecessor = Predecessor { stream, path };
    let sockets = in_time(limits::HAND_OVER_WORD_TIME_MAX, predecessor.sockets()).await;
    match sockets {
        Ok(sockets) => Ok(Some((predecessor, sockets))),
        Err(source) => Err(HandOverError::Talk { path: predecessor.path, source }),
    }
}

impl Predecessor {
    async fn sockets(&mut self) -> io::Result<Vec<Socket>> {
        say(&mut self.stream, TAKE_OVER).await?;
        let stream = &self.stream;
        let (line, fds) = stream
            .async_io(Interest::READABLE, || {
                let mut line = vec![0; limits::HAND_OVER_BYTES_MAX];
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
                let mut control = RecvAncillaryBuffer::new(&mut space);
                let mut into = [IoSliceMut::new(&mut line)];
                let came = recvmsg(stream, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
                let mut fds: Vec<OwnedFd> = Vec::new();
                for message in control.drain() {
                    if let RecvAncillaryMessage::ScmRights(rights) = message {
                        fds.extend(rights);
                    }
                }
                line.truncate(came.bytes);
                Ok((line, fds))
            })
            .await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let told: Told = serde_json::from_slice(&line).map_err(io::Error::other)?;
        if told.doors.len() != fds.len() {
            let (doors, fds) = (told.doors.len(), fds.len());
            return Err(io::Error::other(format!("{fds} sockets came for {doors} doors")));
        }
        let socket = |(door, fd): (Door, OwnedFd)| Socket {
            name: door.name,
            configured: door.configured,
            listener: TcpListener::from(fd),
        };
        Ok(told.doors.into_iter().zip(fds).map(socket).collect())
    }

    /// Lets it leave, and waits until it has closed the store. One that ends meanwhile has closed
    /// it, too.
    pub(super) async fn leave(&mut self) -> Result<(), HandOverError> {
        let path = &self.path;
        let talk = |source| HandOverError::Talk { path: path.clone(), source };
        say(&mut self.stream, GO).await.map_err(talk)?;
        match timeout(limits::HAND_OVER_FREE_TIME_MAX, expect(&mut self.stream, FREE)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the old process ended while it left");
                Ok(())
            }
            Err(_) => Err(HandOverError::NotFree),
        }
    }

    /// Tells it that it can end. Where it has ended, nobody needs to be told.
    pub(super) async fn ready(mut self) {
        if let Err(error) = say(&mut self.stream, READY).await {
            tracing::warn!(%error, "the old process did not hear that this one is ready");
        }
    }
}

// -- Both.

async fn say(stream: &mut UnixStream, word: &str) -> io::Result<()> {
    in_time(limits::HAND_OVER_WORD_TIME_MAX, stream.write_all(format!("{word}\n").as_bytes())).await
}

async fn expect(stream: &mut UnixStream, word: &str) -> io::Result<()> {
    let mut came = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            byte if came.len() < WORD_BYTES_MAX => came.push(byte),
            _ => break,
        }
    }
    if came == word.as_bytes() {
        return Ok(());
    }
    let came = String::from_utf8_lossy(&came).into_owned();
    Err(io::Error::other(format!("expected {word:?}, heard {came:?}")))
}

async fn in_time<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(time, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn same_user(stream: &UnixStream, path: &Path) -> Result<(), HandOverError> {
    let path = path.to_owned();
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == own => Ok(()),
        Ok(peer) => Err(HandOverError::User { path, found: peer.uid(), own }),
        Err(source) => Err(HandOverError::Talk { path, source }),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_has_nobody_to_take_over_from() {
        let store = Path::new("/tmp").join("d".repeat(120));
        assert!(ask(&store).await.unwrap().is_none());
    }
}
