-- Whoever is not logged in may execute a definer function.
select
  f.name,
  format('anon runs it as %s.', f.owner::regrole),
  concat_ws(e'\n',
    format('revoke execute on routine %s from public, anon;', f.name),
    'grant execute on routine ' || f.name || ' to ' || nullif(array_to_string(array_remove(f.callers, 'anon'), ', '), '') || ';')
from nebula.doctor_functions($1) f
where f.is_definer and 'anon' = any (f.callers) and not f.returns_trigger
order by 1, 2
