//! Cancelling a statement that nobody waits for any more.

use super::servers::Servers;
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_postgres::{CancelToken, Error, config::Host, tls::MakeTlsConnect};

/// Asks the server to cancel, and waits until it hangs up, which says that it has done so. In the same way as the statement itself: encrypted, if that was.
///
/// Not the driver's own way where it can be helped: that hangs up first, and PgBouncer before 1.20 then ends itself, with every connection of everybody
/// (pgbouncer issue 801; Debian 12 has 1.18).
pub async fn cancel(servers: &Servers, token: &CancelToken) -> Result<(), Error> {
    // Of several, only the driver knows which one it is connected to.
    let [config] = servers.each() else { return token.cancel_query(servers.tls()).await };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Tcp(host)], []) => ask(TcpStream::connect((host.as_str(), port)).await, servers, host, token).await,
        ([Host::Unix(folder)], []) => ask(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await, servers, "", token).await,
        _ => token.cancel_query(servers.tls()).await,
    }
}

async fn ask<S>(stream: io::Result<S>, servers: &Servers, host: &str, token: &CancelToken) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Unreachable: then there is nothing to be cancelled either, and the statement's own connection tells.
    let Ok(stream) = stream else { return Ok(()) };
    let mut stream = HeldOpen(Arc::new(Mutex::new(stream)));
    let Ok(tls) = MakeTlsConnect::<HeldOpen<S>>::make_tls_connect(&mut servers.tls(), host);
    token.cancel_query_raw(stream.clone(), tls).await?;
    // Where it is encrypted, the server says goodbye before it hangs up.
    let mut rest = [0; 256];
    while matches!(stream.read(&mut rest).await, Ok(1..)) {}
    Ok(())
}

/// A stream that isn't shut down by who writes to it, and outlives them.
struct HeldOpen<S>(Arc<Mutex<S>>);

impl<S> Clone for HeldOpen<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> HeldOpen<S> {
    /// Polling doesn't wait, so the lock is never held for long.
    fn with<T>(&self, poll: impl FnOnce(Pin<&mut S>) -> T) -> T
    where
        S: Unpin,
    {
        poll(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeldOpen<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(context, buffer))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeldOpen<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(context, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(context))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
