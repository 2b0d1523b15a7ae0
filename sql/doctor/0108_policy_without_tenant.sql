-- A permissive policy of a tenant's table never mentions the tenant, and no restrictive one does: its rows cross tenants.
select
  p.table_name || ' policy ' || quote_ident(p.name),
  'It decides without the tenant, and no restrictive policy adds it.',
  format('create policy tenant_floor on %s as restrictive using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant());', p.table_name, p.tenant_column)
from nebula.doctor_policies($1) p
where p.tenant_column is not null and p.is_permissive and p.is_binding
  and regexp_replace(lower(coalesce(p.using_text, p.check_text)), '[\s()]', '', 'g') not in ('true', '1=1', 'false')
  and concat_ws(' ', p.using_text, p.check_text) !~ ('\m' || regexp_replace(p.tenant_column, '([^a-zA-Z0-9_])', '\\\1', 'g') || '\M')
  and not exists (
    select
    from nebula.doctor_policies($1) f
    where f.table_id = p.table_id and not f.is_permissive and f.roles @> array[0::oid] and f.command in ('all', p.command)
      and coalesce(f.using_text, f.check_text) ~ '\mnebula\.(current_tenant|tenant_for)\('
  )
order by 1, 2
