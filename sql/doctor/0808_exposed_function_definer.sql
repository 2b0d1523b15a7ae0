-- The function of an exposed operation runs with its owner's rights since it was exposed: it is not called any more.
select
  format('operation %s v%s', o.action, o.api_version),
  format('%s is a definer function now, of %s.', o.function_signature, p.proowner::regrole),
  format('alter function %s security invoker;', p.oid::regprocedure)
from nebula.operation o
join pg_catalog.pg_proc p on p.proname = o.function_name and p.oid::regprocedure::text = o.function_signature
where o.status = 'ativo' and p.prosecdef
