//! Every setting, declared once: its option, its variable, its member of the file, its default, its range, who reads it, and its documentation.

use super::{
    DatabaseUrl, Problem, Secret, Setting, Source,
    login::ConnectionString,
    nearest::nearest,
    resolve::Resolver,
    setting::{Configured, option_of},
    source::Given,
};
use crate::error::Error;
use ipnet::IpNet;
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty, $env:literal, $default:tt
        $(, [$($arg:tt)*])? $(, in $range:expr)? $(, for $commands:literal)? $(, file $file:ident $file_env:literal)?;)*) => {
        /// What one source says; every member may be absent, an unknown one is refused.
        #[derive(Clone, Debug, Default, Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        #[command(next_help_heading = "Settings")]
        pub struct Settings {
            $($(#[doc = $doc])+
            #[arg(long, global = true, env = $env, hide_short_help = true, hide_env_values = true $(, $($arg)*)?)]
            pub $name: Option<$type>,
            $(#[doc = concat!("A file with `", stringify!($name), "`, instead of the value itself.")]
            #[arg(long, global = true, env = $file_env, hide_short_help = true, value_name = "FILE", help = concat!("A file with ", stringify!($name), ", instead of the value itself"))]
            pub $file: Option<PathBuf>,)?)*
        }

        /// The effective settings.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $name: settings!(@effective $type, $default),)*
        }

        /// Every setting, in the order of the reference.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            name: stringify!($name),
            env: $env,
            doc: concat!($($doc, "\n"),+),
            kind: <$type as Configured>::KIND,
            range: settings!(@optional $($range)?),
            commands: concat!($($commands)?),
            file: settings!(@optional $((stringify!($file), $file_env))?),
        },)*];

        impl Config {
            pub(super) fn resolve(options: Settings, file: Settings, resolver: &mut Resolver<'_>) -> Self {
                Self { $($name: settings!(@resolve settings!(@value resolver, options, file, $name $(, $file)?), $default),)* }
            }

            /// The value of each setting as it may be shown, in the order of [`SETTINGS`].
            #[must_use]
            pub fn shown(&self) -> Vec<(&'static Setting, serde_json::Value)> {
                SETTINGS.iter().zip([$(self.$name.shown()),*]).collect()
            }

            /// The value of each setting that is an integer.
            pub(super) fn integers(&self) -> Vec<(&'static Setting, u64)> {
                SETTINGS.iter().zip([$(self.$name.integer()),*]).filter_map(|(setting, value)| Some((setting, value?))).collect()
            }
        }
    };
    (@effective $type:ty, (none)) => { Option<$type> };
    (@effective $type:ty, $default:tt) => { $type };
    (@resolve $value:expr, (none)) => { $value };
    (@resolve $value:expr, ($default:expr)) => { $value.unwrap_or_else(|| $default) };
    (@optional) => { None };
    (@optional $value:expr) => { Some($value) };
    (@value $resolver:ident, $options:ident, $file:ident, $name:ident) => {
        $resolver.value(stringify!($name), $options.$name, $file.$name)
    };
    (@value $resolver:ident, $options:ident, $file:ident, $name:ident, $member:ident) => {
        $resolver.secret(
            (stringify!($name), stringify!($member)),
            Given { value: $options.$name, file: $options.$member },
            Given { value: $file.$name, file: $file.$member },
        )
    };
}

