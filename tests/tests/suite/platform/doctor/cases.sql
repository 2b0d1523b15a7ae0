-- What each rule of nebula.doctor() finds. A case begins with `--- rule: object`; its statements break something; the remedy of the finding then mends it. Where a remedy is a
-- comment, what stands behind `--- by hand` does what the comment asks for. `--- undone by` is what is left to clean up.

--- before each
create schema app;
grant usage on schema app to anon, authenticated, nebula_app;
create table app.orders (
  id uuid not null default gen_random_uuid(),
  tenant_id uuid not null default nebula.current_tenant() references nebula.tenant (id),
  customer text,
  primary key (tenant_id, id)
);
alter table app.orders enable row level security;
alter table app.orders force row level security;
create policy tenant_isolation on app.orders using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant());
grant select, insert, update, delete on app.orders to authenticated, nebula_app;

--- after each
drop schema app cascade;

--- rls_disabled_on_tenant_table: app.orders
alter table app.orders disable row level security;

--- rls_disabled_on_tenant_table: app.orders
alter table app.orders no force row level security;
alter table app.orders disable row level security;
drop policy tenant_isolation on app.orders;

--- rls_disabled_on_exposed_table: app.notes
create table app.notes (id uuid primary key default gen_random_uuid(), body text);
grant select on app.notes to anon;

--- rls_not_forced: app.orders
alter table app.orders no force row level security;

--- policy_without_rls: app.notes
create table app.notes (id uuid primary key default gen_random_uuid(), author name);
create policy own on app.notes using (author = current_user);

--- rls_without_policy: app.notes
create table app.notes (id uuid primary key default gen_random_uuid());
alter table app.notes enable row level security;

--- rls_without_policy: app.orders
drop policy tenant_isolation on app.orders;

--- policy_always_true_on_tenant_table: app.orders policy open
drop policy tenant_isolation on app.orders;
create policy open on app.orders for select using (true);

--- policy_always_true_on_tenant_table: app.orders policy open
drop policy tenant_isolation on app.orders;
create policy open on app.orders for insert with check ((1 = 1));

--- policy_always_true: app.notes policy open
create table app.notes (id uuid primary key default gen_random_uuid());
alter table app.notes enable row level security;
create policy open on app.notes for update to authenticated using (true);

--- policy_without_tenant: app.orders policy own
drop policy tenant_isolation on app.orders;
create policy own on app.orders using (customer = current_user);

--- policy_evaluated_per_row: app.orders policy narrow
create policy narrow on app.orders as restrictive for select using (customer = current_setting('app.customer', true));

--- policy_trusts_user_metadata: app.orders policy narrow
create policy narrow on app.orders as restrictive for select using (customer = ((select current_setting('request.jwt.claims', true))::jsonb -> 'user_metadata' ->> 'customer'));

--- multiple_permissive_policies: app.orders
create policy own on app.orders for select to authenticated using (tenant_id = nebula.current_tenant() and customer = current_user);
create policy others on app.orders for update to nebula_app using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant() and customer <> '');

--- multiple_permissive_policies: app.orders
create policy own on app.orders for select using (tenant_id = nebula.current_tenant() and customer = current_user);

--- sensitive_column_exposed: app.people
create table app.people (id uuid primary key default gen_random_uuid(), cpf text, password_hash text);
grant select on app.people to authenticated;

--- view_over_tenant_table: app.recent
create view app.recent as select id, customer from app.orders;

--- view_over_tenant_table: app.outer_view
create view app.inner_view with (security_invoker = true) as select id, customer from app.orders;
create view app.outer_view as select id from app.inner_view;

--- view_without_security_invoker: app.everything
create table app.notes (id uuid primary key default gen_random_uuid());
create view app.everything as select id from app.notes;
grant select on app.everything to authenticated;

--- materialized_view_exposed: app.totals
create materialized view app.totals as select count(*) from app.orders;
grant select on app.totals to anon;

--- foreign_table_exposed: app.far
create foreign data wrapper nowhere;
create server nowhere foreign data wrapper nowhere;
create foreign table app.far (id integer) server nowhere;
grant select on app.far to authenticated;
--- undone by
drop foreign data wrapper nowhere cascade;

