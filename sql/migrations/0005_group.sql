-- Who may do what.

create table nebula.group (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  name text not null,
  description text not null default '',
  status nebula.status not null default 'ativo',
  suspended_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_group primary key (tenant_id, id),
  constraint uq_group_tenant_id_name unique (tenant_id, name),
  constraint fk_group_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_group_name check (length(name) between 1 and 200),
  constraint ck_group_suspended_reason check (status = 'suspenso' or suspended_reason is null)
);
comment on table nebula.group is 'A set of people who may do the same things.';
comment on column nebula.group.name is 'Unique per tenant. ADM_CLIENTE, OPERATOR and VIEWER are made by the tenant seed.';
comment on column nebula.group.status is 'suspenso: its permissions don''t count.';
create index idx_group_created_at on nebula.group (tenant_id, created_at, id);
create index idx_group_updated_at on nebula.group (tenant_id, updated_at, id);
create index idx_group_name on nebula.group (tenant_id, name, id);
select nebula.govern_tenant_table('nebula.group', decides_rights => true);

create table nebula.user_group (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  user_id uuid not null,
  group_id uuid not null,
  created_at timestamptz not null default now(),
  constraint pk_user_group primary key (tenant_id, id),
  constraint uq_user_group_tenant_id_user_id_group_id unique (tenant_id, user_id, group_id),
  constraint fk_user_group_user_id foreign key (tenant_id, user_id) references nebula.user (tenant_id, id),
  constraint fk_user_group_group_id foreign key (tenant_id, group_id) references nebula.group (tenant_id, id)
);
comment on table nebula.user_group is 'A person''s membership of a group.';
create index idx_user_group_group_id on nebula.user_group (tenant_id, group_id, created_at, id);
select nebula.govern_tenant_table('nebula.user_group', decides_rights => true);

create table nebula.group_permission (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  group_id uuid not null,
  tool_action_id uuid not null,
  constraints jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_group_permission primary key (tenant_id, id),
  constraint uq_group_permission_tenant_id_group_id_tool_action_id unique (tenant_id, group_id, tool_action_id),
  constraint fk_group_permission_group_id foreign key (tenant_id, group_id) references nebula.group (tenant_id, id),
  constraint fk_group_permission_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id),
  constraint ck_group_permission_constraints check (
    jsonb_typeof(constraints) = 'object'
    and constraints - array['ipCidrs', 'validFrom', 'validUntil', 'resourceIds', 'maxPerDay'] = '{}'
  )
);
comment on table nebula.group_permission is 'An action that a group grants to its members.';
comment on column nebula.group_permission.constraints is 'ipCidrs, validFrom, validUntil, resourceIds, maxPerDay: all must hold for the grant to count.';
create index idx_group_permission_tool_action_id on nebula.group_permission (tenant_id, tool_action_id);
select nebula.govern_tenant_table('nebula.group_permission', decides_rights => true);

create table nebula.permission_usage (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  group_permission_id uuid not null,
  user_id uuid not null,
  day date not null,
  count integer not null default 1,
  constraint pk_permission_usage primary key (tenant_id, id),
  constraint uq_permission_usage_tenant_id_group_permission_id_user_id_day unique (tenant_id, group_permission_id, user_id, day),
  constraint fk_permission_usage_group_permission_id foreign key (tenant_id, group_permission_id)
    references nebula.group_permission (tenant_id, id) on delete cascade,
  constraint fk_permission_usage_user_id foreign key (tenant_id, user_id) references nebula.user (tenant_id, id)
);
comment on table nebula.permission_usage is 'Successful calls under a grant with maxPerDay, per person and UTC day.';
create index idx_permission_usage_user_id on nebula.permission_usage (tenant_id, user_id);
select nebula.govern_tenant_table('nebula.permission_usage', audited => false);
