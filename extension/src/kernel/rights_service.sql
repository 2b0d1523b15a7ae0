-- Everything that decides what a service may do, as one JSON value. $1 tenant, $2 api key.
select json_build_object(
  'tenant', (
    select json_build_object('status', t.status, 'kind', t.kind, 'slug', t.slug, 'name', t.name)
    from nebula.tenant t
    where t.id = $1
  ),
  'principal', (
    select json_build_object(
      'status', k.status,
      'role', k.role,
      'hash', encode(k.hash, 'hex'),
      'previousHash', encode(k.previous_hash, 'hex'),
      'previousUntil', (extract(epoch from k.previous_expires_at) * 1000000)::bigint,
      'expiresAt', (extract(epoch from k.expires_at) * 1000000)::bigint
    )
    from nebula.api_key k
    where k.tenant_id = $1 and k.id = $2
  ),
  'groups', '[]'::json,
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
        select coalesce(json_agg(json_build_object('id', null)), '[]')
        from nebula.api_key k
        where k.tenant_id = $1 and k.id = $2 and (
          (k.role = 'read-only' and a.kind = 'read')
          or (k.role = 'write' and a.kind in ('read', 'write'))
          or k.role = 'admin'
          or (k.role is null and exists (
            select
            from nebula.api_key_action ka
            where ka.tenant_id = $1 and ka.api_key_id = k.id and ka.tool_action_id = a.id
          ))
        )
      )
    ))
    from nebula.tool_action a
    join nebula.tool on tool.id = a.tool_id
  )
)::text
