-- A foreign key has no index that begins with its columns: deleting or changing what it references reads the whole table.
select
  t.name || ' constraint ' || quote_ident(k.conname),
  'Each delete in ' || k.confrelid::regclass || ' reads this whole table.',
  format('create index %s on %s (%s);',
    case when (select c.relkind from pg_class c where c.oid = t.id) = 'p' then '' else 'concurrently' end, t.name,
    (select string_agg(quote_ident(a.attname), ', ' order by x.at)
     from unnest(k.conkey) with ordinality x (attnum, at) join pg_attribute a on a.attrelid = t.id and a.attnum = x.attnum))
from nebula.doctor_tables($1) t
join pg_constraint k on k.conrelid = t.id and k.contype = 'f' and k.conparentid = 0
where not exists (
  select
  from pg_index i
  where i.indrelid = t.id and i.indisvalid and i.indpred is null and i.indnkeyatts >= cardinality(k.conkey)
    and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey
)
order by 1, 2
