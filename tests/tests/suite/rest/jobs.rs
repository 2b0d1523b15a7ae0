//! Asynchronous work as its tenant sees it.

use nebula_tests::{Caller, Database, http::id, onboard};
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn jobs_are_listed_by_status_and_type_and_tell_nothing_of_what_is_in_them() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    acme.person("canary");
    acme.group("G", &[]);
    let list = |query: &str| acme.admin.get(&format!("/v1/jobs{query}"));
    database.execute(
        "update nebula.outbox set status = 'dead', attempts = 5, last_error = 'HTTP 500' where payload #>> '{data,email}' like 'canary@%'; \
         update nebula.outbox set status = 'done', attempts = 1 where type = 'group.created'",
    );
    let all = list("?limit=200");
    assert!(!all.text.contains("canary") && !all.text.contains("payload"), "{}", all.text);
    let all = all.data(200);
    let own = database.number("select count(*) from nebula.outbox where tenant_id = $1", &[&acme.id]);
    assert_eq!(i64::try_from(all.as_array().unwrap().len()).unwrap(), own);
    let dead = list("?status=dead").data(200);
    assert_eq!(dead.as_array().unwrap().len(), 1);
    let names = dead[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names, ["attempts", "availableAt", "createdAt", "id", "lastError", "status", "type"]);
    assert_eq!((&dead[0]["type"], &dead[0]["attempts"], &dead[0]["lastError"]), (&json!("user.created"), &json!(5), &json!("HTTP 500")));
    for (query, count) in [("?status=running", 0), ("?type=group.created", 1), ("?status=dead&type=group.created", 0), ("?status=done", 1)]
    {
        assert_eq!(list(query).data(200).as_array().unwrap().len(), count, "{query}");
    }
    for (query, field, rule) in
        [("?status=ativo", "status", "enum"), ("?type=No", "type", "key"), ("?q=x", "q", "unknown"), ("?sort=type:asc", "sort", "sort")]
    {
        list(query).invalid(field, rule);
    }
    // Page by page, each once.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(&format!("?limit=2{cursor}")).envelope(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(id));
        let Some(next) = page["meta"]["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, all.as_array().unwrap().iter().map(id).collect::<Vec<_>>());
    let (nobody, ..) = acme.member(&edge, "nobody", &[]);
    nobody.get("/v1/jobs").forbidden("jobs.list", "granted");
    assert!(!zeta.admin.get("/v1/jobs?limit=200").text.contains(&seen[0].to_string()));
}

#[test]
fn only_a_dead_job_is_tried_again_and_only_by_its_tenant() {
    let database = Database::new();
    let edge = database.serve();
    let (acme, zeta) = (onboard(&edge, "acme"), onboard(&edge, "zeta"));
    acme.person("bia");
    let job = database
        .text("select id::text from nebula.outbox where tenant_id = $1 and payload #>> '{data,email}' like 'bia@%'", &[&acme.id])
        .parse::<Uuid>()
        .unwrap();
    let retry = |caller: &dyn Caller, job: Uuid| caller.post(&format!("/v1/jobs/{job}/retry"), &json!({}));
    for status in ["pending", "running", "done"] {
        database.execute(&format!("update nebula.outbox set status = '{status}', attempts = 3 where id = '{job}'"));
        assert_eq!(retry(&acme.admin, job).refused(409, "CONFLICT"), json!({ "rule": "not_dead" }), "{status}");
    }
    database.execute(&format!("update nebula.outbox set status = 'dead', attempts = 5, locked_until = now() + interval '1 hour', last_error = 'HTTP 500' where id = '{job}'"));
    retry(&zeta.admin, job).refused(404, "NOT_FOUND");
    retry(&acme.admin, Uuid::now_v7()).refused(404, "NOT_FOUND");
    let (reader, ..) = acme.member(&edge, "reader", &["jobs.list"]);
    retry(&reader, job).forbidden("jobs.retry", "granted");
    acme.admin.post("/v1/jobs/x/retry", &json!({})).invalid("id", "uuid");
    acme.admin.post(&format!("/v1/jobs/{job}/retry"), &json!({ "attempts": 0 })).invalid("attempts", "unknown");
    let tried = retry(&acme.admin, job).data(200);
    assert_eq!(
        (&tried["status"], &tried["attempts"], &tried["lastError"]),
        (&json!("pending"), &json!(5), &json!("HTTP 500")),
        "its attempts go on counting"
    );
    assert_eq!(database.text("select concat(locked_until, failures) from nebula.outbox where id = $1", &[&job]), "0");
    retry(&acme.admin, job).refused(409, "CONFLICT");
    // What is the installation's own is nobody's.
    let own = database
        .text("insert into nebula.outbox (tenant_id, type, payload, status) values (null, 'x.y', '{}', 'dead') returning id::text", &[]);
    retry(&acme.admin, own.parse().unwrap()).refused(404, "NOT_FOUND");
    let listed: Value = acme.admin.get("/v1/jobs?status=dead").data(200);
    assert_eq!(listed, json!([]));
}
