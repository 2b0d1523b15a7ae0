-- Sealing the audit log (docs/security/audit.md). The worker has the key and makes the seals; here is what it reads and where it puts them. Who verifies reads
-- the tables themselves, not these functions. Times are microseconds since 1970: what is sealed must be the same everywhere.

create function nebula.oldest_transaction_start() returns timestamptz
language c volatile parallel unsafe set search_path = pg_catalog, pg_temp as 'MODULE_PATHNAME', 'oldest_transaction_start_wrapper';
comment on function nebula.oldest_transaction_start() is
  'When the oldest transaction of this database that is under way began, the caller''s own included; null where a session hides it (track_activities = off).';

create function nebula.register_audit_key(version integer, fingerprint bytea) returns boolean
language plpgsql
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  insert into nebula.audit_key (version, fingerprint)
  values (register_audit_key.version, register_audit_key.fingerprint)
  on conflict on constraint uq_audit_key_version do nothing;
  return exists (
    select
    from nebula.audit_key k
    where k.version = register_audit_key.version and k.fingerprint = register_audit_key.fingerprint
  );
end
$$;
comment on function nebula.register_audit_key(integer, bytea) is 'Registers which key a version of the keys that seal the audit log is; false if it is registered as another one.';

create function nebula.audit_keys() returns table (version integer, fingerprint bytea)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query select k.version, k.fingerprint from nebula.audit_key k order by k.version;
end
$$;
comment on function nebula.audit_keys() is 'The registered keys that seal the audit log, by number and fingerprint.';

create function nebula.begin_audit_round()
returns table (complete_before bigint, sealed_at bigint, key_version integer, mac bytea, next_complete_before bigint, now_at bigint)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  oldest timestamptz := nebula.oldest_transaction_start();
begin
  -- A prepared transaction may be as old as it likes.
  if exists (select from pg_prepared_xacts where database = current_database()) then
    oldest := null;
  end if;
  -- A minute, for a session that has fixed its now() and has not told of its transaction yet.
  oldest := least(oldest, clock_timestamp()) - case when oldest is null then null else interval '1 minute' end;
  return query
    select (extract(epoch from w.complete_before) * 1000000)::bigint, (extract(epoch from w.sealed_at) * 1000000)::bigint, w.key_version, w.mac,
      (extract(epoch from oldest) * 1000000)::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    from (select) as one
    left join nebula.audit_watermark w on true;
end
$$;
comment on function nebula.begin_audit_round() is
  'The watermark as it stands (null before the first round), and where it may go when everything that can be seen from now on is sealed: '
  'no transaction is under way that is older, but for a minute. Null where that can''t be known. To be asked before the rows are read.';

create function nebula.audit_tenants() returns setof uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set jit = off
as $$
begin
  return query
    with known as (
      select t.id from nebula.tenant t
      union
      select s.tenant_id from nebula.audit_segment s
    ),
    since as (
      select coalesce((select w.complete_before from nebula.audit_watermark w), '-infinity') as complete_before
    )
    select k.id
    from known k
    cross join since
    where exists (
      select
      from nebula.audit_log r
      where r.tenant_id = k.id and r.created_at >= since.complete_before
    ) or not exists (
      select
      from nebula.audit_segment s
      where s.tenant_id = k.id
    )
    order by k.id;
end
$$;
comment on function nebula.audit_tenants() is 'The tenants who may have rows of the audit log that are not sealed.';

