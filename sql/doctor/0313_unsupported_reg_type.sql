-- A column has a type of object identifiers that pg_upgrade refuses.
select
  t.name || ' column ' || quote_ident(a.attname),
  format('pg_upgrade refuses %s.', a.atttypid::regtype),
  format('alter table %s alter column %I type text using %2$I::text;', t.name, a.attname)
from nebula.doctor_tables($1) t
join pg_attribute a on a.attrelid = t.id and a.attnum > 0 and not a.attisdropped
where not t.is_partition and a.atttypid in (
  'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype, 'regoper'::regtype, 'regoperator'::regtype,
  'regproc'::regtype, 'regprocedure'::regtype)
order by 1, 2
