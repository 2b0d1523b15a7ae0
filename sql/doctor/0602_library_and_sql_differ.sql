-- The library and the functions in the database are of different versions.
select
  'extension nebula',
  format('The library is %s, the extension %s.', nebula.version(), e.extversion),
  case when e.extversion = a.default_version then '-- restart the server, or end the sessions that have loaded the older library'
    else 'alter extension nebula update;' end
from pg_extension e
join pg_available_extensions a on a.name = e.extname
where e.extname = 'nebula' and e.extversion <> nebula.version()
