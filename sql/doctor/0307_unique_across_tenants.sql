-- Something is unique across tenants: a tenant that is refused a value learns that another one has it. Random ids tell nothing.
with keys as (
  select
    t.name, t.tenant_column, t.id, i.indexrelid, i.indisprimary, k.oid as constraint_id, k.conname,
    (select string_agg(quote_ident(a.attname), ', ' order by x.at)
     from unnest(i.indkey::smallint[]) with ordinality x (attnum, at)
     join pg_attribute a on a.attrelid = t.id and a.attnum = x.attnum where x.at <= i.indnkeyatts) as columns,
    exists (select from pg_constraint f where f.contype = 'f' and f.conindid = i.indexrelid and f.confrelid = t.id) as is_referenced
  from nebula.doctor_tables($1) t
  join pg_attribute a on a.attrelid = t.id and a.attname = t.tenant_column
  join pg_index i on i.indrelid = t.id and i.indisunique and i.indisvalid and a.attnum <> all (i.indkey::smallint[])
  left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u')
  where not t.is_partition
    and (select count(*) from pg_attribute u where u.attrelid = t.id and u.attnum = any (i.indkey::smallint[]) and u.atttypid <> 'uuid'::regtype) + (i.indexprs is not null)::integer > 0
)
select
  k.indexrelid::regclass::text,
  format('%s is unique across all tenants of %s: who is refused a value learns that somebody else has it.', coalesce('(' || k.columns || ')', 'Its expression'), k.name),
  case
    when k.is_referenced or k.columns is null or k.indisprimary and (select relkind from pg_class where oid = k.id) = 'p' then
      format('-- make it unique by (%I, …) and let foreign keys reference both columns', k.tenant_column)
    when k.conname is not null then
      format('alter table %s drop constraint %I, add constraint %2$I %s (%I, %s);', k.name, k.conname, case when k.indisprimary then 'primary key' else 'unique' end, k.tenant_column, k.columns)
    else format(e'create unique index concurrently on %s (%I, %s)%s;\ndrop index concurrently %s;', k.name, k.tenant_column, k.columns,
      (select ' where ' || pg_get_expr(i.indpred, i.indrelid) from pg_index i where i.indexrelid = k.indexrelid and i.indpred is not null), k.indexrelid::regclass)
  end
from keys k
order by 1, 2
