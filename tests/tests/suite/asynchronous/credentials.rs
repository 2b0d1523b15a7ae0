//! Decrypted credentials for services of the operator: a function of the worker's library, audited, and nothing that a route could reach.

use nebula_edge::worker::credentials::{Credentials, KeySource, Refused, Secret, Which};
use nebula_tests::{Caller, Database, Edge, Tenant, User, http::id, onboard};
use postgres::error::SqlState;
use serde_json::{Value, json};
use std::path::Path;
use tokio::runtime::Runtime;
use uuid::Uuid;

const PATH: &str = "/v1/integrations/credentials";

/// A service of the operator.
struct Service {
    runtime: Runtime,
    credentials: Credentials,
}

impl Service {
    fn start(database: &Database, keys: &Path) -> Self {
        Self::with(database, KeySource::Folder(keys.to_owned()))
    }

    fn with(database: &Database, keys: KeySource) -> Self {
        let runtime = Runtime::new().unwrap();
        let credentials = runtime.block_on(Credentials::connect(&database.url("nebula_worker"), keys, "billing")).unwrap();
        Self { runtime, credentials }
    }

    fn reveal(&self, tenant: Uuid, which: Which<'_>) -> Result<Value, Refused> {
        let plain = self.runtime.block_on(self.credentials.reveal(tenant, which, "charge an invoice"))?;
        Ok(serde_json::from_slice(&plain).unwrap())
    }
}

fn keep(tenant: &Tenant<User>, name: &str, data: &Value) -> Uuid {
    id(&tenant.admin.post(PATH, &json!({ "provider": "stripe", "name": name, "data": data })).data(201))
}

fn two_tenants(database: &Database) -> (Edge, Tenant<User>, Tenant<User>) {
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    (edge, acme, zeta)
}

#[test]
fn a_service_gets_what_the_tenant_gave_and_the_tenant_sees_who_got_it_and_why() {
    let database = Database::new();
    let (_edge, acme, zeta) = two_tenants(&database);
    let data = json!({ "apiKey": "sk_acme", "n": [1, null] });
    let own = keep(&acme, "conta", &data);
    keep(&zeta, "conta", &json!("zeta's"));
    let service = Service::start(&database, &database.installation.keys_dir);
    assert_eq!(service.reveal(acme.id, Which::Id(own)).unwrap(), data);
    assert_eq!(service.reveal(acme.id, Which::Named { provider: "stripe", name: "conta" }).unwrap(), data);
    acme.admin.patch(&format!("{PATH}/{own}"), &json!({ "data": "changed" })).data(200);
    assert_eq!(service.reveal(acme.id, Which::Id(own)).unwrap(), json!("changed"));
    let rows = acme.admin.get("/v1/audit-logs?action=credentials.reveal").data(200);
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((&row["entityId"], &row["actorType"]), (&json!(own), &json!("system")), "{row}");
        let metadata = &row["metadata"];
        assert_eq!(
            (&metadata["outcome"], &metadata["purpose"], &metadata["worker"]),
            (&json!("revealed"), &json!("charge an invoice"), &json!("billing"))
        );
    }
    assert_eq!(zeta.admin.get("/v1/audit-logs?action=credentials.reveal").data(200), json!([]));
}

#[test]
fn what_is_expired_suspended_elsewhere_or_unknown_is_refused() {
    let database = Database::new();
    let (edge, acme, zeta) = two_tenants(&database);
    let own = keep(&acme, "conta", &json!(1));
    let service = Service::start(&database, &database.installation.keys_dir);
    for (tenant, which) in [
        (zeta.id, Which::Id(own)),
        (Uuid::now_v7(), Which::Id(own)),
        (acme.id, Which::Id(Uuid::now_v7())),
        (acme.id, Which::Named { provider: "stripe", name: "Conta" }),
        (zeta.id, Which::Named { provider: "stripe", name: "conta" }),
    ] {
        assert!(matches!(service.reveal(tenant, which), Err(Refused::NotFound)));
    }
    database.execute("update nebula.integration_credential set expires_at = now() - interval '1 second'");
    assert!(matches!(service.reveal(acme.id, Which::Id(own)), Err(Refused::Expired)));
    acme.admin.patch(&format!("{PATH}/{own}"), &json!({ "expiresAt": "2099-01-01T00:00:00Z" })).data(200);
    assert!(service.reveal(acme.id, Which::Id(own)).is_ok());
    edge.operator().patch(&format!("/v1/tenants/{}/status", acme.id), &json!({ "status": "suspenso" })).data(200);
    assert!(matches!(service.reveal(acme.id, Which::Id(own)), Err(Refused::TenantSuspended)));
    let outcomes = "select metadata ->> 'outcome' from nebula.audit_log where action = 'credentials.reveal' and tenant_id = $1 order by id";
    assert_eq!(database.texts(outcomes, &[&acme.id]), ["expired", "revealed", "tenant_suspended"]);
    // Nobody gets anything without saying what for.
    let outcome = service.runtime.block_on(service.credentials.reveal(acme.id, Which::Id(own), " "));
    assert!(matches!(outcome, Err(Refused::Unavailable(_))));
}

