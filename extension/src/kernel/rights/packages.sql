select
  p.id,
  p.key,
  p.name,
  p.status = 'ativo',
  array(select pa.tool_action_id from nebula.package_action pa where pa.package_id = p.id)
from nebula.package p
order by p.key
