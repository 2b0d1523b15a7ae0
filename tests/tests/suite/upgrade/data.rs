//! What people stored with the release before is there afterwards, row for row, and works: made by its programs just now, and long ago (a dump that is committed).

use nebula_edge::worker::credentials::{Credentials, KeySource, Which};
use nebula_tests::{
    Behaviour, Caller, Database, Edge, Handle, Previous, Receiver,
    catalog::{self, contents},
    cluster::{Cluster, Installation, TEMPLATE, nebula, postgres_program, workspace},
    eventually,
    http::id,
    onboard, onboard_by_sql,
    previous::{self, Tree},
    standard_webhooks::verifies,
    story::PASSWORD,
    token::Signer,
};
use postgres::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use uuid::Uuid;

const ALLOWED: (&str, &str) = ("NEBULA_ALLOW_LOOPBACK_WEBHOOKS", "true");

/// Tables that this story leaves empty, with the reason.
const EMPTY: [&str; 6] = [
    "nebula.operation",       // nothing writes it yet
    "nebula.rights_sentinel", // never has a row
    "nebula.archive",         // needs months to pass
    "nebula.quota_usage",     // of this month alone
    "nebula.rate_limit",      // of this minute alone, unlogged
    "nebula.login_failure",   // the same
];

/// A life with the old programs: something in every table. What is needed to go on with it is told.
fn live(previous: &Previous) -> Value {
    let database = &previous.database;
    database.allow_loopback_webhooks();
    database.adopt();
    let storage = format!("file://{}", database.installation.cluster.dir.join("storage").display());
    fs::create_dir_all(database.installation.cluster.dir.join("storage")).unwrap();
    let edge = previous.serve(&[("NEBULA_STORAGE_URL", &storage), ("NEBULA_FLUSH_INTERVAL_MS", "100")]);
    let (acme, _zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    let admin = &acme.admin;

    let (bia, _, _) = acme.member(&edge, "bia", &["users.list", "groups.list"]);
    bia.get("/v1/users").data(200);
    let leaving = acme.person("dora");
    admin.post(&format!("/v1/users/{leaving}/invite"), &json!({})).data(201);
    let suspended = acme.person("caio");
    admin
        .patch(&format!("/v1/users/{suspended}/status"), &json!({ "status": "suspenso", "suspendedReason": "linha\nquebrada \\ 'ç' 日本" }))
        .data(200);
    let limited = acme.group("limitados", &[]);
    let once = json!({ "permissions": [{ "action": "users.list", "constraints": { "maxPerDay": 9 } }] });
    admin.post(&format!("/v1/groups/{limited}/permissions"), &once).data(201);
    let (eve, eve_id, _) = acme.member(&edge, "eve", &[]);
    admin.post(&format!("/v1/groups/{limited}/users/{eve_id}"), &json!({})).data(201);
    eve.get("/v1/users").data(200);
    let gone =
        edge.anonymous().post("/v1/auth/login", &json!({ "tenant": "acme", "email": "bia@acme.example", "password": PASSWORD })).data(200);
    edge.user(gone["accessToken"].as_str().unwrap()).post("/v1/auth/logout", &json!({ "refreshToken": gone["refreshToken"] })).empty();
    let refreshed = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": acme.refresh_token })).data(200);

    let (key, key_id) = acme.key(&edge, &json!({ "name": "robô", "profile": "admin" }));
    key.get("/v1/users").data(200);
    let rotated = admin.post(&format!("/v1/api-keys/{key_id}/rotate"), &json!({ "gracePeriodSeconds": 86400 })).data(200);
    let (bound, _) = acme.key(&edge, &json!({ "name": "ligada", "actions": ["users.list"] }));
    bound.get("/v1/users").data(200);
    database.execute("create role app_upgrade login; grant nebula_app to app_upgrade");
    database.execute(&format!("select nebula.bind_role('app_upgrade', '{}', 'ligada')", acme.id));
    admin.put("/v1/branding", &json!({ "primaryColor": "#102030" })).data(200);
    admin.put("/v1/config", &json!({ "flags": { "beta": true } })).data(200);
    let exception = json!({ "limits": { "perMinute": 1000 } });
    edge.operator().put(&format!("/v1/tenants/{}/overrides/users.create", acme.id), &exception).data(200);
    admin
        .post("/v1/integrations/credentials", &json!({ "provider": "stripe", "name": "conta", "data": { "apiKey": "sk_antiga" } }))
        .data(201);
    let _issuer = nebula_tests::Issuer::registered(database, &json!({}));

    // Events: delivered, dead, and waiting for the release to come.
    let receiver = Receiver::start();
    let hook = admin.post("/v1/webhooks", &json!({ "url": receiver.url("/hook"), "events": ["user.created"] })).data(201);
    admin.post("/v1/exports", &json!({ "format": "json" })).data(202);
    let worker = previous.work(&[ALLOWED, ("NEBULA_STORAGE_URL", &storage)]);
    database.settle();
    assert!(!receiver.received().is_empty());
    receiver.usually(Behaviour::status(500));
    database.execute("update nebula.operational_profile set retry_seconds = array[1]");
    let _failing = acme.person("falha");
    eventually("the event is dead", || database.number("select count(*) from nebula.outbox where status = 'dead'", &[]) > 0);
    drop(worker);
    let waiting = acme.person("espera");

    // Under a key: an answer that is stored as it was, and one that is sealed.
    let kept = [
        ("/v1/groups", json!({ "name": "guardado" }), "guardado-1"),
        ("/v1/api-keys", json!({ "name": "guardada", "profile": "read-only" }), "guardada-1"),
    ];
    let kept = kept.map(|(path, body, name)| {
        let answer = key.request("POST", path).key(name).json(&body).send();
        assert_eq!(answer.status, 201, "{}", answer.text);
        json!({ "path": path, "body": body, "key": name, "answer": answer.text })
    });

    // History of many months, one of which has a partition of its own, and usage that was counted.
    database.execute(
        "set role nebula_owner; \
         create table nebula.audit_log_2021_03 partition of nebula.audit_log for values from ('2021-03-01 00:00:00+00') to ('2021-04-01 00:00:00+00'); \
         select nebula.govern_partition('nebula.audit_log_2021_03'); \
         comment on table nebula.audit_log_2021_03 is 'x'; \
         set role none; \
         insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) \
         select id, 'system', 'old', 'x', '2020-01-01'::timestamptz + n * interval '40 days' from nebula.tenant, generate_series(0, 12) n",
    );
    eventually("usage is written", || database.number("select count(*) from nebula.usage_metrics", &[]) > 0);
    drop(edge);
    database.wait_until_deserted();
    let missing = database
        .tables()
        .into_iter()
        .filter(|table| !EMPTY.contains(&table.as_str()) && database.number(&format!("select count(*) from {table}"), &[]) == 0);
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new(), "tables that the story left empty");
    json!({
        "operatorKey": database.installation.operator_key, "kid": database.installation.signer.kid, "tenant": acme.id, "adminEmail": acme.admin_email,
        "oldKey": key.secret, "newKey": rotated["secret"], "refreshToken": refreshed["refreshToken"], "kept": kept, "hook": hook["id"],
        "hookSecret": hook["secret"], "waiting": waiting,
    })
}

