-- Somebody has a privilege on one of Nebula's tables: nobody has any but its owner and the platform.
select
  c.oid::regclass::text,
  format('%s may %s.', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, lower(string_agg(a.privilege_type, ', ' order by a.privilege_type))),
  format('revoke all on table %s from %s;', c.oid::regclass, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
from pg_class c
cross join lateral aclexplode(c.relacl) a
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.grantee not in ('nebula_owner'::regrole, 'nebula_platform'::regrole, c.relowner)
group by c.oid, a.grantee
order by 1, 2
