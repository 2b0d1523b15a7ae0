-- A newer version of an extension is installed on the server than in the database.
select
  'extension ' || quote_ident(e.extname),
  format('It is %s here; the server has %s.', e.extversion, a.default_version),
  format('alter extension %I update;', e.extname)
from pg_extension e
join pg_available_extensions a on a.name = e.extname and a.default_version <> e.extversion
order by 1, 2
