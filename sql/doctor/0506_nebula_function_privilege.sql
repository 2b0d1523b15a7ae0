-- Somebody may execute one of Nebula's functions whom the installation did not grant it.
select
  p.oid::regprocedure::text,
  format('%s may execute it.', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end),
  format('revoke all on function %s from %s;', p.oid::regprocedure, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
from pg_proc p
join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'nebula'
left join pg_init_privs i on i.classoid = 'pg_proc'::regclass and i.objoid = p.oid and i.privtype = 'e'
cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
where a.grantee not in (p.proowner, 'nebula_owner'::regrole, 'nebula_platform'::regrole)
  and not exists (select from aclexplode(i.initprivs) g where g.grantee = a.grantee)
order by 1, 2
