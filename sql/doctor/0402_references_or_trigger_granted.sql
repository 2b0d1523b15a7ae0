-- Callers may make triggers on a tenant's table, or foreign keys to it: a trigger runs in other people's statements, a key tells which rows exist.
select
  t.name,
  format('%s may make triggers on it or foreign keys to it.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('revoke trigger, references on %s from public, %s;', t.name, string_agg(quote_ident(r.rolname), ', ' order by r.rolname))
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_table_privilege(r.oid, t.id, 'trigger, references')
where t.tenant_column is not null
group by t.name
order by 1, 2
