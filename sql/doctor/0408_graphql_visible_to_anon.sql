-- With pg_graphql, whoever is not logged in sees that a table or view exists, and its columns.
select
  c.oid::regclass::text,
  'anon finds it in the GraphQL schema.',
  format('revoke select on %s from public, anon;', c.oid::regclass)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_roles r on r.rolname = 'anon' and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select')
where n.nspname = any ($1) and c.relkind in ('r', 'v', 'm', 'f')
  and exists (select from pg_extension e where e.extname = 'pg_graphql')
order by 1, 2
