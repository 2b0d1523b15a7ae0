-- A protected table is gone and its note is still there.
select
  'protected table ' || p.resource,
  'The table is gone; the note is not needed any more.',
  format('delete from nebula.protected_table where id = %L;', p.id)
from nebula.protected_table p
where not exists (select from pg_catalog.pg_class c where c.oid = p.relation)
