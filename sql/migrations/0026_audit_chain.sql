-- What makes a change of the audit log show (docs/security/audit.md): each tenant's rows of a month are a segment, sealed in blocks by the worker with a key
-- that is not in the database. Whoever can change these tables can't make the seals that would hide it.

create table nebula.audit_key (
  id uuid not null default nebula.uuid_v7(),
  version integer not null,
  fingerprint bytea not null,
  created_at timestamptz not null default now(),
  constraint pk_audit_key primary key (id),
  constraint uq_audit_key_version unique (version),
  constraint ck_audit_key_version check (version between 1 and 65535),
  constraint ck_audit_key_fingerprint check (octet_length(fingerprint) = 32)
);
comment on table nebula.audit_key is 'Which key a version of the keys that seal the audit log is. No key stands here.';
comment on column nebula.audit_key.fingerprint is 'HMAC-SHA256 of a fixed text under the key: tells it apart and nothing about it.';
select nebula.govern_table('nebula.audit_key');

create table nebula.audit_segment (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  number integer not null,
  month date not null,
  previous_month date,
  previous_block_count integer,
  previous_head bytea,
  block_count integer not null,
  row_count bigint not null,
  head bytea not null,
  key_version integer not null,
  mac bytea not null,
  sealed_at timestamptz not null,
  dropped_at timestamptz,
  drop_key_version integer,
  drop_mac bytea,
  created_at timestamptz not null default now(),
  constraint pk_audit_segment primary key (tenant_id, id),
  constraint uq_audit_segment_tenant_id_month unique (tenant_id, month),
  constraint uq_audit_segment_tenant_id_number unique (tenant_id, number),
  constraint ck_audit_segment_counts check (number > 0 and block_count > 0 and row_count >= block_count),
  constraint ck_audit_segment_previous check (
    (number = 1) = (previous_month is null) and (previous_month is null) = (previous_block_count is null) and (previous_month is null) = (previous_head is null)
  ),
  constraint ck_audit_segment_drop check ((drop_mac is null) = (drop_key_version is null) and (drop_mac is null or dropped_at is not null))
);
comment on table nebula.audit_segment is 'A tenant''s rows of a month in the audit log, as sealed: one row each that outlives them, so that none can go missing.';
comment on column nebula.audit_segment.number is 'The how manieth of the tenant it is, in the order of their first blocks.';
comment on column nebula.audit_segment.month is 'The first day of the month that the rows were created in (UTC).';
comment on column nebula.audit_segment.previous_month is 'Of the segment before, by number.';
comment on column nebula.audit_segment.previous_block_count is 'How many blocks the segment before had when this one began.';
comment on column nebula.audit_segment.previous_head is 'The seal of the last of those.';
comment on column nebula.audit_segment.block_count is 'How many blocks.';
comment on column nebula.audit_segment.row_count is 'How many rows in all blocks.';
comment on column nebula.audit_segment.head is 'The seal of the last block.';
comment on column nebula.audit_segment.key_version is 'Which key sealed this row the last time.';
comment on column nebula.audit_segment.mac is 'The seal of everything above: HMAC-SHA256.';
comment on column nebula.audit_segment.dropped_at is 'When retention dropped the rows, and the blocks with them.';
comment on column nebula.audit_segment.drop_key_version is 'Which key sealed the drop.';
comment on column nebula.audit_segment.drop_mac is 'The seal of the drop: the worker found that the tenant''s profile kept the rows no longer.';
select nebula.govern_tenant_table('nebula.audit_segment', audited => false);

