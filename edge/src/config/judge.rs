//! Whether settings make sense: each in its range, and beside one another.

use super::{Config, DatabaseUrl, Problem, Source};
use std::collections::BTreeMap;

/// Ports on which PgBouncer and Supavisor usually pool transactions.
const POOLER_PORTS: [u16; 2] = [6432, 6543];

/// Tells what is wrong.
pub fn judge(config: &Config, sources: &BTreeMap<&'static str, Source>, found: &mut Vec<Problem>) {
    let from = |name: &str| sources.get(name).map(ToString::to_string).unwrap_or_default();
    for (setting, value) in config.integers() {
        if let Some(range) = setting.range.as_ref().filter(|range| !range.contains(&value)) {
            let problem = Problem::error(setting.name, format!("{value} is not from {} to {}", range.start(), range.end()));
            found.push(problem.hint(format!("it comes from {}", from(setting.name))));
        }
    }
    if !(0.0..=1.0).contains(&config.traces_sample_ratio) {
        let problem = Problem::error("traces_sample_ratio", format!("{} is not from 0 to 1", config.traces_sample_ratio));
        found.push(problem.hint(format!("it comes from {}", from("traces_sample_ratio"))));
    }
    if let Some(url) = &config.storage_url
        && !(url.starts_with("file:///") || url.starts_with("s3://"))
    {
        found.push(
            Problem::error("storage_url", "is neither file:///folder nor s3://bucket/prefix")
                .hint(format!("it comes from {}", from("storage_url"))),
        );
    }
    found.extend(beside_one_another(config));
}

/// Whether a connection string leads to where poolers usually listen.
fn is_pooled(url: Option<&DatabaseUrl>) -> bool {
    url.is_some_and(|url| url.postgres().get_ports().iter().any(|port| POOLER_PORTS.contains(port)))
}

fn beside_one_another(config: &Config) -> Vec<Problem> {
    let user = |url: &Option<DatabaseUrl>| url.as_ref().and_then(DatabaseUrl::user);
    let is_admins = |url: &Option<DatabaseUrl>| user(url).is_some() && user(url) == user(&config.admin_database_url);
    let through_pooler = is_pooled(config.database_url.as_ref());
    let rules = [
        (
            is_admins(&config.database_url),
            "database_url",
            "has the administrator's login",
            "serve needs a login of role nebula_edge, which can do nothing by itself",
        ),
        (
            is_admins(&config.worker_database_url),
            "worker_database_url",
            "has the administrator's login",
            "worker needs a login of role nebula_worker",
        ),
        (
            through_pooler && config.prepared_statements,
            "prepared_statements",
            "is on, and database_url has a pooler's usual port",
            "behind a pooler in transaction mode it must be off",
        ),
        (
            through_pooler && config.notify_database_url.is_none(),
            "notify_database_url",
            "is missing, and database_url has a pooler's usual port",
            "notifications don't pass a pooler in transaction mode: changes of routes and keys then take up to 30 s",
        ),
        (
            is_pooled(config.worker_database_url.as_ref()),
            "worker_database_url",
            "has a pooler's usual port",
            "a worker can't work through a pooler in transaction mode",
        ),
        (
            config.worker_tenant_concurrency > config.worker_concurrency,
            "worker_tenant_concurrency",
            "is more than worker_concurrency",
            "one tenant may then take everything",
        ),
        (
            config.worker_poll_ms >= config.worker_lease_seconds.saturating_mul(1_000),
            "worker_poll_ms",
            "is not less than worker_lease_seconds",
            "work of a worker that died waits for longer than its lease",
        ),
        (
            config.max_in_flight > config.max_connections,
            "max_in_flight",
            "is more than max_connections",
            "HTTP/1.1 has one request at once on a connection, so that nothing is ever shed",
        ),
        (
            config.sealing_keys.is_some() && config.sealing_keys_file.is_some(),
            "sealing_keys_file",
            "is not read: sealing_keys is given too",
            "keep one of the two",
        ),
        (
            config.allow_loopback_webhooks,
            "allow_loopback_webhooks",
            "is on",
            "for development: tenants can then reach what listens on this machine",
        ),
        (config.allow_loopback_jwks, "allow_loopback_jwks", "is on", "for development: keys are then fetched over http from this machine"),
    ];
    let told = |(_, name, message, hint): (bool, &str, &str, &str)| Problem::warning(name, message).hint(hint);
    rules.into_iter().filter(|(holds, ..)| *holds).map(told).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::resolve::resolved;

    fn problems(text: &str) -> Vec<String> {
        resolved("", text, &[]).1.into_iter().map(|problem| format!("{} {}", problem.setting, problem.message)).collect()
    }

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(problems(""), Vec::<String>::new());
    }

    #[test]
    fn a_value_out_of_its_range_is_told_with_the_range() {
        assert_eq!(problems("pool_size = 0"), ["pool_size 0 is not from 1 to 10000"]);
        assert_eq!(problems("worker_lease_seconds = 90000"), ["worker_lease_seconds 90000 is not from 1 to 86400"]);
        assert_eq!(problems("storage_url = \"http://x\""), ["storage_url is neither file:///folder nor s3://bucket/prefix"]);
    }

    #[test]
    fn a_connection_string_that_is_none_is_told_without_its_text() {
        let said = resolved("", "", &[("database_url", "postgresql://e:hunter22@h/d?sslmode=hunter22")]).1;
        assert_eq!(said.len(), 1);
        assert!(!format!("{said:?}").contains("hunter22"), "{said:?}");
    }

    #[test]
    fn settings_that_contradict_one_another_are_told() {
        for (text, name) in [
            ("database_url = \"postgresql://a@h/d\"\nadmin_database_url = \"postgresql://a@h/d\"", "database_url"),
            ("database_url = \"postgresql://a@h:6432/d\"", "notify_database_url"),
            ("worker_concurrency = 4", "worker_tenant_concurrency"),
            ("worker_poll_ms = 30000", "worker_poll_ms"),
            ("max_connections = 100", "max_in_flight"),
            ("allow_loopback_webhooks = true", "allow_loopback_webhooks"),
            ("sealing_keys = \"\"\nsealing_keys_file = \"x\"", "sealing_keys_file"),
        ] {
            let problems = problems(text);
            assert!(problems.len() == 1 && problems[0].starts_with(name), "{text}: {problems:?}");
        }
    }
}
