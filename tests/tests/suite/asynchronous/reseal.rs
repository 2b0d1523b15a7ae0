//! Another sealing key, while everything goes on.

use nebula_edge::worker::credentials::{Credentials, KeySource, Which};
use nebula_tests::{Caller, Database, eventually, http::id, issuer::nebula_with, onboard};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

const PATH: &str = "/v1/integrations/credentials";

/// `nebula …` with a folder of keys.
fn nebula(database: &Database, keys: &Path, arguments: &[&str]) -> Result<String, String> {
    let url = database.url("postgres");
    nebula_with(&[("NEBULA_ADMIN_DATABASE_URL", &url), ("NEBULA_KEYS_DIR", &keys.display().to_string())], arguments)
}

/// What `key sealing list` says of a version.
fn listed(database: &Database, keys: &Path, version: u16) -> String {
    let list: Value = serde_json::from_str(&nebula(database, keys, &["key", "sealing", "list", "--json"]).unwrap()).unwrap();
    let key = list["keys"].as_array().unwrap().iter().find(|key| key["version"] == version).unwrap_or_else(|| panic!("{list}"));
    format!("{}  {} values", key["state"].as_str().unwrap(), key["values"])
}

fn revealed(database: &Database, keys: PathBuf, tenant: Uuid, credential: Uuid) -> Result<Value, String> {
    Runtime::new().unwrap().block_on(async {
        let credentials = Credentials::connect(&database.url("nebula_worker"), KeySource::Folder(keys), "test").await.unwrap();
        let plain = credentials.reveal(tenant, Which::Id(credential), "a test").await.map_err(|refused| refused.to_string())?;
        Ok(serde_json::from_slice(&plain).unwrap())
    })
}

fn versions(database: &Database) -> Vec<String> {
    let sql = "select key_version::text from nebula.integration_credential union select secret_key_version::text from nebula.webhook_subscription \
               union select previous_secret_key_version::text from nebula.webhook_subscription where previous_secret_sealed is not null order by 1";
    database.texts(sql, &[])
}

#[test]
fn a_rotation_while_requests_run_fails_none_of_them_and_afterwards_the_old_key_is_not_needed() {
    let database = Database::new();
    let keys = database.own_keys();
    let edge = database.serve_with(&[("NEBULA_KEYS_DIR", &keys.display().to_string())]);
    let acme = onboard(&edge, "acme");
    // Thousands of requests in a minute are this test's business.
    let limits = "insert into nebula.tenant_config (tenant_id, limits) values ($1, '{\"admin\": {\"perMinute\": 1000000}}')";
    database.superuser().execute(limits, &[&acme.id]).unwrap();
    let keep = |name: &str, data: &Value| id(&acme.admin.post(PATH, &json!({ "provider": "psp", "name": name, "data": data })).data(201));
    let quiet = (0..150).map(|number| (keep(&format!("quieta {number}"), &json!(number)), json!(number))).collect::<Vec<_>>();
    let busy = (0..2).map(|number| keep(&format!("mexida {number}"), &json!(0))).collect::<Vec<_>>();
    let hook = format!(
        "/v1/webhooks/{}",
        id(&acme.admin.post("/v1/webhooks", &json!({ "url": "https://hooks.acme.com/a", "events": ["*"] })).data(201))
    );
    acme.admin.post(&format!("{hook}/rotate-secret"), &json!({})).data(200);
    let untouched = || {
        database.text("select md5(string_agg(id::text || updated_at::text, ' ' order by id)) from nebula.integration_credential where name like 'quieta%'", &[])
    };
    let before = untouched();
    let (stop, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    let last = thread::scope(|scope| {
        let writers = busy.iter().map(|credential| {
            let (acme, stop, requests) = (&acme, &stop, &requests);
            scope.spawn(move || {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) || written == 0 {
                    written += 1;
                    acme.admin.patch(&format!("{PATH}/{credential}"), &json!({ "data": written })).data(200);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                written
            })
        });
        let writers = writers.collect::<Vec<_>>();
        assert_eq!(nebula(&database, &keys, &["key", "sealing", "rotate"]).unwrap(), "sealing-2");
        // No restart: the edge is told.
        eventually("the edge seals with the new key", || versions(&database).contains(&"2".to_owned()));
        let mut rounds = 0;
        while !listed(&database, &keys, 1).ends_with(" 0 values") {
            nebula(&database, &keys, &["key", "sealing", "reseal"]).unwrap();
            rounds += 1;
            assert!(rounds < 20, "values of the old key remain");
        }
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<i32>>()
    });
    assert!(requests.load(Ordering::Relaxed) > 2);
    assert_eq!((versions(&database), listed(&database, &keys, 2)), (vec!["2".to_owned()], "seals  154 values".to_owned()));
    // What nobody changed looks so, but in the log.
    assert_eq!(untouched(), before);
    let audited = "select count(*) from nebula.audit_log where action = 'keys.reseal' and actor_type = 'system' and tenant_id = $1 \
                   and entity_type = 'integration_credential' and metadata -> 'changed' = '[\"data_encrypted\", \"key_version\"]'";
    assert!(database.number(audited, &[&acme.id]) >= 150);
    assert_eq!(database.number("select count(*) from nebula.audit_log where action = 'sealing_key.insert'", &[]), 2);
    fs::remove_file(keys.join("sealing-1.key")).unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let credentials = Credentials::connect(&database.url("nebula_worker"), KeySource::Folder(keys.clone()), "test").await.unwrap();
        let expected = quiet.iter().cloned().chain(busy.iter().copied().zip(last.iter().map(|last| json!(last))));
        for (credential, data) in expected {
            let plain = credentials.reveal(acme.id, Which::Id(credential), "a test").await.unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&plain).unwrap(), data);
        }
    });
    assert_eq!(listed(&database, &keys, 1), "not here  0 values");
    acme.admin.patch(&hook, &json!({ "description": "x" })).data(200);
}

