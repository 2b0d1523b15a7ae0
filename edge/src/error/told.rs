//! What a program and a person are told of an error: its code, how the process ends, and what to do next. One table.

use super::Error;
use std::borrow::Cow;

/// How a process ends (docs/operations/cli.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// The command line or the settings are wrong: nothing was tried.
    Usage = 2,
    /// It was done, and what it looked for is there: findings, leaks, problems.
    Findings = 3,
    /// The product's rules say no, or there is no such thing.
    Refused = 4,
    /// The database is away or busy: the same may work later.
    Unavailable = 5,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Error {
    /// For programs: a stable word. Of a refusal, the code of the REST API.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Settings(_) => "settings",
            Self::Missing(_) => "setting_missing",
            Self::Usage(_) => "usage",
            Self::Tls(_) => "tls",
            Self::Unhealthy(..) => "unhealthy",
            Self::Database(_) | Self::Statement { .. } => "database",
            Self::Unavailable(_) => "database_unavailable",
            Self::Refused { code, .. } => code,
            Self::NotFound { .. } => "not_found",
            Self::Issuer(_) => "issuer",
            Self::Key(_) => "signing_key",
            Self::NotAdopted => "not_adopted",
            Self::Storage(_) => "storage",
            Self::Backup(_) => "backup",
            Self::Tenant(_) => "tenant",
            Self::Import(_) => "import",
            Self::OlderFiles { .. } => "older_files",
            Self::Retention(_) => "retention",
            Self::Protect(_) => "protect",
            Self::Audit(_) => "audit",
            Self::AuditKey(_) => "audit_key",
            Self::SealingKey(_) => "sealing_key",
            Self::File { .. } | Self::Foreign(_) => "file",
            Self::Io(_) => "io",
            Self::Program { .. } => "program",
            Self::NotReady { .. } => "not_ready",
            Self::Telemetry(_) => "telemetry",
        }
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Missing(_) | Self::Usage(_) => Exit::Usage,
            Self::Refused { .. } | Self::NotFound { .. } => Exit::Refused,
            Self::Unavailable(_) => Exit::Unavailable,
            _ => Exit::Failed,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        let hint = match self {
            Self::Settings(problems) => return problems.iter().find_map(|problem| problem.hint.as_deref()).map(Cow::Borrowed),
            Self::Missing(name) => return Some(missing(name)),
            Self::Usage(_) => "nebula help lists the commands",
            Self::Tls(_) => "sslmode, sslrootcert, sslcert and sslkey of the connection string say what is asked for",
            Self::Unhealthy(..) => "its log says why; NEBULA_LISTEN says where it listens",
            Self::Statement { hint: Some(hint), .. } => return Some(Cow::Borrowed(hint)),
            Self::Statement { state, .. } => return statement(state).map(Cow::Borrowed),
            Self::Unavailable(_) => {
                "is the server up, and does the connection string lead to it? `nebula config check --connect` tries each"
            }
            Self::Refused { code, .. } => return refusal(code).map(Cow::Borrowed),
            Self::NotFound { what: "tenant", .. } => "nebula tenant list --search <part of its name> finds it",
            Self::NotFound { what: "user", .. } => "nebula user list <tenant> --search <part of the address> finds them",
            Self::NotFound { what: "key", .. } => "nebula key api list <tenant> lists them",
            Self::NotAdopted => "`nebula worker --adopt` or `select nebula.adopt_here()` says so",
            Self::OlderFiles { .. } => "install this release's extension on the server first (docs/migrations.md)",
            Self::Backup(_) => "docs/operations/backup.md says how backups are made, tried and restored",
            Self::Retention(_) | Self::Storage(_) => "docs/operations.md says how the storage is set up",
            Self::SealingKey(_) => "nebula key sealing list shows which are here and registered",
            Self::Audit(_) => "docs/security/audit.md says what the seals are and what to do",
            Self::AuditKey(_) => "nebula key audit list shows which are here and registered",
            Self::Key(_) => "nebula key signing list shows which are here and registered",
            Self::Issuer(_) => "nebula issuer list shows what is registered",
            Self::Foreign(_) => "another user made it: remove it, or name another folder",
            Self::NotReady { .. } => "the end of that log says why",
            _ => return None,
        };
        Some(Cow::Borrowed(hint))
    }

    /// The details of a refusal.
    #[must_use]
    pub fn details(&self) -> Option<serde_json::Value> {
        match self {
            Self::Refused { details, .. } => details.clone(),
            Self::Settings(problems) => serde_json::to_value(problems).ok(),
            _ => None,
        }
    }
}

