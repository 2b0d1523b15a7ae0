-- Somebody may not execute one of Nebula's functions any more whom the installation granted it: requests fail.
select
  p.oid::regprocedure::text,
  format('%s may not execute it any more.', r.rolname),
  format('grant execute on function %s to %I;', p.oid::regprocedure, r.rolname)
from pg_proc p
join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid and e.extname = 'nebula'
join pg_init_privs i on i.classoid = 'pg_proc'::regclass and i.objoid = p.oid and i.privtype = 'e'
cross join lateral aclexplode(i.initprivs) g
join pg_roles r on r.oid = g.grantee
where not has_function_privilege(r.oid, p.oid, 'execute')
  -- Whose function it was while it was made.
  and r.oid <> (select x.grantor from aclexplode(i.initprivs) x limit 1)
order by 1, 2
