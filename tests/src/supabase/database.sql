-- The database of those images: schemas and their owners, default privileges, event triggers. Run by supabase_admin in a database that belongs to postgres.

create publication supabase_realtime;

create schema extensions;
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
grant usage on schema extensions to postgres, anon, authenticated, service_role;
grant all on schema extensions to postgres, dashboard_user;

create schema auth;
create table auth.users (
  id uuid primary key default gen_random_uuid(),
  aud text,
  role text,
  email text unique,
  encrypted_password text,
  email_confirmed_at timestamptz,
  raw_app_meta_data jsonb,
  raw_user_meta_data jsonb
);
alter table auth.users owner to supabase_auth_admin;
create function auth.jwt() returns jsonb language sql stable as
  'select nullif(current_setting(''request.jwt.claims'', true), '''')::jsonb';
create function auth.uid() returns uuid language sql stable as 'select (auth.jwt() ->> ''sub'')::uuid';
create function auth.role() returns text language sql stable as 'select auth.jwt() ->> ''role''';
alter function auth.jwt() owner to supabase_auth_admin;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;
grant usage on schema auth to postgres, anon, authenticated, service_role;
grant all on schema auth to supabase_auth_admin, dashboard_user;
grant all on all tables in schema auth to postgres, dashboard_user;
grant all on all functions in schema auth to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on tables to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on sequences to postgres, dashboard_user;
alter default privileges for role supabase_auth_admin in schema auth grant all on functions to postgres, dashboard_user;

create schema storage;
grant all on schema storage to supabase_storage_admin, dashboard_user;
grant usage on schema storage to postgres, anon, authenticated, service_role;
create schema realtime;
grant usage on schema realtime to postgres;
create schema pgbouncer authorization pgbouncer;

grant usage on schema public to postgres, anon, authenticated, service_role;
grant create on schema public to postgres;
-- Everything that postgres or supabase_admin makes in public is everybody's, but for RLS.
alter default privileges for role postgres in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on sequences to postgres, anon, authenticated, service_role;

-- PostgREST reloads its schema cache after DDL of anybody's, the extension's and its migrations' included.
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
declare
  command record;
begin
  for command in select * from pg_event_trigger_ddl_commands() loop
    if command.command_tag ~ '^(CREATE|ALTER) (SCHEMA|TABLE|VIEW|FUNCTION|TYPE)|^COMMENT|^CREATE TRIGGER' and command.schema_name is distinct from 'pg_temp' then
      notify pgrst, 'reload schema';
    end if;
  end loop;
end
$$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
declare
  object record;
begin
  for object in select * from pg_event_trigger_dropped_objects() loop
    if object.object_type in ('schema', 'table', 'view', 'function', 'trigger', 'type') and not object.is_temporary then
      notify pgrst, 'reload schema';
    end if;
  end loop;
end
$$;
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
-- Grants access to pg_cron and pg_net when they are created: looks at every other extension too.
create function extensions.grant_on_extension() returns event_trigger language plpgsql as $$
begin
  if exists (select from pg_event_trigger_ddl_commands() c join pg_extension e on e.oid = c.objid where e.extname in ('pg_cron', 'pg_net')) then
    raise exception 'not in this cluster';
  end if;
end
$$;
create event trigger issue_extension_access on ddl_command_end when tag in ('CREATE EXTENSION') execute function extensions.grant_on_extension();
