-- A queue of pgmq can be read by callers without row-level security.
select
  c.oid::regclass::text,
  format('%s read the queue.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('alter table %s enable row level security;', c.oid::regclass)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'pgmq'
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_any_column_privilege(r.oid, c.oid, 'select')
where c.relkind in ('r', 'p') and c.relname ~ '^[qa]_' and not c.relrowsecurity
group by c.oid
order by 1, 2
