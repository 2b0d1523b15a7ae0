-- A row for each package of the tenant, one without where it has none. $1 tenant.
select
  t.status = 'ativo',
  t.kind = 'platform',
  t.slug,
  t.name,
  nullif(c.limits, '{}')::text,
  (
    select json_agg(json_build_object(
      'toolId', o.tool_id,
      'actionId', o.tool_action_id,
      'enabled', (o.flags ->> 'enabled')::boolean,
      'perMinute', (o.limits ->> 'perMinute')::bigint,
      'perMonth', (o.limits ->> 'perMonth')::bigint
    ))
    from nebula.tenant_tool_override o
    where o.tenant_id = $1
  )::text,
  tp.package_id,
  (extract(epoch from tp.expires_at) * 1000000)::bigint,
  to_json(tp.expires_at) #>> '{}'
from nebula.tenant t
left join nebula.tenant_config c on c.tenant_id = $1
left join nebula.tenant_package tp on tp.tenant_id = $1 and tp.status = 'ativo'
where t.id = $1
