-- How a tenant runs and looks.

create table nebula.tenant_config (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  flags jsonb not null default '{}',
  limits jsonb not null default '{}',
  profile text not null default 'mvp',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tenant_config primary key (tenant_id, id),
  constraint uq_tenant_config_tenant_id unique (tenant_id),
  constraint fk_tenant_config_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_tenant_config_flags check (jsonb_typeof(flags) = 'object'),
  constraint ck_tenant_config_limits check (jsonb_typeof(limits) = 'object' and limits - array['auth', 'read', 'write', 'admin'] = '{}'),
  constraint ck_tenant_config_profile check (profile in ('mvp', 'standard', 'enterprise'))
);
comment on table nebula.tenant_config is 'A tenant''s settings; without a row the defaults count.';
comment on column nebula.tenant_config.flags is 'The tenant''s own switches: {"name": true|false}.';
comment on column nebula.tenant_config.limits is '{"auth"|"read"|"write"|"admin": {"perMinute": n}}: instead of the installation''s defaults. Set by the platform.';
comment on column nebula.tenant_config.profile is 'The operational profile: mvp, standard or enterprise. Set by the platform.';
select nebula.govern_tenant_table('nebula.tenant_config', decides_rights => true);

create table nebula.tenant_branding (
  id uuid not null default nebula.uuid_v7(),
  tenant_id uuid not null,
  logo_url text,
  primary_color text,
  secondary_color text,
  domain text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tenant_branding primary key (tenant_id, id),
  constraint uq_tenant_branding_tenant_id unique (tenant_id),
  constraint fk_tenant_branding_tenant_id foreign key (tenant_id) references nebula.tenant (id),
  constraint ck_tenant_branding_primary_color check (primary_color ~ '^#[0-9a-f]{6}$'),
  constraint ck_tenant_branding_secondary_color check (secondary_color ~ '^#[0-9a-f]{6}$')
);
comment on table nebula.tenant_branding is 'How a tenant''s tools look.';
comment on column nebula.tenant_branding.logo_url is 'An https URL.';
comment on column nebula.tenant_branding.primary_color is '#rrggbb.';
comment on column nebula.tenant_branding.secondary_color is '#rrggbb.';
comment on column nebula.tenant_branding.domain is 'The host name under which the tenant''s people work; not proven to be theirs.';
select nebula.govern_tenant_table('nebula.tenant_branding');
