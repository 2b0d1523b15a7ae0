-- A permissive policy of a tenant's table is always true: it shows every tenant's rows, whatever other policies say.
select
  p.table_name || ' policy ' || quote_ident(p.name),
  format('It lets %s %s rows of every tenant.', p.role_names, case p.command when 'all' then 'read and change' when 'select' then 'read' else p.command end),
  format('alter policy %I on %s%s%s;', p.name, p.table_name,
    case when p.command <> 'insert' then format(' using (%I = nebula.current_tenant())', p.tenant_column) end,
    case when p.command in ('all', 'insert', 'update') then format(' with check (%I = nebula.current_tenant())', p.tenant_column) end)
from nebula.doctor_policies($1) p
where p.tenant_column is not null and p.is_permissive and p.is_binding
  and (
    regexp_replace(lower(p.using_text), '[\s()]', '', 'g') in ('true', '1=1')
    or regexp_replace(lower(p.check_text), '[\s()]', '', 'g') in ('true', '1=1')
  )
  -- A restrictive one for the same commands keeps the tenant: the floor that nebula.protect lays.
  and not exists (
    select
    from nebula.doctor_policies($1) f
    where f.table_id = p.table_id and not f.is_permissive and f.roles @> array[0::oid] and f.command in ('all', p.command)
      and coalesce(f.using_text, f.check_text) ~ '\mnebula\.(current_tenant|tenant_for)\('
  )
order by 1, 2
