//! Rows that are written without the executor are what the statements in their place write, and where somebody wants to know of them, statements write them.

use nebula_tests::{Database, Handle, http::id, onboard_by_sql, token::tenant_of};
use serde_json::{Value, json};
use uuid::Uuid;

/// What a write leaves behind, without what differs each time.
fn traces(database: &Database, tenant: Uuid, request: &str) -> Vec<String> {
    let statement = "select to_jsonb(a) - '{id,created_at,entity_id}'::text[] || jsonb_build_object('partition', a.tableoid::regclass::text) #- '{metadata,requestId}' \
         from nebula.audit_log a where tenant_id = $1 and metadata ->> 'requestId' = $2 \
       union all select (to_jsonb(o) - '{id,position,created_at,available_at,aggregate}'::text[]) \
           #- '{payload,data,id}' #- '{payload,data,createdAt}' #- '{payload,data,updatedAt}' #- '{payload,data,email}' \
           || jsonb_build_object('partition', o.tableoid::regclass::text, 'about', o.aggregate = 'user/' || (o.payload #>> '{data,id}')) \
         from nebula.outbox o where tenant_id = $1 and payload #>> '{data,email}' like $2 || '%' \
       union all select to_jsonb(i) - '{id,key,created_at,request_digest,response_body,response_hash}'::text[] \
           || jsonb_build_object('hash', i.response_hash = sha256(i.response_body::bytea), 'digest', octet_length(i.request_digest)) \
         from nebula.idempotency_key i where tenant_id = $1 and key = $2";
    let rows = database.superuser().query(&format!("select t::text from ({statement}) s (t) order by 1"), &[&tenant, &request]).unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

fn create(handle: &mut Handle, tenant: Uuid, credential: &str, request: &str) {
    let input = json!({
        "operation": "users.create", "requestId": request, "idempotencyKey": request, "credential": credential, "ip": "203.0.113.7", "userAgent": "test",
        "body": { "email": format!("{request}@acme.example"), "name": "Ana" },
    });
    let row = handle
        .client
        .query_one("select status, body::text from nebula.handle($1, $2::text::json)", &[&tenant, &input.to_string()])
        .unwrap();
    assert_eq!(row.get::<_, i32>(0), 201, "{:?}", row.get::<_, Option<String>>(1));
}

#[test]
fn a_trigger_that_a_dba_adds_fires_and_the_rows_are_the_same() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    create(&mut handle, acme.id, &acme.admin, "direct-1");
    let direct = traces(&database, acme.id, "direct-1");
    assert_eq!(direct.len(), 3, "{direct:?}");
    database.execute(
        "create table public.noticed (name text); grant insert on public.noticed to public; \
         create function public.notice() returns trigger language plpgsql security definer as $$ begin insert into public.noticed values (tg_table_name); return new; end $$; \
         create trigger notice before insert on nebula.audit_log for each row execute function public.notice(); \
         create trigger notice before insert on nebula.outbox for each row execute function public.notice(); \
         create trigger notice after insert on nebula.idempotency_key for each row execute function public.notice()",
    );
    create(&mut handle, acme.id, &acme.admin, "direct-2");
    assert_eq!(traces(&database, acme.id, "direct-2"), direct);
    let noticed = database.number(
        "select count(*) from public.noticed where name = 'idempotency_key' or name like 'audit_log_%' or name = 'outbox_live'",
        &[],
    );
    assert_eq!(noticed, 3);
    // And not any more once it is gone.
    database.execute(
        "drop trigger notice on nebula.audit_log; drop trigger notice on nebula.outbox; drop trigger notice on nebula.idempotency_key; truncate public.noticed",
    );
    create(&mut handle, acme.id, &acme.admin, "direct-3");
    assert_eq!(traces(&database, acme.id, "direct-3"), direct);
    assert_eq!(database.number("select count(*) from public.noticed", &[]), 0);
}

#[test]
fn a_statement_trigger_of_the_whole_table_fires_as_well() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    create(&mut handle, acme.id, &acme.admin, "direct-1");
    database.execute(
        "create table public.noticed (count bigint); \
         create function public.notice() returns trigger language plpgsql security definer as $$ begin insert into public.noticed select count(*) from new_rows; return null; end $$; \
         create trigger notice after insert on nebula.audit_log referencing new table as new_rows for each statement execute function public.notice()",
    );
    create(&mut handle, acme.id, &acme.admin, "direct-2");
    assert_eq!(database.number("select sum(count)::bigint from public.noticed", &[]), 1);
}

