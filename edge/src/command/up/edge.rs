//! The edge of `up`: on a port of its own, ready when it says so.

use super::{cluster::Cluster, env_file::EnvFile, place::Place, port, process::Process};
use crate::error::Error;
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const PREFERRED_PORT: u16 = 8080;

/// Makes sure that the edge of this program and these settings runs and is ready; its URL.
pub async fn ensure_running(place: &Place, env: &EnvFile, cluster: &Cluster<'_>) -> Result<String, Error> {
    let edge = Process::edge(place);
    let known_port = env.get("NEBULA_URL").and_then(|url| url.rsplit(':').next()?.parse().ok());
    if let Some(port) = known_port
        && edge.is_current(env, cluster)?
    {
        edge.wait_until_ready(async || is_ready(port).await, || edge.pid().is_none()).await?;
        return Ok(url(port));
    }
    edge.stop().await?;
    let wanted: Vec<u16> = known_port.into_iter().chain([PREFERRED_PORT]).collect();
    let port = port::free(&wanted)?;
    // No pooler stands between this edge and its own Postgres.
    let mut child = edge.start(env, &[("NEBULA_PREPARED_STATEMENTS", "true"), ("NEBULA_LISTEN", &address(port).to_string())])?;
    // Asked of the child itself: for a moment after it was started its command line in /proc is empty.
    edge.wait_until_ready(async || is_ready(port).await, || !matches!(child.try_wait(), Ok(None))).await?;
    edge.remember(env, cluster)?;
    Ok(url(port))
}

/// Asks `/health/ready`; anything but 200 in time is a no.
async fn is_ready(port: u16) -> bool {
    let asking = async {
        let mut stream = TcpStream::connect(address(port)).await?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with(b"HTTP/1.1 200 "))
    };
    matches!(timeout(Duration::from_secs(5), asking).await, Ok(Ok(true)))
}

fn address(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
