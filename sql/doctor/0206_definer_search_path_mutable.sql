-- A definer function leaves search_path to its caller: who calls it decides what its names mean, and runs it with the owner's rights.
select
  f.name,
  format('It runs as %s, and its caller chooses what its names mean.', f.owner::regrole),
  format('alter routine %s set search_path = pg_catalog, %I, pg_temp;', f.name, f.schema)
from nebula.doctor_functions($1) f
where f.is_definer and not f.has_search_path and f.language not in ('c', 'internal')
order by 1, 2
