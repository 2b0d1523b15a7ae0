-- A table with rows was never analyzed: its queries are planned by guesses.
select
  t.name,
  format('About %s rows, never analyzed.', s.n_live_tup),
  format('analyze %s;', t.name)
from nebula.doctor_tables($1) t
join pg_stat_user_tables s on s.relid = t.id and s.last_analyze is null and s.last_autoanalyze is null and s.n_live_tup > 1000
order by 1, 2
