-- $1 the function's name, $2 its signature as regprocedure text under an empty search path, $3 the schema of ours. What must be known of a function before it is called as an
-- operation: one JSON value, null where there is no such function.
with recursive
runner as (
  select r.oid, r.rolname
  from pg_catalog.pg_roles r
  where r.rolname in ('authenticated', 'nebula_app')
  order by r.rolname = 'authenticated' desc
  limit 1
),
f as (
  select p.oid, p.proname, p.prokind, p.prosecdef, p.proisstrict, p.proretset, p.prorettype, p.pronargdefaults, p.proargtypes, p.proowner, p.pronamespace, p.proconfig,
    p.proallargtypes, p.proargmodes, p.proargnames, p.proacl, p.prolang
  from pg_catalog.pg_proc p
  where p.proname = $1::name and p.oid::regprocedure::text = $2
),
argument as (
  select a.type, a.mode, a.name, a.position
  from f
  cross join lateral unnest(coalesce(f.proallargtypes, f.proargtypes::oid[]), f.proargmodes::text[], f.proargnames)
    with ordinality as a (type, mode, name, position)
  where a.type is not null
),
needed (type, depth) as (
  select type, 0 from argument
  union
  select prorettype, 0 from f
  union
  select inner_type.type, needed.depth + 1
  from needed
  join pg_catalog.pg_type t on t.oid = needed.type
  cross join lateral (
    select t.typbasetype
    where t.typtype = 'd'
    union all
    select t.typelem
    where t.typelem <> 0 and t.typlen = -1
    union all
    select a.atttypid
    from pg_catalog.pg_attribute a
    where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) as inner_type (type)
  where needed.depth < 8
)
select json_build_object(
  'schema', n.nspname,
  'name', f.proname,
  'prokind', f.prokind,
  'language', l.lanname,
  'isTrusted', l.lanpltrusted,
  'isDefiner', f.prosecdef,
  'isStrict', f.proisstrict,
  'returnsSet', f.proretset,
  'result', f.prorettype::bigint,
  'owner', f.proowner::regrole::text,
  'ownerName', owner.rolname,
  'settings', coalesce(f.proconfig, '{}'),
  'isOfExtension', exists (
    select
    from pg_catalog.pg_depend d
    where d.deptype = 'e'
      and (d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = f.oid or d.classid = 'pg_catalog.pg_namespace'::regclass and d.objid = f.pronamespace)
  ),
  'isOfSystem', n.nspname in ($3, 'information_schema') or n.nspname ^@ 'pg_',
  'runner', runner.rolname,
  'isRunnerStrong', exists (
    select
    from pg_catalog.pg_roles strong
    where (strong.rolsuper or strong.rolbypassrls or strong.rolname ^@ 'nebula_' and strong.rolname <> 'nebula_app')
      and pg_catalog.pg_has_role(runner.oid, strong.oid, 'member')
  ),
  'canRunnerExecute', pg_catalog.has_function_privilege(runner.oid, f.oid, 'execute'),
  -- To it by name: what PUBLIC has, somebody may take away.
  'isGranted', f.proowner = runner.oid or exists (
    select
    from pg_catalog.aclexplode(f.proacl) granted
    where granted.grantee = runner.oid and granted.privilege_type = 'EXECUTE'
  ),
  'closedSchema', (
    select min(closed.nspname)
    from pg_catalog.pg_namespace closed
    where (closed.oid = f.pronamespace or closed.oid in (select t.typnamespace from needed join pg_catalog.pg_type t on t.oid = needed.type))
      and not pg_catalog.has_schema_privilege(runner.oid, closed.oid, 'usage')
  ),
  'arguments', (
    select coalesce(
      json_agg(
        json_build_object(
          'name', coalesce(argument.name, ''),
          'mode', coalesce(argument.mode, 'i'),
          'type', argument.type::bigint,
          'default', case when coalesce(argument.mode, 'i') in ('i', 'b', 'v') then pg_catalog.pg_get_function_arg_default(f.oid, argument.position::integer) end
        )
        order by argument.position
      ),
      '[]'
    )
    from argument
  ),
  'types', (
    select json_agg(
      json_build_object(
        'oid', t.oid::bigint,
        'sql', pg_catalog.format_type(t.oid, null),
        'schema', tn.nspname,
        'name', t.typname,
        'typtype', t.typtype,
        'category', t.typcategory,
        'base', t.typbasetype::bigint,
        'modifier', t.typtypmod,
        'isRequired', t.typnotnull,
        'element', case when element.typarray = t.oid then element.oid::bigint end,
        'labels', (select json_agg(e.enumlabel order by e.enumsortorder) from pg_catalog.pg_enum e where e.enumtypid = t.oid),
        'attributes', (
          select json_agg(json_build_object('name', a.attname, 'type', a.atttypid::bigint, 'modifier', a.atttypmod) order by a.attnum)
          from pg_catalog.pg_attribute a
          where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
        )
      )
    )
    from (select distinct needed.type from needed) wanted
    join pg_catalog.pg_type t on t.oid = wanted.type
    join pg_catalog.pg_namespace tn on tn.oid = t.typnamespace
    left join pg_catalog.pg_type element on element.oid = t.typelem
  )
)::text
from f
join pg_catalog.pg_namespace n on n.oid = f.pronamespace
join pg_catalog.pg_language l on l.oid = f.prolang
join pg_catalog.pg_roles owner on owner.oid = f.proowner
cross join runner
