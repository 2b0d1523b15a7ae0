-- Nobody reads a replication slot, and the server keeps its write-ahead log for it: the disk fills.
select
  'replication slot ' || s.slot_name,
  format('The server keeps %s of log for it.', pg_size_pretty(pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end, s.restart_lsn))),
  format('select pg_drop_replication_slot(%L);', s.slot_name)
from pg_replication_slots s
where not s.active and s.restart_lsn is not null
order by 1, 2
