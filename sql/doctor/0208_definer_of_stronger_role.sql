-- Callers may execute a definer function of a role that row-level security doesn't bind: inside it every tenant's rows are open.
select
  f.name,
  format('%s run it as %s, whom no policy binds.', array_to_string(f.callers, ', '), f.owner::regrole),
  format('alter routine %s security invoker;', f.name)
from nebula.doctor_functions($1) f
where f.is_definer and f.is_owner_strong and f.callers <> '{}' and not f.returns_trigger
order by 1, 2
