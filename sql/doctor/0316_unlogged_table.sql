-- A tenant's table is unlogged: a crash empties it, and no replica has it.
select
  t.name,
  'A crash empties it.',
  format('alter table %s set logged; -- writes the table anew', t.name)
from nebula.doctor_tables($1) t
join pg_class c on c.oid = t.id and c.relpersistence = 'u'
where t.tenant_column is not null
order by 1, 2
