-- A table has no primary key: rows can't be told apart, and logical replication refuses updates.
select
  t.name,
  'Nothing tells two equal rows apart, and logical replication refuses to update and delete them.',
  coalesce(
    (
      select format('alter table %s add primary key using index %I;', t.name, x.relname)
      from pg_index i
      join pg_class x on x.oid = i.indexrelid
      where i.indrelid = t.id and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null and c.relkind = 'r'
        and not exists (select from pg_constraint k where k.conindid = i.indexrelid)
        and not exists (
          select from pg_attribute a where a.attrelid = t.id and a.attnum = any (i.indkey::smallint[]) and not a.attnotnull)
      order by x.relname
      limit 1
    ),
    case when c.relkind = 'p' then '-- choose the columns: a primary key of a partitioned table holds the columns that it is partitioned by'
    else format('alter table %s add column %I bigint generated always as identity primary key; -- rewrites the table', t.name,
      case when exists (select from pg_attribute a where a.attrelid = t.id and a.attname = 'id') then 'row_number' else 'id' end) end
  )
from nebula.doctor_tables($1) t
join pg_class c on c.oid = t.id
where not t.is_partition and not exists (select from pg_index i where i.indrelid = t.id and i.indisprimary)
order by 1, 2
