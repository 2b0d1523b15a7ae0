-- What the leased jobs $2, of the attempts $3, of worker $1 come to. An event's text is the same at each attempt, whichever session makes it.
select
  j.id, j.tenant_id, w.id, w.url, w.secret_sealed, w.secret_key_version,
  case when w.previous_secret_expires_at > now() then w.previous_secret_sealed end,
  case when w.previous_secret_expires_at > now() then w.previous_secret_key_version end,
  e.id,
  '{"id":"' || e.id || '","type":' || to_json(e.type) || ',"version":' || coalesce(e.payload -> 'version', '1'::jsonb)::text
    || ',"tenantId":"' || e.tenant_id || '","createdAt":"' || to_char(e.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
    || '","data":' || coalesce(e.payload -> 'data', '{}'::jsonb)::text || '}'
from unnest($2::uuid[], $3::integer[]) as l (id, attempt)
join nebula.outbox_live j
  on j.id = l.id and j.attempts = l.attempt and j.locked_by = $1 and j.locked_until > clock_timestamp()
    and j.type in ('webhook.delivery', 'webhook.test', 'webhook.redelivery')
left join nebula.webhook_subscription w
  on w.tenant_id = j.tenant_id and w.id = (j.payload #>> '{data,webhookId}')::uuid and w.status = 'ativo'
-- A test is an event by itself.
left join nebula.outbox e
  on e.tenant_id = j.tenant_id
    and e.id = case j.type when 'webhook.test' then j.id else (j.payload #>> '{data,eventId}')::uuid end
