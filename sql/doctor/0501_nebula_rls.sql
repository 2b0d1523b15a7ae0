-- Row-level security of one of Nebula's tables is not enabled or not forced.
select
  c.oid::regclass::text,
  'Tenants are kept apart by row-level security, enabled and forced.',
  format(e'alter table %s enable row level security;\nalter table %1$s force row level security;', c.oid::regclass)
from pg_class c
where c.relnamespace = 'nebula'::regnamespace and c.relkind in ('r', 'p')
  and (c.relname = 'tenant' or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped))
  and not (c.relrowsecurity and c.relforcerowsecurity)
order by 1, 2
