-- An index was never read since statistics began: it costs each write and helps nothing. On a replica it may be read all the same.
select
  i.indexrelid::regclass::text,
  format('It has not been read since %s.', coalesce((select d.stats_reset::date::text from pg_stat_database d where d.datname = current_database()), 'the database was made')),
  format('drop index concurrently %s;', i.indexrelid::regclass)
from nebula.doctor_tables($1) t
join pg_index i on i.indrelid = t.id and i.indisvalid and not i.indisunique and not i.indisexclusion
join pg_stat_user_indexes s on s.indexrelid = i.indexrelid and s.idx_scan = 0
join pg_class c on c.oid = t.id and c.relkind = 'r'
-- An index that leads with a foreign key's columns or with the tenant is there for what must not get slow one day.
where not exists (
    select from pg_constraint k
    where k.conrelid = t.id and k.contype = 'f' and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)
  and not exists (select from pg_attribute a where a.attrelid = t.id and a.attnum = i.indkey[0] and a.attname = t.tenant_column)
  and not exists (select from pg_inherits h where h.inhrelid = i.indexrelid)
order by 1, 2
