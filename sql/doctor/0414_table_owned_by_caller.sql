-- A tenant's table belongs to a role that callers act as: its owner turns policies off.
select
  t.name,
  format('It belongs to %s, which may change its policies.', t.owner::regrole),
  format('alter table %s owner to %I;', t.name, (select o.rolname from pg_database d join pg_roles o on o.oid = d.datdba where d.datname = current_database()))
from nebula.doctor_tables($1) t
where (t.tenant_column is not null or t.has_rls) and exists (
  select from pg_roles r
  where r.rolname in ('anon', 'authenticated', 'nebula_app') and pg_has_role(r.oid, t.owner, 'member')
)
order by 1, 2
