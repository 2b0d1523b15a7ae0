//! Invariant 2: effect, audit, event and stored answer commit together or not at all.

use nebula_tests::{Caller, Database, handle::request, onboard_by_sql};
use serde_json::json;

#[test]
fn when_one_part_fails_nothing_of_the_request_remains() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    database.execute("create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'on purpose'; end $$");
    let mut handle = database.handle();
    let mut create = request("users.create", Some(&acme.admin), &json!({ "email": "bia@acme.example", "name": "Bia" }));
    create["idempotencyKey"] = json!("once");
    let before = database.digests();
    for table in ["outbox", "audit_log", "idempotency_key", "user"] {
        database
            .execute(&format!("create trigger zzz_fail after insert on nebula.\"{table}\" for each row execute function public.fail()"));
        let error = handle.try_send(acme.id, &create).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "P0001", "{table}");
        assert_eq!(database.digests(), before, "after a failure of {table}");
        database.execute(&format!("drop trigger zzz_fail on nebula.\"{table}\""));
    }
    // The same request, now that nothing fails: it had no effect before, so it is no replay.
    let answer = handle.send(acme.id, &create);
    answer.data(201);
    assert!(answer.context.get("replayed").is_none());
    let counted = database.superuser().query_one(
        "select (select count(*) from nebula.user where email = 'bia@acme.example'), (select count(*) from nebula.outbox where type = 'user.created' and payload::text like '%bia@%'), \
         (select count(*) from nebula.audit_log where action = 'users.create'), (select count(*) from nebula.idempotency_key where key = 'once')",
        &[],
    );
    let counted = counted.unwrap();
    assert_eq!([0, 1, 2, 3].map(|column| counted.get::<_, i64>(column)), [1, 1, 1, 1]);
}

#[test]
fn over_http_a_failure_is_500_without_a_word_of_its_cause() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let edge = database.serve();
    database.execute(
        "create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'on purpose %', new.payload; end $$; \
         create trigger zzz_fail after insert on nebula.outbox for each row execute function public.fail()",
    );
    let before = database.digests();
    let answer = edge.user(&acme.admin).post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia" }));
    assert!(answer.refused(500, "DATABASE_ERROR").is_null());
    assert!(!answer.text.contains("purpose") && !answer.text.contains("bia"));
    assert_eq!(database.digests(), before);
    database.execute("drop trigger zzz_fail on nebula.outbox");
    edge.user(&acme.admin).post("/v1/users", &json!({ "email": "bia@acme.example", "name": "Bia" })).data(201);
}

#[test]
fn what_the_client_rolls_back_had_no_effect() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let before = database.digests();
    handle.client.batch_execute("begin").unwrap();
    acme.does(&mut handle, "users.create", &json!({ "email": "bia@acme.example", "name": "Bia" }), 201);
    handle.client.batch_execute("rollback").unwrap();
    assert_eq!(database.digests(), before);
}
