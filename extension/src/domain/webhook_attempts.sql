-- What the attempts $4 at the jobs $3 of the tenants $2 were about. Only of jobs that worker $1 has or had: who has the newest attempt is written in the row,
-- who had an older one was somebody.
select j.id, a.attempt, (j.payload #>> '{data,webhookId}')::uuid,
  case j.type when 'webhook.test' then j.id else (j.payload #>> '{data,eventId}')::uuid end,
  case j.type when 'webhook.test' then j.type else coalesce(j.payload #>> '{data,eventType}', j.type) end,
  -- Nothing was told before: neither by an attempt nor, before that was begun, by a person who asked for it again.
  j.type = 'webhook.delivery' and j.attempts = 1 and j.status = 'running'
from unnest($2::uuid[], $3::uuid[], $4::integer[]) as a (tenant_id, id, attempt)
join nebula.outbox j on j.tenant_id = a.tenant_id and j.id = a.id
where j.type in ('webhook.delivery', 'webhook.test', 'webhook.redelivery')
  and a.attempt > 0 and (j.attempts > a.attempt or j.attempts = a.attempt and j.locked_by = $1)
