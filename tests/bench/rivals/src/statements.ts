// The statements of PgStore.

const USER = `id, email, name, status, suspended_reason as "suspendedReason", auth_provider as "authProvider", created_at as "createdAt", updated_at as "updatedAt"`;

// Actions that a group of person $2 grants, and that a package or an exception of tenant $1 has.
const ALLOWED = `
  from rivals.tool_action a
  join rivals.tool l on l.id = a.tool_id and l.status = 'ativo'
  where a.status = 'ativo'
    and exists (
      select from rivals.user_group ug
      join rivals."group" g on g.tenant_id = ug.tenant_id and g.id = ug.group_id and g.status = 'ativo'
      join rivals.group_permission gp on gp.tenant_id = g.tenant_id and gp.group_id = g.id and gp.tool_action_id = a.id and gp.constraints = '{}'
      where ug.tenant_id = $1 and ug.user_id = $2
    )
    and (
      exists (
        select from rivals.tenant_package tp
        join rivals.package p on p.id = tp.package_id and p.status = 'ativo'
        join rivals.package_action pa on pa.package_id = p.id and pa.tool_action_id = a.id
        where tp.tenant_id = $1 and tp.status = 'ativo' and (tp.expires_at is null or tp.expires_at > now())
      )
      or exists (
        select from rivals.tenant_tool_override o
        where o.tenant_id = $1 and (o.tool_action_id = a.id or o.tool_id = a.tool_id) and o.flags @> '{"enabled": true}'
      )
    )
    and not exists (
      select from rivals.tenant_tool_override o
      where o.tenant_id = $1 and (o.tool_action_id = a.id or o.tool_id = a.tool_id) and o.flags @> '{"enabled": false}'
    )`;

export const isAlive = {
  name: "is_alive",
  text: `
    select from rivals.session s
    join rivals.tenant t on t.id = s.tenant_id and t.status = 'ativo'
    join rivals."user" u on u.tenant_id = s.tenant_id and u.id = s.user_id and u.status = 'ativo' and u.deleted_at is null
    where s.tenant_id = $1 and s.id = $2 and s.user_id = $3 and s.revoked_at is null and s.expires_at > now()
      and not exists (select from rivals.revoked_token r where r.tenant_id = $1 and r.jti = $4)`,
};

export const may = { name: "may", text: `select ${ALLOWED} and a.key = $3` };

export const me = {
  name: "me",
  text: `
    select json_build_object(
      'actor', json_build_object('type', 'user', 'id', u.id, 'email', u.email, 'name', u.name),
      'tenant', json_build_object('id', t.id, 'slug', t.slug, 'name', t.name),
      'packages', (
        select coalesce(json_agg(json_build_object('key', p.key, 'name', p.name, 'expiresAt', tp.expires_at) order by p.key), '[]')
        from rivals.tenant_package tp join rivals.package p on p.id = tp.package_id and p.status = 'ativo'
        where tp.tenant_id = $1 and tp.status = 'ativo' and (tp.expires_at is null or tp.expires_at > now())
      ),
      'groups', (
        select coalesce(json_agg(g.name order by g.name), '[]')
        from rivals.user_group ug join rivals."group" g on g.tenant_id = ug.tenant_id and g.id = ug.group_id and g.status = 'ativo'
        where ug.tenant_id = $1 and ug.user_id = $2
      ),
      'actions', (select coalesce(json_agg(a.key order by a.key), '[]') ${ALLOWED})
    ) as me
    from rivals."user" u join rivals.tenant t on t.id = u.tenant_id
    where u.tenant_id = $1 and u.id = $2`,
};

export const users = {
  name: "users",
  text: `select ${USER} from rivals."user" where tenant_id = $1 and deleted_at is null order by created_at desc, id desc limit $2`,
};

export const usersAfter = {
  name: "users_after",
  text: `
    select ${USER} from rivals."user" where tenant_id = $1 and deleted_at is null and (created_at, id) < ($3, $4)
    order by created_at desc, id desc limit $2`,
};

export const keptAnswer = {
  name: "kept_answer",
  text: `
    select request_digest as digest, response_status as status, response_body as body
    from rivals.idempotency_key where tenant_id = $1 and key = $2 and handler = $3`,
};

export const insertUser = { name: "insert_user", text: `insert into rivals."user" (tenant_id, email, name) values ($1, $2, $3) returning ${USER}` };

export const insertAudit = {
  name: "insert_audit",
  text: `
    insert into rivals.audit_log (tenant_id, actor_user_id, actor_type, action, entity_type, entity_id, metadata, ip, user_agent)
    values ($1, $2, 'user', $3, $4, $5, $6, $7, $8)`,
};

export const insertEvent = { name: "insert_event", text: "insert into rivals.outbox (tenant_id, type, aggregate, payload) values ($1, $2, $3, $4)" };

export const insertAnswer = {
  name: "insert_answer",
  text: `
    insert into rivals.idempotency_key (tenant_id, key, handler, request_digest, response_status, response_body, response_hash)
    values ($1, $2, $3, $4, $5, $6, $7)`,
};
