-- What is too old: partitions, archives, tokens. Behaviour is in extension/src/kernel/{partition,retention,expiry}.rs.
--
-- What looks from tenant to tenant, or at a page, is planned for large tables (as in entry.sql), and compiled never: that took 0.7 s of each page.
-- Whatever needs a strong lock on a table that every request writes waits a quarter of a second for it at most: whoever comes meanwhile waits behind it.

-- ---- The worker

create function nebula.retention_plan() returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off as 'MODULE_PATHNAME', 'retention_plan_wrapper';
comment on function nebula.retention_plan() is
  'Months of which something may go: a list of {"source", "month", "isDroppable", "archive": [{"tenant", "location", "expiresAt"}], "archived": [the same]}.';

create function nebula.archive_columns(source text) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'archive_columns_wrapper';
comment on function nebula.archive_columns(text) is 'The columns that an archived row has, separated by commas; personal ones are not among them. Null for a table that is not archived.';

create function nebula.archive_page(tenant uuid, source text, month text, "position" text, "limit" integer)
returns table (lines text, row_count integer, next_position text)
language c volatile strict parallel unsafe security definer rows 1 set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off set enable_seqscan = off set enable_sort = off as 'MODULE_PATHNAME', 'archive_page_wrapper';
comment on function nebula.archive_page(uuid, text, text, text, integer) is
  'The next rows (5000 at most) of a tenant''s month that is due to be archived, one JSON object a line; begins with the position ''''. No row where nothing is due or nothing is left.';

create function nebula.record_archive(tenant uuid, source text, month text, row_count bigint, sha256 bytea) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set jit = off as 'MODULE_PATHNAME', 'record_archive_wrapper';
comment on function nebula.record_archive(uuid, text, text, bigint, bytea) is
  'Remembers that a tenant''s month stands in object storage; false where it is not due, or where the database counts another number of rows.';

create function nebula.drop_partition(source text, month text, keep uuid[]) returns text
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '250ms' set jit = off as 'MODULE_PATHNAME', 'drop_partition_wrapper';
comment on function nebula.drop_partition(text, text, uuid[]) is
  'Lets go of a month''s rows that are expired, and archived where their tenant''s profile says so: dropped (the partition is gone), rebuilt (others'' rows, and those of tenants in keep, are in a fresh one), '
  'kept (nothing may go), or null where there is no such partition.';

create function nebula.settle_default(source text) returns bigint
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set datestyle = 'ISO' set lock_timeout = '250ms' as 'MODULE_PATHNAME', 'settle_default_wrapper';
comment on function nebula.settle_default(text) is
  'Brings rows of the default partition into partitions of their months, which are made; how many rows it brought. Whoever writes into the default partition waits meanwhile.';

create function nebula.expired_archives() returns table (tenant uuid, id uuid, location text)
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'expired_archives_wrapper';
comment on function nebula.expired_archives() is 'Archives whose time is over, a thousand at most: their objects are to be removed, then they are to be forgotten.';

create function nebula.forget_archive(tenant uuid, id uuid) returns boolean
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on as 'MODULE_PATHNAME', 'forget_archive_wrapper';
comment on function nebula.forget_archive(uuid, uuid) is 'Forgets an archive whose objects were removed; false where its time is not over.';

create function nebula.purge("limit" integer) returns json
language c volatile strict parallel unsafe security definer set search_path = pg_catalog, pg_temp set row_security = on set timezone = 'UTC' set lock_timeout = '2s' as 'MODULE_PATHNAME', 'purge_wrapper';
comment on function nebula.purge(integer) is
  'Deletes so many (10000 at most) expired rows of each table that keeps none: {"table": rows}. To be called again as long as a table answers as many as were asked for.';

-- ---- Changing partitions: DDL as the tables' owner, for the functions above alone. A part is YYYY_MM or default: the end of a partition's name.

create function nebula.copy_partition(source text, origin text, part text) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set datestyle = 'ISO'
as $$
declare
  copy constant text := format('%s_%s_copy', source, part);
  key_column name;
begin
  execute format('create table nebula.%I (like nebula.%I including all)', copy, origin);
  if part <> 'default' then
    -- Proves the bounds, so that attaching reads no row.
    select a.attname into strict key_column
    from pg_partitioned_table p
    join pg_attribute a on a.attrelid = p.partrelid and a.attnum = p.partattrs[0]
    where p.partrelid = format('nebula.%I', source)::regclass;
    execute format(
      'alter table nebula.%I add constraint ck_partition_bounds check (%I >= %L and %2$I < %4$L)',
      copy, key_column, to_date(part, 'YYYY_MM') || ' 00:00:00+00', (to_date(part, 'YYYY_MM') + interval '1 month')::date || ' 00:00:00+00'
    );
  end if;
  execute format('grant insert on nebula.%I to nebula_platform', copy);
end
$$;
comment on function nebula.copy_partition(text, text, text) is 'Makes an empty table like the partition origin, to be filled and exchanged for it.';

create function nebula.exchange_partition(source text, origin text, parts text[]) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set datestyle = 'ISO'
set lock_timeout = '250ms'
as $$
declare
  tries constant integer := 20;
  origin_comment constant text := obj_description(format('nebula.%I', origin)::regclass, 'pg_class');
  part text;
  partition text;
  index_name text;
begin
  foreach part in array parts loop
    partition := format('%s_%s', source, part);
    execute format('revoke all on nebula.%I from nebula_platform', partition || '_copy');
    perform nebula.govern_partition(format('nebula.%I', partition || '_copy')::regclass);
    execute format(
      'comment on table nebula.%I is %L',
      partition || '_copy', case when part = 'default' then origin_comment else format('Rows of %s of %s (UTC).', source, replace(part, '_', '-')) end
    );
    execute format('analyze nebula.%I', partition || '_copy');
  end loop;

  for attempt in 1 .. tries loop
    begin
      execute format('drop table nebula.%I', origin);
      foreach part in array parts loop
        partition := format('%s_%s', source, part);
        execute format('alter table nebula.%I rename to %I', partition || '_copy', partition);
        if part = 'default' then
          execute format('alter table nebula.%I attach partition nebula.%I default', source, partition);
        else
          execute format(
            'alter table nebula.%I attach partition nebula.%I for values from (%L) to (%L)',
            source, partition, to_date(part, 'YYYY_MM') || ' 00:00:00+00', (to_date(part, 'YYYY_MM') + interval '1 month')::date || ' 00:00:00+00'
          );
          execute format('alter table nebula.%I drop constraint ck_partition_bounds', partition);
        end if;
      end loop;
      exit;
    exception
      -- Somebody reads or writes: nobody is made to wait long. What was copied is kept for the next try.
      when lock_not_available or deadlock_detected then
        if attempt = tries then
          raise;
        end if;
        perform pg_sleep(0.25);
    end;
  end loop;

  -- Names as if the partition had been made in place.
  foreach part in array parts loop
    for index_name in
      select x.relname
      from pg_index i
      join pg_class x on x.oid = i.indexrelid
      where i.indrelid = format('nebula.%I', format('%s_%s', source, part))::regclass and strpos(x.relname, '_copy_') > 0
    loop
      continue when to_regclass(format('nebula.%I', replace(index_name, '_copy_', '_'))) is not null;
      execute format('alter index nebula.%I rename to %I', index_name, replace(index_name, '_copy_', '_'));
    end loop;
  end loop;
end
$$;
comment on function nebula.exchange_partition(text, text, text[]) is
  'Drops the partition origin whole and puts filled copies in its place, in one transaction. Tries for ten seconds to get the locks.';
