-- A table's oldest row ids are half-way to where autovacuum fails over everything else: vacuum doesn't get there.
select
  t.name,
  format('It was last frozen %s transactions ago.', age(c.relfrozenxid)),
  format('vacuum (freeze) %s;', t.name)
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_class c on c.oid = t.id and c.relkind = 'r'
where age(c.relfrozenxid) > current_setting('vacuum_failsafe_age')::bigint / 2
order by 1, 2
