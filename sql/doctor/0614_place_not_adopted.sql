-- The database stands elsewhere than where it was installed: it takes itself for a copy and sends nothing.
select
  'database ' || current_database(),
  'It is a copy, or was moved: no event is delivered, nothing is archived or dropped.',
  'select nebula.adopt_here(); -- only if the original sends no more'
where not exists (select from nebula.delivery_place p where p.fingerprint = nebula.delivery_place_here())
