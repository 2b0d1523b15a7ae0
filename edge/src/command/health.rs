//! `nebula health`: one request to the edge of this machine.

use super::output::tell;
use crate::{config::Config, error::Error};
use bytes::Bytes;
use http::{Request, StatusCode, header::HOST};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// Less than the timeouts that container engines give a check.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Whether requests would be served, too: the database answers and is migrated.
    #[arg(long)]
    ready: bool,
}

/// An edge that answers.
#[derive(Serialize)]
struct Healthy {
    address: SocketAddr,
}

impl fmt::Display for Healthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ok")
    }
}

/// Fails unless the edge that listens by these settings answers 200.
///
/// # Errors
/// [`Error::Unhealthy`] with the reason.
pub async fn run(arguments: &Arguments, config: &Config) -> Result<(), Error> {
    let address = reachable(config.listen);
    let path = if arguments.ready { "/health/ready" } else { "/health" };
    let unhealthy = |reason: String| Error::Unhealthy(address, reason);
    let status = timeout(PATIENCE, ask(address, path)).await.map_err(|_| unhealthy("no answer in time".to_owned()))?.map_err(unhealthy)?;
    if status == StatusCode::OK { tell(&Healthy { address }) } else { Err(unhealthy(format!("{path} answers {}", status.as_u16()))) }
}

/// Nobody connects to an unspecified address: whoever listens on it listens on the loopback address, too.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr, path: &str) -> Result<StatusCode, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.kind().to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, "localhost").body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    Ok(sender.send_request(request).await.map_err(|error| error.to_string())?.status())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_is_asked_by_way_of_loopback() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(asked("[::]:8080"), "[::1]:8080");
        assert_eq!(asked("192.0.2.7:80"), "192.0.2.7:80");
    }
}
