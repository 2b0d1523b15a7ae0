-- What a tenant's operational profile means (contract, section 6). Rows may be changed by a DBA; their keys are those of tenant_config.profile.

create table nebula.operational_profile (
  id uuid not null default nebula.uuid_v7(),
  key text not null,
  audit_days integer not null,
  archive_months integer,
  usage_months integer not null,
  delivery_days integer not null,
  retry_seconds integer[] not null,
  webhook_failure_days integer not null default 5,
  rpo_hours integer not null,
  rto_hours integer not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_operational_profile primary key (id),
  constraint uq_operational_profile_key unique (key),
  constraint ck_operational_profile_key check (key in ('mvp', 'standard', 'enterprise')),
  constraint ck_operational_profile_days check (audit_days > 0 and usage_months > 0 and delivery_days > 0 and webhook_failure_days > 0),
  constraint ck_operational_profile_archive_months check (archive_months > 0),
  constraint ck_operational_profile_retry_seconds check (cardinality(retry_seconds) > 0 and 0 < all (retry_seconds)),
  constraint ck_operational_profile_recovery check (rpo_hours > 0 and rto_hours > 0)
);
comment on table nebula.operational_profile is 'How long things are kept and how often is retried, by operational profile.';
comment on column nebula.operational_profile.audit_days is 'How long rows of the audit log stay in the database, after the end of their month.';
comment on column nebula.operational_profile.archive_months is 'How long archived audit rows are kept in object storage, counted from their month; null: nothing is archived.';
comment on column nebula.operational_profile.usage_months is 'How long usage is kept.';
comment on column nebula.operational_profile.delivery_days is 'How long webhook attempts and finished events are kept.';
comment on column nebula.operational_profile.retry_seconds is 'The waits before each retry; after the last of them a job is dead.';
comment on column nebula.operational_profile.webhook_failure_days is 'A webhook that has failed for so long without a success is suspended.';
comment on column nebula.operational_profile.rpo_hours is 'How much of the newest data may be lost, at most (backups).';
comment on column nebula.operational_profile.rto_hours is 'How long a restore may take, at most.';
select nebula.govern_table('nebula.operational_profile');

insert into nebula.operational_profile (key, audit_days, archive_months, usage_months, delivery_days, retry_seconds, rpo_hours, rto_hours) values
  ('mvp', 90, null, 12, 30, '{60,300,900,3600,21600}', 24, 8),
  ('standard', 90, 12, 13, 60, '{60,180,540,1620,4860,14580,43740,86400,86400,86400}', 6, 4),
  ('enterprise', 180, 60, 36, 90, '{30,60,120,240,480,960,1920,3840,7680,15360,30720,61440,86400,86400,86400,86400,86400,86400}', 1, 1);
