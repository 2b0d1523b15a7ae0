-- A tenant's data, asked for by the tenant.

create table nebula.export_job (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  job_id uuid not null,
  format text not null,
  status text not null default 'pending',
  location text,
  row_count bigint,
  size_bytes bigint,
  sha256 bytea,
  last_error text,
  requested_by_user_id uuid,
  requested_by_api_key_id uuid,
  expires_at timestamptz,
  finished_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_export_job primary key (tenant_id, id),
  constraint fk_export_job_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint fk_export_job_requested_by_user_id foreign key (tenant_id, requested_by_user_id) references nebula.user (tenant_id, id),
  constraint fk_export_job_requested_by_api_key_id foreign key (tenant_id, requested_by_api_key_id) references nebula.api_key (tenant_id, id),
  constraint ck_export_job_format check (format in ('json', 'csv')),
  constraint ck_export_job_status check (status in ('pending', 'running', 'done', 'failed', 'expired')),
  constraint ck_export_job_location check ((status = 'done') = (location is not null))
);
comment on table nebula.export_job is 'Exports of a tenant''s data: one file in object storage each, until it expires.';
comment on column nebula.export_job.job_id is 'The work in the outbox, export.run. No foreign key: finished work moves between partitions and is dropped with them.';
comment on column nebula.export_job.format is 'json (one NDJSON file a table; what can be imported) or csv.';
comment on column nebula.export_job.status is 'pending, running, done (can be downloaded until expires_at), failed, expired (the file is gone).';
comment on column nebula.export_job.location is 'The path in object storage.';
comment on column nebula.export_job.row_count is 'How many rows it holds.';
comment on column nebula.export_job.size_bytes is 'How large the file is.';
comment on column nebula.export_job.sha256 is 'Of the file.';
comment on column nebula.export_job.last_error is 'Why it failed, in the product''s words.';
create index idx_export_job_created_at on nebula.export_job (tenant_id, created_at, id);
create index idx_export_job_requested_by_user_id on nebula.export_job (tenant_id, requested_by_user_id);
create index idx_export_job_requested_by_api_key_id on nebula.export_job (tenant_id, requested_by_api_key_id);
select nebula.govern_tenant_table('nebula.export_job');
