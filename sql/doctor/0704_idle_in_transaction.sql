-- A session sits in an open transaction and does nothing: its locks and its snapshot stay, and events behind it wait.
select
  'session ' || a.pid,
  format('%s has been idle in a transaction since %s.', coalesce(a.usename, 'Somebody'), date_trunc('second', a.state_change)),
  format('select pg_terminate_backend(%s);', a.pid)
from pg_stat_activity a
where a.datname = current_database() and a.state like 'idle in transaction%' and a.state_change < clock_timestamp() - $2 and a.pid <> pg_backend_pid()
order by 1, 2