--- auth_users_exposed: app.people
create schema auth;
create table auth.users (id uuid primary key, email text);
create view app.people as select email from auth.users;
grant select on app.people to anon;
--- undone by
drop schema auth cascade;

--- definer_search_path_mutable: app.total()
create function app.total() returns bigint language sql security definer as 'select count(*) from app.orders';
revoke execute on function app.total from public;

--- function_search_path_mutable: app.total()
create function app.total() returns bigint language plpgsql as 'begin return 1; end';
revoke execute on function app.total from public;

--- definer_of_stronger_role: app.total()
create function app.total() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select count(*) from app.orders';
revoke execute on function app.total from public;
grant execute on function app.total to nebula_app;

--- definer_callable_by_anon: app.total()
create role app_owner;
create function app.total() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select 1::bigint';
alter function app.total owner to app_owner;
--- undone by
drop role app_owner;

--- definer_callable_by_callers: app.total()
create role app_owner;
create function app.total() returns bigint language sql security definer set search_path = pg_catalog, pg_temp as 'select 1::bigint';
alter function app.total owner to app_owner;
revoke execute on function app.total from public;
grant execute on function app.total to authenticated;
--- undone by
drop role app_owner;

--- function_callable_by_anon: app.total(integer)
create function app.total(n integer) returns bigint language sql set search_path = pg_catalog, pg_temp as 'select 1::bigint';

--- leakproof_function: app.peek(text)
create function app.peek(value text) returns boolean language plpgsql leakproof set search_path = pg_catalog, pg_temp as 'begin raise notice ''%'', value; return true; end';
revoke execute on function app.peek from public;

--- rule_on_tenant_table: app.orders rule copied
create table app.copies (id uuid primary key);
create rule copied as on insert to app.orders do also insert into app.copies values (new.id);

--- secret_in_code: app.notify()
create function app.notify() returns text language sql set search_path = pg_catalog, pg_temp
as 'select ''eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa''';
revoke execute on function app.notify from public;
--- by hand
drop function app.notify;

--- secret_in_code: app.orders trigger told
create function app.told() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as 'begin return new; end';
revoke execute on function app.told from public;
create trigger told after insert on app.orders for each row execute function app.told('sb_secret_abcdefghijklmnopqrst');

--- secret_in_code: setting app.settings.jwt_secret of role authenticator
alter role authenticator set "app.settings.jwt_secret" = 'a secret that is told to everybody';

--- foreign_key_without_index: app.lines constraint fk_lines_order
create table app.lines (id uuid not null default gen_random_uuid(), tenant_id uuid not null, order_id uuid not null, primary key (tenant_id, id),
  constraint fk_lines_order foreign key (tenant_id, order_id) references app.orders (tenant_id, id));
alter table app.lines enable row level security;
alter table app.lines force row level security;
create policy tenant_isolation on app.lines using (tenant_id = nebula.current_tenant());

--- no_primary_key: app.notes
create table app.notes (body text);

--- no_primary_key: app.notes
create table app.notes (id integer not null);
create unique index notes_id on app.notes (id);

--- unused_index: app.orders_customer
create index orders_customer on app.orders (customer);

--- duplicate_index: app.orders_again
create index orders_customer on app.orders (tenant_id, customer);
create index orders_again on app.orders (tenant_id, customer);

--- invalid_index: app.orders_customer
create index orders_customer on app.orders (tenant_id, customer);
update pg_index set indisvalid = false where indexrelid = 'app.orders_customer'::regclass;

--- tenant_index_missing: app.orders
alter table app.orders drop constraint orders_pkey, add constraint orders_pkey primary key (id);

--- unique_across_tenants: app.orders_customer_key
alter table app.orders add constraint orders_customer_key unique (customer);

--- unique_across_tenants: app.orders_lower
create unique index orders_lower on app.orders (customer) where customer <> '';

--- unique_across_tenants: app.invoices_pkey
create table app.invoices (number bigint generated always as identity, tenant_id uuid not null references nebula.tenant (id), constraint invoices_pkey primary key (number));
create index on app.invoices (tenant_id);
alter table app.invoices enable row level security;
alter table app.invoices force row level security;
create policy tenant_isolation on app.invoices using (tenant_id = nebula.current_tenant());

