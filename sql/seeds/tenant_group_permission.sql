-- $1 the tenant, $2 one package or null for all, $3 whether only ADM_CLIENTE is asked for. What the default groups grant: of the tenant's packages everything, reading and writing, or reading.
insert into nebula.group_permission (tenant_id, group_id, tool_action_id)
select distinct $1, g.id, a.id
from nebula.tenant_package tp
join nebula.package_action pa on pa.package_id = tp.package_id
join nebula.tool_action a on a.id = pa.tool_action_id
join nebula.group g on g.tenant_id = $1
where tp.tenant_id = $1
  and ($2 is null or tp.package_id = $2)
  and (g.name = 'ADM_CLIENTE' or not $3)
  and (
    g.name = 'ADM_CLIENTE'
    or (g.name = 'OPERATOR' and a.kind in ('read', 'write'))
    or (g.name = 'VIEWER' and a.kind = 'read')
  )
on conflict (tenant_id, group_id, tool_action_id) do nothing
