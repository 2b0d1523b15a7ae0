-- The four inserts of the same write alone, into the tables of the search path: no check of anything. Variable: tenant.
\set n random(1, 1000000000000)
with created as (
  insert into "user" (tenant_id, email, name)
  values (:tenant, 'u' || :n || '@bench.test', 'Bench User')
  on conflict (tenant_id, (lower(email)) collate "C") do nothing
  returning *
), logged as (
  insert into audit_log (tenant_id, actor_type, action, entity_type, entity_id, metadata)
  select tenant_id, 'user', 'users.create', 'user', id, jsonb_build_object('requestId', 'bench', 'verb', 'insert', 'changed', '[]'::jsonb)
  from created
), emitted as (
  insert into outbox (tenant_id, type, payload, aggregate)
  select tenant_id, 'user.created', jsonb_build_object('version', 1, 'data', to_jsonb(created)), 'user/' || id
  from created
)
insert into idempotency_key (tenant_id, key, handler, request_digest, response_status, response_body, response_hash)
select tenant_id, 'k' || :n, 'users.create', sha256(email::bytea), 201, row_to_json(created)::text, sha256(row_to_json(created)::text::bytea)
from created
returning response_body;
