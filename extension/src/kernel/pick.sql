-- Up to $2 due jobs of each of these tenants, locked for this transaction; what others hold is left out.
select o.id, t.tenant_id || '/' || o.aggregate, o.attempts - o.failures >= 25
from unnest($1::uuid[]) t (tenant_id)
cross join lateral (
  select o.id, o.aggregate, o.attempts, o.failures
  from nebula.outbox_live o
  where o.tenant_id = t.tenant_id and o.available_at <= now() and (o.locked_until is null or o.locked_until <= now())
  order by o.available_at, o.position
  limit $2
  for update skip locked
) o
