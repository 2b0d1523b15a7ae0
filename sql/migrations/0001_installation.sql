-- What ran, and the secrets of this installation.

create table nebula.schema_migration (
  version integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now(),
  applied_by text not null default session_user,
  constraint pk_schema_migration primary key (version)
);
comment on table nebula.schema_migration is 'The migrations that were applied, each with the SHA-256 of its text.';
comment on column nebula.schema_migration.version is 'The number that the file starts with.';
comment on column nebula.schema_migration.name is 'The noun in the file''s name.';
comment on column nebula.schema_migration.checksum is 'SHA-256 of the file, hex; a library whose file differs refuses to migrate.';
comment on column nebula.schema_migration.applied_by is 'The login that called nebula.migrate().';
select nebula.govern_table('nebula.schema_migration', audited => false);

create table nebula.installation (
  id uuid not null default nebula.uuid_v7(),
  secret bytea not null default nebula.random_bytes(32),
  issuer text not null default 'nebula',
  audience text not null default 'nebula',
  refresh_days integer not null default 30,
  created_at timestamptz not null default now(),
  is_singleton boolean not null default true,
  constraint pk_installation primary key (id),
  constraint uq_installation_is_singleton unique (is_singleton),
  constraint ck_installation_is_singleton check (is_singleton),
  constraint ck_installation_refresh_days check (refresh_days between 7 and 30),
  constraint ck_installation_secret check (octet_length(secret) = 32)
);
comment on table nebula.installation is 'One row: who this installation is.';
comment on column nebula.installation.secret is '256 random bits that sign cursors and make up the salts of unknown users.';
comment on column nebula.installation.issuer is 'The `iss` of access tokens.';
comment on column nebula.installation.refresh_days is 'How long a refresh token lives: 7 to 30 days.';
comment on column nebula.installation.audience is 'The `aud` of access tokens.';
select nebula.govern_table('nebula.installation', audited => false, decides_rights => true);

insert into nebula.installation default values;

create table nebula.seed_history (
  id uuid not null default nebula.uuid_v7(),
  name text not null,
  tenant_id uuid,
  checksum text not null,
  changed integer not null,
  applied_at timestamptz not null default now(),
  applied_by text not null default session_user,
  constraint pk_seed_history primary key (id),
  constraint ck_seed_history_changed check (changed >= 0)
);
comment on table nebula.seed_history is 'Which seeds ran, when, and how many rows they changed.';
comment on column nebula.seed_history.tenant_id is 'The tenant of a tenant seed; null for the global catalog.';
comment on column nebula.seed_history.changed is 'How many rows the run changed.';
comment on column nebula.seed_history.checksum is 'SHA-256 of the seed''s text, hex.';
create index idx_seed_history_tenant_id on nebula.seed_history (tenant_id, applied_at);
alter table nebula.seed_history enable row level security;
alter table nebula.seed_history force row level security;
create policy tenant_isolation on nebula.seed_history using (tenant_id = nebula.current_tenant()) with check (tenant_id = nebula.current_tenant());
create policy platform_access on nebula.seed_history to nebula_platform using (true) with check (true);
select nebula.govern_table('nebula.seed_history', audited => false);

create table nebula.rights_sentinel (
  is_singleton boolean not null default true,
  constraint pk_rights_sentinel primary key (is_singleton),
  constraint ck_rights_sentinel_is_singleton check (is_singleton)
);
comment on table nebula.rights_sentinel is
  'Always empty: its relcache invalidation, sent when a table that decides rights changes, clears every backend''s cache of rights.';
select nebula.govern_table('nebula.rights_sentinel', audited => false);
