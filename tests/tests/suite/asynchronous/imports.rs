//! Imports: the same tenant elsewhere, row for row, or nothing.

use nebula_edge::worker::credentials::{Credentials, KeySource, Which};
use nebula_tests::{Caller, Database, Tenant, handle::request, http::id, onboard, onboard_by_sql, story::proof};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{Cursor, Read, Write},
    path::{Path, PathBuf},
    process::Output,
};
use uuid::Uuid;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

fn import(database: &Database, file: &Path, more: &[&str], settings: &[(&str, &str)]) -> Output {
    database.nebula(&[&["import", file.to_str().unwrap()], more].concat(), settings)
}

#[track_caller]
fn imported(database: &Database, file: &Path, more: &[&str]) -> String {
    let output = import(database, file, more, &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Refused with these words, and nothing has changed.
#[track_caller]
fn refused(database: &Database, file: &Path, settings: &[(&str, &str)], words: &str) {
    let before = database.digests();
    let output = import(database, file, &[], settings);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(words), "{said:?} doesn't say {words:?}");
    assert_eq!(database.digests(), before);
}

/// A tenant with something in most tables, and its API key.
fn lived_in(database: &Database) -> (Tenant<String>, String) {
    let mut handle = database.handle();
    let acme = onboard_by_sql(database, "acme");
    let user = acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia \\ 'ç' 日本\u{2028}" }), 201);
    acme.does(&mut handle, "users.status", &json!({ "id": user["id"], "status": "suspenso", "suspendedReason": "férias" }), 200);
    let (_, key) = acme.key(&mut handle, &json!({ "name": "robot", "actions": ["users.list"] }));
    acme.key(&mut handle, &json!({ "name": "bound", "profile": "read-only" }));
    acme.does(&mut handle, "branding.update", &json!({ "domain": "acme.example" }), 200);
    acme.does(&mut handle, "config.update", &json!({ "flags": { "beta": true } }), 200);
    let mut keyed = request("api_keys.create", Some(&acme.admin), &json!({ "name": "kept", "profile": "read-only" }));
    keyed["idempotencyKey"] = json!("kept");
    handle.send(acme.id, &keyed).data(201);
    let mut token = acme.refresh_token.clone();
    for _ in 0..3 {
        token = handle.public(acme.id, "auth.refresh", &json!({ "refreshToken": token })).data(200)["refreshToken"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let mut superuser = database.superuser();
    superuser.batch_execute(&format!("create role app_{} login; grant nebula_app to app_{0}", database.name)).unwrap();
    superuser.execute("select nebula.bind_role($1::text, $2, 'bound')", &[&format!("app_{}", database.name), &acme.id]).unwrap();
    superuser
        .execute(
            "insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, metadata, created_at) \
             select $1, 'system', 'old', 'x', '{\"n\": 1.10}', timestamptz '2020-01-01' + n * interval '1 hour' from generate_series(1, 2500) n",
            &[&acme.id],
        )
        .unwrap();
    superuser
        .execute(
            "insert into nebula.usage_metrics (tenant_id, tool_action_id, period_start, period_end, count) \
             select $1, a.id, date_trunc('hour', now()), date_trunc('hour', now()) + interval '1 hour', 7 from nebula.tool_action a limit 5",
            &[&acme.id],
        )
        .unwrap();
    superuser
        .execute(
            "insert into nebula.archive (tenant_id, source, month, location, row_count, sha256, expires_at) \
             values ($1, 'audit_log', '2019-01-01', 'archives/' || $1::uuid || '/audit_log/2019-01', 3, sha256('x'), now() + interval '1 year')",
            &[&acme.id],
        )
        .unwrap();
    drop(handle);
    (acme, key)
}

/// Another installation: the same catalog under other ids.
fn elsewhere() -> Database {
    let database = Database::new();
    database.execute(
        "delete from nebula.group_permission; delete from nebula.tenant_package; delete from nebula.api_key_action; delete from nebula.quota_usage; \
         delete from nebula.usage_metrics; delete from nebula.tenant_tool_override; delete from nebula.package_action; delete from nebula.package; \
         delete from nebula.tool_action; delete from nebula.tool; select nebula.seed()",
    );
    database
}

/// Each table's rows of a tenant as sorted JSON, with keys in the place of the catalog's ids.
fn contents(database: &Database, tenant: Uuid) -> BTreeMap<String, Vec<String>> {
    let mut superuser = database.superuser();
    superuser.batch_execute("set timezone = 'UTC'").unwrap();
    let catalog = "select id::text, 'tool ' || key from nebula.tool union all select id::text, 'action ' || key from nebula.tool_action \
                   union all select id::text, 'package ' || key from nebula.package";
    let keys = superuser.query(catalog, &[]).unwrap().iter().map(|row| (row.get(0), row.get(1))).collect::<HashMap<String, String>>();
    let tables = superuser
        .query(
            "select c.relname::text from pg_class c where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition \
             and (c.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'))",
            &[],
        )
        .unwrap();
    let mut contents = BTreeMap::new();
    for table in tables.iter().map(|row| row.get::<_, String>(0)) {
        let column = if table == "tenant" { "id" } else { "tenant_id" };
        let sql = format!("select to_jsonb(t)::text from nebula.\"{table}\" t where {column} = $1");
        let mut rows = superuser.query(&sql, &[&tenant]).unwrap().iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>();
        for row in &mut rows {
            let mut members: serde_json::Map<String, Value> = serde_json::from_str(row).unwrap();
            for name in ["tool_id", "tool_action_id", "package_id"] {
                if let Some(Value::String(id)) = members.get_mut(name) {
                    *id = keys[id].clone();
                }
            }
            *row = Value::Object(members).to_string();
        }
        rows.sort();
        contents.insert(table, rows);
    }
    contents
}

#[test]
fn a_tenant_is_the_same_elsewhere_row_for_row() {
    let (source, target) = (Database::new(), elsewhere());
    // Another installation has another secret, even if both databases were made from one template here.
    target.execute("update nebula.installation set secret = nebula.random_bytes(32)");
    let (acme, key) = lived_in(&source);
    let file = source.export("acme", "json");
    let mut there = contents(&source, acme.id);
    let waiting = there["outbox"].iter().filter(|row| row.contains(r#""status":"pending""#)).count();
    assert!(waiting > 0);
    let platform_audit = target.number("select count(*) from nebula.audit_log", &[]);
    let platform_events = target.number("select count(*) from nebula.outbox", &[]);
    let said = imported(&target, &file, &[]);
    assert!(said.contains("role_binding: 1 rows"), "{said}");

    let mut here = contents(&target, acme.id);
    assert!(there.values().filter(|rows| !rows.is_empty()).count() > 15);
    // What the source may still send waits here for a person, and logins of another cluster are not bound.
    let events = here.remove("outbox").unwrap();
    assert_eq!(events.len(), there.remove("outbox").unwrap().len());
    assert!(events.iter().all(|row| row.contains(r#""status":"dead""#) || row.contains(r#""status":"done""#)));
    assert_eq!(events.iter().filter(|row| row.contains("imported while it waited")).count(), waiting);
    assert_eq!((here.remove("role_binding").unwrap().len(), there.remove("role_binding").unwrap().len()), (0, 1));
    for (table, rows) in &there {
        assert!(here[table] == *rows, "{table} differs");
    }
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    // Nothing but the platform's own log tells of it.
    let audit = target.number("select count(*) from nebula.audit_log where tenant_id <> $1", &[&acme.id]);
    assert_eq!(audit, platform_audit + 1);
    let told = "select count(*) from nebula.audit_log where action = 'tenants.import' and entity_id = $1";
    assert_eq!(target.number(told, &[&acme.id]), 1);
    assert_eq!(target.number("select count(*) from nebula.outbox where tenant_id is distinct from $1", &[&acme.id]), platform_events);

    // It lives: passwords, keys, and what happened under a key doesn't happen again (digests of requests are each installation's own).
    let mut handle = target.handle();
    let login = handle.public(acme.id, "auth.login", &json!({ "tenant": "acme", "email": acme.admin_email, "password": proof() }));
    login.data(200);
    assert_eq!(handle.call(acme.id, &key, "users.list", &json!({})).data(200).as_array().unwrap().len(), 2);
    let mut keyed = request("api_keys.create", Some(&acme.admin), &json!({ "name": "kept", "profile": "read-only" }));
    keyed["idempotencyKey"] = json!("kept");
    handle.send(acme.id, &keyed).refused(422, "IDEMPOTENCY_KEY_REUSED");
    acme.does(&mut handle, "users.create", &json!({ "email": "caio@acme.example", "name": "Caio" }), 201);
    let audited = "select count(*) from nebula.audit_log where tenant_id = $1 and action = 'users.create' and created_at > now() - interval '1 minute'";
    assert!(target.number(audited, &[&acme.id]) > 0);
}

/// A folder with another sealing key of the same number, registered in this database instead of the template's.
fn with_keys_of_its_own(database: &Database) -> PathBuf {
    let keys = database.own_keys_named("other");
    fs::write(keys.join("sealing-1.key"), "BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n").unwrap();
    database.execute("delete from nebula.sealing_key");
    let registered = database.nebula(&["key", "sealing", "register"], &[("NEBULA_KEYS_DIR", keys.to_str().unwrap())]);
    assert!(registered.status.success(), "{registered:?}");
    keys
}

#[test]
fn between_installations_with_keys_of_the_same_number_what_is_sealed_is_sealed_anew() {
    let (source, target) = (Database::new(), elsewhere());
    let edge = source.serve();
    let acme = onboard(&edge, "acme");
    let credential = json!({ "provider": "stripe", "name": "conta", "data": { "apiKey": "sk_canary" } });
    let credential = id(&acme.admin.post("/v1/integrations/credentials", &credential).data(201));
    acme.admin.post("/v1/webhooks", &json!({ "url": "https://hooks.acme.com/x", "events": ["*"] })).data(201);
    let file = source.export("acme", "json");
    let keys = with_keys_of_its_own(&target);
    let (here, there) = (keys.to_str().unwrap(), source.installation.keys_dir.to_str().unwrap());
    refused(&target, &file, &[("NEBULA_KEYS_DIR", here)], "version 1 does not open");
    let loaded = import(&target, &file, &["--source-keys", there], &[("NEBULA_KEYS_DIR", here)]);
    assert!(loaded.status.success(), "{loaded:?}");

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = |database: &Database, keys: &str| {
        let source = KeySource::Folder(keys.into());
        let credentials = runtime.block_on(Credentials::connect(&database.url("nebula_worker"), source, "test")).unwrap();
        runtime.block_on(credentials.reveal(acme.id, Which::Id(credential), "a test")).map(|plain| plain.to_vec()).ok()
    };
    assert_eq!(open(&target, here).as_deref(), Some(&br#"{"apiKey":"sk_canary"}"#[..]));
    assert_eq!(open(&target, there), None, "the source's keys open nothing here");
    let sealed = "select encode(secret_sealed, 'hex') from nebula.webhook_subscription where tenant_id = $1";
    assert_ne!(target.text(sealed, &[&acme.id]), source.text(sealed, &[&acme.id]));
}

#[test]
fn what_is_here_already_or_can_not_be_read_here_is_refused() {
    let (source, target) = (Database::new(), elsewhere());
    let (acme, _) = lived_in(&source);
    let file = source.export("acme", "json");
    refused(&source, &file, &[], "is here already");
    refused(&target, &source.export("acme", "csv"), &[], "only json can be imported");
    refused(&target, Path::new("/nowhere.zip"), &[], "/nowhere.zip");

    let _namesake = onboard_by_sql(&target, "acme");
    refused(&target, &file, &[], "another tenant here is called acme");
    target.execute("update nebula.tenant set slug = 'other' where slug = 'acme'");

    let no_keys = target.installation.cluster.dir.join("no-keys").display().to_string();
    refused(&target, &file, &[("NEBULA_KEYS_DIR", &no_keys)], "--without-secrets");
    // A key of the same number that is another one.
    let other_keys = target.installation.cluster.dir.join(format!("other-keys-{}", target.name));
    fs::create_dir(&other_keys).unwrap();
    fs::write(other_keys.join("sealing-1.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    refused(&target, &file, &[("NEBULA_KEYS_DIR", other_keys.to_str().unwrap())], "version 1 of this machine is another key");

    let platform = source.text("select slug from nebula.tenant where kind = 'platform'", &[]);
    refused(&target, &source.export(&platform, "json"), &[], "the platform's own tenant");
    let output = source.nebula(&["export", "nobody", "--output", "/tmp/never-made.zip"], &[]);
    assert!(!output.status.success() && !Path::new("/tmp/never-made.zip").exists());
    let again = source.nebula(&["export", "acme", "--output", file.to_str().unwrap()], &[]);
    assert!(!again.status.success(), "a file is never overwritten");
    imported(&target, &file, &[]);
    let _ = acme;
}

/// The file with entries changed.
fn changed(file: &Path, change: &dyn Fn(&str, Vec<u8>) -> Vec<u8>) -> PathBuf {
    let mut archive = ZipArchive::new(Cursor::new(fs::read(file).unwrap())).unwrap();
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().into_owned(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        writer.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        writer.write_all(&change(&name, bytes)).unwrap();
    }
    let path = file.with_extension(format!("{}.zip", Uuid::now_v7()));
    fs::write(&path, writer.finish().unwrap().into_inner()).unwrap();
    path
}

fn with_manifest(file: &Path, change: &dyn Fn(&mut Value)) -> PathBuf {
    changed(file, &|name, bytes| {
        if name != "manifest.json" {
            return bytes;
        }
        let mut manifest = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        manifest.to_string().into_bytes()
    })
}

#[test]
fn a_file_that_is_damaged_newer_or_made_up_is_refused_whole() {
    let (source, target) = (Database::new(), elsewhere());
    let (acme, _) = lived_in(&source);
    let zeta = onboard_by_sql(&target, "zeta");
    let file = source.export("acme", "json");
    let bytes = fs::read(&file).unwrap();

    let broken = file.with_extension("broken.zip");
    for bytes in [bytes[..bytes.len() / 2].to_vec(), vec![], b"PK nothing".to_vec()] {
        fs::write(&broken, bytes).unwrap();
        refused(&target, &broken, &[], "damaged");
    }
    let mut flipped = bytes;
    let middle = flipped.len() / 3;
    flipped[middle] ^= 0xff;
    fs::write(&broken, flipped).unwrap();
    // By whom depends on where the byte lies: the decompressor, the checksum, or Postgres.
    refused(&target, &broken, &[], "nebula: ");

    // Rows that were added, taken away or changed, found after most tables were loaded.
    let line = |text: Vec<u8>| String::from_utf8(text).unwrap();
    let fewer = changed(&file, &|name, bytes| {
        if name == "usage_metrics.ndjson" { bytes[..bytes.iter().position(|b| *b == b'\n').unwrap() + 1].to_vec() } else { bytes }
    });
    refused(&target, &fewer, &[], "usage_metrics.ndjson is not what the manifest says");
    let other = changed(&file, &|name, bytes| if name == "user.ndjson" { line(bytes).replace("Bia", "Eve").into_bytes() } else { bytes });
    refused(&target, &other, &[], "user.ndjson is not what the manifest says");

    refused(&target, &with_manifest(&file, &|manifest| manifest["schemaVersion"] = json!(10_000)), &[], "migrate first");
    refused(&target, &with_manifest(&file, &|manifest| manifest["formatVersion"] = json!(2)), &[], "another format");
    refused(
        &target,
        &with_manifest(&file, &|manifest| manifest["tables"][5]["name"] = json!("installation")),
        &[],
        "there is no table installation here",
    );
    let column = with_manifest(&file, &|manifest| manifest["tables"][5]["columns"][0] = json!("id\", \"x"));
    refused(&target, &column, &[], "has no column");
    let unknown = with_manifest(&file, &|manifest| {
        for key in manifest["references"]["tool_action"].as_object_mut().unwrap().values_mut() {
            *key = json!(format!("{}.unknown", key.as_str().unwrap()));
        }
    });
    refused(&target, &unknown, &[], "the catalog here lacks tool_action ");

    // Rows of somebody else's, of whom the manifest says nothing: policies refuse them.
    let (ours, theirs) = (acme.id.to_string(), zeta.id.to_string());
    let foreign = changed(&file, &|name, bytes| match name {
        "tenant_branding.ndjson" => line(bytes).replace(&ours, &theirs).into_bytes(),
        _ => bytes,
    });
    refused(&target, &foreign, &[], "row-level security");
    let archive = changed(&file, &|name, bytes| {
        if name == "archive.ndjson" {
            line(bytes).replace(&format!("archives/{ours}/"), &format!("archives/{theirs}/")).into_bytes()
        } else {
            bytes
        }
    });
    refused(&target, &archive, &[], "rows were refused");
    imported(&target, &file, &[]);
}

#[test]
fn without_secrets_people_set_their_passwords_again() {
    let (source, target) = (Database::new(), elsewhere());
    let (acme, key) = lived_in(&source);
    let file = source.export("acme", "json");
    let no_keys = target.installation.cluster.dir.join("no-keys").display().to_string();
    let output = import(&target, &file, &["--without-secrets"], &[("NEBULA_KEYS_DIR", &no_keys)]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for table in ["user_secret: 1", "refresh_token: 4", "invite: 1", "idempotency_key: 1"] {
        assert!(said.contains(table), "{said}");
    }
    let mut handle = target.handle();
    let login = json!({ "tenant": "acme", "email": acme.admin_email, "password": proof() });
    handle.public(acme.id, "auth.login", &login).refused(401, "INVALID_CREDENTIALS");
    handle.call(acme.id, &key, "users.list", &json!({})).refused(401, "INVALID_TOKEN");
    // The keys are there, for a new secret; so are the people, for an invite.
    let keys = "select count(*) from nebula.api_key where tenant_id = $1 and previous_hash is null";
    assert_eq!(target.number(keys, &[&acme.id]), source.number(keys, &[&acme.id]));
    assert_eq!(target.number("select count(*) from nebula.user where tenant_id = $1", &[&acme.id]), 2);
}

#[test]
fn rows_are_loaded_for_nobody_but_a_tenant_whose_import_has_begun() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut superuser = database.superuser();
    let rows = format!(r#"[{{"id":"{}","tenant_id":"{}","name":"x"}}]"#, Uuid::now_v7(), acme.id);
    let load = format!("select nebula.import_rows('group', '[\"id\",\"tenant_id\",\"name\"]', '{rows}')");
    let manifest = |slug: &str, id: Uuid| {
        json!({ "format": "nebula-export", "formatVersion": 1, "fileFormat": "json", "schemaVersion": 1, "tables": [],
                "tenant": { "id": id, "slug": slug, "kind": "customer" } })
    };
    let mut says = |sql: &str, words: &str| {
        let error = superuser.batch_execute(sql).unwrap_err();
        let message = error.as_db_error().unwrap().message().to_owned();
        let _ = superuser.batch_execute("rollback");
        assert!(message.contains(words), "{message}");
    };
    says(&load, "no import has begun");
    let begin = format!("select nebula.begin_import('{}')", manifest("nova", Uuid::now_v7()));
    says(&begin, "needs a transaction");
    says(&format!("begin; select nebula.begin_import('{}')", manifest("nova", acme.id)), "is here already");
    // Begun for another tenant, and ended with its transaction or a savepoint.
    says(&format!("begin; {begin}; {load}"), "row-level security");
    says(&format!("begin; {begin}; commit; begin; {load}"), "no import has begun");
    says(&format!("begin; savepoint a; {begin}; rollback to a; {load}"), "no import has begun");
    says(&format!("begin; {begin}; select nebula.import_rows('role_binding', '[]', '[]')"), "role_binding is not imported");
    // What the same transaction writes otherwise is audited.
    let count = "select count(*) from nebula.audit_log where tenant_id = $1 and action = 'group.insert'";
    let before = database.number(count, &[&acme.id]);
    database.execute(&format!("begin; {begin}; insert into nebula.group (tenant_id, name) values ('{}', 'y'); commit", acme.id));
    assert_eq!(database.number(count, &[&acme.id]), before + 1);
}
