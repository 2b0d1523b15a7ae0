-- Whether one tenant reaches another: tried, under the roles that callers have, and taken back. Behaviour: extension/src/platform/prover.rs, kernel/canary.rs.

create function nebula.run_prover(options json) returns void
language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'run_prover_wrapper';
comment on function nebula.run_prover(json) is
  'Makes two tenants, has everything tried, keeps what was found for nebula.take_proof(), and always raises, so that nothing else of it stays. Called by nebula.prove_isolation().';

create function nebula.take_proof() returns json
language c volatile parallel unsafe as 'MODULE_PATHNAME', 'take_proof_wrapper';
comment on function nebula.take_proof() is 'What the last run of the prover in this session has found, once.';

create function nebula.prover_attempt(who text, role text, mode text, statement text) returns json
language c volatile strict parallel unsafe as 'MODULE_PATHNAME', 'prover_attempt_wrapper';
comment on function nebula.prover_attempt(text, text, text, text) is
  'Runs a statement as a canary (a, b) or nobody, under a role: {state, rows, seen, constraint}. Refused but while the prover runs. mode: value (its one text), rows (how many it touched), keep (not taken back).';

create function nebula.canary_row(target oid, tenant_column name, canary json, variant integer) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  marker text := canary ->> 'marker';
  names text[] := '{}';
  "values" text[] := '{}';
  a record;
  f record;
  value text;
  sample text;
begin
  -- What checks on texts tend to ask for, one after the other.
  sample := (array[marker, marker || '@canary.invalid', 'https://' || marker || '.invalid', left(replace(marker, 'canary-', ''), 12), lpad((random() * 1e11)::bigint::text, 11, '1'), 'A'])[variant];
  for a in
    select
      c.attname, c.attnum, c.attnotnull, c.attidentity, c.atttypid, c.atttypmod, t.typtype, t.typcategory, t.typname, coalesce(nullif(t.typbasetype, 0), t.oid) as base,
      pg_get_expr(d.adbin, d.adrelid) as default_text
    from pg_attribute c
    join pg_type t on t.oid = c.atttypid
    left join pg_attrdef d on d.adrelid = c.attrelid and d.adnum = c.attnum
    where c.attrelid = target and c.attnum > 0 and not c.attisdropped and c.attgenerated = ''
    order by c.attnum
  loop
    value := null;
    select k.confrelid, p.attname as target_column, (
        select o.attname from pg_attribute o
        where o.attrelid = k.confrelid and o.attnum > 0 and not o.attisdropped and o.atttypid = 'uuid'::regtype
          and (o.attname = 'tenant_id' or exists (
            select from pg_constraint x where x.conrelid = k.confrelid and x.contype = 'f' and x.confrelid = 'nebula.tenant'::regclass and x.conkey = array[o.attnum]))
        order by o.attname <> 'tenant_id' limit 1) as target_tenant
      into f
    from pg_constraint k
    join pg_attribute p on p.attrelid = k.confrelid and p.attnum = k.confkey[array_position(k.conkey, a.attnum)]
    where k.conrelid = target and k.contype = 'f' and a.attnum = any (k.conkey) and k.confrelid <> target
    order by cardinality(k.conkey)
    limit 1;
    if a.attname = tenant_column then
      value := quote_literal(canary ->> 'tenant');
    elsif f.confrelid is not null then
      value := format('(select x.%I from %s x%s limit 1)', f.target_column, f.confrelid::regclass,
        case when f.target_tenant is not null then format(' where x.%I = %L', f.target_tenant, canary ->> 'tenant') else '' end);
    elsif a.attidentity <> '' or a.default_text like 'nextval(%' then
      -- A number of its own: the sequence stays where it is. The second variants leave it to the sequence, for checks that want it so.
      continue when variant > 1 and a.attidentity = '' or variant > 3;
      value := (-(random() * 30000)::integer - 1)::text;
    elsif a.default_text is not null then
      continue;
    else
      -- The first of a closed list, where a check has one.
      select format('%L', (regexp_match(pg_get_constraintdef(k.oid), '\(ARRAY\[''([^'']*)'''))[1]) into value
      from pg_constraint k
      where k.conrelid = target and k.contype = 'c' and k.conkey = array[a.attnum] and pg_get_constraintdef(k.oid) ~ '= ANY \(+ARRAY\['''
      limit 1;
      value := coalesce(value, case
        when a.typtype = 'e' then (select quote_literal(e.enumlabel) from pg_enum e where e.enumtypid = a.atttypid order by e.enumsortorder limit 1)
        when a.typcategory = 'S' then quote_literal(case when a.atttypmod > 4 and a.base <> 'text'::regtype then left(sample, a.atttypmod - 4) else sample end)
        when not a.attnotnull and a.typtype <> 'd' then null
        when a.typcategory = 'A' then '''{}'''
        when a.base = 'uuid'::regtype then 'gen_random_uuid()'
        when a.base = 'boolean'::regtype then 'false'
        when a.base in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype) then (1 + (random() * 30000)::integer)::text
        when a.base = 'money'::regtype then '1'
        when a.base in ('json'::regtype, 'jsonb'::regtype) then quote_literal(json_build_object('canary', marker)::text)
        when a.base in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) then 'now()'
        when a.base in ('time'::regtype, 'timetz'::regtype) then '''12:00'''
        when a.base = 'interval'::regtype then '''1 day'''
        when a.base = 'bytea'::regtype then format('convert_to(%L, ''utf8'')', marker)
        when a.base in ('inet'::regtype, 'cidr'::regtype) then '''127.0.0.1'''
        when a.typcategory = 'R' then '''empty'''
      end);
    end if;
    if value is not null then
      names := names || quote_ident(a.attname);
      "values" := "values" || case when a.typtype = 'd' or a.typtype = 'e' then value || '::' || format_type(a.atttypid, null) else value end;
    end if;
  end loop;
  return format('insert into %s (%s) overriding system value values (%s)', target::regclass, array_to_string(names, ', '), array_to_string("values", ', '));
