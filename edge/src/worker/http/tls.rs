//! TLS as a browser would: the machine's roots, the URL's host as the name.

use super::PostError;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::{Host, Url};

/// Makes sessions.
#[derive(Clone)]
pub struct Tls(Option<TlsConnector>);

impl Tls {
    /// Reads the machine's roots, once: a worker that is to trust another one is started again.
    #[must_use]
    pub fn new() -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            tracing::warn!("no root certificates on this machine: no webhook can be delivered over TLS");
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_safe_default_protocol_versions();
        Self(config.ok().map(|config| {
            let mut config = config.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        }))
    }

    /// A session over a connection.
    pub async fn over(&self, stream: TcpStream, url: &Url) -> Result<TlsStream<TcpStream>, PostError> {
        let connector = self.0.as_ref().ok_or(PostError::Tls("not available"))?;
        connector.connect(name(url)?, stream).await.map_err(|error| PostError::of_tls(&error))
    }
}

fn name(url: &Url) -> Result<ServerName<'static>, PostError> {
    match url.host().ok_or(PostError::Url)? {
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::V4(address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::V6(address))),
        Host::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|_| PostError::Url),
    }
}
