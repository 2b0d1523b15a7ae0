-- A role that callers act as passes row-level security by, or is a member of a role that does, or that reads every table.
select
  'role ' || quote_ident(r.rolname),
  case when g.oid = r.oid then 'Row-level security doesn''t bind it.' else format('It is a member of %s.', g.rolname) end,
  case when g.oid = r.oid then format('alter role %I nosuperuser nobypassrls;', r.rolname) else format('revoke %I from %I;', g.rolname, r.rolname) end
from pg_roles r
join pg_roles g on (g.rolsuper or g.rolbypassrls or g.rolname in (
    'pg_read_all_data', 'pg_write_all_data', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'nebula_owner', 'nebula_platform'))
  and (g.oid = r.oid or exists (select from pg_auth_members m where m.member = r.oid and m.roleid = g.oid))
where r.rolname in ('anon', 'authenticated', 'nebula_app')
order by 1, 2
