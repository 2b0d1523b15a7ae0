-- One typed function per common operation: named, typed arguments, and otherwise nebula.call().

create function nebula.create_user(email text, name text, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.create', jsonb_strip_nulls(jsonb_build_object('email', create_user.email, 'name', create_user.name)), create_user.idempotency_key)
$$;
comment on function nebula.create_user(text, text, text) is 'Creates a user (`users.create`). Errors as of nebula.call().';

create function nebula.get_user(id uuid) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.read', jsonb_strip_nulls(jsonb_build_object('id', get_user.id)))
$$;
comment on function nebula.get_user(uuid) is 'Shows a user (`users.read`). Errors as of nebula.call().';

create function nebula.list_users(limit_ integer default 50, cursor text default null, sort text default null, status text default null, q text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.list', jsonb_strip_nulls(jsonb_build_object('limit', list_users.limit_, 'cursor', list_users.cursor, 'sort', list_users.sort, 'status', list_users.status, 'q', list_users.q)))
$$;
comment on function nebula.list_users(integer, text, text, text, text) is 'Lists users (`users.list`). Errors as of nebula.call().';

create function nebula.update_user(id uuid, email text default null, name text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.update', jsonb_strip_nulls(jsonb_build_object('id', update_user.id, 'email', update_user.email, 'name', update_user.name)), update_user.idempotency_key)
$$;
comment on function nebula.update_user(uuid, text, text, text) is 'Changes a user (`users.update`). Errors as of nebula.call().';

create function nebula.set_user_status(id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.status', jsonb_strip_nulls(jsonb_build_object('id', set_user_status.id, 'status', set_user_status.status, 'suspendedReason', set_user_status.suspended_reason)), set_user_status.idempotency_key)
$$;
comment on function nebula.set_user_status(uuid, text, text, text) is 'Suspends or reactivates a user (`users.status`). Errors as of nebula.call().';

create function nebula.invite_user(id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('users.invite', jsonb_strip_nulls(jsonb_build_object('id', invite_user.id)), invite_user.idempotency_key)
$$;
comment on function nebula.invite_user(uuid, text) is 'Makes a one-time invite (`users.invite`). Errors as of nebula.call().';

create function nebula.create_group(name text, description text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.create', jsonb_strip_nulls(jsonb_build_object('name', create_group.name, 'description', create_group.description)), create_group.idempotency_key)
$$;
comment on function nebula.create_group(text, text, text) is 'Creates a group (`groups.create`). Errors as of nebula.call().';

create function nebula.list_groups(limit_ integer default 50, cursor text default null, sort text default null, status text default null, q text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.list', jsonb_strip_nulls(jsonb_build_object('limit', list_groups.limit_, 'cursor', list_groups.cursor, 'sort', list_groups.sort, 'status', list_groups.status, 'q', list_groups.q)))
$$;
comment on function nebula.list_groups(integer, text, text, text, text) is 'Lists groups (`groups.list`). Errors as of nebula.call().';

create function nebula.add_group_member(id uuid, user_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.members.add', jsonb_strip_nulls(jsonb_build_object('id', add_group_member.id, 'userId', add_group_member.user_id)), add_group_member.idempotency_key)
$$;
comment on function nebula.add_group_member(uuid, uuid, text) is 'Adds a member to a group (`groups.members.add`). Errors as of nebula.call().';

create function nebula.remove_group_member(id uuid, user_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.members.remove', jsonb_strip_nulls(jsonb_build_object('id', remove_group_member.id, 'userId', remove_group_member.user_id)), remove_group_member.idempotency_key)
$$;
comment on function nebula.remove_group_member(uuid, uuid, text) is 'Removes a member from a group (`groups.members.remove`). Errors as of nebula.call().';

create function nebula.grant_group_permissions(id uuid, permissions jsonb, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.permissions.grant', jsonb_strip_nulls(jsonb_build_object('id', grant_group_permissions.id, 'permissions', grant_group_permissions.permissions)), grant_group_permissions.idempotency_key)
$$;
comment on function nebula.grant_group_permissions(uuid, jsonb, text) is 'Grants actions to a group: [{"action", "constraints"?}] (`groups.permissions.grant`). Errors as of nebula.call().';

create function nebula.revoke_group_permission(id uuid, permission_id uuid, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('groups.permissions.revoke', jsonb_strip_nulls(jsonb_build_object('id', revoke_group_permission.id, 'permissionId', revoke_group_permission.permission_id)), revoke_group_permission.idempotency_key)
$$;
comment on function nebula.revoke_group_permission(uuid, uuid, text) is 'Revokes a permission (`groups.permissions.revoke`). Errors as of nebula.call().';

create function nebula.create_api_key(name text, profile text default null, actions text[] default null, expires_at timestamptz default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.create', jsonb_strip_nulls(jsonb_build_object('name', create_api_key.name, 'profile', create_api_key.profile, 'actions', create_api_key.actions, 'expiresAt', to_char(create_api_key.expires_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), create_api_key.idempotency_key)
$$;
comment on function nebula.create_api_key(text, text, text[], timestamptz, text) is 'Creates an API key (`api_keys.create`). Errors as of nebula.call().';

create function nebula.set_api_key_status(id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.status', jsonb_strip_nulls(jsonb_build_object('id', set_api_key_status.id, 'status', set_api_key_status.status, 'suspendedReason', set_api_key_status.suspended_reason)), set_api_key_status.idempotency_key)
$$;
comment on function nebula.set_api_key_status(uuid, text, text, text) is 'Suspends or reactivates a key (`api_keys.status`). Errors as of nebula.call().';

create function nebula.rotate_api_key(id uuid, grace_period_seconds integer default 0, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('api_keys.rotate', jsonb_strip_nulls(jsonb_build_object('id', rotate_api_key.id, 'gracePeriodSeconds', rotate_api_key.grace_period_seconds)), rotate_api_key.idempotency_key)
$$;
comment on function nebula.rotate_api_key(uuid, integer, text) is 'Rotates a key''s secret (`api_keys.rotate`). Errors as of nebula.call().';

create function nebula.list_audit_logs(limit_ integer default 50, cursor text default null, actor uuid default null, action text default null, entity_type text default null, entity_id uuid default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('audit.list', jsonb_strip_nulls(jsonb_build_object('limit', list_audit_logs.limit_, 'cursor', list_audit_logs.cursor, 'actor', list_audit_logs.actor, 'action', list_audit_logs.action, 'entityType', list_audit_logs.entity_type, 'entityId', list_audit_logs.entity_id)))
$$;
comment on function nebula.list_audit_logs(integer, text, uuid, text, text, uuid) is 'Lists the audit log (`audit.list`). Errors as of nebula.call().';

create function nebula.create_tenant(slug text, name text, package_key text, admin_email text, admin_name text, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.create', jsonb_build_object('slug', slug, 'name', name, 'packageKey', package_key, 'adminUser', jsonb_build_object('email', admin_email, 'name', admin_name)), create_tenant.idempotency_key)
$$;
comment on function nebula.create_tenant(text, text, text, text, text, text) is 'Creates a tenant with package, administrator and invite (`tenants.create`). Errors as of nebula.call().';

create function nebula.set_tenant_status(tenant_id uuid, status text, suspended_reason text default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.status', jsonb_strip_nulls(jsonb_build_object('tenantId', set_tenant_status.tenant_id, 'status', set_tenant_status.status, 'suspendedReason', set_tenant_status.suspended_reason)), set_tenant_status.idempotency_key)
$$;
comment on function nebula.set_tenant_status(uuid, text, text, text) is 'Suspends or reactivates a tenant (`tenants.status`). Errors as of nebula.call().';

create function nebula.assign_package(tenant_id uuid, package_key text, expires_at timestamptz default null, idempotency_key text default null) returns jsonb
language sql
volatile
parallel unsafe
set search_path = pg_catalog, pg_temp
as $$
  select nebula.call('tenants.packages.assign', jsonb_strip_nulls(jsonb_build_object('tenantId', assign_package.tenant_id, 'packageKey', assign_package.package_key, 'expiresAt', to_char(assign_package.expires_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))), assign_package.idempotency_key)
$$;
comment on function nebula.assign_package(uuid, text, timestamptz, text) is 'Assigns a package to a tenant (`tenants.packages.assign`). Errors as of nebula.call().';
