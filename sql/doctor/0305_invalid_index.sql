-- An index is invalid, as a broken-off `create index concurrently` leaves it: it costs each write, and no query reads it.
select
  i.indexrelid::regclass::text,
  'It is kept up to date and no query reads it; a unique one holds nothing back.',
  format('reindex index concurrently %s;', i.indexrelid::regclass)
from nebula.doctor_tables($1 || 'nebula'::text) t
join pg_index i on i.indrelid = t.id and not i.indisvalid
join pg_class c on c.oid = i.indexrelid and c.relkind = 'i'
where not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)
order by 1, 2
