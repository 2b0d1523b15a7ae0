-- One of Nebula's definer functions belongs to a role that row-level security doesn't bind as it should.
select
  p.oid::regprocedure::text,
  format('It runs as %s.', p.proowner::regrole),
  format('alter function %s owner to nebula_owner;', p.oid::regprocedure)
from pg_proc p
where p.pronamespace = 'nebula'::regnamespace and p.prosecdef and p.proowner not in ('nebula_owner'::regrole, 'nebula_platform'::regrole)
order by 1, 2
