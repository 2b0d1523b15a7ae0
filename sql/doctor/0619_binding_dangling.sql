-- A binding names a login that doesn't exist: whoever makes a role of that name acts for the tenant.
select
  'binding of ' || quote_ident(b.role_name),
  format('There is no login of that name; who gets it acts for tenant %s.', b.tenant_id),
  format('delete from nebula.role_binding where role_name = %L;', b.role_name)
from nebula.role_binding b
where not exists (select from pg_catalog.pg_roles r where r.rolname = b.role_name and r.rolcanlogin)
