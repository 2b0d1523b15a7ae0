//! Rows that end by themselves are deleted some time after, and none before.

use nebula_tests::{Retention, onboard_by_sql, story::log_in_by_sql};
use serde_json::json;

#[test]
fn expired_rows_go_and_valid_ones_stay() {
    let retention = Retention::new();
    let database = &retention.database;
    let acme = onboard_by_sql(database, "acme");
    let mut handle = database.handle();
    let group = acme.does(&mut handle, "groups.create", &json!({ "name": "G" }), 201);
    acme.does(&mut handle, "groups.permissions.grant", &json!({ "id": group["id"], "permissions": [{ "action": "users.list" }] }), 201);
    let mut superuser = database.superuser();
    // Pairs: one that has to go, one that has to stay, told apart by its age.
    let plant = [
        "insert into nebula.idempotency_key (tenant_id, key, handler, request_digest, response_status, response_hash, created_at) \
           select $1, key, 'x', decode(repeat('00', 32), 'hex'), 200, '', now() - age from (values ('gone', interval '24 hours 1 minute'), ('kept', interval '23 hours')) v (key, age)",
        "insert into nebula.revoked_token (tenant_id, jti, expires_at) select $1, nebula.uuid_v7(), now() + age from (values (interval '-2 hours'), (interval '1 minute')) v (age)",
        "insert into nebula.invite (tenant_id, user_id, hash, expires_at) \
           select $1, u.id, decode(repeat('00', 32), 'hex'), now() + age from nebula.user u, (values (interval '-8 days'), (interval '-1 day'), (interval '1 day')) v (age) where u.tenant_id = $1",
        "insert into nebula.permission_usage (tenant_id, group_permission_id, user_id, day) \
           select $1, p.id, u.id, current_date - age from nebula.user u, (select id from nebula.group_permission where tenant_id = $1 limit 1) p, (values (10), (1)) v (age) where u.tenant_id = $1",
        "insert into nebula.quota_usage (tenant_id, tool_action_id, month) \
           select $1, a.id, (date_trunc('month', now()) - make_interval(months => age))::date from nebula.tool_action a, (values (4), (1)) v (age) where a.key = 'users.list'",
        "insert into nebula.session (tenant_id, user_id, expires_at, revoked_at, revoked_reason, user_agent) \
           select $1, u.id, now() + v.ends, now() - v.revoked, 'logout', v.name from nebula.user u, \
             (values ('expired', interval '-2 days', null), ('revoked', interval '9 days', interval '2 days'), ('just revoked', interval '9 days', interval '1 hour'), ('alive', interval '9 days', null)) v (name, ends, revoked) \
           where u.tenant_id = $1",
    ];
    for sql in plant {
        superuser.execute(sql, &[&acme.id]).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
    for (age, name) in [("2 days", "gone"), ("1 hour", "kept")] {
        let failure = "insert into nebula.login_failure (key, failures, last_failed_at) values (decode(md5($1), 'hex'), 1, now() - $2::text::interval)";
        superuser.execute(failure, &[&name, &age]).unwrap();
        let limit = "insert into nebula.rate_limit (key, newest, counts) values (decode(md5($1), 'hex'), extract(epoch from now() - $2::text::interval)::bigint / 5, decode(repeat('00', 52), 'hex'))";
        superuser.execute(limit, &[&name, &if name == "gone" { "11 minutes" } else { "1 minute" }]).unwrap();
    }
    // A chain of forty tokens, each the successor of the one before, of every session.
    superuser
        .execute(
            "do $do$ declare s record; successor uuid; begin \
               for s in select * from nebula.session where user_agent in ('expired', 'revoked', 'just revoked', 'alive') loop \
                 successor := null; \
                 for age in 0 .. 39 loop \
                   insert into nebula.refresh_token (tenant_id, session_id, hash, jti, expires_at, created_at, replaced_by) \
                     values (s.tenant_id, s.id, decode(repeat('00', 32), 'hex'), nebula.uuid_v7(), now() + make_interval(days => 30 - age), now() - make_interval(days => age), successor) \
                     returning id into successor; \
                 end loop; \
               end loop; end $do$",
            &[],
        )
        .unwrap();
    let report = retention.run().done();
    assert!(report.contains("rows deleted from idempotency_key: 1"), "{report}");
    let count = |sql: &str| database.number(&format!("select count(*) from nebula.{sql}"), &[]);
    assert_eq!(database.texts("select key from nebula.idempotency_key where handler = 'x'", &[]), ["kept"]);
    assert_eq!((count("revoked_token where expires_at > now()"), count("revoked_token")), (1, 1));
    assert_eq!(
        (count("invite where expires_at < now() - interval '7 days'"), count("invite where hash = decode(repeat('00', 32), 'hex')")),
        (0, 2)
    );
    assert_eq!((count("permission_usage where day < current_date - 7"), count("permission_usage")), (0, 1));
    assert_eq!(count("quota_usage"), 1);
    assert_eq!(
        (count("login_failure where key = decode(md5('gone'), 'hex')"), count("login_failure where key = decode(md5('kept'), 'hex')")),
        (0, 1)
    );
    assert_eq!(
        (count("rate_limit where key = decode(md5('gone'), 'hex')"), count("rate_limit where key = decode(md5('kept'), 'hex')")),
        (0, 1)
    );
    let sessions = "select user_agent || ' ' || (select count(*) from nebula.refresh_token r where r.session_id = s.id) from nebula.session s where user_agent is not null order by 1";
    // What a living session's tokens are is kept for 31 days, so that the reuse of one that was rotated is noticed.
    assert_eq!(database.texts(sessions, &[]), ["alive 31", "just revoked 31"]);
    // Who is logged in stays so.
    acme.does(&mut handle, "users.list", &json!({}), 200);
    handle.public(acme.id, "auth.refresh", &json!({ "refreshToken": acme.refresh_token })).data(200);
    let _ = log_in_by_sql(database, &mut handle, acme.id, "acme", &acme.admin_email);
}

#[test]
fn a_batch_is_bounded_and_batches_follow_until_nothing_is_left() {
    let retention = Retention::new();
    let acme = onboard_by_sql(&retention.database, "acme").id;
    let plant = "insert into nebula.revoked_token (tenant_id, jti, expires_at) select $1, nebula.uuid_v7(), now() - interval '1 day' from generate_series(1, 12000)";
    retention.database.superuser().execute(plant, &[&acme]).unwrap();
    let mut worker = retention.database.connect("nebula_worker");
    let mut purge = |limit: i32| -> serde_json::Value {
        let text: String = worker.query_one("select nebula.purge($1)::text", &[&limit]).unwrap().get(0);
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(purge(7)["revoked_token"], 7);
    assert_eq!(purge(-1)["revoked_token"], 1);
    assert_eq!(purge(10)["session"], 0);
    let report = retention.run().done();
    assert!(report.contains("rows deleted from revoked_token: 11982"), "{report}");
    assert_eq!(retention.database.number("select count(*) from nebula.revoked_token", &[]), 0);
}
