-- Row-level security of a tenant's table is not forced: the table's owner, and definer functions of the owner, see every tenant's rows.
select
  t.name,
  format('Its owner %s is not bound by the policies, nor are definer functions of that role.', t.owner::regrole),
  format('alter table %s force row level security;', t.name)
from nebula.doctor_tables($1) t
where t.tenant_column is not null and t.has_rls and not t.is_forced
order by 1, 2