create table nebula.audit_block (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  month date not null,
  number integer not null,
  first_position bigint not null,
  row_ids uuid[] not null,
  row_times bigint[] not null,
  digests bytea not null,
  origin_flags bytea not null,
  origins bytea not null,
  first_created_at timestamptz not null,
  last_created_at timestamptz not null,
  key_version integer not null,
  previous bytea not null,
  mac bytea not null,
  sealed_at timestamptz not null,
  constraint pk_audit_block primary key (tenant_id, id),
  constraint uq_audit_block_tenant_id_month_number unique (tenant_id, month, number),
  constraint ck_audit_block_lengths check (
    cardinality(row_ids) > 0 and cardinality(row_times) = cardinality(row_ids) and octet_length(digests) = 32 * cardinality(row_ids)
    and octet_length(origin_flags) = cardinality(row_ids) and octet_length(origins) = 16 * cardinality(row_ids)
  )
);
comment on table nebula.audit_block is 'Rows of the audit log that were sealed together, all of one tenant and month.';
comment on column nebula.audit_block.month is 'The segment.';
comment on column nebula.audit_block.number is 'Which block of the segment, from 1.';
comment on column nebula.audit_block.first_position is 'The place of its first row among the segment''s, from 1.';
comment on column nebula.audit_block.row_ids is 'The rows, in the order of their creation.';
comment on column nebula.audit_block.row_times is 'Their created_at, in microseconds since 1970.';
comment on column nebula.audit_block.digests is '32 bytes a row: HMAC-SHA256 of all that never changes.';
comment on column nebula.audit_block.origin_flags is 'A byte a row: 1 where it told an address or a user agent when it was sealed.';
comment on column nebula.audit_block.origins is '16 bytes a row: HMAC-SHA256, cut, of address and user agent; zero where there is none, and from the moment that anonymising takes them away.';
comment on column nebula.audit_block.first_created_at is 'Of its oldest row.';
comment on column nebula.audit_block.last_created_at is 'Of its newest row.';
comment on column nebula.audit_block.key_version is 'Which key sealed it.';
comment on column nebula.audit_block.previous is 'The seal of the block before, or 32 zeros.';
comment on column nebula.audit_block.mac is 'Its seal: HMAC-SHA256 of all but the origins.';
-- What are digests is not made smaller by trying.
alter table nebula.audit_block
  alter column digests set storage external,
  alter column origins set storage external,
  alter column row_ids set storage external;
create index idx_audit_block_last_created_at on nebula.audit_block (tenant_id, last_created_at);
select nebula.govern_tenant_table('nebula.audit_block', audited => false);

create table nebula.audit_erasure (
  id uuid not null,
  tenant_id uuid not null,
  row_created_at timestamptz not null,
  user_id uuid not null,
  erased_at timestamptz not null default now(),
  key_version integer,
  mac bytea,
  constraint pk_audit_erasure primary key (tenant_id, id),
  constraint ck_audit_erasure_mac check ((mac is null) = (key_version is null))
);
comment on table nebula.audit_erasure is 'Rows of the audit log whose address and user agent were taken away when a person was anonymised; the id is the row''s.';
comment on column nebula.audit_erasure.row_created_at is 'When the row was created.';
comment on column nebula.audit_erasure.user_id is 'Who was anonymised. No foreign key: it outlives nobody, and tells nothing more than the id.';
comment on column nebula.audit_erasure.key_version is 'Which key sealed it.';
comment on column nebula.audit_erasure.mac is 'The seal, once the worker has found that the person was anonymised then.';
create index idx_audit_erasure_unsealed on nebula.audit_erasure (tenant_id) where mac is null;
select nebula.govern_tenant_table('nebula.audit_erasure', audited => false);

create table nebula.audit_watermark (
  id uuid not null default nebula.uuid_v7(),
  is_singleton boolean not null default true,
  complete_before timestamptz not null,
  key_version integer not null,
  mac bytea not null,
  sealed_at timestamptz not null,
  constraint pk_audit_watermark primary key (id),
  constraint uq_audit_watermark_is_singleton unique (is_singleton),
  constraint ck_audit_watermark_is_singleton check (is_singleton)
);
comment on table nebula.audit_watermark is 'How far the audit log is sealed.';
comment on column nebula.audit_watermark.complete_before is
  'Every row created before is in a segment, and no transaction was left that could have written another: one that shows up was put there later.';
comment on column nebula.audit_watermark.key_version is 'Which key sealed it.';
comment on column nebula.audit_watermark.mac is 'The seal: HMAC-SHA256.';
select nebula.govern_table('nebula.audit_watermark', audited => false);
