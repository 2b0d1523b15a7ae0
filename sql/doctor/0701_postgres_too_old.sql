-- The server is older than the fixes that Nebula's installation relies on.
select
  'server',
  format('Postgres %s lets an install script be made to run foreign objects.', current_setting('server_version')),
  '-- install 15.14, 16.10, 17.6 or later'
from (select current_setting('server_version_num')::integer) v (number)
where v.number < 150014 or v.number between 160000 and 160009 or v.number between 170000 and 170005
