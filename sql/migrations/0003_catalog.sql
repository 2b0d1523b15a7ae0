-- What is sold: tools, their actions, packages of actions. Global: the same for every tenant.

create table nebula.tool (
  id uuid not null default nebula.uuid_v7(),
  key text not null,
  name text not null,
  description text not null default '',
  status nebula.status not null default 'ativo',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tool primary key (id),
  constraint uq_tool_key unique (key)
);
comment on table nebula.tool is 'A tool that the company sells; it has actions.';
comment on column nebula.tool.key is 'Its stable name.';
create index idx_tool_created_at on nebula.tool (created_at, id);
create index idx_tool_key on nebula.tool (key, id);
create index idx_tool_name on nebula.tool (name, id);
select nebula.govern_table('nebula.tool', decides_rights => true);

create table nebula.tool_action (
  id uuid not null default nebula.uuid_v7(),
  tool_id uuid not null,
  key text not null,
  name text not null,
  description text not null default '',
  kind text not null,
  status nebula.status not null default 'ativo',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tool_action primary key (id),
  constraint uq_tool_action_key unique (key),
  constraint fk_tool_action_tool_id foreign key (tool_id) references nebula.tool (id),
  constraint ck_tool_action_kind check (kind in ('read', 'write', 'admin'))
);
comment on table nebula.tool_action is 'Something that can be done with a tool: the unit of permission, audit, usage and sale.';
comment on column nebula.tool_action.key is 'Its stable name, `noun.verb`: permission, audit action, meter and operation id.';
comment on column nebula.tool_action.kind is 'read, write or admin: what a key''s profile covers.';
-- The list is one tool's.
create index idx_tool_action_tool_id on nebula.tool_action (tool_id, created_at, id);
select nebula.govern_table('nebula.tool_action', decides_rights => true);

create table nebula.package (
  id uuid not null default nebula.uuid_v7(),
  key text not null,
  name text not null,
  description text not null default '',
  status nebula.status not null default 'ativo',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_package primary key (id),
  constraint uq_package_key unique (key)
);
comment on table nebula.package is 'What a tenant buys: a set of actions.';
comment on column nebula.package.key is 'Its stable name.';
create index idx_package_created_at on nebula.package (created_at, id);
create index idx_package_key on nebula.package (key, id);
create index idx_package_name on nebula.package (name, id);
select nebula.govern_table('nebula.package', decides_rights => true);

create table nebula.package_action (
  id uuid not null default nebula.uuid_v7(),
  package_id uuid not null,
  tool_action_id uuid not null,
  created_at timestamptz not null default now(),
  constraint pk_package_action primary key (id),
  constraint uq_package_action_package_id_tool_action_id unique (package_id, tool_action_id),
  constraint fk_package_action_package_id foreign key (package_id) references nebula.package (id),
  constraint fk_package_action_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id)
);
comment on table nebula.package_action is 'An action that a package grants to its tenants.';
create index idx_package_action_tool_action_id on nebula.package_action (tool_action_id);
select nebula.govern_table('nebula.package_action', decides_rights => true);

create table nebula.tenant_package (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  package_id uuid not null,
  status nebula.status not null default 'ativo',
  assigned_at timestamptz not null default now(),
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tenant_package primary key (tenant_id, id),
  constraint uq_tenant_package_tenant_id_package_id unique (tenant_id, package_id),
  constraint fk_tenant_package_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint fk_tenant_package_package_id foreign key (package_id) references nebula.package (id)
);
comment on table nebula.tenant_package is 'A package that a tenant has.';
comment on column nebula.tenant_package.expires_at is 'From this instant on it counts no more; null: never.';

select nebula.govern_tenant_table('nebula.tenant_package', decides_rights => true);

create table nebula.tenant_tool_override (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  tool_id uuid,
  tool_action_id uuid,
  flags jsonb not null default '{}',
  limits jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tenant_tool_override primary key (tenant_id, id),
  constraint uq_tenant_tool_override_tenant_id_tool_id unique (tenant_id, tool_id),
  constraint uq_tenant_tool_override_tenant_id_tool_action_id unique (tenant_id, tool_action_id),
  constraint fk_tenant_tool_override_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint fk_tenant_tool_override_tool_id foreign key (tool_id) references nebula.tool (id),
  constraint fk_tenant_tool_override_tool_action_id foreign key (tool_action_id) references nebula.tool_action (id),
  constraint ck_tenant_tool_override_target check (num_nonnulls(tool_id, tool_action_id) = 1),
  constraint ck_tenant_tool_override_flags check (
    jsonb_typeof(flags) = 'object' and flags - 'enabled' = '{}' and coalesce(jsonb_typeof(flags -> 'enabled'), 'boolean') = 'boolean'
  ),
  constraint ck_tenant_tool_override_limits check (
    jsonb_typeof(limits) = 'object' and limits - 'perMinute' - 'perMonth' = '{}' and (tool_action_id is not null or limits = '{}')
  )
);
comment on table nebula.tenant_tool_override is 'An exception for one tenant: a tool or an action switched on or off, or limited.';
comment on column nebula.tenant_tool_override.flags is '{"enabled": true|false}: false wins over packages, true replaces them.';
comment on column nebula.tenant_tool_override.limits is '{"perMinute": n, "perMonth": n}, of an action.';
select nebula.govern_tenant_table('nebula.tenant_tool_override', decides_rights => true);
