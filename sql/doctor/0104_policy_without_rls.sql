-- A table has policies, and row-level security is disabled: they do nothing.
select
  t.name,
  format('It has %s policies that do nothing: row-level security is disabled.', count(*)),
  format('alter table %s enable row level security;', t.name)
from nebula.doctor_tables($1) t
join pg_policy p on p.polrelid = t.id
where t.tenant_column is null and not t.has_rls
group by t.name
order by 1, 2
