//! Why there was no answer, in the product's words: nothing of the receiver's, no address, no path.

use hyper_util::client::legacy;
use std::{error::Error as _, io};

/// Stored for the tenant to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    #[error("the URL can't be called")]
    Url,
    #[error("host not found")]
    NoSuchHost,
    #[error("address not public")]
    NotPublic,
    #[error("connection refused")]
    Refused,
    #[error("connection failed")]
    Unreachable,
    #[error("connection closed before the answer")]
    Closed,
    #[error("the answer is not HTTP, or its head is too large")]
    NotHttp,
    #[error("TLS: {0}")]
    Tls(&'static str),
    #[error("timeout")]
    Timeout,
}

impl PostError {
    /// Why a TCP connection was not made.
    #[must_use]
    pub fn of_connection(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Timeout,
            _ => Self::Unreachable,
        }
    }

    /// Why a TLS session was not made.
    #[must_use]
    pub fn of_tls(error: &io::Error) -> Self {
        use rustls::{CertificateError as Certificate, Error};
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else { return Self::Closed };
        Self::Tls(match error {
            Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => "certificate expired",
            Error::InvalidCertificate(Certificate::NotValidForName | Certificate::NotValidForNameContext { .. }) => {
                "certificate of another name"
            }
            Error::InvalidCertificate(_) => "certificate not trusted",
            Error::AlertReceived(_) => "refused by the receiver",
            _ => "no session",
        })
    }

    /// Why a request was not answered.
    #[must_use]
    pub fn of_request(error: &legacy::Error) -> Self {
        let Some(source) = error.source() else { return Self::Closed };
        match (source.downcast_ref::<Self>(), source.downcast_ref::<hyper::Error>()) {
            (Some(why), _) => *why,
            (_, Some(error)) if error.is_parse() || error.is_parse_too_large() => Self::NotHttp,
            _ => Self::Closed,
        }
    }
}
