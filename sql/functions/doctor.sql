-- What is wrong with a database, and the statements that mend it. The rules are files of sql/doctor, compiled into the library.

create function nebula.doctor_rules() returns json
language c stable parallel restricted as 'MODULE_PATHNAME', 'doctor_rules_wrapper';
comment on function nebula.doctor_rules() is
  'The rules of nebula.doctor(), in order: number, rule, severity, reader (dba: the caller''s rights; platform: the installation''s) and sql.';

create function nebula.doctor_schemas(schemas text[]) returns text[]
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
begin
  if schemas is null then
    return array(
      select n.nspname::text
      from pg_namespace n
      where n.nspname !~ '^pg_' and n.nspname not in (
        'nebula', 'information_schema',
        -- What Supabase and its extensions bring along.
        'auth', 'storage', 'realtime', '_realtime', '_analytics', '_supavisor', 'supabase_functions', 'supabase_migrations', 'vault', 'graphql', 'graphql_public', 'net',
        'cron', 'pgsodium', 'pgsodium_masks', 'pgbouncer', 'pgtle', 'extensions', 'pgmq', 'tiger', 'tiger_data', 'topology'
      )
      order by n.nspname
    );
  end if;
  for missing in select s from unnest(schemas) s where not exists (select from pg_namespace n where n.nspname = s) loop
    raise exception 'there is no schema %', missing using errcode = 'invalid_schema_name', hint = 'select nspname from pg_namespace';
  end loop;
  return schemas;
end
$$;
comment on function nebula.doctor_schemas(text[]) is 'These schemas, or those that no product brings along: the application''s.';

create function nebula.doctor_tables(schemas text[]) returns table (
  id oid, name text, schema text, owner oid, is_partition boolean, has_rls boolean, is_forced boolean, tenant_column name, callers name[]
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    c.oid, c.oid::regclass::text, n.nspname::text, c.relowner, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
    (
      select a.attname
      from pg_attribute a
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.atttypid = 'uuid'::regtype
        and (
          a.attname = 'tenant_id'
          or exists (
            select from pg_constraint k
            where k.conrelid = c.oid and k.contype = 'f' and k.confrelid = to_regclass('nebula.tenant') and k.conkey = array[a.attnum]
          )
        )
      order by a.attname <> 'tenant_id', a.attnum
      limit 1
    ),
    array(
      select r.rolname
      from pg_roles r
      where r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage')
        and (has_table_privilege(r.oid, c.oid, 'select, insert, update, delete') or has_any_column_privilege(r.oid, c.oid, 'select, insert, update'))
      order by r.rolname
    )
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (schemas) and c.relkind in ('r', 'p')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
$$;
comment on function nebula.doctor_tables(text[]) is
  'The tables of these schemas that belong to no extension; tenant_column: tenant_id, or what references nebula.tenant; callers: which of anon, authenticated and nebula_app reach it.';

create function nebula.doctor_policies(schemas text[]) returns table (
  table_id oid, table_name text, tenant_column name, name name, command text, is_permissive boolean, roles oid[], role_names text,
  using_text text, check_text text, is_binding boolean
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    t.id, t.name, t.tenant_column, p.polname,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
    p.polpermissive, p.polroles,
    (select string_agg(case when r.id = 0 then 'public' else r.id::regrole::text end, ', ' order by r.at) from unnest(p.polroles) with ordinality r (id, at)),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid),
    -- Who passes RLS by anyway, and the platform, which serves all tenants, are nobody whom a policy could let in.
    exists (
      select
      from unnest(p.polroles) r (id)
      left join pg_roles g on g.oid = r.id
      where r.id = 0 or not (g.rolsuper or g.rolbypassrls or g.rolname in ('nebula_owner', 'nebula_platform'))
    )
  from nebula.doctor_tables(schemas) t
  join pg_policy p on p.polrelid = t.id
$$;
comment on function nebula.doctor_policies(text[]) is 'The policies of the tables of these schemas; is_binding: it is for somebody whom RLS binds.';

create function nebula.doctor_functions(schemas text[]) returns table (
  id oid, name text, schema text, owner oid, is_owner_strong boolean, is_definer boolean, language name, returns_trigger boolean,
  has_search_path boolean, is_leakproof boolean, source text, callers name[], is_public boolean
)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    p.oid, p.oid::regprocedure::text, n.nspname::text, p.proowner,
    o.rolsuper or o.rolbypassrls or o.rolname in ('nebula_owner', 'nebula_platform'),
    p.prosecdef, l.lanname, p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype),
    exists (select from unnest(p.proconfig) s where s like 'search\_path=%'), p.proleakproof, p.prosrc,
    array(
      select r.rolname
      from pg_roles r
      where r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage') and has_function_privilege(r.oid, p.oid, 'execute')
      order by r.rolname
    ),
    exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a where a.grantee = 0)
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  join pg_roles o on o.oid = p.proowner
  where n.nspname = any (schemas) and p.prokind <> 'a'
    and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
