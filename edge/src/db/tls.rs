//! TLS to the database, as its connection string asks for it.

use crate::{
    config::{DatabaseTls, Roots, Verification},
    error::Error,
};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{path::Path, sync::Arc};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What makes sessions. Reads files, once: whoever is to believe another authority is started again.
pub fn connector(tls: &DatabaseTls) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| Error::Tls(error.to_string()))?;
    let verifier = Arc::new(Verifier::new(tls, provider)?);
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let config = match &tls.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?;
            builder.with_client_auth_cert(certificates(certificate)?, key).map_err(|error| Error::Tls(error.to_string()))?
        }
    };
    Ok(MakeRustlsConnect::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unreadable(path))?;
    if certificates.is_empty() { Err(Error::Tls(format!("{} holds no certificate", path.display()))) } else { Ok(certificates) }
}

fn unreadable(path: &Path) -> impl FnOnce(rustls::pki_types::pem::Error) -> Error {
    move |error| Error::Tls(format!("{}: {error}", path.display()))
}

fn roots(roots: &Roots) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::File(path) => {
            for certificate in certificates(path)? {
                store.add(certificate).map_err(|error| Error::Tls(format!("{}: {error}", path.display())))?;
            }
        }
    }
    if store.is_empty() {
        return Err(Error::Tls("no root certificates on this machine: name a file by sslrootcert".to_owned()));
    }
    Ok(store)
}

/// Checks as much of the server's certificate as was asked for; that the server has its key is checked always.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` where nothing is to be checked.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    is_host_checked: bool,
}

impl Verifier {
    fn new(tls: &DatabaseTls, provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let authorities = match tls.verification {
            Verification::Nothing => None,
            Verification::Signature | Verification::Host => {
                let roots = Arc::new(roots(&tls.roots)?);
                let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                Some(builder.build().map_err(|error| Error::Tls(error.to_string()))?)
            }
        };
        Ok(Self { provider, authorities, is_host_checked: tls.verification == Verification::Host })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        match authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is the last thing that it looks at: who signed it, and until when it holds, was found right.
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }))
                if !self.is_host_checked =>
            {
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
