-- The rivals' tables: the same columns, constraints and indexes as Nebula's, without RLS and triggers; and the same rows to decide by.
\set ON_ERROR_STOP on
drop schema if exists rivals cascade;
create schema rivals;
do $$
declare
  name text;
begin
  foreach name in array array['tenant', 'user', 'session', 'revoked_token', 'group', 'user_group', 'group_permission', 'tool', 'tool_action', 'package',
    'package_action', 'tenant_package', 'tenant_tool_override']
  loop
    execute format('create table rivals.%1$I (like nebula.%1$I including all)', name);
    execute format('insert into rivals.%1$I select * from nebula.%1$I', name);
  end loop;
end
$$;
alter table rivals.user add foreign key (tenant_id) references rivals.tenant (id);
create table rivals.audit_log (like nebula.audit_log including all);
-- Events are written to that partition.
create table rivals.outbox (like nebula.outbox_live including all) with (fillfactor = 50);
create table rivals.idempotency_key (like nebula.idempotency_key including all);
vacuum (analyze) rivals.user;
analyze rivals.session, rivals.user_group, rivals.group_permission, rivals.tool_action, rivals.package_action, rivals.tenant_package;
