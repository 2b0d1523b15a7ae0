//! Every setting, declared once: its option, its variable, its member of the file, its default and its documentation.

use super::{DatabaseUrl, Secret};
use crate::error::Error;
use ipnet::IpNet;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty, $env:literal, $default:tt $(, [$($arg:tt)*])?;)*) => {
        /// What one source says; every member may be absent, an unknown one is refused.
        #[derive(Clone, Debug, Default, Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        #[command(next_help_heading = "Settings")]
        pub struct Settings {
            $($(#[doc = $doc])+
            #[arg(long, global = true, env = $env, hide_short_help = true, hide_env_values = true $(, $($arg)*)?)]
            pub $name: Option<$type>,)*
        }

        /// The effective settings.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: settings!(@effective $type, $default),)*
        }

        impl Config {
            fn resolve(options: Settings, file: Settings) -> Self {
                Self { $($name: settings!(@resolve options.$name.or(file.$name), $default),)* }
            }

            /// Name and value of each setting, secrets redacted, for `nebula config`.
            #[must_use]
            pub fn describe(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), format!("{:?}", self.$name)),)*]
            }
        }
    };
    (@effective $type:ty, (none)) => { Option<$type> };
    (@effective $type:ty, $default:tt) => { $type };
    (@resolve $value:expr, (none)) => { $value };
    (@resolve $value:expr, ($default:expr)) => { $value.unwrap_or_else(|| $default) };
}