fn missing(name: &str) -> Cow<'static, str> {
    if name == "NEBULA_OPERATOR_KEY" {
        return Cow::Borrowed(
            "operators act by a key of their own, so that the audit log knows who it was; `nebula key operator issue --name <yours>` makes one",
        );
    }
    let option = name.strip_prefix("NEBULA_").unwrap_or(name).to_ascii_lowercase();
    let file = if name.ends_with("_DATABASE_URL") { format!(", {name}_FILE with a file that holds it") } else { String::new() };
    // A platform's variable says neither which of Nebula's logins it is nor that it is meant (docs/decisions/0030).
    let elsewhere = if name.ends_with("_DATABASE_URL") && std::env::var_os("DATABASE_URL").is_some() {
        "; DATABASE_URL is not read, since it doesn't say whose login it is"
    } else {
        ""
    };
    Cow::Owned(format!("set it in the environment{file}, --{} or {option} in the settings file{elsewhere}", option.replace('_', "-")))
}

fn statement(state: &str) -> Option<&'static str> {
    Some(match state {
        "28P01" | "28000" => "the login or its password is wrong; `nebula config` shows whose connection string it is",
        "3D000" => "the database doesn't exist: create it, then `nebula migrate`",
        "42883" | "3F000" | "42P01" => "this database has no Nebula, or an older one: `nebula migrate`",
        "42501" => "this login may not do that; administrators' commands need the role that installed the extension, or a superuser",
        "55000" => "`nebula migrate` brings the database up to date",
        _ => return None,
    })
}

fn refusal(code: &str) -> Option<&'static str> {
    Some(match code {
        "INVALID_TOKEN" | "UNAUTHORIZED" | "TOKEN_EXPIRED" => {
            "the operator's key is not valid in this database; `nebula key operator issue --name <yours>` makes another one"
        }
        "FORBIDDEN_ACTION" | "TENANT_MISMATCH" => {
            "the key's scope doesn't hold this action; an operator's key of the platform's tenant with the profile admin does"
        }
        "TENANT_SUSPENDED" => "nebula tenant reactivate <tenant> lets it in again",
        "SCHEMA_OUTDATED" => "`nebula migrate` brings the database up to date",
        "RATE_LIMITED" => "wait a moment: this key or tenant has used up its minute",
        "VALIDATION_ERROR" => "details name the field and the rule; --json shows them",
        "CONFLICT" => "details name what is in the way; --json shows them",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_every_place_where_it_can_stand() {
        let hint = Error::Missing("NEBULA_ADMIN_DATABASE_URL").hint().map(Cow::into_owned).unwrap_or_default();
        for place in ["NEBULA_ADMIN_DATABASE_URL_FILE", "--admin-database-url", "admin_database_url"] {
            assert!(hint.contains(place), "{hint}");
        }
    }

    #[test]
    fn refusals_and_absences_end_in_another_way_than_failures() {
        let refused = Error::Refused { code: "CONFLICT".to_owned(), message: String::new(), details: None };
        assert_eq!((refused.exit(), refused.code()), (Exit::Refused, "CONFLICT"));
        assert_eq!(Error::Unavailable(String::new()).exit(), Exit::Unavailable);
        assert_eq!(Error::Missing("NEBULA_URL").exit(), Exit::Usage);
        assert_eq!(Error::Database(String::new()).exit(), Exit::Failed);
    }
}