settings! {
    /// Where the edge connects: a login of role `nebula_edge`, which may call the entry functions and nothing else.
    database_url: DatabaseUrl, "NEBULA_DATABASE_URL", (none), [value_name = "URL", value_parser = ConnectionString], for "serve tenant user key openapi", file database_url_file "NEBULA_DATABASE_URL_FILE";
    /// Where `serve` listens for changes, if `database_url` names a pooler in transaction mode: the server itself, or a pooler in session mode, with the same
    /// login [default: `database_url`].
    notify_database_url: DatabaseUrl, "NEBULA_NOTIFY_DATABASE_URL", (none), [value_name = "URL", value_parser = ConnectionString], for "serve", file notify_database_url_file "NEBULA_NOTIFY_DATABASE_URL_FILE";
    /// Where commands connect that an administrator runs (`migrate`, `seed`, `key`, `doctor`, `status` …): a role that may create the extension. `serve` never uses it.
    admin_database_url: DatabaseUrl, "NEBULA_ADMIN_DATABASE_URL", (none), [value_name = "URL", value_parser = ConnectionString], for "admin", file admin_database_url_file "NEBULA_ADMIN_DATABASE_URL_FILE";
    /// Where other issuers' keys are registered: a login of role `nebula_keys`, which may do nothing else. Without it `serve` never fetches any.
    keys_database_url: DatabaseUrl, "NEBULA_KEYS_DATABASE_URL", (none), [value_name = "URL", value_parser = ConnectionString], for "serve issuer", file keys_database_url_file "NEBULA_KEYS_DATABASE_URL_FILE";
    /// How often other issuers' keys are fetched, in seconds [default: 3600].
    jwks_refresh_seconds: u64, "NEBULA_JWKS_REFRESH_SECONDS", (3_600), [value_name = "SECONDS"], in 1..=604_800, for "serve";
    /// After a fetch for a key that nobody knows, no other one for that issuer within this time, in seconds [default: 30].
    jwks_cooldown_seconds: u64, "NEBULA_JWKS_COOLDOWN_SECONDS", (30), [value_name = "SECONDS"], in 0..=86_400, for "serve";
    /// Also fetch keys over http, from loopback addresses alone: for development and tests [default: false].
    allow_loopback_jwks: bool, "NEBULA_ALLOW_LOOPBACK_JWKS", (false), [value_name = "BOOL"], for "serve issuer";
    /// Where `worker` connects: a login of role `nebula_worker`, which may call the worker's functions and nothing else. Not through a pooler in transaction mode.
    worker_database_url: DatabaseUrl, "NEBULA_WORKER_DATABASE_URL", (none), [value_name = "URL", value_parser = ConnectionString], for "worker retention key", file worker_database_url_file "NEBULA_WORKER_DATABASE_URL_FILE";
    /// Database connections kept by a worker [default: 6].
    worker_pool_size: usize, "NEBULA_WORKER_POOL_SIZE", (6), [value_name = "N"], in 1..=1_000, for "worker retention key";
    /// Pieces of work that a worker does at once [default: 64].
    worker_concurrency: usize, "NEBULA_WORKER_CONCURRENCY", (64), [value_name = "N"], in 1..=65_536, for "worker";
    /// Of these, at most so many of one tenant [default: 16].
    worker_tenant_concurrency: usize, "NEBULA_WORKER_TENANT_CONCURRENCY", (16), [value_name = "N"], in 1..=65_536, for "worker";
    /// Webhook requests at once to one host, of all tenants [default: 8].
    worker_host_concurrency: usize, "NEBULA_WORKER_HOST_CONCURRENCY", (8), [value_name = "N"], in 1..=65_536, for "worker";
    /// How long a claimed piece of work stays this worker's without a sign of life, in seconds: another then does it again [default: 30].
    worker_lease_seconds: u64, "NEBULA_WORKER_LEASE_SECONDS", (30), [value_name = "SECONDS"], in 1..=86_400, for "worker";
    /// The longest sleep of a worker that has nothing to do, in milliseconds; work that somebody waits for wakes it at once [default: 1000].
    worker_poll_ms: u64, "NEBULA_WORKER_POLL_MS", (1_000), [value_name = "MS"], in 1..=3_600_000, for "worker";
    /// The time for one webhook request, in milliseconds [default: 15000].
    webhook_timeout_ms: u64, "NEBULA_WEBHOOK_TIMEOUT_MS", (15_000), [value_name = "MS"], in 100..=600_000, for "worker";
    /// Also deliver webhooks to loopback addresses: for development and tests [default: false].
    allow_loopback_webhooks: bool, "NEBULA_ALLOW_LOOPBACK_WEBHOOKS", (false), [value_name = "BOOL"], for "worker";
    /// Where exports and archives are kept: `file:///folder`, or `s3://bucket/prefix` with the usual `AWS_*` variables. Without it there are none.
    storage_url: String, "NEBULA_STORAGE_URL", (none), [value_name = "URL"], for "serve worker retention privacy";
    /// Where backups are kept: `file:///folder`, or `s3://bucket/prefix` with the usual `AWS_*` variables, over https alone.
    backup_repository: String, "NEBULA_BACKUP_REPOSITORY", (none), [value_name = "URL"], for "backup restore";
    /// The folder of pgBackRest's configuration, locks and log, of what is known of the backups, and of what they are tried in, on the database's machine
    /// [default: /var/lib/nebula/backup].
    backup_dir: PathBuf, "NEBULA_BACKUP_DIR", (PathBuf::from("/var/lib/nebula/backup")), [value_name = "DIR"], for "backup restore status";
    /// The cluster's name in the repository [default: nebula].
    backup_stanza: String, "NEBULA_BACKUP_STANZA", ("nebula".to_owned()), [value_name = "NAME"], for "backup restore";
    /// A file with the passphrase that the repository is encrypted with. A repository stays as it was made. Without the passphrase there is no restore.
    backup_cipher_file: PathBuf, "NEBULA_BACKUP_CIPHER_FILE", (none), [value_name = "FILE"], for "backup restore";
    /// How long a full backup, and what is needed to restore from it on, is kept, in days [default: 14].
    backup_retention_days: u32, "NEBULA_BACKUP_RETENTION_DAYS", (14), [value_name = "DAYS"], in 1..=36_500, for "backup";
    /// How much of the newest data may be lost, in seconds [default: what the strictest operational profile in use asks for].
    backup_rpo_seconds: u64, "NEBULA_BACKUP_RPO_SECONDS", (none), [value_name = "SECONDS"], in 1..=31_536_000, for "backup";
    /// How long a restore may take, in seconds [default: what the strictest operational profile in use asks for].
    backup_rto_seconds: u64, "NEBULA_BACKUP_RTO_SECONDS", (none), [value_name = "SECONDS"], in 1..=31_536_000, for "backup";
    /// How long an export can be downloaded, in hours [default: 168].
    export_hours: u32, "NEBULA_EXPORT_HOURS", (168), [value_name = "HOURS"], in 0..=8_760, for "worker";
    /// The address and port that `serve` listens on [default: 127.0.0.1:8080].
    listen: SocketAddr, "NEBULA_LISTEN", (SocketAddr::from(([127, 0, 0, 1], 8080))), [value_name = "ADDRESS"], for "serve";
    /// The folder of private signing keys and sealing keys, mode 700 [default: .nebula/keys].
    keys_dir: PathBuf, "NEBULA_KEYS_DIR", (PathBuf::from(".nebula/keys")), [value_name = "DIR"];
    /// The sealing keys themselves instead of files in the folder: `1:<base64>,2:<base64>`, each of 32 bytes.
    sealing_keys: Secret, "NEBULA_SEALING_KEYS", (none), [value_name = "KEYS"];
    /// A file with the sealing keys in the same form, lines or commas between them, instead of files in the folder.
    sealing_keys_file: PathBuf, "NEBULA_SEALING_KEYS_FILE", (none), [value_name = "FILE"];
    /// Database connections kept by this process; one more listens for changes [default: 16].
    pool_size: usize, "NEBULA_POOL_SIZE", (16), [value_name = "N"], in 1..=10_000, for "serve";
    /// The longest wait for a free database connection, in milliseconds; then 503 [default: 2000].
    pool_wait_ms: u64, "NEBULA_POOL_WAIT_MS", (2_000), [value_name = "MS"], in 1..=600_000, for "serve";
    /// Keep the request's statement prepared in each connection: a tenth to a third more throughput. Not behind a pooler in transaction
    /// mode, where a client gets another server connection for each transaction [default: false].
    prepared_statements: bool, "NEBULA_PREPARED_STATEMENTS", (false), [value_name = "BOOL"], for "serve";
    /// How often the database's backends write the usage that they gathered, in milliseconds; 0 is only before stopping [default: 5000].
    flush_interval_ms: u64, "NEBULA_FLUSH_INTERVAL_MS", (5_000), [value_name = "MS"], in 0..=3_600_000, for "serve";
    /// Client connections open at once; then those that send nothing make room, and more wait in the listen queue [default: 4096].
    max_connections: usize, "NEBULA_MAX_CONNECTIONS", (4_096), [value_name = "N"], in 1..=1_000_000, for "serve";
    /// Requests under way at once; then those whose body comes slowly make room, and more are shed with 503 [default: 512].
    max_in_flight: usize, "NEBULA_MAX_IN_FLIGHT", (512), [value_name = "N"], in 1..=1_000_000, for "serve";
    /// The time for a complete request head, the first byte and idle keep-alive included, in milliseconds [default: 10000].
    header_timeout_ms: u64, "NEBULA_HEADER_TIMEOUT_MS", (10_000), [value_name = "MS"], in 1..=600_000, for "serve";
    /// The time for a complete request body, in milliseconds [default: 8000].
    body_timeout_ms: u64, "NEBULA_BODY_TIMEOUT_MS", (8_000), [value_name = "MS"], in 1..=600_000, for "serve";
    /// How long a client may read nothing of its answer before its connection is closed, in milliseconds [default: 30000].
    write_timeout_ms: u64, "NEBULA_WRITE_TIMEOUT_MS", (30_000), [value_name = "MS"], in 1..=600_000, for "serve";
    /// The time for a complete answer, in milliseconds; then the statement is cancelled and the answer is 503 [default: 10000].
    request_timeout_ms: u64, "NEBULA_REQUEST_TIMEOUT_MS", (10_000), [value_name = "MS"], in 1..=600_000, for "serve";
    /// The largest request body, in bytes; the database reads `nebula.max_request_bytes` (4 MiB) at most [default: 1048576].
    max_body_bytes: usize, "NEBULA_MAX_BODY_BYTES", (1 << 20), [value_name = "BYTES"], in 1..=1_073_741_824, for "serve";
    /// How long requests under way may finish after SIGTERM, in seconds [default: 20].
    drain_seconds: u64, "NEBULA_DRAIN_SECONDS", (20), [value_name = "SECONDS"], in 0..=86_400, for "serve worker";
    /// How long `serve` goes on after SIGTERM before it takes no more connections, while `/health/ready` answers 503 and every answer closes its connection: time for a
    /// balancer to turn away, in seconds [default: 0].
    shutdown_delay_seconds: u64, "NEBULA_SHUTDOWN_DELAY_SECONDS", (0), [value_name = "SECONDS"], in 0..=86_400, for "serve";
    /// Password derivations at once, 19 MiB each [default: one per core].
    argon2_concurrency: usize, "NEBULA_ARGON2_CONCURRENCY", (cores()), [value_name = "N"], in 1..=1_024, for "serve";
    /// Networks of the proxies in front, comma-separated; only from these is X-Forwarded-For believed [default: none].
    trusted_proxies: Vec<IpNet>, "NEBULA_TRUSTED_PROXIES", (Vec::new()), [value_name = "CIDR", value_delimiter = ','], for "serve";
    /// The address and port that `serve` shows metrics on, in Prometheus' format, to whoever asks: keep it inside. Without it there are none.
    metrics_listen: SocketAddr, "NEBULA_METRICS_LISTEN", (none), [value_name = "ADDRESS"], for "serve";
    /// The same of `worker`, which shows the database's figures, too.
    worker_metrics_listen: SocketAddr, "NEBULA_WORKER_METRICS_LISTEN", (none), [value_name = "ADDRESS"], for "worker";
    /// Where traces are sent: an OTLP receiver that speaks http/protobuf, such as http://127.0.0.1:4318. Without it there are none.
    traces_endpoint: String, "NEBULA_TRACES_ENDPOINT", (none), [value_name = "URL"], for "serve worker";
    /// The share of requests that are traced, from 0 to 1, where the caller's `traceparent` doesn't decide [default: 1].
    traces_sample_ratio: f64, "NEBULA_TRACES_SAMPLE_RATIO", (1.0), [value_name = "SHARE"], for "serve worker";
    /// Sentry's DSN: failures (5xx) and panics are reported there. Without it nothing is.
    sentry_dsn: Secret, "NEBULA_SENTRY_DSN", (none), [value_name = "DSN"], for "serve worker", file sentry_dsn_file "NEBULA_SENTRY_DSN_FILE";
    /// What traces and reports call this installation, such as production.
    environment: String, "NEBULA_ENVIRONMENT", (none), [value_name = "NAME"], for "serve worker";
    /// An API key of the platform's tenant, with which `tenant`, `user` and `key` act; the audit log knows its name.
    operator_key: Secret, "NEBULA_OPERATOR_KEY", (none), [value_name = "KEY"], for "tenant user key", file operator_key_file "NEBULA_OPERATOR_KEY_FILE";
    /// `error`, `warn`, `info`, `debug`, or a filter as `tracing` reads it [default: info].
    log_level: String, "NEBULA_LOG_LEVEL", ("info".to_owned()), [value_name = "LEVEL"], for "serve worker";
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Setting {
    /// The setting of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Setting> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Every member that the file may have.
    pub fn members() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().flat_map(|setting| std::iter::once(setting.name).chain(setting.file.map(|(member, _)| member)))
    }

    /// Every variable.
    pub fn variables() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().flat_map(|setting| std::iter::once(setting.env).chain(setting.file.map(|(_, variable)| variable)))
    }
}