--- foreign_key_without_tenant: app.lines constraint fk_lines_order
alter table app.orders add constraint orders_id_key unique (id);
create table app.lines (id uuid not null default gen_random_uuid(), tenant_id uuid not null references nebula.tenant (id), order_id uuid, primary key (tenant_id, id),
  constraint fk_lines_order foreign key (order_id) references app.orders (id) on delete set null);
create index on app.lines (tenant_id, order_id);
alter table app.lines enable row level security;
alter table app.lines force row level security;
create policy tenant_isolation on app.lines using (tenant_id = nebula.current_tenant());

--- tenant_column_nullable: app.orders
alter table app.orders drop constraint orders_pkey, alter column tenant_id drop not null;
create index on app.orders (tenant_id);

--- tenant_column_without_foreign_key: app.orders
alter table app.orders drop constraint orders_tenant_id_fkey;

--- key_nearly_exhausted: app.notes_id_seq
create table app.notes (id integer primary key generated by default as identity);
select setval('app.notes_id_seq', 2000000000);

--- key_nearly_exhausted: app.numbers
create sequence app.numbers as smallint;
select setval('app.numbers', 30000);

--- foreign_key_to_auth_unique: app.people constraint fk_people_phone
create schema auth;
create table auth.users (id uuid primary key, phone text unique);
create table app.people (id uuid primary key, phone text constraint fk_people_phone references auth.users (phone));
create index on app.people (phone);
--- undone by
drop schema auth cascade;

--- unsupported_reg_type: app.notes column task
create table app.notes (id uuid primary key, task regproc);

--- constraint_not_validated: app.orders constraint ck_orders_customer
alter table app.orders add constraint ck_orders_customer check (customer <> '') not valid;

--- trigger_disabled: app.orders trigger stamped
create function app.stamped() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as 'begin return new; end';
revoke execute on function app.stamped from public;
create trigger stamped before insert on app.orders for each row execute function app.stamped();
alter table app.orders disable trigger stamped;

--- unlogged_table: app.orders
alter table app.orders set unlogged;

--- table_bloat: app.notes
create table app.notes (id integer primary key, body text) with (autovacuum_enabled = off);
insert into app.notes select n, repeat('x', 1000) from generate_series(1, 20000) n;
delete from app.notes where id < 20000;
vacuum analyze app.notes;

--- dead_rows: app.notes
create table app.notes (id integer primary key) with (autovacuum_enabled = off);
insert into app.notes select generate_series(1, 30000);
analyze app.notes;
delete from app.notes where id <= 20000;
select pg_stat_force_next_flush();
select pg_sleep(0.1);

--- statistics_missing: app.notes
create table app.notes (id integer primary key) with (autovacuum_enabled = off);
insert into app.notes select generate_series(1, 2000);
select pg_stat_force_next_flush();
select pg_sleep(0.1);

--- truncate_granted: app.orders
grant truncate on app.orders to authenticated;

--- references_or_trigger_granted: app.orders
grant references, trigger on app.orders to public;

--- schema_create_granted: app
grant create on schema app to public;

--- temporary_granted: database :database
grant temporary on database :"database" to public;

--- sequence_readable: app.invoices_number_seq
create table app.invoices (number bigint generated always as identity, tenant_id uuid not null references nebula.tenant (id), primary key (tenant_id, number));
alter table app.invoices enable row level security;
alter table app.invoices force row level security;
create policy tenant_isolation on app.invoices using (tenant_id = nebula.current_tenant());
grant usage, select on sequence app.invoices_number_seq to authenticated;

--- default_privileges_to_callers: default privileges of postgres in app
alter default privileges in schema app grant select on tables to anon;

--- anon_may_write: app.orders
grant insert on app.orders to anon;

--- graphql_visible_to_anon: app.orders
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (999999, 'pg_graphql', 10, 'app'::regnamespace, false, '1');
grant select on app.orders to anon;
--- undone by
delete from pg_extension where extname = 'pg_graphql';

