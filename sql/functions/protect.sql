-- Tables of the application: made tenant-safe, and given back. Behaviour is in extension/src/platform/protect, kernel/row_right.rs, kernel/protected_table.rs.
--
-- What changes a table runs as who calls, who must own it; only the product's own notes are written with other rights, inside, after that was checked. The search path
-- is pinned, so that what is looked up by the names in the steps is what they mean; an expression of the caller's must qualify its names.

create function nebula.tenant_for(action text) returns uuid
language c stable strict parallel restricted as 'MODULE_PATHNAME', 'tenant_for_wrapper';
comment on function nebula.tenant_for(text) is
  'The caller''s tenant, if the caller may do the action now; else null. What the policies of protected tables compare with.';

create function nebula.emit_change() returns trigger
language c volatile security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'emit_change_wrapper';
comment on function nebula.emit_change() is
  'Trigger of protected tables: writes one event per changed row, <resource>.created, .updated or .deleted, with the row''s key alone.';

create function nebula.protection_steps(target text, options json, dry_run boolean)
returns table (step integer, name text, sql text, is_done boolean, note text)
language c volatile strict parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'protection_steps_wrapper';
comment on function nebula.protection_steps(text, json, boolean) is 'What nebula.protect() calls.';

create function nebula.begin_protection(target text, options json) returns boolean
language c volatile strict parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'begin_protection_wrapper';
comment on function nebula.begin_protection(text, json) is
  'The first of the steps of nebula.protect(): notes what the table is and what it is to become, and makes the actions that the catalog lacks.';

create function nebula.finish_protection(target text) returns boolean
language c volatile strict parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'finish_protection_wrapper';
comment on function nebula.finish_protection(text) is 'The last of the steps of nebula.protect(): notes that the table is protected; false if it is not on the way.';

create function nebula.protect(
  target regclass,
  tenant uuid default null,
  tenant_query text default null,
  tenant_column name default 'tenant_id',
  resource text default null,
  actions jsonb default null,
  tool text default null,
  package text default null,
  personal_columns name[] default '{}',
  audited boolean default true,
  emits boolean default false,
  touches_updated_at boolean default false,
  replace_policies boolean default false,
  grant_to name[] default '{}',
  dry_run boolean default false
) returns table (step integer, name text, sql text, is_done boolean, note text)
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select s.step, s.name, s.sql, s.is_done, s.note
  from nebula.protection_steps(
    protect.target::text,
    json_strip_nulls(json_build_object(
      'tenant', protect.tenant,
      'tenant_query', protect.tenant_query,
      'tenant_column', protect.tenant_column,
      'resource', protect.resource,
      'actions', protect.actions,
      'tool', protect.tool,
      'package', protect.package,
      'personal_columns', protect.personal_columns,
      'audited', protect.audited,
      'emits', protect.emits,
      'touches_updated_at', protect.touches_updated_at,
      'replace_policies', protect.replace_policies,
      'grant_to', protect.grant_to
    )),
    protect.dry_run
  ) s
$$;
comment on function nebula.protect(regclass, uuid, text, name, text, jsonb, text, text, name[], boolean, boolean, boolean, boolean, name[], boolean) is
  'Makes a table of the caller''s tenant-safe, whole, in this transaction, or with dry_run only says by which steps; each can then run in a transaction of its own. Called again it does what is missing, and changes options.';

create function nebula.unprotection_steps(target text, drop_column boolean, dry_run boolean)
returns table (step integer, name text, sql text, is_done boolean, note text)
language c volatile strict parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'unprotection_steps_wrapper';
comment on function nebula.unprotection_steps(text, boolean, boolean) is 'What nebula.unprotect() calls.';

create function nebula.end_protection(target text) returns boolean
language c volatile strict parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'end_protection_wrapper';
comment on function nebula.end_protection(text) is 'The last of the steps of nebula.unprotect(): forgets the table; false if it is not known.';

create function nebula.unprotect(target regclass, drop_column boolean default false, dry_run boolean default false)
returns table (step integer, name text, sql text, is_done boolean, note text)
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select s.step, s.name, s.sql, s.is_done, s.note
  from nebula.unprotection_steps(unprotect.target::text, unprotect.drop_column, unprotect.dry_run) s
$$;
comment on function nebula.unprotect(regclass, boolean, boolean) is
  'Gives a protected table back as it was. A tenant column that was added keeps its values, as an ordinary column, unless drop_column says that it goes too.';
