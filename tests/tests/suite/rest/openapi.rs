//! The OpenAPI document held against the running system, by a program that is not ours: schemathesis (`make tools` installs it).

use nebula_tests::{Caller, Database, onboard, routes};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::Path, process::Command};

/// What schemathesis can't bring to succeed, since it would have to know what it is never told.
const OUT_OF_REACH: [&str; 6] = [
    // A refresh token or an invite, which are shown to nobody but their owners.
    "auth.refresh",
    "auth.logout",
    "auth.password",
    // A job that has failed for good, a delivery and a file: the worker's.
    "jobs.retry",
    "webhooks.redeliver",
    "exports.download",
];

/// Every operation with examples, at the boundaries of what its schemas allow, with what they forbid, at random, and one after the other. Every check is on.
#[test]
fn schemathesis_finds_nothing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let program = root.join("target/python/bin/schemathesis");
    assert!(program.exists(), "schemathesis is missing: run `make tools`");
    let database = Database::new();
    // Each request names an address of its own: what is counted by address must not end the run.
    let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.1/32")]);
    let operator = edge.operator();
    // The tenant, person and password of the document's examples.
    let acme = onboard(&edge, "acme");
    let _ = acme.member(&edge, "ana", &[]);
    let unlimited = json!({ "perMinute": 100_000_000 });
    let limits = json!({ "auth": unlimited, "read": unlimited, "write": unlimited, "admin": unlimited });
    let config = json!({ "flags": {}, "limits": limits });
    operator.put("/v1/config", &config).data(200);
    operator.request("PUT", "/v1/config").header("x-tenant-id", acme.id.to_string()).json(&config).send().data(200);
    let rights = || [acme.admin.get("/v1/me").data(200)["actions"].take(), operator.get("/v1/me").data(200)["actions"].take()];
    let before = rights();

    let output = Command::new(program)
        .args(["run", "--no-color", &format!("{}/v1/openapi.json", edge.base)])
        .current_dir(root.join("tests/python"))
        .env("LC_ALL", "C.UTF-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks.py")
        .env("NEBULA_URL", &edge.base)
        .env("NEBULA_OPERATOR_KEY", &operator.secret)
        .env("NEBULA_ADMINISTRATOR_TOKEN", &acme.admin.token)
        .env("NEBULA_TENANT", acme.id.to_string())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");

    // It must not have sawed off the branch that it sat on: what is forbidden from then on proves nothing.
    assert_eq!(rights(), before, "the run has changed what its callers may do\n{report}");
    let succeeded = edge
        .log()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["statusCode"].as_u64().is_some_and(|status| (200..300).contains(&status)))
        .map(|line| (line["method"].as_str().unwrap_or_default().to_owned(), line["route"].as_str().unwrap_or_default().to_owned()))
        .collect::<BTreeSet<_>>();
    let never = routes(&database).into_iter().filter(|route| !succeeded.contains(&(route.method.clone(), route.path.clone())));
    let never = never.map(|route| route.operation).filter(|operation| !OUT_OF_REACH.contains(&operation.as_str())).collect::<Vec<_>>();
    // What is removed must be there, and some of it under two names that belong together: that is a matter of luck.
    assert!(never.len() <= 8, "{} operations never succeeded: {never:?}\n{report}", never.len());
}
