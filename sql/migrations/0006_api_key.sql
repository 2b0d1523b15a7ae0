-- Machines.

create table nebula.api_key (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  name text not null,
  role text,
  hash bytea not null,
  previous_hash bytea,
  previous_expires_at timestamptz,
  expires_at timestamptz,
  last_used_at timestamptz,
  status nebula.status not null default 'ativo',
  suspended_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_api_key primary key (tenant_id, id),
  constraint uq_api_key_tenant_id_name unique (tenant_id, name),
  constraint fk_api_key_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_api_key_role check (role in ('read-only', 'write', 'admin')),
  constraint ck_api_key_hash check (octet_length(hash) = 32),
  constraint ck_api_key_previous check (num_nonnulls(previous_hash, previous_expires_at) in (0, 2))
);
comment on table nebula.api_key is 'A service account''s key. Its actor type is service.';
comment on column nebula.api_key.role is 'The profile read-only, write or admin; null: the explicit scope in api_key_action.';
comment on column nebula.api_key.hash is 'SHA-256 of the secret, the only form that is stored.';
comment on column nebula.api_key.previous_hash is 'The secret before the last rotation, valid until previous_expires_at.';
comment on column nebula.api_key.last_used_at is 'Gathered and written in batches: up to an interval late.';
create index idx_api_key_created_at on nebula.api_key (tenant_id, created_at, id);
create index idx_api_key_updated_at on nebula.api_key (tenant_id, updated_at, id);
create index idx_api_key_name on nebula.api_key (tenant_id, name, id);
select nebula.govern_tenant_table('nebula.api_key');
create trigger rights_changed
  after update of role, hash, previous_hash, previous_expires_at, expires_at, status or delete or truncate on nebula.api_key
  for each statement execute function nebula.rights_changed();
alter table nebula.api_key enable always trigger rights_changed;

create table nebula.api_key_action (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  api_key_id uuid not null,
  tool_action_id uuid not null,
  created_at timestamptz not null default now(),
  constraint pk_api_key_action primary key (tenant_id, id),
  constraint uq_api_key_action_tenant_id_api_key_id_tool_action_id unique (tenant_id, api_key_id, tool_action_id),
  constraint fk_api_key_action_api_key_id foreign key (tenant_id, api_key_id) references nebula.api_key (tenant_id, id),
  constraint fk_api_key_action_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id)
);
create index idx_api_key_action_tool_action_id on nebula.api_key_action (tenant_id, tool_action_id);
comment on table nebula.api_key_action is 'An action in the explicit scope of a key.';
select nebula.govern_tenant_table('nebula.api_key_action', decides_rights => true);

create table nebula.role_binding (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  role_name name not null,
  api_key_id uuid not null,
  created_at timestamptz not null default now(),
  constraint pk_role_binding primary key (tenant_id, id),
  constraint uq_role_binding_tenant_id_role_name unique (tenant_id, role_name),
  constraint fk_role_binding_api_key_id foreign key (tenant_id, api_key_id) references nebula.api_key (tenant_id, id)
);
comment on table nebula.role_binding is 'A login role that a DBA bound to a tenant: its SQL acts as that service account, within the key''s scope.';
comment on column nebula.role_binding.role_name is 'The login role''s name (names survive dump and restore, oids do not).';
-- Leads with the role: the question is asked before the tenant is known.
create unique index uq_role_binding_role_name on nebula.role_binding (role_name);
create index idx_role_binding_api_key_id on nebula.role_binding (tenant_id, api_key_id);
select nebula.govern_tenant_table('nebula.role_binding', decides_rights => true);