#[test]
fn what_was_moved_is_reported_and_left_as_it_is_and_everything_else_is_sealed_anew() {
    let database = Database::new();
    let keys = database.own_keys();
    let edge = database.serve_with(&[("NEBULA_KEYS_DIR", &keys.display().to_string())]);
    let acme = onboard(&edge, "acme");
    let kept = (0..3)
        .map(|number| id(&acme.admin.post(PATH, &json!({ "provider": "psp", "name": format!("n{number}"), "data": number })).data(201)));
    let kept = kept.collect::<Vec<_>>();
    // The first got the second's.
    let moved = "update nebula.integration_credential set data_encrypted = (select data_encrypted from nebula.integration_credential where id = $2) where id = $1";
    database.superuser().execute(moved, &[&kept[0], &kept[1]]).unwrap();
    let row = || {
        database.text("select encode(data_encrypted, 'hex') || key_version from nebula.integration_credential where id = $1", &[&kept[0]])
    };
    let before = row();
    nebula(&database, &keys, &["key", "sealing", "rotate"]).unwrap();
    for _ in 0..2 {
        let complaint = nebula(&database, &keys, &["key", "sealing", "reseal"]).unwrap_err();
        assert!(complaint.contains(&kept[0].to_string()) && complaint.contains("1 values were not sealed anew"), "{complaint}");
        assert_eq!(row(), before);
    }
    assert_eq!(
        (listed(&database, &keys, 1), listed(&database, &keys, 2)),
        ("opens only  1 values".to_owned(), "seals  2 values".to_owned())
    );
    for (number, credential) in kept.iter().enumerate().skip(1) {
        assert_eq!(revealed(&database, keys.clone(), acme.id, *credential), Ok(json!(number)));
    }
    assert!(revealed(&database, keys.clone(), acme.id, kept[0]).is_err());
}

