-- What groups grant: actions without constraints, and the rest as JSON. $1 tenant; $2 groups.
select g.id, g.name, granted.free, granted.constrained::text
from nebula.group g
cross join lateral (
  select
    array_agg(gp.tool_action_id) filter (where gp.constraints = '{}') as free,
    json_agg(json_build_object('actionId', gp.tool_action_id, 'id', gp.id, 'constraints', gp.constraints))
      filter (where gp.constraints <> '{}') as constrained
  from nebula.group_permission gp
  where gp.tenant_id = $1 and gp.group_id = g.id
) granted
where g.tenant_id = $1 and g.id = any($2)
