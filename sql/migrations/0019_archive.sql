-- What left the database for object storage, or is about to.

create table nebula.archive (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  source text not null,
  month date not null,
  location text not null,
  row_count bigint not null,
  sha256 bytea not null,
  expires_at timestamptz not null,
  dropped_at timestamptz,
  created_at timestamptz not null default now(),
  constraint pk_archive primary key (tenant_id, id),
  constraint uq_archive_tenant_id_source_month unique (tenant_id, source, month),
  constraint fk_archive_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_archive_row_count check (row_count > 0),
  constraint ck_archive_sha256 check (octet_length(sha256) = 32)
);
comment on table nebula.archive is 'A tenant''s rows of one month that were archived, so that their partition may be dropped.';
comment on column nebula.archive.source is 'The table they were rows of.';
comment on column nebula.archive.month is 'The first day of their month (UTC).';
comment on column nebula.archive.location is 'The folder in object storage, with rows and manifest.json.';
comment on column nebula.archive.row_count is 'How many rows.';
comment on column nebula.archive.sha256 is 'Of the compressed file.';
comment on column nebula.archive.expires_at is 'From then on the objects are removed, and this row with them.';
comment on column nebula.archive.dropped_at is 'When the rows left the database: from then on the archive is all there is, and is never written again.';
select nebula.govern_tenant_table('nebula.archive');
