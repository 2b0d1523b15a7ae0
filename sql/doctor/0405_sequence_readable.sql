-- Callers may read the sequence of a tenant's table: it tells how many rows all tenants make.
select
  c.oid::regclass::text,
  format('%s read how many rows all tenants have made.', string_agg(r.rolname, ', ' order by r.rolname)),
  format('revoke select, update on sequence %s from public, %s;', c.oid::regclass, string_agg(quote_ident(r.rolname), ', ' order by r.rolname))
from nebula.doctor_tables($1) t
join pg_depend d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.id and d.refobjsubid > 0 and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')
join pg_class c on c.oid = d.objid and c.relkind = 'S'
join pg_namespace n on n.oid = c.relnamespace
join pg_roles r on r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage') and has_sequence_privilege(r.oid, c.oid, 'select, update')
where t.tenant_column is not null
group by c.oid
order by 1, 2
