-- Runs at install only: an update finds what the install made.

-- Nothing is adopted: the schema holds nothing that an attacker could have prepared (CVE-2022-2625). Tables are the exception, after
-- `drop extension` and in a restore; they must be ours.
do $$
begin
  if exists (
    select
    from pg_catalog.pg_namespace n
    join pg_catalog.pg_roles r on r.oid = n.nspowner
    where n.nspname = 'nebula'
      and not r.rolsuper
      and r.oid <> (select e.extowner from pg_catalog.pg_extension e where e.extname = 'nebula')
  ) then
    raise exception 'schema nebula belongs to neither a superuser nor who installs';
  end if;
  if exists (
    select
    from pg_catalog.pg_proc
    where pronamespace = 'nebula'::regnamespace
  ) or exists (
    select
    from pg_catalog.pg_operator
    where oprnamespace = 'nebula'::regnamespace
  ) or exists (
    select
    from pg_catalog.pg_class c
    join pg_catalog.pg_roles r on r.oid = c.relowner
    where c.relnamespace = 'nebula'::regnamespace and r.rolname <> 'nebula_owner'
  ) then
    raise exception 'schema nebula holds objects that are not Nebula''s'
      using hint = 'Drop them and create the extension again.';
  end if;
end
$$;

-- Whoever is named by default privileges of who installs would create here, or look into it. sql/grants.sql does the same for functions.
select pg_catalog.set_config('nebula_script.is_install', 'on', true);
do $$
declare
  granted record;
begin
  for granted in
    select distinct acl.grantee
    from pg_catalog.pg_namespace n
    cross join lateral pg_catalog.aclexplode(n.nspacl) acl
    where n.nspname = 'nebula' and acl.grantee <> n.nspowner and not coalesce(acl.grantee::regrole::text like 'nebula\_%', false)
  loop
    execute pg_catalog.format('revoke all on schema nebula from %s cascade', case granted.grantee when 0 then 'public' else granted.grantee::regrole::text end);
  end loop;
end
$$;
