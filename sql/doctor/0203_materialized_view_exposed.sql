-- Callers read a materialized view: it has no row-level security, and holds what its owner saw.
select
  c.oid::regclass::text,
  format('%s read it, and row-level security doesn''t exist for it.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('revoke all on %s from public, %s;', c.oid::regclass, string_agg(quote_ident(r.rolname), ', ' order by r.rolname))
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select')
where n.nspname = any ($1) and c.relkind = 'm'
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
group by c.oid
order by 1, 2
