-- Somebody is a member of one of Nebula's roles, or one of them of another role: it lends them each other's rights.
select
  'role ' || quote_ident(m.rolname),
  format('It is a member of %I.', g.rolname),
  format('revoke %I from %I;', g.rolname, m.rolname)
from pg_auth_members x
join pg_roles g on g.oid = x.roleid
join pg_roles m on m.oid = x.member
-- From Postgres 16 on, who may only administer a role lends nothing: that is how an installer sets its password.
where coalesce((to_jsonb(x) ->> 'set_option')::boolean or (to_jsonb(x) ->> 'inherit_option')::boolean, true) and (
   g.rolname in ('nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_keys', 'nebula_worker') and not m.rolsuper
   or m.rolname in ('nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_keys', 'nebula_worker', 'nebula_app'))
order by 1, 2
