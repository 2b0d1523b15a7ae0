-- Somebody has a privilege on a column of one of Nebula's tables.
select
  c.oid::regclass || ' column ' || quote_ident(a.attname),
  format('%s may %s.', case when x.grantee = 0 then 'PUBLIC' else x.grantee::regrole::text end, lower(string_agg(x.privilege_type, ', ' order by x.privilege_type))),
  format('revoke all (%I) on table %s from %s;', a.attname, c.oid::regclass, case when x.grantee = 0 then 'public' else x.grantee::regrole::text end)
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attacl is not null
cross join lateral aclexplode(a.attacl) x
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p')
  and x.grantee not in ('nebula_owner'::regrole, 'nebula_platform'::regrole)
group by c.oid, a.attname, x.grantee
order by 1, 2
