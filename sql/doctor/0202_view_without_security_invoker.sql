-- A view that callers may read runs with the rights of its owner: policies of the tables below don't see who asks.
with recursive views as (
  select c.oid as id, d.refobjid as below
  from pg_class c
  join pg_rewrite r on r.ev_class = c.oid
  join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid
  where c.relkind in ('v', 'm')
), reach as (
  select id, below from views
  union
  select r.id, v.below from reach r join views v on v.id = r.below
)
select
  c.oid::regclass::text,
  format('%s read it with the rights of %s.', (
    select string_agg(r.rolname, ', ' order by r.rolname) from pg_roles r
    where r.rolname in ('anon', 'authenticated', 'nebula_app') and has_any_column_privilege(r.oid, c.oid, 'select')), c.relowner::regrole),
  format('alter view %s set (security_invoker = true);', c.oid::regclass)
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any ($1) and c.relkind = 'v'
  and not coalesce((select bool_or(o.option_value::boolean) from pg_options_to_table(c.reloptions) o where o.option_name = 'security_invoker'), false)
  and exists (
    select from pg_roles r
    where r.rolname in ('anon', 'authenticated', 'nebula_app') and has_schema_privilege(r.oid, n.oid, 'usage') and has_any_column_privilege(r.oid, c.oid, 'select'))
  and not exists (
    select from reach r join nebula.doctor_tables($1 || 'nebula'::text) t on t.id = r.below and (t.tenant_column is not null or t.schema = 'nebula') where r.id = c.oid)
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 1, 2
