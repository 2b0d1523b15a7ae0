-- What migrations call for each table: one form of policy, one set of triggers, made in one place.

create function nebula.touch_updated_at() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Null is how an update says that nothing was changed which anybody sees: a secret that was sealed anew.
  new.updated_at := case when new.updated_at is null then old.updated_at else pg_catalog.now() end;
  return new;
end
$$;
comment on function nebula.touch_updated_at() is 'Trigger: sets updated_at to the time of the transaction, unless the update sets it to null: then it stays.';

create function nebula.refuse_change() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception 'rows of %.% are never changed', tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
comment on function nebula.refuse_change() is 'Trigger: refuses update, delete and truncate of rows that are history.';

create function nebula.govern_tenant_table(
  target regclass,
  tenant_column name default 'tenant_id',
  audited boolean default true,
  decides_rights boolean default false
) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  -- Exactly this form: STABLE Rust that returns backend memory keeps the index and costs nothing per row (design, section 3).
  execute format(
    'create policy tenant_isolation on %s using (%I = nebula.current_tenant()) with check (%2$I = nebula.current_tenant())',
    target, tenant_column
  );
  execute format('create policy platform_access on %s to nebula_platform using (true) with check (true)', target);
  perform nebula.govern_table(target, audited, decides_rights);
end
$$;
comment on function nebula.govern_tenant_table(regclass, name, boolean, boolean) is
  'Makes a table of the schema nebula tenant-safe: RLS enabled and forced, the one policy, audit and cache triggers. For migrations.';

create function nebula.govern_table(target regclass, audited boolean default true, decides_rights boolean default false) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  unobserved text;
begin
  execute format('revoke all on %s from public', target);
  execute format('grant select, insert, update, delete on %s to nebula_platform', target);
  if exists (
    select
    from pg_attribute
    where attrelid = target and attname = 'updated_at' and not attisdropped
  ) then
    -- What the product notes by itself, alone in its statement, is no change of the row (extension/src/kernel/audit.rs has the same list).
    select 'when (' || string_agg(format('old.%1$I is not distinct from new.%1$I', attname), ' and ') || ')' into unobserved
    from pg_attribute
    where attrelid = target and attname in ('last_used_at', 'failing_since') and not attisdropped;
    execute format(
      'create trigger touch_updated_at before update on %s for each row %s execute function nebula.touch_updated_at()',
      target, coalesce(unobserved, '')
    );
  end if;
  if audited then
    execute format(
      'create trigger audit_insert after insert on %s referencing new table as new_rows '
      'for each statement execute function nebula.audit_change()', target);
    execute format(
      'create trigger audit_update after update on %s referencing old table as old_rows new table as new_rows '
      'for each statement execute function nebula.audit_change()', target);
    execute format(
      'create trigger audit_delete after delete on %s referencing old table as old_rows '
      'for each statement execute function nebula.audit_change()', target);
    -- Also where somebody sets session_replication_role: that setting is no way around the audit.
    execute format('alter table %s enable always trigger audit_insert', target);
    execute format('alter table %s enable always trigger audit_update', target);
    execute format('alter table %s enable always trigger audit_delete', target);
  end if;
  if decides_rights then
    execute format(
      'create trigger rights_changed after insert or update or delete or truncate on %s '
      'for each statement execute function nebula.rights_changed()', target);
    execute format('alter table %s enable always trigger rights_changed', target);
  end if;
end
$$;
comment on function nebula.govern_table(regclass, boolean, boolean) is
  'Privileges and triggers that every table of the schema nebula gets. For migrations.';

create function nebula.govern_partition(target regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- The parent's policies don't bind who names a partition.
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format(
    'create policy tenant_isolation on %s using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant())', target
  );
  execute format('create policy platform_access on %s to nebula_platform using (true) with check (true)', target);
  execute format('revoke all on %s from public', target);
  execute format('revoke update, delete, truncate on %s from nebula_owner', target);
  execute format('grant select on %s to nebula_platform', target);
  -- Statement triggers are not inherited by partitions.
  execute format('create trigger refuse_truncate before truncate on %s for each statement execute function nebula.refuse_change()', target);
  execute format('alter table %s enable always trigger refuse_truncate', target);
end
$$;
comment on function nebula.govern_partition(regclass) is 'Makes a monthly partition as safe as its parent; itself it is only read. For migrations and partition maintenance.';

create function nebula.ensure_partitions(months_ahead integer default 12) returns integer
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  parent text;
  month date;
  partition text;
  made integer := 0;
begin
  if months_ahead not between 0 and 120 then
    raise exception 'months_ahead is 0 to 120' using errcode = 'invalid_parameter_value';
  end if;
  for parent, month in
    select p.name, m
    from unnest(array['audit_log', 'usage_metrics', 'webhook_delivery', 'outbox_finished']) p (name)
    cross join generate_series(date_trunc('month', now() at time zone 'utc'), date_trunc('month', now() at time zone 'utc') + make_interval(months => months_ahead), interval '1 month') m
  loop
    partition := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
    if to_regclass('nebula.' || partition) is null then
      begin
        execute format(
          'create table nebula.%I partition of nebula.%I for values from (%L) to (%L)',
          partition, parent, month || ' 00:00:00+00', (month + interval '1 month')::date || ' 00:00:00+00'
        );
      exception
        -- Rows of that month are in the default partition: nebula.settle_default brings them out.
        when check_violation then
          raise warning 'partition % was not made: %_default holds rows of that month', partition, parent;
          continue;
      end;
      execute format('comment on table nebula.%I is %L', partition, format('Rows of %s of %s (UTC).', parent, to_char(month, 'YYYY-MM')));
      perform nebula.govern_partition(format('nebula.%I', partition)::regclass);
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;
comment on function nebula.ensure_partitions(integer) is
  'Makes the missing monthly partitions of this month and so many ahead; returns how many it made. Called by nebula.migrate() and by workers.';
