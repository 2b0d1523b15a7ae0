-- Runs at each install and each update: it may be run again.

-- Older servers let an install script be made to adopt or run foreign objects (CVE-2022-2625, CVE-2023-39417 and later fixes).
do $$
declare
  version integer := current_setting('server_version_num')::integer;
begin
  -- 18.0 has what those versions brought. A pre-release has the number of the release that it comes before.
  if version < 150014
    or version between 160000 and 160009
    or version between 170000 and 170005
    or current_setting('server_version') ~ '^\d+(devel|alpha|beta|rc)'
  then
    raise exception 'Postgres % is too old for Nebula: 15.14, 16.10, 17.6, 18.0 or later is needed', current_setting('server_version');
  end if;
end
$$;

-- The roles (design, section 2). They are cluster-global: another database of the cluster may have made them already, so each
-- is made only where it is missing, and then held to its attributes: a role that somebody prepared with more is refused.
do $$
declare
  wanted record;
  -- Who creates the extension. It is trusted: that may be a role that only may create in this database (Supabase's postgres), in whose name supautils
  -- may do it as a superuser.
  creator regrole := (
    select case when r.rolsuper then pg_catalog.quote_ident(session_user)::regrole else r.oid::regrole end
    from pg_catalog.pg_extension e
    join pg_catalog.pg_roles r on r.oid = e.extowner
    where e.extname = 'nebula'
  );
begin
  for wanted in
    select *
    from (values
      ('nebula_owner', false),
      ('nebula_platform', false),
      ('nebula_app', false),
      ('nebula_edge', true),
      ('nebula_keys', true),
      ('nebula_worker', true)
    ) as role (name, can_login)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = wanted.name) then
      execute pg_catalog.format(
        'create role %I nosuperuser nocreatedb nocreaterole noreplication nobypassrls noinherit %s',
        wanted.name,
        case when wanted.can_login then 'login' else 'nologin' end
      );
      -- As if they had made it themselves: from 16 on, who makes a role administers it (sets its password, grants it), and may not act as it by that.
      -- Up to 15, CREATEROLE is enough. A role that was there already is somebody else's to administer.
      if (wanted.can_login or wanted.name = 'nebula_app') and current_setting('server_version_num')::integer >= 160000
        and (select r.rolcreaterole and not r.rolsuper from pg_catalog.pg_roles r where r.oid = creator)
      then
        execute pg_catalog.format('grant %I to %s with admin true, inherit false, set false', wanted.name, creator);
      end if;
    end if;
    if exists (
      select
      from pg_catalog.pg_roles
      where rolname = wanted.name
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or rolcanlogin <> wanted.can_login)
    ) then
      raise exception 'role % exists with attributes that Nebula does not give it', wanted.name
        using hint = 'Drop the role, or take superuser, bypassrls, createrole, createdb and replication away from it.';
    end if;
    -- A member of one of our roles could act as it, but for who only administers it; a membership of one of ours would lend it foreign rights.
    if exists (
      select
      from pg_catalog.pg_auth_members m
      join pg_catalog.pg_roles granted on granted.oid = m.roleid
      join pg_catalog.pg_roles member on member.oid = m.member
      where (granted.rolname = wanted.name and wanted.name <> 'nebula_app' and not member.rolsuper
          -- Columns of 16 and later: read as JSON, so that this is understood on 15.
          and (coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, true) or coalesce((pg_catalog.to_jsonb(m) ->> 'inherit_option')::boolean, true)))
         or (member.rolname = wanted.name)
    ) then
      raise exception 'role % has members or memberships that Nebula does not give it', wanted.name
        using hint = 'Revoke them and try again.';
    end if;
  end loop;
end
$$;

-- Credentials travel as parameters: they stay out of the log whatever the server's settings are. Set only where it differs: two databases of a
-- cluster may create the extension at the same time.
do $$
declare
  wanted record;
begin
  for wanted in
    select *
    from (values
      -- As the functions would set them for each call (kernel/spi/settings.rs).
      ('nebula_edge', 'enable_seqscan', 'off'),
      ('nebula_edge', 'enable_sort', 'off'),
      ('nebula_edge', 'jit', 'off'),
      ('nebula_edge', 'log_parameter_max_length', '0'),
      ('nebula_edge', 'log_parameter_max_length_on_error', '0'),
      ('nebula_edge', 'statement_timeout', '15s'),
      ('nebula_edge', 'timezone', 'UTC'),
      ('nebula_edge', 'idle_in_transaction_session_timeout', '10s'),
      ('nebula_keys', 'statement_timeout', '15s'),
      ('nebula_keys', 'idle_in_transaction_session_timeout', '10s'),
      ('nebula_worker', 'enable_seqscan', 'off'),
      ('nebula_worker', 'enable_sort', 'off'),
      ('nebula_worker', 'jit', 'off'),
      ('nebula_worker', 'log_parameter_max_length', '0'),
      ('nebula_worker', 'log_parameter_max_length_on_error', '0'),
      ('nebula_worker', 'idle_in_transaction_session_timeout', '60s')
    ) as setting (role, name, value)
  loop
    continue when exists (
      select
      from pg_catalog.pg_db_role_setting s
      join pg_catalog.pg_roles r on r.oid = s.setrole
      cross join lateral unnest(s.setconfig) as config (pair)
      -- Postgres writes a setting's name its own way (TimeZone).
      where r.rolname = wanted.role and s.setdatabase = 0 and lower(config.pair) = lower(wanted.name || '=' || wanted.value)
    );
    execute pg_catalog.format('alter role %I set %I = %L', wanted.role, wanted.name, wanted.value);
  end loop;
end
$$;

grant usage, create on schema nebula to nebula_owner;
grant usage on schema nebula to nebula_platform, nebula_edge, nebula_keys, nebula_worker, nebula_app;