create function nebula.audit_rows(tenant uuid, after_time bigint, after_id uuid, "limit" integer)
returns table (
  id uuid, created_at bigint, month text, actor_user_id uuid, actor_api_key_id uuid, actor_type text, action text, entity_type text, entity_id uuid,
  metadata text, ip text, user_agent text, is_sealed boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set jit = off
as $$
declare
  since timestamptz := timestamptz 'epoch' + after_time * interval '1 microsecond';
begin
  if since is null then
    -- A tenant without a segment begins with the oldest row it has: it was here before this was, or came with its rows from elsewhere.
    select w.complete_before into since
    from nebula.audit_watermark w
    where exists (select from nebula.audit_segment s where s.tenant_id = tenant);
  end if;
  return query
    with page as materialized (
      select r.*
      from nebula.audit_log r
      where r.tenant_id = tenant and r.created_at >= coalesce(since, '-infinity')
        and (r.created_at, r.id) > (coalesce(since, '-infinity'), coalesce(after_id, '00000000-0000-0000-0000-000000000000'))
      order by r.created_at, r.id
      limit least("limit", 5000)
    ),
    -- Of blocks that reach into the page.
    sealed as materialized (
      select u.id, u.created_at
      from nebula.audit_block b
      cross join lateral unnest(b.row_ids, b.row_times) u (id, created_at)
      where b.tenant_id = tenant and b.last_created_at >= (select min(p.created_at) from page p) and b.first_created_at <= (select max(p.created_at) from page p)
    )
    select p.id, (extract(epoch from p.created_at) * 1000000)::bigint, to_char(p.created_at at time zone 'utc', 'YYYY-MM-01'),
      d.actor_user_id, d.actor_api_key_id, d.actor_type, d.action, d.entity_type, d.entity_id, d.metadata::text, d.ip::text, d.user_agent,
      s.id is not null
    from page p
    left join sealed s on s.id = p.id and s.created_at = (extract(epoch from p.created_at) * 1000000)::bigint
    -- What is sealed is told no more: this is no way to read a log.
    left join page d on d.id = p.id and d.created_at = p.created_at and s.id is null
    order by p.created_at, p.id;
end
$$;
comment on function nebula.audit_rows(uuid, bigint, uuid, integer) is
  'The next rows of a tenant''s audit log, at most 5000, from where the log is sealed completely, and whether a block has them; of those that one has no more than that.';

create function nebula.audit_segments(tenant uuid)
returns table (
  number integer, month text, previous_month text, previous_block_count integer, previous_head bytea, block_count integer, row_count bigint, head bytea,
  is_dropped boolean
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query
    select s.number, to_char(s.month, 'YYYY-MM-DD'), to_char(s.previous_month, 'YYYY-MM-DD'), s.previous_block_count, s.previous_head, s.block_count, s.row_count, s.head, s.dropped_at is not null
    from nebula.audit_segment s
    where s.tenant_id = tenant
    order by s.number;
end
$$;
comment on function nebula.audit_segments(uuid) is 'A tenant''s segments, in the order of their first blocks.';

create function nebula.seal_audit(
  tenant uuid, segment integer, month text, previous_month text, previous_block_count integer, previous_head bytea,
  block integer, first_position bigint, row_ids uuid[], row_times bigint[], digests bytea, origin_flags bytea, origins bytea,
  previous bytea, mac bytea, segment_mac bytea, key_version integer, sealed_at bigint
) returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  sealing_time constant timestamptz := timestamptz 'epoch' + sealed_at * interval '1 microsecond';
  rows_before constant bigint := first_position - 1;
  has_changed boolean;
begin
  -- Anonymising takes the same lock: either it finds the block, or the block finds what it took away.
  perform pg_advisory_xact_lock(hashtextextended('nebula/audit_chain/' || tenant, 0));
  if block = 1 then
    insert into nebula.audit_segment (
      tenant_id, number, month, previous_month, previous_block_count, previous_head, block_count, row_count, head, key_version, mac, sealed_at
    )
    select tenant, segment, seal_audit.month::date, seal_audit.previous_month::date, seal_audit.previous_block_count, seal_audit.previous_head,
      1, cardinality(seal_audit.row_ids), seal_audit.mac, seal_audit.key_version, segment_mac, sealing_time
    where segment = 1 + (select coalesce(max(s.number), 0) from nebula.audit_segment s where s.tenant_id = tenant)
    on conflict do nothing;
  else
    update nebula.audit_segment s
    set block_count = block, row_count = rows_before + cardinality(seal_audit.row_ids), head = seal_audit.mac, key_version = seal_audit.key_version,
      mac = segment_mac, sealed_at = sealing_time
    where s.tenant_id = tenant and s.month = seal_audit.month::date and s.number = segment and s.block_count = block - 1 and s.row_count = rows_before
      and s.head = seal_audit.previous and s.dropped_at is null;
  end if;
  has_changed := found;
  if has_changed then
    insert into nebula.audit_block (
      tenant_id, month, number, first_position, row_ids, row_times, digests, origin_flags, origins, first_created_at, last_created_at, key_version, previous,
      mac, sealed_at
    ) values (
      tenant, seal_audit.month::date, block, seal_audit.first_position, seal_audit.row_ids, seal_audit.row_times, seal_audit.digests, seal_audit.origin_flags,
      seal_audit.origins, timestamptz 'epoch' + seal_audit.row_times[1] * interval '1 microsecond',
      timestamptz 'epoch' + seal_audit.row_times[cardinality(seal_audit.row_times)] * interval '1 microsecond', seal_audit.key_version, seal_audit.previous,
      seal_audit.mac, sealing_time
    );
    perform nebula.blank_audit_origins(tenant, seal_audit.month::date, block);
  end if;
  return has_changed;
end
$$;
comment on function nebula.seal_audit(uuid, integer, text, text, integer, bytea, integer, bigint, uuid[], bigint[], bytea, bytea, bytea, bytea, bytea, bytea, integer, bigint) is
  'Puts a sealed block at the end of a segment, or begins the next segment with it; false, and nothing is done, where something else stands there by now.';

create function nebula.blank_audit_origins(tenant uuid, of_month date default null, of_block integer default null) returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  update nebula.audit_block b
  set origins = blanked.origins
  from (
    select o.id,
      string_agg(case when e.id is null then substr(o.origins, 16 * u.place::integer - 15, 16) else decode(repeat('00', 16), 'hex') end, ''::bytea order by u.place) as origins
    from nebula.audit_block o
    cross join lateral unnest(o.row_ids) with ordinality u (id, place)
    left join nebula.audit_erasure e on e.tenant_id = tenant and e.id = u.id
    where o.tenant_id = tenant and (of_month is null or o.month = of_month) and (of_block is null or o.number = of_block)
    group by o.id
    having bool_or(e.id is not null)
  ) blanked
  where b.tenant_id = tenant and b.id = blanked.id and b.origins is distinct from blanked.origins;
end
$$;
comment on function nebula.blank_audit_origins(uuid, date, integer) is
  'Takes out of a tenant''s blocks, or one of them, what could tell whether a guessed address was the one that anonymising took away.';

create function nebula.finish_audit_round(complete_before bigint, key_version integer, mac bytea, sealed_at bigint) returns boolean
language plpgsql
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  insert into nebula.audit_watermark as w (complete_before, key_version, mac, sealed_at)
  values (
    timestamptz 'epoch' + finish_audit_round.complete_before * interval '1 microsecond', finish_audit_round.key_version, finish_audit_round.mac,
    timestamptz 'epoch' + finish_audit_round.sealed_at * interval '1 microsecond'
  )
  on conflict on constraint uq_audit_watermark_is_singleton do update
  set complete_before = excluded.complete_before, key_version = excluded.key_version, mac = excluded.mac, sealed_at = excluded.sealed_at
  -- Never back; where it stays, that the round was done.
  where w.complete_before <= excluded.complete_before and w.sealed_at <= excluded.sealed_at;
  return found;
end
$$;
comment on function nebula.finish_audit_round(bigint, integer, bytea, bigint) is 'Writes down how far the audit log is sealed; false where it is sealed further already.';

create function nebula.unsealed_audit_drops()
returns table (tenant uuid, number integer, month text, head bytea, dropped_at bigint, is_due boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query
    select s.tenant_id, s.number, to_char(s.month, 'YYYY-MM-DD'), s.head, (extract(epoch from s.dropped_at) * 1000000)::bigint,
      (s.month + interval '1 month') at time zone 'utc' + make_interval(days => p.audit_days) <= s.dropped_at and s.dropped_at <= clock_timestamp()
    from nebula.audit_segment s
    left join nebula.tenant_config c on c.tenant_id = s.tenant_id
    join nebula.operational_profile p on p.key = coalesce(c.profile, 'mvp')
    where s.dropped_at is not null and s.drop_mac is null
    order by s.tenant_id, s.number;
end
$$;
comment on function nebula.unsealed_audit_drops() is 'Segments that retention dropped and nobody sealed as such yet, and whether the tenant''s profile kept them no longer.';

create function nebula.seal_audit_drop(tenant uuid, number integer, key_version integer, mac bytea) returns boolean
language plpgsql
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  update nebula.audit_segment s
  set drop_key_version = seal_audit_drop.key_version, drop_mac = seal_audit_drop.mac
  where s.tenant_id = tenant and s.number = seal_audit_drop.number and s.dropped_at is not null and s.drop_mac is null;
  return found;
end
$$;
comment on function nebula.seal_audit_drop(uuid, integer, integer, bytea) is 'Puts the seal on a dropped segment.';

create function nebula.unsealed_audit_erasures("limit" integer)
returns table (tenant uuid, id uuid, user_id uuid, erased_at bigint, is_due boolean)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query
    select e.tenant_id, e.id, e.user_id, (extract(epoch from e.erased_at) * 1000000)::bigint,
      u.deleted_at is not null and coalesce(
        r.actor_user_id = e.user_id or r.actor_user_id is null and r.actor_api_key_id is null, true
      )
    from nebula.audit_erasure e
    left join nebula.user u on u.tenant_id = e.tenant_id and u.id = e.user_id and u.deleted_at = e.erased_at
    left join nebula.audit_log r on r.tenant_id = e.tenant_id and r.created_at = e.row_created_at and r.id = e.id
    where e.mac is null
    order by e.tenant_id, e.id
    limit least("limit", 5000);
end
$$;
comment on function nebula.unsealed_audit_erasures(integer) is 'Rows that anonymising has changed, at most 5000, not sealed as such yet; and whether a person was anonymised then whose row it may be.';

create function nebula.seal_audit_erasures(tenant uuid, ids uuid[], key_version integer, macs bytea) returns bigint
language plpgsql
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
declare
  row_count bigint;
begin
  update nebula.audit_erasure e
  set key_version = seal_audit_erasures.key_version, mac = substr(macs, 32 * u.place::integer - 31, 32)
  from unnest(ids) with ordinality u (id, place)
  where e.tenant_id = tenant and e.id = u.id and e.mac is null;
  get diagnostics row_count = row_count;
  return row_count;
end
$$;
comment on function nebula.seal_audit_erasures(uuid, uuid[], integer, bytea) is 'Puts seals, 32 bytes each, on rows that anonymising has changed; how many.';

create function nebula.audit_heads(after uuid, "limit" integer)
returns table (tenant uuid, number integer, month text, block_count integer, row_count bigint, head text, key_version integer)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query
    with page as (
      select distinct s.tenant_id
      from nebula.audit_segment s
      where s.tenant_id > coalesce(after, '00000000-0000-0000-0000-000000000000')
      order by s.tenant_id
      limit least("limit", 5000)
    )
    select s.tenant_id, s.number, to_char(s.month, 'YYYY-MM-DD'), s.block_count, s.row_count, encode(s.head, 'hex'), s.key_version
    from page p
    cross join lateral (
      select *
      from nebula.audit_segment l
      where l.tenant_id = p.tenant_id
      order by l.number desc
      limit 2
    ) s
    order by s.tenant_id, s.number;
end
$$;
comment on function nebula.audit_heads(uuid, integer) is 'The newest two segments of the next tenants, at most 5000: what is kept outside of the database.';

create function nebula.lost_audit_heads(heads json) returns setof json
language plpgsql
strict
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
as $$
begin
  return query
    select h.head
    from json_array_elements(heads) h (head)
    where not exists (
      select
      from nebula.audit_segment s
      where s.tenant_id = (h.head ->> 'tenant')::uuid and s.month = (h.head ->> 'month')::date and s.number = (h.head ->> 'number')::integer
        and (
          s.block_count = (h.head ->> 'blocks')::integer and s.head = decode(h.head ->> 'head', 'hex')
          or s.block_count > (h.head ->> 'blocks')::integer and s.dropped_at is not null
          or exists (
            select
            from nebula.audit_block b
            where b.tenant_id = s.tenant_id and b.month = s.month and b.number = (h.head ->> 'blocks')::integer
              and b.mac = decode(h.head ->> 'head', 'hex') and s.block_count >= b.number
          )
        )
    );
end
$$;
comment on function nebula.lost_audit_heads(json) is 'Of heads that were kept outside those which the database does not have any more: it was set back, or rows and seals were cut off.';
