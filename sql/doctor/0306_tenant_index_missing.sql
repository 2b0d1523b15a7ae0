-- A tenant's table has no index that begins with the tenant: every query of every tenant reads all tenants' rows.
select
  t.name,
  format('No index begins with %I: each query reads the rows of all tenants.', t.tenant_column),
  format('create index %s on %s (%I);', case when c.relkind = 'p' then '' else 'concurrently' end, t.name, t.tenant_column)
from nebula.doctor_tables($1) t
join pg_class c on c.oid = t.id
join pg_attribute a on a.attrelid = t.id and a.attname = t.tenant_column
where not t.is_partition
  and not exists (select from pg_index i where i.indrelid = t.id and i.indisvalid and i.indpred is null and i.indkey[0] = a.attnum)
order by 1, 2
