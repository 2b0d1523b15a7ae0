-- A webhook has failed for a day: its tenant is not told of events, and is told so only when it is suspended.
select
  'webhook ' || w.id,
  format('Of tenant %s; it has failed since %s.', w.tenant_id, w.failing_since::date),
  format('update nebula.webhook_subscription set status = ''suspenso'', suspended_reason = ''failing'' where tenant_id = %L and id = %L;', w.tenant_id, w.id)
from nebula.webhook_subscription w
where w.status = 'ativo' and w.failing_since < now() - interval '1 day'
