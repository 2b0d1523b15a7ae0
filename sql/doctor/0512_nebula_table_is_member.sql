-- One of Nebula's tables was made a member of an extension: a dump leaves its rows out.
select
  c.oid::regclass::text,
  format('A dump leaves out the rows of what belongs to the extension %I.', e.extname),
  format('alter extension %I drop table %s;', e.extname, c.oid::regclass)
from pg_class c
join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
join pg_extension e on e.oid = d.refobjid
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p')
order by 1, 2
