-- A fifth of a table is dead rows, and at least 10,000: vacuum doesn't keep up, or something holds it back.
select
  t.name,
  format('%s of %s rows are dead.', s.n_dead_tup, s.n_dead_tup + s.n_live_tup),
  format('vacuum (analyze) %s;', t.name)
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_stat_user_tables s on s.relid = t.id
where s.n_dead_tup > 10000 and s.n_dead_tup > (s.n_dead_tup + s.n_live_tup) / 5
order by 1, 2