#[test]
fn ciphertext_that_was_moved_opens_nowhere_else() {
    let database = Database::new();
    let (_edge, acme, zeta) = two_tenants(&database);
    let (own, second) = (keep(&acme, "um", &json!("one")), keep(&acme, "dois", &json!("two")));
    let theirs = keep(&zeta, "um", &json!("theirs"));
    let hook = json!({ "url": "https://hooks.acme.com/a", "events": ["*"] });
    let hook = id(&acme.admin.post("/v1/webhooks", &hook).data(201));
    let service = Service::start(&database, &database.installation.keys_dir);
    let mut superuser = database.superuser();
    let mut opened = 0;
    // Another row's, another tenant's, another field's, another version's, a shorter and a changed one.
    for from in [
        format!("data_encrypted = (select data_encrypted from nebula.integration_credential where id = '{second}')"),
        format!("data_encrypted = (select data_encrypted from nebula.integration_credential where id = '{theirs}')"),
        format!("data_encrypted = (select secret_sealed from nebula.webhook_subscription where id = '{hook}')"),
        "key_version = 2".to_owned(),
        "data_encrypted = substring(data_encrypted for 20)".to_owned(),
        "data_encrypted = set_byte(data_encrypted, 15, get_byte(data_encrypted, 15) # 1)".to_owned(),
        "data_encrypted = ''".to_owned(),
    ] {
        let mut transaction = superuser.transaction().unwrap();
        let before =
            transaction.query_one("select data_encrypted, key_version from nebula.integration_credential where id = $1", &[&own]).unwrap();
        assert_eq!(transaction.execute(&format!("update nebula.integration_credential set {from} where id = $1"), &[&own]).unwrap(), 1);
        transaction.commit().unwrap();
        opened += usize::from(service.reveal(acme.id, Which::Id(own)).is_ok());
        let (sealed, version): (Vec<u8>, i32) = (before.get(0), before.get(1));
        let back = "update nebula.integration_credential set data_encrypted = $2, key_version = $3 where id = $1";
        superuser.execute(back, &[&own, &sealed, &version]).unwrap();
        assert_eq!(service.reveal(acme.id, Which::Id(own)).unwrap(), json!("one"));
    }
    assert_eq!(opened, 0);
}

#[test]
fn keys_come_from_a_list_too_and_another_key_of_the_same_number_opens_nothing() {
    let database = Database::new();
    let (_edge, acme, _zeta) = two_tenants(&database);
    let own = keep(&acme, "conta", &json!("kept"));
    let file = database.installation.keys_dir.join("sealing-1.key");
    let key = std::fs::read_to_string(&file).unwrap().trim_end().to_owned();
    let listed = Service::with(&database, KeySource::List(Secret::from(format!("1:{key}"))));
    assert_eq!(listed.reveal(acme.id, Which::Id(own)).unwrap(), json!("kept"));
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mistaken = Service::with(&database, KeySource::List(Secret::from(format!("1:{wrong}"))));
    let refused = mistaken.reveal(acme.id, Which::Id(own)).unwrap_err().to_string();
    assert!(refused.contains("another key than the registered one"), "{refused}");
    // An edge takes the list, and with a wrong one seals nothing.
    let edge = database.serve_with(&[("NEBULA_SEALING_KEYS", &format!("1:{key}"))]);
    let admin = edge.user(&acme.admin.token);
    let body = |name: &str| json!({ "provider": "stripe", "name": name, "data": 1 });
    let second = id(&admin.post(PATH, &body("lista")).data(201));
    assert_eq!(listed.reveal(acme.id, Which::Id(second)).unwrap(), json!(1));
    let edge = database.serve_with(&[("NEBULA_SEALING_KEYS", &format!("1:{wrong}"))]);
    edge.user(&acme.admin.token).post(PATH, &body("errada")).refused(503, "SERVICE_UNAVAILABLE");
    let log = edge.log();
    assert!(log.contains("version 1 of this machine is another key than the registered one") && !log.contains(wrong), "{log}");
}

#[test]
fn only_the_workers_login_may_ask_and_it_reads_no_table() {
    let database = Database::new();
    let ask = "select * from nebula.reveal_credential(gen_random_uuid(), gen_random_uuid(), null, null, 'x', 'x')";
    assert_eq!(database.connect("nebula_worker").query_one(ask, &[]).unwrap().get::<_, String>(0), "not_found");
    for login in ["nebula_edge", "nebula_keys", "authenticator"] {
        for sql in
            [ask, "select * from nebula.sealed_rows('webhook_subscription.secret_sealed', 9, gen_random_uuid(), gen_random_uuid(), 1)"]
        {
            let error = database.connect(login).batch_execute(sql).unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{login}: {error:?}");
        }
    }
    let mut worker = database.connect("nebula_worker");
    for sql in [
        "select from nebula.integration_credential",
        "update nebula.sealing_key set version = 2",
        "select nebula.register_sealing_key(2, sha256('x'))",
        "select nebula.anonymize_again(gen_random_uuid(), gen_random_uuid())",
        "update nebula.audit_log set ip = null",
    ] {
        let error = worker.batch_execute(sql).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}: {error:?}");
    }
    for sql in [
        "select * from nebula.sealed_rows('user.email', 9, gen_random_uuid(), gen_random_uuid(), 1)",
        "select * from nebula.reveal_credential(null, gen_random_uuid(), null, null, 'x', 'x')",
        "select * from nebula.reveal_credential(gen_random_uuid(), null, 'x', null, 'x', 'x')",
        "select * from nebula.reveal_credential(gen_random_uuid(), gen_random_uuid(), null, null, '', 'x')",
        "select * from nebula.reveal_credential(gen_random_uuid(), gen_random_uuid(), null, null, 'x', null)",
    ] {
        let error = worker.batch_execute(sql).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{sql}: {error:?}");
    }
}
