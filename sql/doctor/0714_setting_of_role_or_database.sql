-- A setting of a role or of the database weakens what Nebula promises, for every session that begins.
select
  concat_ws(' of ', 'setting ' || s.name, 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname)),
  format('It is %s: %s', s.value, w.why),
  case when r.rolname is null then format('alter database %I reset %s;', d.datname, s.name)
  else format('alter role %I%s reset %s;', r.rolname, ' in database ' || quote_ident(d.datname), s.name) end
from pg_db_role_setting x
cross join lateral (select split_part(e, '=', 1), substr(e, strpos(e, '=') + 1) from unnest(x.setconfig) e) s (name, value)
left join pg_roles r on r.oid = x.setrole
left join pg_database d on d.oid = x.setdatabase
join (values
  ('session_replication_role', '^(replica|local)$', 'triggers and foreign keys don''t hold.'),
  ('row_security', '^(off|false|no|0)$', 'queries of those whom policies bind fail.'),
  ('synchronous_commit', '^(off|false|no|0)$', 'a crash loses what was answered as done.'),
  ('session_preload_libraries', '.', 'a library of somebody''s choice is loaded into each session.'),
  ('local_preload_libraries', '.', 'a library of somebody''s choice is loaded into each session.'),
  ('log_parameter_max_length', '^(-1|[1-9].*)$', 'parameters, credentials among them, may be logged.'),
  ('nebula.allow_loopback_webhooks', '^(on|true|yes|1)$', 'tenants'' webhooks may name addresses of this machine: for development only.'),
  ('nebula.test_operations', '^(on|true|yes|1)$', 'operations that exist for tests are offered.')
) w (name, bad, why) on w.name = lower(s.name) and s.value ~* w.bad
where (d.datname is null or d.datname = current_database())
  -- Told by nebula_role_setting; and what Supabase's own roles come with.
  and coalesce(r.rolname, '') not in ('nebula_edge', 'nebula_keys', 'nebula_worker', 'nebula_owner', 'nebula_platform', 'nebula_app')
  and not (lower(s.name) = 'session_preload_libraries' and r.rolname in ('authenticator', 'postgres', 'supabase_admin') and s.value ~ '^"?(safeupdate|supautils)"?$')
order by 1, 2
