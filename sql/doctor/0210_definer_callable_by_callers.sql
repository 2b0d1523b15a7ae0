-- Whoever is logged in may execute a definer function: it does what its owner may, for everybody.
select
  f.name,
  format('%s run it as %s.', array_to_string(array_remove(f.callers, 'anon'), ', '), f.owner::regrole),
  format('revoke execute on routine %s from public, %s;', f.name, array_to_string(f.callers, ', '))
from nebula.doctor_functions($1) f
where f.is_definer and array_remove(f.callers, 'anon') <> '{}' and not f.returns_trigger
order by 1, 2