/// The rows of every table, as far as the columns reach that the tables have now.
struct Rows {
    columns: BTreeMap<String, String>,
    digests: BTreeMap<String, String>,
}

impl Rows {
    fn of(client: &mut Client) -> Self {
        let sql = "select c.oid::regclass::text, string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_class c \
                   join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                   where c.relnamespace = 'nebula'::regnamespace and c.relkind = 'r' group by c.oid";
        let columns = client.query(sql, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<String, String>>();
        let digests = Self::digest(client, &columns);
        Self { columns, digests }
    }

    fn digest(client: &mut Client, columns: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let digest = |(table, columns): (&String, &String)| {
            // What a migration writes down about itself is no row of anybody's.
            let only = if table == "nebula.schema_migration" { "where version <= 21" } else { "" };
            let sql = format!(
                "select count(*) || ' ' || coalesce(md5(string_agg(r::text, e'\\n' order by r::text collate \"C\")), '') \
                 from (select row({columns}) as r from {table} {only}) rows"
            );
            (table.clone(), client.query_one(&sql, &[]).unwrap().get(0))
        };
        columns.iter().map(digest).collect()
    }

    #[track_caller]
    fn assert_kept(&self, client: &mut Client) {
        assert!(self.digests.len() > 40, "{}", self.digests.len());
        assert_eq!(Self::digest(client, &self.columns), self.digests);
    }
}

/// What was begun with the old programs goes on with the new ones.
fn goes_on(database: &Database, memory: &Value) {
    let text = |name: &str| memory[name].as_str().unwrap().to_owned();
    let tenant: Uuid = text("tenant").parse().unwrap();
    let edge = database.serve();
    edge.operator().get("/v1/tenants").data(200);
    // Both secrets of a rotated key, a password, a refresh token.
    let key = edge.key(&text("newKey"));
    edge.key(&text("oldKey")).get("/v1/users").data(200);
    let people = key.get("/v1/users?limit=200").data(200);
    let people = people.as_array().unwrap();
    assert_eq!(people.len(), 7, "{people:?}");
    assert!(people.iter().any(|person| person["suspendedReason"] == "linha\nquebrada \\ 'ç' 日本"), "{people:?}");
    let login = json!({ "tenant": "acme", "email": text("adminEmail"), "password": PASSWORD });
    let session = edge.anonymous().post("/v1/auth/login", &login).data(200);
    let admin = edge.user(session["accessToken"].as_str().unwrap());
    let me = admin.get("/v1/me").data(200);
    assert_eq!(me["tenant"]["slug"], "acme", "{me}");
    let refreshed = edge.anonymous().post("/v1/auth/refresh", &json!({ "refreshToken": text("refreshToken") })).data(200);
    edge.user(refreshed["accessToken"].as_str().unwrap()).get("/v1/me").data(200);
    // What happened under a key has happened, byte for byte.
    for kept in memory["kept"].as_array().unwrap() {
        let request =
            |body: &Value| key.request("POST", kept["path"].as_str().unwrap()).key(kept["key"].as_str().unwrap()).json(body).send();
        let again = request(&kept["body"]);
        assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{}", again.text);
        assert_eq!(again.text, kept["answer"].as_str().unwrap());
        let mut other = kept["body"].clone();
        other["name"] = json!("outro");
        request(&other).refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    // History, usage, and what was sealed.
    let old = key.get("/v1/audit-logs?action=old&limit=200").data(200);
    assert_eq!(old.as_array().unwrap().len(), 13);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let revealed = runtime.block_on(async {
        let keys = KeySource::Folder(database.installation.keys_dir.clone());
        let credentials = Credentials::connect(&database.url("nebula_worker"), keys, "upgrade").await.unwrap();
        credentials.reveal(tenant, Which::Named { provider: "stripe", name: "conta" }, "look").await.unwrap()
    });
    assert_eq!(serde_json::from_slice::<Value>(&revealed).unwrap(), json!({ "apiKey": "sk_antiga" }));
    // The event that waited, and the dead one, once a person has it retried; signed with the webhook's old secret.
    let receiver = Receiver::start();
    let hook: Uuid = text("hook").parse().unwrap();
    let moved = "update nebula.webhook_subscription set url = $2, status = 'ativo' where id = $1";
    database.superuser().execute(moved, &[&hook, &receiver.url("/hook")]).unwrap();
    let dead = admin.get("/v1/jobs?status=dead&limit=200").data(200);
    for job in dead.as_array().unwrap() {
        admin.post(&format!("/v1/jobs/{}/retry", id(job)), &json!({})).data(200);
    }
    assert!(!dead.as_array().unwrap().is_empty());
    let _worker = database.work_with(&[ALLOWED]);
    let has_come = |id: &str| receiver.received().iter().any(|request| request.body.contains(id));
    eventually("the event that waited is delivered", || has_come(&text("waiting")));
    eventually("the dead event is delivered", || receiver.received().len() > 1);
    assert!(verifies(&text("hookSecret"), &receiver.received()[0]));
    // And life goes on.
    let made = admin.post("/v1/users", &json!({ "email": "nova@acme.example", "name": "Nova" })).data(201);
    eventually("its event is delivered", || has_come(&id(&made).to_string()));
    let rows = admin.get(&format!("/v1/audit-logs?action=users.create&entityId={}", id(&made))).data(200);
    assert_eq!(rows.as_array().unwrap().len(), 1);
    let mut bound = database.connect("app_upgrade");
    assert!(nebula_tests::sql_caller::can(&mut bound, "users.list"));
    let _other = onboard_by_sql(database, "nova-empresa");
    let mut handle: Handle = database.handle();
    handle.call(tenant, &text("newKey"), "users.list", &json!({})).data(200);
}

#[test]
fn data_that_the_old_programs_made_just_now_is_kept_and_works() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let memory = live(&previous);
    let rows = Rows::of(&mut previous.database.superuser());
    let _ = previous.update();
    rows.assert_kept(&mut previous.database.superuser());
    previous.assert_like_new();
    let _: Edge = previous.database.serve();
    let _ = nebula(&previous.database.url("postgres"), &previous.installation.keys_dir, &["seed"]);
    goes_on(&previous.database, &memory);
}

fn fixture() -> PathBuf {
    workspace().join(format!("tests/upgrade/releases/data-{}.tar.xz", previous::VERSION))
}

fn tar(folder: &Path, arguments: &[&str]) {
    let status = Command::new("tar").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "tar {arguments:?}");
}

