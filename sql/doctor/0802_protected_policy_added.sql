-- A protected table has a permissive policy that nebula.protect() didn't make: within the tenant it lets people do what their groups don't grant.
select
  p.relation || ' policy ' || quote_ident(y.polname),
  'Within their tenant it lets people in whom no group grants the action.',
  format('drop policy %I on %s;', y.polname, p.relation)
from nebula.protected_table p
join pg_catalog.pg_policy y on y.polrelid = p.relation and y.polpermissive
where p.is_complete and y.polname not in ('nebula_read', 'nebula_create', 'nebula_update', 'nebula_delete')
