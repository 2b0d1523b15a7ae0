-- One of Nebula's roles has more power than the installation gives it.
select
  'role ' || quote_ident(r.rolname),
  concat_ws(' ', case when r.rolsuper then 'It is a superuser.' end, case when r.rolbypassrls then 'Row-level security doesn''t bind it.' end,
    case when r.rolcreaterole then 'It makes roles.' end, case when r.rolcreatedb then 'It makes databases.' end, case when r.rolreplication then 'It replicates.' end,
    case when r.rolinherit then 'It inherits.' end, case when r.rolcanlogin <> wanted.can_login then 'It may log in.' end),
  format('alter role %I nosuperuser nobypassrls nocreaterole nocreatedb noreplication noinherit %s;', r.rolname, case when wanted.can_login then 'login' else 'nologin' end)
from pg_roles r
join (values ('nebula_owner', false), ('nebula_platform', false), ('nebula_app', false), ('nebula_edge', true), ('nebula_keys', true), ('nebula_worker', true)) wanted (name, can_login)
  on wanted.name = r.rolname
where r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolinherit or (r.rolcanlogin and not wanted.can_login)
order by 1, 2
