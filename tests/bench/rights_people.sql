-- Tenants with the package `base`, its groups of the seed, and two people in the administrators' group, logged in; what PostgREST would say of them.
set statement_timeout = 0;
set client_min_messages = warning;
create temporary table made as
select nebula.uuid_v7() as tenant, nebula.uuid_v7() as admins, n
from generate_series(1, :tenants) n
where not exists (select from nebula.tenant where slug = 'rights-' || n);
insert into nebula.tenant (id, slug, name, kind) select tenant, 'rights-' || n, 'Rights', 'customer' from made;
insert into nebula.tenant_package (tenant_id, package_id) select tenant, p.id from made, nebula.package p where p.key = 'base';
insert into nebula.group (tenant_id, id, name) select tenant, admins, 'ADM_CLIENTE' from made;
insert into nebula.group_permission (tenant_id, group_id, tool_action_id)
select tenant, admins, pa.tool_action_id
from made, nebula.package p
join nebula.package_action pa on pa.package_id = p.id
where p.key = 'base';
insert into nebula.user (tenant_id, email, name) select tenant, which || '@rights.test', which from made, unnest(array['ada', 'bia']) which;
insert into nebula.user_group (tenant_id, user_id, group_id) select u.tenant_id, u.id, admins from made join nebula.user u on u.tenant_id = tenant;
insert into nebula.session (tenant_id, user_id, expires_at) select u.tenant_id, u.id, now() + interval '1 year' from made join nebula.user u on u.tenant_id = tenant;

do $$ begin create role authenticator login password 'bench'; exception when duplicate_object then null; end $$;
grant nebula_app to authenticator;
select nebula.set_postgrest_trust('claims');
create schema if not exists bench;
drop table if exists bench.person;
create table bench.person as
select
  row_number() over (partition by u.name order by u.tenant_id) as number,
  u.name,
  json_build_object('iss', i.issuer, 'sub', u.id, 'tenantId', u.tenant_id, 'sid', s.id)::text as claims
from nebula.installation i, nebula.session s
join nebula.user u on u.tenant_id = s.tenant_id and u.id = s.user_id
where u.email like '%@rights.test';
create unique index on bench.person (name, number);
grant usage on schema bench to authenticator;
grant select on bench.person to authenticator;
-- Ten who are in no other list.
insert into bench.person select number, 'warm', claims from bench.person where name = 'ada' order by number desc limit 10;
update bench.person set number = number - (select max(number) - 10 from bench.person where name = 'warm') where name = 'warm';
vacuum (analyze) nebula.tenant, nebula.tenant_package, nebula.group, nebula.group_permission, nebula.user, nebula.user_group, nebula.session;