end
$$;
comment on function nebula.canary_row(oid, name, json, integer) is
  'A statement that inserts a row of a canary into a table: keys of what it references, closed lists, and made-up values for what has no default. variant, from 1 to 6: other texts.';

create function nebula.prover_table_attempts(target oid, tenant_column name, a json, b json, row_of_b jsonb, fresh_row_of_b text, who text)
returns table (attempt text, mode text, judged text, statement text, not_tried text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with it as (
    select target::regclass::text as name, quote_ident(tenant_column) as tenant, quote_literal(a ->> 'tenant') as own, quote_literal(b ->> 'tenant') as other,
      case when row_of_b is null then 'the other canary has no row there: see "make rows"' end as no_row
  )
  select 'read rows of others', 'value', 'count',
    case when who = 'nobody' then format('select count(*) from (select from %s limit 1000) x', name)
    else format('select count(*) from (select from %s where %s is distinct from %s limit 1000) x', name, tenant, own) end, null
  from it
  union all
  select 'read a row that is known', 'value', 'count', format('select count(*) from %s where %s = %s', name, tenant, other), no_row from it
  union all
  select 'copy it out as XML', 'value', 'found', format('select query_to_xml(%L, true, false, '''')::text', format('select * from %s where %s = %s', name, tenant, other)), no_row
  from it
  union all
  select 'update', 'rows', 'rows', format('update %s set %s = %2$s where %2$s = %s', name, tenant, other), no_row from it
  union all
  select 'update returning', 'value', 'count', format('with x as (update %s set %s = %2$s where %2$s = %s returning 1) select count(*) from x', name, tenant, other), no_row from it
  union all
  select 'take a row over', 'rows', 'rows', format('update %1$s set %2$s = %3$s where %2$s = %4$s', name, tenant, own, other), no_row from it where who <> 'nobody'
  union all
  select 'give a row away', 'rows', 'rows', format('update %1$s set %2$s = %3$s where %2$s = %4$s', name, tenant, other, own), null from it where who <> 'nobody'
  union all
  select 'delete', 'rows', 'rows', format('delete from %s where %s = %s', name, tenant, other), no_row from it
  union all
  select 'merge', 'rows', 'rows', format('merge into %s t using (values (%s::uuid)) s (id) on t.%s = s.id when matched then delete', name, other, tenant), no_row from it
  union all
  select 'insert', 'rows', 'rows', fresh_row_of_b, case when fresh_row_of_b is null then no_row end from it
  union all
  select 'insert on conflict', 'rows', 'rows', fresh_row_of_b || ' on conflict do nothing', case when fresh_row_of_b is null then no_row end from it
  union all
  select 'explain', 'value', 'found', format('explain (format json) select * from %s where %s = %s', name, tenant, other), no_row from it
  union all
  select 'read statistics', 'value', 'count',
    format('select count(*) from pg_stats where format(''%%I.%%I'', schemaname, tablename) = %L and (most_common_vals is not null or histogram_bounds is not null)', name), null
  from it
  union all
  -- Something unique without the tenant: who inserts the same is told. Random ids tell nothing.
  select
    'learn of a value by ' || i.indexrelid::regclass, 'rows', 'duplicate',
    format('insert into %1$s (%2$s) overriding system value select %3$s from jsonb_populate_record(null::%1$s, %4$L::jsonb) x', it.name,
      string_agg(quote_ident(c.attname), ', ' order by c.attnum),
      string_agg(case
        when c.attname = tenant_column then it.own || '::uuid'
        when c.atttypid = 'uuid'::regtype and c.attnum <> all (i.indkey::smallint[]) and exists (
          select from pg_index o where o.indrelid = target and o.indisunique and c.attnum = any (o.indkey::smallint[])) then 'gen_random_uuid()'
        else 'x.' || quote_ident(c.attname) end, ', ' order by c.attnum),
      coalesce(row_of_b, '{}')),
    it.no_row
  from it
  join pg_index i on i.indrelid = target and i.indisunique and i.indisvalid
  join pg_attribute t on t.attrelid = target and t.attname = tenant_column and t.attnum <> all (i.indkey::smallint[])
  join pg_attribute c on c.attrelid = target and c.attnum > 0 and not c.attisdropped and c.attgenerated = ''
  where who <> 'nobody' and (i.indexprs is not null or exists (
    select from pg_attribute u where u.attrelid = target and u.attnum = any (i.indkey::smallint[]) and u.atttypid <> 'uuid'::regtype))
  group by i.indexrelid, i.indkey, it.name, it.own, it.no_row
  union all
  -- A reference to what only the other one has.
  select
    'reference a row by ' || quote_ident(f.conname), 'rows', 'rows',
    format('update %s set %s where %s = %s', it.name,
      string_agg(format('%I = (jsonb_populate_record(null::%s, %L::jsonb)).%1$I', c.attname, it.name, coalesce(row_of_b, '{}')), ', ' order by c.attnum), it.tenant, it.own),
    coalesce(it.no_row, case when bool_or(coalesce(row_of_b -> c.attname::text, 'null') = 'null') then 'the other canary''s row references nothing' end)
  from it
  join pg_constraint f on f.conrelid = target and f.contype = 'f' and f.confrelid not in ('nebula.tenant'::regclass, target)
  join pg_attribute c on c.attrelid = target and c.attnum = any (f.conkey) and c.attname <> tenant_column
  where who <> 'nobody' and exists (
    select from pg_attribute p where p.attrelid = f.confrelid and p.atttypid = 'uuid'::regtype and not p.attisdropped
      and (p.attname = 'tenant_id' or exists (
        select from pg_constraint x where x.conrelid = f.confrelid and x.confrelid = 'nebula.tenant'::regclass and x.conkey = array[p.attnum])))
  group by f.conname, it.name, it.tenant, it.own, it.no_row
$$;
comment on function nebula.prover_table_attempts(oid, name, json, json, jsonb, text, text) is
  'What the prover tries with a table: the statement, how it is run (mode), and by what it would be a leak (judged: count, rows, found, duplicate).';

create function nebula.prover_readers(schemas text[], call_volatile boolean, b json)
returns table (object text, kind text, id oid, statement text, not_tried text)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select
    'view ' || c.oid::regclass, 'view', c.oid,
    format('select left(coalesce(string_agg(x, '','' order by x), ''''), 200000) from (select v::text as x from %s v limit 10000) y', c.oid::regclass), null
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any (schemas) and c.relkind in ('v', 'm')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  union all
  select
    'function ' || f.name, 'function', f.id,
    format('select left(coalesce(string_agg(x, '','' order by x), ''''), 200000) from (select y::text as x from %s(%s) y limit 10000) z',
      f.id::regproc, coalesce(filled.arguments, '')),
    case
      when p.provolatile = 'v' and not call_volatile then 'it is volatile, and might do what no rollback takes back: call_volatile => true tries it'
      when p.prokind <> 'f' then 'it is no plain function'
      when filled.is_open then 'no value is known for an argument of its types'
    end
  from nebula.doctor_functions(schemas) f
  join pg_proc p on p.oid = f.id
  cross join lateral (
    select
      string_agg(case
        when r.type = 'uuid'::regtype then quote_literal(b ->> 'tenant') || '::uuid'
        when t.typcategory = 'S' then quote_literal(b ->> 'marker') || '::' || format_type(r.type, null)
        when t.typcategory = 'N' then '1::' || format_type(r.type, null)
        when t.typcategory = 'B' then 'true'
        when t.typcategory = 'D' then 'now()::' || format_type(r.type, null)
        else '''{}''::' || format_type(r.type, null)
      end, ', ' order by r.at) as arguments,
      coalesce(bool_or(t.typtype = 'p' or not (r.type in ('uuid'::regtype, 'json'::regtype, 'jsonb'::regtype) or t.typcategory in ('S', 'N', 'B', 'D', 'A'))), false) as is_open
    from unnest(p.proargtypes::oid[]) with ordinality r (type, at)
    join pg_type t on t.oid = r.type
    where r.at <= p.pronargs - p.pronargdefaults
  ) filled
  where not f.returns_trigger
  union all
  -- The product's own, and what nebula.expose() has added: with ids that only the other one has where the path asks for one.
  select
    format('operation %s', o ->> 'operation') || case when ids.name = '' then '' else ', ' || ids.name end, case when o ->> 'method' = 'GET' then 'operation' else 'effect' end, null,
    format(case when o ->> 'method' = 'GET' then 'select left(coalesce(d::text, ''''), 200000) from nebula.dispatch(%L, %L, null) d'
      else 'select d.status::text from nebula.dispatch(%L, %L, null) d' end, o ->> 'operation',
      coalesce((select json_object_agg(m[1], ids.id) from regexp_matches(o ->> 'path', '\{(\w+)\}', 'g') m), '{}')),
    case when o ->> 'method' <> 'GET' and ids.name = '' then 'it writes what is one''s own, and needs an input' end
  from json_array_elements(nebula.routes()) o
  cross join lateral (
    select '', null where o ->> 'path' !~ '\{'
    union all
    select v, b ->> v from unnest(array['tenant', 'user', 'group']) v where o ->> 'path' ~ '\{'
  ) ids (name, id)
  where o ->> 'scope' <> 'public'
$$;
comment on function nebula.prover_readers(text[], boolean, json) is
  'Views, functions and operations that the prover asks, views and functions also before the other canary has rows; kind effect: an operation that acts. not_tried says why one is not asked.';

create function nebula.prover_may_become(role oid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  -- From Postgres 16 on, a member is not always one who may become the role: whoever makes a role administers it without that.
  select pg_has_role(session_user, role, case when current_setting('server_version_num')::integer < 160000 then 'MEMBER' else 'SET' end)
$$;
comment on function nebula.prover_may_become(oid) is 'Whether the session''s login may set this role: the prover tries things as no other.';

create function nebula.prover_roles(told json) returns table (role name, who text, label text, may boolean)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select r.rolname, w.who, r.rolname || case when w.who = 'nobody' and r.rolname <> 'anon' then ', nobody' else '' end, nebula.prover_may_become(r.oid)
  from pg_roles r
  cross join (values ('a'), ('nobody')) w (who)
  where r.rolname in ('authenticated', 'nebula_app') or r.rolname = 'anon' and w.who = 'nobody'
    or w.who = 'a' and r.rolname in (select json_array_elements_text(told -> 'logins'))
  order by r.rolname, w.who
$$;
comment on function nebula.prover_roles(json) is
  'The roles that the prover tries things as: what callers act as, the logins that are bound to tenants, and each without an identity.';

create function nebula.prover_reaches(role name, kind text, id oid) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select case
    when kind in ('operation', 'effect') then has_schema_privilege(role, 'nebula', 'usage') and has_function_privilege(role, 'nebula.dispatch(text, json, text)', 'execute')
    when kind = 'function' then (select has_schema_privilege(role, p.pronamespace, 'usage') and has_function_privilege(role, p.oid, 'execute') from pg_proc p where p.oid = id)
    when kind = 'view' then (select has_schema_privilege(role, c.relnamespace, 'usage') and has_any_column_privilege(role, c.oid, 'select') from pg_class c where c.oid = id)
    else (
      select has_schema_privilege(role, c.relnamespace, 'usage')
        and (has_table_privilege(role, c.oid, 'select, insert, update, delete, truncate, references, trigger')
          or has_any_column_privilege(role, c.oid, 'select, insert, update, references'))
      from pg_class c where c.oid = id
    )
  end
$$;
comment on function nebula.prover_reaches(name, text, oid) is 'Whether a role has any privilege on a table, or may read a view, call a function or an operation.';

create function nebula.prover_attempts(told json) returns json
language plpgsql volatile
set search_path = pg_catalog, pg_temp
-- Nobody waits long for the prover, nor it for them.
set lock_timeout = '1s'
set jit = off
as $$
declare
  a json := told -> 'a';
  b json := told -> 'b';
  options json := told -> 'options';
  deadline timestamptz := clock_timestamp() + (options ->> 'time_limit')::interval;
  schemas text[] := array(select json_array_elements_text(options -> 'schemas'));
  -- Asked once: on a large catalog they cost more than what is tried.
  readers jsonb;
  tables jsonb;
  -- By which the other canary's data is known in an answer: its own marks, and its rows' ids.
  secrets text := concat_ws('|', b ->> 'marker', b ->> 'tenant', b ->> 'user', b ->> 'group');
  findings json[] := '{}';
  -- By table: b's row, a statement that makes another one, and why there is none.
  rows_of_b jsonb := '{}';
  fresh jsonb := '{}';
  reasons jsonb := '{}';
  -- What readers answer before b has rows, by role and object.
  answers jsonb := '{}';
  unstable text[] := '{}';
  maker text;
  made_for json;
  made text;
  place text;
  outcome json;
  is_leak boolean;
  told_why text;
  t record;
  r record;
  s record;
begin
  select coalesce(jsonb_agg(x order by x.kind, x.object), '[]') into readers from nebula.prover_readers(schemas, (options ->> 'call_volatile')::boolean, b) x;
  select coalesce(jsonb_agg(x order by x.name), '[]') into tables
  from (
    select d.id, d.name, d.schema, d.owner, d.is_partition, d.tenant_column from nebula.doctor_tables(schemas || 'nebula'::text) d
  ) x;
  -- Rows of the application's tables: a's, then what readers answer, and only then b's.
  foreach maker in array array['a', 'b'] loop
    made_for := told -> maker;
    if maker = 'b' then
      for r in select x.* from nebula.prover_roles(told) x where x.may loop
        for s in
          select x.*
          from jsonb_to_recordset(readers) x (object text, kind text, id oid, statement text, not_tried text)
          where x.not_tried is null and x.kind in ('view', 'function') and nebula.prover_reaches(r.role, x.kind, x.id)
        loop
          exit when clock_timestamp() > deadline;
          place := r.label || ' ' || s.object;
          outcome := nebula.prover_attempt(r.who, r.role, 'value', s.statement);
          answers := answers || jsonb_build_object(place, coalesce(outcome ->> 'seen', outcome ->> 'state'));
          outcome := nebula.prover_attempt(r.who, r.role, 'value', s.statement);
          if answers ->> place is distinct from coalesce(outcome ->> 'seen', outcome ->> 'state') then
            unstable := unstable || place;
          end if;
        end loop;
      end loop;
    end if;
    -- What references another table succeeds once that one has a row.
    for pass in 1..4 loop
      for t in
        select d.id, d.name, d.tenant_column, o.rolname as owner, d.owner as owner_id
        from jsonb_to_recordset(tables) d (id oid, name text, schema text, owner oid, is_partition boolean, tenant_column name)
        join pg_roles o on o.oid = d.owner
        where d.schema <> 'nebula' and d.tenant_column is not null and not d.is_partition and (pass = 1 or reasons ? (maker || ' ' || d.name))
        order by d.name
      loop
        exit when clock_timestamp() > deadline;
        place := maker || ' ' || t.name;
        if not nebula.prover_may_become(t.owner_id) then
          reasons := reasons || jsonb_build_object(place, format('your login may not become its owner, %s', t.owner));
          continue;
        end if;
        -- As its owner: its defaults, checks and triggers get no more rights than they have anyway.
        for variant in 1..6 loop
          made := nebula.canary_row(t.id, t.tenant_column, made_for, variant);
          outcome := nebula.prover_attempt(maker, t.owner, 'keep', made);
          -- Only a check may be content with another text.
          exit when outcome ->> 'state' not in ('23514', '22001', '22P02', '23505', '22003');
        end loop;
        if outcome ->> 'state' = '' and (outcome ->> 'rows')::bigint > 0 then
          reasons := reasons - place;
          if maker = 'b' then
            fresh := fresh || jsonb_build_object(t.name, made);
            outcome := nebula.prover_attempt('b', t.owner, 'value',
              format('select to_jsonb(x)::text from %s x where %I = %L limit 1', t.name, t.tenant_column, b ->> 'tenant'));
            if outcome ->> 'seen' is null then
              reasons := reasons || jsonb_build_object(place, 'its owner doesn''t see the row that it made');
            else
              rows_of_b := rows_of_b || jsonb_build_object(t.name, (outcome ->> 'seen')::jsonb);
            end if;
          end if;
        else
          reasons := reasons || jsonb_build_object(place, concat_ws(' ', 'a made-up row was refused with',
            case when outcome ->> 'state' = '' then 'no word' else outcome ->> 'state' end, outcome ->> 'constraint'));
        end if;
      end loop;
      exit when not exists (select from jsonb_object_keys(reasons) x where x like maker || ' %');
    end loop;
  end loop;
  for s in select x.key, x.value from jsonb_each_text(reasons) x order by x.key loop
    findings := findings || json_build_object('role', 'owner', 'object', substr(s.key, 3), 'attempt', 'make rows', 'leaked', null, 'evidence', 'not tried: ' || s.value);
  end loop;
  select concat_ws('|', secrets, string_agg(distinct y.v, '|')) into secrets
  from jsonb_each(rows_of_b) x
  cross join lateral jsonb_each_text(x.value) y (k, v)
  where y.v ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' and y.v <> a ->> 'tenant'
    -- An id that a saw before is no secret.
    and not exists (select from jsonb_each_text(answers) z where position(y.v in z.value) > 0);

  for r in select x.* from nebula.prover_roles(told) x loop
    if not r.may then
      findings := findings || json_build_object('role', r.label, 'object', 'everything', 'attempt', 'become the role', 'leaked', null,
        'evidence', 'not tried: your login may not become it');
      continue;
    end if;
    for t in
      select d.id, d.name, coalesce(d.tenant_column, 'id') as tenant_column, nebula.prover_reaches(r.role, 'table', d.id) as is_reached
      from jsonb_to_recordset(tables) d (id oid, name text, tenant_column name)
      where d.tenant_column is not null or d.name = 'nebula.tenant'
      order by d.name
    loop
      if not t.is_reached then
        findings := findings || json_build_object('role', r.label, 'object', t.name, 'attempt', 'anything', 'leaked', false, 'evidence', 'no privilege');
        continue;
      end if;
      for s in
        select x.* from nebula.prover_table_attempts(t.id, t.tenant_column, a, b, rows_of_b -> t.name, fresh ->> t.name, r.who) x
        union all
        select lower(p), 'privilege', p, null, null from unnest(array['TRUNCATE', 'REFERENCES', 'TRIGGER']) p
      loop
        is_leak := null;
        if s.not_tried is not null then
          told_why := 'not tried: ' || s.not_tried;
        elsif clock_timestamp() > deadline then
          told_why := 'not tried: the time limit is over';
        elsif s.mode = 'privilege' then
          is_leak := has_table_privilege(r.role, t.id, s.judged);
          told_why := case when is_leak then 'granted: no policy is asked' else 'not granted' end;
        else
          outcome := nebula.prover_attempt(r.who, r.role, s.mode, s.statement);
          is_leak := case s.judged
            when 'count' then coalesce((outcome ->> 'seen')::bigint, 0) > 0
            -- Constraints are checked after the policies: who is refused by one was let in.
            when 'rows' then (outcome ->> 'rows')::bigint > 0 or outcome ->> 'state' like '23%' and s.attempt !~ '^reference'
            when 'duplicate' then outcome ->> 'state' = '23505'
            -- A plan repeats the query, and with it the tenant's id.
            else coalesce(outcome ->> 'seen' ~ case when s.attempt = 'explain' then b ->> 'marker' else secrets end, false)
          end;
          told_why := case
            when outcome ->> 'state' like '23%' and is_leak and s.judged = 'rows' then concat_ws(' ', 'only a constraint refused it:', outcome ->> 'state', outcome ->> 'constraint')
            when outcome ->> 'state' <> '' then concat_ws(' ', 'refused with', outcome ->> 'state', outcome ->> 'constraint')
            when s.judged = 'count' then concat(outcome ->> 'seen', case when s.attempt = 'read statistics' then ' columns' else ' rows' end,
              case when outcome ->> 'seen' = '1000' then ' or more' end)
            when s.judged in ('rows', 'duplicate') then (outcome ->> 'rows') || ' rows'
            when is_leak then 'something of the other canary was seen'
            else 'nothing of the other canary was seen'
          end;
        end if;
        findings := findings || json_build_object('role', r.label, 'object', t.name, 'attempt', s.attempt, 'leaked', is_leak, 'evidence', told_why);
      end loop;
    end loop;
    for s in
      select x.*, nebula.prover_reaches(r.role, x.kind, x.id) as is_reached
      from jsonb_to_recordset(readers) x (object text, kind text, id oid, statement text, not_tried text)
      order by x.kind, x.object
    loop
      is_leak := null;
      place := r.label || ' ' || s.object;
      if not s.is_reached then
        is_leak := false;
        told_why := 'no privilege';
      elsif s.not_tried is not null then
        told_why := 'not tried: ' || s.not_tried;
      elsif clock_timestamp() > deadline then
        told_why := 'not tried: the time limit is over';
      else
        outcome := nebula.prover_attempt(r.who, r.role, 'value', s.statement);
        is_leak := coalesce(outcome ->> 'seen' ~ case when s.kind = 'effect' then '^2' else secrets end, false);
        told_why := case
          when s.kind = 'effect' then concat('answered with ', coalesce(outcome ->> 'seen', outcome ->> 'state'))
          when is_leak then 'something of the other canary was seen'
          when outcome ->> 'state' <> '' then 'refused with ' || (outcome ->> 'state')
          else 'nothing of the other canary was seen'
        end;
        if not is_leak and s.kind in ('view', 'function') and coalesce(outcome ->> 'seen', outcome ->> 'state') is distinct from answers ->> place then
          is_leak := case when place = any (unstable) or not answers ? place then null else true end;
          told_why := case when is_leak then 'its answer changed when the other canary got rows' else 'not tried: it answers differently each time' end;
        end if;
      end if;
      findings := findings || json_build_object('role', r.label, 'object', s.object, 'attempt', case when s.kind = 'effect' then 'act on what the other has' else 'read' end, 'leaked', is_leak, 'evidence', told_why);
    end loop;
  end loop;
  return (select coalesce(json_agg(f order by at), '[]') from unnest(findings) with ordinality x (f, at));
end
$$;
comment on function nebula.prover_attempts(json) is 'Tries everything, within a run of the prover: a list of {role, object, attempt, leaked, evidence}.';

create function nebula.prove_isolation(schemas text[] default null, call_volatile boolean default false, time_limit interval default '60 seconds')
returns table (role text, object text, attempt text, leaked boolean, evidence text)
language plpgsql volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  proof json;
begin
  begin
    perform nebula.run_prover(json_build_object('schemas', nebula.doctor_schemas(schemas), 'call_volatile', call_volatile, 'time_limit', time_limit));
  exception
    -- How each run ends: what it made is taken back, what it found is not.
    when invalid_transaction_termination then
      proof := nebula.take_proof();
      if proof is null then
        raise;
      end if;
  end;
  return query
  select f ->> 'role', f ->> 'object', f ->> 'attempt', (f ->> 'leaked')::boolean, f ->> 'evidence'
  from json_array_elements(proof) with ordinality x (f, at)
  order by (f ->> 'leaked')::boolean is not true, (f ->> 'leaked')::boolean is not null, x.at;
end
$$;
comment on function nebula.prove_isolation(text[], boolean, interval) is
  'Makes two tenants with rows in every tenant''s table, tries from the one what must not reach the other, as every role that callers have, and takes everything back. leaked: true, false, or null where something could not be tried (evidence says why). Leaks come first.';
