-- A foreign key between tenants' tables leaves the tenant out: a row may reference another tenant's, and the answer tells whether it exists.
with keys as (
  select
    k.conname, t.name, t.tenant_column, k.confrelid::regclass::text as target_name, f.tenant_column as target_tenant_column, k.confrelid,
    (select quote_ident(a.attname) from pg_attribute a where a.attrelid = t.id and a.attnum = k.conkey[1]) as own_column,
    (select quote_ident(a.attname) from pg_attribute a where a.attrelid = f.id and a.attnum = k.confkey[1]) as target_column,
    cardinality(k.conkey) as count, k.confdeltype, k.conkey, k.confkey,
    (select a.attnum from pg_attribute a where a.attrelid = f.id and a.attname = f.tenant_column) as target_tenant,
    (select a.attnum from pg_attribute a where a.attrelid = t.id and a.attname = t.tenant_column) as own_tenant
  from nebula.doctor_tables($1) t
  join pg_constraint k on k.conrelid = t.id and k.contype = 'f' and k.conparentid = 0
  join nebula.doctor_tables($1 || 'nebula'::text) f on f.id = k.confrelid and f.tenant_column is not null
  where t.tenant_column is not null
)
select
  k.name || ' constraint ' || quote_ident(k.conname),
  format('A row may reference another tenant''s row of %s.', k.target_name),
  case when k.count <> 1 then format('-- add (%I) to the key, on both sides', k.tenant_column)
  else concat_ws(e'\n',
    case when not exists (
      select from pg_index i
      where i.indrelid = k.confrelid and i.indisunique and i.indisvalid and i.indpred is null and i.indnkeyatts = 2
        and (i.indkey::smallint[])[0:1] @> array[k.target_tenant, k.confkey[1]])
    then format('alter table %s add unique (%I, %s);', k.target_name, k.target_tenant_column, k.target_column) end,
    format('alter table %s drop constraint %I, add constraint %2$I foreign key (%I, %s) references %s (%I, %s)%s not valid;', k.name, k.conname, k.tenant_column, k.own_column,
      k.target_name, k.target_tenant_column, k.target_column,
      case k.confdeltype when 'c' then ' on delete cascade' when 'r' then ' on delete restrict' when 'n' then format(' on delete set null (%s)', k.own_column)
        when 'd' then format(' on delete set default (%s)', k.own_column) end),
    format('alter table %s validate constraint %I;', k.name, k.conname))
  end
from keys k
where not (k.own_tenant = any (k.conkey) and k.target_tenant = any (k.confkey))
order by 1, 2