#[test]
fn what_was_written_meets_every_constraint_and_every_index_finds_it() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    for number in 0..20 {
        create(&mut handle, acme.id, &acme.admin, &format!("direct-{number}"));
    }
    for table in ["audit_log", "outbox", "idempotency_key"] {
        let all = format!("select count(*) from nebula.{table} where tenant_id = $1");
        let there = database.number(&all, &[&acme.id]);
        assert!(there >= 20, "{table}");
        // Written again by statements, with all constraints on.
        database.execute(&format!(
            "create table public.again_{table} (like nebula.{table} including constraints including generated); insert into public.again_{table} select * from nebula.{table}"
        ));
        let mut client = database.superuser();
        client.batch_execute("set enable_seqscan = off; set enable_bitmapscan = off").unwrap();
        assert_eq!(client.query_one(&all, &[&acme.id]).unwrap().get::<_, i64>(0), there, "{table} by its indexes");
    }
    database.execute("create extension amcheck");
    let checked = "select count(bt_index_check(i.indexrelid, true)) from pg_index i join pg_class t on t.oid = i.indrelid \
         where t.relnamespace = 'nebula'::regnamespace and t.relkind = 'r' and i.indisvalid and t.relname ~ '^(audit_log|outbox|idempotency_key)'";
    assert!(database.number(checked, &[]) > 5);
}

#[test]
fn columns_indexes_and_partitions_that_change_are_seen_at_once() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    create(&mut handle, acme.id, &acme.admin, "direct-1");
    // A column of the DBA's own with a default: only a statement fills it.
    database.execute("alter table nebula.idempotency_key add column region text not null default 'sa-east-1'");
    create(&mut handle, acme.id, &acme.admin, "direct-2");
    let of = |key: &str| database.number("select count(*) from nebula.idempotency_key where key = $1 and region = 'sa-east-1'", &[&key]);
    assert_eq!((of("direct-1"), of("direct-2")), (1, 1));
    // The index that answers are found by is made anew under the same name.
    database.execute("reindex table nebula.idempotency_key; reindex table nebula.session");
    create(&mut handle, acme.id, &acme.admin, "direct-3");
    create(&mut handle, acme.id, &acme.admin, "direct-3");
    assert_eq!(of("direct-3"), 1);
    // The month's partition is gone: the default one takes the rows.
    let partition: String = database
        .superuser()
        .query_one("select tableoid::regclass::text from nebula.audit_log where tenant_id = $1 limit 1", &[&acme.id])
        .unwrap()
        .get(0);
    database.execute(&format!("alter table nebula.audit_log detach partition {partition}"));
    create(&mut handle, acme.id, &acme.admin, "direct-4");
    assert_eq!(database.number("select count(*) from nebula.audit_log_default where metadata ->> 'requestId' = 'direct-4'", &[]), 1);
}

#[test]
fn a_transaction_that_may_not_write_is_told_so_and_a_rolled_back_one_leaves_nothing() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    create(&mut handle, acme.id, &acme.admin, "direct-1");
    let mut client = database.superuser();
    let emit = "select nebula.emit('bench.tick', '{}', null, $1)";
    client.batch_execute("begin read only").unwrap();
    assert_eq!(client.query_one(emit, &[&acme.id]).unwrap_err().code().map(|code| code.code().to_owned()).as_deref(), Some("25006"));
    client.batch_execute("rollback; begin; savepoint s").unwrap();
    client.query_one(emit, &[&acme.id]).unwrap();
    client.batch_execute("rollback to s; commit").unwrap();
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'bench.tick'", &[]), 0);
}

#[test]
fn many_events_at_once_are_as_if_each_were_written_alone() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut client = database.superuser();
    let count = client
        .query_one(
            "select nebula.emit_each('order.paid', (select jsonb_agg(jsonb_build_object('id', n, 'total', n / 3.0)) from generate_series(1, 1000) n), $1)",
            &[&acme.id],
        )
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 1000);
    let alone = "select count(*) from generate_series(1, 1000) n cross join lateral nebula.emit('order.sent', jsonb_build_object('id', n, 'total', n / 3.0), null, $1) e";
    assert_eq!(client.query_one(alone, &[&acme.id]).unwrap().get::<_, i64>(0), 1000);
    let same = "select count(*) from nebula.outbox a join nebula.outbox b on a.aggregate = b.aggregate and a.payload = b.payload \
         where a.type = 'order.paid' and b.type = 'order.sent' and a.is_job = b.is_job and a.status = b.status";
    assert_eq!(database.number(same, &[]), 1000);
    let in_order = "select count(*) from (select position > lag(position) over (order by (payload #>> '{data,id}')::integer) as is_later from nebula.outbox where type = 'order.paid') o \
         where is_later is not false";
    assert_eq!(database.number(in_order, &[]), 1000);
    let refused =
        |sql: &str| database.superuser().query(sql, &[&acme.id]).unwrap_err().as_db_error().map(|error| error.message().to_owned());
    assert!(refused("select nebula.emit_each('order.paid', '{}', $1)").is_some_and(|message| message.contains("data")));
    assert!(refused("select nebula.emit_each('user.created', '[{}]', $1)").is_some_and(|message| message.contains("reserved")));
    let large = "select nebula.emit_each('order.paid', jsonb_build_array('{}'::jsonb, jsonb_build_object('x', (select string_agg(md5(n::text), '') from generate_series(1, 10000) n))), $1)";
    assert!(refused(large).is_some_and(|message| message.contains("too_long")));
    // All or none.
    assert_eq!(database.number("select count(*) from nebula.outbox where type = 'order.paid'", &[]), 1000);
}

