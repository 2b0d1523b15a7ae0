-- Somebody may use the schema nebula, or make objects in it, whom the installation did not grant it.
select
  'schema nebula',
  format('%s may %s.', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, case a.privilege_type when 'CREATE' then 'make objects in it' else 'look into it' end),
  format('revoke %s on schema nebula from %s;', lower(a.privilege_type), case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
from pg_namespace n
left join pg_init_privs i on i.classoid = 'pg_namespace'::regclass and i.objoid = n.oid
cross join lateral aclexplode(n.nspacl) a
where n.nspname = 'nebula' and a.grantee <> n.nspowner
  and not exists (select from aclexplode(i.initprivs) g where g.grantee = a.grantee and g.privilege_type = a.privilege_type)
  and not (a.privilege_type = 'USAGE' and a.grantee in (
    select r.oid from pg_roles r where r.rolname in ('nebula_owner', 'nebula_platform', 'nebula_edge', 'nebula_keys', 'nebula_worker', 'nebula_app', 'authenticated', 'supabase_auth_admin', 'pg_monitor')))
  and not (a.privilege_type = 'CREATE' and a.grantee = 'nebula_owner'::regrole)
order by 1, 2