--- graphql_visible_to_authenticated: app.orders
insert into pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) values (999999, 'pg_graphql', 10, 'app'::regnamespace, false, '1');
--- undone by
delete from pg_extension where extname = 'pg_graphql';

--- extension_in_public: extension pgcrypto
create extension pgcrypto schema public;
--- undone by
drop extension pgcrypto;
drop schema extensions;

--- extension_outdated: extension pgcrypto
create extension pgcrypto schema app version '1.3';
update pg_extension set extversion = '1.2' where extname = 'pgcrypto';

--- queue_exposed: pgmq.q_mails
create schema pgmq;
create table pgmq.q_mails (id bigint primary key);
grant select on pgmq.q_mails to anon;
--- undone by
drop schema pgmq cascade;

--- public_bucket_listing: bucket avatars
create schema storage;
create table storage.buckets (id text primary key, public boolean);
create table storage.objects (id uuid primary key, bucket_id text);
alter table storage.objects enable row level security;
insert into storage.buckets values ('avatars', true), ('papers', false);
create policy listed on storage.objects for select using (bucket_id = 'avatars');
create policy kept on storage.objects for select using (bucket_id = 'papers');
--- undone by
drop schema storage cascade;

--- table_owned_by_caller: app.orders
alter table app.orders owner to authenticated;

--- caller_role_is_strong: role authenticated
alter role authenticated bypassrls;

--- caller_role_is_strong: role nebula_app
grant pg_read_all_data to nebula_app;

--- nebula_rls: nebula."group"
alter table nebula."group" no force row level security;

--- nebula_policy: nebula.session
create policy open on nebula.session using (true);

--- nebula_policy: nebula.session
alter policy tenant_isolation on nebula.session using (true);
drop policy platform_access on nebula.session;

--- nebula_owner: nebula.tool
alter table nebula.tool owner to postgres;

--- nebula_table_privilege: nebula.session
grant select on nebula.session to authenticated;

--- nebula_table_privilege: nebula.issuer_key
grant select on nebula.issuer_key to public;

--- nebula_column_privilege: nebula."user" column email
grant select (email) on nebula."user" to nebula_app;

--- nebula_function_privilege: nebula.issue_operator_key(text)
grant execute on function nebula.issue_operator_key(text) to public;

--- nebula_function_privilege: nebula.bind_role(text,uuid,text)
grant execute on function nebula.bind_role(text, uuid, text) to nebula_edge;

--- nebula_function_privilege_missing: nebula.handle(uuid,json)
revoke execute on function nebula.handle(uuid, json) from nebula_edge;

--- nebula_function_owner: nebula.dispatch(text,json,text)
alter function nebula.dispatch(text, json, text) owner to postgres;
--- undone by
revoke execute on function nebula.dispatch(text, json, text) from postgres;

--- nebula_function_search_path: nebula.migrate()
alter function nebula.migrate() set search_path = public;

--- nebula_schema_privilege: schema nebula
grant create on schema nebula to public;

--- nebula_sequence_privilege: nebula.outbox_position_seq
grant select on sequence nebula.outbox_position_seq to nebula_app;

--- nebula_table_is_member: nebula.tool
alter extension nebula add table nebula.tool;

--- nebula_trigger_disabled: nebula."user" trigger audit_update
alter table nebula."user" disable trigger audit_update;

--- nebula_trigger_disabled: nebula."user" trigger audit_insert
alter table nebula."user" enable trigger audit_insert;

--- nebula_trigger_missing: nebula.api_key
drop trigger audit_delete on nebula.api_key;

--- nebula_foreign_object: function nebula.eq(uuid,text)
create function nebula.eq(uuid, text) returns boolean language sql set search_path = pg_catalog, pg_temp as 'select true';
revoke execute on function nebula.eq from public;

--- nebula_foreign_object: relation nebula.everybody
create view nebula.everybody with (security_invoker = true) as select * from nebula."user";

--- nebula_role_attribute: role nebula_edge
alter role nebula_edge bypassrls inherit;

--- nebula_role_member: role nebula_edge
grant nebula_platform to nebula_edge;

--- nebula_role_member: role sneaky
create role sneaky login;
grant nebula_owner to sneaky;
--- undone by
drop role sneaky;

