-- The library needs newer tables than there are: every request is answered 503.
select
  'nebula.schema_migration',
  format('The tables are of migration %s; the library needs %s.', r ->> 'schemaVersion', r ->> 'requiredVersion'),
  'select nebula.migrate();'
from (select nebula.readiness()::json) x (r)
where not (r ->> 'ready')::boolean
