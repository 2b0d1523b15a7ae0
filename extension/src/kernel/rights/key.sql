-- An API key, with its explicit scope where it has no profile. $1 the key's own tenant; $2 key.
select
  k.status = 'ativo',
  k.hash,
  k.previous_hash,
  (extract(epoch from k.previous_expires_at) * 1000000)::bigint,
  (extract(epoch from k.expires_at) * 1000000)::bigint,
  k.role,
  array(
    select ka.tool_action_id
    from nebula.api_key_action ka
    where ka.tenant_id = $1 and ka.api_key_id = $2 and k.role is null
  )
from nebula.api_key k
where k.tenant_id = $1 and k.id = $2
