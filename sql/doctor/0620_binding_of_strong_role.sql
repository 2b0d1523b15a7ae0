-- A login that is bound to a tenant passes row-level security by, or may become somebody who does.
select
  'binding of ' || quote_ident(b.role_name),
  case when g.oid = r.oid then 'Row-level security doesn''t bind it.' else format('It is a member of %s.', g.rolname) end,
  case when g.oid = r.oid then format('alter role %I nosuperuser nobypassrls;', r.rolname) else format('revoke %I from %I;', g.rolname, r.rolname) end
from nebula.role_binding b
join pg_catalog.pg_roles r on r.rolname = b.role_name
join pg_catalog.pg_roles g on (g.rolsuper or g.rolbypassrls or g.rolname in (
    'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'nebula_owner', 'nebula_platform'))
  and (g.oid = r.oid or exists (select from pg_catalog.pg_auth_members m where m.member = r.oid and m.roleid = g.oid))
