-- A foreign key references a unique constraint of Supabase's schema auth that is not a primary key: Supabase may change it, and its upgrades then fail.
select
  k.conrelid::regclass || ' constraint ' || quote_ident(k.conname),
  format('It references %s by something else than the primary key.', k.confrelid::regclass),
  format('alter table %s drop constraint %I;', k.conrelid::regclass, k.conname)
from pg_constraint k
join nebula.doctor_tables($1) t on t.id = k.conrelid
join pg_class c on c.oid = k.confrelid
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'auth'
join pg_index i on i.indexrelid = k.conindid and not i.indisprimary
where k.contype = 'f'
order by 1, 2
