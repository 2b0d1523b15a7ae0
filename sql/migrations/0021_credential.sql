-- Secrets of tenants for services of others, sealed by the edge.

create table nebula.integration_credential (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  provider text not null,
  name text not null,
  data_encrypted bytea not null,
  key_version integer not null,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_integration_credential primary key (tenant_id, id),
  constraint uq_integration_credential_tenant_id_provider_name unique (tenant_id, provider, name),
  constraint fk_integration_credential_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_integration_credential_key_version check (key_version > 0)
);
comment on table nebula.integration_credential is 'Credentials for services of others. They go in and never come out through the API.';
comment on column nebula.integration_credential.provider is 'Which service, such as stripe.';
comment on column nebula.integration_credential.data_encrypted is 'Sealed by the edge, bound to tenant, row, field and key version; the database has no key to it.';
comment on column nebula.integration_credential.key_version is 'Which sealing key sealed it.';
create index idx_integration_credential_created_at on nebula.integration_credential (tenant_id, created_at, id);
select nebula.govern_tenant_table('nebula.integration_credential');

create table nebula.sealing_key (
  id uuid not null default nebula.uuid_v7(),
  version integer not null,
  fingerprint bytea not null,
  created_at timestamptz not null default now(),
  constraint pk_sealing_key primary key (id),
  constraint uq_sealing_key_version unique (version),
  constraint ck_sealing_key_version check (version between 1 and 65535),
  constraint ck_sealing_key_fingerprint check (octet_length(fingerprint) = 32)
);
comment on table nebula.sealing_key is 'Which key a version is, so that two machines don''t seal with different ones of the same number. No key stands here.';
comment on column nebula.sealing_key.fingerprint is 'HMAC-SHA256 of a fixed text under the key: tells it apart and nothing about it.';
select nebula.govern_table('nebula.sealing_key');
