-- A line of pg_hba.conf lets logins in without a password.
select
  'pg_hba.conf line ' || h.line_number,
  format('%s: %s may log in to %s%s without a password.', h.type, array_to_string(h.user_name, ', '), array_to_string(h.database, ', '), coalesce(' from ' || h.address, '')),
  '-- write scram-sha-256 in its place, then: select pg_reload_conf();'
from pg_hba_file_rules h
where h.auth_method = 'trust'
order by h.line_number
