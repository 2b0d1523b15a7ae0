-- What groups grant: actions without constraints, and the rest as JSON. $1 tenant; $2 groups, each looked up by its key.
select g.id, g.name, granted.free, granted.constrained::text
from unnest($2) as wanted (id)
cross join lateral (select g.id, g.name from nebula.group g where g.tenant_id = $1 and g.id = wanted.id offset 0) g
cross join lateral (
  select
    array_agg(gp.tool_action_id) filter (where gp.is_free) as free,
    json_agg(json_build_object('actionId', gp.tool_action_id, 'id', gp.id, 'constraints', gp.constraints)) filter (where not gp.is_free) as constrained
  from (
    select p.id, p.tool_action_id, p.constraints, p.constraints = '{}' as is_free
    from nebula.group_permission p
    where p.tenant_id = $1 and p.group_id = g.id
    offset 0
  ) gp
) granted