--- nebula_role_setting: role nebula_edge
alter role nebula_edge set search_path = evil, nebula;

--- nebula_role_setting: role nebula_edge
alter role nebula_edge in database :"database" set statement_timeout = '1ms';

--- nebula_role_setting: role nebula_worker
alter role nebula_worker reset log_parameter_max_length;

--- nebula_secret_published: publication everything
create publication everything for table nebula.user_secret, nebula.tool;
--- undone by
drop publication everything;

--- schema_outdated: nebula.schema_migration
create table app.kept as select * from nebula.schema_migration where version > 20;
delete from nebula.schema_migration where version > 20;
--- by hand
insert into nebula.schema_migration select * from app.kept;

--- library_and_sql_differ: extension nebula
update pg_extension set extversion = '0.0.9' where extname = 'nebula';
--- by hand
update pg_extension set extversion = nebula.version() where extname = 'nebula';

--- partition_missing: nebula.audit_log
do $$ begin execute format('drop table nebula.audit_log_%s', to_char(date_trunc('month', now() at time zone 'utc') + interval '1 month', 'YYYY_MM')); end $$;

--- default_partition_rows: nebula.audit_log_default
insert into nebula.audit_log (tenant_id, actor_type, action, entity_type, created_at) values (gen_random_uuid(), 'system', 'users.create', 'user', now() + interval '3 years');

--- signing_key_missing: nebula.signing_key
create table app.kept as select * from nebula.signing_key;
update nebula.signing_key set status = 'retiring';
--- by hand
update nebula.signing_key set status = 'active';

--- signing_key_weak: signing key old
insert into nebula.signing_key (kid, public_key, status) values ('old', decode(repeat('00', 162), 'hex'), 'retiring');
--- undone by
delete from nebula.signing_key where kid = 'old';

--- sealing_key_none: nebula.sealing_key
create table app.kept as select * from nebula.sealing_key;
delete from nebula.sealing_key;
--- by hand
insert into nebula.sealing_key select * from app.kept;

--- sealing_key_lacking: sealing key 77
insert into nebula.integration_credential (tenant_id, provider, name, data_encrypted, key_version) select id, 'stripe', 'main', '\x00', 77 from nebula.tenant limit 1;
--- by hand
delete from nebula.integration_credential where key_version = 77;

--- issuer_shared_secret: issuer https://old.example
select nebula.register_issuer('{"issuer": "https://old.example", "audience": "a", "algorithms": ["HS256"], "tenantClaim": "tenantId", "emailVerifiedClaim": "email_verified"}');
select nebula.set_issuer_secret('https://old.example', 'q8Yw1zN4vK7eR0tB3mX6uJ9hG2fD5sAc');
--- by hand
select nebula.remove_issuer('https://old.example');

--- issuer_secret_weak: issuer https://old.example
select nebula.register_issuer('{"issuer": "https://old.example", "audience": "a", "algorithms": ["HS256"], "tenantClaim": "tenantId", "emailVerifiedClaim": "email_verified"}');
select nebula.set_issuer_secret('https://old.example', 'super-secret-jwt-token-with-at-least-32-characters-long');
--- undone by
select nebula.remove_issuer('https://old.example');

--- issuer_without_key: issuer https://new.example
select nebula.register_issuer('{"issuer": "https://new.example", "audience": "a", "algorithms": ["ES256"], "tenantClaim": "tenantId", "emailVerifiedClaim": "email_verified"}');
--- by hand
select nebula.remove_issuer('https://new.example');

--- dead_jobs: events user.created
insert into nebula.outbox (tenant_id, type, payload, status, attempts, finished_at) select id, 'user.created', '{"version": 1, "data": {}}', 'dead', 5, now() from nebula.tenant limit 1;
--- undone by
delete from nebula.outbox where type = 'user.created';

--- webhook_failing: webhook 00000000-0000-7000-8000-000000000001
insert into nebula.sealing_key (version, fingerprint) values (78, sha256('x'));
insert into nebula.webhook_subscription (id, tenant_id, url, events, secret_sealed, secret_key_version, failing_since)
select '00000000-0000-7000-8000-000000000001', id, 'https://a.example', '{*}', '\x00', 78, now() - interval '2 days' from nebula.tenant limit 1;
--- undone by
delete from nebula.webhook_subscription where id = '00000000-0000-7000-8000-000000000001';
delete from nebula.sealing_key where version = 78;

