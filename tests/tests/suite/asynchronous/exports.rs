//! Exports: complete, of one tenant alone, without a secret that could be used, and downloaded by whoever may.

use nebula_tests::{Archive, Caller, Database, Edge, Queue, Tenant, User, eventually, http::id, onboard, onboard_by_sql};
use postgres::error::SqlState;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    time::Duration,
};
use uuid::Uuid;

/// An edge that has the storage, and a tenant.
fn served() -> (Database, Edge, Tenant<User>) {
    let database = Database::new();
    let edge = database.serve_with(&[("NEBULA_STORAGE_URL", &database.storage_url())]);
    let acme = onboard(&edge, "acme");
    (database, edge, acme)
}

#[track_caller]
fn ask(tenant: &Tenant<User>, format: &str) -> Uuid {
    id(&tenant.admin.post("/v1/exports", &json!({ "format": format })).data(202))
}

#[track_caller]
fn read(tenant: &Tenant<User>, export: Uuid) -> Value {
    tenant.admin.get(&format!("/v1/exports/{export}")).data(200)
}

fn hex(bytes: &[u8]) -> String {
    nebula_core::hex::encode(bytes)
}

#[test]
fn an_export_is_asked_for_made_and_downloaded() {
    let (database, _edge, acme) = served();
    let asked = acme.admin.post("/v1/exports", &json!({ "format": "json" })).data(202);
    assert_eq!((&asked["status"], &asked["format"], &asked["sha256"]), (&json!("pending"), &json!("json"), &Value::Null));
    let export = id(&asked);
    acme.admin.get(&format!("/v1/exports/{export}/download")).refused(409, "CONFLICT");
    database.run_exports();
    let done = read(&acme, export);
    assert_eq!(done["status"], "done");

    let (status, headers, bytes) = acme.admin.request("GET", &format!("/v1/exports/{export}/download")).download();
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!(status, 200);
    assert_eq!(header("content-type"), "application/zip");
    let name = header("content-disposition");
    assert!(name.starts_with("attachment; filename=\"export-acme-2") && name.ends_with(".zip\""), "{name}");
    assert_eq!(header("content-length"), bytes.len().to_string());
    assert_eq!(done["sizeBytes"], bytes.len());
    let digest = hex(&Sha256::digest(&bytes));
    assert_eq!(done["sha256"], digest.as_str());
    assert_eq!(header("etag"), format!("\"{digest}\""));
    assert!(header("repr-digest").starts_with("sha-256=:"));
    assert_eq!((header("x-content-type-options"), header("cache-control")), ("nosniff", "no-store"));
    assert!(header("ratelimit").contains("admin"));
    let archive = Archive::read(&bytes);
    let manifest = archive.manifest();
    let rows = manifest["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(done["rowCount"], rows);
    assert_eq!((&manifest["tenant"]["slug"], &manifest["fileFormat"]), (&json!("acme"), &json!("json")));

    // Told to webhooks and to the log: asked for, begun, made, downloaded.
    let event = "select payload ->> 'data' from nebula.outbox where type = 'export.completed' and tenant_id = $1";
    let event: Value = serde_json::from_str(&database.text(event, &[&acme.id])).unwrap();
    assert_eq!((id(&event), &event["sha256"]), (export, &done["sha256"]));
    let audited = database.texts("select action from nebula.audit_log where entity_id = $1 order by created_at, id", &[&export]);
    assert_eq!(audited, ["exports.create", "exports.start", "exports.finish", "exports.download"]);
    let by = "select actor_user_id::text from nebula.audit_log where entity_id = $1 and action = 'exports.download'";
    assert_eq!(database.text(by, &[&export]), acme.admin_id.to_string());
    let jobs = acme.admin.get("/v1/jobs?type=export.run").data(200);
    assert_eq!((jobs.as_array().unwrap().len(), &jobs[0]["status"]), (1, &json!("done")));
}

#[test]
fn every_tenant_scoped_table_is_in_it_with_every_column() {
    let database = Database::new();
    let _acme = onboard_by_sql(&database, "acme");
    let archive = Archive::read(&fs::read(database.export("acme", "json")).unwrap());
    let in_file = |member: &str| {
        let manifest = archive.manifest();
        let tables = manifest["tables"].as_array().unwrap().clone();
        tables.iter().map(|table| (table["name"].as_str().unwrap().to_owned(), table[member].clone())).collect::<Vec<_>>()
    };
    let in_catalog = database.texts(
        "select c.relname::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition \
         and (c.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))",
        &[],
    );
    let names = in_file("name").into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
    assert_eq!(in_catalog.into_iter().collect::<BTreeSet<_>>(), names);
    for (name, columns) in in_file("columns") {
        let known = database.texts(
            "select attname::text from pg_attribute where attrelid = format('nebula.%I', $1::text)::regclass and attnum > 0 and not attisdropped order by attnum",
            &[&name],
        );
        assert_eq!(columns, json!(known), "{name}");
        assert!(archive.0.contains_key(&format!("{name}.ndjson")), "{name}");
    }
}

/// Something in most tables of two tenants, each with words that the other doesn't have.
fn lived_in(database: &Database) -> (Tenant<String>, Tenant<String>) {
    let mut handle = database.handle();
    let tenants = ["acme", "zeta"].map(|slug| onboard_by_sql(database, slug));
    for tenant in &tenants {
        let canary = format!("canary-of-{}", tenant.slug);
        tenant.does(&mut handle, "users.create", &json!({ "email": format!("{canary}@x.example"), "name": canary }), 201);
        tenant.does(&mut handle, "groups.create", &json!({ "name": canary, "description": canary }), 201);
        tenant.key(&mut handle, &json!({ "name": canary, "profile": "read-only" }));
        tenant.does(&mut handle, "branding.update", &json!({ "domain": format!("{canary}.example") }), 200);
        tenant.does(&mut handle, "config.update", &json!({ "flags": { canary.as_str(): true } }), 200);
        let mut keyed =
            nebula_tests::handle::request("api_keys.create", Some(&tenant.admin), &json!({ "name": "sealed", "profile": "admin" }));
        keyed["idempotencyKey"] = json!(canary);
        handle.send(tenant.id, &keyed).data(201);
        handle.public(tenant.id, "auth.refresh", &json!({ "refreshToken": tenant.refresh_token })).data(200);
        let mut superuser = database.superuser();
        superuser
            .execute("select nebula.emit('order.paid', jsonb_build_object('of', $2::text), null, $1)", &[&tenant.id, &canary])
            .unwrap();
        // Of years that have no partition, and numbers that no float holds.
        superuser
            .execute(
                "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, created_at) \
                 select $1, 'system', $2, 'x', '{\"n\": 123456789012345678901234567890.10}', timestamptz '2020-01-01' + n * interval '1 hour' \
                 from generate_series(1, 3000) n",
                &[&tenant.id, &canary],
            )
            .unwrap();
        superuser
            .execute(
                "insert into nebula.usage_metrics (tenant_id, tool_action_id, period_start, period_end, count) \
                 select $1, a.id, date_trunc('hour', now()), date_trunc('hour', now()) + interval '1 hour', 7 from nebula.tool_action a limit 5",
                &[&tenant.id],
            )
            .unwrap();
    }
    drop(handle);
    let [acme, zeta] = tenants;
    (acme, zeta)
}

#[test]
fn it_holds_every_row_of_the_tenant_and_none_of_another() {
    let database = Database::new();
    let (acme, zeta) = lived_in(&database);
    let archive = Archive::read(&fs::read(database.export("acme", "json")).unwrap());
    let manifest = archive.manifest();
    let mut total = 0;
    for table in manifest["tables"].as_array().unwrap() {
        let name = table["name"].as_str().unwrap();
        let text = &archive.0[table["file"].as_str().unwrap()];
        assert_eq!(table["sha256"], hex(&Sha256::digest(text)).as_str(), "{name}");
        let secrets = table["secrets"].as_array().unwrap().iter().map(|secret| secret.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let tenant_column = if name == "tenant" { "id" } else { "tenant_id" };
        // As Postgres compares: numbers by value, members in any order.
        let mut superuser = database.superuser();
        let sql = format!(
            "with filed as (select to_jsonb(r) - $3::text[] as r from json_populate_recordset(null::nebula.\"{name}\", $2::text::json) r), \
               stored as (select to_jsonb(t) - $3::text[] as r from nebula.\"{name}\" t where t.{tenant_column} = $1) \
             select (select count(*) from stored), (select count(*) from filed), \
               (select count(*) from (select r from filed except select r from stored) d)"
        );
        let mut rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        let lines = text.lines().count();
        for row in &mut rows {
            for secret in &secrets {
                row.as_object_mut().unwrap().remove(secret);
            }
        }
        // The texts themselves where nothing must be taken out: a float here would lose digits.
        let list = if secrets.is_empty() { format!("[{}]", text.lines().collect::<Vec<_>>().join(",")) } else { json!(rows).to_string() };
        superuser.batch_execute("set timezone = 'UTC'").unwrap();
        let row = superuser.query_one(&sql, &[&acme.id, &list, &secrets]).unwrap();
        let counts: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!(counts, (lines as i64, lines as i64, 0), "{name}");
        assert_eq!(table["rows"], lines, "{name}");
        total += usize::from(lines > 0);
        for foreign in ["canary-of-zeta", &zeta.id.to_string(), &zeta.admin_id.to_string()] {
            assert!(!text.contains(foreign), "{name} holds {foreign}");
        }
    }
    assert!(total > 15, "{total} tables have rows");
    assert!(archive.0.values().filter(|text| text.contains("canary-of-acme")).count() >= 7);
    // The tenant's log tells that an operator has taken it.
    let told = "select count(*) from nebula.audit_log where tenant_id = $1 and action = 'tenants.export'";
    assert_eq!((database.number(told, &[&acme.id]), database.number(told, &[&zeta.id])), (1, 0));
}

#[test]
fn no_secret_leaves_the_database_as_it_stands_there() {
    let database = Database::new();
    let (acme, _zeta) = lived_in(&database);
    let archive = Archive::read(&fs::read(database.export(&acme.id.to_string(), "json")).unwrap());
    let manifest = archive.manifest();
    // What is bytes in a tenant's table is a secret, sealed in the database already, or a digest of what nobody guesses; the seals of the audit log are made with a key
    // that is outside.
    let is_seal = |column: &str| column.starts_with("audit_");
    const KNOWN: [&str; 8] = [
        "webhook_subscription.secret_sealed",
        "webhook_subscription.previous_secret_sealed",
        "integration_credential.data_encrypted",
        "idempotency_key.request_digest",
        "idempotency_key.response_hash",
        "archive.sha256",
        "export_job.sha256",
        "tenant.nothing",
    ];
    let columns = database.texts(
        "select c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.atttypid = 'bytea'::regtype \
         where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition and not a.attisdropped \
           and exists (select from pg_attribute t where t.attrelid = c.oid and t.attname = 'tenant_id')",
        &[],
    );
    let mut sealed = 0;
    for column in columns.iter().filter(|column| !KNOWN.contains(&column.as_str()) && !is_seal(column)) {
        let (table, name) = column.split_once('.').unwrap();
        let described = manifest["tables"].as_array().unwrap().iter().find(|described| described["name"] == table).unwrap();
        assert!(described["secrets"].as_array().unwrap().contains(&json!(name)), "{column} is neither sealed nor known");
        let sql = format!("select encode(\"{name}\", 'hex') from nebula.\"{table}\" where tenant_id = $1 and \"{name}\" is not null");
        for secret in database.texts(&sql, &[&acme.id]) {
            assert!(archive.0.values().all(|text| !text.contains(&secret)), "{column} stands in the file");
            sealed += 1;
        }
        for row in archive.rows(table) {
            assert!(row[name].is_null() || row[name].as_str().unwrap().starts_with("sealed:1:"), "{column}: {row}");
        }
    }
    // Two of a password, two keys, two refresh tokens, an invite, an answer.
    assert!(sealed >= 8, "{sealed}");
    for secret in [&acme.invite, &acme.refresh_token, &acme.admin] {
        assert!(archive.0.values().all(|text| !text.contains(secret.as_str())));
    }
}

#[test]
fn csv_keeps_quotes_line_breaks_and_every_script_and_runs_no_formula() {
    let (database, _edge, acme) = served();
    let names = ["a \"b\", c;d", "日本 çã 🙂", "-not a formula", "'quoted"];
    for (number, name) in names.iter().enumerate() {
        acme.admin.post("/v1/users", &json!({ "email": format!("u{number}@acme.example"), "name": name })).data(201);
    }
    acme.admin.post("/v1/groups", &json!({ "name": "=1+1", "description": "line\nbreak, \"quoted\"" })).data(201);
    let export = ask(&acme, "csv");
    database.run_exports();
    let (_, _, bytes) = acme.admin.request("GET", &format!("/v1/exports/{export}/download")).download();
    let archive = Archive::read(&bytes);
    let users = archive.records("user");
    assert_eq!(users.len(), 5);
    let written = users.iter().map(|user| user["name"].as_str()).collect::<BTreeSet<_>>();
    // Rows begin with what strangers chose; only what a spreadsheet would run is marked.
    for name in ["Ana", "a \"b\", c;d", "日本 çã 🙂", "'-not a formula", "'quoted"] {
        assert!(written.contains(name), "{name}: {written:?}");
    }
    let groups = archive.records("group");
    let group = groups.iter().find(|group| group["name"] == "'=1+1").unwrap();
    assert_eq!(group["description"], "line\nbreak, \"quoted\"");
    assert!(archive.0["group.csv"].contains("\r\n"));
    assert_eq!(group["tenant_id"], acme.id.to_string());
    assert_eq!(archive.manifest()["fileFormat"], "csv");
}

#[test]
fn another_tenants_export_is_not_found() {
    let (database, edge, acme) = served();
    let zeta = onboard(&edge, "zeta");
    let export = ask(&acme, "json");
    database.run_exports();
    for path in [format!("/v1/exports/{export}"), format!("/v1/exports/{export}/download")] {
        zeta.admin.get(&path).refused(404, "NOT_FOUND");
    }
    assert_eq!(zeta.admin.get("/v1/exports").data(200), json!([]));
    let nobody = Uuid::now_v7();
    acme.admin.get(&format!("/v1/exports/{nobody}/download")).refused(404, "NOT_FOUND");
    // Who may list may not download.
    let (member, ..) = acme.member(&edge, "bia", &["exports.list", "exports.read"]);
    assert_eq!(member.get("/v1/exports?status=done").data(200).as_array().unwrap().len(), 1);
    member.get(&format!("/v1/exports/{export}/download")).forbidden("exports.download", "granted");
    // Even a row that names another tenant's file opens nothing.
    let location = database.text("select location from nebula.export_job where id = $1", &[&export]);
    let other = ask(&zeta, "json");
    database
        .superuser()
        .execute(
            "update nebula.export_job set status = 'done', location = $2, expires_at = now() + interval '1 hour', \
               size_bytes = (select size_bytes from nebula.export_job where id = $3), sha256 = sha256('x') where id = $1",
            &[&other, &location, &export],
        )
        .unwrap();
    zeta.admin.get(&format!("/v1/exports/{other}/download")).refused(500, "INTERNAL_ERROR");
}

#[test]
fn an_export_expires_and_its_file_goes() {
    let (database, _edge, acme) = served();
    let export = ask(&acme, "json");
    database.run_exports();
    let file = database.storage().join(database.text("select location from nebula.export_job where id = $1", &[&export]));
    assert!(file.exists());
    database
        .superuser()
        .execute("update nebula.export_job set expires_at = now() - interval '1 second' where id = $1", &[&export])
        .unwrap();
    let refused = acme.admin.get(&format!("/v1/exports/{export}/download"));
    assert_eq!(refused.refused(409, "CONFLICT"), json!({ "rule": "expired" }));
    // What the worker does every five minutes.
    database.connect("nebula_worker").query_one("select nebula.expire_exports()", &[]).unwrap();
    database.run_exports();
    assert_eq!(read(&acme, export)["status"], "expired");
    assert!(!file.exists());
    acme.admin.get(&format!("/v1/exports/{export}/download")).refused(409, "CONFLICT");
}

#[test]
fn without_storage_and_without_the_file_the_answer_says_so() {
    let (database, _edge, acme) = served();
    let export = ask(&acme, "json");
    // The worker has none either: the job is tried again later, and its list tells why.
    let worker = database.work();
    database.settle();
    drop(worker);
    let jobs = acme.admin.get("/v1/jobs?type=export.run").data(200);
    assert_eq!((&jobs[0]["status"], &jobs[0]["lastError"]), (&json!("pending"), &json!("no object storage is configured")));
    database.execute("update nebula.outbox set available_at = now() where type = 'export.run'");
    database.run_exports();

    let path = format!("/v1/exports/{export}/download");
    let without = database.serve();
    let caller = without.user(&acme.admin.token);
    caller.get(&path).refused(503, "SERVICE_UNAVAILABLE");
    assert!(without.log().contains("NEBULA_STORAGE_URL"));
    let file = database.storage().join(database.text("select location from nebula.export_job where id = $1", &[&export]));
    fs::OpenOptions::new().append(true).open(&file).unwrap().write_all(b"more").unwrap();
    acme.admin.get(&path).refused(500, "INTERNAL_ERROR");
    fs::remove_file(file).unwrap();
    acme.admin.get(&path).refused(404, "NOT_FOUND");
}

#[test]
fn a_tenant_has_three_exports_under_way_at_most() {
    let (database, edge, acme) = served();
    for _ in 0..3 {
        ask(&acme, "json");
    }
    let refused = acme.admin.post("/v1/exports", &json!({ "format": "csv" }));
    assert_eq!(refused.refused(409, "CONFLICT"), json!({ "rule": "too_many_unfinished" }));
    ask(&onboard(&edge, "zeta"), "json");
    acme.admin.post("/v1/exports", &json!({ "format": "xml" })).invalid("format", "enum");
    // Those whose work is dead have failed and count no more.
    let mut queue = Queue::new(&database, "w");
    let dead = queue.claim(100).into_iter().filter(|job| job.kind == "export.run" && job.tenant == Some(acme.id)).collect::<Vec<_>>();
    assert_eq!(queue.fail(&dead[0], None, true).as_deref(), Some("dead"));
    ask(&acme, "csv");
    queue.client.query_one("select nebula.expire_exports()", &[]).unwrap();
    let failed = acme.admin.get("/v1/exports?status=failed").data(200);
    assert_eq!((failed.as_array().unwrap().len(), &failed[0]["lastError"]), (1, &json!("it failed")));
}

#[test]
fn the_workers_login_reads_nothing_without_the_lease_of_an_export() {
    let (database, edge, acme) = served();
    let zeta = onboard(&edge, "zeta");
    let mut queue = Queue::new(&database, "w1");
    let export = ask(&acme, "json");
    let jobs = queue.claim(100);
    let job = jobs.iter().find(|job| job.kind == "export.run").unwrap();
    let page = "select line from nebula.export_rows($1, $2, $3, $4, '', 1000)";
    let rows = |queue: &mut Queue, worker: &str, job: Uuid, attempt: i32, table: &str| -> Result<Vec<String>, SqlState> {
        let rows = queue.client.query(page, &[&worker, &job, &attempt, &table]).map_err(|error| error.code().unwrap().clone())?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    };
    let users = rows(&mut queue, "w1", job.id, job.attempt, "user").unwrap();
    assert!(users.len() == 1 && users[0].contains(&acme.admin_email), "{users:?}");
    let lost = Err(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    for other in jobs.iter().filter(|other| other.kind != "export.run") {
        assert_eq!(rows(&mut queue, "w1", other.id, other.attempt, "user"), lost, "{}", other.kind);
    }
    for (worker, id, attempt) in
        [("w2", job.id, job.attempt), ("w1", Uuid::now_v7(), 1), ("w1", job.id, job.attempt + 1), ("", Uuid::nil(), 0)]
    {
        assert_eq!(rows(&mut queue, worker, id, attempt, "user"), lost);
    }
    for table in ["installation", "issuer_key", "user; drop table x", "pg_authid", ""] {
        assert_eq!(rows(&mut queue, "w1", job.id, job.attempt, table), Err(SqlState::UNDEFINED_TABLE), "{table}");
    }
    for sql in ["select nebula.open_export('zeta')", "select nebula.begin_import('{}')", "select nebula.import_rows('user', '[]', '[]')"] {
        assert_eq!(queue.client.batch_execute(sql).unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    // A page that goes on stays with the tenant, whatever it is told.
    let beyond = "select line from nebula.export_rows('w1', $1, $2, 'user', $3, 1000)";
    let first = format!("[\"{}\"]", Uuid::nil());
    let beyond = queue.client.query(beyond, &[&job.id, &job.attempt, &first]).unwrap();
    assert!(beyond.iter().all(|row| !row.get::<_, String>(0).contains(&zeta.id.to_string())) && beyond.len() == 1);

    // Begun by the lease's holder alone; a lease that ends ends it, in a transaction that began before, too.
    let start = "select nebula.start_export($1, $2, $3)::text";
    let begun = |queue: &mut Queue, worker: &str| -> Option<String> {
        queue.client.query_one(start, &[&worker, &job.id, &job.attempt]).unwrap().get(0)
    };
    assert_eq!(begun(&mut queue, "w2"), None);
    assert!(begun(&mut queue, "w1").unwrap().contains(&format!("exports/{}/{export}.1.zip", acme.id)));
    queue.client.batch_execute("begin isolation level repeatable read read only").unwrap();
    rows(&mut queue, "w1", job.id, job.attempt, "group").unwrap();
    database.execute("update nebula.outbox_live set locked_until = now() where type = 'export.run'");
    assert_eq!(rows(&mut queue, "w1", job.id, job.attempt, "group"), lost);
    queue.client.batch_execute("rollback").unwrap();
    let finish = "select nebula.finish_export('w1', $1, $2, '{\"rowCount\":1,\"sizeBytes\":1,\"sha256\":\"00\",\"hours\":1}')";
    let finished: bool = queue.client.query_one(finish, &[&job.id, &job.attempt]).unwrap().get(0);
    assert!(!finished && read(&acme, export)["status"] == "running");
}

#[test]
fn an_export_that_was_taken_back_while_it_was_made_does_not_count() {
    let (database, _edge, acme) = served();
    let export = ask(&acme, "json");
    let mut queue = Queue::new(&database, "w1");
    let (mut jobs, events) = queue.claim(100).into_iter().partition::<Vec<_>, _>(|job| job.kind == "export.run");
    queue.complete(&events);
    let job = jobs.remove(0);
    queue.client.query_one("select nebula.start_export('w1', $1, $2)::text", &[&job.id, &job.attempt]).unwrap();
    // What kernel::export::expire_all does to it.
    database.superuser().execute("update nebula.export_job set status = 'pending' where id = $1", &[&export]).unwrap();
    let finish = "select nebula.finish_export('w1', $1, $2, '{\"rowCount\":1,\"sizeBytes\":1,\"sha256\":\"00\",\"hours\":1}')";
    let finished: bool = queue.client.query_one(finish, &[&job.id, &job.attempt]).unwrap().get(0);
    assert!(!finished);
    assert_eq!(read(&acme, export)["status"], "pending");
    // The next attempt makes it, at another place.
    assert_eq!(queue.fail(&job, None, false).as_deref(), Some("pending"));
    database.execute("update nebula.outbox set available_at = now() where type = 'export.run'");
    database.run_exports();
    assert!(database.text("select location from nebula.export_job where id = $1", &[&export]).ends_with(".2.zip"));
}

#[test]
fn a_slow_reader_of_a_large_file_holds_up_nobody() {
    let database = Database::new();
    let url = database.storage_url();
    let settings = [
        ("NEBULA_STORAGE_URL", url.as_str()),
        ("NEBULA_POOL_SIZE", "1"),
        ("NEBULA_REQUEST_TIMEOUT_MS", "1500"),
        ("NEBULA_MAX_IN_FLIGHT", "1"),
    ];
    let edge = database.serve_with(&settings);
    let acme = onboard(&edge, "acme");
    let export = ask(&acme, "json");
    let folder = database.storage().join(format!("exports/{}", acme.id));
    fs::create_dir_all(&folder).unwrap();
    let bytes = (0..64 << 20).map(|n: u32| (n % 251) as u8).collect::<Vec<_>>();
    fs::write(folder.join("large.zip"), &bytes).unwrap();
    let digest = Sha256::digest(&bytes).to_vec();
    database
        .superuser()
        .execute(
            "update nebula.export_job set status = 'done', location = $2, size_bytes = $3, sha256 = $4, expires_at = now() + interval '1 hour' where id = $1",
            &[&export, &format!("exports/{}/large.zip", acme.id), &(bytes.len() as i64), &digest],
        )
        .unwrap();
    let mut stream = edge.connect();
    let request = format!(
        "GET /v1/exports/{export}/download HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        acme.admin.token
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut received = vec![0; 4096];
    stream.read_exact(&mut received).unwrap();
    // Longer than a request may take; others are served with the one connection and the one permit meanwhile.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(acme.admin.get("/v1/me").status, 200);
    stream.read_to_end(&mut received).unwrap();
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(received.len() - head, bytes.len());
    assert!(received[head..] == bytes[..]);
    eventually("the download is logged", || edge.log().contains("/v1/exports/{id}/download"));
}

/// `VmHWM` or the like of a process, in MiB.
fn memory(process: u32, member: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(member)?.strip_prefix(':')).unwrap_or("0 kB").trim().to_owned();
    line.trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1024
}

#[test]
fn memory_stays_flat_for_hundreds_of_thousands_of_rows() {
    let (database, _edge, acme) = served();
    // More than 150 MB as JSON, and several parts of an upload: digests hardly compress.
    database
        .superuser()
        .execute(
            "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, created_at) \
             select $1, 'system', 'x.y', 'x', jsonb_build_object('n', n, 'text', md5('a' || n) || md5('b' || n) || md5('c' || n)), now() - n * interval '1 second' \
             from generate_series(1, 300000) n",
            &[&acme.id],
        )
        .unwrap();
    let export = ask(&acme, "json");
    let worker = database.work_with(&[("NEBULA_STORAGE_URL", &database.storage_url())]);
    let (mut program, mut backend) = (0, 0);
    let mut superuser = database.superuser();
    eventually("the export is done", || {
        program = program.max(memory(worker.process.id(), "VmHWM"));
        let sql = "select pid from pg_stat_activity where application_name = 'nebula-worker' and datname = current_database()";
        for row in superuser.query(sql, &[]).unwrap() {
            backend = backend.max(memory(row.get::<_, i32>(0).unsigned_abs(), "RssAnon"));
        }
        let status = superuser.query_one("select status from nebula.export_job where id = $1", &[&export]).unwrap();
        status.get::<_, String>(0) == "done"
    });
    let done = read(&acme, export);
    assert!(done["rowCount"].as_u64() > Some(300_000) && done["sizeBytes"].as_u64() > Some(20 << 20), "{done}");
    assert!((1..96).contains(&program), "the program took {program} MiB");
    assert!((1..48).contains(&backend), "the backend took {backend} MiB");
}
