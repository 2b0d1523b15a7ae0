-- One of Nebula's functions doesn't pin its search_path any more.
select
  p.oid::regprocedure::text,
  'Its caller decides what its names mean.',
  format('alter function %s set search_path = pg_catalog, pg_temp;', p.oid::regprocedure)
from pg_proc p
join pg_language l on l.oid = p.prolang
where p.pronamespace = 'nebula'::regnamespace and (p.prosecdef or l.lanname <> 'c')
  and not coalesce('search_path=pg_catalog, pg_temp' = any (p.proconfig), false)
order by 1, 2
