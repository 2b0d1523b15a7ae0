-- The next tenants after $1 with work that is due, at most $2 and none of $3: one look into the index a tenant, however much each of them has.
with recursive waiting (tenant_id) as (
  (
    select o.tenant_id
    from nebula.outbox_live o
    where o.tenant_id > $1
    order by o.tenant_id
    limit 1
  )
  union all
  select next.tenant_id
  from waiting w
  cross join lateral (
    select o.tenant_id
    from nebula.outbox_live o
    where o.tenant_id > w.tenant_id
    order by o.tenant_id
    limit 1
  ) next
)
select w.tenant_id
from waiting w
where w.tenant_id <> all ($3)
  and exists (
    select
    from nebula.outbox_live o
    where o.tenant_id = w.tenant_id and o.available_at <= now() and (o.locked_until is null or o.locked_until <= now())
  )
limit $2