/// Everything that decides in one tenant, of all kinds: what its administrator may do is the same whether rows or statements tell it.
#[test]
fn rights_are_the_same_where_no_index_finds_them() {
    let database = Database::new();
    let acme = onboard_by_sql(&database, "acme");
    let mut handle = database.handle();
    let operator = &database.installation.operator_key;
    for (action, enabled) in [("webhooks.create", false), ("exports.create", true)] {
        let set = json!({ "tenantId": acme.id, "actionKey": action, "flags": { "enabled": enabled }, "limits": { "perMinute": 3 } });
        handle.call(tenant_of(operator), operator, "tenants.overrides.set", &set).data(200);
    }
    // Names that collations sort in other orders than bytes do, one group that is suspended, one that the administrator isn't in.
    for name in ["agora", "Ágil", "Zeta", "Parada", "Outros"] {
        let group = id(&acme.does(&mut handle, "groups.create", &json!({ "name": name }), 201));
        if name != "Outros" {
            acme.does(&mut handle, "groups.members.add", &json!({ "id": group, "userId": acme.admin_id }), 201);
        }
        let constraints = json!({ "validUntil": "2020-01-01T00:00:00Z", "maxPerDay": 2 });
        let permissions = json!([{ "action": "users.list", "constraints": constraints }, { "action": "groups.list" }]);
        acme.does(&mut handle, "groups.permissions.grant", &json!({ "id": group, "permissions": permissions }), 201);
    }
    database.execute(
        "update nebula.group set status = 'suspenso' where name = 'Parada'; \
         update nebula.tenant_config set limits = '{\"read\": {\"perMinute\": 77}}'; \
         insert into nebula.tenant_config (tenant_id, limits) select id, '{\"read\": {\"perMinute\": 77}}' from nebula.tenant on conflict (tenant_id) do nothing; \
         update nebula.tenant_package set expires_at = '2099-01-01'",
    );
    // Times are told in UTC whatever the session says.
    handle.client.batch_execute("set timezone = 'America/Sao_Paulo'").unwrap();
    let mut ask = |operation: &str, input: &Value| {
        let answer = handle.call(acme.id, &acme.admin, operation, input);
        json!([answer.status, answer.body["data"], answer.context["rateLimits"][0]["limit"]])
    };
    let mut all = || {
        let me = ask("me.read", &json!({}));
        let refused = ask("webhooks.create", &json!({ "url": "https://acme.example/hook", "events": ["*"] }));
        [me, refused, ask("users.list", &json!({}))]
    };
    let by_rows = all();
    let [me, refused, _] = &by_rows;
    let sorted = database.text(
        "select jsonb_agg(name order by name)::text from nebula.group where tenant_id = $1 and name not in ('Parada', 'Outros', 'OPERATOR', 'VIEWER')",
        &[&acme.id],
    );
    assert_eq!(me[1]["groups"].to_string(), sorted.replace(", ", ","), "{me}");
    assert_eq!((&me[0], &me[2], &refused[0]), (&json!(200), &json!(77), &json!(403)), "{me} {refused}");
    assert!(me[1]["packages"][0]["expiresAt"].as_str().unwrap().ends_with("+00:00"), "{me}");

    let indexes = [
        "pk_tenant",
        "uq_tenant_config_tenant_id",
        "uq_tenant_package_tenant_id_package_id",
        "uq_tenant_tool_override_tenant_id_tool_id",
        "pk_user",
        "uq_user_group_tenant_id_user_id_group_id",
        "pk_group",
        "uq_group_permission_tenant_id_group_id_tool_action_id",
    ];
    for index in indexes {
        database.execute(&format!("alter index nebula.{index} rename to {index}_other"));
    }
    database.execute("update nebula.group set description = 'so that rights are read again'");
    assert_eq!(all(), by_rows);
}