--- place_not_adopted: database :database
delete from nebula.delivery_place;

--- task_failed: task retention
insert into nebula.task (name, due_at, last_error) values ('retention', now() + interval '1 day', 'storage: not reachable') on conflict (name) do update set last_error = excluded.last_error, due_at = excluded.due_at;
--- by hand
delete from nebula.task;

--- task_overdue: task retention
insert into nebula.task (name, due_at) values ('retention', now() - interval '2 hours') on conflict (name) do update set due_at = excluded.due_at;
--- by hand
delete from nebula.task;

--- outbox_stalled: nebula.outbox
insert into nebula.outbox (tenant_id, type, payload, available_at) select id, 'user.created', '{"version": 1, "data": {}}', now() - interval '2 hours' from nebula.tenant limit 1;
--- by hand
delete from nebula.outbox where type = 'user.created';

--- catalog_not_seeded: nebula.tool_action
set session_replication_role = replica;
delete from nebula.group_permission;
delete from nebula.api_key_action;
delete from nebula.package_action;
delete from nebula.tool_action;

--- binding_dangling: binding of somebody
insert into nebula.role_binding (tenant_id, role_name, api_key_id) select tenant_id, 'somebody', id from nebula.api_key limit 1;

--- binding_of_strong_role: binding of mighty
create role mighty login bypassrls;
insert into nebula.role_binding (tenant_id, role_name, api_key_id) select tenant_id, 'mighty', id from nebula.api_key limit 1;
--- undone by
delete from nebula.role_binding where role_name = 'mighty';
drop role mighty;

--- audit_key_none: nebula.audit_key
create table app.kept_keys as select * from nebula.audit_key;
delete from nebula.audit_key;
--- by hand
insert into nebula.audit_key select * from app.kept_keys;

--- audit_seals_late: nebula.audit_watermark
update nebula.audit_key set created_at = now() - interval '2 hours';
--- by hand
update nebula.audit_key set created_at = now();

--- expired_rows_kept: nebula.idempotency_key
insert into nebula.idempotency_key (tenant_id, key, handler, request_digest, response_status, response_hash, created_at)
select id, 'old', 'users.create', sha256('x'), 201, sha256('y'), now() - interval '3 days' from nebula.tenant limit 1;

--- wraparound_near: app.orders
alter database :"database" set vacuum_failsafe_age = 200;
select 'select pg_current_xact_id()' from generate_series(1, 150) \gexec
--- undone by
alter database :"database" reset vacuum_failsafe_age;

--- prepared_transaction: prepared transaction forgotten
begin;
create table app.prepared (id integer primary key);
prepare transaction 'forgotten';
select pg_sleep(1.2);

--- replication_slot_inactive: replication slot forgotten
select pg_create_physical_replication_slot('forgotten', true);

--- role_bypasses_rls: role auditor
create role auditor bypassrls;
--- undone by
drop role auditor;

--- setting_loses_data: setting full_page_writes
alter system set full_page_writes = off;
select pg_reload_conf();
select pg_sleep(0.3);

--- setting_weak: setting password_encryption
alter system set password_encryption = 'md5';
select pg_reload_conf();
select pg_sleep(0.3);

--- password_md5: role old_login
set password_encryption = 'md5';
create role old_login login password 'old';
--- by hand
alter role old_login password 'new';
--- undone by
drop role old_login;

--- setting_of_role_or_database: setting session_replication_role of role authenticator
alter role authenticator set session_replication_role = replica;

--- setting_of_role_or_database: setting row_security of database :database
alter database :"database" set row_security = off;

--- protected_policy_changed: app.bills policy nebula_tenant
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1), emits => true);
drop policy nebula_tenant on app.bills;
--- undone by
delete from nebula.protected_table;

--- protected_policy_changed: app.bills policy nebula_read
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1));
alter policy nebula_read on app.bills using (tenant_id = nebula.current_tenant());
--- undone by
delete from nebula.protected_table;

