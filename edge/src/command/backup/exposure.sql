-- The segment after the newest archived one holds nothing while the server is at its very beginning.
select case
  when a.last_archived_time is null then extract(epoch from pg_catalog.now() - pg_catalog.pg_postmaster_start_time())
  when pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) <= a.last_archived_wal then 0
  when (pg_catalog.pg_walfile_name_offset(pg_catalog.pg_current_wal_insert_lsn())).file_offset <= 128 then 0
  else extract(epoch from pg_catalog.clock_timestamp() - a.last_archived_time)
end::float8
from pg_catalog.pg_stat_archiver a
