//! Anonymised for good: in every table, in every encoding, and after a restore.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use nebula_tests::{
    Anonymous, Caller, Database, Edge, Issuer, Tenant, User, eventually,
    http::id,
    issuer::{claims, nebula_with},
    onboard,
    story::{PASSWORD, accept},
    traces::Haystack,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::PathBuf};
use uuid::Uuid;

/// What is planted of one person.
const EMAILS: [&str; 3] = ["First.Canary@acme.example", "second.canary@acme.example", "third+canary@acme.example"];
const NAMES: [&str; 2] = ["Zebu \"Canário\" d'Ávila", "Zebélia Renomeada"];
const REASONS: [&str; 2] = ["pediu férias de zebu", "saiu da zebulândia"];
const SUBJECT: &str = "auth0|zebu-4711";
const ADDRESSES: [&str; 3] = ["203.0.113.77", "198.51.100.23", "2001:db8::4711:77"];
const AGENTS: [&str; 3] = ["ZebuBrowser/1.0 (Canary)", "ZebuPhone/2", "ZebuGuess/3"];

fn values() -> Vec<&'static str> {
    [&EMAILS[..], &NAMES, &REASONS, &[SUBJECT], &ADDRESSES, &AGENTS].concat()
}

/// A tenant in which a person has left traces through every surface that takes any.
struct Planted {
    database: Database,
    edge: Edge,
    acme: Tenant<User>,
    person: Uuid,
}

/// Somebody at this address and with this program.
fn at<'a>(caller: &'a dyn Caller, place: usize) -> impl Fn(&str, &str, &str, &Value) -> u16 + 'a {
    move |method, path, key, body| {
        let request = caller.request(method, path).header("x-forwarded-for", ADDRESSES[place]).header("user-agent", AGENTS[place]);
        request.key(key).json(body).send().status
    }
}

impl Planted {
    fn new() -> Self {
        let database = Database::new();
        let edge = database.serve_with(&[("NEBULA_TRUSTED_PROXIES", "127.0.0.0/8")]);
        let acme = onboard(&edge, "acme");
        let send = |method: &str, path: &str, key: &str, body: &Value| acme.admin.request(method, path).key(key).json(body).send();
        let person = id(&send("POST", "/v1/users", "p1", &json!({ "email": EMAILS[0], "name": NAMES[0] })).data(201));
        let path = format!("/v1/users/{person}");
        let key = format!("move-to-{}", EMAILS[2]);
        send("PATCH", &path, &key, &json!({ "email": EMAILS[2] })).data(200);
        send("PATCH", &path, "p2", &json!({ "email": EMAILS[1] })).data(200);
        let group = acme.group("G", &["me.update", "users.list"]);
        send("POST", &format!("/v1/groups/{group}/users/{person}"), "p3", &json!({})).data(201);
        let invite = send("POST", &format!("{path}/invite"), "p4", &json!({})).data(201);
        let (session, _) = accept(&edge, "acme", EMAILS[1], invite["token"].as_str().unwrap());
        let anonymous = edge.anonymous();
        // Logins from two places, one of them with a wrong password, which somebody else may have typed; and what the person did.
        let login = |password: &str| json!({ "tenant": "acme", "email": EMAILS[1], "password": password });
        assert_eq!(at(&anonymous, 0)("POST", "/v1/auth/login", "p5", &login(PASSWORD)), 200);
        assert_eq!(at(&anonymous, 2)("POST", "/v1/auth/login", "p6", &login("a wrong password")), 401);
        assert_eq!(at(&session, 1)("PATCH", "/v1/me", "p7", &json!({ "name": NAMES[1] })), 200);
        session.request("GET", "/v1/api-keys").header("x-forwarded-for", ADDRESSES[1]).header("user-agent", AGENTS[1]).send();
        anonymous
            .request("POST", "/v1/auth/password/reset")
            .key("p9")
            .json(&json!({ "tenant": "acme", "email": EMAILS[1] }))
            .send()
            .empty();
        // Known by another issuer, too.
        let mut issuer = Issuer::registered(&database, &json!({}));
        let token = issuer.token("ES256", &claims(&acme, SUBJECT, EMAILS[1]));
        edge.user(&token).get("/v1/me").data(200);
        let status = format!("{path}/status");
        send("PATCH", &status, "p10", &json!({ "status": "suspenso", "suspendedReason": REASONS[0] })).data(200);
        send("PATCH", &status, "p11", &json!({ "status": "ativo" })).data(200);
        send("PATCH", &status, "p12", &json!({ "status": "suspenso", "suspendedReason": REASONS[1] })).data(200);
        let planted = Self { database, edge, acme, person };
        planted.plant_events();
        planted
    }

