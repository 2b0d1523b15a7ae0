-- Many tenants with people, history and kept answers, in the shape that requests give them, into a database that has none: straight into the tables, without triggers,
-- since nobody asks here who made them. Variables: tenants, users, audit_rows, answers (rows of idempotency_key).
\set ON_ERROR_STOP on
set synchronous_commit = off;
set work_mem = '256MB';
set maintenance_work_mem = '1GB';
begin;
create temporary table was_enabled as
  select tgrelid::regclass as target, tgname, tgenabled
  from pg_trigger
  where not tgisinternal and tgparentid = 0
    and tgrelid in (select ('nebula.' || quote_ident(name))::regclass
      from unnest('{tenant,tenant_package,tenant_config,group,group_permission,user,user_group,api_key,session,refresh_token,idempotency_key}'::text[]) name);
select distinct format('alter table %s disable trigger all', target) from was_enabled \gexec

insert into nebula.tenant (slug, name) select 'bench-' || n, 'Bench ' || n from generate_series(1, :tenants) n;
-- By its number a row finds its tenant.
create temporary table numbered as
  select id as tenant_id, substr(slug, 7)::integer as number from nebula.tenant where slug like 'bench-%';
create unique index on numbered (number) include (tenant_id);
analyze numbered;
insert into nebula.tenant_package (tenant_id, package_id) select tenant_id, p.id from numbered, nebula.package p where p.key = 'base';
-- Nobody is held back by a limit, and every request is counted all the same.
insert into nebula.tenant_config (tenant_id, limits)
select tenant_id, '{"read": {"perMinute": 100000000}, "write": {"perMinute": 100000000}, "admin": {"perMinute": 100000000}}' from numbered;
insert into nebula.group (tenant_id, name) select tenant_id, name from numbered, unnest('{ADM_CLIENTE,OPERATOR,VIEWER}'::text[]) name;
insert into nebula.group_permission (tenant_id, group_id, tool_action_id)
select g.tenant_id, g.id, pa.tool_action_id
from numbered
join nebula.group g using (tenant_id)
join nebula.package p on p.key = 'base'
join nebula.package_action pa on pa.package_id = p.id
join nebula.tool_action a on a.id = pa.tool_action_id
where g.name = 'ADM_CLIENTE' or a.kind = 'read' or (g.name = 'OPERATOR' and a.kind = 'write');

insert into nebula.user (tenant_id, email, name, created_at, updated_at)
select t.tenant_id, case when k = 0 then 'admin' else 'p' || k end || '@bench.test', 'Person ' || md5(n::text), at, at
from (select n, (n / (:users / :tenants)) + 1 as tenant, n % (:users / :tenants) as k, now() - n % 31536000 * interval '1 second' as at
  from generate_series(0, :users / :tenants * :tenants - 1) n) p
join numbered t on t.number = p.tenant
order by p.tenant, k;
insert into nebula.user_group (tenant_id, user_id, group_id)
select u.tenant_id, u.id, g.id
from numbered t
join nebula.user u using (tenant_id)
join nebula.group g on g.tenant_id = u.tenant_id and g.name = case when u.email = 'admin@bench.test' then 'ADM_CLIENTE' else 'VIEWER' end;

-- Half a year of history: this month's partition and five before it.
select format('create table nebula.%I partition of nebula.audit_log for values from (%L) to (%L)', name, month, month + interval '1 month'), format('select nebula.govern_partition(%L)', 'nebula.' || name)
from (select month, to_char(month, '"audit_log_"YYYY_MM') as name
  from generate_series(date_trunc('month', now(), 'utc') - interval '5 months', date_trunc('month', now(), 'utc') - interval '1 month', interval '1 month') month) m
where to_regclass('nebula.' || name) is null \gexec
insert into nebula.audit_log (tenant_id, actor_user_id, actor_type, action, entity_type, entity_id, metadata, ip, user_agent, created_at)
select t.tenant_id, gen_random_uuid(), 'user', 'users.create', 'user', gen_random_uuid(),
  jsonb_build_object('verb', 'insert', 'changed', '[]'::jsonb, 'requestId', gen_random_uuid()), '203.0.113.7', 'bench/1.0', at
from (select n % :tenants + 1 as tenant, now() - (now() - date_trunc('month', now() - interval '5 months', 'utc')) * (n::double precision / nullif(:audit_rows, 0)) as at
  from generate_series(1, :audit_rows) n) a
join numbered t on t.number = a.tenant
order by date_trunc('month', at, 'utc'), a.tenant, at;

-- The last day's: retention takes what is older.
insert into nebula.idempotency_key (tenant_id, key, handler, request_digest, response_status, response_body, response_hash, created_at)
select t.tenant_id, gen_random_uuid()::text, 'users.create', sha256(n::text::bytea), 201, body, sha256(body::bytea), now() - n::double precision / :answers * interval '23 hours'
from generate_series(1, :answers) n
join numbered t on t.number = n % :tenants + 1
cross join lateral (select json_build_object('data', json_build_object('id', gen_random_uuid(), 'email', 'p' || n || '@bench.test', 'name', 'Person ' || md5(n::text),
  'status', 'ativo', 'suspendedReason', null, 'authProvider', 'internal', 'createdAt', now(), 'updatedAt', now()))::text as body) b
order by t.number;

select distinct format('alter table %s enable trigger all', target) from was_enabled \gexec
select format('alter table %s enable always trigger %I', target, tgname) from was_enabled where tgenabled = 'A' \gexec
commit;
vacuum (analyze);