impl Settings {
    /// Reads the text of a settings file. What is wrong with a member leaves that one out and is told; nothing that is told quotes a secret.
    pub fn read(text: &str, found: &mut Vec<Problem>) -> Self {
        let mut table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // The parser's full report quotes the line, which may hold a password.
                let line = error.span().map_or(0, |span| text.get(..span.start).unwrap_or_default().matches('\n').count() + 1);
                found.push(
                    Problem::error("settings file", format!("line {line}: {}", error.message()))
                        .hint("the file is TOML: name = value, texts in quotes"),
                );
                return Self::default();
            }
        };
        table.retain(|name, value| {
            let problem = match Self::judge(name, value) {
                None => return true,
                Some(problem) => problem,
            };
            found.push(problem);
            false
        });
        table.try_into().unwrap_or_else(|_| Self::default())
    }

    /// What is wrong with a member of the file.
    fn judge(name: &str, value: &toml::Value) -> Option<Problem> {
        if !Setting::members().any(|member| member == name) {
            let problem = Problem::error(name, "there is no setting of this name");
            return Some(match nearest(name, Setting::members()) {
                Some(known) => problem.hint(format!("did you mean {known}?")),
                None => problem.hint("nebula config reference lists all"),
            });
        }
        let alone = toml::Table::from_iter([(name.to_owned(), value.clone())]);
        let error = alone.try_into::<Self>().err()?;
        let is_secret = Setting::find(name).is_some_and(Setting::is_secret);
        // The message quotes the value.
        let message = if is_secret && !value.is_str() { "is not a text" } else { error.message() };
        Some(Problem::error(name, message.to_owned()))
    }
}

