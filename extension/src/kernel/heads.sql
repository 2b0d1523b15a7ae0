-- Of these jobs those whose turn it is: nothing earlier about the same is left, and nothing about the same is being worked on.
select o.id
from nebula.outbox_live o
where o.id = any ($1)
  and not exists (
    select
    from nebula.outbox_live e
    where e.tenant_id = o.tenant_id
      and e.aggregate = o.aggregate
      and e.id <> o.id
      and (e.position < o.position or e.locked_until > now())
  )
