-- Everything that decides what a person may do, as one JSON value. $1 tenant, $2 user.
select json_build_object(
  'tenant', (
    select json_build_object('status', t.status, 'kind', t.kind, 'slug', t.slug, 'name', t.name)
    from nebula.tenant t
    where t.id = $1
  ),
  'principal', (
    select json_build_object('status', u.status)
    from nebula.user u
    where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null
  ),
  'groups', (
    select coalesce(json_agg(g.name order by g.name), '[]')
    from nebula.user_group ug
    join nebula.group g on g.tenant_id = $1 and g.id = ug.group_id
    where ug.tenant_id = $1 and ug.user_id = $2 and g.status = 'ativo'
  ),
  'packages', (
    select coalesce(json_agg(json_build_object('key', p.key, 'name', p.name, 'expiresAt', tp.expires_at) order by p.key), '[]')
    from nebula.tenant_package tp
    join nebula.package p on p.id = tp.package_id
    where tp.tenant_id = $1 and tp.status = 'ativo' and p.status = 'ativo'
  ),
  'rights', (
    select json_agg(json_build_object(
      'action', a.key,
      'kind', a.kind,
      'isActive', a.status = 'ativo' and tool.status = 'ativo',
      'packagedUntil', (
        select max(coalesce((extract(epoch from tp.expires_at) * 1000000)::bigint, 9223372036854775807))
        from nebula.tenant_package tp
        join nebula.package p on p.id = tp.package_id
        join nebula.package_action pa on pa.package_id = p.id
        where tp.tenant_id = $1 and tp.status = 'ativo' and p.status = 'ativo' and pa.tool_action_id = a.id
      ),
      'override', (
        select bool_and((o.flags ->> 'enabled')::boolean)
        from nebula.tenant_tool_override o
        where o.tenant_id = $1 and (o.tool_action_id = a.id or o.tool_id = a.tool_id) and o.flags ? 'enabled'
      ),
      'grants', (
        select coalesce(json_agg(json_build_object('id', gp.id, 'constraints', gp.constraints)), '[]')
        from nebula.user_group ug
        join nebula.group g on g.tenant_id = $1 and g.id = ug.group_id
        join nebula.group_permission gp on gp.tenant_id = $1 and gp.group_id = g.id
        where ug.tenant_id = $1 and ug.user_id = $2 and g.status = 'ativo' and gp.tool_action_id = a.id
      )
    ))
    from nebula.tool_action a
    join nebula.tool on tool.id = a.tool_id
  )
)::text
