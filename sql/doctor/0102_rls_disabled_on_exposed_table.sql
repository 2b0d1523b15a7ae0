-- A table that callers reach has row-level security disabled and no policy: everybody sees and changes all of it.
select
  t.name,
  format('%s reach it, and row-level security is disabled.', array_to_string(t.callers, ', ')),
  format('alter table %s enable row level security;', t.name)
from nebula.doctor_tables($1) t
where t.tenant_column is null and not t.has_rls and t.callers <> '{}'
  and not exists (select from pg_policy p where p.polrelid = t.id)
order by 1, 2