/// `make fixture`: what the release before wrote, into a file that stays.
#[test]
#[ignore = "writes a file of the repository, once a release"]
fn make_the_fixture() {
    let previous = Previous::start("fsync = off");
    let memory = live(&previous);
    let folder = previous.installation.cluster.dir.join("fixture");
    fs::create_dir_all(folder.join("keys")).unwrap();
    fs::write(folder.join("dump.sql"), previous.database.dump()).unwrap();
    fs::write(folder.join("memory.json"), memory.to_string()).unwrap();
    for file in fs::read_dir(&previous.installation.keys_dir).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, folder.join("keys").join(file.file_name().unwrap())).unwrap();
    }
    tar(
        &folder,
        &[
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-cJf",
            fixture().to_str().unwrap(),
            "dump.sql",
            "keys",
            "memory.json",
        ],
    );
}

/// The committed data, restored by the old install script beside the new library.
fn restored() -> (Database, Value) {
    let mut tree = None;
    let cluster = Cluster::prepare_with(|folder| tree.insert(Tree::of_present(folder)).programs(), "fsync = off");
    cluster.start_again();
    let folder = cluster.dir.join("fixture");
    fs::create_dir_all(&folder).unwrap();
    tar(&folder, &["-xJf", fixture().to_str().unwrap(), "--no-same-owner"]);
    let memory: Value = serde_json::from_str(&fs::read_to_string(folder.join("memory.json")).unwrap()).unwrap();
    let keys_dir = folder.join("keys");
    let kid = memory["kid"].as_str().unwrap();
    let signer = Signer::load(&keys_dir.join(format!("{kid}.pem")), kid);
    let operator_key = memory["operatorKey"].as_str().unwrap().to_owned();
    let installation: &'static Installation = Box::leak(Box::new(Installation { cluster, signer, keys_dir, operator_key }));

    let cluster = &installation.cluster;
    let mut postgres = cluster.connect("postgres", "postgres");
    let roles = "create role authenticator login noinherit; create role authenticated nologin; create role anon nologin; \
                 grant authenticated, anon to authenticator; create role app_upgrade login";
    postgres.batch_execute(roles).unwrap();
    postgres.batch_execute(&format!("create database {TEMPLATE} template template0")).unwrap();
    // As the dump was written, on a server that has other releases, too.
    let dump = fs::read_to_string(folder.join("dump.sql")).unwrap();
    let extension = "CREATE EXTENSION IF NOT EXISTS nebula WITH SCHEMA nebula;";
    assert!(dump.contains(extension));
    let old = format!("CREATE EXTENSION nebula WITH SCHEMA nebula VERSION '{}';", previous::VERSION);
    fs::write(folder.join("dump.sql"), dump.replace(extension, &old)).unwrap();
    let output = Command::new(postgres_program("psql"))
        .env_clear()
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &cluster.url("postgres", TEMPLATE), "-f"])
        .arg(folder.join("dump.sql"))
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let database = Database { name: TEMPLATE.to_owned(), installation };
    database.execute("grant nebula_app to app_upgrade");
    database.allow_loopback_webhooks();
    (database, memory)
}

