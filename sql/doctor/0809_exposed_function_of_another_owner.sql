-- The function of an exposed operation belongs to somebody else than when it was exposed: it is not called any more.
select
  format('operation %s v%s', o.action, o.api_version),
  format('%s belonged to %s, and belongs to %s.', o.function_signature, o.function_owner, p.proowner::regrole),
  format('alter function %s owner to %I;', p.oid::regprocedure, o.function_owner)
from nebula.operation o
join pg_catalog.pg_proc p on p.proname = o.function_name and p.oid::regprocedure::text = o.function_signature
join pg_catalog.pg_roles r on r.oid = p.proowner and r.rolname <> o.function_owner
where o.status = 'ativo'
