-- Row-level security is enabled and there is no policy: only who passes it by sees rows. A policy that admits nobody says that it is meant.
select
  t.name,
  'Row-level security is enabled and no policy admits anybody.',
  case when t.tenant_column is null
    then format('create policy nobody on %s using (false);', t.name)
    else format('create policy tenant_isolation on %s using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant());', t.name, t.tenant_column)
  end
from nebula.doctor_tables($1) t
where t.has_rls and not exists (select from pg_policy p where p.polrelid = t.id)
  -- A protected table gets its own policies back by its own rule.
  and not exists (select from pg_trigger g where g.tgrelid = t.id and g.tgname ~ '^nebula_audit_')
order by 1, 2
