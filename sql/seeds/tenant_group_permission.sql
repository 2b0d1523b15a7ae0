-- $1 one tenant or null for all, $2 one package or null for all, $3 whether only ADM_CLIENTE is asked for. What the default groups grant: of the
-- tenant's packages everything, reading and writing, or reading; to the administrators also what an override enables beyond the packages.
insert into nebula.group_permission (tenant_id, group_id, tool_action_id)
select distinct g.tenant_id, g.id, a.id
from nebula.group g
join (
  select tp.tenant_id, pa.tool_action_id, tp.package_id
  from nebula.tenant_package tp
  join nebula.package_action pa on pa.package_id = tp.package_id
  union all
  select o.tenant_id, coalesce(o.tool_action_id, a.id), null
  from nebula.tenant_tool_override o
  left join nebula.tool_action a on a.tool_id = o.tool_id
  where (o.flags ->> 'enabled')::boolean
) held on held.tenant_id = g.tenant_id
join nebula.tool_action a on a.id = held.tool_action_id
where ($1 is null or g.tenant_id = $1)
  and ($2 is null or held.package_id = $2)
  and (
    g.name = 'ADM_CLIENTE'
    or (not $3 and held.package_id is not null and g.name = 'OPERATOR' and a.kind in ('read', 'write'))
    or (not $3 and held.package_id is not null and g.name = 'VIEWER' and a.kind = 'read')
  )
on conflict (tenant_id, group_id, tool_action_id) do nothing
