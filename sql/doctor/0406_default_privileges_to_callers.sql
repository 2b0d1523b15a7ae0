-- What somebody makes in a schema is granted to callers as it is made, before anybody has thought of policies.
select
  format('default privileges of %s%s', a.defaclrole::regrole, coalesce(' in ' || quote_ident(n.nspname), '')),
  format('%s to %s.',
    case a.defaclobjtype when 'r' then 'Tables are granted' when 'S' then 'Sequences are granted' else 'Functions are granted' end,
    string_agg(distinct case when g.grantee = 0 then 'PUBLIC' else g.grantee::regrole::text end, ', ')),
  format('alter default privileges for role %s%s revoke all on %s from %s;', a.defaclrole::regrole, ' in schema ' || quote_ident(n.nspname),
    case a.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' else 'functions' end,
    string_agg(distinct case when g.grantee = 0 then 'public' else g.grantee::regrole::text end, ', '))
from pg_default_acl a
left join pg_namespace n on n.oid = a.defaclnamespace
cross join lateral aclexplode(a.defaclacl) g
left join pg_roles r on r.oid = g.grantee
where a.defaclobjtype in ('r', 'S', 'f') and (n.nspname is null or n.nspname = any ($1 || 'nebula'::text))
  and (r.rolname in ('anon', 'authenticated', 'nebula_app', 'service_role') and (a.defaclobjtype <> 'f' or n.nspname = 'nebula' or r.rolname = 'anon') or g.grantee = 0 and a.defaclobjtype <> 'f')
  -- Supabase's own default for its own roles is left to it where it serves no tenant's table.
  and not (r.rolname = 'service_role' and coalesce(n.nspname, '') <> 'nebula')
group by a.oid, a.defaclrole, a.defaclobjtype, n.nspname
order by 1, 2
