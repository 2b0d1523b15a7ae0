//! Cancelling a statement that nobody waits for any more.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_postgres::{CancelToken, Config, Error, NoTls, config::Host};

/// Asks the server to cancel, and waits until it hangs up, which says that it has done so.
///
/// Not the driver's own way where it can be helped: that hangs up first, and PgBouncer before 1.20 then ends itself, with every connection of everybody
/// (pgbouncer issue 801; Debian 12 has 1.18).
pub async fn cancel(config: &Config, token: &CancelToken) -> Result<(), Error> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Tcp(host)], []) => ask(TcpStream::connect((host.as_str(), port)).await, token).await,
        ([Host::Unix(folder)], []) => ask(UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await, token).await,
        // Of several, only the driver knows which one it is connected to.
        _ => token.cancel_query(NoTls).await,
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: io::Result<S>, token: &CancelToken) -> Result<(), Error> {
    // Unreachable: then there is nothing to be cancelled either, and the statement's own connection tells.
    let Ok(stream) = stream else { return Ok(()) };
    let mut stream = HeldOpen(stream);
    token.cancel_query_raw(&mut stream, NoTls).await?;
    let _ = stream.read(&mut [0; 1]).await;
    Ok(())
}

/// A stream that isn't shut down by who writes to it.
struct HeldOpen<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for HeldOpen<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeldOpen<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }
    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