#[test]
fn whoever_was_faster_wins_and_only_a_newer_registered_key_may_replace() {
    let database = Database::new();
    let keys = database.own_keys();
    let edge = database.serve_with(&[("NEBULA_KEYS_DIR", &keys.display().to_string())]);
    let acme = onboard(&edge, "acme");
    let credential = id(&acme.admin.post(PATH, &json!({ "provider": "psp", "name": "n", "data": 1 })).data(201));
    let mut worker = database.connect("nebula_worker");
    let source = "integration_credential.data_encrypted";
    let rows = "select id, key_version, sealed from nebula.sealed_rows($1, 2, $2, $2, 10)";
    let row = worker.query_one(rows, &[&source, &Uuid::nil()]).unwrap();
    let (id, version, sealed): (Uuid, i32, Vec<u8>) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((id, version), (credential, 1));
    let mut replaces = |tenant: Uuid, new_version: i32, old: &[u8], new: &[u8]| -> bool {
        let sql = "select nebula.reseal($1, $2, $3, 1, $4, $5, $6)";
        worker.query_one(sql, &[&source, &tenant, &credential, &old, &new_version, &new]).unwrap().get(0)
    };
    let other = vec![7_u8; sealed.len()];
    let before = database.text("select c::text from nebula.integration_credential c", &[]);
    // Version 2 is not registered; the same version is no newer one; another tenant's, another value's, a shorter one.
    assert!(!replaces(acme.id, 2, &sealed, &other));
    database.execute("select nebula.register_sealing_key(2, sha256('two'))");
    assert!(!replaces(acme.id, 1, &sealed, &other));
    assert!(!replaces(Uuid::now_v7(), 2, &sealed, &other));
    assert!(!replaces(acme.id, 2, &other, &other));
    assert!(!replaces(acme.id, 2, &sealed, &other[1..]));
    assert_eq!(database.text("select c::text from nebula.integration_credential c", &[]), before);
    acme.admin.patch(&format!("{PATH}/{credential}"), &json!({ "data": 2 })).data(200);
    assert!(!replaces(acme.id, 2, &sealed, &other));
    assert_eq!(revealed(&database, keys, acme.id, credential), Ok(json!(2)));
}

#[test]
fn a_key_is_brought_to_every_machine_before_it_seals_and_two_of_one_number_are_refused() {
    let database = Database::new();
    let (here, there) = (database.own_keys(), database.own_keys_named("there"));
    let edge = database.serve_with(&[("NEBULA_KEYS_DIR", &here.display().to_string())]);
    let acme = onboard(&edge, "acme");
    let keep = |name: &str| acme.admin.post(PATH, &json!({ "provider": "psp", "name": name, "data": 1 }));
    assert_eq!(nebula(&database, &here, &["key", "sealing", "rotate", "--prepare"]).unwrap(), "sealing-2");
    assert_eq!(
        (listed(&database, &here, 2), listed(&database, &here, 1)),
        ("not registered  0 values".to_owned(), "seals  0 values".to_owned())
    );
    keep("antes").data(201);
    // Another machine made one of its own, and is told.
    nebula(&database, &there, &["key", "sealing", "rotate", "--prepare"]).unwrap();
    nebula(&database, &here, &["key", "sealing", "register"]).unwrap();
    let refused = nebula(&database, &there, &["key", "sealing", "register"]).unwrap_err();
    assert!(refused.contains("version 2 is registered as another key"), "{refused}");
    assert_eq!(listed(&database, &there, 2), "another key than the registered one  0 values");
    let other = database.serve_with(&[("NEBULA_KEYS_DIR", &there.display().to_string())]);
    let admin = other.user(&acme.admin.token);
    admin.post(PATH, &json!({ "provider": "psp", "name": "lá", "data": 1 })).refused(503, "SERVICE_UNAVAILABLE");
    assert!(other.log().contains("version 2 of this machine is another key than the registered one"), "{}", other.log());
    fs::copy(here.join("sealing-2.key"), there.join("sealing-2.key")).unwrap();
    eventually("the edge here seals with the registered key", || {
        keep(&Uuid::now_v7().to_string()).data(201);
        versions(&database).contains(&"2".to_owned())
    });
    // A machine without any makes none while there is one that is registered.
    let empty = here.join("empty");
    nebula(&database, &empty, &["key", "signing", "generate"]).unwrap();
    assert!(!empty.join("sealing-1.key").exists());
    assert!(nebula(&database, &empty, &["key", "sealing", "reseal"]).unwrap_err().contains("no key of this machine seals"));
    // Version 3, though the folder knows of none.
    assert_eq!(nebula(&database, &empty, &["key", "sealing", "rotate"]).unwrap(), "sealing-3");
}
