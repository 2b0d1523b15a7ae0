-- Events, and the worker's side of them. Behaviour is in extension/src/kernel/outbox.rs and queue.rs.

create function nebula.emit_event(kind text, data json, aggregate text, tenant uuid, available_at text) returns uuid
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'emit_event_wrapper';
comment on function nebula.emit_event(text, json, text, uuid, text) is
  'What nebula.emit() of 0.1.0 calls.';

create function nebula.emit(type text, data jsonb default '{}', aggregate text default null, tenant uuid default null, available_at timestamptz default null)
returns uuid
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'emit_wrapper';
comment on function nebula.emit(text, jsonb, text, uuid, timestamptz) is
  'Writes an event in the caller''s transaction, for the tenant''s webhooks; its id. Of the caller''s tenant, or of the one that a DBA''s code names. Events about the same aggregate are delivered in order.';

create function nebula.emit_each(type text, data jsonb, tenant uuid default null) returns bigint
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'emit_each_wrapper';
comment on function nebula.emit_each(text, jsonb, uuid) is
  'Writes an event for each element of a JSON array, in its order, as nebula.emit() would write each; how many. For thousands at once.';

create function nebula.claim(worker text, "limit" integer, lease interval, per_tenant integer default null, busy uuid[] default '{}', jobs_only boolean default false) returns table (id uuid, tenant_id uuid, kind text, data json, attempt integer, created_at timestamptz, aggregate text)
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'claim_wrapper';
comment on function nebula.claim(text, integer, interval, integer, uuid[], boolean) is
  'Leases due jobs: of as many tenants as have some, at most per_tenant of each, none of the busy ones; with jobs_only no events. Raises 55000 in a copy of the database.';

create function nebula.complete(worker text, ids uuid[], attempts integer[]) returns table (id uuid)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'complete_wrapper';
comment on function nebula.complete(text, uuid[], integer[]) is
  'Finishes jobs; those whose lease was still this worker''s.';

create function nebula.fail(worker text, id uuid, attempt integer, error text, retry_after interval default null, dead boolean default false) returns text
language c volatile parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'fail_wrapper';
comment on function nebula.fail(text, uuid, integer, text, interval, boolean) is
  'Reports a failed attempt: the job''s new status, pending (after a wait of the tenant''s profile) or dead; null where the lease was lost.';

create function nebula.extend(worker text, ids uuid[], attempts integer[], lease interval) returns table (id uuid)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'extend_wrapper';
comment on function nebula.extend(text, uuid[], integer[], interval) is
  'Prolongs leases; those that are still this worker''s.';

create function nebula.requeue(id uuid) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'requeue_wrapper';
comment on function nebula.requeue(uuid) is
  'A dead job waits again, as if it had never failed; false if there is none.';

create function nebula.fan_out(worker text, ids uuid[], attempts integer[]) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'fan_out_wrapper';
comment on function nebula.fan_out(text, uuid[], integer[]) is
  'For leased events: one job a subscription that wants one, and the events are done. How many of them.';

create function nebula.wait_for_work(timeout_ms integer) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'wait_for_work_wrapper';
comment on function nebula.wait_for_work(integer) is
  'Returns when work was committed that this session was not told of, or after the timeout; whether there was some.';

create function nebula.await_work(timeout_ms integer) returns table (events boolean, jobs boolean)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'await_work_wrapper';
comment on function nebula.await_work(integer) is
  'As nebula.wait_for_work, which it tells for at the same time, but not for events of tenants without webhooks, which a poll finds; whether there were events to hand on, and whether jobs to claim.';

create function nebula.relay(worker text, "limit" integer) returns integer
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'relay_wrapper';
comment on function nebula.relay(text, integer) is
  'Hands due events on without a lease, in one transaction: one job a subscription that wants one, and they are done. How many were due. Raises 55000 in a copy of the database.';
