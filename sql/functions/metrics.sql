-- Figures of the installation for who watches it: none tells anything of a tenant. Each is read in milliseconds, whatever there is of rows.

create function nebula.metrics_as_platform() returns table (name text, kind text, help text, labels jsonb, value double precision)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  -- Of a longer backlog so many rows are counted, wherever they stand, and the rest is the planner's estimate.
  most_rows constant integer := 100000;
  source record;
  has_rows boolean;
begin
  return query
    with live as materialized (
      select o.is_job, o.status, o.available_at, o.locked_until
      from nebula.outbox_live o
      limit most_rows
    ), scale (factor) as (
      select case when count(*) < most_rows then 1 else greatest(1, (select c.reltuples from pg_class c where c.oid = 'nebula.outbox_live'::regclass) / most_rows) end
      from live
    ), kinds (kind, is_job) as (
      values ('event', false), ('job', true)
    ), counted as (
      select
        k.kind,
        count(*) filter (where l.status = 'pending') as pending,
        count(*) filter (where l.status = 'running') as running,
        count(*) filter (where l.status = 'running' and l.locked_until <= now()) as lapsed,
        count(*) filter (where l.status = 'pending' and l.available_at <= now()) as due,
        extract(epoch from now() - min(l.available_at) filter (where l.status = 'pending' and l.available_at <= now())) as oldest_due
      from kinds k
      left join live l on l.is_job = k.is_job
      group by k.kind
    )
    select f.name, 'gauge', f.help, f.labels, f.value
    from counted c
    cross join scale s
    cross join lateral (values
      (1, 'nebula_outbox_rows', 'Work that is not finished: events and jobs that wait or are leased by a worker.',
        jsonb_build_object('kind', c.kind, 'status', 'pending'), c.pending * s.factor),
      (2, 'nebula_outbox_rows', '', jsonb_build_object('kind', c.kind, 'status', 'running'), c.running * s.factor),
      (3, 'nebula_outbox_due', 'Work that a worker could take now.', jsonb_build_object('kind', c.kind), c.due * s.factor),
      (4, 'nebula_outbox_oldest_due_seconds', 'How long the work that is due longest has waited for a worker.',
        jsonb_build_object('kind', c.kind), coalesce(c.oldest_due, 0)::double precision),
      (5, 'nebula_outbox_lapsed', 'Leases that ended without a word of their worker, and that no other has taken over.', jsonb_build_object('kind', c.kind), c.lapsed * s.factor)
    ) as f (place, name, help, labels, value)
    order by f.place, c.kind;

  return query
    select 'nebula_outbox_finished', 'gauge', 'Work that is done or dead and still kept, by the planner''s estimate.', '{}'::jsonb,
      coalesce(sum(greatest(c.reltuples, 0)), 0)::double precision
    from pg_partition_tree('nebula.outbox_finished') t
    join pg_class c on c.oid = t.relid
    where t.isleaf;
  return query
    select 'nebula_outbox_dead_total', 'counter', 'Work that died since the installation: a person must retry it.', '{}'::jsonb,
      case when d.is_called then d.last_value else 0 end::double precision
    from nebula.outbox_dead_seq d;

  return query
    select f.name, 'gauge', f.help, jsonb_build_object('task', t.name), f.value
    from (
      -- A stolen worker's login might add names.
      select *
      from nebula.task
      where task.name ~ '^[a-z_]{1,40}$'
      order by task.id
      limit 20
    ) t
    cross join lateral (values
      (1, 'nebula_task_finished_timestamp_seconds', 'When a periodic task ended the last time; 0 where it never did.', coalesce(extract(epoch from t.finished_at), 0)::double precision),
      (2, 'nebula_task_is_failing', 'Whether a periodic task failed the last time.', (t.last_error is not null)::integer::double precision),
      (3, 'nebula_task_overdue_seconds', 'How long a periodic task has been due and is done by nobody.',
        case when t.locked_until > now() then 0 else greatest(0, extract(epoch from now() - greatest(t.due_at, t.locked_until))) end::double precision)
    ) as f (place, name, help, value)
    order by f.place, t.name;

  for source in
    select * from (values ('audit_log'), ('outbox_finished'), ('usage_metrics'), ('webhook_delivery')) as s (name)
  loop
    return query
      select 'nebula_partitions_ahead', 'gauge', 'Months after this one that have a partition.', jsonb_build_object('table', source.name), count(*)::double precision
      from pg_inherits i
      join pg_class c on c.oid = i.inhrelid
      where i.inhparent = format('nebula.%I', source.name)::regclass and c.relname ~ '_\d{4}_\d{2}$'
        and right(c.relname, 7) > to_char(now() at time zone 'utc', 'YYYY_MM');
  end loop;
  for source in
    select * from (values ('audit_log'), ('outbox_finished'), ('usage_metrics'), ('webhook_delivery')) as s (name)
  loop
    execute format('select exists (select from nebula.%I)', source.name || '_default') into has_rows;
    return query
      select 'nebula_partition_default_has_rows', 'gauge', 'Whether rows lie in the partition for months that have none of their own.',
        jsonb_build_object('table', source.name), has_rows::integer::double precision;
  end loop;

  return query
    select f.name, 'gauge', f.help, '{}'::jsonb, f.value
    from (select nebula.readiness() as state) r
    cross join lateral (values
      ('nebula_schema_version', 'The newest migration that is applied.', (r.state ->> 'schemaVersion')::double precision),
      ('nebula_schema_required_version', 'The migration that the library needs.', (r.state ->> 'requiredVersion')::double precision)
    ) as f (name, help, value);
