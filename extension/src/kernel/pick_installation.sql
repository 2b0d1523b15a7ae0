-- Up to $1 due jobs of the installation itself, which have no order, locked for this transaction; what others hold is left out.
select o.id, null::text, o.attempts - o.failures >= 25
from nebula.outbox_live o
where o.tenant_id is null and o.available_at <= now() and (o.locked_until is null or o.locked_until <= now())
order by o.available_at, o.position
limit $1
for update skip locked
