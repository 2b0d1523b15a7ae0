-- A function leaves search_path to its caller: it does something else in another session.
select
  f.name,
  'What its names mean depends on the session that calls it.',
  format('alter routine %s set search_path = pg_catalog, %I, pg_temp;', f.name, f.schema)
from nebula.doctor_functions($1) f
join pg_proc p on p.oid = f.id
-- A body of standard SQL is bound to its objects when it is made.
where not f.is_definer and not f.has_search_path and f.language not in ('c', 'internal') and p.prosqlbody is null
order by 1, 2
