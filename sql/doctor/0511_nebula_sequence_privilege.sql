-- Somebody may read one of Nebula's sequences: it tells how much all tenants do.
select
  c.oid::regclass::text,
  format('%s may %s.', case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, lower(string_agg(a.privilege_type, ', ' order by a.privilege_type))),
  format('revoke all on sequence %s from %s;', c.oid::regclass, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end)
from pg_class c
cross join lateral aclexplode(c.relacl) a
where c.relnamespace = 'nebula'::regnamespace and c.relkind = 'S' and a.grantee not in ('nebula_owner'::regrole, 'nebula_platform'::regrole, c.relowner)
group by c.oid, a.grantee
order by 1, 2
