-- A tenant's column may be null: such rows are nobody's, and no policy shows them.
select
  t.name,
  format('A row without %I is nobody''s.', t.tenant_column),
  concat_ws(e'\n',
    format('alter table %s add constraint doctor_not_null check (%I is not null) not valid;', t.name, t.tenant_column),
    format('alter table %s validate constraint doctor_not_null;', t.name),
    format('alter table %s alter column %I set not null, drop constraint doctor_not_null;', t.name, t.tenant_column))
from nebula.doctor_tables($1) t
join pg_attribute a on a.attrelid = t.id and a.attname = t.tenant_column
where not a.attnotnull and not t.is_partition
order by 1, 2