    /// An application's own events, and what a receiver's answer may quote.
    fn plant_events(&self) {
        let payload = json!({ "version": 1, "data": {
            "customer": { "ref": self.person, "label": format!("{} <{}>", NAMES[1], EMAILS[1].to_uppercase()) },
            "history": [EMAILS[0], { EMAILS[2]: NAMES[0] }], "link": format!("https://crm.example/?q={}", EMAILS[1]),
        } });
        let unnamed = json!({ "version": 1, "data": { "signedBy": NAMES[0] } });
        let mut superuser = self.database.superuser();
        for (status, payload) in [("pending", &payload), ("done", &payload), ("dead", &payload), ("running", &unnamed)] {
            let sql = "insert into nebula.outbox (tenant_id, type, status, payload, aggregate, last_error) values ($1, 'crm.note', $2, $3, $4, $5)";
            let (aggregate, error) = (format!("contact/{}", EMAILS[1]), format!("550 no such user {}", EMAILS[1]));
            superuser.execute(sql, &[&self.acme.id, &status, payload, &aggregate, &error]).unwrap();
        }
        let delivery = "insert into nebula.webhook_delivery (tenant_id, webhook_subscription_id, event_id, event_type, attempt, error) \
                        values ($1, nebula.uuid_v7(), nebula.uuid_v7(), 'user.updated', 1, $2)";
        superuser.execute(delivery, &[&self.acme.id, &format!("rejected: {}", EMAILS[0])]).unwrap();
        let export = "insert into nebula.export_job (tenant_id, job_id, format, status, location) values ($1, nebula.uuid_v7(), 'json', 'done', 'exports/of-acme.zip')";
        superuser.execute(export, &[&self.acme.id]).unwrap();
    }

    fn anonymize(&self) {
        self.acme.admin.delete(&format!("/v1/users/{}", self.person)).empty();
    }

    /// `nebula privacy reapply` on a database, with the records that its worker has written.
    fn reapply(&self, database: &Database, storage: &str) -> Result<String, String> {
        let url = database.url("postgres");
        nebula_with(&[("NEBULA_ADMIN_DATABASE_URL", &url), ("NEBULA_STORAGE_URL", storage)], &["privacy", "reapply"])
    }

    /// Has the worker write down who was anonymised; the folder and the storage's URL.
    fn record(&self) -> (PathBuf, String) {
        let folder = self.database.installation.cluster.dir.join(format!("storage-{}", self.database.name));
        let url = format!("file://{}", folder.display());
        let worker = self.database.work_with(&[("NEBULA_STORAGE_URL", &url)]);
        let path = folder.join("privacy").join(self.acme.id.to_string()).join(format!("{}.json", self.person));
        eventually("the record is written", || path.exists());
        drop(worker);
        let record: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            record.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["at", "tenantId", "userId"],
            "ids and a time, and nothing else"
        );
        assert_eq!((&record["tenantId"], &record["userId"]), (&json!(self.acme.id), &json!(self.person)));
        (folder, url)
    }
}

#[track_caller]
fn nothing_is_left(database: &Database) {
    let dump = Haystack::new(database.dump());
    for value in values() {
        let found = dump.encodings_of(value);
        assert!(found.is_empty(), "{value} stands in the dump as {found:?}:\n{}", dump.lines_with(value).join("\n"));
    }
    // Nor anything that a guess could be tested with: digests of an address, as written and in lower case.
    for email in EMAILS.iter().flat_map(|email| [(*email).to_owned(), email.to_lowercase()]) {
        let md5 = database.text("select md5($1)", &[&email]);
        let digests = [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA512].map(|algorithm| digest(algorithm, email.as_bytes()).as_ref().to_vec());
        let hex = digests.iter().map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).chain([md5]);
        for text in hex.chain(digests.iter().map(|bytes| STANDARD.encode(bytes))) {
            assert_eq!(dump.encodings_of(&text), Vec::<&str>::new(), "a digest of {email}");
        }
    }
}

