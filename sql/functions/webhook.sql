-- Deliveries of webhooks, for the worker. Behaviour is in extension/src/domain/webhook_delivery.rs.

create function nebula.webhook_requests(worker text, ids uuid[], attempts integer[])
returns table (
  id uuid, tenant_id uuid, webhook_id uuid, url text, secret bytea, secret_version integer, previous_secret bytea, previous_secret_version integer,
  event_id uuid, body text
)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'webhook_requests_wrapper';
comment on function nebula.webhook_requests(text, uuid[], integer[]) is
  'What is to be sent for leased jobs, secrets sealed. No url: nothing, since the webhook is gone or suspended; no body: the event is not kept any more; no row: the lease is lost.';

create function nebula.record_deliveries(worker text, outcomes json) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'record_deliveries_wrapper';
comment on function nebula.record_deliveries(text, json) is
  'Writes down attempts: [{"id", "tenantId", "attempt", "statusCode"?, "latencyMs", "error"?, "retryAfterSeconds"?}]; finishes or fails their jobs, and suspends webhooks that are gone or have failed for days. How many were written.';
