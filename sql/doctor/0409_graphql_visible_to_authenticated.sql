-- With pg_graphql, everybody who is logged in sees that a table or view exists, and its columns.
select
  c.oid::regclass::text,
  'authenticated finds it in the GraphQL schema.',
  format('revoke select on %s from public, authenticated;', c.oid::regclass)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_roles r on r.rolname = 'authenticated' and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select')
where n.nspname = any ($1) and c.relkind in ('r', 'v', 'm', 'f')
  and exists (select from pg_extension e where e.extname = 'pg_graphql')
order by 1, 2
