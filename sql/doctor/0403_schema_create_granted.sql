-- Callers may make objects in a schema of the application: functions that others find before those they mean.
select
  quote_ident(n.nspname),
  format('%s may make objects in it.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('revoke create on schema %I from public, %s;', n.nspname, string_agg(quote_ident(r.rolname), ', ' order by r.rolname))
from pg_namespace n
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'create')
where n.nspname = any ($1)
group by n.nspname
order by 1, 2
