-- A table with a tenant's column has row-level security disabled: whoever may read it reads every tenant's rows.
select
  t.name,
  format('It has the tenant''s column %I and row-level security is disabled%s.', t.tenant_column,
    case when t.callers = '{}' then '' else '; ' || array_to_string(t.callers, ', ') || ' reach it' end),
  concat_ws(e'\n',
    case when not exists (select from pg_policy p where p.polrelid = t.id and p.polpermissive)
      -- A protected table gets its own policies back by its own rule.
      and not exists (select from pg_trigger g where g.tgrelid = t.id and g.tgname ~ '^nebula_audit_') then
      format('create policy tenant_isolation on %s using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant());', t.name, t.tenant_column) end,
    format('alter table %s enable row level security;', t.name),
    format('alter table %s force row level security;', t.name))
from nebula.doctor_tables($1) t
where t.tenant_column is not null and not t.has_rls
order by 1, 2
