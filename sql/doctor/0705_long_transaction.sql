-- A transaction is open for twelve times as long as patience lasts: vacuum can't remove what died since, and the outbox grows.
select
  'session ' || a.pid,
  format('%s has had a transaction open since %s.', coalesce(a.usename, 'Somebody'), date_trunc('second', a.xact_start)),
  format('select pg_terminate_backend(%s);', a.pid)
from pg_stat_activity a
where a.datname = current_database() and a.backend_type = 'client backend' and a.xact_start < clock_timestamp() - 12 * $2 and a.pid <> pg_backend_pid()
  and a.state not like 'idle in transaction%'
order by 1, 2
