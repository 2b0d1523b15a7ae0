-- An object that is not Nebula's stands in its schema: Nebula's functions could be made to find it, and an upgrade refuses.
select
  'function ' || p.oid::regprocedure,
  format('It belongs to %s and is no part of the extension.', p.proowner::regrole),
  format('drop routine %s;', p.oid::regprocedure)
from pg_proc p
where p.pronamespace = 'nebula'::regnamespace
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
union all
select
  'relation ' || c.oid::regclass,
  format('It belongs to %s.', c.relowner::regrole),
  format('drop %s %s;', case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'foreign table' end, c.oid::regclass)
from pg_class c
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('v', 'm', 'f')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
union all
select
  'operator ' || o.oid::regoperator,
  format('It belongs to %s and is no part of the extension.', o.oprowner::regrole),
  format('drop operator %s;', o.oid::regoperator)
from pg_operator o
where o.oprnamespace = 'nebula'::regnamespace
  and not exists (select from pg_depend d where d.classid = 'pg_operator'::regclass and d.objid = o.oid and d.deptype = 'e')
order by 1, 2
