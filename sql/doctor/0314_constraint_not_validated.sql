-- A constraint was never validated: rows that were there before may break it.
select
  t.name || ' constraint ' || quote_ident(k.conname),
  'Rows from before it may break it.',
  format('alter table %s validate constraint %I;', t.name, k.conname)
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_constraint k on k.conrelid = t.id and not k.convalidated and k.conparentid = 0
order by 1, 2
