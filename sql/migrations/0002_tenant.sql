-- Who the data belongs to.

create table nebula.tenant (
  id uuid not null default nebula.uuid_v7(),
  slug text not null,
  name text not null,
  kind text not null default 'customer',
  status nebula.status not null default 'ativo',
  suspended_reason text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint pk_tenant primary key (id),
  constraint uq_tenant_slug unique (slug),
  constraint ck_tenant_kind check (kind in ('platform', 'customer')),
  constraint ck_tenant_slug check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(slug) between 2 and 63),
  constraint ck_tenant_name check (length(name) between 1 and 200),
  constraint ck_tenant_suspended_reason check (status = 'suspenso' or suspended_reason is null),
  -- The platform that suspends itself could never be reached again.
  constraint ck_tenant_platform_active check (kind <> 'platform' or status = 'ativo')
);
comment on table nebula.tenant is 'A company that uses the platform, or the platform''s own operators.';
comment on column nebula.tenant.slug is 'What the tenant is called at login and in URLs; a DNS label.';
comment on column nebula.tenant.kind is 'platform (the operators; exactly one) or customer.';
comment on column nebula.tenant.status is 'suspenso: all its people and keys are refused from the next statement on.';
comment on column nebula.tenant.suspended_reason is 'Why a person suspended it.';
create unique index uq_tenant_platform on nebula.tenant (kind) where kind = 'platform';
comment on index nebula.uq_tenant_platform is 'There is one platform.';
create index idx_tenant_created_at on nebula.tenant (created_at, id);
create index idx_tenant_slug on nebula.tenant (slug, id);
create index idx_tenant_name on nebula.tenant (name, id);
select nebula.govern_tenant_table('nebula.tenant', tenant_column => 'id', decides_rights => true);
