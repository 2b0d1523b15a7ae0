-- Whoever is not logged in has the right to write into a tenant's table: only policies stand between.
select
  t.name,
  'anon may write; only the policies refuse.',
  format('revoke insert, update, delete, truncate on %s from public, anon;', t.name)
from nebula.doctor_tables($1) t
join pg_roles r on r.rolname = 'anon' and has_table_privilege(r.oid, t.id, 'insert, update, delete')
where t.tenant_column is not null
order by 1, 2
