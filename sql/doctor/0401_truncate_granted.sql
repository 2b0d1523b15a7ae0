-- Callers may truncate a table: row-level security doesn't bind TRUNCATE.
select
  t.name,
  format('%s may empty it: no policy is asked.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('revoke truncate on %s from public, %s;', t.name, string_agg(quote_ident(r.rolname), ', ' order by r.rolname))
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_table_privilege(r.oid, t.id, 'truncate')
where t.tenant_column is not null or t.has_rls
group by t.name
order by 1, 2