end
$$;
comment on function nebula.metrics_as_platform() is 'The part of nebula.metrics() that reads the installation''s rows: counts, ages and times, of no tenant in particular.';

create function nebula.metrics_of_statements() returns table (name text, kind text, help text, labels jsonb, value double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  statements text;
begin
  select format('%I.pg_stat_statements', n.nspname) into statements
  from pg_extension e
  join pg_namespace n on n.oid = e.extnamespace
  where e.extname = 'pg_stat_statements';
  if statements is null then
    return;
  end if;
  -- By the function of ours that a statement calls first: never a statement's own text.
  return query execute format($statement$
    with called as (
      select substring(s.query from 'nebula\.([a-z_]+)\(') as function, s.calls, s.total_exec_time, s.max_exec_time
      from %s s
      where s.dbid = (select d.oid from pg_database d where d.datname = current_database()) and s.query like '%%nebula.%%(%%'
    ), summed as (
      select c.function, sum(c.calls) as calls, sum(c.total_exec_time) / 1000 as seconds, max(c.max_exec_time) / 1000 as slowest
      from called c
      where exists (select from pg_proc p where p.pronamespace = 'nebula'::regnamespace and p.proname = c.function)
      group by c.function
    )
    select f.name, f.kind, f.help, jsonb_build_object('function', s.function), f.value::double precision
    from summed s
    cross join lateral (values
      (1, 'nebula_postgres_statement_calls_total', 'counter', 'Statements by the function that they call, where pg_stat_statements is installed.', s.calls::double precision),
      (2, 'nebula_postgres_statement_seconds_total', 'counter', 'The time of these statements in the server.', s.seconds),
      (3, 'nebula_postgres_statement_slowest_seconds', 'gauge', 'The slowest of these statements since pg_stat_statements was reset.', s.slowest)
    ) as f (place, name, kind, help, value)
    order by f.place, s.function
  $statement$, statements);
exception
  -- It is not preloaded, or the caller may not read it.
  when object_not_in_prerequisite_state or insufficient_privilege then
    return;
end
$$;
comment on function nebula.metrics_of_statements() is
  'The part of nebula.metrics() that comes from pg_stat_statements, as far as the caller may read it: members of pg_read_all_stats see every login''s statements, others their own.';

create function nebula.metrics() returns table (name text, kind text, help text, labels jsonb, value double precision)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select m.name, m.kind, m.help, m.labels, m.value from nebula.metrics_as_platform() m;
  return query
    select f.name, f.kind, f.help, f.labels, f.value::double precision
    from pg_stat_database s
    join pg_database d on d.oid = s.datid
    cross join lateral (values
      ('nebula_postgres_blocks_total', 'counter', 'Blocks that statements asked for, by where they were: in shared buffers, or outside of them.', '{"source": "cache"}'::jsonb, s.blks_hit),
      ('nebula_postgres_blocks_total', 'counter', '', '{"source": "disk"}', s.blks_read),
      ('nebula_postgres_transactions_total', 'counter', 'Transactions of this database.', '{"outcome": "commit"}', s.xact_commit),
      ('nebula_postgres_transactions_total', 'counter', '', '{"outcome": "rollback"}', s.xact_rollback),
      ('nebula_postgres_deadlocks_total', 'counter', 'Deadlocks in this database.', '{}', s.deadlocks),
      ('nebula_postgres_temporary_bytes_total', 'counter', 'Bytes of temporary files: sorts and hashes that found no room in memory.', '{}', s.temp_bytes),
      ('nebula_postgres_sessions', 'gauge', 'Sessions of this database.', '{}', s.numbackends),
      ('nebula_postgres_max_sessions', 'gauge', 'Sessions that the server takes, of all databases.', '{}', current_setting('max_connections')::bigint),
      ('nebula_postgres_transaction_id_age', 'gauge', 'Transactions since the oldest one that vacuum has not frozen; the server stops at 2 billion.', '{}', age(d.datfrozenxid))
    ) as f (name, kind, help, labels, value)
    where d.datname = current_database();
  return query
    select m.name, m.kind, m.help, m.labels, m.value from nebula.metrics_of_statements() m;
end
$$;
comment on function nebula.metrics() is
  'Figures of this installation and its database, as Prometheus takes them: rows of one name stand together, and the first has the help. None tells anything of a tenant. For the worker''s metrics, and for members of pg_monitor.';