$$;
comment on function nebula.doctor_functions(text[]) is
  'The functions and procedures of these schemas that belong to no extension; is_owner_strong: RLS doesn''t bind the owner, or it is one of ours.';

create function nebula.doctor_as_platform(rule text) returns table (object text, why text, remedy text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  -- By name alone, and only what is compiled in: nobody brings a statement of their own.
  return query execute (
    select r ->> 'sql'
    from json_array_elements(nebula.doctor_rules()) r
    where r ->> 'rule' = doctor_as_platform.rule and r ->> 'reader' = 'platform'
  );
end
$$;
comment on function nebula.doctor_as_platform(text) is 'What a rule finds that reads the rows of all tenants.';

create function nebula.doctor_as_owner(rule text) returns table (object text, why text, remedy text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  -- By name alone, and only what is compiled in: nobody brings a statement of their own.
  return query execute (
    select r ->> 'sql'
    from json_array_elements(nebula.doctor_rules()) r
    where r ->> 'rule' = doctor_as_owner.rule and r ->> 'reader' = 'owner'
  );
end
$$;
comment on function nebula.doctor_as_owner(text) is 'What a rule finds that reads what only the owner of the tables may, such as other issuers'' secrets.';

create function nebula.doctor(schemas text[] default null, rules text[] default null, patience interval default '5 minutes')
returns table (severity text, rule text, object text, why text, remedy text)
language plpgsql stable
set search_path = pg_catalog, pg_temp
-- A table that somebody alters just now is not waited for.
set lock_timeout = '1s'
set jit = off
as $$
declare
  checked record;
  seen text[];
begin
  seen := nebula.doctor_schemas(schemas);
  for object in
    select w
    from unnest(rules) w
    where not exists (select from json_array_elements(nebula.doctor_rules()) r where r ->> 'rule' = w)
  loop
    raise exception 'there is no rule %', object
      using errcode = 'invalid_parameter_value', hint = 'select r ->> ''rule'' from json_array_elements(nebula.doctor_rules()) r';
  end loop;
  for checked in
    select r ->> 'rule' as name, r ->> 'severity' as severity, r ->> 'reader' as reader, r ->> 'sql' as sql
    from json_array_elements(nebula.doctor_rules()) with ordinality as list (r, at)
    where rules is null or r ->> 'rule' = any (rules)
    order by r ->> 'severity' <> 'error', r ->> 'severity' <> 'warning', list.at
  loop
    severity := checked.severity;
    rule := checked.name;
    begin
      if checked.reader = 'platform' then
        for object, why, remedy in select * from nebula.doctor_as_platform(checked.name) f order by 1, 2 loop
          return next;
        end loop;
      elsif checked.reader = 'owner' then
        for object, why, remedy in select * from nebula.doctor_as_owner(checked.name) f order by 1, 2 loop
          return next;
        end loop;
      else
        for object, why, remedy in execute checked.sql using seen, patience loop
          return next;
        end loop;
      end if;
    exception
      -- One rule that can't be asked hides no other. (A cancelled statement is not caught here.)
      when insufficient_privilege then
        return query select 'info', 'rule_not_run', checked.name, 'You may not read what it needs: ' || sqlerrm, '-- run nebula.doctor() as a superuser';
      -- Tables that are older than the library: schema_outdated tells.
      when undefined_table or undefined_column then
        return query select 'info', 'rule_not_run', checked.name, 'It asks for what is not there: ' || sqlerrm, 'select nebula.migrate();';
      when others then
        return query select 'warning', 'rule_not_run', checked.name, format('It failed with %s: %s', sqlstate, sqlerrm), '-- report this';
    end;
  end loop;
end
$$;
comment on function nebula.doctor(text[], text[], interval) is
  'What is wrong: severity (error, warning, info), rule, object, why, and the SQL that mends it. schemas: those of the application (default: all that no product brings along); rules: some of nebula.doctor_rules(); patience: how long a transaction may be open.';
