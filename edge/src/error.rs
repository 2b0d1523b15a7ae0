//! Why a command failed, one variant a cause. What a request can be refused for is in `http::refusal`.

use crate::db::Failure;
use std::path::PathBuf;

/// The error of a command; its text goes to the person at the terminal, so it names the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the settings in {path}: {reason}", path = .0.display(), reason = .1)]
    Settings(PathBuf, String),
    #[error("set {0} (environment, option or settings file)")]
    Missing(&'static str),
    #[error(
        "the database URL asks for sslmode=require, which this build does not speak; put a TLS pooler or tunnel between, or use sslmode=prefer"
    )]
    TlsUnsupported,
    #[error("database: {0}")]
    Database(String),
    #[error("issuer: {0}")]
    Issuer(String),
    #[error("signing key: {0}")]
    Key(String),
    #[error(
        "this database is a copy, or was moved: nothing is sent from here until somebody says so, by `nebula worker --adopt` or `select nebula.adopt_here()`"
    )]
    NotAdopted,
    #[error("storage: {0}")]
    Storage(String),
    #[error("tenant: {0}")]
    Tenant(String),
    #[error("import: {0}")]
    Import(String),
    #[error("the server has the files of Nebula {files}, this program is {own}: install the server's files first")]
    OlderFiles { files: String, own: &'static str },
    #[error("retention: {0}")]
    Retention(String),
    #[error("protect: {0}")]
    Protect(String),
    #[error("audit: {0}")]
    Audit(String),
    #[error("audit key: {0}")]
    AuditKey(String),
    #[error("sealing key: {0}")]
    SealingKey(String),
    #[error("{path}: {source}", path = .path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{path} belongs to somebody else; remove it", path = .0.display())]
    Foreign(PathBuf),
    #[error("{program} failed: {output}")]
    Program { program: String, output: String },
    #[error("waited {seconds} s for the {what} to become ready; see {log}", log = .log.display())]
    NotReady { what: &'static str, seconds: u64, log: PathBuf },
    #[error("{0}")]
    Telemetry(String),
}

impl Error {
    /// Names the file that an operation failed on.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Database(failure.reason().to_owned())
    }
}

impl From<tokio_postgres::Error> for Error {
    /// Commands are run by operators: they may see what Postgres says, which the edge's clients may not.
    fn from(error: tokio_postgres::Error) -> Self {
        let text = match error.as_db_error() {
            Some(db) => {
                let hint = db.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("{} (SQLSTATE {}){hint}", db.message(), db.code().code())
            }
            None => match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        };
        Self::Database(text)
    }
}
