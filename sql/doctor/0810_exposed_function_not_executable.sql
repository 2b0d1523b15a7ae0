-- The role that exposed operations run as may not execute the function of one: every call is refused.
select
  format('operation %s v%s', o.action, o.api_version),
  format('%s may not execute %s.', runner.rolname, o.function_signature),
  concat_ws(e'\n',
    case when not has_schema_privilege(runner.oid, p.pronamespace, 'usage') then format('grant usage on schema %I to %I;', p.pronamespace::regnamespace, runner.rolname) end,
    format('grant execute on function %s to %I;', p.oid::regprocedure, runner.rolname))
from nebula.operation o
join pg_catalog.pg_proc p on p.proname = o.function_name and p.oid::regprocedure::text = o.function_signature
cross join lateral (
  select r.oid, r.rolname from pg_catalog.pg_roles r where r.rolname in ('authenticated', 'nebula_app') order by r.rolname = 'authenticated' desc limit 1
) runner
where o.status = 'ativo'
  and not (has_function_privilege(runner.oid, p.oid, 'execute') and has_schema_privilege(runner.oid, p.pronamespace, 'usage'))
