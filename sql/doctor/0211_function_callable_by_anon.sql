-- Whoever is not logged in may execute a function: Postgres grants it to PUBLIC when it is made.
select
  f.name,
  'anon may execute it.',
  concat_ws(e'\n',
    format('revoke execute on routine %s from public, anon;', f.name),
    'grant execute on routine ' || f.name || ' to ' || nullif(array_to_string(array_remove(f.callers, 'anon'), ', '), '') || ';')
from nebula.doctor_functions($1) f
where not f.is_definer and 'anon' = any (f.callers) and not f.returns_trigger
order by 1, 2
