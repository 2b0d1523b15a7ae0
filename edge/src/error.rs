//! Why a command failed, one variant a cause. What a request can be refused for is in `http::refusal`.

mod told;

pub use told::Exit;

use crate::{config::Problem, db::Failure};
use std::path::PathBuf;

/// The error of a command; its text goes to the person at the terminal, so it names the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", sentence(.0))]
    Settings(Vec<Problem>),
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("TLS to the database: {0}")]
    Tls(String),
    #[error("{0}")]
    Usage(String),
    #[error("database: {0}")]
    Database(String),
    /// A statement that Postgres refused.
    #[error("database: {message} (SQLSTATE {state})")]
    Statement { message: String, state: String, hint: Option<String> },
    #[error("database: {0}")]
    Unavailable(String),
    /// An operation that the product's rules refuse, in the words of the REST API.
    #[error("{code}: {message}")]
    Refused { code: String, message: String, details: Option<serde_json::Value> },
    #[error("{what} {name}: there is none")]
    NotFound { what: &'static str, name: String },
    #[error("issuer: {0}")]
    Issuer(String),
    #[error("signing key: {0}")]
    Key(String),
    #[error("this database is a copy, or was moved: nothing is sent from here until somebody says so")]
    NotAdopted,
    #[error("storage: {0}")]
    Storage(String),
    #[error("tenant: {0}")]
    Tenant(String),
    #[error("import: {0}")]
    Import(String),
    #[error("the server has the files of Nebula {files}, this program is {own}: install the server's files first")]
    OlderFiles { files: String, own: &'static str },
    #[error("backup: {0}")]
    Backup(String),
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
    #[error("the edge on {0}: {1}")]
    Unhealthy(std::net::SocketAddr, String),
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

/// What is wrong with settings, in one line.
fn sentence(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{} {}", problem.setting, problem.message)).collect::<Vec<_>>().join("; ")
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match &failure {
            Failure::Unavailable(_) => Self::Unavailable(failure.reason().to_owned()),
            Failure::Statement(_) => Self::Database(failure.reason().to_owned()),
        }
    }
}

impl From<tokio_postgres::Error> for Error {
    /// Commands are run by operators: they may see what Postgres says, which the edge's clients may not.
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => {
                let (message, state) = (db.message().to_owned(), db.code().code().to_owned());
                if matches!(Failure::of(&error), Failure::Unavailable(_)) {
                    return Self::Unavailable(format!("{message} (SQLSTATE {state})"));
                }
                Self::Statement { message, state, hint: db.hint().map(str::to_owned) }
            }
            // No SQLSTATE: nobody answered, or not as Postgres does. The library's own words.
            None => {
                let text = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                if matches!(Failure::of(&error), Failure::Unavailable(_)) { Self::Unavailable(text) } else { Self::Database(text) }
            }
        }
    }
}
