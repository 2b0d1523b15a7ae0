-- A role passes row-level security by: whoever logs in as it sees every tenant. Supabase's postgres and service_role do so by design.
select
  'role ' || quote_ident(r.rolname),
  case when r.rolsuper then 'It is a superuser: nothing binds it.' else 'Row-level security doesn''t bind it.' end,
  format('alter role %I %s;', r.rolname, case when r.rolsuper then 'nosuperuser nobypassrls' else 'nobypassrls' end)
from pg_roles r
where (r.rolsuper or r.rolbypassrls) and r.oid <> 10 and r.rolname <> current_user
order by 1, 2
