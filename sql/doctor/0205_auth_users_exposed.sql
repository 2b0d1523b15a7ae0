-- Callers read a view over auth.users: the accounts of everybody.
select
  c.oid::regclass::text,
  format('%s read auth.users through it.', string_agg(distinct r.rolname::text, ', ' order by r.rolname::text)),
  format('revoke all on %s from public, %s;', c.oid::regclass, string_agg(distinct quote_ident(r.rolname), ', ' order by quote_ident(r.rolname)))
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_rewrite w on w.ev_class = c.oid
join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = to_regclass('auth.users')
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select')
where n.nspname = any ($1) and c.relkind in ('v', 'm')
group by c.oid
order by 1, 2