settings! {
    /// Where the edge connects: a login of role `nebula_edge`, which may call the entry functions and nothing else.
    database_url: DatabaseUrl, "NEBULA_DATABASE_URL", (none), [value_name = "URL"];
    /// Where `serve` listens for changes, if `database_url` names a pooler in transaction mode: the server itself, or a pooler in session mode, with the same
    /// login [default: `database_url`].
    notify_database_url: DatabaseUrl, "NEBULA_NOTIFY_DATABASE_URL", (none), [value_name = "URL"];
    /// Where `migrate`, `seed`, `keys` and `issuers` connect: a role that may create the extension. `serve` never uses it.
    admin_database_url: DatabaseUrl, "NEBULA_ADMIN_DATABASE_URL", (none), [value_name = "URL"];
    /// Where other issuers' keys are registered: a login of role `nebula_keys`, which may do nothing else. Without it `serve` never fetches any.
    keys_database_url: DatabaseUrl, "NEBULA_KEYS_DATABASE_URL", (none), [value_name = "URL"];
    /// How often other issuers' keys are fetched, in seconds [default: 3600].
    jwks_refresh_seconds: u64, "NEBULA_JWKS_REFRESH_SECONDS", (3_600), [value_name = "SECONDS"];
    /// After a fetch for a key that nobody knows, no other one for that issuer within this time, in seconds [default: 30].
    jwks_cooldown_seconds: u64, "NEBULA_JWKS_COOLDOWN_SECONDS", (30), [value_name = "SECONDS"];
    /// Also fetch keys over http, from loopback addresses alone: for development and tests [default: false].
    allow_loopback_jwks: bool, "NEBULA_ALLOW_LOOPBACK_JWKS", (false), [value_name = "BOOL"];
    /// Where `worker` connects: a login of role `nebula_worker`, which may call the worker's functions and nothing else. Not through a pooler in transaction mode.
    worker_database_url: DatabaseUrl, "NEBULA_WORKER_DATABASE_URL", (none), [value_name = "URL"];
    /// Database connections kept by a worker [default: 6].
    worker_pool_size: usize, "NEBULA_WORKER_POOL_SIZE", (6), [value_name = "N"];
    /// Pieces of work that a worker does at once [default: 64].
    worker_concurrency: usize, "NEBULA_WORKER_CONCURRENCY", (64), [value_name = "N"];
    /// Of these, at most so many of one tenant [default: 16].
    worker_tenant_concurrency: usize, "NEBULA_WORKER_TENANT_CONCURRENCY", (16), [value_name = "N"];
    /// Webhook requests at once to one host, of all tenants [default: 8].
    worker_host_concurrency: usize, "NEBULA_WORKER_HOST_CONCURRENCY", (8), [value_name = "N"];
    /// How long a claimed piece of work stays this worker's without a sign of life, in seconds: another then does it again [default: 30].
    worker_lease_seconds: u64, "NEBULA_WORKER_LEASE_SECONDS", (30), [value_name = "SECONDS"];
    /// The longest sleep of a worker that has nothing to do, in milliseconds; new work wakes it at once [default: 1000].
    worker_poll_ms: u64, "NEBULA_WORKER_POLL_MS", (1_000), [value_name = "MS"];
    /// The time for one webhook request, in milliseconds [default: 15000].
    webhook_timeout_ms: u64, "NEBULA_WEBHOOK_TIMEOUT_MS", (15_000), [value_name = "MS"];
    /// Also deliver webhooks to loopback addresses: for development and tests [default: false].
    allow_loopback_webhooks: bool, "NEBULA_ALLOW_LOOPBACK_WEBHOOKS", (false), [value_name = "BOOL"];
    /// Where exports and archives are kept: `file:///folder`, or `s3://bucket/prefix` with the usual `AWS_*` variables. Without it there are none.
    storage_url: String, "NEBULA_STORAGE_URL", (none), [value_name = "URL"];
    /// Where backups are kept: `file:///folder`, or `s3://bucket/prefix` with the usual `AWS_*` variables, over https alone.
    backup_repository: String, "NEBULA_BACKUP_REPOSITORY", (none), [value_name = "URL"];
    /// The folder of pgBackRest's configuration, locks and log, of what is known of the backups, and of what they are tried in, on the database's machine
    /// [default: /var/lib/nebula/backup].
    backup_dir: PathBuf, "NEBULA_BACKUP_DIR", (PathBuf::from("/var/lib/nebula/backup")), [value_name = "DIR"];
    /// The cluster's name in the repository [default: nebula].
    backup_stanza: String, "NEBULA_BACKUP_STANZA", ("nebula".to_owned()), [value_name = "NAME"];
    /// A file with the passphrase that the repository is encrypted with. A repository stays as it was made. Without the passphrase there is no restore.
    backup_cipher_file: PathBuf, "NEBULA_BACKUP_CIPHER_FILE", (none), [value_name = "FILE"];
    /// How long a full backup, and what is needed to restore from it on, is kept, in days [default: 14].
    backup_retention_days: u32, "NEBULA_BACKUP_RETENTION_DAYS", (14), [value_name = "DAYS"];
    /// How much of the newest data may be lost, in seconds [default: what the strictest operational profile in use asks for].
    backup_rpo_seconds: u64, "NEBULA_BACKUP_RPO_SECONDS", (none), [value_name = "SECONDS"];
    /// How long a restore may take, in seconds [default: what the strictest operational profile in use asks for].
    backup_rto_seconds: u64, "NEBULA_BACKUP_RTO_SECONDS", (none), [value_name = "SECONDS"];
    /// How long an export can be downloaded, in hours [default: 168].
    export_hours: u32, "NEBULA_EXPORT_HOURS", (168), [value_name = "HOURS"];
    /// The address and port that `serve` listens on [default: 127.0.0.1:8080].
    listen: SocketAddr, "NEBULA_LISTEN", (SocketAddr::from(([127, 0, 0, 1], 8080))), [value_name = "ADDRESS"];
    /// The folder of private signing keys and sealing keys, mode 700 [default: .nebula/keys].
    keys_dir: PathBuf, "NEBULA_KEYS_DIR", (PathBuf::from(".nebula/keys")), [value_name = "DIR"];
    /// The sealing keys themselves instead of files in the folder: `1:<base64>,2:<base64>`, each of 32 bytes.
    sealing_keys: Secret, "NEBULA_SEALING_KEYS", (none), [value_name = "KEYS"];
    /// A file with the sealing keys in the same form, lines or commas between them, instead of files in the folder.
    sealing_keys_file: PathBuf, "NEBULA_SEALING_KEYS_FILE", (none), [value_name = "FILE"];
    /// Database connections kept by this process; one more listens for changes [default: 16].
    pool_size: usize, "NEBULA_POOL_SIZE", (16), [value_name = "N"];
    /// The longest wait for a free database connection, in milliseconds; then 503 [default: 2000].
    pool_wait_ms: u64, "NEBULA_POOL_WAIT_MS", (2_000), [value_name = "MS"];
    /// Keep the request's statement prepared in each connection: a tenth to a third more throughput. Not behind a pooler in transaction
    /// mode, where a client gets another server connection for each transaction [default: false].
    prepared_statements: bool, "NEBULA_PREPARED_STATEMENTS", (false), [value_name = "BOOL"];
    /// How often the database's backends write the usage that they gathered, in milliseconds; 0 is only before stopping [default: 5000].
    flush_interval_ms: u64, "NEBULA_FLUSH_INTERVAL_MS", (5_000), [value_name = "MS"];
    /// Client connections open at once; more wait in the listen queue [default: 4096].
    max_connections: usize, "NEBULA_MAX_CONNECTIONS", (4_096), [value_name = "N"];
    /// Requests under way at once; more are shed with 503 [default: 512].
    max_in_flight: usize, "NEBULA_MAX_IN_FLIGHT", (512), [value_name = "N"];
    /// The time for a complete request head, the first byte and idle keep-alive included, in milliseconds [default: 10000].
    header_timeout_ms: u64, "NEBULA_HEADER_TIMEOUT_MS", (10_000), [value_name = "MS"];
    /// The time for a complete request body, in milliseconds [default: 8000].
    body_timeout_ms: u64, "NEBULA_BODY_TIMEOUT_MS", (8_000), [value_name = "MS"];
    /// The time for a complete answer, in milliseconds; then the statement is cancelled and the answer is 503 [default: 10000].
    request_timeout_ms: u64, "NEBULA_REQUEST_TIMEOUT_MS", (10_000), [value_name = "MS"];
    /// The largest request body, in bytes [default: 1048576].
    max_body_bytes: usize, "NEBULA_MAX_BODY_BYTES", (1 << 20), [value_name = "BYTES"];
    /// How long requests under way may finish after SIGTERM, in seconds [default: 20].
    drain_seconds: u64, "NEBULA_DRAIN_SECONDS", (20), [value_name = "SECONDS"];
    /// How long `serve` goes on after SIGTERM before it takes no more connections, while `/health/ready` answers 503 and every answer closes its connection: time for a
    /// balancer to turn away, in seconds [default: 0].
    shutdown_delay_seconds: u64, "NEBULA_SHUTDOWN_DELAY_SECONDS", (0), [value_name = "SECONDS"];
    /// Password derivations at once, 19 MiB each [default: one per core].
    argon2_concurrency: usize, "NEBULA_ARGON2_CONCURRENCY", (cores()), [value_name = "N"];
    /// Networks of the proxies in front, comma-separated; only from these is X-Forwarded-For believed [default: none].
    trusted_proxies: Vec<IpNet>, "NEBULA_TRUSTED_PROXIES", (Vec::new()), [value_name = "CIDR", value_delimiter = ','];
    /// The address and port that `serve` shows metrics on, in Prometheus' format, to whoever asks: keep it inside. Without it there are none.
    metrics_listen: SocketAddr, "NEBULA_METRICS_LISTEN", (none), [value_name = "ADDRESS"];
    /// The same of `worker`, which shows the database's figures, too.
    worker_metrics_listen: SocketAddr, "NEBULA_WORKER_METRICS_LISTEN", (none), [value_name = "ADDRESS"];
    /// Where traces are sent: an OTLP receiver that speaks http/protobuf, such as http://127.0.0.1:4318. Without it there are none.
    traces_endpoint: String, "NEBULA_TRACES_ENDPOINT", (none), [value_name = "URL"];
    /// The share of requests that are traced, from 0 to 1, where the caller's `traceparent` doesn't decide [default: 1].
    traces_sample_ratio: f64, "NEBULA_TRACES_SAMPLE_RATIO", (1.0), [value_name = "SHARE"];
    /// Sentry's DSN: failures (5xx) and panics are reported there. Without it nothing is.
    sentry_dsn: Secret, "NEBULA_SENTRY_DSN", (none), [value_name = "DSN"];
    /// What traces and reports call this installation, such as production.
    environment: String, "NEBULA_ENVIRONMENT", (none), [value_name = "NAME"];
    /// `error`, `warn`, `info`, `debug`, or a filter as `tracing` reads it [default: info].
    log_level: String, "NEBULA_LOG_LEVEL", ("info".to_owned()), [value_name = "LEVEL"];
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Config {
    /// Reads the file, if one is named, under `options`, in which clap has already put the environment beneath the options.
    pub fn load(file: Option<&Path>, options: Settings) -> Result<Self, Error> {
        let file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
                // The parser's full report quotes the line, which may hold a password; its message names the member only.
                toml::from_str(&text).map_err(|error| Error::Settings(path.to_owned(), error.message().to_owned()))?
            }
            None => Settings::default(),
        };
        Ok(Self::resolve(options, file))
    }

    /// The edge's connection string, or which variable is missing.
    pub fn require_database_url(&self) -> Result<&DatabaseUrl, Error> {
        self.database_url.as_ref().ok_or(Error::Missing("NEBULA_DATABASE_URL"))
    }

    /// The administrator's connection string, or which variable is missing.
    pub fn require_admin_database_url(&self) -> Result<&DatabaseUrl, Error> {
        self.admin_database_url.as_ref().ok_or(Error::Missing("NEBULA_ADMIN_DATABASE_URL"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn options_override_the_file_and_the_file_the_defaults() {
        let file = settings("pool_size = 3\nmax_in_flight = 7").unwrap();
        let options = Settings { pool_size: Some(5), ..Settings::default() };
        let config = Config::resolve(options, file);
        assert_eq!((config.pool_size, config.max_in_flight, config.drain_seconds), (5, 7, 20));
    }

    #[test]
    fn an_unknown_member_of_the_file_is_refused() {
        assert!(settings("pool_sise = 3").is_err());
    }

    #[test]
    fn a_described_or_printed_configuration_shows_no_password() {
        let file = settings("database_url = \"postgresql://e:hunter22@h/d\"").unwrap();
        let config = Config::resolve(Settings::default(), file.clone());
        assert_eq!(config.database_url.as_ref().unwrap().reveal(), "postgresql://e:hunter22@h/d");
        assert!(!format!("{config:?}{:?}{file:?}", config.describe()).contains("hunter22"));
    }

    #[test]
    fn sealing_keys_are_shown_by_nothing() {
        let file = settings("sealing_keys = \"1:hunter22\"").unwrap();
        let config = Config::resolve(Settings::default(), file.clone());
        assert_eq!(config.sealing_keys.as_ref().unwrap().reveal(), "1:hunter22");
        assert!(!format!("{config:?}{:?}{file:?}", config.describe()).contains("hunter22"));
    }

    #[test]
    fn an_error_in_the_file_shows_no_password() {
        let refusal = settings("database_url = \"postgresql://e:hunter22@h/d?sslmode=x\"").unwrap_err();
        assert!(!refusal.message().contains("hunter22"));
    }

    #[test]
    fn proxies_are_networks() {
        let file = settings("trusted_proxies = [\"10.0.0.0/8\", \"::1/128\"]").unwrap();
        assert_eq!(Config::resolve(Settings::default(), file).trusted_proxies.len(), 2);
        assert!(settings("trusted_proxies = [\"ten\"]").is_err());
    }
}
