-- Everything that decides what a principal may do, as one JSON value. $1 tenant; $2 user or null; $3 API key or null; $4 the key's own tenant.
select json_build_object(
  'tenant', (
    select json_build_object('status', t.status, 'kind', t.kind, 'slug', t.slug, 'name', t.name)
    from nebula.tenant t
    where t.id = $1
  ),
  'principal', coalesce(
    (
      select json_build_object('status', u.status)
      from nebula.user u
      where u.tenant_id = $1 and u.id = $2 and u.deleted_at is null
    ),
    (
      select json_build_object(
        'status', k.status,
        'hash', encode(k.hash, 'hex'),
        'previousHash', encode(k.previous_hash, 'hex'),
        'previousUntil', (extract(epoch from k.previous_expires_at) * 1000000)::bigint,
        'expiresAt', (extract(epoch from k.expires_at) * 1000000)::bigint
      )
      from nebula.api_key k
      where k.tenant_id = $4 and k.id = $3
    )
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
    where tp.tenant_id = $1
      and tp.status = 'ativo'
      and p.status = 'ativo'
      and (tp.expires_at is null or tp.expires_at > now())
  ),
  'limits', (
    select c.limits
    from nebula.tenant_config c
    where c.tenant_id = $1
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
      -- Of a tool's and an action's override, one that disables wins.
      'override', (
        select bool_and((o.flags ->> 'enabled')::boolean)
        from nebula.tenant_tool_override o
        where o.tenant_id = $1 and (o.tool_action_id = a.id or o.tool_id = a.tool_id) and o.flags ? 'enabled'
      ),
      'perMinute', (
        select (o.limits ->> 'perMinute')::bigint
        from nebula.tenant_tool_override o
        where o.tenant_id = $1 and o.tool_action_id = a.id
      ),
      'perMonth', (
        select (o.limits ->> 'perMonth')::bigint
        from nebula.tenant_tool_override o
        where o.tenant_id = $1 and o.tool_action_id = a.id
      ),
      'grants', (
        select coalesce(json_agg(json_build_object('id', granted.id, 'constraints', granted.constraints)), '[]')
        from (
          select gp.id, gp.constraints
          from nebula.user_group ug
          join nebula.group g on g.tenant_id = $1 and g.id = ug.group_id
          join nebula.group_permission gp on gp.tenant_id = $1 and gp.group_id = g.id
          where ug.tenant_id = $1 and ug.user_id = $2 and g.status = 'ativo' and gp.tool_action_id = a.id
          union all
          -- A key's profile or explicit scope: one grant without constraints.
          select null, '{}'::jsonb
          from nebula.api_key k
          where k.tenant_id = $4
            and k.id = $3
            and case k.role
              when 'read-only' then a.kind = 'read'
              when 'write' then a.kind in ('read', 'write')
              when 'admin' then true
              else exists (
                select
                from nebula.api_key_action ka
                where ka.tenant_id = $4 and ka.api_key_id = k.id and ka.tool_action_id = a.id
              )
            end
        ) granted
      )
    ))
    from nebula.tool_action a
    join nebula.tool on tool.id = a.tool_id
  )
)::text