#[test]
fn each_encoding_is_found_and_nothing_where_there_is_nothing() {
    let value = NAMES[0];
    let json = json!({ "name": value }).to_string();
    for (text, encoding) in [
        (json.to_uppercase(), "plain"),
        (json.replace('\\', "\\\\"), "plain"),
        (STANDARD.encode(&json), "base64"),
        (STANDARD.encode(format!("x{value}y")), "base64"),
        (STANDARD.encode(format!("xy{value}z")), "base64"),
        (value.bytes().map(|byte| format!("{byte:02X}")).collect(), "hex"),
        ("?name=Zebu%20%22Can%C3%A1rio%22%20d%27%C3%81vila".to_owned(), "percent"),
        ("?name=Zebu+%22Can%c3%a1rio%22+d%27%c3%81vila".to_owned(), "percent"),
        (r#"Zebu \"Can\u00e1rio\" d'\u00C1vila"#.to_owned(), "json escapes"),
    ] {
        assert_eq!(Haystack::new(text.clone()).encodings_of(value), [encoding], "{text}");
    }
    assert!(Haystack::new("Zebu \"Canario\" d'Avila".to_owned()).encodings_of(value).is_empty());
}

#[test]
fn of_fourteen_values_in_five_encodings_none_is_left_in_a_dump() {
    let planted = Planted::new();
    assert_eq!(values().iter().collect::<BTreeSet<_>>().len(), 14);
    let dump = Haystack::new(planted.database.dump());
    let missing = values().into_iter().filter(|value| dump.encodings_of(value).is_empty()).collect::<Vec<_>>();
    assert!(missing.is_empty(), "not planted, so that their absence would prove nothing: {missing:?}");
    let history = "select count(*) from nebula.audit_log where tenant_id = $1";
    let before = planted.database.number(history, &[&planted.acme.id]);
    planted.anonymize();
    nothing_is_left(&planted.database);
    // Nobody's history is shorter, and other people's origins stay.
    assert!(planted.database.number(history, &[&planted.acme.id]) > before);
    let of_others =
        "select count(*) from nebula.audit_log where tenant_id = $1 and actor_user_id = $2 and ip is not null and user_agent is not null";
    assert!(planted.database.number(of_others, &[&planted.acme.id, &planted.acme.admin_id]) > 5);
    // An event that waits is sent without the person; that of an application keeps what isn't theirs.
    let waiting = "select payload #>> '{data,customer,label}' from nebula.outbox where type = 'crm.note' and status = 'pending'";
    let label = planted.database.text(waiting, &[]);
    assert!(label.starts_with("Anonimizado <") && label.ends_with("@anonymized.invalid>"), "{label}");
    // Exports that hold the person's data are gone.
    assert_eq!(planted.database.text("select status || coalesce(location, '') from nebula.export_job", &[]), "expired");
    let removed = "select payload #>> '{data,location}' from nebula.outbox where type = 'storage.remove'";
    assert_eq!(planted.database.text(removed, &[]), "exports/of-acme.zip");
}

#[test]
fn whoever_comes_back_afterwards_leaves_no_new_traces() {
    let planted = Planted::new();
    let sessions = "select id::text from nebula.session where user_id = $1";
    assert!(!planted.database.texts(sessions, &[&planted.person]).is_empty());
    let mut issuer = Issuer::start();
    nebula_tests::issuer::replace_keys(&planted.database, &issuer.jwks);
    planted.anonymize();
    // The person's browser goes on for a while with what it has.
    let token = issuer.token("ES256", &claims(&planted.acme, SUBJECT, EMAILS[1]));
    let browser = planted.edge.user(&token);
    assert_eq!(at(&browser, 1)("PATCH", "/v1/me", "q1", &json!({ "name": "X" })), 401);
    let of_person = "select count(*) from nebula.audit_log where (actor_user_id = $1 or entity_id = $1) and (ip is not null or user_agent is not null) \
                     and actor_user_id is distinct from $2";
    assert_eq!(planted.database.number(of_person, &[&planted.person, &planted.acme.admin_id]), 0);
    assert_eq!(planted.database.number("select count(*) from nebula.session where user_id = $1", &[&planted.person]), 0);
}

#[test]
fn after_a_restore_of_an_older_backup_the_person_is_taken_out_again() {
    let planted = Planted::new();
    let restored = planted.database.restored("older");
    assert!(!Haystack::new(restored.dump()).encodings_of(EMAILS[1]).is_empty());
    planted.anonymize();
    let (folder, storage) = planted.record();
    // People of another installation, and what is no record at all.
    let stranger = folder.join(format!("privacy/{}", Uuid::now_v7()));
    fs::create_dir_all(&stranger).unwrap();
    let ids = (stranger.file_name().unwrap().to_str().unwrap().to_owned(), Uuid::now_v7());
    fs::write(
        stranger.join(format!("{}.json", ids.1)),
        json!({ "tenantId": ids.0, "userId": ids.1, "at": "2026-01-01T00:00:00Z" }).to_string(),
    )
    .unwrap();
    let said = planted.reapply(&restored, &storage).unwrap();
    assert!(said.ends_with("1 anonymised again, 0 were already, 1 are not in this database"), "{said}");
    assert!(said.contains(&planted.person.to_string()));
    nothing_is_left(&restored);
    let audited = "select count(*) from nebula.audit_log where action = 'privacy.reapply' and actor_type = 'system' and entity_id = $1";
    assert_eq!(restored.number(audited, &[&planted.person]), 1);
    // Again, and where it was done in the first place, it changes nothing.
    for database in [&restored, &planted.database] {
        let before = database.digests();
        let said = planted.reapply(database, &storage).unwrap();
        assert_eq!(said, "0 anonymised again, 1 were already, 1 are not in this database");
        assert_eq!(database.digests(), before);
    }
    fs::write(folder.join("privacy/note.txt"), "?").unwrap();
    let misplaced = folder.join(format!("privacy/{}/{}.json", planted.acme.id, planted.acme.admin_id));
    fs::copy(folder.join(format!("privacy/{}/{}.json", planted.acme.id, planted.person)), misplaced).unwrap();
    assert!(planted.reapply(&restored, &storage).unwrap_err().contains("2 records could not be read"));
}

#[test]
fn again_also_goes_the_last_administrator_and_nobody_but_the_dba_may_ask() {
    let database = Database::new();
    let edge = database.serve();
    let acme = onboard(&edge, "acme");
    acme.admin.delete(&format!("/v1/users/{}", acme.admin_id)).refused(409, "CONFLICT");
    let again = |user: Uuid| database.text("select nebula.anonymize_again($1, $2)", &[&acme.id, &user]);
    assert_eq!([again(acme.admin_id), again(acme.admin_id), again(Uuid::now_v7())], ["anonymized", "already", "unknown"]);
    acme.admin.get("/v1/me").refused(401, "INVALID_TOKEN");
    let anonymous: Anonymous = edge.anonymous();
    let login = json!({ "tenant": "acme", "email": acme.admin_email, "password": PASSWORD });
    anonymous.post("/v1/auth/login", &login).refused(401, "INVALID_CREDENTIALS");
    for login in ["nebula_edge", "nebula_worker", "nebula_keys", "authenticator"] {
        database.connect(login).batch_execute("select nebula.anonymize_again(gen_random_uuid(), gen_random_uuid())").unwrap_err();
    }
}

#[test]
fn the_audit_log_opens_for_nothing_else() {
    let database = Database::new();
    let edge = database.serve();
    let _acme = onboard(&edge, "acme");
    let log = || database.text("select md5(string_agg(l::text, ' ' order by id)) from nebula.audit_log l", &[]);
    let before = log();
    for session in ["set role nebula_platform", "set role nebula_owner", "set role none", "set session_replication_role = replica"] {
        for change in [
            "ip = null, user_agent = null",
            "ip = null",
            "user_agent = null",
            "ip = '192.0.2.1'",
            "action = 'x', ip = null",
            "metadata = '{}'",
        ] {
            let mut superuser = database.superuser();
            superuser.batch_execute(session).unwrap();
            // As the owner no row is visible without a caller: then there was none to change.
            if let Err(error) = superuser.batch_execute(&format!("update nebula.audit_log set {change}")) {
                assert_eq!(error.code().unwrap().code(), "42501", "{session}; {change}: {error:?}");
            }
        }
    }
    assert_eq!(log(), before);
}
