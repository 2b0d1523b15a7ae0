-- The function of an exposed operation is gone or has other arguments: every call is answered 404.
select
  format('operation %s v%s', o.action, o.api_version),
  format('%s does not exist.', o.function_signature),
  format('select nebula.unexpose(method => %L, path => %L);', o.method, o.path)
from nebula.operation o
where o.status = 'ativo'
  and not exists (select from pg_catalog.pg_proc p where p.proname = o.function_name and p.oid::regprocedure::text = o.function_signature)
