-- A prepared transaction is open: its locks and its snapshot stay, after a restart, too.
select
  'prepared transaction ' || x.gid,
  format('%s prepared it at %s.', x.owner, date_trunc('second', x.prepared)),
  format('rollback prepared %L;', x.gid)
from pg_prepared_xacts x
where x.database = current_database() and x.prepared < clock_timestamp() - $2
order by 1, 2
