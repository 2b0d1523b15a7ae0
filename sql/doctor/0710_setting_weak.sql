-- A setting of the server weakens what Nebula promises.
select
  'setting ' || s.name,
  format('It is %s: %s', s.reset_val, w.why),
  format(e'alter system set %s = %L;\nselect pg_reload_conf();', s.name, w.good)
from pg_settings s
join (values
  ('synchronous_commit', '^off$', 'on', 'a crash loses what was answered as done.'),
  ('password_encryption', '^md5$', 'scram-sha-256', 'passwords that are set from now on can be used by who reads their hash.'),
  ('row_security', '^off$', 'on', 'queries of those whom policies bind fail.'),
  ('session_replication_role', '^(replica|local)$', 'origin', 'triggers and foreign keys don''t hold.'),
  ('autovacuum', '^off$', 'on', 'tables grow, and row ids run out.'),
  ('track_counts', '^off$', 'on', 'autovacuum doesn''t know what to do.'),
  ('zero_damaged_pages', '^on$', 'off', 'damaged pages are emptied instead of told.'),
  ('ignore_checksum_failure', '^on$', 'off', 'damaged pages are read as if they were whole.'),
  ('allow_system_table_mods', '^on$', 'off', 'superusers can break the catalog.'),
  ('nebula.allow_loopback_webhooks', '^on$', 'off', 'tenants'' webhooks may name addresses of this machine: for development only.')
) w (name, bad, good, why) on w.name = s.name and s.reset_val ~ w.bad
where s.source not in ('database', 'user', 'database user', 'client')
order by 1, 2
