-- The same write as Nebula's, with the checks: session, tenant, person, permission, package, override, limits and idempotency, then the four inserts.
\set n random(1, 1000000000000)
with caller as materialized (
  select s.tenant_id, s.user_id
  from nebula.session s
  join nebula.tenant t on t.id = s.tenant_id and t.status = 'ativo'
  join nebula.user u on u.tenant_id = s.tenant_id and u.id = s.user_id and u.status = 'ativo' and u.deleted_at is null
  where s.tenant_id = :tenant and s.id = :session and s.revoked_at is null
    and not exists (select from nebula.revoked_token r where r.tenant_id = :tenant and r.jti = :jti)
), allowed as materialized (
  select c.tenant_id, c.user_id
  from caller c
  join nebula.tool_action a on a.key = 'users.create' and a.status = 'ativo'
  join nebula.tool l on l.id = a.tool_id and l.status = 'ativo'
  where exists (
      select from nebula.user_group ug
      join nebula.group g on g.tenant_id = ug.tenant_id and g.id = ug.group_id and g.status = 'ativo'
      join nebula.group_permission gp on gp.tenant_id = g.tenant_id and gp.group_id = g.id and gp.tool_action_id = a.id
      where ug.tenant_id = c.tenant_id and ug.user_id = c.user_id and gp.constraints = '{}'
    )
    and exists (
      select from nebula.tenant_package tp
      join nebula.package p on p.id = tp.package_id and p.status = 'ativo'
      join nebula.package_action pa on pa.package_id = p.id and pa.tool_action_id = a.id
      where tp.tenant_id = c.tenant_id and tp.status = 'ativo' and (tp.expires_at is null or tp.expires_at > now())
    )
    and not exists (
      select from nebula.tenant_tool_override o
      where o.tenant_id = c.tenant_id and (o.tool_action_id = a.id or o.tool_id = a.tool_id) and not (o.flags ->> 'enabled')::boolean
    )
), locked as materialized (
  select a.* from allowed a where pg_try_advisory_xact_lock(hashtextextended(a.tenant_id::text || 'users.create' || 'k' || :n, 0))
), fresh as materialized (
  select l.* from locked l
  where not exists (select from bench.idempotency_key i where i.tenant_id = l.tenant_id and i.key = 'k' || :n and i.handler = 'users.create')
), created as (
  insert into bench.user (tenant_id, email, name)
  select f.tenant_id, 'u' || :n || '@bench.test', 'Bench User' from fresh f
  on conflict (tenant_id, (lower(email)) collate "C") do nothing
  returning *
), logged as (
  insert into bench.audit_log (tenant_id, actor_user_id, actor_type, action, entity_type, entity_id, metadata)
  select c.tenant_id, f.user_id, 'user', 'users.create', 'user', c.id, jsonb_build_object('requestId', 'bench', 'verb', 'insert', 'changed', '[]'::jsonb)
  from created c, fresh f
), emitted as (
  insert into bench.outbox (tenant_id, type, payload, aggregate)
  select tenant_id, 'user.created', jsonb_build_object('version', 1, 'data', to_jsonb(created)), 'user/' || id
  from created
)
insert into bench.idempotency_key (tenant_id, key, handler, request_digest, response_status, response_body, response_hash)
select tenant_id, 'k' || :n, 'users.create', sha256(email::bytea), 201, row_to_json(created)::text, sha256(row_to_json(created)::text::bytea)
from created
returning response_body;
