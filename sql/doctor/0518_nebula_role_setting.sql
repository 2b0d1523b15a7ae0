-- A setting of one of Nebula's logins is not what the installation sets: a login may change its own, and spoil its sessions with it.
with wanted (role, name, value) as (
  values
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
), present as (
  select r.rolname, d.datname, split_part(s.entry, '=', 1) as name, substr(s.entry, strpos(s.entry, '=') + 1) as value
  from pg_db_role_setting x
  join pg_roles r on r.oid = x.setrole and r.rolname in ('nebula_edge', 'nebula_keys', 'nebula_worker', 'nebula_owner', 'nebula_platform', 'nebula_app')
  left join pg_database d on d.oid = x.setdatabase
  cross join unnest(x.setconfig) s (entry)
  where d.datname is null or d.datname = current_database()
)
select
  'role ' || quote_ident(p.rolname),
  format('%s is set%s.', p.name, case when p.datname is null then '' else ' in this database' end),
  format('alter role %I%s reset %s;', p.rolname, ' in database ' || quote_ident(p.datname), p.name)
from present p
where p.datname is not null or not exists (select from wanted w where w.role = p.rolname and w.name = lower(p.name))
union all
select
  'role ' || quote_ident(w.role),
  format('%s is %s, not %s.', w.name, coalesce(p.value, 'not set'), w.value),
  format('alter role %I set %s = %L;', w.role, w.name, w.value)
from wanted w
left join present p on p.rolname = w.role and lower(p.name) = w.name and p.datname is null
where p.value is distinct from w.value
order by 1, 2