impl Config {
    /// The edge's connection string, or which variable is missing.
    pub fn require_database_url(&self) -> Result<&DatabaseUrl, Error> {
        self.database_url.as_ref().ok_or(Error::Missing("NEBULA_DATABASE_URL"))
    }

    /// The administrator's connection string, or which variable is missing.
    pub fn require_admin_database_url(&self) -> Result<&DatabaseUrl, Error> {
        self.admin_database_url.as_ref().ok_or(Error::Missing("NEBULA_ADMIN_DATABASE_URL"))
    }
}

/// Where an option or a variable was given, by its member.
pub fn given(name: &'static str, is_option: bool) -> Source {
    if is_option {
        return Source::Option(option_of(name));
    }
    let of = |setting: &'static Setting| match setting.file {
        _ if setting.name == name => Some(setting.env),
        Some((member, variable)) if member == name => Some(variable),
        _ => None,
    };
    Source::Environment(SETTINGS.iter().find_map(of).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Settings, Vec<String>) {
        let mut found = Vec::new();
        let settings = Settings::read(text, &mut found);
        (
            settings,
            found
                .into_iter()
                .map(|problem| format!("{}: {} {}", problem.setting, problem.message, problem.hint.unwrap_or_default()))
                .collect(),
        )
    }

    #[test]
    fn an_unknown_member_of_the_file_is_told_with_the_nearest_known_one() {
        let (settings, found) = read("pool_sise = 3\nmax_in_flight = 7\nserver = {}");
        assert_eq!(settings.max_in_flight, Some(7));
        assert_eq!(
            found,
            [
                "pool_sise: there is no setting of this name did you mean pool_size?",
                "server: there is no setting of this name nebula config reference lists all",
            ]
        );
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_without_a_secret() {
        for text in [
            "database_url = \"postgresql://e:hunter22@h/d?sslmode=hunter22\"",
            "database_url = [\"hunter22\"]",
            "sealing_keys = { a = \"hunter22\" }",
            "sealing_keys = \"1:hunter22",
            "hunter22 hunter22",
        ] {
            let (_, found) = read(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(!found[0].contains("hunter22"), "{found:?}");
        }
    }

    #[test]
    fn proxies_are_networks() {
        assert_eq!(read("trusted_proxies = [\"10.0.0.0/8\", \"::1/128\"]").0.trusted_proxies.unwrap().len(), 2);
        assert_eq!(read("trusted_proxies = [\"ten\"]").1.len(), 1);
    }

    #[test]
    fn every_default_in_the_documentation_is_the_default() {
        let (defaults, _) = super::super::resolve::resolved("", "", &[]);
        for (setting, value) in defaults.shown() {
            let shown = match &value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some(text.clone()),
                serde_json::Value::Array(list) if list.is_empty() => Some("none".to_owned()),
                other => Some(other.to_string().trim_end_matches(".0").to_owned()),
            };
            let said = setting.default();
            // What depends on something else is said in words.
            if said.as_ref().is_none_or(|said| !said.contains([' ', '`'])) {
                assert_eq!(said, shown, "{}", setting.name);
            }
        }
    }

    #[test]
    fn every_integer_has_a_range_that_its_default_is_in() {
        let (defaults, _) = super::super::resolve::resolved("", "", &[]);
        for (setting, value) in defaults.integers() {
            assert!(setting.range.as_ref().unwrap().contains(&value), "{}", setting.name);
        }
    }
}