--- protected_policy_added: app.bills policy open
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1));
create policy open on app.bills for select using (true);
--- undone by
delete from nebula.protected_table;

--- protected_rls_disabled: app.bills
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1));
alter table app.bills disable row level security;
--- undone by
delete from nebula.protected_table;

--- protected_trigger_missing: app.bills trigger nebula_audit_update
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1), emits => true);
drop trigger nebula_audit_update on app.bills;
--- undone by
delete from nebula.protected_table;

--- protected_trigger_missing: app.bills trigger nebula_emit_insert
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1), emits => true);
alter table app.bills disable trigger nebula_emit_insert;
--- undone by
delete from nebula.protected_table;

--- protection_unfinished: app.bills
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1));
alter table nebula.protected_table disable trigger touch_updated_at;
update nebula.protected_table set is_complete = false, updated_at = now() - interval '2 hours';
alter table nebula.protected_table enable trigger touch_updated_at;
--- by hand
update nebula.protected_table set is_complete = true;
--- undone by
delete from nebula.protected_table;

--- protected_table_gone: protected table bills
create table app.bills (id uuid primary key default gen_random_uuid(), total numeric);
select nebula.protect('app.bills', (select id from nebula.tenant limit 1));
drop table app.bills;

--- exposed_function_gone: operation hello.read v1
create function app.hello() returns text language sql stable set search_path = pg_catalog, pg_temp as 'select ''hello''';
revoke execute on function app.hello from public;
select nebula.expose('app.hello()', 'hello.read', 'GET', '/v1/hello');
drop function app.hello;
--- undone by
alter table nebula.operation_version disable trigger all;
delete from nebula.operation_version;
delete from nebula.operation;
alter table nebula.operation_version enable trigger all;
alter table nebula.operation_version enable always trigger refuse_change, enable always trigger refuse_truncate;
alter table nebula.operation_version enable always trigger audit_insert, enable always trigger audit_update, enable always trigger audit_delete;

--- exposed_function_definer: operation hello.read v1
create function app.hello() returns text language sql stable set search_path = pg_catalog, pg_temp as 'select ''hello''';
revoke execute on function app.hello from public;
select nebula.expose('app.hello()', 'hello.read', 'GET', '/v1/hello');
alter function app.hello security definer;
--- undone by
alter table nebula.operation_version disable trigger all;
delete from nebula.operation_version;
delete from nebula.operation;
alter table nebula.operation_version enable trigger all;
alter table nebula.operation_version enable always trigger refuse_change, enable always trigger refuse_truncate;
alter table nebula.operation_version enable always trigger audit_insert, enable always trigger audit_update, enable always trigger audit_delete;

--- exposed_function_of_another_owner: operation hello.read v1
create role app_owner;
create function app.hello() returns text language sql stable set search_path = pg_catalog, pg_temp as 'select ''hello''';
revoke execute on function app.hello from public;
select nebula.expose('app.hello()', 'hello.read', 'GET', '/v1/hello');
alter function app.hello owner to app_owner;
--- undone by
alter table nebula.operation_version disable trigger all;
delete from nebula.operation_version;
delete from nebula.operation;
alter table nebula.operation_version enable trigger all;
alter table nebula.operation_version enable always trigger refuse_change, enable always trigger refuse_truncate;
alter table nebula.operation_version enable always trigger audit_insert, enable always trigger audit_update, enable always trigger audit_delete;
drop role app_owner;

--- exposed_function_not_executable: operation hello.read v1
create function app.hello() returns text language sql stable set search_path = pg_catalog, pg_temp as 'select ''hello''';
revoke execute on function app.hello from public;
select nebula.expose('app.hello()', 'hello.read', 'GET', '/v1/hello');
revoke execute on function app.hello from authenticated;
--- undone by
alter table nebula.operation_version disable trigger all;
delete from nebula.operation_version;
delete from nebula.operation;
alter table nebula.operation_version enable trigger all;
alter table nebula.operation_version enable always trigger refuse_change, enable always trigger refuse_truncate;
alter table nebula.operation_version enable always trigger audit_insert, enable always trigger audit_update, enable always trigger audit_delete;
