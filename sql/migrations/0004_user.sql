-- People.

create table nebula.user (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  email text not null,
  name text not null,
  status nebula.status not null default 'ativo',
  auth_provider text not null default 'internal',
  external_id text,
  suspended_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint pk_user primary key (tenant_id, id),
  constraint fk_user_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_user_email check (length(email) between 3 and 254),
  constraint ck_user_name check (length(name) between 1 and 200),
  constraint ck_user_suspended_reason check (status = 'suspenso' or suspended_reason is null)
);
comment on table nebula.user is 'A person of one tenant.';
comment on column nebula.user.email is 'Personal. Unique per tenant, case-insensitive.';
comment on column nebula.user.name is 'Personal.';
comment on column nebula.user.auth_provider is 'internal, or the issuer that this person logs in with.';
comment on column nebula.user.external_id is 'The subject at that issuer.';
comment on column nebula.user.deleted_at is 'When the person was anonymised.';
-- "C": so that a prefix search by range operators keeps the index under RLS (pitfalls: like is not leakproof).
create unique index uq_user_email on nebula.user (tenant_id, lower(email) collate "C");
comment on index nebula.uq_user_email is 'An e-mail address belongs to one person of a tenant, however it is written.';
create unique index uq_user_external_id on nebula.user (tenant_id, auth_provider, external_id) where external_id is not null;
-- One for each sort of the list: a page costs the same wherever it lies.
create index idx_user_created_at on nebula.user (tenant_id, created_at, id);
create index idx_user_updated_at on nebula.user (tenant_id, updated_at, id);
create index idx_user_name on nebula.user (tenant_id, name, id);
create index idx_user_email on nebula.user (tenant_id, email, id);
create index idx_user_suspended on nebula.user (tenant_id, created_at, id) where status = 'suspenso';
comment on index nebula.idx_user_suspended is 'The few among many: a list of them reads no others.';
select nebula.govern_tenant_table('nebula.user');
-- A new person has no rights that a cache could hold: only changes of these columns clear it.
create trigger rights_changed after update of status, deleted_at or delete or truncate on nebula.user
  for each statement execute function nebula.rights_changed();
alter table nebula.user enable always trigger rights_changed;

create table nebula.user_secret (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  user_id uuid not null,
  salt bytea not null,
  memory_kib integer not null,
  iterations integer not null,
  parallelism integer not null,
  key_hash bytea not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_user_secret primary key (tenant_id, id),
  constraint uq_user_secret_tenant_id_user_id unique (tenant_id, user_id),
  constraint fk_user_secret_user_id foreign key (tenant_id, user_id) references nebula.user (tenant_id, id),
  constraint ck_user_secret_salt check (octet_length(salt) = 16),
  constraint ck_user_secret_key_hash check (octet_length(key_hash) = 32)
);
comment on table nebula.user_secret is 'How a person''s password is checked, apart from the person.';
comment on column nebula.user_secret.salt is 'Argon2id salt.';
comment on column nebula.user_secret.memory_kib is 'Argon2id memory, KiB.';
comment on column nebula.user_secret.iterations is 'Argon2id passes.';
comment on column nebula.user_secret.parallelism is 'Argon2id lanes.';
comment on column nebula.user_secret.key_hash is 'SHA-256 of the key that Argon2id derives: what is stored opens nothing.';
select nebula.govern_tenant_table('nebula.user_secret', audited => false);
create trigger audit_insert after insert on nebula.user_secret referencing new table as new_rows
  for each statement execute function nebula.audit_change();
alter table nebula.user_secret enable always trigger audit_insert;
