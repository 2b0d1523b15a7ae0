-- The same page as Nebula's, as JSON, of the table in the search path. Variable: tenant.
select json_build_object('data', coalesce(json_agg(p.item), '[]'))
from (
  select json_build_object('id', u.id, 'email', u.email, 'name', u.name, 'status', u.status, 'suspendedReason', u.suspended_reason,
    'authProvider', u.auth_provider, 'createdAt', u.created_at, 'updatedAt', u.updated_at) as item
  from "user" u
  where u.tenant_id = :tenant and u.deleted_at is null
  order by u.created_at desc, u.id desc
  limit 50
) p;