#[test]
fn data_that_the_release_before_made_long_ago_is_kept_and_works() {
    if !previous::runs_here() {
        return;
    }
    let (database, memory) = restored();
    let rows = Rows::of(&mut database.superuser());
    assert_eq!(contents(&mut database.superuser())["nebula.schema_migration"].split(' ').next(), Some("21"));
    let said = nebula(&database.url("postgres"), &database.installation.keys_dir, &["migrate"]);
    assert!(said.contains(env!("CARGO_PKG_VERSION")), "{said}");
    rows.assert_kept(&mut database.superuser());
    // The old month is in the dump.
    let of_then = |lines: Vec<String>| lines.into_iter().filter(|line| !line.contains("2021_03")).collect::<Vec<_>>();
    let new = Database::new();
    catalog::assert_same(&of_then(catalog::timeless(&mut database.superuser())), &catalog::timeless(&mut new.superuser()));
    catalog::assert_same(&catalog::roles(&mut database.superuser()), &catalog::roles(&mut new.superuser()));
    // Time has passed since: what would have ended by itself is taken for young.
    database.execute(
        "set session_replication_role = replica; \
         update nebula.idempotency_key set created_at = now(); \
         update nebula.session set expires_at = now() + interval '1 day'; \
         update nebula.refresh_token set expires_at = now() + interval '1 day'; \
         update nebula.api_key set previous_expires_at = now() + interval '1 day' where previous_expires_at is not null",
    );
    let _ = nebula(&database.url("postgres"), &database.installation.keys_dir, &["seed"]);
    goes_on(&database, &memory);
}
