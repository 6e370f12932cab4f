//! Reading a socket in large steps. rustls asks for 4 KB at a time, which even for a message of 4 KB
//! is two calls to the kernel, and for one of 64 KB more time there than the cipher takes.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::limits;

/// A socket that is read ahead while much is coming. Between messages it holds no buffer.
#[derive(Debug)]
pub struct ReadAhead<S> {
    inner: S,
    held: BytesMut,
    /// The last read took all that was asked for: more is waiting.
    more: bool,
}

thread_local! {
    /// What the first read of a message goes into. It is used within one poll, so that a thread's
    /// connections share it.
    static FIRST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<S> ReadAhead<S> {
    /// Over a socket of which nothing has been read ahead yet.
    pub fn new(inner: S) -> Self {
        Self { inner, held: BytesMut::new(), more: false }
    }
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    /// Reads into `first`; holds what `buffer` has no room for.
    fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
        first: &mut [u8],
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut first = ReadBuf::new(first);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut first))?;
        self.more = first.remaining() == 0;
        let came = first.filled();
        buffer.put_slice(came.get(..room).unwrap_or(came));
        self.held = came.get(room..).unwrap_or_default().into();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.held.is_empty() && !this.more {
            let mut first = FIRST.take();
            first.resize(limits::READ_FIRST_BYTES, 0);
            let read = this.poll_first(cx, &mut first, buffer);
            FIRST.set(first);
            return read;
        }
        if this.held.is_empty() {
            this.more = false;
            this.held.reserve(limits::READ_AHEAD_BYTES);
            let read = poll_read_buf(Pin::new(&mut this.inner), cx, &mut this.held);
            match read {
                Poll::Ready(Ok(came)) => this.more = came == this.held.capacity(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.held = BytesMut::new();
                    return Poll::Pending;
                }
            }
        }
        let some = this.held.len().min(buffer.remaining());
        buffer.put_slice(this.held.get(..some).unwrap_or_default());
        this.held.advance(some);
        if this.held.is_empty() && !this.more {
            this.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn every_byte_comes_once_and_nothing_is_held_between_messages() {
        let (mut far, near) = duplex(1024 * 1024);
        let mut near = ReadAhead::new(near);
        let mut step = vec![0; 4096];
        for bytes in [1, 4095, 4096, 4097, 70_000, 300_000] {
            let message: Vec<u8> = (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect();
            far.write_all(&message).await.unwrap();
            let mut came = Vec::new();
            while came.len() < message.len() {
                let read = near.read(&mut step).await.unwrap();
                came.extend_from_slice(&step[..read]);
            }
            assert!(came == message, "{bytes} bytes");
            // Nothing is there; asked for more, it waits and lets go of its buffer.
            let more =
                tokio::time::timeout(std::time::Duration::from_millis(5), near.read(&mut step));
            assert!(more.await.is_err(), "{bytes} bytes");
            assert_eq!(near.held.capacity(), 0, "{bytes} bytes");
        }
        drop(far);
        assert_eq!(near.read(&mut step).await.unwrap(), 0);
    }
}
