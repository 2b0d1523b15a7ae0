-- One of Nebula's tables or sequences belongs to somebody else: its owner may change its policies.
select
  c.oid::regclass::text,
  format('It belongs to %s.', c.relowner::regrole),
  format('alter %s %s owner to nebula_owner;', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
from pg_class c
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p', 'S') and c.relowner <> 'nebula_owner'::regrole
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'i')
order by 1, 2
