-- Nothing says that a tenant's column holds a tenant: rows of tenants that don't exist may be there.
select
  t.name,
  format('%I may hold what is no tenant.', t.tenant_column),
  concat_ws(e'\n',
    format('alter table %s add constraint %I foreign key (%I) references nebula.tenant (id)%s;', t.name, 'fk_' || left(c.relname, 50) || '_tenant_id', t.tenant_column,
      case when c.relkind = 'p' then '' else ' not valid' end),
    case when c.relkind <> 'p' then format('alter table %s validate constraint %I;', t.name, 'fk_' || left(c.relname, 50) || '_tenant_id') end)
from nebula.doctor_tables($1) t
join pg_class c on c.oid = t.id
join pg_attribute a on a.attrelid = t.id and a.attname = t.tenant_column
where not t.is_partition
  and not exists (
    -- Also by way of another tenant's table.
    select from pg_constraint k
    where k.conrelid = t.id and k.contype = 'f' and a.attnum = any (k.conkey)
  )
order by 1, 2
