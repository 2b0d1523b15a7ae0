-- A setting of the server loses what was committed, or corrupts it, when the machine stops.
select
  'setting ' || s.name,
  format('%s is off: a crash of the machine corrupts the database.', s.name),
  format(e'alter system set %s = on;\nselect pg_reload_conf();', s.name)
from pg_settings s
where s.name in ('fsync', 'full_page_writes') and s.setting = 'off'
order by 1, 2
